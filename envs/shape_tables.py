"""Tables of TOML files become shapes: what [[visual]] and [[collision]] may say, and what it means."""

from __future__ import annotations

import abc
import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlagym.envs import lettering, outlines, solids, textures
from vlagym.envs.errors import BadData, unknown_name
from vlagym.envs.frames import from_axis_angle, multiply, rotate
from vlagym.envs.shapes import Material, Part, Primitive, PrimitiveType
from vlagym.envs.textures import Texture
from vlagym.envs.types import Quat, Rgba, Vec3, from_plain


@dataclass(frozen=True, kw_only=True)
class _Table(abc.ABC):
    """Keys that every shape takes."""

    shape: str
    pos_m: Vec3 = (0.0, 0.0, 0.0)
    """Where the shape's own origin lies: the centre of box, cylinder, sphere, ellipsoid and capsule, the foot of lathe, shell and extrusion."""
    euler_deg: Vec3 | None = None
    """Turned about the fixed x, then y, then z axis."""
    quat_wxyz: Quat | None = None
    rgba: Rgba | None = None
    material: Material | None = None
    texture: Texture | None = None

    @property
    def quat(self) -> Quat:
        if self.quat_wxyz is not None:
            return _quat(np.array(self.quat_wxyz))
        angles_rad = np.radians(self.euler_deg or (0.0, 0.0, 0.0))
        about_x, about_y, about_z = (from_axis_angle(angle * axis) for angle, axis in zip(angles_rad, np.eye(3), strict=True))
        return _quat(multiply(about_z, multiply(about_y, about_x)))

    @abc.abstractmethod
    def solid(self) -> solids.Solid:
        """Returns the shape about its own origin, for the eye."""

    def pieces(self) -> tuple[Primitive, ...]:
        """Returns convex pieces about the shape's own origin, for contacts."""
        raise BadData(f"shape {self.shape!r} is for the eye only. Collision shapes: {', '.join(_COLLISION)}")


@dataclass(frozen=True, kw_only=True)
class _Box(_Table):
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
        return (_primitive("box", (x / 2, y / 2, z / 2)),)


@dataclass(frozen=True, kw_only=True)
class _Cylinder(_Table):
    radius_m: float
    height_m: float
    sides: int = 24

    def solid(self) -> solids.Solid:
        r, h = self.radius_m, self.height_m / 2
        return solids.revolve(np.array([[0.0, -h], [r, -h], [r, h], [0.0, h]]), self.sides)

    def pieces(self) -> tuple[Primitive, ...]:
        return (_primitive("cylinder", (self.radius_m, self.height_m / 2, 0.0)),)


@dataclass(frozen=True, kw_only=True)
class _Sphere(_Table):
    radius_m: float
    sides: int = 20
    rings: int = 10

    def solid(self) -> solids.Solid:
        return solids.revolve(solids.half_circle(self.rings) * self.radius_m, self.sides)

    def pieces(self) -> tuple[Primitive, ...]:
        return (_primitive("sphere", (self.radius_m, 0.0, 0.0)),)


@dataclass(frozen=True, kw_only=True)
class _Ellipsoid(_Table):
    radii_m: Vec3
    sides: int = 20
    rings: int = 10

    def solid(self) -> solids.Solid:
        unit = solids.revolve(solids.half_circle(self.rings), self.sides)
        return solids.Solid(vertices=unit.vertices * np.array(self.radii_m), faces=unit.faces)

    def pieces(self) -> tuple[Primitive, ...]:
        return (_primitive("ellipsoid", self.radii_m),)


@dataclass(frozen=True, kw_only=True)
class _Capsule(_Table):
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
        return (_primitive("capsule", (self.radius_m, self.length_m / 2, 0.0)),)


@dataclass(frozen=True, kw_only=True)
class _Lathe(_Table):
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
class _Shell(_Table):
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
            quat = _quat(multiply(from_axis_angle([0.0, 0.0, yaw]), from_axis_angle([0.0, lean, 0.0])))
            pos = (middle * math.cos(yaw), middle * math.sin(yaw), self.height_m / 2)
            boxes.append(Primitive(type="box", size=(self.thickness_m / 2, half_width, slant / 2), pos=pos, quat=quat))
        return tuple(boxes)


@dataclass(frozen=True, kw_only=True)
class _TubePath(_Table):
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
            capsules.append(Primitive(type="capsule", size=size, pos=(x, y, z), quat=_from_z_to(step / length)))
        return tuple(capsules)


@dataclass(frozen=True, kw_only=True)
class _Extrusion(_Table):
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
class _Text(_Table):
    text: str
    """Capital letters, digits, blanks and + - . only; it is read along +x, its top towards +y, and its foot lies at z = 0."""
    height_m: float
    stroke_m: float
    depth_m: float = 0.001

    def solid(self) -> solids.Solid:
        return lettering.lettering(self.text, self.height_m, self.stroke_m, self.depth_m)


@dataclass(frozen=True, kw_only=True)
class _Cutout(_Table):
    outline_m: tuple[tuple[float, float], ...]
    """Corners of a polygon that may be concave, counter-clockwise."""
    height_m: float
    bevel_m: float = 0.0

    def solid(self) -> solids.Solid:
        if len(self.outline_m) < 3:
            raise BadData("outline_m needs three corners or more")
        return outlines.cutout(np.array(self.outline_m), self.height_m, self.bevel_m)


