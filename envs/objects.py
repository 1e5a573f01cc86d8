"""The catalogue of objects: what assets/objects says, read, checked and cached. Numpy only."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np

from vlagym import assets
from vlagym.envs.asset_files import Split, check_names, identity, read, shapes
from vlagym.envs.errors import BadData, unknown_name
from vlagym.envs.fixtures import FixtureAsset as FixtureAsset
from vlagym.envs.fixtures import get_fixture as get_fixture
from vlagym.envs.shapes.parts import Part as Part
from vlagym.envs.shapes.parts import Primitive, as_parts, joint_bounds, scaled, scaled_piece
from vlagym.envs.types import PropSpec, Quat, Rgba, Vec3

Role = Literal[
    "graspable", "support", "container", "stackable", "pourable", "peg", "lid", "pot", "pushable", "standable", "bead", "tray", "box", "passable",
]  # fmt: skip
"""What a thing can be used for in a task. tray and box: carried with both hands. passable: handed from one hand to the other."""
Category = Literal[
    "ball", "block", "book", "container", "cookware", "cutlery", "dishware", "drinkware", "food", "fruit", "household", "mat", "packaging",
    "stationery", "tool", "toy", "vegetable",
]  # fmt: skip
"""What a thing is in a wider sense than its kind: the word that "all the fruit" is about."""
Substance = Literal["cardboard", "ceramic", "cloth", "glass", "metal", "paper", "plastic", "rubber", "wicker", "wooden"]
"""What a thing is made of, as the adjective that a sentence uses."""
Use = Literal[
    "build_with", "carry_with", "clean_with", "cook_in", "cover_with", "cut_with", "drink_from", "eat", "eat_from", "eat_with", "fix_with",
    "light_with", "play_with", "pour_from", "read", "season_with", "serve_on", "stick_with", "stir_with", "store_in", "write_with",
]  # fmt: skip
"""What a thing is good for."""
Outline = Literal["flat", "long", "round", "square", "tall"]
"""The shape of a thing, where one word says it."""
UPRIGHT = "upright"
"""Name of the pose in which the axes of an object are those of the world but for a turn about the vertical."""

WIDEST_GRASP_M = 0.06
"""Objects that are wider between the pads are refused: a gripper that opens 8 cm needs play."""
_SIZE_TOLERANCE_M = 0.0015
_CONTACT_TOLERANCE_M = 0.006  # how far what is touched may differ from what is seen
_STEM_M = 0.012  # how far a stem may stick out above what is touched


@dataclass(frozen=True, kw_only=True)
class Grasp:
    """A way to hold an object from above with two flat pads, in the frame of the object."""

    kind: Literal["top", "rim"]
    """top: pads on both sides of the body. rim: one pad inside the wall, one outside."""
    height_m: float
    """Of the pinch point above the base."""
    width_m: float
    """Between the pads when they touch."""
    yaw_rad: tuple[float, ...] = ()
    """Directions of the line through both pads, from the x axis; for a rim it is the direction of the outer pad."""
    symmetric: bool = False
    """Any direction will do; instead of yaw_rad."""
    offset_xy_m: tuple[float, float] = (0.0, 0.0)
    """Of the pinch point from the origin. A symmetric rim has its offset along x, and it turns with the direction."""
    pose: str = UPRIGHT
    """The stable pose that it is for. Its numbers are those of the frame of the pose: at the object's origin, but with z up, and with the height
    counted from the table."""


@dataclass(frozen=True, kw_only=True)
class StablePose:
    """A way to lie on the table, beside standing upright."""

    name: str
    quat_wxyz: Quat
    """Of the object in a frame whose z points up. What lies along an axis lies along the x axis of that frame."""
    height_m: float
    """Of the object's origin above the table."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where something that is put on or into an object ends up."""

    surface_height_m: float
    """Height above the base at which it comes to rest."""
    inner_radius_m: float
    """Within which its centre counts as on or in the object."""


