"""What DROID says of a robot and of a command: positions and velocities of seven joints, of the hand and of the gripper."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.errors import BadData
from vlagym.envs.types import ActionComponent, ActionSpec
from vlagym.results.demonstration import DatasetInfo, Demonstration
from vlagym.results.formats import _vectors
from vlagym.results.formats._rlds_sources import is_of_two_hands, rows_of, specs, told

Array = NDArray[np.float64]

DROID_RATE_HZ = 15.0
# What 1.0 of each of DROID's velocities is in a step of 1/15 s: droid/robot_ik/robot_ik_solver.py.
_PER_STEP = {"joint": 0.2, "position": 0.075, "rotation": 0.15, "gripper": 0.25}
MAX_SPEED: Mapping[str, float] = {name: value * DROID_RATE_HZ for name, value in _PER_STEP.items()}
"""What 1.0 of a velocity means, in rad/s, m/s, rad/s, and ways of the gripper a second."""


class Hand(NamedTuple):
    """What of a robot DROID's numbers depend on."""

    opening_m: float
    """Between the pads, at its widest."""
    last_joint_rad: float
    """How much more the last joint shows than that of DROID's robot in the same posture."""


HANDS: Mapping[str, Hand] = {
    # The Franka Hand is mounted 45 degrees askew, DROID's Robotiq straight; the profile `droid` tells a policy the same joint.
    "panda": Hand(0.08, math.pi / 4),
    "droid": Hand(0.085, 0.0),  # Robotiq 2F-85 datasheet: a stroke of 85 mm
}
"""Robots whose motion can be told as DROID's: a Panda with its own hand, and DROID's."""

_JOINTS = ("joint_position", "joint_delta")
_POSES = (("position", "quaternion_wxyz"), ("position", "euler_xyz"), ("delta_position", "delta_axis_angle"), ("delta_position", "delta_euler_xyz"))
_GRIPPERS: Mapping[str, Callable[[Array], Array]] = {
    "gripper_closed_positive": lambda said: (said + 1.0) / 2.0,
    "gripper_closed_unit": lambda said: said,
}
_FORMAT = "the format rlds_droid"


class DroidSources(NamedTuple):
    """Which rows of a demonstration tell what: names of commands, or ACTIONS."""

    joints: str
    pose: str
    gripper: str


def droid_sources(info: DatasetInfo) -> DroidSources:
    """Returns where a dataset tells the motion of seven joints, of the hand, and of the gripper.

    Positions are preferred over displacements: they say where to, whatever lay between.

    Raises:
      BadData: If it does not tell one of them.
    """
    known = dict(specs(info))

    def find(what: str, control: str, *fits: Callable[[ActionSpec], bool]) -> str:
        for fit in fits:
            for name, spec in known.items():
                if fit(spec):
                    return name
        raise BadData(
            f"{_FORMAT} tells {what}, and the dataset its motion as {told(info)}: have {control} among its commands, or store it in another format"
        )

    if is_of_two_hands(info.action):
        raise BadData(f"{_FORMAT} is of one arm with seven joints, and the dataset of a robot with two: store it in another format")
    return DroidSources(
        joints=find(
            "the motion of seven joints", "joint_position or joint_delta", *(lambda s, c=c: _component(s, c, 7) is not None for c in _JOINTS)
        ),
        pose=find(
            "the motion of the hand", "ee_pose or ee_delta", *(lambda s, p=p: all(_component(s, c) is not None for c in p) for p in _POSES)
        ),
        gripper=find("how far the gripper closes", "ee_pose or ee_delta", lambda s: any(_component(s, c, 1) is not None for c in _GRIPPERS)),
    )


def droid_hand(demonstration: Demonstration, info: DatasetInfo) -> Hand:
    """Returns the hand of the robot of a demonstration.

    Raises:
      BadData: If it is none whose motion can be told as DROID's.
    """
    robot = info.robot or ("" if demonstration.spec is None else demonstration.spec.robot)
    if robot not in HANDS:
        raise BadData(
            f"{_FORMAT} has to know how far the hand opens, and the robot of demonstration {demonstration.digest} is {robot or 'not told'}. "
            f"It knows: {', '.join(HANDS)}"
        )
    return HANDS[robot]


