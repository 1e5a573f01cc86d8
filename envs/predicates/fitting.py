"""What has been fitted: a peg or key that stands in its hole, a lid that sits on its pot."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from vlagym.envs.errors import BadSpec
from vlagym.envs.marks import Hole
from vlagym.envs.objects import ObjectAsset
from vlagym.envs.predicates.state import WorldState, asset_of, fixture_of, fixture_pose, is_upright
from vlagym.envs.types import EpisodeSpec, FixtureSpec

SEATED_M = 0.006
"""Above the floor of its hole, what is inserted may end by so much."""
LID_OFFSET_M = 0.012
"""The middle of a lid lies within this distance of the middle of its pot."""
LID_RIM_M = (-0.016, 0.004)
"""Height of the foot of a lid that sits, from the rim of its pot."""


def hole_of(spec: EpisodeSpec, name: str) -> tuple[FixtureSpec, Hole]:
    """Returns a hole of the scene. Raises UnknownName, or BadSpec if the fixture has none."""
    fixture, asset = fixture_of(spec, name)
    if asset.hole is None:
        raise BadSpec(f"{name!r} has no hole: the file of {asset.id!r} has no [hole]")
    return fixture, asset.hole


def fits(asset: ObjectAsset, hole: Hole, play_m: float = 0.002) -> bool:
    """Returns whether something goes into a hole upright, with some play on every side, if it is turned as it must be."""
    x, y, _ = asset.size_m
    if hole.outline == "round":
        across = max(x, y) if asset.yaw_symmetry == 0 else math.hypot(x, y)
        return across + 2 * play_m <= hole.size_m[0]
    return min(x, y) + 2 * play_m <= min(hole.size_m) and max(x, y) + 2 * play_m <= max(hole.size_m)


class Inserted:
    """inserted(a, hole): a stands upright in the hole, down on its floor, let go."""

    arity = 2

    def __init__(self, spec: EpisodeSpec, a: str, hole: str) -> None:
        asset_of(spec, a)
        fixture, self._hole = hole_of(spec, hole)
        self._a, self._from_world = a, fixture_pose(fixture).inverse()

    def __call__(self, state: WorldState) -> bool:
        here = self._from_world @ state.props[self._a]
        x, y, z = here.pos
        if self._a in state.held or z > self._hole.floor_m + SEATED_M or self._hole.inside_m(x, y) < 0.0 or not is_upright(here):
            return False
        return frozenset((self._a, "robot")) not in state.touching


class Covered:
    """covered(lid, pot): the lid sits on the pot, level and in its middle, let go."""

    arity = 2

    def __init__(self, spec: EpisodeSpec, lid: str, pot: str) -> None:
        for name, role in ((lid, "lid"), (pot, "pot")):
            if role not in asset_of(spec, name).roles:
                raise BadSpec(f"{name!r} is no {role}: the roles of {asset_of(spec, name).id!r} are {', '.join(asset_of(spec, name).roles)}")
        self._lid, self._pot = lid, pot
        self._rim = asset_of(spec, pot).size_m[2]

    def __call__(self, state: WorldState) -> bool:
        here = state.props[self._pot].inverse() @ state.props[self._lid]
        x, y, z = here.pos
        low, high = (self._rim + height for height in LID_RIM_M)
        if self._lid in state.held or math.hypot(x, y) > LID_OFFSET_M or not low <= z <= high or not is_upright(here):
            return False
        touching = state.touching
        return frozenset((self._lid, self._pot)) in touching and frozenset((self._lid, "robot")) not in touching


PREDICATES: Mapping[str, type[Any]] = {"inserted": Inserted, "covered": Covered}
"""Name -> class."""