@dataclass(frozen=True, kw_only=True)
class Hold:
    """A place where one of two hands takes hold of a thing that is carried with both, in the frame of the object."""

    kind: Literal["post", "wall", "face"]
    """post: an upright round grip. wall: an upright board, thin along `out`. face: a side that a palm is pressed against."""
    pos_m: Vec3
    """Middle of what is gripped; of a face, the middle of that face."""
    out: Vec3
    """Level unit vector from the middle of the object to the hand."""
    width_m: float
    """Across the post, through the wall, from face to face."""


@dataclass(frozen=True, kw_only=True)
class ObjectAsset:
    """A movable thing. Its origin is the middle of its base when it stands as it rests; z points up."""

    id: str
    kind: str
    names: tuple[str, ...]
    """English nouns of the seen split, the plain one first."""
    unseen_names: tuple[str, ...] = ()
    """Nouns that mean the same and are kept for evaluation."""
    category: Category
    """The wider class, shared by kinds."""
    material: Substance | None
    """What it is made of; None where one would not say it."""
    uses: tuple[Use, ...]
    """What it is good for; may be empty."""
    shape: Outline | None
    """None where no one word says it."""
    colour: str | None
    """Colour word, or None where the noun says it or there are several."""
    rgba: Rgba
    """Main colour: of every part that has none of its own."""
    split: Split
    size_m: Vec3
    """Extents along x, y and z."""
    mass_kg: float
    friction: float
    """Sliding friction coefficient."""
    rolling_friction: float
    """Lever arm in m with which contact resists rolling; above 0 the object wants contacts of dimension 6."""
    roles: tuple[Role, ...]
    yaw_symmetry: int
    """Turns by 360 degrees / n look and behave the same; 0 means any turn."""
    grasps: tuple[Grasp, ...]
    """Best first, of all poses; empty unless graspable."""
    poses: tuple[StablePose, ...]
    """How it may lie besides standing upright."""
    place: Place | None
    """None for what nothing is put on."""
    holds: tuple[Hold, ...] = ()
    """Where two hands carry it, opposite each other; of a tray or a box."""
    visual: tuple[Part, ...]
    collision: tuple[Primitive, ...]

    def pose(self, name: str) -> StablePose:
        """Returns a stable pose by its name. Raises UnknownName."""
        if name == UPRIGHT:
            return StablePose(name=UPRIGHT, quat_wxyz=(1.0, 0.0, 0.0, 0.0), height_m=0.0)
        for pose in self.poses:
            if pose.name == name:
                return pose
        raise unknown_name(f"pose of the {self.id}", name, [UPRIGHT, *(p.name for p in self.poses)])

    def grasps_in(self, pose: str) -> tuple[Grasp, ...]:
        """Returns the grasps for a stable pose, best first. Raises UnknownName."""
        self.pose(pose)
        return tuple(grasp for grasp in self.grasps if grasp.pose == pose)

    def visual_parts(self) -> tuple[Part, ...]:
        """Returns what is seen."""
        return self.visual

    def collision_parts(self) -> tuple[Part, ...]:
        """Returns what is touched, as parts."""
        return as_parts(self.collision)


@functools.cache
def catalog() -> Mapping[str, ObjectAsset]:
    """Returns every object that ships with vlagym, sorted by id."""
    files = sorted(assets.path("objects").glob("*/*/object.toml"), key=lambda f: f.parent.name)
    return MappingProxyType({asset.id: asset for asset in map(load_object, files)})


def get(object_id: str) -> ObjectAsset:
    """Returns an object by its id. Raises UnknownName with the near ones."""
    if object_id not in catalog():
        raise unknown_name("object", object_id, catalog(), "An object is a folder assets/objects/<kind>/<id>/ with an object.toml.")
    return catalog()[object_id]


def asset_of(prop: PropSpec) -> ObjectAsset:
    """Returns the object that a prop is, as large as it is in the scene: sizes, grasps, poses, places, holds and shapes at its scale.

    What it weighs does not change with its size; its colour is what the spec says, see `vlagym.envs.language.scene_words`.

    Raises:
      UnknownName: If there is no such object.
    """
    return get(prop.asset) if prop.scale == 1.0 else _scaled(prop.asset, prop.scale)


