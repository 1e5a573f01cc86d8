"""Where things lie as seen by somebody: left of, behind, next to, the second from the left. True, false, or too close to call.

Directions are those of the robot, which looks along +x: left is +y, in front of a thing is nearer to the robot. A viewer who sits across the
table sees all of it turned by half a turn. Places are counted from where the robot begins.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

from vlagym.envs.types import Vec3

Side = Literal["left", "right", "front", "back"]
SIDES: Mapping[Side, tuple[float, float]] = {"left": (0.0, 1.0), "right": (0.0, -1.0), "front": (-1.0, 0.0), "back": (1.0, 0.0)}
"""Direction in x and y of the world for the robot."""

CLEAR_M = 0.03
"""What differs by less along a direction is not put into an order."""
SIDE_MIN_M, SIDE_NOT_M = 0.04, 0.01
"""From the first on a thing lies clearly to a side, below the second clearly not."""
STEEP, TOO_STEEP = 1.0, 2.2
"""How far a thing may lie off the direction, as a multiple of how far it lies along it: clearly within, clearly beyond."""
PART_STEEP, PART_TOO_STEEP = 0.6, 0.95
"""The same for parts of one thing, which stand in rows and columns."""
PART_SCALE = 0.3
"""Buttons and drawers of one piece of furniture stand in a row: what tells them apart may be so much smaller."""
NEXT_M, NOT_NEXT_M = 0.06, 0.12
"""Gap between outlines of what clearly lies next to something, and of what clearly does not."""
LEVEL_M = 0.02
"""Parts of one thing whose heights differ by more do not stand beside each other: they stand above and below."""
ROW_M = 0.012
"""How far parts of one thing may stand off the line through the outermost two and still be one row."""
BELOW_TABLE_M = -0.2
"""What is lower stands on the floor or on a low shelf: nothing on the table lies beside it."""
CLEAR_RATIO = 1.15
"""Sizes are compared only where they differ by this factor."""


def direction(side: Side, is_viewer: bool = False) -> tuple[float, float]:
    """Returns the direction of a side in x and y of the world."""
    x, y = SIDES[side]
    return (-x, -y) if is_viewer else (x, y)


def lies(a: Vec3, b: Vec3, side: Side, is_viewer: bool = False, scale: float = 1.0) -> bool | None:
    """Returns whether `a` lies to a side of `b`; None where one could argue. `scale`: PART_SCALE for parts of one thing."""
    steep, too_steep = (STEEP, TOO_STEEP) if scale == 1.0 else (PART_STEEP, PART_TOO_STEEP)
    ux, uy = direction(side, is_viewer)
    dx, dy = a[0] - b[0], a[1] - b[1]
    along, across = dx * ux + dy * uy, abs(dx * uy - dy * ux)
    if along >= scale * SIDE_MIN_M and across <= steep * along:
        return True
    if along <= scale * SIDE_NOT_M or across > too_steep * along:
        return False
    return None


def are_together(a: Vec3, b: Vec3) -> bool:
    """Returns whether two things are both on the table or both below, so that one can lie beside the other."""
    return (a[2] < BELOW_TABLE_M) == (b[2] < BELOW_TABLE_M)


def is_ahead(a: Vec3) -> bool:
    """Returns whether something is ahead of the robot: of what is behind it, nobody can say that it is in front of something."""
    return a[0] >= 0.0


def has_sides(a: Vec3, places: Sequence[Vec3], side: Side, is_viewer: bool = False) -> bool:
    """Returns whether one can say of something that it is furthest to a side among several, where they stand around the robot.

    Where all are ahead one can. Else only of what is clearly to the robot's own left or right.
    """
    if all(map(is_ahead, places)):
        return True
    ux, uy = direction(side)
    return not is_viewer and side in ("left", "right") and a[0] * ux + a[1] * uy >= abs(a[0] * uy - a[1] * ux)


def is_next(a: Vec3, radius_a: float, b: Vec3, radius_b: float) -> bool | None:
    """Returns whether two things lie next to each other; None where one could argue."""
    gap = math.dist(a[:2], b[:2]) - radius_a - radius_b
    return True if gap <= NEXT_M else False if gap > NOT_NEXT_M else None


def is_between(a: Vec3, b: Vec3, c: Vec3) -> bool | None:
    """Returns whether `a` lies between `b` and `c`; None where one could argue."""
    length = math.dist(b[:2], c[:2])
    if length < 1e-6:
        return None
    ux, uy = (c[0] - b[0]) / length, (c[1] - b[1]) / length
    dx, dy = a[0] - b[0], a[1] - b[1]
    along, across = (dx * ux + dy * uy) / length, abs(dx * uy - dy * ux)
    if 0.2 <= along <= 0.8 and across <= max(0.04, 0.25 * length):
        return True
    if along <= 0.0 or along >= 1.0 or across > 0.5 * length:
        return False
    return None


def is_above(a: Vec3, b: Vec3) -> bool | None:
    """Returns whether a part of a thing stands above another part of it; None where one could argue."""
    aside = math.dist(a[:2], b[:2])
    if a[2] - b[2] > LEVEL_M and aside <= 0.5 * (a[2] - b[2]):
        return True
    return False if a[2] - b[2] <= LEVEL_M / 2 or aside > 1.5 * (a[2] - b[2]) else None


def are_level(a: Vec3, b: Vec3) -> bool:
    """Returns whether two parts of one thing stand at one height, so that one may stand to the left of the other."""
    return abs(a[2] - b[2]) <= LEVEL_M


def is_row(places: Sequence[Vec3]) -> bool:
    """Returns whether places, in any order, stand in one row that runs from left to right."""
    ends = min(places, key=lambda p: p[1]), max(places, key=lambda p: p[1])
    length = math.dist(*ends)
    if length < CLEAR_M * PART_SCALE or abs(ends[1][1] - ends[0][1]) < 0.7 * length:
        return False
    ux, uy, uz = ((b - a) / length for a, b in zip(*ends, strict=True))
    for x, y, z in ((p[0] - ends[0][0], p[1] - ends[0][1], p[2] - ends[0][2]) for p in places):
        along = x * ux + y * uy + z * uz
        if math.dist((x, y, z), (along * ux, along * uy, along * uz)) > ROW_M:
            return False
    return True


def in_order(values: Sequence[float], gap: float = CLEAR_M) -> bool:
    """Returns whether sorted values each lie clearly above the one before."""
    return all(b - a >= gap for a, b in zip(values, values[1:], strict=False))
