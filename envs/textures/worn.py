"""Patterns that a thing wears instead of its own finish, read from assets/worn.toml, and how they are laid over shapes that were made without one."""

from __future__ import annotations

import dataclasses
import functools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vlagym import assets
from vlagym.envs.errors import BadData, unknown_name
from vlagym.envs.frames import to_matrix
from vlagym.envs.shapes.parts import Mesh, Part, Primitive
from vlagym.envs.textures.texture import Pattern, Rgb, Texture, check
from vlagym.envs.types import Rgba, from_plain

_FILE = "worn.toml"
_LIGHT: Rgb = (0.96, 0.95, 0.92)
_DARK: Rgb = (0.08, 0.08, 0.10)
_MIDDLE = 0.5  # brightness from which on a colour is light
_LEVEL_COS = 0.8  # a face that looks up or down by more is covered as seen from above


@dataclass(frozen=True, kw_only=True)
class Worn:
    """A pattern that can be worn by any thing, whatever its colour."""

    pattern: Pattern
    tile_m: float
    """Side of the square that one copy of the picture covers."""
    count: int
    """Marks across it."""
    contrast: float
    """How far the second colour is from that of the thing: 0 to 1."""

    def texture(self, ground: Rgba) -> Texture:
        """Returns what is painted over a colour: its marks are lighter where that is dark, and darker where it is light."""
        brightness = 0.3 * ground[0] + 0.59 * ground[1] + 0.11 * ground[2]
        far = _DARK if brightness > _MIDDLE else _LIGHT
        r, g, b = (round(own + self.contrast * (other - own), 4) for own, other in zip(ground, far, strict=False))
        return Texture(pattern=self.pattern, wrap="box", accent=(r, g, b), count=self.count, size_px=(64, 64))


def worn_names() -> list[str]:
    """Returns the names of all patterns that can be worn, sorted."""
    return sorted(_all())


def worn(name: str) -> Worn:
    """Returns a pattern by its name. Raises UnknownName."""
    if name not in _all():
        raise unknown_name("texture that things wear", name, _all(), f"It is a table [{name}] of assets/{_FILE}.")
    return _all()[name]


def dressed(part: Part, name: str, ground: Rgba, *, is_round: bool) -> Part:
    """Returns a part in a pattern.

    Args:
      part: Of a thing; one with a colour of its own stays as it is.
      name: Of the pattern.
      ground: The colour that the thing is painted with.
      is_round: Whether the thing looks the same from all sides, so that the pattern runs around it.

    Raises:
      UnknownName: If there is no such pattern.
    """
    pattern = worn(name)
    if not can_wear(part):
        return part
    mesh = part.shape if isinstance(part.shape, Mesh) else _box(part.shape)
    return dataclasses.replace(part, shape=_covered(mesh, pattern.tile_m, is_round), texture=pattern.texture(ground))


def can_wear(part: Part) -> bool:
    """Returns whether a pattern can be laid over a part: it is of the thing's main colour."""
    return part.rgba is None and (isinstance(part.shape, Mesh) or part.shape.type == "box")


@functools.lru_cache(maxsize=1024)
def _box(box: Primitive) -> Mesh:
    """Returns a box with a corner for each of its sides, so that its edges stay sharp."""
    vertices: list[NDArray[np.float64]] = []
    faces: list[tuple[int, int, int]] = []
    for axis in range(3):
        for sign in (1.0, -1.0):
            u, v = np.eye(3)[(axis + 1) % 3], np.eye(3)[(axis + 2) % 3]
            first = len(vertices)
            vertices += [sign * np.eye(3)[axis] + a * u + b * v for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
            order = (0, 1, 2, 3) if sign > 0 else (3, 2, 1, 0)
            i, j, k, m = (first + n for n in order)
            faces += [(i, j, k), (i, k, m)]
    placed = (np.array(vertices) * box.size) @ to_matrix(box.quat).T + box.pos
    return Mesh(vertices=placed.astype(np.float32), faces=np.array(faces, np.int32))


@functools.lru_cache(maxsize=1024)
def _covered(mesh: Mesh, tile_m: float, is_round: bool) -> Mesh:
    """Returns a mesh with its corners' places in a picture that is repeated over all of it."""
    corners = mesh.vertices.astype(np.float64)[mesh.faces]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    length = np.linalg.norm(normal, axis=1, keepdims=True)
    normal = normal / np.maximum(length, 1e-12)
    uv = _around(corners, normal, tile_m) if is_round else _along_axes(corners, normal, tile_m)
    texcoords = np.ascontiguousarray(uv.reshape(-1, 2).astype(np.float32))
    texcoords.flags.writeable = False
    return dataclasses.replace(mesh, texcoords=texcoords)


def _along_axes(corners: NDArray[np.float64], normal: NDArray[np.float64], tile_m: float) -> NDArray[np.float64]:
    """Returns (F, 3, 2): each face is covered along the axis that it looks to most."""
    axis = np.argmax(np.abs(normal), axis=1)[:, None]
    x, y, z = (corners[..., i] / tile_m for i in range(3))
    return np.stack([np.where(axis == 0, y, x), np.where(axis == 2, -y, -z)], axis=-1)


def _around(corners: NDArray[np.float64], normal: NDArray[np.float64], tile_m: float) -> NDArray[np.float64]:
    """Returns (F, 3, 2): faces that look sideways are covered around the z axis, in a whole number of copies, the others as seen from above."""
    radius = float(np.hypot(corners[..., 0], corners[..., 1]).max())
    copies = max(1, round(2.0 * np.pi * radius / tile_m))
    turn = np.arctan2(corners[..., 1], corners[..., 0]) / (2.0 * np.pi)
    # A face across the seam counts on beyond 1, and a corner on the axis takes the mean of its face's others.
    has_angle = np.hypot(corners[..., 0], corners[..., 1]) > 1e-6
    latest = np.where(has_angle, turn, -np.inf).max(axis=1, keepdims=True)
    turn = np.where(has_angle & (latest - turn > 0.5), turn + 1.0, turn)
    mean = np.where(has_angle, turn, 0.0).sum(axis=1, keepdims=True) / np.maximum(has_angle.sum(axis=1, keepdims=True), 1)
    sideways = np.stack([copies * np.where(has_angle, turn, mean), -corners[..., 2] / tile_m], axis=-1)
    above = np.stack([corners[..., 0], -corners[..., 1]], axis=-1) / tile_m
    is_level = np.abs(normal[:, 2]) > _LEVEL_COS
    return np.where(is_level[:, None, None], above, sideways)


@functools.cache
def _all() -> Mapping[str, Worn]:
    try:
        tables = tomllib.loads(assets.path(_FILE).read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise BadData(f"assets/{_FILE} is not TOML: {error}") from error
    found = {name: from_plain(Worn, table, f"{_FILE} [{name}]") for name, table in tables.items()}
    for name, one in found.items():
        if one.tile_m <= 0.0 or not 0.0 < one.contrast <= 1.0:
            raise BadData(f"{_FILE} [{name}]: tile_m must be above 0 and contrast above 0 and at most 1; they are {one.tile_m} and {one.contrast}")
        check(one.texture((0.5, 0.5, 0.5, 1.0)), f"{_FILE} [{name}]")
    return found
