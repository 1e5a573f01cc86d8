"""The catalogue of furniture: what assets/fixtures says, read, checked and cached. Numpy only."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np

from vlagym import assets
from vlagym.envs.asset_files import Split, check_names, identity, read, shapes
from vlagym.envs.controls import Control, check_control
from vlagym.envs.errors import BadData, BadSpec, unknown_name
from vlagym.envs.marks import Hole, Line, Top, Zone, check_marks
from vlagym.envs.frames import Pose, from_axis_angle, pose, rotate
from vlagym.envs.shapes.parts import Part, Primitive, as_parts, joint_bounds
from vlagym.envs.types import Rgba, Vec3

_SIZE_TOLERANCE_M = 0.0015
_CLOSED_M, _CLOSED_RAD = 0.01, 0.08
"""Above the beginning of the range: what counts as closed where a file does not say."""


@dataclass(frozen=True, kw_only=True)
class Handle:
    """A bar with a gap behind it, in the frame of its joint."""

    pos_m: Vec3
    """Centre of the bar."""
    axis: Vec3
    """Direction of the bar along which the pads of the closed hand line up."""
    hook_pos_m: Vec3
    """Middle of the gap behind the bar, where closed fingers go."""
    hook_gap_m: float
    """Free depth of that gap along the way that the bar is pulled."""
    hook_tilt_rad: float
    """How far the hand leans away from the fixture while it hooks; 0: it looks straight down."""


@dataclass(frozen=True, kw_only=True)
class FixtureJoint:
    """A moving member of a fixture. Its frame coincides with the fixture's while the joint is at 0."""

    name: str
    names: tuple[str, ...] = ()
    """English nouns of a member that is a thing of its own ("top drawer"); empty where it is spoken of by its fixture."""
    unseen_names: tuple[str, ...] = ()
    colour: str | None = None
    """Colour word of the member, where it has a colour of its own."""
    label: str | None = None
    """What is written on it."""
    rgba: Rgba | None = None
    """Main colour of its parts; None: that of the fixture."""
    type: Literal["slide", "hinge"]
    axis: Vec3
    pos_m: Vec3 = (0.0, 0.0, 0.0)
    """A point on the axis of a hinge, in the fixture's frame."""
    range_m: tuple[float, float]
    """Closed and fully open; rad for a hinge."""
    damping: float
    frictionloss: float
    mass_kg: float
    stiffness: float = 0.0
    """Of a spring that draws it to `spring_pos_m`: N/m, or N m/rad for a hinge; 0: none."""
    spring_pos_m: float = 0.0
    """Where the spring is at rest; rad for a hinge."""
    armature: float = 0.01
    """Inertia that its gear adds, in kg or kg m^2; a small part with little friction wants less."""
    open_threshold_m: float
    """From this position on it counts as open; rad for a hinge."""
    closed_threshold_m: float
    """Up to this position it counts as closed; rad for a hinge."""
    handle: Handle | None
    """What closed fingers hook; None for what is not pulled."""
    inside_m: tuple[Vec3, Vec3] | None = None
    """Lowest and highest corner, in the joint's frame, of the space in which things lie that are in it; None for what holds nothing."""
    control: Control | None = None
    """What is pressed, turned or flipped; None for what is not."""
    visual: tuple[Part, ...]
    collision: tuple[Primitive, ...]

    @property
    def handle_pos_m(self) -> Vec3:
        """Centre of the handle's bar, in the joint's frame. Raises BadSpec where there is no handle."""
        return self.require_handle().pos_m

    def at(self, position: float) -> Pose:
        """Returns the pose of the joint's frame in the fixture's frame while the joint is at a position in m, or rad for a hinge."""
        axis = np.array(self.axis, np.float64)
        if self.type == "slide":
            return pose(axis * position)
        anchor, turn = np.array(self.pos_m), from_axis_angle(axis * position)
        return Pose(anchor - rotate(turn, anchor), turn)

    def require_handle(self) -> Handle:
        """Returns the handle. Raises BadSpec where there is none."""
        if self.handle is None:
            raise BadSpec(f"the {self.type} {self.name!r} has no handle: its file gives no handle_pos_m, so it can be neither hooked nor pulled")
        return self.handle


