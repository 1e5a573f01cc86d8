"""Whether a scene still has the room for what could be asked for in it: free lanes to push along, free places to put things."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from vlagym.benchmark.variation.ground import middle, spot_of
from vlagym.envs.fixtures import get_fixture
from vlagym.envs.frames import from_yaw, to_matrix, to_yaw
from vlagym.envs.layouts.lanes import ASIDE_M, behind, can_push, distance_m
from vlagym.envs.layouts.lanes import Disc as Outline
from vlagym.envs.layouts.spots import CLEAR_M, distance_from, free_spots
from vlagym.envs.objects import asset_of
from vlagym.envs.predicates.relations import DIRECTIONS, Disc, margin_m
from vlagym.envs.task import footprint_m
from vlagym.envs.types import EpisodeSpec, FixtureSpec, Predicate, PropSpec

_RELATIONS = (*DIRECTIONS, "next_to", "between")
_FINGERS_M = 0.03
"""At least one place at which a relation holds must be this far from everything."""
_WITHIN_M = CLEAR_M + 0.003
"""... and this far within the region of the relation."""
_NEARLY_M = 0.02
"""A relation that is this close to holding at the start is nothing that could be asked for."""
_OFF_M = 0.05
"""Beyond the edge of a mat, to where a thing is pushed that is to be off it."""


def hindrance(spec: EpisodeSpec) -> str | None:
    """Returns in a few words which goal of an episode, its own or another that could be asked for, has no room; None if all have.

    Only what tasks lay out room for is looked at: lanes along which things are pushed, and places at which relations hold.
    """
    things: dict[str, PropSpec | FixtureSpec] = {p.name: p for p in spec.scene.props}
    things |= {f.name: f for f in spec.scene.fixtures}
    around = {p.name: Outline(*spot_of(p)[:3]) for p in spec.scene.props if p.content_of is None}
    around |= {f.name: Outline(*middle(f), footprint_m(get_fixture(f.asset))) for f in spec.scene.fixtures if get_fixture(f.asset).collision}
    for goal in (spec.goal, *spec.alternatives):
        for predicate in goal:
            if predicate.name in _CHECKS and not _CHECKS[predicate.name](spec, predicate, things, around):
                return f"there is no room for {predicate}"
            if predicate.name in _RELATIONS and not _can_relate(predicate, around):
                return f"there is no room for {predicate}"
    return None


Things = Mapping[str, PropSpec | FixtureSpec]
Outlines = Mapping[str, Outline]


def _without(around: Outlines, *names: str) -> list[Outline]:
    return [outline for name, outline in around.items() if name not in names]


def _can_reach_zone(spec: EpisodeSpec, predicate: Predicate, things: Things, around: Outlines) -> bool:
    """Returns whether a thing can be pushed straight into a zone, past all others, and past other zones, in which it must not come to rest."""
    thing, zone = predicate.args
    here, end = around[thing], middle(things[zone])
    for fixture in spec.scene.fixtures:
        mark = get_fixture(fixture.asset)
        if mark.zone is not None and fixture.name != zone and distance_m(middle(fixture), here[:2], end) < max(mark.size_m[:2]) / 2:
            return False
    return can_push(here[:2], end, here.radius_m, _without(around, thing))


def _can_follow_line(spec: EpisodeSpec, predicate: Predicate, things: Things, around: Outlines) -> bool:
    thing, name = predicate.args
    fixture = things[name]
    line = get_fixture(fixture.asset).line
    if line is None or not isinstance(fixture, FixtureSpec):
        return False
    x, y = middle(fixture)
    end = to_matrix(from_yaw(fixture.yaw_rad))[:2, :2] @ np.array(line.end_m) + [x, y]
    here = around[thing]
    return can_push(here[:2], (float(end[0]), float(end[1])), here.radius_m, _without(around, thing))


def _can_leave_mat(spec: EpisodeSpec, predicate: Predicate, things: Things, around: Outlines) -> bool:
    """Returns whether a thing can be pushed off a mat to one of its four sides."""
    thing, name = predicate.args
    mat, here = things[name], around[thing]
    if not isinstance(mat, PropSpec):
        return False
    far, yaw = asset_of(mat).size_m[0] / 2 + here.radius_m + _OFF_M, to_yaw(np.array(mat.quat_world_wxyz))
    for k in range(4):
        angle = yaw + k * math.pi / 2
        end = behind(here[:2], (here.x + math.cos(angle), here.y + math.sin(angle)), -far)
        if can_push(here[:2], end, here.radius_m + ASIDE_M, _without(around, thing, name)):
            return True
    return False


_CHECKS = {"within": _can_reach_zone, "along": _can_follow_line, "off": _can_leave_mat}


def _can_relate(predicate: Predicate, around: Outlines) -> bool:
    """Returns whether a relation does not nearly hold already, and there is room to bring it about."""
    thing, *landmarks = predicate.args
    here = around[thing]
    marks = [Disc(*around[name]) for name in landmarks]
    if float(margin_m(predicate.name, np.array(here.x), np.array(here.y), here.radius_m, marks)) > -_NEARLY_M:
        return False
    others = distance_from([Disc(*outline) for outline in _without(around, thing)])
    return any(spot.gap_m >= _FINGERS_M and spot.margin_m >= _WITHIN_M for spot in free_spots(predicate.name, here.radius_m, marks, others))
