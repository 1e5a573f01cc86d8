"""Share of the control steps at whose end a joint of the body stands within a degree of one of its limits, or beyond it."""

import math

import numpy as np

from vlagym.benchmark.metric import Metric
from vlagym.envs.types import EpisodeSpec, Trace

NEAR_RAD = math.radians(1.0)
"""Inverse kinematics keeps joints 0.01 rad, 0.6 degrees, away from their limits: a joint that is held there counts as being at its limit."""


def _measure(trace: Trace, spec: EpisodeSpec) -> float | None:
    """Returns the share; None for an episode without steps, or of a run from before this was recorded."""
    margin_rad = trace.columns["joint_margin_rad"][1:]
    if not margin_rad.size or np.isnan(margin_rad).any():
        return None
    return float((margin_rad < NEAR_RAD).mean())


METRIC = Metric(unit="share", better="lower", kind="mean", measure=_measure)
