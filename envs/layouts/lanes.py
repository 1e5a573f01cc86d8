"""Straight lanes over the table, along which things are pushed: drawn so that the fingers have room, and nothing is in the way."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from vlagym.envs.task import Crowded, Draft, Region

REACH = Region(x_m=(0.33, 0.68), y_m=(-0.30, 0.30))
"""Where the closed fingers can push from and to: every robot reaches it with its hand looking down."""
FINGER_ROOM_M = 0.05
"""Behind a thing, for closed fingers that come down there."""
ASIDE_M = 0.012
"""Beside a thing that is pushed: it never goes quite straight."""
_APART_M = 0.055  # between two things, so that the fingers fit in between
_TRIES = 300

Point = Sequence[float]
"""(x, y), world frame, m."""


class Disc(NamedTuple):
    """The outline of something, as a circle; m, world frame."""

    x: float
    y: float
    radius_m: float


class Lane(NamedTuple):
    """Where something is pushed along; m, world frame."""

    start: tuple[float, float]
    end: tuple[float, float]
    half_width_m: float

    def distance_m(self, point: Point) -> float:
        """Returns the distance of a point from the way of the thing and of the fingers behind it."""
        return distance_m(point, behind(self.start, self.end, self.half_width_m + FINGER_ROOM_M), self.end)


def can_push(start: Point, end: Point, radius_m: float, others: Iterable[Disc]) -> bool:
    """Returns whether something can be pushed straight from start to end: the fingers have room and reach behind it, and nothing is in the way.

    Args:
      start: Where its middle is.
      end: Where its middle is to be.
      radius_m: Of the circle around its outline.
      others: What stands around.
    """
    return hindrance_m(start, end, radius_m, others) == 0.0


def hindrance_m(start: Point, end: Point, radius_m: float, others: Iterable[Disc]) -> float:
    """Returns by how many m a push is hindered by what is in the way or out of reach, summed; 0 where it is not. The rest is as with `can_push`."""
    first = behind(start, end, radius_m + FINGER_ROOM_M)
    room = radius_m + ASIDE_M
    in_the_way = sum(max(0.0, room + other.radius_m - distance_m(other[:2], first, end)) for other in others)
    return in_the_way + _beyond_m(REACH, first) + _beyond_m(REACH, end)


def behind(start: Point, end: Point, distance: float) -> tuple[float, float]:
    """Returns the point that lies `distance` m before the start of a lane: where a push along it begins."""
    length = math.dist(start, end)
    ux, uy = ((b - a) / length for a, b in zip(start, end, strict=True))
    return start[0] - distance * ux, start[1] - distance * uy


def distance_m(point: Point, start: Point, end: Point) -> float:
    """Returns the distance of a point from the straight piece between start and end."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    square = dx * dx + dy * dy
    share = 0.0 if square == 0.0 else ((point[0] - start[0]) * dx + (point[1] - start[1]) * dy) / square
    share = min(1.0, max(0.0, share))
    return math.hypot(point[0] - start[0] - share * dx, point[1] - start[1] - share * dy)


