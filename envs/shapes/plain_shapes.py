"""Shapes that a school book knows, as tables: box, cylinder, sphere, ellipsoid, capsule, and what is turned on a lathe or bent from a tube."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.shapes import solids
from vlagym.envs.errors import BadData
from vlagym.envs.frames import from_axis_angle, multiply
from vlagym.envs.shapes.shape_table import ShapeTable, from_z_to, primitive, unit_quat
from vlagym.envs.shapes.parts import Primitive
from vlagym.envs.types import Vec3


@dataclass(frozen=True, kw_only=True)
class Box(ShapeTable):
    """A box around its origin; with a bevel its edges are cut at 45 degrees."""

    size_m: Vec3
    """Edge lengths."""
    bevel_m: float = 0.0

    def solid(self) -> solids.Solid:
        if self.bevel_m > 0.0:
            return solids.chamfered_box(np.array(self.size_m), self.bevel_m)
        x, y, z = self.size_m
        prism = solids.extrude(np.array([[-x, -y], [x, -y], [x, y], [-x, y]]) / 2.0, z, 0.0)
        return solids.Solid(vertices=prism.vertices - [0.0, 0.0, z / 2.0], faces=prism.faces)

    def pieces(self) -> tuple[Primitive, ...]:
        x, y, z = self.size_m
        return (primitive("box", (x / 2, y / 2, z / 2)),)


@dataclass(frozen=True, kw_only=True)
class Cylinder(ShapeTable):
    """A cylinder around its origin, along z."""

    radius_m: float
    height_m: float
    sides: int = 24

    def solid(self) -> solids.Solid:
        r, h = self.radius_m, self.height_m / 2
        return solids.revolve(np.array([[0.0, -h], [r, -h], [r, h], [0.0, h]]), self.sides)

    def pieces(self) -> tuple[Primitive, ...]:
        return (primitive("cylinder", (self.radius_m, self.height_m / 2, 0.0)),)


@dataclass(frozen=True, kw_only=True)
class Sphere(ShapeTable):
    """A ball around its origin."""

    radius_m: float
    sides: int = 20
    rings: int = 10

    def solid(self) -> solids.Solid:
        return solids.revolve(solids.half_circle(self.rings) * self.radius_m, self.sides)

    def pieces(self) -> tuple[Primitive, ...]:
        return (primitive("sphere", (self.radius_m, 0.0, 0.0)),)


@dataclass(frozen=True, kw_only=True)
class Ellipsoid(ShapeTable):
    """An ellipsoid around its origin."""

    radii_m: Vec3
    sides: int = 20
    rings: int = 10

    def solid(self) -> solids.Solid:
        unit = solids.revolve(solids.half_circle(self.rings), self.sides)
        return solids.Solid(vertices=unit.vertices * np.array(self.radii_m), faces=unit.faces)

    def pieces(self) -> tuple[Primitive, ...]:
        return (primitive("ellipsoid", self.radii_m),)


@dataclass(frozen=True, kw_only=True)
class Capsule(ShapeTable):
    """A cylinder along z with two half balls."""

    radius_m: float
    length_m: float
    """Between the centres of its two half spheres."""
    sides: int = 12
    rings: int = 6

    def solid(self) -> solids.Solid:
        profile = solids.half_circle(self.rings) * self.radius_m
        middle = self.rings // 2
        lower, upper = profile[: middle + 1], profile[self.rings - middle :]
        return solids.revolve(np.concatenate([lower - [0.0, self.length_m / 2], upper + [0.0, self.length_m / 2]]), self.sides)

    def pieces(self) -> tuple[Primitive, ...]:
        return (primitive("capsule", (self.radius_m, self.length_m / 2, 0.0)),)


@dataclass(frozen=True, kw_only=True)
class Lathe(ShapeTable):
    """What a profile sweeps around the z axis."""

    profile_m: tuple[tuple[float, float], ...]
    """(radius, height) pairs; both ends on the axis, or neither for a ring."""
    sides: int = 24

    def solid(self) -> solids.Solid:
        profile = np.array(self.profile_m)
        if len(profile) < 3 or (profile[:, 0] < 0.0).any() or (profile[1:-1, 0] == 0.0).any():
            raise BadData("profile_m needs at least three [radius, height] pairs, radii not negative, and radius 0 only at its ends")
        if (profile[0, 0] == 0.0) != (profile[-1, 0] == 0.0):
            raise BadData("profile_m must have both ends on the axis (radius 0), or neither")
        return solids.revolve(profile, self.sides)


@dataclass(frozen=True, kw_only=True)
class Shell(ShapeTable):
    """A wall around the z axis, straight or flaring, without a floor."""

    radius_m: float
    """Outer radius at the foot."""
    height_m: float
    thickness_m: float
    top_radius_m: float | None = None
    """Outer radius at the top; the same as at the foot if left out."""
    segments: int = 10
    """Boxes of the wall."""
    sides: int = 24

    def solid(self) -> solids.Solid:
        foot, top, t, h = self.radius_m, self.top_radius_m or self.radius_m, self.thickness_m, self.height_m
        return solids.revolve(np.array([[foot - t, 0.0], [foot, 0.0], [top, h], [top - t, h]]), self.sides)

    def pieces(self) -> tuple[Primitive, ...]:
        foot, top = self.radius_m, self.top_radius_m or self.radius_m
        slant = math.hypot(top - foot, self.height_m)
        lean = math.atan2(top - foot, self.height_m)
        middle = (foot + top) / 2 - self.thickness_m / 2
        half_width = ((foot + top) / 2) * math.tan(math.pi / self.segments)
        boxes = []
        for k in range(self.segments):
            yaw = 2.0 * math.pi * k / self.segments
            quat = unit_quat(multiply(from_axis_angle([0.0, 0.0, yaw]), from_axis_angle([0.0, lean, 0.0])))
            pos = (middle * math.cos(yaw), middle * math.sin(yaw), self.height_m / 2)
            boxes.append(Primitive(type="box", size=(self.thickness_m / 2, half_width, slant / 2), pos=pos, quat=quat))
        return tuple(boxes)


@dataclass(frozen=True, kw_only=True)
class TubePath(ShapeTable):
    """A tube along a line of points; for contacts, a chain of capsules."""

    points_m: tuple[Vec3, ...]
    radius_m: float | None = None
    radii_m: tuple[float, ...] | None = None
    """One for each point, instead of radius_m."""
    sides: int = 8

    def _radii(self) -> NDArray[np.float64]:
        if (self.radius_m is None) == (self.radii_m is None):
            raise BadData("a tube_path takes either radius_m or radii_m")
        radii = np.array(self.radii_m) if self.radii_m is not None else np.full(len(self.points_m), self.radius_m)
        if len(radii) != len(self.points_m) or len(radii) < 2:
            raise BadData(f"a tube_path needs two points or more and a radius for each; it has {len(self.points_m)} points and {len(radii)} radii")
        return radii

    def solid(self) -> solids.Solid:
        return solids.sweep(np.array(self.points_m), self._radii(), self.sides)

    def pieces(self) -> tuple[Primitive, ...]:
        radii, points = self._radii(), np.array(self.points_m)
        capsules = []
        for k in range(len(points) - 1):
            step = points[k + 1] - points[k]
            length = float(np.linalg.norm(step))
            x, y, z = (float(v) for v in (points[k] + points[k + 1]) / 2)
            size = (float(min(radii[k], radii[k + 1])), length / 2, 0.0)
            capsules.append(Primitive(type="capsule", size=size, pos=(x, y, z), quat=from_z_to(step / length)))
        return tuple(capsules)
