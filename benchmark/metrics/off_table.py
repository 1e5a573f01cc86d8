"""Objects that fell off the table: more than 5 cm below its top, and below where they stood at the start."""

import numpy as np

from vlagym.benchmark.metric import Metric
from vlagym.envs.types import EpisodeSpec, Trace

BELOW_M = 0.05
"""Below the table top, which is at height 0 in the world frame of every arena."""


def _measure(trace: Trace, spec: EpisodeSpec) -> float | None:
    if not spec.scene.props:
        return None
    height_m = trace.columns["prop_pos_world_m"][:, :, 2]
    return float((height_m.min(axis=0) < np.minimum(height_m[0], 0.0) - BELOW_M).sum())


METRIC = Metric(unit="1", better="lower", kind="mean", measure=_measure, headline=True)
