"""Objects that stood upright at the start and lie at the end, in nobody's hand. Balls, fruit and vegetables roll and are not counted."""

from __future__ import annotations

import math

import numpy as np

from vlagym.benchmark.metric import Metric
from vlagym.envs.errors import UnknownName
from vlagym.envs.objects import get
from vlagym.envs.types import EpisodeSpec, Trace

TILT_DEG = 45.0
"""An object lies once its own axis leans farther from the vertical than this."""


def _measure(trace: Trace, spec: EpisodeSpec) -> float | None:
    """Returns how many; None where nothing stands that could topple."""
    _, x, y, _ = trace.columns["prop_quat_world_wxyz"][[0, -1]].transpose(2, 0, 1)
    upright = 1.0 - 2.0 * (x**2 + y**2) > math.cos(math.radians(TILT_DEG))  # (2, P): the height of the tip of a unit axis
    stood = upright[0] & np.array([not _rolls(prop.asset) for prop in spec.scene.props], bool)
    if not stood.any():
        return None
    is_held = trace.columns["prop_is_held"][-1].astype(bool)
    return float((stood & ~upright[1] & ~is_held).sum())


def _rolls(asset: str) -> bool:
    """Returns whether an object has no side to lie on. One that is not in the catalogue of this installation is taken for one that stands."""
    try:
        known = get(asset)
    except UnknownName:
        return False
    return known.category in ("ball", "fruit", "vegetable") or (known.shape == "round" and known.rolling_friction > 0)


METRIC = Metric(unit="1", better="lower", kind="mean", measure=_measure, headline=True)
