"""What has been poured: the beads of a cup lie in another vessel."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from vlagym.envs.errors import BadSpec
from vlagym.envs.frames import Array, Pose
from vlagym.envs.objects import ObjectAsset
from vlagym.envs.predicates.state import WorldState, asset_of, is_upright, prop_of
from vlagym.envs.types import EpisodeSpec

POURED_SHARE = 0.8
"""Of the beads of a cup that must lie in the vessel: who spills more than a fifth of them cannot succeed any more."""

_TOLERANCE_M = 0.004
"""So much contacts yield, and the wall of a bowl bulges."""


def contents_of(spec: EpisodeSpec, cup: str) -> tuple[str, ...]:
    """Returns the beads that a cup holds when the episode begins. Raises UnknownName, or BadSpec if it is empty."""
    prop_of(spec, cup)
    beads = spec.contents(cup)
    if not beads:
        raise BadSpec(f"nothing can be poured out of {cup!r}: no prop of the scene is its content")
    return beads


def is_in(asset: ObjectAsset, vessel: Pose, point: Pose) -> bool:
    """Returns whether a small thing lies within a vessel: inside its outline and below its rim."""
    x, y, z = vessel.inverse().apply(point.pos)
    return math.hypot(x, y) < min(asset.size_m[:2]) / 2 and -0.002 < z < asset.size_m[2]


class Poured:
    """poured(cup, bowl): the bowl stands upright, and at least 80 % of what was in the cup has left it and lies in the bowl.

    A bead lies in the bowl from its floor to its rim, within a wall that widens evenly from the one to the other: what lies under the rim
    outside does not count, and neither does what is still in a cup that has been set down in the bowl.
    """

    arity = 2

    def __init__(self, spec: EpisodeSpec, cup: str, bowl: str) -> None:
        self._beads, self._cup, self._bowl = contents_of(spec, cup), cup, bowl
        self._cup_asset = asset_of(spec, cup)
        asset = asset_of(spec, bowl)
        if asset.place is None:
            raise BadSpec(f"nothing can be poured into {bowl!r}: {asset.id!r} holds nothing")
        self._floor_m, self._rim_m = asset.place.surface_height_m, asset.size_m[2]
        self._floor_radius_m, self._rim_radius_m = asset.place.inner_radius_m, min(asset.size_m[:2]) / 2
        self._bead_height_m = asset_of(spec, self._beads[0]).size_m[2]
        self._needed = math.ceil(POURED_SHARE * len(self._beads) - 1e-9)

    def __call__(self, state: WorldState) -> bool:
        bowl, cup = state.props[self._bowl], state.props[self._cup]
        if not is_upright(bowl):
            return False
        from_world = bowl.inverse()
        there = [state.props[b] for b in self._beads if not is_in(self._cup_asset, cup, state.props[b])]
        middle = np.array([0.0, 0.0, self._bead_height_m / 2])  # its origin rolls with a bead
        return sum(self._holds(from_world.apply(bead.apply(middle))) for bead in there) >= self._needed

    def _holds(self, point: Array) -> bool:
        """Returns whether a point (3,) of the bowl's frame, m, lies within its wall."""
        x, y, z = (float(v) for v in point)
        share = min(max((z - self._floor_m) / (self._rim_m - self._floor_m), 0.0), 1.0)
        wall = self._floor_radius_m + share * (self._rim_radius_m - self._floor_radius_m)
        return math.hypot(x, y) <= wall + _TOLERANCE_M and self._floor_m - _TOLERANCE_M <= z <= self._rim_m


PREDICATES: Mapping[str, type[Any]] = {"poured": Poured}
"""Name -> class."""
