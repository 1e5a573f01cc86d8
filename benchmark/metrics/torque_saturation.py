"""Share of the control steps in which a motor gave all the force that it has, at some substep."""

import numpy as np

from vlagym.benchmark.metric import Metric
from vlagym.envs.types import EpisodeSpec, Trace

FULL_SHARE = 0.999
"""Of the limit: forces are clamped to it, and leave it by rounding alone."""


def _measure(trace: Trace, spec: EpisodeSpec) -> float | None:
    """Returns the share; None for an episode without steps, or of a run from before this was recorded."""
    torque_share = trace.columns["torque_share"][1:]
    if not torque_share.size or np.isnan(torque_share).any():
        return None
    return float((torque_share >= FULL_SHARE).mean())


METRIC = Metric(unit="share", better="lower", kind="mean", measure=_measure)
