"""Whether things that have been exchanged or resized still do what could be asked of them: lie in the bowl, go into the hole, fill the hand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from vlagym.benchmark.variation.concern import predicates
from vlagym.benchmark.variation.room import hindrance
from vlagym.envs import catalog
from vlagym.envs.fixtures import get_fixture
from vlagym.envs.layouts.furniture import fits_drawer
from vlagym.envs.layouts.room import have_room
from vlagym.envs.objects import UPRIGHT, WIDEST_GRASP_M, ObjectAsset, asset_of
from vlagym.envs.predicates.fitting import fits
from vlagym.envs.predicates.state import fixture_of
from vlagym.envs.robot import Robot
from vlagym.envs.tasks.hand_over import SPARE_M
from vlagym.envs.types import EpisodeSpec, Predicate

_PUT = ("on", "inside")
_OVER_RIM_M = 0.005
_TWO_HANDS_M = 0.17
"""Length of a thing that is handed over; the shortest of the catalogue has 0.18."""
_PLAY_M = 0.004
"""How much narrower than the widest opening of a hand a thing is at least."""


def misfit(varied: EpisodeSpec, twin: EpisodeSpec) -> str | None:
    """Returns in a few words what can no longer be done of all that could be asked for; None if all can that could be in the unvaried episode."""
    new = [wrong for wrong in _misfits(varied) if wrong not in _misfits(twin)]
    if new:
        return new[0]
    return hindrance(varied) if hindrance(twin) is None else None


def _misfits(spec: EpisodeSpec) -> list[str]:
    assets = {p.name: asset_of(p) for p in spec.scene.props}
    found = [wrong for goal in (spec.goal, *spec.steps, *spec.alternatives) for wrong in _misfits_of_goal(spec, goal, assets)]
    taken = sorted({p.things[0] for p in predicates(spec) if p.things and p.things[0] in assets})
    return [*found, *(f"{name} is too wide for the hand" for name in taken if not _fills_hand(spec, assets[name]))]


def _misfits_of_goal(spec: EpisodeSpec, goal: tuple[Predicate, ...], assets: Mapping[str, ObjectAsset]) -> Iterator[str]:
    into: dict[str, list[ObjectAsset]] = {}
    for p in goal:
        if p.name in _PUT and p.args[1] in assets:
            into.setdefault(p.args[1], []).append(assets[p.args[0]])
        if p.name == "inserted":
            hole = fixture_of(spec, p.args[1])[1].hole
            if hole is None or not fits(assets[p.args[0]], hole):
                yield f"{p.args[0]} does not go into {p.args[1]}"
        if p.name == "covered" and not _covers(assets[p.args[0]], assets[p.args[1]]):
            yield f"{p.args[0]} does not cover {p.args[1]}"
        if p.name == "handed_over" and not _has_room_for_two_hands(spec, assets[p.args[0]]):
            yield f"{p.args[0]} has no room for two hands"
        if p.name == "in_drawer":
            fixture, joint = p.args[1].split("/")
            if not fits_drawer(assets[p.args[0]], f"{_asset_id(spec, fixture)}/{joint}"):
                yield f"{p.args[0]} does not go into {p.args[1]}"
        if p.name == "within" and not _goes_into_zone(spec, assets[p.args[0]], p.args[1]):
            yield f"{p.args[0]} has no room in {p.args[1]}"
    for name, things in into.items():
        if not have_room(things, assets[name]):
            yield f"there is no room in or on {name}"


def _covers(lid: ObjectAsset, pot: ObjectAsset) -> bool:
    """Returns whether a lid is as wide as a pot, and a little wider."""
    return 0.0 <= max(lid.size_m[:2]) - min(pot.size_m[:2]) <= _OVER_RIM_M


def _has_room_for_two_hands(spec: EpisodeSpec, asset: ObjectAsset) -> bool:
    """Returns whether a thing is long enough for one hand above the other, and slim enough for both."""
    robot: Robot = catalog.load("robot", spec.robot)
    widest = min(hand.opening_max_m for hand in robot.end_effectors) - SPARE_M
    return asset.size_m[2] >= _TWO_HANDS_M and asset.size_m[0] <= widest


def _asset_id(spec: EpisodeSpec, fixture: str) -> str:
    return fixture_of(spec, fixture)[1].id


def _goes_into_zone(spec: EpisodeSpec, asset: ObjectAsset, name: str) -> bool:
    """Returns whether a thing lies within a zone, however it is turned, with a centimetre to spare on each side."""
    across = 2.0 * max(asset.size_m[:2]) / 2 if asset.yaw_symmetry == 0 else (asset.size_m[0] ** 2 + asset.size_m[1] ** 2) ** 0.5
    return across + 0.02 <= min(get_fixture(_asset_id(spec, name)).size_m[:2])


def _fills_hand(spec: EpisodeSpec, asset: ObjectAsset) -> bool:
    """Returns whether a hand takes a thing: by one of its grasps, if it has any."""
    robot: Robot = catalog.load("robot", spec.robot)
    widest = min(hand.opening_max_m for hand in robot.end_effectors)
    grasps = asset.grasps_in(UPRIGHT)
    return not grasps or any(grasp.width_m <= min(WIDEST_GRASP_M, widest - _PLAY_M) for grasp in grasps)
