"""What predicates look at after a control step, and how they look up what they speak of."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from vlagym.envs.errors import BadSpec, unknown_name
from vlagym.envs.fixtures import FixtureAsset, FixtureJoint, get_fixture
from vlagym.envs.frames import Array, Pose, from_yaw, pose, rotate
from vlagym.envs.objects import ObjectAsset, Place
from vlagym.envs.objects import asset_of as asset_of_prop
from vlagym.envs.types import EpisodeSpec, FixtureSpec, PropSpec


@dataclass(frozen=True, kw_only=True)
class WorldState:
    """What predicates look at, after a control step."""

    props: Mapping[str, Pose]
    held: frozenset[str]
    fixture_joints: Mapping[str, float]
    find_touching: Callable[[], frozenset[frozenset[str]]]
    """Finds `touching`; asked only where a predicate cannot do without it."""
    ee_pos_world: Array
    touched_by_robot: frozenset[str]
    """Props and fixtures that the robot pressed on during the control step."""
    gripper_command: float
    """-1 open, +1 closed."""
    find_speed_m_s: Callable[[str], float]
    """Finds the speed of a prop; asked only where a predicate cannot do without it."""
    hands: tuple[str, ...] = ("",)
    """Sides of the hands: ("left", "right"), or ("",) of a robot with one arm."""
    held_by: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Side -> props between the two sides of that hand."""
    touched_by: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Side -> props and fixtures that a link of that hand pressed on during the control step."""
    touched_by_body: frozenset[str] = frozenset()
    """Props and fixtures that a link pressed on that belongs to no hand: a forearm, the chest."""
    ever_touched_by: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """`touched_by` of all control steps since the episode began."""
    ever_touched_by_arm: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Side -> what the arm that carries that hand has pressed on since the episode began: with forearm or elbow, not with the hand."""
    ever_held_by: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """`held_by` of all control steps since the episode began."""
    hold_order: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Prop -> sides in the order in which they first held it."""
    ee_poses: Mapping[str, Pose] = field(default_factory=dict)
    """Side -> pose of the pinch point in the world."""
    base: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Where the robot stands in the world: x and y in m, and the yaw of its front in rad."""
    head: Pose | None = None
    """Of the camera `head` in the world; None where there is none."""
    joint_pos: Mapping[str, float] = field(default_factory=dict)
    """Joint of the robot -> rad."""
    history: Mapping[str, Sequence[Array]] = field(default_factory=dict)
    """What `predicates.history.History` keeps of the last 3 s, an entry a control step, the present one last."""
    fallen: bool = False
    """Whether a robot on its legs has fallen."""
    memo: dict[str, str] = field(default_factory=dict, repr=False, compare=False)
    """What predicates have found out about this state, for others that ask the same."""

    def speed_m_s(self, prop: str) -> float:
        """Returns the speed of the origin of a prop."""
        return self.find_speed_m_s(prop)

    @functools.cached_property
    def touching(self) -> frozenset[frozenset[str]]:
        """Pairs of names that press on each other; every robot link is called "robot"."""
        return self.find_touching()


Check = Callable[[WorldState], bool]

TILT_COS = float(np.cos(np.radians(20.0)))
"""A thing stands upright while its z axis is within 20 degrees of the vertical."""

REST_M_S = 0.02
"""What moves no faster than this is at rest."""


def prop_of(spec: EpisodeSpec, name: str) -> PropSpec:
    """Returns the prop of that name. Raises UnknownName."""
    for prop in spec.scene.props:
        if prop.name == name:
            return prop
    raise unknown_name("prop of the scene", name, [p.name for p in spec.scene.props])


def start_of(spec: EpisodeSpec, name: str) -> Array:
    """Returns where the origin of a prop was when the episode began, (3,) m in the world frame. Raises UnknownName."""
    return np.array(prop_of(spec, name).pos_world, np.float64)


def asset_of(spec: EpisodeSpec, name: str) -> ObjectAsset:
    """Returns the catalogue's entry for a prop, at the prop's scale. Raises UnknownName."""
    return asset_of_prop(prop_of(spec, name))


def fixture_of(spec: EpisodeSpec, name: str) -> tuple[FixtureSpec, FixtureAsset]:
    """Returns the fixture of that name ("stove" or "stove/knob") and its catalogue entry. Raises UnknownName."""
    root = name.partition("/")[0]
    for fixture in spec.scene.fixtures:
        if fixture.name == root:
            return fixture, get_fixture(fixture.asset)
    raise unknown_name("fixture of the scene", root, [f.name for f in spec.scene.fixtures])


def joint_of(spec: EpisodeSpec, name: str) -> FixtureJoint:
    """Returns the joint "fixture/joint". Raises UnknownName."""
    fixture, asset = fixture_of(spec, name)
    joint = name.partition("/")[2]
    known = [j.name for j in asset.joints]
    if joint not in known:
        raise unknown_name(f"joint of {fixture.name!r}", joint, known)
    return asset.joint(joint)


def fixture_pose(fixture: FixtureSpec) -> Pose:
    """Returns the pose of a fixture in the world."""
    return pose(fixture.pos_world, from_yaw(fixture.yaw_rad))


def place_of(spec: EpisodeSpec, name: str) -> Place:
    """Returns where things end up that are put on a prop, at the prop's scale. Raises BadSpec if nothing can be put there."""
    asset = asset_of(spec, name)
    if asset.place is None:
        raise BadSpec(f"nothing can be put on {name!r}: {asset.id!r} is no support")
    return asset.place


def word(argument: str) -> str:
    """Returns the word of an argument that names none of the things of a scene: "high" for "=high". Raises BadSpec for another one."""
    if not argument.startswith("="):
        raise BadSpec(f"{argument!r} names a thing; a word is written with a leading '=', as in '=high'")
    return argument[1:]


def is_upright(here: Pose) -> bool:
    """Returns whether a thing stands upright, within 20 degrees."""
    return bool(rotate(here.quat, np.array([0.0, 0.0, 1.0]))[2] >= TILT_COS)
