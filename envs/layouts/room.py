"""What fits on or into what: which goal puts a thing there, and whether several have room side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence

from vlagym.envs.objects import ObjectAsset, catalog
from vlagym.envs.task import footprint_m
from vlagym.envs.types import Predicate

APART_M = 0.006
"""Half of what is left free between two things that are put side by side."""
INNER_M = 0.008
"""So far within the radius of a support its things are put down."""
WALL_M = 0.006
"""From the outside of a container to where things have room."""
_FLAT_M = 0.045
"""Things lower than this may be longer than the middle of what they lie on."""


def put_into(thing: str, destination: str) -> Predicate:
    """Returns the condition that a prop has been put on another one, or inside where that is a container; both named by their assets."""
    container = "container" in catalog()[destination].roles
    return Predicate(name="inside" if container else "on", args=(thing, destination))


def fit_together(things: Sequence[str], destination: str) -> bool:
    """Returns whether objects have room on or in another one, side by side; all named by their assets."""
    return have_room([catalog()[thing] for thing in things], catalog()[destination])


def have_room(assets: Sequence[ObjectAsset], target: ObjectAsset) -> bool:
    """Returns whether objects have room on or in another one, side by side."""
    if target.place is None:
        return False
    inner, radius = target.place.inner_radius_m, max(footprint_m(asset) for asset in assets)
    if len(assets) > 1:
        ring = ring_m(len(assets), radius)
        wall = min(target.size_m[:2]) / 2 - WALL_M if "container" in target.roles else math.inf
        return ring <= inner - INNER_M and ring + radius <= wall
    if "container" not in target.roles and assets[0].size_m[2] <= _FLAT_M:
        return radius <= footprint_m(target) + 0.005
    return radius <= inner + 0.01


def ring_m(count: int, radius_m: float) -> float:
    """Returns the radius of the ring on which the middles of `count` things of that radius lie side by side; 0 for one."""
    return (radius_m + APART_M) / math.sin(math.pi / count) if count > 1 else 0.0