@dataclass(frozen=True, kw_only=True)
class FixtureAsset:
    """Furniture. Its origin is the middle of its base, its front looks along +x."""

    id: str
    kind: str
    names: tuple[str, ...]
    unseen_names: tuple[str, ...] = ()
    colour: str | None
    rgba: Rgba
    split: Split
    size_m: Vec3
    """Extents of the part that stands still."""
    joints: tuple[FixtureJoint, ...]
    visual: tuple[Part, ...]
    collision: tuple[Primitive, ...]
    """Empty for what is only painted on the table: a zone, a line."""
    zone: Zone | None = None
    line: Line | None = None
    hole: Hole | None = None
    top: Top | None = None
    """Where things can stand; only of furniture that is there to be stood on."""

    @functools.cached_property
    def height_m(self) -> float:
        """The highest point of all that is seen of it while its joints are at 0."""
        parts = [*self.visual, *(part for joint in self.joints for part in joint.visual)]
        return float(joint_bounds([part.shape for part in parts])[1, 2])

    def joint(self, name: str) -> FixtureJoint:
        """Returns a joint by its name. Raises UnknownName."""
        for joint in self.joints:
            if joint.name == name:
                return joint
        raise unknown_name(f"joint of the {self.id}", name, [j.name for j in self.joints])

    def visual_parts(self, owner: str = "") -> tuple[Part, ...]:
        """Returns what is seen of the standing part, or of the joint named `owner`."""
        return self.joint(owner).visual if owner else self.visual

    def collision_parts(self, owner: str = "") -> tuple[Part, ...]:
        """Returns what is touched of the standing part, or of the joint named `owner`."""
        return as_parts(self.joint(owner).collision if owner else self.collision)


@functools.cache
def fixtures() -> Mapping[str, FixtureAsset]:
    """Returns all furniture that ships with vlagym, sorted by id."""
    files = sorted(assets.path("fixtures").glob("*/*/fixture.toml"), key=lambda f: f.parent.name)
    return MappingProxyType({asset.id: asset for asset in map(load_fixture, files)})


def get_fixture(fixture_id: str) -> FixtureAsset:
    """Returns a fixture by its id. Raises UnknownName with the near ones."""
    if fixture_id not in fixtures():
        raise unknown_name("fixture", fixture_id, fixtures(), "A fixture is a folder assets/fixtures/<kind>/<id>/ with a fixture.toml.")
    return fixtures()[fixture_id]


def load_fixture(path: Path) -> FixtureAsset:
    """Reads `<kind>/<id>/fixture.toml`, which holds everything or names a `design` that variants share.

    Raises:
      BadData: If a key is unknown, missing or wrong, or what the file says does not fit its shapes; with the file and the key.
    """
    kind, identifier, where = identity(path)
    raw = read(path, _Keys)
    visual, collision = shapes(raw.visual, raw.collision, where, painted=raw.zone is not None or raw.line is not None)
    check_marks(raw.zone, raw.line, raw.hole, where, raw.top)
    asset = FixtureAsset(
        id=identifier,
        kind=kind,
        names=raw.names,
        unseen_names=raw.unseen_names,
        colour=raw.colour,
        rgba=raw.rgba,
        split=raw.split,
        size_m=raw.size_m,
        joints=tuple(_joint(keys, f"{where}.joint[{k}]") for k, keys in enumerate(raw.joint)),
        visual=visual,
        collision=collision,
        zone=raw.zone,
        line=raw.line,
        hole=raw.hole,
        top=raw.top,
    )
    check_names(asset.names, asset.unseen_names, where)
    low, high = joint_bounds([p.shape for p in asset.visual])
    if np.abs(high - low - asset.size_m).max() > _SIZE_TOLERANCE_M or abs(low[2]) > 1e-3:
        found = " x ".join(f"{v:.4f}" for v in high - low)
        raise BadData(f"{where}.size_m is {asset.size_m}, but its visual shapes measure {found} m, from z = {low[2]:.4f}; they must begin at z = 0")
    return asset


