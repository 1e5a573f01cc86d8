"""What both hands do with a thing that is too large for one: a tray raised level, a box carried somewhere; and what a hand pushes aside."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from vlagym.envs.errors import BadSpec
from vlagym.envs.frames import Array, Pose, rotate
from vlagym.envs.predicates.pushing import outline
from vlagym.envs.predicates.state import REST_M_S, WorldState, asset_of, fixture_of, fixture_pose, is_upright, place_of, prop_of, start_of, word
from vlagym.envs.scene import FLOOR, TABLE, WALL
from vlagym.envs.types import EpisodeSpec

RAISED_M = 0.08
"""A raised tray is at least so much higher than at the start ..."""
LEVEL_COS = float(np.cos(np.radians(15.0)))
"""... and within 15 degrees of level."""
CLEAR_M = 0.02
"""What is carried has its lowest point at least so much higher than at the start, for once."""
SLIP_M = 0.04
"""Where a carried thing has been put down, it may still be shifted by so much."""
ASIDE_M = 0.10
"""What is pushed aside has moved by so much, within 45 degrees of the side that was meant."""
BY_HAND_SHARE = 0.7
"""So much of that way a hand touched it, or had let go of it no longer than COAST_S before: it was not pushed with another thing."""
COAST_S = 0.3
TALL = 1.2
"""What is so many times as high as it is wide, and stands, must not be knocked over."""
_ON_TABLE_M = 0.012
_SIDES = {"left": 1.0, "right": -1.0}
"""Of the table, as the robot sees it at the start: along y of the world."""
_ARENA = frozenset({TABLE, FLOOR, WALL})


class RaisedLevel:
    """raised_level(tray): the robot holds the tray RAISED_M higher than at the start and level, with every hand that it has and with nothing else.

    All hands touch it, no other link does (it does not lean on the chest or lie on a forearm), and neither table, furniture nor another prop
    bears it. What lies on it goes with it: a second condition, on(load, tray), says that this is still there.
    """

    arity = 1

    def __init__(self, spec: EpisodeSpec, tray: str) -> None:
        place = place_of(spec, tray)
        self._tray, self._least_m, self._surface_m = tray, float(start_of(spec, tray)[2]) + RAISED_M, place.surface_height_m
        self._fixtures = frozenset(f.name for f in spec.scene.fixtures)

    def __call__(self, state: WorldState) -> bool:
        here = state.props[self._tray]
        if here.pos[2] < self._least_m or rotate(here.quat, np.array([0.0, 0.0, 1.0]))[2] < LEVEL_COS:
            return False
        if self._tray in state.touched_by_body or not all(self._tray in state.touched_by.get(side, ()) for side in state.hands):
            return False
        beside = {name for pair in state.touching if self._tray in pair for name in pair - {self._tray}}
        return not any(self._bears(state, here, name) for name in beside - {"robot"})

    def _bears(self, state: WorldState, here: Pose, name: str) -> bool:
        """Returns whether something that touches the tray is below it; what is in the way of a side counts, too."""
        if name in _ARENA or name in self._fixtures:
            return True
        return bool(here.inverse().apply(state.props[name].pos)[2] < self._surface_m - 0.015)


class CarriedTo:
    """carried_to(box, place): the box was carried with all hands to a mat, zone or piece of furniture and stands on it, upright and let go.

    The middle of its base lies over the place: within a zone, within the radius of a prop, over the top of furniture. It remembers that the box
    was lifted clear of everything, every hand at it: who pushes it along the table, or shifts it by more than SLIP_M after it has been put down,
    begins anew. Asking twice in the same state changes nothing.
    """

    arity = 2

    def __init__(self, spec: EpisodeSpec, box: str, place: str) -> None:
        self._box, self._place = box, place
        self._corners, _ = outline(spec, box)
        self._is_over, self._bearer = _over(spec, place)
        start = prop_of(spec, box)
        self._least_m = _lowest_m(Pose(start_of(spec, box), np.array(start.quat_world_wxyz)), self._corners) + CLEAR_M
        self._was_carried = False
        self._put_down: Array | None = None

    def __call__(self, state: WorldState) -> bool:
        here = state.props[self._box]
        beside = {name for pair in state.touching if self._box in pair for name in pair - {self._box}}
        if not beside - {"robot"}:
            is_in_hands = all(self._box in state.touched_by.get(side, ()) for side in state.hands)
            if is_in_hands and _lowest_m(here, self._corners) >= self._least_m:
                self._was_carried, self._put_down = True, None
        elif self._was_carried:
            if self._put_down is None:
                self._put_down = here.pos[:2].copy()
            elif float(np.linalg.norm(here.pos[:2] - self._put_down)) > SLIP_M:
                self._was_carried, self._put_down = False, None
        if not self._was_carried or "robot" in beside or self._bearer not in beside or self._box in state.held or not is_upright(here):
            return False
        return self._is_over(state, here.pos) and state.speed_m_s(self._box) <= REST_M_S


class PushedAside:
    """pushed_aside(a, =side): a hand pushed the prop over the table, at least ASIDE_M to the left or right as the robot sees it, and let go of it.

    The prop never left the table, did not fall over where it is a tall one, and moved more sideways than otherwise. It remembers how far it moved
    while a hand was at it, and whether it was lifted: then it cannot be pushed aside any more. Asking twice in the same state changes nothing.
    """

    arity = 2

    def __init__(self, spec: EpisodeSpec, a: str, side: str) -> None:
        chosen = word(side)
        if chosen not in _SIDES:
            raise BadSpec(f"nothing is pushed aside to {side!r}; it can be: {', '.join(f'={name}' for name in _SIDES)}")
        self._corners, _ = outline(spec, a)
        prop = prop_of(spec, a)
        self._a, self._sign, self._start = a, _SIDES[chosen], start_of(spec, a)
        begin = Pose(self._start, np.array(prop.quat_world_wxyz))
        x, y, z = asset_of(spec, a).size_m
        self._must_stand = is_upright(begin) and z > TALL * min(x, y)
        self._highest_m = _lowest_m(begin, self._corners) + _ON_TABLE_M
        self._coast_steps = round(COAST_S * spec.control.rate_hz)
        self._since_touch = self._coast_steps + 1
        self._by_hand_m = 0.0
        self._last = self._start
        self._last_state: WorldState | None = None
        self._was_lifted = False

    def __call__(self, state: WorldState) -> bool:
        here = state.props[self._a]
        if state is not self._last_state:
            self._remember(state, here)
        away = here.pos - self._start
        aside = self._sign * float(away[1])
        if self._was_lifted or aside < ASIDE_M or abs(float(away[0])) > aside or self._by_hand_m < BY_HAND_SHARE * ASIDE_M:
            return False
        touching = state.touching
        is_let_go = frozenset((self._a, TABLE)) in touching and frozenset((self._a, "robot")) not in touching
        return is_let_go and (is_upright(here) or not self._must_stand) and state.speed_m_s(self._a) <= REST_M_S

    def _remember(self, state: WorldState, here: Pose) -> None:
        is_touched = any(self._a in touched for touched in state.touched_by.values())
        self._since_touch = 0 if is_touched else self._since_touch + 1
        if self._since_touch <= self._coast_steps:
            self._by_hand_m += self._sign * float(here.pos[1] - self._last[1])
        self._was_lifted = self._was_lifted or _lowest_m(here, self._corners) > self._highest_m
        self._last, self._last_state = here.pos, state


def _lowest_m(here: Pose, corners: Array) -> float:
    return min(float(here.apply(corner)[2]) for corner in corners)


def _over(spec: EpisodeSpec, place: str) -> tuple[Callable[[WorldState, Array], bool], str]:
    """Returns what says whether a point of the world is over a place, and the name of what bears a thing that stands there.

    Raises:
      UnknownName: If there is no such prop or fixture.
      BadSpec: If nothing can stand on it.
    """
    if place in {p.name for p in spec.scene.props}:
        radius = place_of(spec, place).inner_radius_m
        return lambda state, point: float(np.linalg.norm((point - state.props[place].pos)[:2])) <= radius, place
    fixture, asset = fixture_of(spec, place)
    from_world = fixture_pose(fixture).inverse()
    if asset.zone is not None:
        zone = asset.zone
        return lambda state, point: zone.inside_m(*from_world.apply(point)[:2]) >= 0.0, TABLE
    if asset.top is None:
        raise BadSpec(f"nothing can be put down on {place!r}: the file of {asset.id!r} has neither [zone] nor [top]")
    top = asset.top

    def is_over_top(state: WorldState, point: Array) -> bool:
        x, y, z = from_world.apply(point)
        return top.inside_m(x, y) >= 0.0 and abs(z - top.height_m) <= _ON_TABLE_M

    return is_over_top, place


PREDICATES: Mapping[str, type[Any]] = {"raised_level": RaisedLevel, "carried_to": CarriedTo, "pushed_aside": PushedAside}
"""Name -> class."""
