"""Straight lanes over the table: whether something can be pushed from here to there without meeting what stands around."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

Point = Sequence[float]
"""(x, y), world frame, m."""

REACH_X_M = (0.33, 0.68)
REACH_Y_M = (-0.30, 0.30)
"""Where the closed fingers can push from and to: a rectangle that every robot reaches with its hand looking down."""


class Disc(NamedTuple):
    """The outline of something that stands around, as a circle."""

    x: float
    y: float
    radius_m: float


def is_clear(start: Point, end: Point, half_width_m: float, others: Iterable[Disc]) -> bool:
    """Returns whether a disc of radius `half_width_m` can move from start to end without meeting any other one."""
    return all(distance_m((disc.x, disc.y), start, end) >= half_width_m + disc.radius_m for disc in others)


def in_reach(point: Point) -> bool:
    """Returns whether the fingers can be at a point of the table."""
    return REACH_X_M[0] <= point[0] <= REACH_X_M[1] and REACH_Y_M[0] <= point[1] <= REACH_Y_M[1]


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
