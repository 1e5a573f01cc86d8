"""Length of the path of the end effector, sampled once a control step; summed over the end effectors where there are several."""

import numpy as np

from vlagym.benchmark.metric import Metric
from vlagym.envs.types import EpisodeSpec, Trace


def _measure(trace: Trace, spec: EpisodeSpec) -> float | None:
    pos = trace.columns["ee_pos_world_m"]
    if pos.shape[1] == 0:
        return None
    return float(np.linalg.norm(np.diff(pos, axis=0), axis=2).sum())


METRIC = Metric(unit="m", better="lower", kind="mean", measure=_measure)