class Lanes:
    """Plans a scene in which things are pushed. What is drawn first has its place; what comes later keeps clear of it."""

    def __init__(self, rng: np.random.Generator, region: Region) -> None:
        """Begins with an empty table.

        Args:
          rng: All is drawn from it.
          region: Where things stand and lanes end.
        """
        self._rng = rng
        self._region = region
        self._things: dict[str, Disc] = {}
        self._marks: list[Disc] = []
        self._lanes: list[Lane] = []

    def yaw(self) -> float:
        """Returns any direction, in rad."""
        return float(self._rng.uniform(-math.pi, math.pi))

    def place(self, name: str, radius_m: float) -> tuple[float, float]:
        """Returns a place for a thing, apart from all others and beside their lanes. Raises Crowded."""
        for _ in range(_TRIES):
            x, y = self._point()
            if self._is_apart(x, y, radius_m) and all(lane.distance_m((x, y)) > radius_m + lane.half_width_m for lane in self._lanes):
                self._things[name] = Disc(x, y, radius_m)
                return x, y
        raise Crowded(f"no free place for {name}")

    def goal(self, name: str, radius_m: float, things: Sequence[str]) -> tuple[float, float]:
        """Returns a place for a mark on the table, such that each of some things can be pushed straight to it. Raises Crowded."""
        for _ in range(_TRIES):
            x, y = self._point()
            starts = [(self._things[thing], [disc for other, disc in self._things.items() if other != thing]) for thing in things]
            if not self._is_apart(x, y, radius_m - 0.02) or any(math.dist((x, y), m[:2]) < radius_m + m.radius_m + 0.02 for m in self._marks):
                continue
            crosses = any(distance_m(m[:2], here[:2], (x, y)) < m.radius_m for m in self._marks for here, _ in starts)
            if crosses or any(distance_m((x, y), *lane[:2]) < radius_m for lane in self._lanes):
                continue  # what slips from the fingers on its way must not come to rest in another goal
            if all(can_push(here[:2], (x, y), here.radius_m, others) for here, others in starts):
                self._marks.append(Disc(x, y, radius_m))
                self._lanes += [Lane((here.x, here.y), (x, y), here.radius_m) for here, _ in starts]
                return x, y
        raise Crowded(f"no place for {name} that can be pushed to")

    def lane(self, name: str, radius_m: float, length_m: float) -> Lane:
        """Returns a lane of a thing that stands at its start; it keeps clear of all other things and lanes. Raises Crowded."""
        for _ in range(_TRIES):
            (x, y), yaw = self._point(), self.yaw()
            end = (x + length_m * math.cos(yaw), y + length_m * math.sin(yaw))
            if _beyond_m(self._region, end) > 0.0 or not can_push((x, y), end, radius_m, self._things.values()):
                continue
            way = [behind((x, y), end, -t) for t in np.linspace(-radius_m - FINGER_ROOM_M, length_m, 15)]
            if all(other.distance_m(point) > radius_m + other.half_width_m + ASIDE_M for point in way for other in self._lanes):
                self._things[name] = Disc(x, y, radius_m)
                self._lanes.append(Lane((x, y), end, radius_m))
                return self._lanes[-1]
        raise Crowded(f"no free lane for {name}")

    def way_out(self, name: str, start: Point, yaw_rad: float, radius_m: float, length_m: float) -> None:
        """Keeps a lane free on which a thing can be pushed away, to one of four sides. Raises Crowded.

        Args:
          name: Of what it stands on.
          start: Where it stands.
          yaw_rad: Direction of the first side.
          radius_m: Of the thing.
          length_m: How far it must go.
        """
        others = [disc for other, disc in self._things.items() if other != name]
        for k in self._rng.permutation(4):
            angle = yaw_rad + k * math.pi / 2
            end = (start[0] + length_m * math.cos(angle), start[1] + length_m * math.sin(angle))
            if can_push(start, end, radius_m + ASIDE_M, others):
                self._lanes.append(Lane((start[0], start[1]), end, radius_m + ASIDE_M))
                return
        raise Crowded(f"no free way off {name}")

    def keep_free(self, draft: Draft) -> None:
        """Sees to it that nothing else is put into a lane, or where the fingers come down at its beginning."""
        for lane in self._lanes:
            first = behind(lane.start, lane.end, lane.half_width_m + FINGER_ROOM_M)
            for t in np.linspace(0.0, math.dist(first, lane.end), 8):
                draft.keep_free(*behind(first, lane.end, -float(t)), lane.half_width_m)

    def _is_apart(self, x: float, y: float, radius_m: float) -> bool:
        return all(math.dist((x, y), disc[:2]) >= radius_m + disc.radius_m + _APART_M for disc in self._things.values())

    def _point(self) -> tuple[float, float]:
        return float(self._rng.uniform(*self._region.x_m)), float(self._rng.uniform(*self._region.y_m))


def _beyond_m(region: Region, point: Point) -> float:
    """Returns how far a point lies outside a region, along x and y together."""
    sides = ((region.x_m, point[0]), (region.y_m, point[1]))
    return sum(max(0.0, low - value, value - high) for (low, high), value in sides)
