"""Go about: a gliding base goes round what stands on the floor, comes to a place and turns to a thing, without haste; hands stay as they are."""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.arenas import arena
from vlagym.envs.errors import BadSpec, NotGraspable
from vlagym.envs.frames import Array, from_yaw, pose, to_yaw
from vlagym.envs.predicates.facing import FACING_RAD, NEAR_M
from vlagym.envs.predicates.outlines import Outline, outline_of
from vlagym.envs.scene import TABLE, arena_shift_m
from vlagym.envs.types import EpisodeSpec
from vlagym.policies.bimanual.motion import Ways, gap_m, state_of
from vlagym.policies.bimanual.view import BimanualSkill, BimanualView, BodyCommand
from vlagym.policies.skills.surroundings import Obstacle, obstacles
from vlagym.policies.skills.view import Verdict

_SPEED_M_S, _TURN_RAD_S = 0.40, 0.80
_GAIN, _TURN_GAIN = 1.8, 2.2
_ACCELERATION = (0.05, 0.05, 0.12)
"""m/s, m/s, rad/s by which the velocity changes in a control step, at most."""
_CELL_M, _HALF_M = 0.05, 1.85
_BESIDE_M = 0.05
"""Room that is left beside what is passed ..."""
_TIGHT_M = 0.025
"""... and what may be missing of it, where there is no other way."""
_SLABS_M = 0.02
_AHEAD_RAD = math.radians(50)
"""Who has to go somewhere turns there first while it is farther off its front than this."""
_ALONG_M = 0.45
"""On ways longer than this one looks where one goes; on the last bit, where one wants to look in the end."""
_STOP_M, _STOP_RAD = 0.015, math.radians(1.5)
_SPARE_M = 0.06
"""Nearer than it must be one comes to a thing by so much, where that leaves room."""
_FITS_M, _BACK_M = 0.03, 0.40
_RESTS = 16
_AROUND = 36

Grid = NDArray[np.float64]


class Place(NamedTuple):
    """Where a base stands: x and y in m, and its turn in rad; world frame."""

    x: float
    y: float
    yaw: float


