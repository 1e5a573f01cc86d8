"""What every shape of a [[visual]] or [[collision]] table says: where it lies, and how it looks."""

from __future__ import annotations

import abc
import dataclasses
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.shapes import solids
from vlagym.envs.errors import BadData
from vlagym.envs.frames import from_axis_angle, multiply, rotate
from vlagym.envs.shapes.parts import Material, Primitive, PrimitiveType
from vlagym.envs.textures.texture import Texture
from vlagym.envs.types import Quat, Rgba, Vec3

COLLISION = ("box", "capsule", "cylinder", "ellipsoid", "shell", "sphere", "tube_path", "walls")
"""Shapes that can be touched."""


@dataclass(frozen=True, kw_only=True)
class ShapeTable(abc.ABC):
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
        """How the shape is turned, in the frame of its object."""
        if self.quat_wxyz is not None:
            return unit_quat(np.array(self.quat_wxyz))
        angles_rad = np.radians(self.euler_deg or (0.0, 0.0, 0.0))
        about_x, about_y, about_z = (from_axis_angle(angle * axis) for angle, axis in zip(angles_rad, np.eye(3), strict=True))
        return unit_quat(multiply(about_z, multiply(about_y, about_x)))

    @abc.abstractmethod
    def solid(self) -> solids.Solid:
        """Returns the shape about its own origin, for the eye."""

    def pieces(self) -> tuple[Primitive, ...]:
        """Returns convex pieces about the shape's own origin, for contacts."""
        raise BadData(f"shape {self.shape!r} is for the eye only. Collision shapes: {', '.join(COLLISION)}")


def primitive(kind: PrimitiveType, size: Vec3) -> Primitive:
    """Returns a solid about the origin; its size in MuJoCo's half sizes."""
    return Primitive(type=kind, size=size, pos=(0.0, 0.0, 0.0), quat=(1.0, 0.0, 0.0, 0.0))


def moved(piece: Primitive, pos_m: Vec3, quat: Quat) -> Primitive:
    """Returns the piece after a rotation about the origin and a shift."""
    x, y, z = (rotate(np.array(quat), np.array(piece.pos)) + np.array(pos_m)).tolist()
    return dataclasses.replace(piece, pos=(x, y, z), quat=unit_quat(multiply(np.array(quat), np.array(piece.quat))))


def unit_quat(quat: NDArray[np.float64]) -> Quat:
    """Returns a (4,) quaternion wxyz at length 1, as plain numbers."""
    w, x, y, z = (quat / np.linalg.norm(quat)).tolist()
    return (w, x, y, z)


def from_z_to(direction: NDArray[np.float64]) -> Quat:
    """Returns the shortest rotation of the z axis onto a unit direction."""
    x, y, z = direction.tolist()
    return (0.0, 1.0, 0.0, 0.0) if z < -1.0 + 1e-9 else unit_quat(np.array([1.0 + z, -y, x, 0.0]))
