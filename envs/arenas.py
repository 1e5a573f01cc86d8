"""Arenas: the table, the room, the lights and the fixed cameras, read from assets/arenas/<name>.toml."""

from __future__ import annotations

import dataclasses
import functools
import math
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vlagym import assets
from vlagym.envs import scenery
from vlagym.envs.textures.surfaces import surface, surface_names
from vlagym.envs.errors import BadData, unknown_name
from vlagym.envs.frames import look_at
from vlagym.envs.scenery import Item, Panel, SceneryMesh
from vlagym.envs.types import CameraSpec, LightSpec, Rgba, Vec3, from_plain

WORK_X_M, WORK_Y_M = (0.20, 0.75), (-0.36, 0.36)
"""What the robot works on: every table covers it, with the robot's base."""
FLOOR_HALF_M = 3.0
"""Half the side of the floor."""
AHEAD_M = 3.0
"""x of the wall ahead of the robot, behind the camera `front`; seen only by robots that lift their eyes."""
_PLAIN: Rgba = (1.0, 1.0, 1.0, 1.0)
_TILE_M = 0.6
"""Side of the square that one copy of a surface covers that a table wears instead of its own."""
WORK_HEIGHT_M = 0.30
"""Up to here the cameras `front` and `side` see the whole of it: no scenery stands in between."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """The table top. Its upper face is z = 0 of the world."""

    centre_m: tuple[float, float]
    size_m: Vec3
    """Along x and y, and its thickness; of a round one, twice the same diameter."""
    shape: Literal["box", "round"] = "box"
    texture: str | None = None
    rgba: Rgba = (1.0, 1.0, 1.0, 1.0)
    tile_m: float | None = None
    """Side of the square that one copy of the texture covers; None: one copy over the whole top."""
    edge_rgba: Rgba | None = None
    """Of its sides; None: the texture of the top runs down over them. A round table needs one."""
    legs: Literal["four", "none"] = "four"
    """four: one below each corner. none: it stands on what the arena's items and shapes show."""


@dataclass(frozen=True, kw_only=True)
class Floor:
    """The floor plane."""

    height_m: float
    rgba: Rgba = (1.0, 1.0, 1.0, 1.0)
    texture: str | None = None
    tile_m: float = 1.0
    """Side of the square that one copy of the texture covers."""


@dataclass(frozen=True, kw_only=True)
class Room:
    """Walls: one behind the robot, one to each side; seen, not touched."""

    back_m: float
    """x of the wall behind the robot."""
    side_m: float
    """Distance of the walls to both sides."""
    rgba: Rgba = (1.0, 1.0, 1.0, 1.0)
    texture: str | None = None
    tile_m: float = 1.0
    """Side of the square that one copy of the texture covers."""
    height_m: float = 3.0
    """Of textured walls."""


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
    """A place in which episodes happen. Whether it is seen or unseen says assets/split.toml."""

    about: str
    """One sentence for people who choose."""
    has_open_floor: bool = False
    """Whether nothing stands on the floor around the near side of the table, where a robot may go about."""
    shadow_radius_m: float = 0.9
    """How far around the table things cast shadows; twice as far makes them half as sharp."""
    table: Table
    floor: Floor
    room: Room | None = None
    light: tuple[LightSpec, ...] = ()
    camera: tuple[FixedCamera, ...] = ()
    panel: tuple[Panel, ...] = ()
    """Pictures, windows, cloths: in the world frame."""
    item: tuple[Item, ...] = ()
    """Furnishings in their places."""
    ahead: tuple[Panel, ...] = ()
    """What a robot sees that lifts its eyes, where no wall is: like `panel`, and there only for robots with such eyes."""
    visual: tuple[Any, ...] = ()
    """Further shapes, as [[visual]] of an object.toml, in the world frame."""


def arena_names() -> list[str]:
    """Returns the names of all arenas, sorted."""
    return sorted(p.stem for p in assets.path("arenas").glob("*.toml"))