class Glider:
    """Brings a gliding base from place to place. One serves one skill."""

    def __init__(self, spec: EpisodeSpec, ways: Ways) -> None:
        """Begins at rest.

        Args:
          spec: With the base `planar`.
          ways: Of its robot.

        Raises:
          BadSpec: With another base.
        """
        if spec.robot_base != "planar":
            raise BadSpec(f"only on the base 'planar' the robot goes about; this episode has {spec.robot_base!r}")
        self._spec, self._ways = spec, ways
        self._velocity = np.zeros(3)
        self._route: list[Array] = []
        self._room: Grid | None = None
        self._axis = np.arange(-_HALF_M, _HALF_M + _CELL_M / 2, _CELL_M)

    def clearance(self, view: BimanualView, carried: Sequence[str] = ()) -> Grid:
        """Returns how much room is left around the robot, were it at each cell `(n, n)` of the floor, in m; negative where it would bump.

        Args:
          view: The true state.
          carried: Props that go with it.
        """
        x, y = np.meshgrid(self._axis, self._axis, indexing="ij")
        cells = np.stack([x.ravel(), y.ravel()], axis=1)
        room = np.full(len(cells), np.inf)
        for thing in (_table(self._spec, self._ways), *obstacles(self._spec, view, tuple(carried))):
            if thing.top_m - thing.bottom_m < 0.005:
                continue  # painted on the table
            radius = self._ways.radius_between(view, thing.bottom_m - _SLABS_M, thing.top_m + _SLABS_M)
            gap = thing.distance(cells) - radius
            # Who stands at a table stands nearer to it than one would pass it.
            here = float(thing.distance(view.base.pos[None, :2])[0]) - radius
            room = np.minimum(room, gap - min(_BESIDE_M, max(0.0, here)))
        within: Grid = np.minimum(room, self._within_walls_m(view, cells)).reshape(x.shape)
        return within

    def _within_walls_m(self, view: BimanualView, cells: Array) -> Array:
        """Returns how far places `(n, 2)` are from where the robot would stick through a wall, m; walls are seen and not touched."""
        here = arena(self._spec.scene.arena)
        if here.room is None:
            return np.full(len(cells), np.inf)
        radius = self._ways.radius_between(view, -math.inf, math.inf)
        back = cells[:, 0] - (here.room.back_m + arena_shift_m(self._ways.robot, here)) - radius
        inside: Array = np.minimum(back, here.room.side_m - np.abs(cells[:, 1]) - radius)
        x, y, _ = view.base.pos.tolist()
        at_start = min(x - here.room.back_m - arena_shift_m(self._ways.robot, here), here.room.side_m - abs(y)) - radius
        beyond: Array = inside - min(0.0, at_start)
        return beyond

    def go(self, view: BimanualView, places: Sequence[Place], carried: Sequence[str] = ()) -> Place:
        """Plans the way to the nearest of some places, along the shortest way that is free; returns that place.

        Raises:
          NotGraspable: If none of them can be come to.
        """
        room = self._room = self.clearance(view, carried)
        start = self.cell(view.base.pos[:2])
        costs, came_from = self._flood(room, start)
        best = min(((costs[self.cell(np.array(p[:2]))], i) for i, p in enumerate(places)), default=(math.inf, -1))
        if not math.isfinite(best[0]):
            raise NotGraspable(f"the robot does not get to any of {len(places)} places around it without bumping into something")
        place = places[best[1]]
        cell, cells = self.cell(np.array(place[:2])), []
        while cell != start:
            cells.append(np.array([self._axis[cell[0]], self._axis[cell[1]]]))
            cell = came_from[cell]
        self._route = self._straightened([view.base.pos[:2].copy(), *cells[::-1][:-1], np.array(place[:2])], room)
        return place

    def velocity(self, view: BimanualView, place: Place) -> tuple[float, float, float]:
        """Returns the velocity of the base (forward and to the left in m/s, turning to the left in rad/s) on the way to a place."""
        here, yaw = view.base.pos[:2], to_yaw(view.base.quat)
        while len(self._route) > 1 and float(np.linalg.norm(self._route[0] - here)) < 0.08:
            self._route = self._route[1:]
        aim = self._route[0] if self._route else np.array(place[:2])
        left = [here, *self._route] if self._route else [here, aim]
        remaining = sum(float(np.linalg.norm(b - a)) for a, b in zip(left, left[1:], strict=False))
        away = aim - here
        along = math.atan2(float(away[1]), float(away[0]))
        look = along if remaining > _ALONG_M else place.yaw
        off = math.remainder(look - yaw, math.tau)
        speed = min(_SPEED_M_S, _GAIN * remaining)
        if remaining > _ALONG_M and abs(off) > _AHEAD_RAD:
            speed = 0.0
        direction = away / max(1e-9, float(np.linalg.norm(away)))
        forward, aside = math.cos(yaw), math.sin(yaw)
        wanted = np.array(
            [
                speed * float(direction @ [forward, aside]),
                speed * float(direction @ [-aside, forward]),
                float(np.clip(_TURN_GAIN * off, -_TURN_RAD_S, _TURN_RAD_S)),
            ]
        )
        self._velocity = self._velocity + np.clip(wanted - self._velocity, -np.array(_ACCELERATION), _ACCELERATION)
        vx, vy, turn = self._velocity.tolist()
        return vx, vy, turn

    def is_at(self, view: BimanualView, place: Place, within_m: float = _STOP_M, within_rad: float = _STOP_RAD) -> bool:
        """Returns whether the base has come to a place."""
        off = math.remainder(place.yaw - to_yaw(view.base.quat), math.tau)
        return math.dist(view.base.pos[:2].tolist(), place[:2]) < within_m and abs(off) < within_rad

    def fits(self, view: BimanualView, place: Place) -> bool:
        """Returns whether the robot as it is has room at a place, turned as that says."""
        there = pose((place.x, place.y, float(view.base.pos[2])), from_yaw(place.yaw))
        points = self._ways.whole(view, there)
        return gap_m(points, [_table(self._spec, self._ways), *obstacles(self._spec, view, ())]) > _FITS_M

    def back_off(self, view: BimanualView, place: Place, carried: Sequence[str] = ()) -> Place | None:
        """Returns the nearest place straight behind a place at which the robot can turn to all sides; None where it is too far off."""
        if self._room is None:
            self._room = self.clearance(view, carried)
        for back in np.arange(0.0, _BACK_M, 0.04):
            there = Place(place.x - back * math.cos(place.yaw), place.y - back * math.sin(place.yaw), place.yaw)
            if self._room[self.cell(np.array(there[:2]))] >= -_TIGHT_M:
                return there
        return None

    def go_straight(self, place: Place) -> None:
        """Forgets the way that was planned: the place is gone to straight."""
        self._route = [np.array(place[:2])]

    def cell(self, point: Array) -> tuple[int, int]:
        """Returns the cell of `clearance` that a point (2,) of the floor lies in, m."""
        i, j = np.clip(np.rint((point + _HALF_M) / _CELL_M), 0, len(self._axis) - 1).astype(int).tolist()
        return i, j

    def _flood(self, room: Grid, start: tuple[int, int]) -> tuple[Grid, dict[tuple[int, int], tuple[int, int]]]:
        """Returns the length of the way from a cell to every other one, in m (infinity where there is none), and which cell it comes from."""
        n = len(self._axis)
        costs = np.full((n, n), np.inf)
        costs[start] = 0.0
        came_from: dict[tuple[int, int], tuple[int, int]] = {}
        queue = [(0.0, start)]
        # From where it bumps, or nearly, it gets out again by whatever leads to more room.
        while queue:
            cost, (i, j) = heapq.heappop(queue)
            if cost > costs[i, j]:
                continue
            for di, dj in _STEPS:
                a, b = i + di, j + dj
                if not (0 <= a < n and 0 <= b < n) or (room[a, b] < -_TIGHT_M and room[a, b] <= room[i, j]):
                    continue
                there = cost + _CELL_M * math.hypot(di, dj) * (1.0 + _NARROW_COST * max(0.0, 0.15 - float(room[a, b])))
                if there < costs[a, b] - 1e-12:
                    costs[a, b] = there
                    came_from[a, b] = (i, j)
                    heapq.heappush(queue, (there, (a, b)))
        return costs, came_from

    def _straightened(self, points: list[Array], room: Grid) -> list[Array]:
        """Returns the corners of a way: points between which one can go straight are left out."""
        kept, i = [], 0
        while i < len(points) - 1:
            j = next((k for k in range(len(points) - 1, i + 1, -1) if self._is_free(points[i], points[k], room)), i + 1)
            kept.append(points[j])
            i = j
        return kept

    def _is_free(self, a: Array, b: Array, room: Grid) -> bool:
        count = max(2, int(np.linalg.norm(b - a) / (0.5 * _CELL_M)))
        least = min(0.05, float(room[self.cell(a)]), float(room[self.cell(b)]))
        return all(room[self.cell(a + t * (b - a))] >= least for t in np.linspace(0.0, 1.0, count)[1:-1])


