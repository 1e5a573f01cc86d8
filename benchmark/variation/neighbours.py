"""What stands near a thing of the goal: places on the table beside it that are free, and leave all goals the room that they need."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from vlagym.benchmark.axis import NotApplicable, Unfit
from vlagym.benchmark.rewording import said_again
from vlagym.benchmark.variation.ground import GAP_M, Spot, Unit, units
from vlagym.benchmark.variation.room import hindrance
from vlagym.envs.objects import ObjectAsset, catalog, get
from vlagym.envs.task import footprint_m
from vlagym.envs.types import EpisodeSpec, PropSpec

_TABLE_X_M, _TABLE_Y_M = (0.28, 0.70), (-0.34, 0.34)
"""Of the table top that an arm works over and every arena has."""
_NUM_ANGLES = 24


def subjects(spec: EpisodeSpec) -> list[Unit]:
    """Returns what the goal is about and stands on the table: the things that are to be handled before those that they go to.

    Raises:
      NotApplicable: If there is no such thing.
    """
    standing = {unit.names[0]: unit for unit in units(spec) if unit.spots and unit.spots[0].kind in ("taken", "thing")}
    predicates = (*spec.goal, *(p for step in spec.steps for p in step))
    names = dict.fromkeys([*(p.things[0] for p in predicates if p.things), *spec.named])
    found = [standing[name] for name in names if name in standing]
    if not found:
        raise NotApplicable(f"the goal of {spec.task!r} names nothing that stands on the table by itself: nothing can stand beside it")
    return found


def angles(rng: np.random.Generator) -> list[float]:
    """Returns directions all around, in rad from the x axis of the world, in a random order."""
    first = float(rng.uniform(-math.pi, math.pi))
    return [first + 2 * math.pi * int(k) / _NUM_ANGLES for k in rng.permutation(_NUM_ANGLES)]


def beside(spec: EpisodeSpec, subject: Unit, asset: ObjectAsset, name: str, gap_m: float, angle_rad: float, yaw_rad: float) -> PropSpec | None:
    """Returns an object upright on the table, beside one of `subjects`; None where something stands there, or the arm does not work.

    Args:
      spec: Where it is to stand.
      subject: Beside what.
      asset: Of the object.
      name: Of the new prop.
      gap_m: Between its outline and that of the subject, both taken as circles.
      angle_rad: Direction from the subject, from the x axis of the world.
      yaw_rad: Its turn.
    """
    away = subject.spots[0].radius_m + gap_m + footprint_m(asset)
    x, y = (round(subject.x + away * math.cos(angle_rad), 5), round(subject.y + away * math.sin(angle_rad), 5))
    here = Spot(x, y, footprint_m(asset), "thing")
    others = [spot for unit in units(spec) for spot in unit.spots if unit.names[0] != subject.names[0] and spot.kind != "mark"]
    voids = [spot for spot in subject.spots if spot.kind == "void"]
    is_worked_at = _TABLE_X_M[0] <= x <= _TABLE_X_M[1] and _TABLE_Y_M[0] <= y <= _TABLE_Y_M[1]
    if not is_worked_at or any(here.gap_m(spot) < GAP_M for spot in (*others, *voids)):
        return None
    turn = (round(math.cos(yaw_rad / 2), 6), 0.0, 0.0, round(math.sin(yaw_rad / 2), 6))
    return PropSpec(name=name, asset=asset.id, pos_world=(x, y, 0.0), quat_world_wxyz=turn)


def somewhere_beside(spec: EpisodeSpec, asset: ObjectAsset, name: str, gap_m: float, rng: np.random.Generator) -> PropSpec:
    """Returns an object beside the first of `subjects` that has room for it, in a direction where there is; the rest is as with `beside`.

    Raises:
      NotApplicable: As `subjects`.
      Unfit: If there is room beside none of them.
    """
    yaw = float(rng.uniform(-math.pi, math.pi))
    for subject in subjects(spec):
        for angle in angles(rng):
            prop = beside(spec, subject, asset, name, gap_m, angle, yaw)
            if prop is not None and hindrance(_with(spec, [prop])) is None:
                return prop
    raise Unfit(f"there is no room {100 * gap_m:g} cm beside what the goal is about")


def with_neighbours(spec: EpisodeSpec, props: list[PropSpec], rng: np.random.Generator) -> EpisodeSpec:
    """Returns the episode with further props in its scene, of the unseen split where one of them is; said again where that is needed.

    Raises:
      Unfit: If what could be asked for in the scene has no room any more, or cannot be said.
    """
    varied = _with(spec, props)
    if (hindered := hindrance(varied)) is not None:
        raise Unfit(hindered)
    return said_again(varied, rng)


def strangers(spec: EpisodeSpec, suits: Callable[[ObjectAsset], bool]) -> list[ObjectAsset]:
    """Returns the objects, of either split, that suit and of which the scene has none yet, sorted by id.

    Raises:
      NotApplicable: If there are none.
    """
    here = {p.asset for p in spec.scene.props} | {p.name for p in spec.scene.props} | {f.name for f in spec.scene.fixtures}
    found = [a for a in catalog().values() if a.id not in here and "bead" not in a.roles and suits(a)]
    if not found:
        raise NotApplicable(f"the catalogue has no object left that could stand beside what {spec.task!r} is about")
    return found


def draw(assets: list[ObjectAsset], rng: np.random.Generator) -> ObjectAsset:
    """Returns one of some objects."""
    return assets[int(rng.integers(len(assets)))]


def _with(spec: EpisodeSpec, props: list[PropSpec]) -> EpisodeSpec:
    split = "unseen" if any(get(prop.asset).split == "unseen" for prop in props) else spec.split
    return replace(spec, split=split, scene=replace(spec.scene, props=(*spec.scene.props, *props)))
