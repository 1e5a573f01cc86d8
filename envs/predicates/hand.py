"""What the hand does with a thing: touched, held, lifted, over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from vlagym.envs.errors import unknown_name
from vlagym.envs.predicates.state import WorldState, place_of, prop_of, start_of
from vlagym.envs.types import EpisodeSpec

LIFTED_M = 0.03
"""The origin of what is lifted is at least so much higher than at the start."""


class Touched:
    """touched(x): the robot presses on the prop or fixture; one with two hands with a hand, for a forearm that brushes past has touched nothing."""

    arity = 1

    def __init__(self, spec: EpisodeSpec, name: str) -> None:
        known = [p.name for p in spec.scene.props] + [f.name for f in spec.scene.fixtures]
        if name not in known:
            raise unknown_name("prop or fixture of the scene", name, known)
        self._name = name

    def __call__(self, state: WorldState) -> bool:
        if len(state.hands) > 1:
            return any(self._name in touched for touched in state.touched_by.values())
        return self._name in state.touched_by_robot


class Held:
    """held(a): the hand holds the prop between its fingers."""

    arity = 1

    def __init__(self, spec: EpisodeSpec, name: str) -> None:
        prop_of(spec, name)
        self._name = name

    def __call__(self, state: WorldState) -> bool:
        return self._name in state.held


class Lifted(Held):
    """lifted(a): the hand holds the prop at least LIFTED_M higher than it was when the episode began, and nothing supports it but the hand.

    What lies in the prop from the beginning, the beads of a cup, goes with it.
    """

    def __init__(self, spec: EpisodeSpec, name: str) -> None:
        super().__init__(spec, name)
        self._least_m = float(start_of(spec, name)[2]) + LIFTED_M
        self._goes_with = frozenset({"robot", *spec.contents(name)})

    def __call__(self, state: WorldState) -> bool:
        if self._name not in state.held or state.props[self._name].pos[2] < self._least_m:
            return False
        return not any(self._name in pair and not pair & self._goes_with for pair in state.touching)


class Over:
    """over(a, b): a is held above b, within its radius."""

    arity = 2

    def __init__(self, spec: EpisodeSpec, a: str, b: str) -> None:
        prop_of(spec, a)
        self._a, self._b, self._radius = a, b, place_of(spec, b).inner_radius_m

    def __call__(self, state: WorldState) -> bool:
        away = state.props[self._a].pos - state.props[self._b].pos
        return self._a in state.held and bool(np.hypot(away[0], away[1]) <= self._radius and away[2] > 0)


PREDICATES: Mapping[str, type[Any]] = {"touched": Touched, "held": Held, "lifted": Lifted, "over": Over}
