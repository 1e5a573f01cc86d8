"""What has been poured: the beads of a cup lie in another vessel."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from vlagym.envs.errors import BadSpec
from vlagym.envs.frames import Pose
from vlagym.envs.objects import ObjectAsset
from vlagym.envs.predicates.state import WorldState, asset_of, prop_of
from vlagym.envs.types import EpisodeSpec

POURED_SHARE = 0.8
"""Of the beads of a cup that must lie in the vessel: who spills more than a fifth of them cannot succeed any more."""


def contents_of(spec: EpisodeSpec, cup: str) -> tuple[str, ...]:
    """Returns the beads that a cup holds when the episode begins. Raises UnknownName, or BadSpec if it is empty."""
    prop_of(spec, cup)
    beads = spec.contents(cup)
    if not beads:
        raise BadSpec(f"nothing can be poured out of {cup!r}: no prop of the scene is its content")
    return beads


def is_in(asset: ObjectAsset, scale: float, vessel: Pose, point: Pose) -> bool:
    """Returns whether a small thing lies within a vessel: inside its outline and below its rim."""
    x, y, z = vessel.inverse().apply(point.pos) / scale
    return math.hypot(x, y) < min(asset.size_m[:2]) / 2 and -0.002 < z < asset.size_m[2]


class Poured:
    """poured(cup, bowl): at least 80 % of what was in the cup lies in the bowl."""

    arity = 2

    def __init__(self, spec: EpisodeSpec, cup: str, bowl: str) -> None:
        self._beads, self._bowl = contents_of(spec, cup), bowl
        self._asset, self._scale = asset_of(spec, bowl), prop_of(spec, bowl).scale
        if self._asset.place is None:
            raise BadSpec(f"nothing can be poured into {bowl!r}: {self._asset.id!r} holds nothing")
        self._needed = math.ceil(POURED_SHARE * len(self._beads) - 1e-9)

    def __call__(self, state: WorldState) -> bool:
        vessel = state.props[self._bowl]
        return sum(is_in(self._asset, self._scale, vessel, state.props[bead]) for bead in self._beads) >= self._needed


PREDICATES: Mapping[str, type[Any]] = {"poured": Poured}
"""Name -> class."""
