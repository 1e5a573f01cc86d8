"""The motion of an episode, told in the other action conventions of its robot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlagym.envs import catalog
from vlagym.envs.control import JOINT_DELTA_SCALE_RAD, action_spec, rescaled
from vlagym.envs.frames import conjugate, multiply, to_axis_angle
from vlagym.envs.robot import Robot
from vlagym.envs.types import ActionSpec, EpisodeSpec

ONE_ARM = ("ee_delta", "ee_pose", "joint_position", "joint_delta")
TWO_HANDS = ("joint_position", "joint_position_fingers")
"""Of robots with two hands."""


def conventions(spec: EpisodeSpec) -> dict[str, ActionSpec]:
    """Returns the conventions, other than its own, in which the motion of an episode can be told, by their names.

    1.0 of joint_delta is 0.1 rad, or as far as the fastest joint of the robot may move in a step where that is more: no command leaves [-1, 1].
    """
    robot: Robot = catalog.load("robot", spec.robot)
    names = [name for name in (TWO_HANDS if robot.has_two_hands else ONE_ARM) if name in robot.controls and name != spec.control.name]
    found = {name: action_spec(robot, name, spec.control.rate_hz, spec.robot_base) for name in names}
    if "joint_delta" in found:
        fastest = max(robot.joint_speed_max_rad_s) / spec.control.rate_hz
        found["joint_delta"] = rescaled(found["joint_delta"], {"joints": max(JOINT_DELTA_SCALE_RAD, fastest)})
    return found


def told(spec: EpisodeSpec, to: ActionSpec, actions: NDArray[np.float32], before: Sequence[Any], after: Sequence[Any]) -> NDArray[np.float32]:
    """Returns the motion of an episode in a convention.

    joint_position: the joint targets that the controllers come to by each action, in rad. joint_delta: their change. ee_pose: the pose of the pinch
    point that they come to ask for, in the base frame, the quaternion with w >= 0. ee_delta: its change, the rotation from the left. Grippers, and
    what carries the robot, are told as they were commanded; joint_position_fingers has what each finger joint is asked for, in rad.

    Args:
      spec: The episode.
      to: The convention: of `conventions`.
      actions: `(T, D)` that were commanded, in the convention of the episode.
      before: T times what the controllers asked of the robot before each action: `vlagym.envs.world.Commanded`.
      after: T times what they ask of it once they have taken the action.

    Returns:
      `(T, D')`
    """
    robot: Robot = catalog.load("robot", spec.robot)
    own, rows = spec.control.slices(), np.zeros((len(actions), to.size))
    groups: Mapping[str, list[int]] = {
        g.name: [robot.joints.index(joint) for joint in g.joints] for g in robot.groups if g.kind != "hand"
    }
    for component in to.components:
        at, name = to.slices()[component.name], component.name
        if name in own and component == spec.control.components[list(own).index(name)]:
            rows[:, at] = actions[:, own[name]]
        elif component.convention == "gripper_closed_positive":
            rows[:, at] = [[now.hands[_side(name)]] for now in after]
        elif component.convention == "joint_position" and name.endswith("_hand"):
            rows[:, at] = [robot.hand(_side(name)).finger_ctrl((now.hands[_side(name)] + 1.0) / 2.0) for now in after]
        elif component.convention == "joint_position":
            rows[:, at] = [now.joint_target if name == "joints" else now.joint_target[groups[name]] for now in after]
        elif component.convention == "joint_delta":
            rows[:, at] = [(now.joint_target - was.joint_target) / component.scale for was, now in zip(before, after, strict=True)]
        elif component.convention == "position":
            rows[:, at] = [now.pose_targets[""].pos for now in after]
        elif component.convention == "quaternion_wxyz":
            quats = np.array([now.pose_targets[""].quat for now in after])
            rows[:, at] = np.where(quats[:, :1] < 0.0, -quats, quats)
        elif component.convention == "delta_position":
            rows[:, at] = [(now.pose_targets[""].pos - was.pose_targets[""].pos) / component.scale for was, now in zip(before, after, strict=True)]
        elif component.convention == "delta_axis_angle":
            turns = [multiply(now.pose_targets[""].quat, conjugate(was.pose_targets[""].quat)) for was, now in zip(before, after, strict=True)]
            rows[:, at] = [to_axis_angle(turn) / component.scale for turn in turns]
        else:
            raise AssertionError(f"{to.name} has a component of the convention {component.convention!r}")
    return rows.astype(np.float32)


def _side(component: str) -> str:
    """Returns whose hand a component closes: "gripper" that of the only one, "left_hand" the left one."""
    return "" if component == "gripper" else component.removesuffix("_hand")


def under_control(spec: EpisodeSpec, control: ActionSpec) -> EpisodeSpec:
    """Returns the same episode, commanded in another convention: another episode by its digest."""
    return replace(spec, control=control)


def is_noop(action: NDArray[np.float32], last: NDArray[np.float32] | None, spec: ActionSpec) -> bool:
    """Tells whether an action does nothing, by OpenVLA's rule for LIBERO: its displacements are below 1e-4 in norm, and nothing else has changed.

    Args:
      action: `(D,)`
      last: `(D,)` the last action that was kept; None: there was none, and grippers count as unchanged.
      spec: Of the actions. What is a position in it counts by its change: a first position always does something.
    """
    moved: list[float] = []
    for component, at in zip(spec.components, spec.slices().values(), strict=True):
        if component.convention in ("delta_position", "delta_axis_angle", "joint_delta", "planar_velocity"):
            moved += action[at].tolist()
        elif component.convention == "gripper_closed_positive":
            if last is not None and not np.array_equal(action[at], last[at]):
                return False
        elif last is None:
            return False
        else:
            moved += (action[at] - last[at]).tolist()
    return float(np.linalg.norm(moved)) < NOOP


NOOP = 1e-4
"""Of OpenVLA's regenerate_libero_dataset.py."""
