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


def can_push(start: Point, end: Point, radius_m: float, others: Iterable[Disc]) -> bool:
    """Returns whether something can be pushed straight from start to end: the fingers have room and reach behind it, and nothing is in the way.

    Args:
      start: Where its middle is.
      end: Where its middle is to be.
      radius_m: Of the circle around its outline.
      others: What stands around.
    """
    first = behind(start, end, radius_m + FINGER_ROOM_M)
    room = radius_m + ASIDE_M
    return _holds(REACH, first) and _holds(REACH, end) and all(distance_m(d[:2], first, end) >= room + d.radius_m for d in others)


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
            if self._is_apart(x, y, radius_m) and all(distance_m((x, y), *lane[:2]) > radius_m + lane.half_width_m for lane in self._lanes):
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
            if not _holds(self._region, end) or not can_push((x, y), end, radius_m, self._things.values()):
                continue
            way = [behind((x, y), end, -t) for t in np.linspace(0.0, length_m, 12)]
            if all(distance_m(p, *other[:2]) > radius_m + other.half_width_m + ASIDE_M for p in way for other in self._lanes):
                self._things[name] = Disc(x, y, radius_m)
                self._lanes.append(Lane((x, y), end, radius_m))
                return self._lanes[-1]
        raise Crowded(f"no free lane for {name}")

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


def _holds(region: Region, point: Point) -> bool:
    return region.x_m[0] <= point[0] <= region.x_m[1] and region.y_m[0] <= point[1] <= region.y_m[1]