@functools.lru_cache(maxsize=1024)
def _scaled(object_id: str, scale: float) -> ObjectAsset:
    asset = get(object_id)

    def grasp(one: Grasp) -> Grasp:
        x, y = one.offset_xy_m
        return replace(one, height_m=scale * one.height_m, width_m=scale * one.width_m, offset_xy_m=(scale * x, scale * y))

    place = asset.place
    if place is not None:
        place = Place(surface_height_m=scale * place.surface_height_m, inner_radius_m=scale * place.inner_radius_m)
    return replace(
        asset,
        size_m=_times(scale, asset.size_m),
        grasps=tuple(map(grasp, asset.grasps)),
        poses=tuple(replace(pose, height_m=scale * pose.height_m) for pose in asset.poses),
        place=place,
        holds=tuple(replace(hold, pos_m=_times(scale, hold.pos_m), width_m=scale * hold.width_m) for hold in asset.holds),
        visual=tuple(replace(part, shape=scaled(part.shape, scale)) for part in asset.visual),
        collision=tuple(scaled_piece(piece, scale) for piece in asset.collision),
    )


def _times(scale: float, numbers: Vec3) -> Vec3:
    x, y, z = numbers
    return (scale * x, scale * y, scale * z)


def load_object(path: Path) -> ObjectAsset:
    """Reads `<kind>/<id>/object.toml`, which holds everything or names a `design` that variants share.

    Raises:
      BadData: If a key is unknown, missing or wrong, or what the file says does not fit its shapes; with the file and the key.
    """
    kind, identifier, where = identity(path)
    raw = read(path, _Keys)
    visual, collision = shapes(raw.visual, raw.collision, where)
    asset = ObjectAsset(
        id=identifier,
        kind=kind,
        names=raw.names,
        unseen_names=raw.unseen_names,
        category=raw.category,
        material=raw.material,
        uses=raw.uses,
        shape=raw.shape,
        colour=raw.colour,
        rgba=raw.rgba,
        split=raw.split,
        size_m=raw.size_m,
        mass_kg=raw.mass_kg,
        friction=raw.friction,
        rolling_friction=raw.rolling_friction,
        roles=raw.roles,
        yaw_symmetry=raw.yaw_symmetry,
        grasps=raw.grasp,
        poses=raw.pose,
        place=raw.place,
        holds=raw.hold,
        visual=visual,
        collision=collision,
    )
    _check(asset, where)
    return asset


@dataclass(frozen=True, kw_only=True)
class _Keys:
    """Keys of an object.toml and its design together."""

    names: tuple[str, ...]
    unseen_names: tuple[str, ...] = ()
    category: Category
    material: Substance | None = None
    uses: tuple[Use, ...] = ()
    shape: Outline | None = None
    colour: str | None = None
    rgba: Rgba
    split: Split
    design: str | None = None
    size_m: Vec3
    mass_kg: float
    friction: float = 1.0
    rolling_friction: float = 0.0
    roles: tuple[Role, ...]
    yaw_symmetry: int = 1
    grasp: tuple[Grasp, ...] = ()
    pose: tuple[StablePose, ...] = ()
    place: Place | None = None
    hold: tuple[Hold, ...] = ()
    visual: tuple[Any, ...]
    collision: tuple[Any, ...]


