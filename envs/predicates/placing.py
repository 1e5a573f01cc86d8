"""How a prop lies or stands: on another one, inside it, stacked on it, upright."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from vlagym.envs.predicates.state import REST_M_S, WorldState, asset_of, is_upright, place_of, prop_of
from vlagym.envs.scene import TABLE
from vlagym.envs.types import EpisodeSpec


class On:
    """on(a, b): a rests on b, let go, or on something that rests on b.

    a's origin is within b's radius and above its surface, the robot does not hold or touch a, and a touches b, or, clear of the table, another
    thing of which all this is true. So a plum that lies on an apple on a plate is on the plate.
    """

    arity = 2

    def __init__(self, spec: EpisodeSpec, a: str, b: str) -> None:
        prop_of(spec, a)
        place = place_of(spec, b)
        self._a, self._b, self._radius, self._height = a, b, place.inner_radius_m, place.surface_height_m

    def __call__(self, state: WorldState) -> bool:
        return self._is_let_go_above(state, self._a) and self._a in self._carried(state)

    def _is_let_go_above(self, state: WorldState, name: str) -> bool:
        if name in state.held or name == self._b:
            return False
        rel = state.props[self._b].inverse().apply(state.props[name].pos)
        return bool(np.hypot(rel[0], rel[1]) <= self._radius and rel[2] >= self._height - 0.015)

    def _carried(self, state: WorldState) -> set[str]:
        """Returns the things that rest on b, directly or on each other, and that the robot does not touch."""
        return carried(state, self._b, lambda name: self._is_let_go_above(state, name))


class Inside:
    """inside(a, b): a lies in the upright container b, let go, and b or what lies in b carries it.

    a's origin is within b's wall and not above its rim; b may not be in the hand, nor anything that a touches. Only where the scene is about
    filling what a hand holds, one of its goals being held_with(b, ...), may b be in that hand.
    """

    arity = 2

    def __init__(self, spec: EpisodeSpec, a: str, b: str) -> None:
        prop_of(spec, a)
        place = place_of(spec, b)
        self._a, self._b, self._radius, self._height = a, b, place.inner_radius_m, place.surface_height_m
        self._rim = asset_of(spec, b).size_m[2]
        goals = (spec.goal, *spec.alternatives, *spec.steps)
        self._may_hold = frozenset({b} if any(p.name == "held_with" and p.args[0] == b for goal in goals for p in goal) else ())

    def __call__(self, state: WorldState) -> bool:
        in_hand = state.held - self._may_hold
        if self._b in in_hand or not self._lies_within(state, self._a) or not is_upright(state.props[self._b]):
            return False
        if any(self._a in pair and pair & in_hand for pair in state.touching):
            return False
        return self._a in carried(state, self._b, lambda name: self._lies_within(state, name))

    def _lies_within(self, state: WorldState, name: str) -> bool:
        if name in state.held or name == self._b:
            return False
        rel = state.props[self._b].inverse().apply(state.props[name].pos)
        return bool(np.hypot(rel[0], rel[1]) <= self._radius and self._height - 0.015 <= rel[2] <= self._rim)


class Stacked(On):
    """stacked(a, b): a stands on b itself, let go, and both stand upright."""

    def __call__(self, state: WorldState) -> bool:
        is_on = frozenset((self._a, self._b)) in state.touching and super().__call__(state)
        return is_on and all(is_upright(state.props[p]) for p in (self._a, self._b))


def carried(state: WorldState, base: str, is_there: Callable[[str], bool]) -> set[str]:
    """Returns the props that rest on a base, directly or on each other.

    Args:
      state: The world.
      base: Name of a prop.
      is_there: Says of a prop whether it is in the place, let go, in which it can rest on the base.

    Returns:
      Names of the props that are there, do not touch the robot, and touch the base, or a carried one while they are clear of the table.
    """
    beside: dict[str, set[str]] = {}
    for pair in state.touching:
        for name in pair:
            beside.setdefault(name, set()).update(pair - {name})
    found: set[str] = set()
    frontier = [base]
    while frontier:
        below = frontier.pop()
        for name in beside.get(below, set()) & state.props.keys() - found - {base}:
            if "robot" not in beside[name] and (below == base or TABLE not in beside[name]) and is_there(name):
                found.add(name)
                frontier.append(name)
    return found


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