_STEPS = tuple((i, j) for i in (-1, 0, 1) for j in (-1, 0, 1) if i or j)
_NARROW_COST = 6.0


def _table(spec: EpisodeSpec, ways: Ways) -> Obstacle:
    """Returns the table of the arena."""
    here = arena(spec.scene.arena)
    (x, y), (long, wide, thick) = here.table.centre_m, here.table.size_m
    return Obstacle(TABLE, x + arena_shift_m(ways.robot, here), y, 0.0, long / 2, wide / 2, here.table.shape == "round", -thick, 0.0)


class TurnTo(BimanualSkill):
    """turn_to(a): the base turns where it stands until its front looks at a, and rests."""

    def __init__(self, spec: EpisodeSpec, args: Sequence[str]) -> None:
        super().__init__(spec, args)
        self._glider = Glider(spec, Ways(spec))
        self._thing: Outline = outline_of(spec, args[0])
        self._stands: tuple[float, float] | None = None
        self._rested = 0

    def step(self, view: BimanualView) -> tuple[BodyCommand, Verdict]:
        if self._stands is None:
            self._stands = (float(view.base.pos[0]), float(view.base.pos[1]))
        x, y = self._stands
        place = Place(x, y, _facing(self._thing, view, x, y))
        self._rested = self._rested + 1 if self._glider.is_at(view, place) else 0
        return BodyCommand(velocity=self._glider.velocity(view, place)), "done" if self._rested > _RESTS else "running"


