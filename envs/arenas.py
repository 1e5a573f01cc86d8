"""Arenas: the table, the room, the lights and the fixed cameras, read from assets/arenas/<name>.toml."""

from __future__ import annotations

import functools
import tomllib
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vlagym import assets
from vlagym.envs.errors import BadData, unknown_name
from vlagym.envs.frames import look_at
from vlagym.envs.types import CameraSpec, LightSpec, Rgba, Vec3, from_plain


@dataclass(frozen=True, kw_only=True)
class Table:
    """The table top: a box whose upper face is z = 0 of the world."""

    centre_m: tuple[float, float]
    size_m: Vec3
    texture: str | None = None
    rgba: Rgba = (1.0, 1.0, 1.0, 1.0)


@dataclass(frozen=True, kw_only=True)
class Floor:
    """The floor plane."""

    height_m: float
    rgba: Rgba


@dataclass(frozen=True, kw_only=True)
class Room:
    """Walls: one behind the robot, one to each side; seen, not touched."""

    back_m: float
    """x of the wall behind the robot."""
    side_m: float
    """Distance of the walls to both sides."""
    rgba: Rgba


@dataclass(frozen=True, kw_only=True)
class FixedCamera:
    """A camera of the room."""

    name: str
    eye_m: Vec3
    target_m: Vec3
    fovy_deg: float

    def spec(self) -> CameraSpec:
        """Returns the camera as the value that stands in a scene."""
        quat = (float(v) for v in look_at(self.eye_m, self.target_m).round(8))
        w, x, y, z = quat
        return CameraSpec(name=self.name, parent="world", pos_parent=self.eye_m, quat_parent_wxyz=(w, x, y, z), fovy_deg=self.fovy_deg)


@dataclass(frozen=True, kw_only=True)
class Arena:
    """A place in which episodes happen."""

    names: tuple[str, ...]
    split: Literal["seen", "unseen"]
    table: Table
    floor: Floor
    room: Room | None = None
    light: tuple[LightSpec, ...] = ()
    camera: tuple[FixedCamera, ...] = ()


@functools.cache
def arena(name: str) -> Arena:
    """Returns the arena of that name.

    Raises:
      UnknownName: With the near names.
      BadData: If its file has a missing, unknown or wrongly typed key.
    """
    folder = assets.path("arenas")
    known = sorted(p.stem for p in folder.glob("*.toml"))
    if name not in known:
        raise unknown_name("arena", name, known)
    try:
        data = tomllib.loads((folder / f"{name}.toml").read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise BadData(f"assets/arenas/{name}.toml is not TOML: {error}") from error
    found = from_plain(Arena, data, f"assets/arenas/{name}.toml")
    if found.table.texture is not None and found.table.texture not in _TEXTURES:
        raise unknown_name("texture", found.table.texture, _TEXTURES)
    return found


@functools.cache
def texture(name: str) -> NDArray[np.uint8]:
    """Returns a procedural texture `(256, 256, 3)` uint8, the same on every machine."""
    if name not in _TEXTURES:
        raise unknown_name("texture", name, _TEXTURES)
    return _TEXTURES[name]()


def _wood() -> NDArray[np.uint8]:
    rng = np.random.default_rng(20240)  # drawn once for a picture, no episode depends on it
    size, planks = 256, 8
    y, x = np.mgrid[0:size, 0:size] / size
    plank = np.floor(y * planks).astype(int)
    tone = rng.uniform(0.90, 1.0, planks)[plank]
    phase = rng.uniform(0, 6.28, planks)[plank]
    grain = np.zeros((size, size))
    for frequency, weight in ((34, 0.5), (71, 0.3), (139, 0.2)):
        grain += weight * np.sin(frequency * 6.2832 * y / 8 + 3.0 * np.sin(6.2832 * x + phase) + phase * frequency)
    seam = np.clip(np.abs(y * planks % 1 - 0.5) * 2 - 0.97, 0, 1) / 0.03
    value = tone + 0.025 * grain - 0.10 * seam
    rgb = np.array([205.0, 178.0, 145.0]) * value[..., None]
    pixels: NDArray[np.uint8] = np.clip(rgb, 0, 255).round().astype(np.uint8)
    return pixels


_TEXTURES = {"wood": _wood}
