"""Where a robot that can go about has turned and gone: it faces a thing, it stands before it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from vlagym.envs.predicates.history import REST_S, is_still, rows, spread
from vlagym.envs.predicates.outlines import outline_of
from vlagym.envs.predicates.state import WorldState
from vlagym.envs.types import EpisodeSpec

FACING_RAD = math.radians(10.0)
"""The front of the base looks at the middle of what it faces, give or take so much."""
NEAR_M = 0.6
"""From the middle of the base to the nearest side of what it has gone to, as seen from above."""
STILL_M, STILL_RAD = 0.01, math.radians(2.0)
"""A base is at rest that has moved and turned by no more than this in the last REST_S."""


class Faced:
    """faced(x): the base is turned to the middle of the prop or fixture x, at rest. Turning the trunk or the head alone does not count."""

    arity = 1

    def __init__(self, spec: EpisodeSpec, x: str) -> None:
        self._thing, self._rate_hz = outline_of(spec, x), spec.control.rate_hz

    def __call__(self, state: WorldState) -> bool:
        x, y, yaw = state.base
        middle = self._thing.middle_in(state)
        off = math.remainder(math.atan2(float(middle[1]) - y, float(middle[0]) - x) - yaw, math.tau)
        return abs(off) <= FACING_RAD and self._is_at_rest(state)

    def _is_at_rest(self, state: WorldState) -> bool:
        if not is_still(state, "base", self._rate_hz, math.inf):
            return False  # the episode is too young to tell
        track = rows(state, "base", REST_S, self._rate_hz)
        return spread(track[:, :2]) <= STILL_M and spread(track[:, 2:]) <= STILL_RAD


class Approached(Faced):
    """approached(x): the base faces x and stands within NEAR_M of it, at rest, and the robot does not touch it."""

    def __call__(self, state: WorldState) -> bool:
        if not super().__call__(state) or self._thing.name in state.touched_by_robot:
            return False
        return self._thing.floor_gap_m(state.base[0], state.base[1], state) <= NEAR_M


PREDICATES: Mapping[str, type[Any]] = {"faced": Faced, "approached": Approached}
"""Name -> class."""
