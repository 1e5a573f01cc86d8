"""Which props of an episode break, and how often each fell."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlagym.benchmark.metrics.drops import FALL_M, WINDOW_S
from vlagym.envs.types import EpisodeSpec


def fragile(spec: EpisodeSpec) -> list[int]:
    """Returns where the props that break stand among the props of the spec."""
    return [i for i, prop in enumerate(spec.scene.props) if prop.is_fragile]


def count_falls(height_m: NDArray[Any], is_held: NDArray[Any], rate_hz: float) -> int:
    """Returns how often a prop fell: came more than `FALL_M` down within `WINDOW_S` while nobody held it.

    Args:
      height_m: `(T + 1,)` of its base.
      is_held: `(T + 1,)` bool. A fall may begin at the last row at which it is held.
      rate_hz: Rows in a second.
    """
    window = math.ceil(WINDOW_S * rate_hz - 1e-9)
    held = np.asarray(is_held, bool)
    falls, start, was_falling = 0, 0, False
    for row in range(len(height_m)):
        if held[row]:
            start = row
        start = max(start, row - window)
        is_falling = bool(height_m[start : row + 1].max() - height_m[row] > FALL_M)
        falls += int(is_falling and not was_falling)
        was_falling = is_falling
    return falls
