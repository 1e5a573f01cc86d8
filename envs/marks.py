"""What a fixture offers that nothing moves: a zone or a line painted on the table, a top to stand things on, a hole. Numpy only."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from vlagym.envs.errors import BadData

Outline = Literal["round", "rectangular"]


@dataclass(frozen=True, kw_only=True)
class Zone:
    """An area of the table, around the fixture's origin."""

    outline: Outline
    size_m: tuple[float, float]
    """Extents along x and y; equal ones for a round zone."""

    def inside_m(self, x: float, y: float) -> float:
        """Returns how far a point (m, frame of the fixture) lies within the zone; below 0 outside."""
        return _inside_m(self.outline, self.size_m, x, y)


@dataclass(frozen=True, kw_only=True)
class Line:
    """A straight line on the table, with a direction."""

    start_m: tuple[float, float]
    """Frame of the fixture."""
    end_m: tuple[float, float]
    """Where its arrow head or cross is: what is pushed along the line is to get there."""

    @property
    def length_m(self) -> float:
        """From start to end."""
        return math.dist(self.start_m, self.end_m)

    def along_m(self, x: float, y: float) -> tuple[float, float]:
        """Returns how far along the line a point (m, frame of the fixture) is, and how far beside it, to the left of its direction."""
        ux, uy = ((b - a) / self.length_m for a, b in zip(self.start_m, self.end_m, strict=True))
        dx, dy = x - self.start_m[0], y - self.start_m[1]
        return dx * ux + dy * uy, ux * dy - uy * dx


@dataclass(frozen=True, kw_only=True)
class Top:
    """A level surface of furniture on which things can stand: the top of a table, the board of a shelf."""

    height_m: float
    """Above the base of the fixture."""
    size_m: tuple[float, float]
    """Extents along x and y."""
    centre_m: tuple[float, float] = (0.0, 0.0)
    """Frame of the fixture."""

    def inside_m(self, x: float, y: float) -> float:
        """Returns how far a point (m, frame of the fixture) lies within the surface, seen from above; below 0 outside."""
        return _inside_m("rectangular", self.size_m, x - self.centre_m[0], y - self.centre_m[1])


@dataclass(frozen=True, kw_only=True)
class Hole:
    """A hole that opens upward, around the z axis of the fixture."""

    outline: Outline
    size_m: tuple[float, float]
    """Free extents along x and y below the chamfer."""
    floor_m: float
    """Height at which what is inserted comes to stand."""
    rim_m: float
    """Height of the upper edge."""

    def inside_m(self, x: float, y: float) -> float:
        """Returns how far a point (m, frame of the fixture) lies within the hole's outline; below 0 outside."""
        return _inside_m(self.outline, self.size_m, x, y)


def check_marks(zone: Zone | None, line: Line | None, hole: Hole | None, where: str, top: Top | None = None) -> None:
    """Raises BadData if a zone, line, hole or top of a fixture cannot be."""
    if top is not None and min(*top.size_m, top.height_m) <= 0.0:
        raise BadData(f"{where}.top has size_m {top.size_m} and height_m {top.height_m}; lengths must be above 0")
    for name, mark in (("zone", zone), ("hole", hole)):
        if mark is None:
            continue
        if min(mark.size_m) <= 0.0:
            raise BadData(f"{where}.{name}.size_m is {mark.size_m}; lengths must be above 0")
        if mark.outline == "round" and mark.size_m[0] != mark.size_m[1]:
            raise BadData(f"{where}.{name} is round, but its size_m is {mark.size_m}; both extents must be its diameter")
    if line is not None and line.length_m < 0.05:
        raise BadData(f"{where}.line is {line.length_m:g} m long; it must be at least 0.05 m")
    if hole is not None and not 0.0 <= hole.floor_m < hole.rim_m:
        raise BadData(f"{where}.hole has its floor at {hole.floor_m:g} m and its rim at {hole.rim_m:g} m; the rim must be above the floor")


def _inside_m(outline: Outline, size_m: Sequence[float], x: float, y: float) -> float:
    if outline == "round":
        return size_m[0] / 2 - math.hypot(x, y)
    return min(size_m[0] / 2 - abs(x), size_m[1] / 2 - abs(y))
