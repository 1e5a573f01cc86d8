"""How far the objects that the goal does not name stand from where they stood at the start, summed; None if there are none."""

import numpy as np

from vlagym.benchmark.metric import Metric
from vlagym.envs.types import EpisodeSpec, Trace


def _measure(trace: Trace, spec: EpisodeSpec) -> float | None:
    wrong = [i for i, prop in enumerate(spec.scene.props) if prop.name not in spec.concerned]
    if not wrong:
        return None
    pos = trace.columns["prop_pos_world_m"][:, wrong]
    return float(np.linalg.norm(pos[-1] - pos[0], axis=1).sum())


METRIC = Metric(unit="m", better="lower", kind="mean", measure=_measure)
