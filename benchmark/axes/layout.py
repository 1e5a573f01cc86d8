"""Things stand elsewhere: a little beside, then anywhere, at last in the cells of the table that are kept for evaluation."""

from __future__ import annotations

import dataclasses
import math
from typing import NamedTuple

import numpy as np

from vlagym.benchmark.axis import Axis, NotApplicable, Unfit
from vlagym.benchmark.rewording import said_again
from vlagym.benchmark.variation.ground import Unit, is_clear, moved, units
from vlagym.benchmark.variation.room import hindrance
from vlagym.envs import catalog
from vlagym.envs.fixtures import get_fixture
from vlagym.envs.robot import Robot
from vlagym.envs.split import place_split
from vlagym.envs.task import Region
from vlagym.envs.types import EpisodeSpec, FixtureSpec

_SHIFT_M = {1: 0.03, 2: 0.06, 3: 0.12, 4: 0.12, 5: math.inf}
"""By level: how far a thing moves at most; at least a third of it, where it has no joints and there is room."""
_TURN_RAD = {1: math.radians(10), 2: math.radians(30), 3: math.radians(90), 4: math.radians(90), 5: math.pi}
_TURN_OF_FURNITURE_RAD = {1: 0.05, 2: 0.1, 3: 0.15, 4: 0.2, 5: 0.25}
_UNSEEN_SHARE = 0.6
"""Of the things of level 5, beside the one that it is about: how often a cell is sought that is kept for evaluation."""
_TRIES, _TRIES_A_UNIT = 12, 60
_MARGIN_M = 1e-4
"""To the border of a cell, for poses are rounded before they stand in a spec."""


class _Range(NamedTuple):
    """Where a unit may come to stand; its own place belongs to it."""

    region: Region
    yaw_rad: float
    """Furniture is turned so far at most from where its front looks straight away from the robot."""


_THINGS = _Range(Region(x_m=(0.35, 0.63), y_m=(-0.235, 0.235)), math.inf)
_HOLES = _Range(Region(x_m=(0.38, 0.60), y_m=(-0.21, 0.21)), 1.5)
_WITH_HANDLES = _Range(Region(x_m=(0.34, 0.46), y_m=(-0.20, 0.20)), 0.3)
_WIDE = _Range(Region(x_m=(0.35, 0.43), y_m=(-0.10, 0.10)), 0.25)
_WITH_CONTROLS = _Range(Region(x_m=(0.40, 0.54), y_m=(-0.21, 0.21)), 0.4)
_STANDING = _Range(Region(x_m=(0.35, 0.45), y_m=(-0.29, 0.29)), 0.3)


def _layout(spec: EpisodeSpec, level: int, rng: np.random.Generator) -> EpisodeSpec:
    robot: Robot = catalog.load("robot", spec.robot)
    if not robot.keeps_places:
        raise NotApplicable(f"things stand where each hand of {spec.robot!r} can do its part, and its table has no cells kept for evaluation")
    before = units(spec)
    if not before:
        raise NotApplicable(f"nothing stands on the table of {spec.task!r} with seed {spec.seed}")
    for _ in range(_TRIES):
        after = _placed(spec, before, level, rng)
        if after is None:
            continue
        varied = moved(spec, list(zip(before, after, strict=True)))
        if hindrance(varied) is None:
            varied = dataclasses.replace(varied, split=spec.split if level < 4 else "unseen")
            return said_again(varied, rng)
    raise Unfit("things do not find room, and leave room for what could be asked for")


def _placed(spec: EpisodeSpec, before: tuple[Unit, ...], level: int, rng: np.random.Generator) -> list[Unit] | None:
    """Returns units in new places, in the order in which they are given; None if one finds none."""
    subject = _subject(spec, before)
    known = {unit.names[0]: unit for unit in before}
    # What has the least choice comes first: what must reach a cell, then furniture.
    fixtures = {f.name: f for f in spec.scene.fixtures}
    order = sorted(before, key=lambda unit: (unit is not subject or level < 4, unit.names[0] not in fixtures))
    placed: dict[str, Unit] = {}
    for unit in order:
        seeks = level >= 4 and (unit is subject or (level == 5 and rng.random() < _UNSEEN_SHARE))
        for trial in range(_TRIES_A_UNIT):
            # Not everything finds room in the few cells; what it is about must.
            must = seeks and (unit is subject or 2 * trial < _TRIES_A_UNIT)
            there = _drawn(unit, fixtures.get(unit.names[0]), level, must, rng, is_crowded=2 * trial >= _TRIES_A_UNIT)
            if there is not None and is_clear(there, placed.values(), known):
                placed[unit.names[0]] = there
                break
        else:
            return None
    return [placed[unit.names[0]] for unit in before]


