"""Further things stand on the table, which the task has nothing to do with."""

from __future__ import annotations

import dataclasses
import math
from typing import NamedTuple

import numpy as np

from vlagym.benchmark.axis import Axis, NotApplicable, Unfit
from vlagym.benchmark.rewording import said_again
from vlagym.benchmark.variation.ground import FINGER_GAP_M, GAP_M, Spot, Unit, spot_of, units
from vlagym.benchmark.variation.room import hindrance
from vlagym.envs import catalog
from vlagym.envs.catalogues import CORE, FULL, catalogue_of
from vlagym.envs.objects import ObjectAsset, get
from vlagym.envs.objects import catalog as objects
from vlagym.envs.robot import Robot
from vlagym.envs.split import place_split
from vlagym.envs.task import Region, footprint_m
from vlagym.envs.types import EpisodeSpec, PropSpec


class _Crowd(NamedTuple):
    """What a level puts on the table."""

    num: int
    alike: int
    """How many of them are of the kind or colour of something that the goal is about, where it is about single things."""
    unseen: bool
    """Whether they may be unseen."""
    largest_m: float
    """Radius of the circle around their outlines, at most."""


_LEVELS = {
    1: _Crowd(1, 0, False, 0.06),
    2: _Crowd(2, 0, False, 0.06),
    3: _Crowd(3, 1, False, 0.055),
    4: _Crowd(5, 2, False, 0.05),
    5: _Crowd(8, 3, True, 0.045),
}
_LOW_M = 0.10
"""What is not higher: arms pass over it, and cameras see past it."""
_REGION = Region(x_m=(0.30, 0.73), y_m=(-0.35, 0.35))
_ROLES = frozenset(("graspable", "support", "container"))
_TRIES, _TRIES_A_THING = 4, 150
_MARGIN_M = 1e-4
"""To the border of a cell that is kept for evaluation, for poses are rounded before they stand in a spec."""


def _distractors(spec: EpisodeSpec, level: int, rng: np.random.Generator) -> EpisodeSpec:
    robot: Robot = catalog.load("robot", spec.robot)
    if not robot.keeps_places:
        raise NotApplicable(f"the arms of {spec.robot!r} sweep over the whole table as they work: nothing further can stand on it out of their way")
    crowd, taken = _LEVELS[level], units(spec)
    needed = _needed(spec)
    assets = _candidates(spec, crowd)
    kin = [asset for asset in assets if _is_alike(spec, asset)]
    for _ in range(_TRIES):
        chosen = _drawn(kin, crowd.alike, rng)
        chosen += _drawn([asset for asset in assets if asset not in chosen], crowd.num - len(chosen), rng)
        if len(chosen) < crowd.num:
            raise NotApplicable(f"the catalogue has {len(assets)} further things that do not belong to what is asked for; {crowd.num} are wanted")
        added = _put(spec, chosen, taken, needed, rng)
        if added is None:
            continue
        varied = dataclasses.replace(spec, scene=dataclasses.replace(spec.scene, props=(*spec.scene.props, *added)))
        if hindrance(varied) is not None:
            continue
        if any(asset.split == "unseen" for asset in chosen):
            varied = dataclasses.replace(varied, split="unseen")
        return said_again(varied, rng)
    raise Unfit(f"{crowd.num} further things do not find room")


def _needed(spec: EpisodeSpec) -> frozenset[str]:
    """Returns what the goal or an alternative is about: a hand must get there."""
    goals = (spec.goal, *spec.alternatives, *spec.steps)
    return frozenset(name for goal in goals for predicate in goal for name in predicate.things)


def _candidates(spec: EpisodeSpec, crowd: _Crowd) -> list[ObjectAsset]:
    """Returns the objects that may come, sorted by id: small and low ones that are not there, of the world that the episode is from; none that would
    belong to a group of things that is asked for as a whole."""
    there = {p.asset for p in spec.scene.props}
    core = catalogue_of(CORE)
    is_core = there <= core.objects and {f.asset for f in spec.scene.fixtures} <= core.fixtures
    world = catalogue_of(CORE if is_core else FULL).objects
    grouped = [get(p.asset) for p in spec.scene.props if p.name in _grouped(spec)]
    kept = {a.category for a in grouped} | {a.kind for a in grouped}
    colours = {a.colour for a in grouped if a.colour}
    return [
        asset
        for asset in objects().values()
        if asset.id in world
        and asset.id not in there
        and _ROLES & set(asset.roles)
        and "bead" not in asset.roles
        and footprint_m(asset) <= crowd.largest_m
        and asset.size_m[2] <= _LOW_M
        and (crowd.unseen or asset.split == "seen")
        and not {asset.category, asset.kind} & kept
        and asset.colour not in colours
    ]


