"""Place, put_beside: what is held is put down, on or in another thing or somewhere on the table."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from vlagym.envs.errors import BadSpec, NotGraspable
from vlagym.envs.frames import Array, Pose, from_yaw, multiply, rotate
from vlagym.envs.kinematics import kinematics
from vlagym.envs.predicates.relations import disc
from vlagym.envs.predicates.state import place_of
from vlagym.envs.layouts.room import INNER_M, ring_m
from vlagym.envs.layouts.spots import Spot, free_spots
from vlagym.envs.types import EpisodeSpec
from vlagym.policies.skills.carry import risen_first
from vlagym.policies.skills.grasping import hand_of, opening_command
from vlagym.policies.skills.surroundings import crowding, height_to_pass, obstacle, obstacles
from vlagym.policies.skills.view import CLOSE, DOWN, Command, SkillBase, Verdict, View, asset_of, hand_yaw, turn_between

_TURNS_RAD = tuple(math.radians(d) for d in (0, 30, -30, 60, -60, 90, -90))
_RELEASE_M = 0.024
"""The fingers open by so much to let go: fully opened they would knock at what stands beside."""
_SLIP_STEPS = 3
_AWAY_M = 0.05  # what lies farther from where it was put has fallen


class Target(NamedTuple):
    """Where a held thing is to be let go."""

    pos: Array
    """Of the thing's origin, base frame, m."""
    turn_rad: float
    """Of the hand about the vertical."""


class PutDown(SkillBase):
    """What placing skills share: carries what is held above its target, lowers it, lets go, and rises clear of it.

    Lost when the thing slips out of the hand on the way, or does not stay where it was put.
    """

    def __init__(self, spec: EpisodeSpec, args: Sequence[str]) -> None:
        super().__init__(spec, args)
        self._hand = hand_of(spec)
        self._slipped = 0
        self._stuck = 0
        self._lowest = math.inf
        self._released_for = 0
        self._released_at = np.zeros(3)
        self._release = 0.0

    def target(self, view: View) -> Target:
        """Returns where to put the thing, from what is seen now."""
        raise AssertionError("abstract")

    def step(self, view: View) -> tuple[Command, Verdict]:
        name = self.args[0]
        thing = view.props[name]
        if self._released_for:
            return self._leave(view)
        self._slipped = 0 if name in view.held else self._slipped + 1
        if self._slipped > _SLIP_STEPS:
            return Command(view.ee.pos, view.ee.quat, -1.0), "lost"
        target = self.target(view)
        quat = multiply(from_yaw(target.turn_rad), DOWN)
        away = target.pos - thing.pos
        across, turn_error = math.hypot(away[0], away[1]), turn_between(view.ee.quat, quat)
        # A long thing may come to lie on a rim before it is as low as it should be.
        self._stuck = self._stuck + 1 if across < 0.01 and -away[2] < 0.04 and thing.pos[2] > self._lowest - 0.001 else 0
        self._lowest = min(self._lowest, float(thing.pos[2]))
        if across < 0.008 and (abs(away[2]) < 0.006 or self._stuck > 4):
            self._released_for, self._released_at = 1, view.ee.pos
            self._release = opening_command(self._hand, view.opening_m + _RELEASE_M)
            return Command(view.ee.pos, view.ee.quat, self._release), "running"
        box = obstacle(self.spec, view, name)
        below = float(view.ee.pos[2]) - box.bottom_m
        around = obstacles(self.spec, view, (name,))
        over = height_to_pass(self._hand.room, around, thing.pos, target.pos, below_m=below, radius_m=box.radius_m)
        pass_m = over - below  # of the bottom of the thing
        height = min(max(self.above_m, pass_m - target.pos[2]), 2.5 * max(0.0, across - 0.008) + 0.2 * max(0.0, turn_error - 0.1))
        step = risen_first(thing.pos, target.pos + [0, 0, height]) - thing.pos
        return Command(view.ee.pos + step, quat, CLOSE), "running"

    def _leave(self, view: View) -> tuple[Command, Verdict]:
        self._released_for += 1
        box = obstacle(self.spec, view, self.args[0])
        up = self._released_at + [0, 0, 0.0 if self._released_for < 4 else 0.08]
        if self._released_for < 5 or view.ee.pos[2] < min(box.top_m + 0.015, self._released_at[2] + 0.05):
            return Command(up, view.ee.quat, self._release), "running" if self._released_for < 30 else "done"
        fell = float(np.linalg.norm((view.props[self.args[0]].pos - self.target(view).pos)[:2])) > _AWAY_M
        return Command(up, view.ee.quat, self._release), "lost" if fell else "done"