def _subject(spec: EpisodeSpec, of: tuple[Unit, ...]) -> Unit | None:
    """Returns the unit of what the goal names first; of what is pushed off something, or along it, that is the whole."""
    for name in spec.named:
        for unit in of:
            if name in unit.names:
                return unit
    return None


def _drawn(
    unit: Unit, fixture: FixtureSpec | None, level: int, must_be_unseen: bool, rng: np.random.Generator, *, is_crowded: bool
) -> Unit | None:
    """Returns a unit somewhere else; None where it may not stand there. Where it is crowded it may hardly move, or, at level 4, make way farther."""
    allowed = _range(fixture)
    (low_x, high_x), (low_y, high_y) = _with(allowed.region.x_m, unit.x), _with(allowed.region.y_m, unit.y)
    makes_way = level == 4 and (is_crowded or fixture is not None)  # there are few places for furniture: it may have to change sides
    far = math.inf if must_be_unseen or makes_way else _SHIFT_M[level]
    least = 0.0 if is_crowded else _SHIFT_M[level] / 3
    low_x, high_x, low_y, high_y = max(low_x, unit.x - far), min(high_x, unit.x + far), max(low_y, unit.y - far), min(high_y, unit.y + far)
    x, y = float(rng.uniform(low_x, high_x)), float(rng.uniform(low_y, high_y))
    is_furniture = fixture is not None and bool(get_fixture(fixture.asset).joints)
    way = math.hypot(x - unit.x, y - unit.y)
    if way > far or (far < math.inf and way < least and not is_furniture):
        return None
    corners = {place_split(x + dx, y + dy) for dx in (-_MARGIN_M, _MARGIN_M) for dy in (-_MARGIN_M, _MARGIN_M)}
    if must_be_unseen and corners != {"unseen"}:
        return None
    if level < 4 and corners != {"seen"} and place_split(unit.x, unit.y) == "seen":
        return None
    most = _TURN_RAD[level] if math.isinf(allowed.yaw_rad) or not is_furniture else _TURN_OF_FURNITURE_RAD[level]
    turn = float(rng.uniform(-most, most))
    if fixture is not None and math.isfinite(allowed.yaw_rad):
        bound = max(allowed.yaw_rad, abs(fixture.yaw_rad))
        turn = min(max(fixture.yaw_rad + turn, -bound), bound) - fixture.yaw_rad
    return unit.at(x, y, turn)


def _range(fixture: FixtureSpec | None) -> _Range:
    asset = None if fixture is None else get_fixture(fixture.asset)
    if asset is None or not asset.collision:
        return _THINGS
    if asset.hole is not None:
        return _HOLES
    if any(joint.handle is not None for joint in asset.joints):
        return _WIDE if asset.kind == "sideboard" else _WITH_HANDLES
    return _WITH_CONTROLS if asset.joints else _STANDING


def _with(side: tuple[float, float], own: float) -> tuple[float, float]:
    return min(side[0], own), max(side[1], own)


def _told(level: int) -> str:
    how = f"up to {100 * _SHIFT_M[level]:g} cm away" if level < 5 else "anywhere on the table"
    cells = {
        4: "; what the goal names first in a cell that is kept for evaluation, others farther where they make way for it",
        5: "; what the goal names first in a cell that is kept for evaluation, and as much of the rest as has room there",
    }
    return f"everything {how} and turned by up to {math.degrees(_TURN_RAD[level]):.0f} degrees{cells.get(level, '')}"


AXIS = Axis(
    group="layout", changes=("scene", "instruction", "phrase", "level", "split"), apply=_layout, tells=tuple(_told(level) for level in _SHIFT_M)
)