@dataclass(frozen=True, kw_only=True)
class _Tub(_Table):
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
class _Walls(_Table):
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
            quat = _quat(multiply(from_axis_angle([0.0, 0.0, yaw]), from_axis_angle([0.0, lean, 0.0])))
            pos = (middle * math.cos(yaw), middle * math.sin(yaw), self.height_m / 2)
            found.append(Primitive(type="box", size=(self.thickness_m / 2, along + self.flare_m / 2, slant / 2), pos=pos, quat=quat))
        return tuple(found)


@dataclass(frozen=True, kw_only=True)
class _Loft(_Table):
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
class _Superellipsoid(_Table):
    radii_m: Vec3
    squareness: tuple[float, float] = (2.0, 2.0)
    """Of the outline seen from above and of the one seen from the side: 2 is round, 8 nearly a box."""
    sides: int = 16
    rings: int = 8

    def solid(self) -> solids.Solid:
        return outlines.superellipsoid(np.array(self.radii_m), self.squareness, self.sides, self.rings)


@dataclass(frozen=True, kw_only=True)
class _Mesh(_Table):
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


_SHAPES: Mapping[str, type[_Table]] = {
    "box": _Box,
    "capsule": _Capsule,
    "cutout": _Cutout,
    "cylinder": _Cylinder,
    "ellipsoid": _Ellipsoid,
    "extrusion": _Extrusion,
    "lathe": _Lathe,
    "loft": _Loft,
    "shell": _Shell,
    "mesh": _Mesh,
    "sphere": _Sphere,
    "superellipsoid": _Superellipsoid,
    "text": _Text,
    "tub": _Tub,
    "tube_path": _TubePath,
    "walls": _Walls,
}
_LENGTHS = ("size_m", "radii_m", "radius_m", "top_radius_m", "height_m", "length_m", "thickness_m", "stroke_m", "depth_m")
_COLLISION = ("box", "capsule", "cylinder", "ellipsoid", "shell", "sphere", "tube_path", "walls")


def visual_part(table: Any, where: str) -> Part:
    """Returns the visible piece that a [[visual]] table describes: a plain box as a primitive, all else as a mesh.

    Args:
      table: As the TOML reader gives it.
      where: File and place, for the errors.

    Raises:
      BadData: If the table has unknown, missing or wrong keys.
    """
    shape = _read(table, where)
    material = shape.material or "matte"
    painted = shape.texture
    if isinstance(shape, _Box) and shape.bevel_m == 0.0 and painted is None:
        return Part(shape=_move(shape.pieces()[0], shape.pos_m, shape.quat), rgba=shape.rgba, material=material)
    try:
        solid = shape.solid()
        coordinates = None if painted is None else textures.texcoords(solid.vertices, solid.faces, painted.wrap, painted.tiles)
        mesh = solids.finish(solid, shape.pos_m, shape.quat, coordinates)
        if painted is not None:
            textures.check(painted, "texture")
    except BadData as error:
        raise BadData(f"{where}: {error}") from error
    return Part(shape=mesh, rgba=shape.rgba, material=material, texture=painted)


def collision_pieces(table: Any, where: str) -> tuple[Primitive, ...]:
    """Returns the convex pieces that a [[collision]] table describes.

    Args:
      table: As the TOML reader gives it.
      where: File and place, for the errors.

    Raises:
      BadData: If the table has unknown, missing or wrong keys, a colour, or a shape that is for the eye only.
    """
    shape = _read(table, where)
    if shape.rgba is not None or shape.material is not None or shape.texture is not None:
        raise BadData(f"{where}: a collision shape is not seen; rgba and material belong to [[visual]], and so does texture")
    try:
        pieces = shape.pieces()
    except BadData as error:
        raise BadData(f"{where}: {error}") from error
    return tuple(_move(piece, shape.pos_m, shape.quat) for piece in pieces)


def _read(table: Any, where: str) -> _Table:
    name = table.get("shape") if isinstance(table, dict) else None
    if not isinstance(name, str):
        raise BadData(f"{where} needs a key shape. There are: {', '.join(_SHAPES)}")
    if name not in _SHAPES:
        raise BadData(f"{where}: {unknown_name('shape', name, _SHAPES)}")
    shape = from_plain(_SHAPES[name], table, where)
    if shape.euler_deg is not None and shape.quat_wxyz is not None:
        raise BadData(f"{where} gives both euler_deg and quat_wxyz; keep one")
    for key in _LENGTHS:
        value = getattr(shape, key, None)
        if value is not None and np.min(value) <= 0.0:
            raise BadData(f"{where}.{key} is {value}; lengths must be above 0")
    return shape


def _primitive(kind: PrimitiveType, size: Vec3) -> Primitive:
    return Primitive(type=kind, size=size, pos=(0.0, 0.0, 0.0), quat=(1.0, 0.0, 0.0, 0.0))


def _move(piece: Primitive, pos_m: Vec3, quat: Quat) -> Primitive:
    x, y, z = (rotate(np.array(quat), np.array(piece.pos)) + np.array(pos_m)).tolist()
    return dataclasses.replace(piece, pos=(x, y, z), quat=_quat(multiply(np.array(quat), np.array(piece.quat))))


def _quat(quat: NDArray[np.float64]) -> Quat:
    w, x, y, z = (quat / np.linalg.norm(quat)).tolist()
    return (w, x, y, z)


def _from_z_to(direction: NDArray[np.float64]) -> Quat:
    """Returns the shortest rotation of the z axis onto a unit direction."""
    x, y, z = direction.tolist()
    return (0.0, 1.0, 0.0, 0.0) if z < -1.0 + 1e-9 else _quat(np.array([1.0 + z, -y, x, 0.0]))
