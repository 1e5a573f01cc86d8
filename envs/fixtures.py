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
from vlagym.envs.errors import BadData, unknown_name
from vlagym.envs.shapes import Part, Primitive, as_parts, joint_bounds
from vlagym.envs.types import Rgba, Vec3

_SIZE_TOLERANCE_M = 0.0015


@dataclass(frozen=True, kw_only=True)
class FixtureJoint:
    """A moving member of a fixture. Its frame coincides with the fixture's while the joint is at 0."""

    name: str
    type: Literal["slide", "hinge"]
    axis: Vec3
    range_m: tuple[float, float]
    """Closed and fully open; rad for a hinge."""
    damping: float
    frictionloss: float
    mass_kg: float
    open_threshold_m: float
    """From this position on it counts as open; rad for a hinge."""
    handle_pos_m: Vec3
    """Centre of the handle's bar, in the joint's frame."""
    handle_axis: Vec3
    """Direction of the bar."""
    hook_pos_m: Vec3
    """Middle of the gap behind the bar, where closed fingers go."""
    hook_gap_m: float
    """Free depth of that gap along the joint's axis."""
    visual: tuple[Part, ...]
    collision: tuple[Primitive, ...]


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
    visual, collision = shapes(raw.visual, raw.collision, where)
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
    )
    check_names(asset.names, asset.unseen_names, where)
    low, high = joint_bounds([p.shape for p in asset.visual])
    if np.abs(high - low - asset.size_m).max() > _SIZE_TOLERANCE_M or abs(low[2]) > 1e-3:
        found = " x ".join(f"{v:.4f}" for v in high - low)
        raise BadData(f"{where}.size_m is {asset.size_m}, but its visual shapes measure {found} m, from z = {low[2]:.4f}; they must begin at z = 0")
    return asset


def _joint(keys: _JointKeys, where: str) -> FixtureJoint:
    low, high = keys.range_m
    if not low < keys.open_threshold_m <= high:
        raise BadData(f"{where}.open_threshold_m is {keys.open_threshold_m}; it must lie within range_m, {low} to {high}")
    if not math.isclose(math.hypot(*keys.axis), 1.0, abs_tol=1e-6):
        raise BadData(f"{where}.axis is {keys.axis}; it must have length 1")
    for key in ("damping", "frictionloss"):
        if getattr(keys, key) < 0.0:
            raise BadData(f"{where}.{key} is {getattr(keys, key)}; it must not be negative")
    if keys.mass_kg <= 0.0:
        raise BadData(f"{where}.mass_kg is {keys.mass_kg}; it must be above 0")
    visual, collision = shapes(keys.visual, keys.collision, where)
    return FixtureJoint(
        name=keys.name,
        type=keys.type,
        axis=keys.axis,
        range_m=keys.range_m,
        damping=keys.damping,
        frictionloss=keys.frictionloss,
        mass_kg=keys.mass_kg,
        open_threshold_m=keys.open_threshold_m,
        handle_pos_m=keys.handle_pos_m,
        handle_axis=keys.handle_axis,
        hook_pos_m=keys.hook_pos_m,
        hook_gap_m=keys.hook_gap_m,
        visual=visual,
        collision=collision,
    )


@dataclass(frozen=True, kw_only=True)
class _JointKeys:
    """Keys of a [[joint]] of a fixture."""

    name: str
    type: Literal["slide", "hinge"]
    axis: Vec3
    range_m: tuple[float, float]
    damping: float
    frictionloss: float
    mass_kg: float
    open_threshold_m: float
    handle_pos_m: Vec3
    handle_axis: Vec3
    hook_pos_m: Vec3
    hook_gap_m: float
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
    collision: tuple[Any, ...]
