"""The ground plan of a scene: what stands together, how much room it takes seen from above, and what must stay free before furniture."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

import numpy as np

from vlagym.benchmark.axis import Unfit
from vlagym.envs.fixtures import get_fixture
from vlagym.envs.frames import from_yaw, multiply, to_matrix
from vlagym.envs.layouts.cells import UPON_M
from vlagym.envs.objects import asset_of
from vlagym.envs.split import start_of
from vlagym.envs.task import footprint_m
from vlagym.envs.types import EpisodeSpec, FixtureSpec, PropSpec

Kind = Literal["thing", "taken", "void", "mark"]
"""thing: stands there. taken: stands there, and a hand takes it, whose fingers need room. void: must stay free, for a hand or a door. mark: is
painted on the table."""

FINGER_GAP_M, GAP_M = 0.05, 0.015
"""Beside what a hand takes, and between other things: as the tasks lay out."""
_MARKS_GAP_M = 0.02
_BEFORE_M, _BEFORE_RADIUS_M = 0.06, 0.09
"""From the front of furniture, and from each handle, to the middle of where drawers and hands go, and how much room that takes."""
_LINE_WIDTH_M = 0.03


class Spot(NamedTuple):
    """A circle on the table; m, world frame."""

    x: float
    y: float
    radius_m: float
    kind: Kind

    def gap_m(self, other: Spot) -> float:
        """Returns how far two circles are apart; below 0 where they overlap."""
        return math.hypot(self.x - other.x, self.y - other.y) - self.radius_m - other.radius_m


@dataclasses.dataclass(frozen=True, kw_only=True)
class Unit:
    """Things that stay together when they move: what is in, on or along something, and that."""

    names: tuple[str, ...]
    """What stands on the table, or is painted on it, first."""
    x: float
    y: float
    """Middle of the first one; m, world frame."""
    turn_rad: float = 0.0
    """How far it has been turned from where it was."""
    spots: tuple[Spot, ...]
    """Of what stands on the table, and of what must stay free before it."""

    def at(self, x: float, y: float, turn_rad: float) -> Unit:
        """Returns the unit with its middle elsewhere, turned about it."""
        c, s = math.cos(turn_rad), math.sin(turn_rad)

        def moved(spot: Spot) -> Spot:
            u, v = spot.x - self.x, spot.y - self.y
            return spot._replace(x=x + c * u - s * v, y=y + s * u + c * v)

        return dataclasses.replace(self, x=x, y=y, turn_rad=self.turn_rad + turn_rad, spots=tuple(map(moved, self.spots)))


def units(spec: EpisodeSpec) -> tuple[Unit, ...]:
    """Returns the units of a scene, fixtures first; what stands on the floor is none of them.

    Raises:
      Unfit: If something lies on the table in the air: it stands neither on the table nor on something else.
    """
    scene = spec.scene
    standing = {f.name: f for f in scene.fixtures if abs(f.pos_world[2]) <= UPON_M}
    on_table = {p.name: p for p in scene.props if p.content_of is None and not _is_upon(p)}
    owner = {p.name: p.content_of or _below(p, [*on_table.values(), *standing.values()]) for p in scene.props if p.name not in on_table}
    # What is to be pushed along a line stands at its beginning.
    owner |= {p.args[0]: p.args[1] for goal in (spec.goal, *spec.alternatives) for p in goal if p.name == "along"}
    members: dict[str, list[str]] = {name: [name] for name in (*standing, *on_table) if name not in owner}
    for name in owner:
        root = owner[name]
        while root in owner:
            root = owner[root]
        members[root].append(name)
    found = []
    for first, names in members.items():
        x, y = middle(standing[first]) if first in standing else middle(on_table[first])
        spots = [spot for name in names if name in standing for spot in _spots_of_fixture(standing[name])]
        spots += [spot_of(on_table[name]) for name in names if name in on_table]
        found.append(Unit(names=tuple(names), x=x, y=y, spots=tuple(spots)))
    return tuple(found)


def middle(thing: PropSpec | FixtureSpec) -> tuple[float, float]:
    """Returns where the middle of a thing is on the table; m, world frame."""
    return start_of(thing) if isinstance(thing, PropSpec) else (thing.pos_world[0], thing.pos_world[1])


def spot_of(prop: PropSpec) -> Spot:
    """Returns the circle around a prop's outline, seen from above as it lies or stands there."""
    asset = asset_of(prop)
    radius = footprint_m(asset)
    if _lies(prop):
        sides = np.abs(to_matrix(prop.quat_world_wxyz)) @ np.array(asset.size_m)
        radius = float(np.hypot(sides[0], sides[1])) / 2
    return Spot(*start_of(prop), radius, "taken" if "graspable" in asset.roles else "thing")


def is_clear(unit: Unit, others: Iterable[Unit], before: dict[str, Unit]) -> bool:
    """Returns whether a unit leaves others the room that they need, or as much as it left them before.

    Args:
      unit: Where it is to be.
      others: Where the others are to be, or are.
      before: Units that had a place before, by the first of their names.
    """
    was = before.get(unit.names[0])
    for other in others:
        stood = before.get(other.names[0])
        for i, spot in enumerate(unit.spots):
            for j, near in enumerate(other.spots):
                wanted = _wanted_gap_m(spot.kind, near.kind)
                if wanted is None:
                    continue
                if was is not None and stood is not None:
                    wanted = min(wanted, was.spots[i].gap_m(stood.spots[j]) - 1e-6)
                if spot.gap_m(near) < wanted:
                    return False
    return True