def _check(asset: ObjectAsset, where: str) -> None:
    check_names(asset.names, asset.unseen_names, where)
    for key in ("mass_kg", "friction"):
        if getattr(asset, key) <= 0.0:
            raise BadData(f"{where}.{key} is {getattr(asset, key)}; it must be above 0")
    if asset.rolling_friction < 0.0 or asset.yaw_symmetry < 0:
        raise BadData(f"{where}: rolling_friction and yaw_symmetry must not be negative")
    seen, touched = joint_bounds([p.shape for p in asset.visual]), joint_bounds(asset.collision)
    low, high = seen
    if np.abs(high - low - asset.size_m).max() > _SIZE_TOLERANCE_M or abs(low[2]) > 1e-3:
        found = " x ".join(f"{v:.4f}" for v in high - low)
        raise BadData(f"{where}.size_m is {asset.size_m}, but its visual shapes measure {found} m, from z = {low[2]:.4f}; they must begin at z = 0")
    gap = np.abs(seen - touched)
    gap[1, 2] = max(0.0, gap[1, 2] - _STEM_M)
    if gap.max() > _CONTACT_TOLERANCE_M or abs(touched[0, 2]) > 1e-3:
        raise BadData(f"{where}: its collision shapes span {np.round(touched, 4).tolist()} m, its visual ones {np.round(seen, 4).tolist()}")
    if "graspable" in asset.roles and not asset.grasps:
        raise BadData(f"{where}: a graspable object needs a [[grasp]]")
    if asset.grasps and not {"graspable", "container"} & set(asset.roles):
        raise BadData(f"{where}: only what is graspable has a [[grasp]], and a container that is held while it is filled")
    _check_poses(asset, where)
    for k, grasp in enumerate(asset.grasps):
        highest = asset.size_m[2] if grasp.pose == UPRIGHT else max(asset.size_m)
        if not 0.0 < grasp.width_m <= WIDEST_GRASP_M or not 0.0 < grasp.height_m <= highest:
            raise BadData(f"{where}.grasp[{k}]: width_m must be above 0 and at most {WIDEST_GRASP_M}, height_m within the object")
        if grasp.symmetric == bool(grasp.yaw_rad):
            raise BadData(f"{where}.grasp[{k}] needs either yaw_rad or symmetric = true")
    needs_place = {"support", "container", "stackable", "pourable", "tray"} & set(asset.roles)
    if bool(needs_place) != (asset.place is not None):
        raise BadData(f"{where}: a support, tray, container, stackable or pourable object needs a [place], and only such a one has it")
    _check_holds(asset, where)


def _check_holds(asset: ObjectAsset, where: str) -> None:
    is_carried = bool({"tray", "box"} & set(asset.roles))
    if len(asset.holds) != (2 if is_carried else 0):
        raise BadData(f"{where}: a tray or a box needs two [[hold]], and only such a one has any; it has {len(asset.holds)}")
    if is_carried:
        a, b = asset.holds
        apart = np.array([*a.out[:2], *a.pos_m[:2]]) + np.array([*b.out[:2], *b.pos_m[:2]])
        level = all(abs(float(np.linalg.norm(hold.out)) - 1.0) < 1e-3 and hold.out[2] == 0.0 for hold in asset.holds)
        if not level or np.abs(apart).max() > 1e-6 or not all(0.0 < hold.pos_m[2] < asset.size_m[2] and hold.width_m > 0.0 for hold in asset.holds):
            raise BadData(f"{where}: its two holds must lie opposite each other, between its foot and its top, each with a level `out` of length 1")


def _check_poses(asset: ObjectAsset, where: str) -> None:
    names = [UPRIGHT, *(pose.name for pose in asset.poses)]
    for name in names:
        if names.count(name) > 1:
            raise BadData(f"{where} has the pose {name!r} twice; {UPRIGHT!r} is every object's own and is not written down")
    for pose in asset.poses:
        if abs(float(np.linalg.norm(pose.quat_wxyz)) - 1.0) > 1e-3:
            raise BadData(f"{where}: the pose {pose.name!r} has quat_wxyz {pose.quat_wxyz}; it must have length 1")
        if not 0.0 <= pose.height_m <= max(asset.size_m):
            raise BadData(f"{where}: the pose {pose.name!r} has height_m {pose.height_m}; it must lie between 0 and the largest of size_m")
    for k, grasp in enumerate(asset.grasps):
        if grasp.pose not in names:
            raise BadData(f"{where}.grasp[{k}]: {unknown_name('pose', grasp.pose, names, 'Poses are the [[pose]] tables.')}")
    if asset.grasps and not asset.grasps_in(UPRIGHT):
        raise BadData(f"{where}: none of its grasps is for the pose {UPRIGHT!r}")