class GoTo(BimanualSkill):
    """go_to(a): the base goes to where it stands before a, near it, turns to it and rests.

    Where arms that are turned to all sides would touch the thing from so near, it turns to it farther off and goes straight on from there.
    """

    def __init__(self, spec: EpisodeSpec, args: Sequence[str]) -> None:
        super().__init__(spec, args)
        self._glider = Glider(spec, Ways(spec))
        self._thing: Outline = outline_of(spec, args[0])
        self._way: list[Place] = []
        self._rested = 0

    def step(self, view: BimanualView) -> tuple[BodyCommand, Verdict]:
        if not self._way:
            ends = [place for place in before(self._thing, view) if self._glider.fits(view, place)]
            turns = {place: self._glider.back_off(view, place) for place in ends}
            first = self._glider.go(view, [turn for turn in turns.values() if turn is not None])
            last = next(place for place, turn in turns.items() if turn == first)
            self._way = [last] if last == first else [first, last]
        place = self._way[0]
        if len(self._way) > 1 and self._glider.is_at(view, place, 0.04, math.radians(6)):
            self._way = self._way[1:]
            place = self._way[0]
            self._glider.go_straight(place)
        self._rested = self._rested + 1 if len(self._way) == 1 and self._glider.is_at(view, place) else 0
        return BodyCommand(velocity=self._glider.velocity(view, place)), "done" if self._rested > _RESTS else "running"


def before(thing: Outline, view: BimanualView, near_m: float = NEAR_M) -> list[Place]:
    """Returns places all around a thing from which it is near, looking at it.

    Args:
      thing: Around which.
      view: The true state.
      near_m: Largest distance to its nearest side; places keep a little nearer.
    """
    state = state_of(view)
    middle = thing.middle_in(state)
    places: list[Place] = []
    for k in range(_AROUND):
        angle = math.tau * k / _AROUND
        for radius in np.arange(0.2, 1.6, 0.04):
            x, y = float(middle[0]) + radius * math.cos(angle), float(middle[1]) + radius * math.sin(angle)
            if thing.floor_gap_m(x, y, state) >= near_m - _SPARE_M:
                places.append(Place(x, y, math.atan2(float(middle[1]) - y, float(middle[0]) - x)))
                break
    return places


def _facing(thing: Outline, view: BimanualView, x: float, y: float) -> float:
    """Returns the turn with which a thing is looked at from a place, in rad; the present one where that is exact enough."""
    middle = thing.middle_in(state_of(view))
    wanted = math.atan2(float(middle[1]) - y, float(middle[0]) - x)
    now = to_yaw(view.base.quat)
    return now if abs(math.remainder(wanted - now, math.tau)) < 0.25 * FACING_RAD else wanted


SKILLS: Mapping[str, type[BimanualSkill]] = {"turn_to": TurnTo, "go_to": GoTo}
"""Name -> class."""