def moved(spec: EpisodeSpec, places: Sequence[tuple[Unit, Unit]]) -> EpisodeSpec:
    """Returns an episode in which units have gone from where they were to where they are to be, with all that belongs to them."""
    change = {name: (was, now) for was, now in places for name in was.names}
    scene = spec.scene
    props = tuple(_prop_moved(p, *change[p.name]) if p.name in change else p for p in scene.props)
    fixtures = tuple(_fixture_moved(f, *change[f.name]) if f.name in change else f for f in scene.fixtures)
    return dataclasses.replace(spec, scene=dataclasses.replace(scene, props=props, fixtures=fixtures))


def _wanted_gap_m(one: Kind, other: Kind) -> float | None:
    """Returns how far circles of two kinds must be apart; None where they may overlap."""
    kinds = {one, other}
    if "mark" in kinds:
        return _MARKS_GAP_M if kinds == {"mark"} else None
    if kinds == {"void"}:
        return None
    return FINGER_GAP_M if "taken" in kinds else GAP_M


def _lies(prop: PropSpec) -> bool:
    return abs(prop.quat_world_wxyz[1]) + abs(prop.quat_world_wxyz[2]) > 1e-6


def _is_upon(prop: PropSpec) -> bool:
    """Returns whether a prop stands on or in something else than the table."""
    return prop.pos_world[2] > UPON_M and not _lies(prop)


def _below(prop: PropSpec, things: Sequence[PropSpec | FixtureSpec]) -> str:
    """Returns what a prop stands on or in: that in whose circle it is, deepest. Raises Unfit."""
    x, y = middle(prop)
    depths = {}
    for thing in things:
        radius = spot_of(thing).radius_m if isinstance(thing, PropSpec) else footprint_m(get_fixture(thing.asset))
        depths[thing.name] = radius - math.dist((x, y), middle(thing))
    deepest = max(depths, key=lambda name: depths[name], default="")
    if not deepest or depths[deepest] < 0.0:
        raise Unfit(f"{prop.name} stands on nothing that could be moved")
    return deepest


def _spots_of_fixture(fixture: FixtureSpec) -> list[Spot]:
    asset = get_fixture(fixture.asset)
    x, y = middle(fixture)
    c, s = math.cos(fixture.yaw_rad), math.sin(fixture.yaw_rad)
    if asset.line is not None:
        (ax, ay), (bx, by) = asset.line.start_m, asset.line.end_m
        ends = [((1 - t) * ax + t * bx, (1 - t) * ay + t * by) for t in (0.0, 0.25, 0.5, 0.75, 1.0)]
        return [Spot(x + c * u - s * v, y + s * u + c * v, _LINE_WIDTH_M, "mark") for u, v in ends]
    if not asset.collision:
        return [Spot(x, y, max(asset.size_m[:2]) / 2, "mark")]
    radius = footprint_m(asset)
    spots = [Spot(x, y, radius, "thing")]
    if any(joint.handle is not None for joint in asset.joints):
        # What is pulled, and the hand that pulls, are before its front and before each handle.
        before = {(asset.size_m[0] / 2 + _BEFORE_M, 0.0)}
        before |= {(j.handle_pos_m[0] + _BEFORE_M, j.handle_pos_m[1]) for j in asset.joints if j.handle is not None}
        spots += [Spot(x + c * u - s * v, y + s * u + c * v, _BEFORE_RADIUS_M, "void") for u, v in sorted(before)]
    return spots


def _prop_moved(prop: PropSpec, was: Unit, now: Unit) -> PropSpec:
    x, y = _turned(prop.pos_world[0], prop.pos_world[1], was, now)
    w, i, j, k = multiply(from_yaw(now.turn_rad - was.turn_rad), np.array(prop.quat_world_wxyz)).round(6).tolist()
    return dataclasses.replace(prop, pos_world=(x, y, prop.pos_world[2]), quat_world_wxyz=(w, i, j, k))


def _fixture_moved(fixture: FixtureSpec, was: Unit, now: Unit) -> FixtureSpec:
    x, y = _turned(fixture.pos_world[0], fixture.pos_world[1], was, now)
    yaw = math.remainder(fixture.yaw_rad + now.turn_rad - was.turn_rad, 2 * math.pi)
    return dataclasses.replace(fixture, pos_world=(x, y, fixture.pos_world[2]), yaw_rad=round(yaw, 5))


def _turned(x: float, y: float, was: Unit, now: Unit) -> tuple[float, float]:
    """Returns where a point of a unit comes to lie, rounded as in specs."""
    turn = now.turn_rad - was.turn_rad
    c, s = math.cos(turn), math.sin(turn)
    u, v = x - was.x, y - was.y
    return round(now.x + c * u - s * v, 5), round(now.y + s * u + c * v, 5)
