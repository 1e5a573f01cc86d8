"""Tables of TOML files become shapes: what [[visual]] and [[collision]] may say, and what it means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from vlagym.envs.shapes import solids
from vlagym.envs.textures import texture as textures
from vlagym.envs.errors import BadData, unknown_name
from vlagym.envs.shapes.outline_shapes import Cutout, Extrusion, Loft, Mesh, Superellipsoid, Text, Tub, Walls
from vlagym.envs.shapes.plain_shapes import Box, Capsule, Cylinder, Ellipsoid, Lathe, Shell, Sphere, TubePath
from vlagym.envs.shapes.shape_table import ShapeTable, moved
from vlagym.envs.shapes.parts import Part, Primitive
from vlagym.envs.types import from_plain

_SHAPES: Mapping[str, type[ShapeTable]] = {
    "box": Box,
    "capsule": Capsule,
    "cutout": Cutout,
    "cylinder": Cylinder,
    "ellipsoid": Ellipsoid,
    "extrusion": Extrusion,
    "lathe": Lathe,
    "loft": Loft,
    "mesh": Mesh,
    "shell": Shell,
    "sphere": Sphere,
    "superellipsoid": Superellipsoid,
    "text": Text,
    "tub": Tub,
    "tube_path": TubePath,
    "walls": Walls,
}
_LENGTHS = ("size_m", "radii_m", "radius_m", "top_radius_m", "height_m", "length_m", "thickness_m", "stroke_m", "depth_m")


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
    if isinstance(shape, Box) and shape.bevel_m == 0.0 and painted is None:
        return Part(shape=moved(shape.pieces()[0], shape.pos_m, shape.quat), rgba=shape.rgba, material=material)
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
    return tuple(moved(piece, shape.pos_m, shape.quat) for piece in pieces)


def _read(table: Any, where: str) -> ShapeTable:
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
