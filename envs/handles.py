"""Where the hand is while it hooks a handle or presses against it: poses of the pinch point, made of a fixture's data alone."""

from __future__ import annotations

import math

import numpy as np

from vlagym.envs.fixtures import FixtureJoint
from vlagym.envs.frames import Array, Pose, from_axis_angle, from_yaw, multiply, pose, rotate
from vlagym.envs.robot import EndEffector
from vlagym.envs.types import FixtureSpec

DOWN = np.array([0.0, 1.0, 0.0, 0.0])
"""Orientation wxyz of the pinch point when the hand looks down, fingers across the table."""
FINGER_M = 0.010
"""Half the thickness of the closed fingers, square to the line through both pads."""
_BAR_M = 0.006
"""Half the thickness of a handle's bar, with a little play."""
_UPRIGHT_M = 0.07
"""Opened so far, a drawer's handle is clear of what stands out above it."""


def hook_pose(fixture: FixtureSpec, joint: FixtureJoint, position: float, hand: EndEffector | None = None) -> Pose:
    """Returns the pose of the pinch point (world frame) with closed fingers in the gap behind the handle.

    A hand that has a `bar_opening_m` takes the bar between its sides instead: its pinch point is in the bar, near its middle.

    Args:
      fixture: Where the furniture stands.
      joint: Its joint, with a handle.
      position: Of the joint, in m, or rad for a hinge.
      hand: Whose pinch point; None: one that hooks.

    Raises:
      BadSpec: If the joint has no handle.
    """
    handle = joint.require_handle()
    if hand is not None and hand.bar_opening_m is not None:
        quat = _lean(fixture, joint, position, _turned_to(pull_direction(fixture, joint, position)))
        return Pose(_frame(fixture, joint, position).apply(handle.pos_m) + rotate(quat, np.array([hand.bar_shift_m, 0.0, 0.0])), quat)
    return Pose(_frame(fixture, joint, position).apply(handle.hook_pos_m), _hand(fixture, joint, position))


def push_pose(fixture: FixtureSpec, joint: FixtureJoint, position: float) -> Pose:
    """Returns the pose of the pinch point (world frame) with closed fingers in front of the handle, about to push it shut.

    Raises:
      BadSpec: If the joint has no handle.
    """
    handle = joint.require_handle()
    point = _frame(fixture, joint, position).apply(handle.pos_m) + (FINGER_M + _BAR_M) * pull_direction(fixture, joint, position)
    return Pose(point, _hand(fixture, joint, position))


def pull_direction(fixture: FixtureSpec, joint: FixtureJoint, position: float) -> Array:
    """Returns the unit vector (3,) along which the handle moves when its joint opens, world frame."""
    here = pose(fixture.pos_world, from_yaw(fixture.yaw_rad))
    axis = np.array(joint.axis)
    if joint.type == "slide":
        return rotate(here.quat, axis)
    arm = np.array(joint.require_handle().pos_m) - np.array(joint.pos_m)
    along = np.cross(axis, rotate(joint.at(position).quat, arm))
    return rotate(here.quat, along / np.linalg.norm(along))


def _frame(fixture: FixtureSpec, joint: FixtureJoint, position: float) -> Pose:
    return pose(fixture.pos_world, from_yaw(fixture.yaw_rad)) @ joint.at(position)


def _hand(fixture: FixtureSpec, joint: FixtureJoint, position: float) -> Array:
    """Returns the orientation of the hand: pads along the bar, turning with a door, leaning back by the handle's tilt.

    The more a drawer is open, the less it leans: what stands out above the handle is left behind, and an upright hand reaches farther.
    """
    handle = joint.require_handle()
    bar = rotate(from_yaw(fixture.yaw_rad), np.array(handle.axis))
    # The turn of the hand at the closed joint lies within a quarter turn; from there it follows the door without a leap.
    turn = math.remainder(math.atan2(bar[1], bar[0]) + math.pi / 2, math.pi)
    if joint.type == "hinge":
        turn += joint.axis[2] * position
    return _lean(fixture, joint, position, multiply(from_yaw(turn), DOWN))


def _turned_to(pull: Array) -> Array:
    """Returns the orientation of a hand that looks down, its +y side opposite to a direction."""
    return multiply(from_yaw(math.atan2(-pull[0], pull[1])), DOWN)


def _lean(fixture: FixtureSpec, joint: FixtureJoint, position: float, quat: Array) -> Array:
    """Returns an orientation leaning back by the handle's tilt, less the more the joint is open."""
    tilt_rad = joint.require_handle().hook_tilt_rad * min(1.0, max(0.0, 1.0 - position / _UPRIGHT_M))
    if tilt_rad == 0.0:
        return quat
    return multiply(from_axis_angle(tilt_rad * np.cross([0.0, 0.0, 1.0], pull_direction(fixture, joint, position))), quat)
