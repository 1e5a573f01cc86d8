"""Length of the path in the space of the joints: the Euclidean distance between the postures of two control steps, summed."""

import numpy as np

from vlagym.benchmark.metric import Metric
from vlagym.envs.types import EpisodeSpec, Trace


def _measure(trace: Trace, spec: EpisodeSpec) -> float | None:
    joint_pos = trace.columns["joint_pos"]
    return float(np.linalg.norm(np.diff(joint_pos, axis=0), axis=1).sum()) if joint_pos.shape[1] else None


METRIC = Metric(unit="rad", better="lower", kind="mean", measure=_measure)