def _joint(keys: _JointKeys, where: str) -> FixtureJoint:
    low, high = keys.range_m
    opened = keys.open_threshold_m
    if opened is None:
        if keys.control is None:
            raise BadData(f"{where} lacks the key 'open_threshold_m'; only a joint with a [joint.control] does without it")
        opened = high  # nobody speaks of an open button
    if not low < opened <= high:
        raise BadData(f"{where}.open_threshold_m is {opened}; it must lie within range_m, {low} to {high}")
    if not math.isclose(math.hypot(*keys.axis), 1.0, abs_tol=1e-6):
        raise BadData(f"{where}.axis is {keys.axis}; it must have length 1")
    closed = keys.closed_threshold_m
    if closed is None:
        closed = low if keys.control is not None else low + (_CLOSED_M if keys.type == "slide" else _CLOSED_RAD)
    if not low <= closed < opened:
        raise BadData(f"{where}.closed_threshold_m is {closed}; it must lie between {low}, where the range begins, and open_threshold_m")
    for key in ("damping", "frictionloss", "stiffness", "armature"):
        if getattr(keys, key) < 0.0:
            raise BadData(f"{where}.{key} is {getattr(keys, key)}; it must not be negative")
    if keys.mass_kg <= 0.0:
        raise BadData(f"{where}.mass_kg is {keys.mass_kg}; it must be above 0")
    if keys.names:
        check_names(keys.names, keys.unseen_names, where)
    elif keys.unseen_names:
        raise BadData(f"{where} has unseen_names but no names; a member that is a thing of its own needs both")
    if keys.inside_m is not None and not all(a < b for a, b in zip(*keys.inside_m, strict=True)):
        raise BadData(f"{where}.inside_m is {keys.inside_m}; it must be the lowest corner, then the highest one")
    visual, collision = shapes(keys.visual, keys.collision, where)
    return FixtureJoint(
        name=keys.name,
        names=keys.names,
        unseen_names=keys.unseen_names,
        colour=keys.colour,
        label=keys.label,
        rgba=keys.rgba,
        type=keys.type,
        axis=keys.axis,
        pos_m=keys.pos_m,
        range_m=keys.range_m,
        damping=keys.damping,
        frictionloss=keys.frictionloss,
        mass_kg=keys.mass_kg,
        stiffness=keys.stiffness,
        spring_pos_m=keys.spring_pos_m,
        armature=keys.armature,
        open_threshold_m=opened,
        closed_threshold_m=closed,
        handle=_handle(keys, where),
        inside_m=keys.inside_m,
        control=None if keys.control is None else check_control(keys.control, keys.type, keys.range_m, f"{where}.control"),
        visual=visual,
        collision=collision,
    )


def _handle(keys: _JointKeys, where: str) -> Handle | None:
    pos, axis, hook, gap = keys.handle_pos_m, keys.handle_axis, keys.hook_pos_m, keys.hook_gap_m
    if pos is None and axis is None and hook is None and gap is None:
        return None
    if pos is None or axis is None or hook is None or gap is None:
        raise BadData(f"{where} gives some of handle_pos_m, handle_axis, hook_pos_m and hook_gap_m; a handle needs all four")
    return Handle(pos_m=pos, axis=axis, hook_pos_m=hook, hook_gap_m=gap, hook_tilt_rad=math.radians(keys.hook_tilt_deg))


@dataclass(frozen=True, kw_only=True)
class _JointKeys:
    """Keys of a [[joint]] of a fixture."""

    name: str
    names: tuple[str, ...] = ()
    unseen_names: tuple[str, ...] = ()
    colour: str | None = None
    label: str | None = None
    rgba: Rgba | None = None
    type: Literal["slide", "hinge"]
    axis: Vec3
    pos_m: Vec3 = (0.0, 0.0, 0.0)
    range_m: tuple[float, float]
    damping: float
    frictionloss: float
    mass_kg: float
    stiffness: float = 0.0
    spring_pos_m: float = 0.0
    armature: float = 0.01
    open_threshold_m: float | None = None
    closed_threshold_m: float | None = None
    handle_pos_m: Vec3 | None = None
    handle_axis: Vec3 | None = None
    hook_pos_m: Vec3 | None = None
    hook_gap_m: float | None = None
    hook_tilt_deg: float = 0.0
    inside_m: tuple[Vec3, Vec3] | None = None
    control: Control | None = None
    visual: tuple[Any, ...]
    collision: tuple[Any, ...]


@dataclass(frozen=True, kw_only=True)
class _Keys:
    """Keys of a fixture.toml and its design together."""

    names: tuple[str, ...]
    unseen_names: tuple[str, ...] = ()
    colour: str | None = None
    rgba: Rgba
    split: Split
    design: str | None = None
    size_m: Vec3
    joint: tuple[_JointKeys, ...] = ()
    visual: tuple[Any, ...]
    collision: tuple[Any, ...] = ()
    zone: Zone | None = None
    line: Line | None = None
    hole: Hole | None = None
    top: Top | None = None