@functools.cache
def arena(name: str, table_texture: str | None = None) -> Arena:
    """Returns the arena of that name.

    Args:
      name: A file of assets/arenas.
      table_texture: A surface that the table top wears instead of its own; its edge and what carries it stay as they are.

    Raises:
      UnknownName: If there is no such arena, or it shows a texture or furnishing that does not exist; with the near names.
      BadData: If its file has a missing, unknown or wrongly typed key, or a number in it that cannot be.
    """
    if name not in arena_names():
        raise unknown_name("arena", name, arena_names(), "An arena is a file of assets/arenas.")
    if table_texture is not None:
        own = arena(name)
        check_table_texture(table_texture)
        top = dataclasses.replace(own.table, texture=table_texture, rgba=_PLAIN, tile_m=_TILE_M if is_dressed(own.table) else None)
        return dataclasses.replace(own, table=top)
    return read_arena(assets.path("arenas") / f"{name}.toml")


def check_table_texture(name: str | None) -> None:
    """Raises UnknownName, with the near names, if a surface that a table top is to wear does not exist; None is none."""
    if name is not None and name not in surface_names():
        raise unknown_name("texture", name, surface_names(), "It is asked for as the table_texture of a scene.")


def read_arena(path: Path) -> Arena:
    """Reads an arena's file.

    Raises:
      UnknownName: If it shows a texture or furnishing that does not exist; with the near names.
      BadData: If a key is missing, unknown or wrongly typed, or a number cannot be.
    """
    where = f"arenas/{path.name}"
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadData(f"{where} cannot be read: {error}") from error
    found = from_plain(Arena, data, where)
    _check(found, where)
    return found


@functools.cache
def surroundings(name: str, table_texture: str | None = None, *, is_seen_ahead: bool = False) -> tuple[SceneryMesh, ...]:
    """Returns all that is seen of an arena beside what the engine draws by itself, one mesh for each finish.

    Args:
      name: Of the arena.
      table_texture: As with `arena`.
      is_seen_ahead: Whether there is a wall ahead of the robot too, which no camera sees that looks at the robot or down on the table.

    Raises:
      UnknownName, BadData: As `arena`; and if a shape of the arena or of a furnishing is wrong.
    """
    here = arena(name, table_texture)
    walls = _walls(here.room, here.floor.height_m, is_seen_ahead=is_seen_ahead) if here.room else []
    panels = [*_dressing(here.table), *_ground(here.floor), *walls, *here.panel, *(here.ahead if is_seen_ahead else ())]
    tables = [*_edge(here.table), *here.visual]
    return scenery.compose(panels, here.item, tables, here.floor.height_m, f"arenas/{name}.toml")


def texture(name: str) -> NDArray[np.uint8]:
    """Returns a procedural texture `(H, W, 3)` uint8, the same on every machine. Raises UnknownName."""
    return surface(name)


def is_dressed(table: Table) -> bool:
    """Tells whether a table is drawn as scenery; otherwise the box that is touched is the box that is seen."""
    return table.edge_rgba is not None


def top_boxes(table: Table) -> tuple[tuple[Vec3, Vec3], ...]:
    """Returns the boxes that carry what stands on a table: (half sizes, centre) each, in m of the world. They meet without overlap.

    A round top is cut into strips, for cylinders under boxes give one contact where four are needed; the first one is the widest.
    """
    width, depth, thick = table.size_m
    x, y = table.centre_m
    if table.shape == "box":
        return (((width / 2, depth / 2, thick / 2), (x, y, -thick / 2)),)
    radius, cuts = width / 2, (0.6, 0.8, 0.92, 1.0)
    boxes: list[tuple[Vec3, Vec3]] = []
    for inner, outer in zip((-cuts[0], *cuts), cuts, strict=False):
        half = radius * math.sqrt(1.0 - (outer if outer < 1.0 else 0.975) ** 2)
        length, middle = radius * (outer - inner) / 2, radius * (outer + inner) / 2
        boxes += [((length, half, thick / 2), (x + side * middle, y, -thick / 2)) for side in ((1,) if inner < 0 else (1, -1))]
    return tuple(boxes)


def _dressing(table: Table) -> list[Panel]:
    if not is_dressed(table) or table.texture is None:
        return []
    width, depth, _ = table.size_m
    x, y = table.centre_m
    kind: Literal["rectangle", "disc"] = "disc" if table.shape == "round" else "rectangle"
    # Seen along +x, the width of the picture lies along y.
    top = Panel(
        surface=table.texture, centre_m=(x, y, 0.0), size_m=(depth, width), facing=(0.0, 0.0, 1.0), shape=kind, tile_m=table.tile_m, rgba=table.rgba
    )
    return [top]


