"""What can be said of the things of a scene: their nouns, colours, sizes, places, and what may be done with them. Read off the spec alone."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from vlagym.envs import catalog
from vlagym.envs.errors import BadSpec, unknown_name
from vlagym.envs.fixtures import FixtureJoint, get_fixture
from vlagym.envs.frames import from_yaw, pose, rotate
from vlagym.envs.objects import asset_of, get
from vlagym.envs.language.phrases import language
from vlagym.envs.language.referents import HAND_SORTS, SETTING_SORTS, SORTS, Referent
from vlagym.envs.language.spatial import CLEAR_M, PART_SCALE
from vlagym.envs.robot import Robot
from vlagym.envs.types import EpisodeSpec, FixtureSpec, Predicate, PropSpec, Rgba, Vec3

_LYING_COS = 0.5  # an up axis that leans by more than 60 degrees
_ABOVE_M = 0.002
_ON_TOP_M = 0.03
_FACES_TABLE_RAD = 0.3


@dataclass(frozen=True)
class SceneWords:
    """The referents of one scene, by name: props, then fixtures, then their joints."""

    referents: Mapping[str, Referent]
    limbs: tuple[str, ...] = ()
    """What the robot has a left and a right one of: "hand"; empty where it has one arm alone."""
    has_viewer: bool = True
    """Whether somebody sits opposite the robot. Not where it begins turned away from the table: then nobody says "as I see it"."""

    def __getitem__(self, name: str) -> Referent:
        if name not in self.referents:
            raise unknown_name("thing of the scene", name, self.referents)
        return self.referents[name]

    @functools.cached_property
    def things(self) -> tuple[Referent, ...]:
        """Props and fixtures, which is what "the red one" could be."""
        return tuple(r for r in self.referents.values() if r.sort != "joint")

    def joints_of(self, fixture: str) -> tuple[Referent, ...]:
        """Returns the joints of a fixture."""
        return tuple(r for r in self.referents.values() if r.owner == fixture)

    def arguments(self, name: str, sort: str) -> tuple[str, ...]:
        """Returns the arguments that a noun phrase for a thing stands for in a slot: itself, or joints of a fixture; none where it does not fit."""
        wanted, referent = SORTS[sort], self[name]
        if not wanted.by_fixture and wanted.fits(referent):
            return (name,)
        if referent.sort == "fixture":
            return tuple(j.name for j in self.joints_of(name) if wanted.fits(j))
        return (name,) if wanted.by_fixture and not referent.is_own and wanted.fits(referent) else ()

    def fits(self, argument: str, sort: str) -> bool:
        """Returns whether an argument of a predicate may stand in a slot. Raises UnknownName for what is not in the scene."""
        if argument.startswith("="):
            words = {**SETTING_SORTS, **HAND_SORTS}
            return sort in words and words[sort](argument[1:])
        return sort in SORTS and SORTS[sort].fits(self[argument])

    def spoken(self, argument: str, sort: str) -> Referent:
        """Returns what is spoken of where an argument stands in a slot: a drawer of a one-drawer cabinet is spoken of as the cabinet."""
        referent = self[argument]
        if referent.owner is not None and (SORTS[sort].by_fixture or not referent.names):
            return self[referent.owner]
        return referent

    def clear_m(self, names: Iterable[str]) -> float:
        """Returns how far apart things must lie to be put into an order; less for the parts of one thing."""
        owners = {self[name].owner for name in names}
        return CLEAR_M * (PART_SCALE if len(owners) == 1 and None not in owners else 1.0)


def scene_words(spec: EpisodeSpec) -> SceneWords:
    """Returns the referents of an episode's scene. Small beads, which nobody speaks of one by one, are left out.

    Raises:
      UnknownName: If there is no such object or fixture.
    """
    props = [p for p in spec.scene.props if "bead" not in get(p.asset).roles]
    listed = [_prop(p, props, spec.scene.fixtures) for p in props]
    for fixture in spec.scene.fixtures:
        listed.append(_fixture(fixture))
    for fixture in spec.scene.fixtures:
        listed += [_joint(fixture, joint) for joint in get_fixture(fixture.asset).joints]
    if any(spec.robot_start):
        listed = [replace(r, pos_world=_from_start(r.pos_world, spec.robot_start)) for r in listed]
    robot: Robot = catalog.load("robot", spec.robot)
    limbs = language().words.limbs["arm" if robot.stance is None else "hand"] if robot.has_two_hands else ()
    return SceneWords({r.name: r for r in listed}, limbs, has_viewer=abs(math.remainder(spec.robot_start[2], math.tau)) <= _FACES_TABLE_RAD)


def check_arguments(predicates: tuple[Predicate, ...], scene: SceneWords) -> None:
    """Raises UnknownName if a predicate speaks of what is not in the scene, BadSpec if of nothing."""
    for predicate in predicates:
        if not predicate.args:
            raise BadSpec(f"{predicate.name} speaks of nothing; a sentence needs something to speak of")
        for argument in predicate.args:
            if not argument.startswith("="):
                scene[argument]


def colour_word(rgba: Rgba) -> str:
    """Returns the colour word that is nearest to a colour."""
    return min(language().colours.items(), key=lambda item: math.dist(item[1], rgba[:3]))[0]


def _painted(colour: str | None, rgba: Rgba | None) -> str | None:
    return colour if rgba is None or colour is None else colour_word(rgba)


def _from_start(place: Vec3, start: Vec3) -> Vec3:
    """Returns a place as it is seen from where the robot begins: x, y in m and its turn in rad."""
    x, y = place[0] - start[0], place[1] - start[1]
    cos, sin = math.cos(start[2]), math.sin(start[2])
    return (cos * x + sin * y, cos * y - sin * x, place[2])


def _prop(prop: PropSpec, props: Sequence[PropSpec], fixtures: Sequence[FixtureSpec]) -> Referent:
    asset = asset_of(prop)
    below = [other.name for other in props if other is not prop and _bears(other, prop)]
    below += [fixture.name for fixture in fixtures if _has_on_top(fixture, prop)]
    up = float(rotate(np.array(prop.quat_world_wxyz, np.float64), np.array([0.0, 0.0, 1.0]))[2])
    x, y, _ = asset.size_m
    return Referent(
        name=prop.name,
        sort="prop",
        kind=asset.kind,
        names=asset.names,
        unseen_names=asset.unseen_names,
        colour=_painted(asset.colour, prop.rgba),
        material=asset.material,
        shape=asset.shape,
        category=asset.category,
        uses=asset.uses,
        roles=asset.roles,
        pos_world=prop.pos_world,
        size_m=asset.size_m,
        radius_m=max(x, y) / 2 if asset.yaw_symmetry == 0 else math.hypot(x, y) / 2,
        is_lying=up < _LYING_COS,
        lies_on=next(iter(below), None),
        asset=asset,
    )


def _bears(below: PropSpec, above: PropSpec) -> bool:
    place = asset_of(below).place
    if place is None or above.pos_world[2] < below.pos_world[2] + _ABOVE_M:
        return False
    return math.dist(below.pos_world[:2], above.pos_world[:2]) <= place.inner_radius_m


def _has_on_top(fixture: FixtureSpec, prop: PropSpec) -> bool:
    top = get_fixture(fixture.asset).top
    if top is None:
        return False
    x, y, z = pose(fixture.pos_world, from_yaw(fixture.yaw_rad)).inverse().apply(np.array(prop.pos_world, np.float64))
    return top.inside_m(float(x), float(y)) >= 0.0 and abs(float(z) - top.height_m) <= _ON_TOP_M


def _fixture(fixture: FixtureSpec) -> Referent:
    asset = get_fixture(fixture.asset)
    return Referent(
        name=fixture.name,
        sort="fixture",
        kind=asset.kind,
        names=asset.names,
        unseen_names=asset.unseen_names,
        colour=_painted(asset.colour, fixture.rgba),
        pos_world=fixture.pos_world,
        size_m=asset.size_m,
        radius_m=math.hypot(*asset.size_m[:2]) / 2,
        asset=asset,
    )


def _joint(fixture: FixtureSpec, joint: FixtureJoint) -> Referent:
    asset = get_fixture(fixture.asset)
    local: Vec3 = (0.0, 0.0, 0.0)
    if joint.control is not None:
        local = joint.control.pos_m
    elif joint.handle is not None:
        local = joint.handle.pos_m
    x, y, z = (float(v) for v in pose(fixture.pos_world, from_yaw(fixture.yaw_rad)).apply(np.array(local, np.float64)))
    is_own = bool(joint.names)
    return Referent(
        name=f"{fixture.name}/{joint.name}",
        sort="joint",
        kind=joint.control.kind if joint.control is not None else joint.type,
        names=joint.names or (language().words.members[joint.type] if joint.control is None else ()),
        unseen_names=joint.unseen_names,
        # What has no paint of its own has that of the fixture.
        colour=joint.colour or (_painted(asset.colour, fixture.rgba) if joint.rgba is None else None),
        label=joint.label,
        pos_world=(x, y, z),
        owner=fixture.name,
        is_own=is_own,
        joint=joint,
        asset=None,
    )
