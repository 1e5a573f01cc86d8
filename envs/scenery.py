"""Scenery: what an arena shows around its table, as few textured meshes. It is seen and never touched. Numpy only."""

from __future__ import annotations

import functools
import math
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vlagym import assets
from vlagym.envs.textures.surfaces import surface, surface_names
from vlagym.envs.errors import BadData, unknown_name
from vlagym.envs.frames import from_yaw, to_matrix
from vlagym.envs.shapes.shape_tables import visual_part
from vlagym.envs.shapes.parts import Material, Mesh, Primitive
from vlagym.envs.types import Rgba, Vec3, from_plain

_WHITE: Rgba = (1.0, 1.0, 1.0, 1.0)
_DISC_SIDES = 48
_SQUARE = 4  # pixels of a colour in a palette, so that neighbours do not bleed into it


@dataclass(frozen=True, kw_only=True)
class Panel:
    """A flat picture: a wall, a window, a cloth, the top of a table."""

    surface: str
    """A table of assets/surfaces.toml."""
    centre_m: Vec3
    size_m: tuple[float, float]
    """Width and height as one looks at it; of a disc, twice the same diameter."""
    facing: Vec3
    """The side from which it is seen."""
    shape: Literal["rectangle", "disc"] = "rectangle"
    tile_m: float | None = None
    """Side of the square that one copy of the surface covers; None: one copy over the whole panel."""
    glow: float = 0.0
    """Share of its colour that needs no light: 0 a picture, 1 a window on a bright day."""
    rgba: Rgba = _WHITE
    """Multiplies the picture."""
    is_far: bool = False
    """Whether it lies behind all else, as walls do."""


@dataclass(frozen=True, kw_only=True)
class Item:
    """A furnishing in its place."""

    furnishing: str
    """A file of assets/furnishings."""
    pos_m: Vec3
    """x and y in the world, z above what it stands on."""
    on: Literal["floor", "table"] = "floor"
    yaw_deg: float = 0.0
    scale: float = 1.0
    rgba: Rgba | None = None
    """Colour of the parts that have none of their own; the furnishing's where None."""


class Finish(NamedTuple):
    """How a mesh looks; scenery of one finish is one mesh, for each mesh costs a frame time of its own."""

    material: Material
    surface: str | None = None
    """None: painted; its picture is a palette."""
    rgba: Rgba = _WHITE
    glow: float = 0.0
    is_far: bool = False
    """Whether it lies behind all else, as walls do: drawn last, for what is hidden then costs little."""


class SceneryMesh(NamedTuple):
    """Triangles of one finish, in the world frame."""

    finish: Finish
    vertices: NDArray[np.float32]
    """(V, 3) in m."""
    faces: NDArray[np.int32]
    """(F, 3) counter-clockwise as seen from outside."""
    texcoords: NDArray[np.float32]
    """(V, 2) u to the right, v down, 1 a copy of the picture."""
    picture: NDArray[np.uint8]
    """(H, W, 3) RGB: the surface, or the palette of what is painted."""


class _Piece(NamedTuple):
    finish: Finish
    vertices: NDArray[np.float64]
    faces: NDArray[np.int64]
    texcoords: NDArray[np.float64] | None
    paint: Rgba
    """Of what has no texcoords."""


@dataclass(frozen=True, kw_only=True)
class _Furnishing:
    """Keys of assets/furnishings/<name>.toml. Its origin is the middle of its foot, its front looks along +x."""

    rgba: Rgba = _WHITE
    """Of the parts that have no colour of their own."""
    visual: tuple[Any, ...]
    """Shapes as in object.toml."""
    panel: tuple[Panel, ...] = ()


def furnishing_names() -> list[str]:
    """Returns the names of all furnishings, sorted."""
    return sorted(p.stem for p in assets.path("furnishings").glob("*.toml"))