def _grouped(spec: EpisodeSpec) -> frozenset[str]:
    """Returns the props that go to one place together with others: "both lemons", "all the fruit"."""
    moves = {predicate for goal in (spec.goal, *spec.steps) for predicate in goal if len(predicate.things) == 2}
    return frozenset(move.things[0] for move in moves if sum(other.args[1:] == move.args[1:] for other in moves) > 1)


def _is_alike(spec: EpisodeSpec, asset: ObjectAsset) -> bool:
    """Returns whether an object is of the kind or of the colour of something that the goal is about."""
    named = [get(p.asset) for p in spec.scene.props if p.name in spec.named]
    return any(asset.kind == one.kind or (asset.colour is not None and asset.colour == one.colour) for one in named)


def _drawn(assets: list[ObjectAsset], count: int, rng: np.random.Generator) -> list[ObjectAsset]:
    return [assets[int(i)] for i in rng.permutation(len(assets))[: max(count, 0)]]


def _put(
    spec: EpisodeSpec, assets: list[ObjectAsset], taken: tuple[Unit, ...], needed: frozenset[str], rng: np.random.Generator
) -> list[PropSpec] | None:
    """Returns the objects as props in free places; None if one finds none. The larger ones come first."""
    names = {p.name for p in spec.scene.props} | {f.name for f in spec.scene.fixtures}
    added: list[PropSpec] = []
    for asset in sorted(assets, key=lambda a: -footprint_m(a)):
        name = next(name for k in range(1, 100) if (name := asset.id if k == 1 else f"{asset.id}_{k}") not in names)
        for _ in range(_TRIES_A_THING):
            x, y, yaw = (float(rng.uniform(*side)) for side in (_REGION.x_m, _REGION.y_m, (-math.pi, math.pi)))
            prop = PropSpec(
                name=name,
                asset=asset.id,
                pos_world=(round(x, 5), round(y, 5), 0.0),
                quat_world_wxyz=(round(math.cos(yaw / 2), 6), 0.0, 0.0, round(math.sin(yaw / 2), 6)),
            )
            if _is_free(prop, added, taken, needed):
                added.append(prop)
                names.add(name)
                break
        else:
            return None
    return added


def _is_free(prop: PropSpec, added: list[PropSpec], taken: tuple[Unit, ...], needed: frozenset[str]) -> bool:
    """Returns whether a prop stands in a seen cell of the table, with room for fingers around what is handled, and off all marks and voids."""
    spot = spot_of(prop)
    corners = {place_split(spot.x + dx, spot.y + dy) for dx in (-_MARGIN_M, _MARGIN_M) for dy in (-_MARGIN_M, _MARGIN_M)}
    if corners != {"seen"} or any(spot.gap_m(spot_of(other)) < GAP_M for other in added):
        return False
    return all(spot.gap_m(near) >= _gap_m(near, not needed.isdisjoint(unit.names)) for unit in taken for near in unit.spots)


def _gap_m(near: Spot, is_needed: bool) -> float:
    if near.kind == "mark":
        return 0.0
    return FINGER_GAP_M if is_needed and near.kind != "void" else GAP_M


def _told(crowd: _Crowd) -> str:
    things = "one further thing" if crowd.num == 1 else f"{crowd.num} further things"
    alike = f", up to {crowd.alike} of them of the kind or colour of what is asked for" if crowd.alike else ""
    return f"{things}{alike}{'; unseen ones too' if crowd.unseen else ''}"


AXIS = Axis(
    group="layout",
    changes=("scene", "instruction", "phrase", "level", "split"),
    apply=_distractors,
    tells=tuple(map(_told, _LEVELS.values())),
)
