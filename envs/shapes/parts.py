"""The shapes that things are made of: solids that the physics engine knows by name, closed meshes for the eye, and painted parts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.frames import to_matrix
from vlagym.envs.textures.texture import Texture
from vlagym.envs.types import Quat, Rgba, Vec3, sha_arrays

Material = Literal["matte", "glossy", "metal"]
PrimitiveType = Literal["box", "cylinder", "sphere", "ellipsoid", "capsule"]


@dataclass(frozen=True, kw_only=True)
class Finish:
    """How a material answers to light, in MuJoCo's numbers between 0 and 1."""

    specular: float
    shininess: float
    reflectance: float = 0.0


MATERIALS: Mapping[Material, Finish] = {
    "matte": Finish(specular=0.1, shininess=0.1),
    "glossy": Finish(specular=0.5, shininess=0.6),
    "metal": Finish(specular=0.8, shininess=0.8),
}


@dataclass(frozen=True, kw_only=True)
class Primitive:
    """A convex solid that the physics engine knows by name."""

    type: PrimitiveType
    size: Vec3
    """MuJoCo's half sizes in m: box (x, y, z), cylinder and capsule (radius, half height, 0), sphere (radius, 0, 0), ellipsoid radii."""
    pos: Vec3
    """Its centre in the frame of the object, in m."""
    quat: Quat
    """wxyz, in the frame of the object."""

    @property
    def volume_m3(self) -> float:
        """Volume, by which the mass of an object is shared out among its pieces."""
        x, y, z = self.size
        match self.type:
            case "box":
                return 8.0 * x * y * z
            case "cylinder":
                return 2.0 * math.pi * x * x * y
            case "sphere":
                return 4.0 / 3.0 * math.pi * x**3
            case "ellipsoid":
                return 4.0 / 3.0 * math.pi * x * y * z
            case "capsule":
                return math.pi * x * x * (2.0 * y + 4.0 / 3.0 * x)


@dataclass(frozen=True, kw_only=True, eq=False)
class Mesh:
    """A closed triangle mesh in the frame of its object. Corners on sharp edges occur once for each smooth side."""

    vertices: NDArray[np.float32]
    """(V, 3) float32, in m; read-only."""
    faces: NDArray[np.int32]
    """(F, 3) int32, counter-clockwise as seen from outside; read-only."""
    texcoords: NDArray[np.float32] | None = None
    """(3 F, 2) float32, where each corner of each face lies in the picture of a texture, (0, 0) being its upper left corner; None without one."""

    @cached_property
    def digest(self) -> str:
        """32 hexadecimal digits; equal meshes have equal digests."""
        return sha_arrays(self.vertices, self.faces)


Shape = Primitive | Mesh


@dataclass(frozen=True, kw_only=True)
class Part:
    """A visible piece."""

    shape: Shape
    rgba: Rgba | None
    """None: the main colour of the asset, which a spec may replace."""
    material: Material
    texture: Texture | None = None
    """What is painted on it, over its colour; only a mesh with texcoords has one."""


def bounds(shape: Shape) -> NDArray[np.float64]:
    """Returns the (2, 3) lowest and highest coordinates of a shape in the frame of its object, in m."""
    if isinstance(shape, Mesh):
        return np.stack([shape.vertices.min(axis=0), shape.vertices.max(axis=0)]).astype(np.float64)
    turn = to_matrix(shape.quat)
    x, y, _ = shape.size
    match shape.type:
        case "box":
            half = np.abs(turn) @ np.array(shape.size)
        case "ellipsoid":
            half = np.sqrt((turn * np.array(shape.size)) ** 2 @ np.ones(3))
        case "sphere":
            half = np.full(3, x)
        case "cylinder":
            half = y * np.abs(turn[:, 2]) + x * np.sqrt(np.maximum(0.0, 1.0 - turn[:, 2] ** 2))
        case "capsule":
            half = y * np.abs(turn[:, 2]) + x
    return np.stack([np.array(shape.pos) - half, np.array(shape.pos) + half])


def scaled(shape: Shape, factor: float) -> Shape:
    """Returns a shape that is `factor` times as large, about the origin of its object."""
    if isinstance(shape, Primitive):
        return scaled_piece(shape, factor)
    vertices = (factor * shape.vertices).astype(np.float32)
    vertices.flags.writeable = False
    return replace(shape, vertices=vertices)


def scaled_piece(piece: Primitive, factor: float) -> Primitive:
    """Returns a solid that is `factor` times as large, about the origin of its object."""
    (a, b, c), (x, y, z) = piece.size, piece.pos
    return replace(piece, size=(factor * a, factor * b, factor * c), pos=(factor * x, factor * y, factor * z))


def joint_bounds(shapes: Sequence[Shape]) -> NDArray[np.float64]:
    """Returns the (2, 3) lowest and highest coordinates of several shapes together, in m."""
    boxes = np.stack([bounds(shape) for shape in shapes])
    return np.stack([boxes[:, 0].min(axis=0), boxes[:, 1].max(axis=0)])


def as_parts(pieces: Sequence[Primitive]) -> tuple[Part, ...]:
    """Returns bare solids as parts without a colour of their own."""
    return tuple(Part(shape=piece, rgba=None, material="matte") for piece in pieces)


def num_faces(shape: Shape) -> int:
    """Returns how many triangles a visible shape costs."""
    return 12 if isinstance(shape, Primitive) else len(shape.faces)