def check(panels: Sequence[Panel], items: Sequence[Item], where: str) -> None:
    """Looks at what panels and items name and measure.

    Raises:
      UnknownName: If a surface or furnishing does not exist; with the near names.
      BadData: If a size is not above 0 or a direction is zero.
    """
    for i, panel in enumerate(panels):
        here = f"{where}.panel[{i}]"
        if panel.surface not in surface_names():
            raise unknown_name("texture", panel.surface, surface_names(), f"It is asked for in {here}.")
        if min(panel.size_m) <= 0.0 or (panel.tile_m is not None and panel.tile_m <= 0.0):
            raise BadData(f"{here}: size_m and tile_m must be above 0")
        if float(np.linalg.norm(panel.facing)) < 1e-9:
            raise BadData(f"{here}.facing is zero; it is the direction from which the panel is seen")
        if not 0.0 <= panel.glow <= 1.0:
            raise BadData(f"{here}.glow is {panel.glow}; it must lie between 0 and 1")
    for i, item in enumerate(items):
        if item.furnishing not in furnishing_names():
            hint = f"It is asked for in {where}.item[{i}]."
            raise unknown_name("furnishing", item.furnishing, furnishing_names(), hint)
        if item.scale <= 0.0:
            raise BadData(f"{where}.item[{i}].scale is {item.scale}; it must be above 0")


def compose(panels: Sequence[Panel], items: Sequence[Item], tables: Sequence[Any], floor_m: float, where: str) -> tuple[SceneryMesh, ...]:
    """Returns everything that stands around, one mesh for each finish.

    Args:
      panels: In the world frame.
      items: Furnishings in their places.
      tables: Further shapes in the world frame, as [[visual]] of an object.
      floor_m: Height of the floor in the world.
      where: File, for the errors.

    Raises:
      BadData: If a table does not describe a shape.
      UnknownName: If a furnishing does not exist.
    """
    pieces = [_panel(panel) for panel in panels]
    pieces += _parts(tables, _WHITE, where)
    for item in items:
        x, y, z = item.pos_m
        origin = np.array([x, y, z + (floor_m if item.on == "floor" else 0.0)])
        turn = to_matrix(from_yaw(np.radians(item.yaw_deg))) * item.scale
        pieces += [p._replace(vertices=p.vertices @ turn.T + origin) for p in _furnishing(item.furnishing, item.rgba)]
    return tuple(_merged(pieces))


@functools.cache
def _furnishing(name: str, rgba: Rgba | None) -> tuple[_Piece, ...]:
    path = assets.path("furnishings") / f"{name}.toml"
    if not path.exists():
        raise unknown_name("furnishing", name, furnishing_names(), "A furnishing is a file of assets/furnishings.")
    keys = read_furnishing(path)
    return (*(_panel(panel) for panel in keys.panel), *_parts(keys.visual, rgba or keys.rgba, f"furnishings/{name}.toml"))


def read_furnishing(path: Path) -> _Furnishing:
    """Reads a furnishing's file.

    Raises:
      BadData: If it is not TOML, or a key is missing, unknown or wrong.
      UnknownName: If one of its panels shows a surface that does not exist.
    """
    where = f"furnishings/{path.name}"
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadData(f"{where} cannot be read: {error}") from error
    keys = from_plain(_Furnishing, data, where)
    check(keys.panel, (), where)
    return keys


def _parts(tables: Sequence[Any], rgba: Rgba, where: str) -> list[_Piece]:
    pieces = []
    for i, table in enumerate(tables):
        part = visual_part(table, f"{where}.visual[{i}]")
        mesh = part.shape if isinstance(part.shape, Mesh) else _box(part.shape)
        vertices, faces = np.asarray(mesh.vertices, np.float64), np.asarray(mesh.faces, np.int64)
        pieces.append(_Piece(Finish(part.material), vertices, faces, None, part.rgba or rgba))
    return pieces