class Place(PutDown):
    """place(a, b): puts the held prop on or into b; where b is to take several things, each gets a spot of its own."""

    def __init__(self, spec: EpisodeSpec, args: Sequence[str]) -> None:
        super().__init__(spec, args)
        name, destination = self.args
        self._place = place_of(spec, destination)
        self._is_container = "container" in asset_of(spec, destination).roles
        self._rim_m = asset_of(spec, destination).size_m[2]
        self._spots = _spots(spec, destination, self._place.inner_radius_m)
        self._spot: tuple[float, float] | None = None
        self._turn = 0.0

    def target(self, view: View) -> Target:
        name, destination = self.args
        support = view.props[destination]
        if self._spot is None:
            self._spot = self._free_spot(view)
            base = support.pos + [*self._spot, self._place.surface_height_m]
            self._turn = _best_turn(self.spec, view, self.args, base).turn_rad
        drop = 0.004
        if self._is_container:
            # The hand stays above the rim; the fingers may dip in.
            grip = float(view.ee.pos[2] - view.props[name].pos[2])
            drop = max(0.02, self._rim_m - self._hand.room.hand_above_m + 0.012 - grip - self._place.surface_height_m)
        return Target(support.pos + [*self._spot, self._place.surface_height_m + drop], self._turn)

    def _free_spot(self, view: View) -> tuple[float, float]:
        name, destination = self.args
        middle = view.props[destination].pos[:2]
        others = [o for o in obstacles(self.spec, view, (name, destination)) if o.bottom_m > 0.001]
        there = [o for o in others if o.distance(middle[None])[0] < self._place.inner_radius_m]
        if not there:
            return self._spots[0]
        room = [round(min(float(o.distance((middle + spot)[None])[0]) for o in there), 3) for spot in self._spots]
        return self._spots[int(np.argmax(room))]


class PutBeside(PutDown):
    """put_beside(=relation, a, b …): puts the held prop a on the table, in the region that the relation has at b (and c)."""

    def __init__(self, spec: EpisodeSpec, args: Sequence[str]) -> None:
        super().__init__(spec, args[1:])
        self._relation = args[0].removeprefix("=")
        self._spot: Target | None = None

    def target(self, view: View) -> Target:
        if self._spot is None:
            self._spot = _spot_beside(self.spec, view, self._relation, self.args)
        return self._spot


def _spots(spec: EpisodeSpec, destination: str, inner_radius_m: float) -> list[tuple[float, float]]:
    """Returns as many spots, relative to the middle of a support, as the goal puts things there."""
    things = [p.args[0] for p in spec.goal if len(p.args) > 1 and p.args[1] == destination and p.name in ("on", "inside")]
    count = len(dict.fromkeys(things))
    if count < 2:
        return [(0.0, 0.0)]
    radius = max(disc(spec, name, np.zeros(3)).radius_m for name in things)
    ring = min(inner_radius_m - INNER_M, ring_m(count, radius))
    angles = [2 * math.pi * k / count for k in range(count)]
    return [(ring * math.cos(a), ring * math.sin(a)) for a in angles]


class _Turn(NamedTuple):
    cost: float
    turn_rad: float


def _best_turn(spec: EpisodeSpec, view: View, without: Sequence[str], base: Array) -> _Turn:
    """Returns the turn of the hand, near to the present one and in reach, in which letting go at `base` knocks at least.

    Args:
      spec: The episode.
      view: The scene as it is; the hand holds the first of `without`.
      without: Names of what does not stand in the way.
      base: Where the origin of what is held is to be, (3,) m.
    """
    now, held = hand_yaw(view.ee.quat), view.ee.pos - view.props[without[0]].pos
    around, room, arm = obstacles(spec, view, without), hand_of(spec).room, kinematics(spec.robot)
    points = {change: base + rotate(from_yaw(change), held) for change in _TURNS_RAD}
    costs = [_Turn(round(20.0 * crowding(room, around, points[c], now + c) + 0.05 * abs(c), 6), c) for c in _TURNS_RAD]
    for cost, change in sorted(costs):
        if arm.reaches(Pose(points[change], multiply(from_yaw(now + change), DOWN))):
            return _Turn(cost, now + change)
    return _Turn(_OUT_OF_REACH, now)


_OUT_OF_REACH = 1e3
_LOOKED_AT = 12


def _spot_beside(spec: EpisodeSpec, view: View, relation: str, names: Sequence[str]) -> Target:
    """Returns the free place in the region of a relation that is near, well inside, and leaves room for the hand.

    Raises:
      NotGraspable: If there is none in reach.
    """
    name, *landmarks = names
    around, here = obstacles(spec, view, (name,)), view.props[name].pos

    def distance(points: Array) -> Array:
        nearest: Array = np.min([thing.distance(points) for thing in around], axis=0)
        return nearest

    def cost(spot: Spot) -> float:
        way = math.hypot(spot.x - here[0], spot.y - here[1])
        return round(way + 3.0 * max(0.0, 0.03 - spot.gap_m) + 4.0 * max(0.0, 0.025 - spot.margin_m), 6)

    marks = [disc(spec, mark, view.props[mark].pos) for mark in landmarks]
    spots = sorted(free_spots(relation, disc(spec, name, here).radius_m, marks, distance), key=cost)[:_LOOKED_AT]
    ranked = []
    for spot in spots:
        turn = _best_turn(spec, view, (name,), np.array([spot.x, spot.y, 0.0]))
        ranked.append((round(cost(spot) + turn.cost, 6), spot.x, spot.y, turn.turn_rad))
    if not ranked or min(ranked)[0] >= _OUT_OF_REACH:
        raise NotGraspable(f"there is no free place {relation} {', '.join(landmarks)} that {spec.robot} reaches with {name!r}")
    _, x, y, turn_rad = min(ranked)
    return Target(np.array([x, y, 0.003]), turn_rad)


SKILLS: Mapping[str, type[SkillBase]] = {"place": Place, "put_beside": PutBeside}
