"""Which hand does it: touched by one hand alone, held by one hand, handed from one to the other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vlagym.envs import catalog
from vlagym.envs.errors import unknown_name
from vlagym.envs.predicates.hand import LIFTED_M
from vlagym.envs.predicates.state import WorldState, prop_of, start_of, word
from vlagym.envs.robot import Robot
from vlagym.envs.types import EpisodeSpec


def robot_of(spec: EpisodeSpec) -> Robot:
    """Returns the robot of an episode. Raises UnknownName."""
    robot: Robot = catalog.load("robot", spec.robot)
    return robot


def side_of(spec: EpisodeSpec, argument: str) -> str:
    """Returns the side that "=left" or "=right" names. Raises BadSpec if it is no word, UnknownName if the robot has no hand there."""
    return robot_of(spec).hand(word(argument)).side


class ByHand:
    """by_hand(x, =side): this hand has touched the prop or fixture x since the episode began, and neither the other hand nor its arm has.

    It says who did it and stands beside a condition that says what. A hand that has once touched x cannot undo it: who helps with the other
    hand, forearm or elbow, or takes over with it, has not done it by hand `side`. What rests on x, or x on something else, does not matter.
    """

    arity = 2

    def __init__(self, spec: EpisodeSpec, x: str, side: str) -> None:
        self._x, self._side = _thing(spec, x), side_of(spec, side)

    def __call__(self, state: WorldState) -> bool:
        if self._x not in state.ever_touched_by.get(self._side, ()):
            return False
        others = [side for side in state.hands if side != self._side]
        return not any(self._x in ever.get(side, ()) for side in others for ever in (state.ever_touched_by, state.ever_touched_by_arm))


class HeldWith:
    """held_with(a, =side): that hand holds the prop between its fingers, and no other hand holds or touches it."""

    arity = 2

    def __init__(self, spec: EpisodeSpec, a: str, side: str) -> None:
        prop_of(spec, a)
        self._a, self._side = a, side_of(spec, side)

    def __call__(self, state: WorldState) -> bool:
        return is_held_alone(state, self._a, self._side)


class HandedOver:
    """handed_over(a, =giver, =taker): the one hand held the prop in the air, and without coming down in between it is now held there by the other.

    It remembers that the giver held it: who puts it down and takes it up again with the other hand has handed nothing over, and begins anew.
    Asking twice in the same state changes nothing.
    """

    arity = 3

    def __init__(self, spec: EpisodeSpec, a: str, giver: str, taker: str) -> None:
        self._least_m = float(start_of(spec, a)[2]) + LIFTED_M
        self._a, self._giver, self._taker = a, side_of(spec, giver), side_of(spec, taker)
        self._goes_with = frozenset({"robot", *spec.contents(a)})
        self._was_given = False

    def __call__(self, state: WorldState) -> bool:
        if not self._is_in_the_air(state):
            self._was_given = False
        elif is_held_alone(state, self._a, self._giver):
            self._was_given = True
        return self._was_given and is_held_alone(state, self._a, self._taker)

    def _is_in_the_air(self, state: WorldState) -> bool:
        if state.props[self._a].pos[2] < self._least_m:
            return False
        return not any(self._a in pair and not pair & self._goes_with for pair in state.touching)


def is_held_alone(state: WorldState, prop: str, side: str) -> bool:
    """Returns whether a hand holds a prop and no other hand holds or touches it."""
    if prop not in state.held_by.get(side, ()):
        return False
    others = [other for other in state.hands if other != side]
    return not any(prop in state.held_by.get(other, ()) or prop in state.touched_by.get(other, ()) for other in others)


def _thing(spec: EpisodeSpec, name: str) -> str:
    """Returns the prop or fixture of a name, "panel" for "panel/button". Raises UnknownName."""
    root = name.partition("/")[0]
    known = [p.name for p in spec.scene.props] + [f.name for f in spec.scene.fixtures]
    if root not in known:
        raise unknown_name("prop or fixture of the scene", root, known)
    return root


PREDICATES: Mapping[str, type[Any]] = {"by_hand": ByHand, "held_with": HeldWith, "handed_over": HandedOver}
"""Name -> class."""
