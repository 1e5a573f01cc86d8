"""Shapes that are made of outlines, letters or bare triangles, as tables."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from vlagym.envs.shapes import lettering
from vlagym.envs.shapes import outlines
from vlagym.envs.shapes import solids
from vlagym.envs.errors import BadData
from vlagym.envs.frames import from_axis_angle, multiply
from vlagym.envs.shapes.shape_table import ShapeTable, unit_quat
from vlagym.envs.shapes.parts import Primitive
from vlagym.envs.types import Vec3


@dataclass(frozen=True, kw_only=True)
class Extrusion(ShapeTable):
    """A prism over a convex polygon."""

    outline_m: tuple[tuple[float, float], ...]
    """Corners of a convex polygon, counter-clockwise."""
    height_m: float
    bevel_m: float = 0.0

    def solid(self) -> solids.Solid:
        outline = np.array(self.outline_m)
        edges = np.roll(outline, -1, axis=0) - outline
        following = np.roll(edges, -1, axis=0)
        if len(outline) < 3 or (edges[:, 0] * following[:, 1] - edges[:, 1] * following[:, 0] < 0.0).any():
            raise BadData("outline_m must be a convex polygon of three corners or more, counter-clockwise")
        return solids.extrude(outline, self.height_m, self.bevel_m)


@dataclass(frozen=True, kw_only=True)
class Cutout(ShapeTable):
    """A prism over any polygon."""

    outline_m: tuple[tuple[float, float], ...]
    """Corners of a polygon that may be concave, counter-clockwise."""
    height_m: float
    bevel_m: float = 0.0

    def solid(self) -> solids.Solid:
        if len(self.outline_m) < 3:
            raise BadData("outline_m needs three corners or more")
        return outlines.cutout(np.array(self.outline_m), self.height_m, self.bevel_m)


@dataclass(frozen=True, kw_only=True)
class Tub(ShapeTable):
    """What a profile sweeps along a rectangle with round corners."""

    width_m: tuple[float, float]
    """Edge lengths of the rectangle along x and y."""
    corner_m: float
    profile_m: tuple[tuple[float, float], ...]
    """(distance inward, height) pairs; flat ends close it."""
    corner_sides: int = 3

    def solid(self) -> solids.Solid:
        if len(self.profile_m) < 2:
            raise BadData("profile_m needs two [inward, height] pairs or more")
        return outlines.tub(self.width_m, self.corner_m, np.array(self.profile_m), self.corner_sides)


@dataclass(frozen=True, kw_only=True)
class Walls(ShapeTable):
    """Four boxes around a rectangle, for contacts."""

    width_m: tuple[float, float]
    """Outer edge lengths at the foot, along x and y."""
    height_m: float
    thickness_m: float
    flare_m: float = 0.0
    """By how much each wall leans out on its way up."""

    def solid(self) -> solids.Solid:
        raise BadData("walls are for contacts only; a tub is what one sees")

    def pieces(self) -> tuple[Primitive, ...]:
        lean, slant = math.atan2(self.flare_m, self.height_m), math.hypot(self.flare_m, self.height_m)
        found = []
        for k in range(4):
            away, along = self.width_m[k % 2] / 2, self.width_m[1 - k % 2] / 2
            yaw = k * math.pi / 2
            middle = away + (self.flare_m - self.thickness_m) / 2
            quat = unit_quat(multiply(from_axis_angle([0.0, 0.0, yaw]), from_axis_angle([0.0, lean, 0.0])))
            pos = (middle * math.cos(yaw), middle * math.sin(yaw), self.height_m / 2)
            found.append(Primitive(type="box", size=(self.thickness_m / 2, along + self.flare_m / 2, slant / 2), pos=pos, quat=quat))
        return tuple(found)


@dataclass(frozen=True, kw_only=True)
class Loft(ShapeTable):
    """A body along x, given by its cross-sections."""

    stations_m: tuple[tuple[float, float, float, float], ...]
    """(x, z of the middle, half width, half height) of each section, x growing."""
    squareness: float = 2.0
    sides: int = 12

    def solid(self) -> solids.Solid:
        stations = np.array(self.stations_m)
        if len(stations) < 2 or (np.diff(stations[:, 0]) < 0.0).any() or (stations[:, 2:] <= 0.0).any():
            raise BadData("stations_m needs two [x, z, half width, half height] or more, x growing and half sizes above 0")
        return outlines.loft(np.insert(stations, 1, 0.0, axis=1), self.squareness, self.sides)


@dataclass(frozen=True, kw_only=True)
class Superellipsoid(ShapeTable):
    """A body between an ellipsoid and a box."""

    radii_m: Vec3
    squareness: tuple[float, float] = (2.0, 2.0)
    """Of the outline seen from above and of the one seen from the side: 2 is round, 8 nearly a box."""
    sides: int = 16
    rings: int = 8

    def solid(self) -> solids.Solid:
        return outlines.superellipsoid(np.array(self.radii_m), self.squareness, self.sides, self.rings)


@dataclass(frozen=True, kw_only=True)
class Text(ShapeTable):
    """Raised letters."""

    text: str
    """Capital letters, digits, blanks and + - . only; it is read along +x, its top towards +y, and its foot lies at z = 0."""
    height_m: float
    stroke_m: float
    depth_m: float = 0.001

    def solid(self) -> solids.Solid:
        return lettering.lettering(self.text, self.height_m, self.stroke_m, self.depth_m)


@dataclass(frozen=True, kw_only=True)
class Mesh(ShapeTable):
    """Bare triangles."""

    vertices_m: tuple[Vec3, ...]
    faces: tuple[tuple[int, int, int], ...]
    """Triangles, counter-clockwise as seen from outside; every edge lies between two of them."""

    def solid(self) -> solids.Solid:
        vertices, faces = np.array(self.vertices_m), np.array(self.faces, np.int64)
        if len(faces) < 4 or faces.min() < 0 or faces.max() >= len(vertices):
            raise BadData(f"faces needs four triangles or more over the {len(vertices)} vertices, which are numbered from 0")
        found = solids.Solid(vertices=vertices, faces=faces)
        if found.volume_m3 <= 0.0:
            raise BadData(f"the mesh has a volume of {found.volume_m3:g} m3: its faces look inward; swap two corners of each")
        return found