def droid_observation(demonstration: Demonstration, info: DatasetInfo) -> dict[str, Array]:
    """Returns DROID's state: joint_position (T, 7) rad, cartesian_position (T, 6) m and fixed-axes angles in rad, gripper_position (T, 1), 1 closed.

    Raises:
      BadData: If the demonstration lacks what one of them is made of.
    """
    hand = droid_hand(demonstration, info)
    here = _here(demonstration)
    return {
        "joint_position": _straight(_joints_here(demonstration), hand),
        "cartesian_position": np.concatenate([here.positions, euler_xyz(here.quats_wxyz)], axis=1),
        "gripper_position": _closed(here, hand),
    }


def droid_action(demonstration: Demonstration, info: DatasetInfo) -> dict[str, Array]:
    """Returns DROID's action_dict: positions that are commanded, (T, 7), (T, 6) and (T, 1) as in the state, and velocities, as shares of MAX_SPEED.

    A displacement of the hand counts from its target before, where the demonstration tells that (`ee_target_…`), else from where the hand is.

    Raises:
      BadData: If the demonstration lacks what one of them is made of.
    """
    sources, hand, rate_hz = droid_sources(info), droid_hand(demonstration, info), info.action.rate_hz
    joints, joint_step = _joint_command(demonstration, info, sources.joints)
    positions, quats, moved, turned = _pose_command(demonstration, info, sources.pose)
    closed = _gripper_command(demonstration, info, sources.gripper)
    closing = closed - _closed(_here(demonstration), hand)
    return {
        "joint_position": _straight(joints, hand),
        "joint_velocity": joint_step * rate_hz / MAX_SPEED["joint"],
        "cartesian_position": np.concatenate([positions, euler_xyz(quats)], axis=1),
        "cartesian_velocity": np.concatenate(
            [moved * rate_hz / MAX_SPEED["position"], euler_xyz(turned) * rate_hz / MAX_SPEED["rotation"]], axis=1
        ),
        "gripper_position": closed,
        "gripper_velocity": closing * rate_hz / MAX_SPEED["gripper"],
    }


# ---------------------------------------------------------------------------------------------------------------------------- commands
def _joint_command(d: Demonstration, info: DatasetInfo, source: str) -> tuple[Array, Array]:
    """Returns where the joints are told to go, and by how much that is from where they are: `(T, 7)` in rad each."""
    spec, rows = dict(specs(info))[source], rows_of(d, source)
    here = _joints_here(d)
    if (component := _component(spec, "joint_position", 7)) is not None:
        target = _scaled(spec, component, rows)
        return target, target - here
    component = _component(spec, "joint_delta", 7)
    assert component is not None, "droid_sources chose it"
    step = _scaled(spec, component, rows)
    return here + step, step


def _pose_command(d: Demonstration, info: DatasetInfo, source: str) -> tuple[Array, Array, Array, Array]:
    """Returns where the hand is told to go, (T, 3) m and (T, 4) wxyz, and by how much that moves and turns it, (T, 3) m and (T, 4) wxyz."""
    spec, rows, here = dict(specs(info))[source], rows_of(d, source), _here(d)
    for place, turn in _POSES:
        position, rotation = _component(spec, place), _component(spec, turn)
        if position is None or rotation is None:
            continue
        said, turned = _scaled(spec, position, rows), _quats(turn.removeprefix("delta_"), _scaled(spec, rotation, rows))
        if place == "position":
            return said, turned, said - here.positions, _products(turned, _inverses(here.quats_wxyz))
        begin = _target_before(d, here)
        return begin.positions + said, _products(turned, begin.quats_wxyz.astype(np.float64)), said, turned
    raise AssertionError("droid_sources chose it")


def _gripper_command(d: Demonstration, info: DatasetInfo, source: str) -> Array:
    """Returns how far the gripper is told to close, `(T, 1)`: 0 open, 1 closed."""
    spec, rows = dict(specs(info))[source], rows_of(d, source)
    found = [(c, fraction) for name, fraction in _GRIPPERS.items() if (c := _component(spec, name, 1)) is not None]
    component, fraction = found[0]
    return fraction(_scaled(spec, component, rows))


