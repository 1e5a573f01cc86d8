"""What can take the place of a thing: it is used as that one, is about as large, lies as that one lies, and nothing in the scene is the same."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping

import numpy as np

from vlagym.benchmark.axis import NotApplicable, Unfit
from vlagym.benchmark.rewording import said_again
from vlagym.benchmark.variation.concern import asked_for, graded, predicates
from vlagym.benchmark.variation.fit import misfit
from vlagym.benchmark.variation.standing import bears, pose_of, restood
from vlagym.envs import catalog
from vlagym.envs.fixtures import FixtureAsset, FixtureJoint, fixtures, get_fixture
from vlagym.envs.objects import UPRIGHT, ObjectAsset, asset_of
from vlagym.envs.objects import catalog as objects
from vlagym.envs.robot import Robot
from vlagym.envs.task import footprint_m
from vlagym.envs.types import EpisodeSpec, FixtureSpec, PropSpec

_USED_BY: Mapping[str, tuple[str, ...]] = {
    "lid": ("covered",),
    "peg": ("inserted",),
    "pot": ("covered",),
    "pourable": ("poured",),
    "pushable": ("within", "along", "off"),
    "stackable": ("stacked",),
    "standable": ("upright",),
}
"""Roles that a thing must have only where such a condition speaks of it; the others, and what is put where, wherever one does."""
_BROADER_M, _TALLER_M = 0.007, 0.035
"""By how much the circle around a thing may grow, and by how much its height may differ."""
_SLIMMER_M = 0.03
_PUSHED = {"within", "along", "off", "pushed_aside"}
_LOW_M, _BROAD_M = 0.06, 0.04
"""What such a condition speaks of is no higher and no narrower, as the tasks lay it out, or than what it takes the place of."""
_LESS_M, _MORE_M = 0.006, 0.016
"""By how much each side of a thing that hands with fingers take, from the shortest to the longest, may be shorter or longer."""
_INNER_M, _LEVEL_M = 0.002, 0.0005
"""By how much the room in or on a place may be narrower, and its surface higher or lower where something lies on it."""
_ROLLS = ("ball", "fruit", "vegetable")
_JOINT_M = 0.016
"""How far the handles or buttons of furniture may be apart from those that they take the place of."""

Asset = ObjectAsset | FixtureAsset
Rank = Callable[[Asset, Asset], int | None]
"""(what may come, what is there) -> how much the axis wants it, 0 most; None: not at all. Only the best that fits is drawn from."""


def exchanged(spec: EpisodeSpec, level: int, rng: np.random.Generator, rank: Rank, what: str) -> EpisodeSpec:
    """Returns an episode in which other things stand where things of it stood, and a sentence that is true of them.

    Args:
      spec: The episode.
      level: How many of them: see `vlagym.benchmark.variation.concern`.
      rng: Draws which come.
      rank: What the axis wants.
      what: That things have whose place something can take, for the error: "has an unseen one of its kind".

    Raises:
      NotApplicable: If nothing can take the place of any of the things of that level.
      Unfit: If what was drawn cannot be spoken of.
    """
    able = _candidates(spec, rank)
    varied = spec
    for name in graded(spec, level, set(able), what, rng):
        for candidate in _in_turn(able[name], rng):
            if (one := _with(varied, name, candidate)) is not None and misfit(one, spec) is None:
                varied = one
                break
    if varied is spec:
        raise NotApplicable(f"in {spec.task!r} with seed {spec.seed} nothing that {what} leaves room for what could be asked for")
    return said_again(varied, rng)


def _candidates(spec: EpisodeSpec, rank: Rank) -> dict[str, dict[str, int]]:
    """Returns for each thing that something can take the place of, by its name: what can, by its id, and how much it is wanted."""
    used = {p.asset for p in spec.scene.props} | {f.asset for f in spec.scene.fixtures}
    able: dict[str, dict[str, int]] = {}
    for prop in spec.scene.props:
        wanted = {a.id: rank(a, asset_of(prop)) for a in objects().values() if a.id not in used and can_replace(spec, prop, a)}
        able[prop.name] = {i: r for i, r in wanted.items() if r is not None}
    for fixture in spec.scene.fixtures:
        own = get_fixture(fixture.asset)
        furniture = {a.id: rank(a, own) for a in fixtures().values() if a.id not in used and _is_alike_furniture(fixture, a)}
        able[fixture.name] = {i: r for i, r in furniture.items() if r is not None}
    return {name: wanted for name, wanted in able.items() if wanted}


def _in_turn(wanted: Mapping[str, int], rng: np.random.Generator) -> list[str]:
    """Returns ids, what is wanted most first, in an order that is drawn where that is the same."""
    ids = sorted(wanted)
    return sorted((ids[int(i)] for i in rng.permutation(len(ids))), key=lambda one: wanted[one])


def _with(spec: EpisodeSpec, name: str, asset_id: str) -> EpisodeSpec | None:
    """Returns an episode with one thing exchanged; None if that is there already, or cannot lie as the old one does."""
    if asset_id in {p.asset for p in spec.scene.props} | {f.asset for f in spec.scene.fixtures}:
        return None
    props = {p.name: p for p in spec.scene.props}
    if name in props:
        try:
            scene = restood(spec.scene, {name: dataclasses.replace(props[name], asset=asset_id, rgba=None)})
        except Unfit:
            return None
        split = objects()[asset_id].split
    else:
        new = tuple(dataclasses.replace(f, asset=asset_id, rgba=None) if f.name == name else f for f in spec.scene.fixtures)
        scene, split = dataclasses.replace(spec.scene, fixtures=new), get_fixture(asset_id).split
    return dataclasses.replace(spec, scene=scene, split="unseen" if split == "unseen" else spec.split)


def can_replace(spec: EpisodeSpec, prop: PropSpec, asset: ObjectAsset) -> bool:
    """Returns whether an object could stand for a prop: as large, used as that, and lying as that lies."""
    old = asset_of(prop)
    pose = pose_of(prop).name
    if "bead" in (*asset.roles, *old.roles) or prop.content_of is not None:
        return False
    if pose != UPRIGHT and (pose not in {p.name for p in asset.poses} or not asset.grasps_in(pose)):
        return False
    if footprint_m(asset, pose) > footprint_m(old, pose) + _BROADER_M or abs(asset.size_m[2] - old.size_m[2]) > _TALLER_M:
        return False
    if not _bears_as_well(spec, prop, asset):
        return False
    if prop.name not in asked_for(spec):
        return True
    spoken_of = {p.name for p in predicates(spec) if prop.name in p.things}
    needed = {role for role in old.roles if role not in _USED_BY or spoken_of & {*_USED_BY[role]}}
    if not needed <= {*asset.roles} or footprint_m(asset, pose) < footprint_m(old, pose) - _SLIMMER_M:
        return False
    if spoken_of & _PUSHED and (asset.size_m[2] > max(_LOW_M, old.size_m[2]) or min(asset.size_m[:2]) < min(_BROAD_M, *old.size_m[:2])):
        return False  # it would topple
    return _suits_hands(spec, asset, old)


def _bears_as_well(spec: EpisodeSpec, prop: PropSpec, asset: ObjectAsset) -> bool:
    """Returns whether a thing has as much room in or on it, and as high where something lies there."""
    place, there = asset_of(prop).place, asset.place
    loaded = any(bears(prop, above) for above in spec.scene.props)
    needed = loaded or any(prop.name in p.things[1:] for p in predicates(spec))
    if place is None or not needed:
        return True
    if there is None or there.inner_radius_m < place.inner_radius_m - _INNER_M:
        return False
    return not loaded or abs(there.surface_height_m - place.surface_height_m) <= _LEVEL_M


def _suits_hands(spec: EpisodeSpec, asset: ObjectAsset, old: ObjectAsset) -> bool:
    """Returns whether hands with fingers, which take whatever they can close around, hold a thing as they hold the other one."""
    robot: Robot = catalog.load("robot", spec.robot)
    if not robot.has_two_hands:
        return True
    larger_m = [one - other for one, other in zip(sorted(asset.size_m), sorted(old.size_m), strict=True)]
    is_even = not any(any(grasp.offset_xy_m) for grasp in asset.grasps)
    rolls = asset.kind in _ROLLS and old.kind not in _ROLLS
    return is_even and not rolls and -_LESS_M <= min(larger_m) and max(larger_m) <= _MORE_M and {*asset.roles} >= {*old.roles}


def _is_alike_furniture(fixture: FixtureSpec, asset: FixtureAsset) -> bool:
    """Returns whether furniture could stand for another piece: as large, with joints of the same names that do the same, and the same marks."""
    old = get_fixture(fixture.asset)
    if any(abs(one - other) > _JOINT_M for one, other in zip(asset.size_m, old.size_m, strict=True)):
        return False
    joints, known = {j.name: j for j in old.joints}, {j.name for j in asset.joints}
    has_marks = (asset.zone is None) == (old.zone is None) and (asset.line, asset.hole, asset.top) == (old.line, old.hole, old.top)
    if not has_marks or known != set(joints):
        return False
    return all(_does_the_same(joint, joints[joint.name]) for joint in asset.joints)


def _does_the_same(new: FixtureJoint, old: FixtureJoint) -> bool:
    if new.type != old.type or (new.handle is None) != (old.handle is None) or (new.control is None) != (old.control is None):
        return False
    if not np.allclose(new.range_m, old.range_m, atol=0.02):
        return False
    if new.handle is not None and old.handle is not None:
        return math.dist(new.handle.pos_m, old.handle.pos_m) <= _JOINT_M and _is_as_roomy(new, old)
    if new.control is not None and old.control is not None:
        alike = new.control.kind == old.control.kind and dict(new.control.settings) == dict(old.control.settings)
        return alike and math.dist(new.control.pos_m, old.control.pos_m) <= _JOINT_M and (new.label is None) == (old.label is None)
    return True


def _is_as_roomy(new: FixtureJoint, old: FixtureJoint) -> bool:
    """Returns whether what lies in a drawer would lie in the other one."""
    if new.inside_m is None or old.inside_m is None:
        return new.inside_m is None and old.inside_m is None
    return bool(np.allclose(np.array(new.inside_m), np.array(old.inside_m), atol=0.01))