def _box(box: Primitive) -> Mesh:
    """Returns a plain box, four corners a side, so that each side is flat to the light."""
    vertices: list[NDArray[np.float64]] = []
    faces: list[list[int]] = []
    for axis in range(3):
        u, v = np.eye(3)[(axis + 1) % 3], np.eye(3)[(axis + 2) % 3]
        for sign in (-1.0, 1.0):
            corners = [sign * np.eye(3)[axis] + a * u + b * sign * v for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
            first = len(vertices)
            vertices += [np.array(box.size) * corner for corner in corners]
            faces += [[first, first + 1, first + 2], [first, first + 2, first + 3]]
    placed = np.array(vertices) @ to_matrix(box.quat).T + np.array(box.pos)
    return Mesh(vertices=placed.astype(np.float32), faces=np.array(faces, np.int32))


def _panel(panel: Panel) -> _Piece:
    normal = np.array(panel.facing) / np.linalg.norm(panel.facing)
    # What lies flat has its top side farthest from the robot, as someone who sits there would see it.
    up = np.array([1.0, 0.0, 0.0]) if abs(normal[2]) > 0.99 else np.array([0.0, 0.0, 1.0])
    right = np.cross(up, normal)
    right /= np.linalg.norm(right)
    up = np.cross(normal, right)
    if panel.shape == "rectangle":
        unit = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]])
        faces = np.array([[0, 1, 2], [0, 2, 3]])
    else:
        angle = 2.0 * np.pi * np.arange(_DISC_SIDES) / _DISC_SIDES
        unit = np.concatenate([np.zeros((1, 2)), 0.5 * np.column_stack([np.cos(angle), np.sin(angle)])])
        ring = 1 + np.arange(_DISC_SIDES)
        faces = np.column_stack([np.zeros(_DISC_SIDES, int), ring, np.roll(ring, -1)])
    flat = unit * np.array(panel.size_m)
    vertices = np.array(panel.centre_m) + flat[:, :1] * right + flat[:, 1:] * up
    copies = np.ones(2) if panel.tile_m is None else np.array(panel.size_m) / panel.tile_m
    texcoords = (unit * [1.0, -1.0] + 0.5) * copies
    return _Piece(Finish("matte", panel.surface, panel.rgba, panel.glow, panel.is_far), vertices, faces, texcoords, panel.rgba)


def _merged(pieces: Iterable[_Piece]) -> list[SceneryMesh]:
    finishes: dict[Finish, list[_Piece]] = {}
    for piece in pieces:
        finishes.setdefault(piece.finish, []).append(piece)
    meshes = []
    for finish, group in sorted(finishes.items(), key=lambda item: item[0].is_far):
        counts = np.cumsum([0, *(len(p.vertices) for p in group)])
        if finish.surface is None:
            picture, texcoords = _painted(group)
        else:
            picture, texcoords = surface(finish.surface), [p.texcoords for p in group if p.texcoords is not None]
        meshes.append(
            SceneryMesh(
                finish=finish,
                vertices=np.concatenate([p.vertices for p in group]).astype(np.float32),
                faces=np.concatenate([p.faces + first for p, first in zip(group, counts, strict=False)]).astype(np.int32),
                texcoords=np.concatenate(texcoords).astype(np.float32),
                picture=picture,
            )
        )
    return meshes


def _painted(group: Sequence[_Piece]) -> tuple[NDArray[np.uint8], list[NDArray[np.float64]]]:
    """Returns a picture with a square for each colour, and the texcoords of each piece: all in the middle of its square."""
    colours = sorted({p.paint for p in group})
    columns = max(1, math.ceil(math.sqrt(len(colours))))
    palette = np.zeros((columns * _SQUARE, columns * _SQUARE, 3), np.uint8)
    middles = {}
    for i, colour in enumerate(colours):
        row, column = divmod(i, columns)
        square = (slice(row * _SQUARE, (row + 1) * _SQUARE), slice(column * _SQUARE, (column + 1) * _SQUARE))
        palette[square] = np.round(255.0 * np.array(colour[:3]))
        middles[colour] = (np.array([column, row]) + 0.5) / columns
    return palette, [np.tile(middles[p.paint], (len(p.vertices), 1)) for p in group]
