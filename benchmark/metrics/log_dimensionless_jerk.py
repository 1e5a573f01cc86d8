"""Smoothness of the end effector: minus the logarithm of its squared jerk, freed of duration and size of the motion. Nearer to 0 is smoother."""

from __future__ import annotations

import math

import numpy as np

from vlagym.benchmark.metric import Metric
from vlagym.envs.types import EpisodeSpec, Trace

MOVED_M = 0.02
"""An end effector whose path is shorter has no motion whose smoothness one could speak of."""


def _measure(trace: Trace, spec: EpisodeSpec) -> float | None:
    """Returns -ln(T^3 / v_peak^2 * integral of |jerk|^2 dt), the mean over the end effectors that moved; None where none did.

    The definition is the log dimensionless jerk of Balasubramanian, Melendez-Calderon, Roby-Brami and Burdet, "On the analysis of movement
    smoothness", Journal of NeuroEngineering and Rehabilitation 12:112 (2015): T the duration, v_peak the largest speed. Velocity and jerk are
    differences of the positions at the control rate. The motion of least jerk from rest to rest has -ln(720 / 1.875^2) = -5.32.
    """
    pos = trace.columns["ee_pos_world_m"]
    rate_hz = spec.control.rate_hz
    found = []
    for path_m in np.moveaxis(pos, 1, 0):
        steps_m = np.linalg.norm(np.diff(path_m, axis=0), axis=1)
        if len(steps_m) < 3 or float(steps_m.sum()) < MOVED_M:
            continue
        jerk = np.diff(path_m, n=3, axis=0) * rate_hz**3
        duration_s = len(steps_m) / rate_hz
        dimensionless = duration_s**3 / (float(steps_m.max()) * rate_hz) ** 2 * float((jerk**2).sum()) / rate_hz
        # A motion without any jerk is one of constant acceleration from its first row to its last, which no robot does; and it has no logarithm.
        if dimensionless > 0:
            found.append(-math.log(dimensionless))
    return sum(found) / len(found) if found else None


METRIC = Metric(unit="1", better="higher", kind="mean", measure=_measure)
