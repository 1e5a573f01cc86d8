"""Scales of numbers: statistics that they are normalised by, and displacements that are shared out over several steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlagym.policies.base import Normalisation

Array = NDArray[np.float64]

DISPLACEMENTS = frozenset({"delta_position", "delta_axis_angle", "joint_delta"})
"""Conventions whose values may be multiplied: zero means the same on both sides, and n times an n-th is the whole."""

ROUNDING = 1e-6
"""What is clipped by less than this, where the range is -1 to 1, is not counted: it comes of float32."""

_RATE_TOLERANCE = 1e-6


def normalise(values: Any, by: Normalisation) -> Array:
    """Returns `(..., D)` numbers in the declared unit as a policy reads them. By percentiles they are clipped to -1 and 1, as in training on Open
    X-Embodiment data. A number that never varied, so that its range or deviation is 0, becomes 0."""
    v, first, second = np.asarray(values, np.float64), np.array(by.first), np.array(by.second)
    if by.kind == "mean_std":
        out = _divided(v - first, second)
    else:
        span = second - first
        out = np.where(span > 0, 2 * _divided(v - first, span) - 1, 0.0)
    if by.kind == "q01_q99":
        out = np.clip(out, -1.0, 1.0)
    return np.where(_mask(by), out, v)


def unnormalise(values: Any, by: Normalisation) -> Array:
    """Returns `(..., D)` numbers as a policy sends them in the declared unit; those beyond -1 and 1 go beyond the range."""
    v, first, second = np.asarray(values, np.float64), np.array(by.first), np.array(by.second)
    out = v * second + first if by.kind == "mean_std" else 0.5 * (v + 1) * (second - first) + first
    return np.where(_mask(by), out, v)


def within(values: Any, low: Sequence[float], high: Sequence[float]) -> tuple[Array, NDArray[np.bool_]]:
    """Clips each number to its range.

    Args:
      values: `(T, D)`.
      low: D numbers: one end of the range of each. A float32 that was rounded from it is on it.
      high: The other ends.

    Returns:
      `(T, D)`, and `(T,)`: whether something in the row left its range by more than rounding does.
    """
    v, ends = np.asarray(values, np.float64), np.array([low, high], np.float32).astype(np.float64)
    least, most = ends.min(axis=0), ends.max(axis=0)
    out = np.clip(v, least, most)
    return out, (np.abs(out - v) > ROUNDING * (most - least) / 2).any(axis=1)


def whole_ratio(environment_hz: float, policy_hz: float) -> int | None:
    """Returns how many steps of the environment one of the policy lasts; None where that is no whole number of at least 1."""
    if not policy_hz > 0:
        return None
    ratio = round(environment_hz / policy_hz)
    return ratio if ratio >= 1 and abs(ratio * policy_hz - environment_hz) <= _RATE_TOLERANCE * environment_hz else None


def _divided(a: Array, b: Array) -> Array:
    b = np.broadcast_to(b, a.shape)
    return np.divide(a, b, out=np.zeros_like(a), where=b > 0)


def _mask(by: Normalisation) -> NDArray[np.bool_]:
    return np.array(by.mask or (True,) * by.size)
