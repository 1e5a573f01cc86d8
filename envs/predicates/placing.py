"""Where one prop lies on another: on, inside, stacked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from vlagym.envs.predicates.state import WorldState, asset_of, is_upright, place_of, prop_of
from vlagym.envs.types import EpisodeSpec


class On:
    """on(a, b): a rests on b, let go: they touch, a's middle is above b's surface, the robot does not hold a."""

    arity = 2

    def __init__(self, spec: EpisodeSpec, a: str, b: str) -> None:
        prop_of(spec, a)
        place = place_of(spec, b)
        self._a, self._b, self._radius, self._height = a, b, place.inner_radius_m, place.surface_height_m

    def __call__(self, state: WorldState) -> bool:
        if self._a in state.held:
            return False
        rel = state.props[self._b].inverse().apply(state.props[self._a].pos)
        if not (np.hypot(rel[0], rel[1]) <= self._radius and rel[2] >= self._height - 0.015):
            return False
        return frozenset((self._a, self._b)) in state.touching and frozenset((self._a, "robot")) not in state.touching


class Inside(On):
    """inside(a, b): a lies in the container b, let go: they touch, a's origin is within b's wall and not above its rim."""

    def __init__(self, spec: EpisodeSpec, a: str, b: str) -> None:
        super().__init__(spec, a, b)
        self._rim = prop_of(spec, b).scale * asset_of(spec, b).size_m[2]

    def __call__(self, state: WorldState) -> bool:
        if not super().__call__(state):
            return False
        return bool(state.props[self._b].inverse().apply(state.props[self._a].pos)[2] <= self._rim)


class Stacked(On):
    """stacked(a, b): a stands on b, let go, and both stand upright."""

    def __call__(self, state: WorldState) -> bool:
        return all(is_upright(state.props[p]) for p in (self._a, self._b)) and super().__call__(state)


PREDICATES: Mapping[str, type[Any]] = {"on": On, "inside": Inside, "stacked": Stacked}