def _edge(table: Table) -> list[dict[str, Any]]:
    """Returns the shape below the top's picture, a tenth of a millimetre lower."""
    if table.edge_rgba is None:
        return []
    width, depth, thick = table.size_m
    x, y = table.centre_m
    body = {"pos_m": [x, y, -thick / 2 - 1e-4], "rgba": list(table.edge_rgba)}
    if table.shape == "round":
        return [{"shape": "cylinder", "radius_m": width / 2, "height_m": thick, "sides": 48, **body}]
    return [{"shape": "box", "size_m": [width, depth, thick], **body}]


def _ground(floor: Floor) -> list[Panel]:
    if floor.texture is None:
        return []
    side = 2 * FLOOR_HALF_M
    centre = (0.0, 0.0, floor.height_m)
    # A picture on a plane of the engine costs twice the frame time that it costs here.
    here = Panel(
        surface=floor.texture, centre_m=centre, size_m=(side, side), facing=(0.0, 0.0, 1.0), tile_m=floor.tile_m, rgba=floor.rgba, is_far=True
    )
    return [here]


def _walls(room: Room, floor_m: float, *, is_seen_ahead: bool) -> list[Panel]:
    if room.texture is None:
        return []
    middle, far = floor_m + room.height_m / 2, AHEAD_M
    length = far - room.back_m
    back = Panel(
        surface=room.texture,
        centre_m=(room.back_m, 0.0, middle),
        size_m=(2 * room.side_m, room.height_m),
        facing=(1.0, 0.0, 0.0),
        tile_m=room.tile_m,
        rgba=room.rgba,
        is_far=True,
    )
    sides = [
        Panel(
            surface=room.texture,
            centre_m=((far + room.back_m) / 2, side * room.side_m, middle),
            size_m=(length, room.height_m),
            facing=(0.0, -float(side), 0.0),
            tile_m=room.tile_m,
            rgba=room.rgba,
            is_far=True,
        )
        for side in (1, -1)
    ]
    ahead = dataclasses.replace(back, centre_m=(far, 0.0, middle), facing=(-1.0, 0.0, 0.0))
    return [back, *sides, *([ahead] if is_seen_ahead else [])]


def _check(here: Arena, where: str) -> None:
    for key, name in (("table", here.table.texture), ("floor", here.floor.texture), ("room", here.room.texture if here.room else None)):
        if name is not None and name not in surface_names():
            raise unknown_name("texture", name, surface_names(), f"It is asked for in {where}.{key}.texture.")
    if here.shadow_radius_m <= 0.0:
        raise BadData(f"{where}.shadow_radius_m is {here.shadow_radius_m}; it must be above 0")
    table = here.table
    if min(table.size_m) <= 0.0:
        raise BadData(f"{where}.table.size_m is {table.size_m}; lengths must be above 0")
    if table.shape == "round" and (table.size_m[0] != table.size_m[1] or table.edge_rgba is None):
        raise BadData(f"{where}.table is round: its size_m is [diameter, diameter, thickness], and it needs an edge_rgba")
    if is_dressed(table) and table.texture is None:
        raise BadData(f"{where}.table has an edge_rgba and no texture; its top would be invisible")
    (half_x, half_y, _), (x, y, _) = top_boxes(table)[0]
    low_x, high_x = min(0.0, WORK_X_M[0]), WORK_X_M[1]
    if x - half_x > low_x or x + half_x < high_x or y - half_y > WORK_Y_M[0] or y + half_y < WORK_Y_M[1]:
        raise BadData(
            f"{where}.table covers x {x - half_x:.2f} to {x + half_x:.2f} m and y {y - half_y:.2f} to {y + half_y:.2f} m; "
            f"the robot works on x {low_x:g} to {high_x:g} and y {WORK_Y_M[0]:g} to {WORK_Y_M[1]:g}"
        )
    if here.floor.height_m >= -table.size_m[2]:
        raise BadData(f"{where}.floor.height_m is {here.floor.height_m}; the floor lies below the table top, whose surface is at 0")
    names = [camera.name for camera in here.camera]
    for name in ("front", "side"):
        if name not in names:
            raise BadData(f"{where} has no [[camera]] called {name!r}; every arena has front and side")
    scenery.check((*here.panel, *here.ahead), here.item, where)