def _scaled(spec: ActionSpec, component: ActionComponent, rows: NDArray[np.float32]) -> Array:
    return rows[:, spec.slices()[component.name]].astype(np.float64) * component.scale


def _component(spec: ActionSpec, convention: str, size: int | None = None) -> ActionComponent | None:
    """Returns the first component of a convention, and of a size where that is given."""
    return next((c for c in spec.components if c.convention == convention and size in (None, c.size)), None)


# ------------------------------------------------------------------------------------------------------------------------ what is there
def _here(d: Demonstration) -> _vectors.Hand:
    return _vectors.hands(d)[0]


def _target_before(d: Demonstration, here: _vectors.Hand) -> _vectors.Hand:
    """Returns the pose that the hand was told to go to before each action: where that was not recorded, the pose that it has."""
    position, orientation = (name.replace("ee_", "ee_target_") for name in _vectors.pose_names("", here.frame))
    if position not in d.proprio or orientation not in d.proprio:
        return here
    return here._replace(positions=d.proprio[position], quats_wxyz=d.proprio[orientation])


def _joints_here(d: Demonstration) -> Array:
    found = d.proprio.get(_vectors.JOINTS)
    if found is None or found.shape[1:] != (7,):
        there = ", ".join(d.proprio) or "none"
        raise BadData(f"{_FORMAT} tells where seven joints are, and demonstration {d.digest} lacks {_vectors.JOINTS!r} of 7. It has: {there}")
    return found.astype(np.float64)


def _closed(hand: _vectors.Hand, of: Hand) -> Array:
    closed: Array = np.clip(1.0 - hand.openings.astype(np.float64) / of.opening_m, 0.0, 1.0)
    return closed


def _straight(joints: Array, hand: Hand) -> Array:
    return np.asarray(joints - np.array([0.0] * 6 + [hand.last_joint_rad]))


# --------------------------------------------------------------------------------------------------------------------------- rotations
def euler_xyz(quats_wxyz: NDArray[np.floating]) -> Array:
    """Returns the angles `(T, 3)` in rad of unit quaternions `(T, 4)` about the fixed axes x, y and z, one after the other; the middle one is at most
    a quarter turn."""
    w, x, y, z = quats_wxyz.astype(np.float64).T
    return np.stack(
        [
            np.arctan2(2 * (w * x + y * z), 1 - 2 * (x * x + y * y)),
            np.arcsin(np.clip(2 * (w * y - z * x), -1.0, 1.0)),
            np.arctan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z)),
        ],
        axis=1,
    )


def of_euler_xyz(angles_rad: NDArray[np.floating]) -> Array:
    """Returns the unit quaternions `(T, 4)` wxyz of what `euler_xyz` returns."""
    turns = np.zeros((len(angles_rad), 4))
    turns[:, 0] = 1.0
    for axis in range(3):
        half = angles_rad[:, axis].astype(np.float64) / 2
        turn = np.zeros_like(turns)
        turn[:, 0], turn[:, 1 + axis] = np.cos(half), np.sin(half)
        turns = _products(turn, turns)
    return turns


def _quats(form: str, values: Array) -> Array:
    if form == "quaternion_wxyz":
        return np.asarray(values / np.linalg.norm(values, axis=1, keepdims=True))
    return of_euler_xyz(values) if form == "euler_xyz" else _vectors.quats_wxyz(values)


def _products(a: Array, b: Array) -> Array:
    aw, av, bw, bv = a[:, :1], a[:, 1:], b[:, :1], b[:, 1:]
    return np.concatenate([aw * bw - (av * bv).sum(axis=1, keepdims=True), aw * bv + bw * av + np.cross(av, bv)], axis=1)


def _inverses(quats_wxyz: NDArray[np.floating]) -> Array:
    return np.asarray(quats_wxyz.astype(np.float64) * np.array([1.0, -1.0, -1.0, -1.0]))
