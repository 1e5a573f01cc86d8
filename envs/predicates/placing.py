"""How a prop lies or stands: on another one, inside it, stacked on it, upright."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from vlagym.envs.predicates.state import REST_M_S, WorldState, asset_of, is_upright, place_of, prop_of
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


class Inside:
    """inside(a, b): a lies in the container b, let go: its origin is within b's wall and not above its rim, and b or what lies in b carries it."""

    arity = 2

    def __init__(self, spec: EpisodeSpec, a: str, b: str) -> None:
        prop_of(spec, a)
        place = place_of(spec, b)
        self._a, self._b, self._radius, self._height = a, b, place.inner_radius_m, place.surface_height_m
        self._rim = prop_of(spec, b).scale * asset_of(spec, b).size_m[2]

    def __call__(self, state: WorldState) -> bool:
        if self._a in state.held:
            return False
        rel = state.props[self._b].inverse().apply(state.props[self._a].pos)
        if not (np.hypot(rel[0], rel[1]) <= self._radius and self._height - 0.015 <= rel[2] <= self._rim):
            return False
        beside = {name for pair in state.touching if self._a in pair for name in pair}
        return "robot" not in beside and bool(beside & (state.props.keys() - {self._a}))


class Stacked(On):
    """stacked(a, b): a stands on b, let go, and both stand upright."""

    def __call__(self, state: WorldState) -> bool:
        return all(is_upright(state.props[p]) for p in (self._a, self._b)) and super().__call__(state)


class Upright:
    """upright(a): a stands on something, let go and at rest, within 20 degrees of the vertical."""

    arity = 1
    is_on_table = True

    def __init__(self, spec: EpisodeSpec, a: str) -> None:
        prop_of(spec, a)
        self._a = a

    def __call__(self, state: WorldState) -> bool:
        if self._a in state.held or not is_upright(state.props[self._a]):
            return False
        beside = {name for pair in state.touching if self._a in pair for name in pair - {self._a}}
        return bool(beside) and "robot" not in beside and state.speed_m_s(self._a) <= REST_M_S


PREDICATES: Mapping[str, type[Any]] = {"on": On, "inside": Inside, "stacked": Stacked, "upright": Upright}
