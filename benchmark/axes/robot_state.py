"""The robot begins in another posture: its hand starts elsewhere, and turned otherwise."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from vlagym.benchmark.axis import Axis, Unfit
from vlagym.benchmark.variation.clearance import start_clearance
from vlagym.envs import catalog
from vlagym.envs.robot import Robot
from vlagym.envs.types import EpisodeSpec

_NOISE_RAD = {1: 0.05, 2: 0.1, 3: 0.2, 4: 0.3, 5: 0.4}
"""By level: how far a joint of an arm is from where it would have begun, at most; the one that is farthest off at least three quarters of it."""
_LIMIT_RAD = 0.05
"""So far at least from the limits of a joint, unless it began nearer."""
_CLEAR_M = 0.03
"""Between the robot and all that it could touch, unless it began nearer."""
_NEAR_SHARE = 0.75


def _robot_state(spec: EpisodeSpec, level: int, rng: np.random.Generator) -> EpisodeSpec:
    robot: Robot = catalog.load("robot", spec.robot)
    home, low, high = (np.array(v) for v in (spec.robot_qpos, robot.joint_low_rad, robot.joint_high_rad))
    noise = rng.uniform(-1.0, 1.0, len(home)) * _arm_joints(robot)
    noise *= _NOISE_RAD[level] * rng.uniform(_NEAR_SHARE, 1.0) / np.abs(noise).max()
    start = home + noise
    room = np.minimum(_LIMIT_RAD, np.minimum(home - low, high - home))
    if (start < low + room).any() or (start > high - room).any():
        raise Unfit("a joint would begin beyond its limits")
    varied = dataclasses.replace(spec, robot_qpos=tuple(start.round(5).tolist()))
    before, after = start_clearance(spec, _CLEAR_M), start_clearance(varied, _CLEAR_M)
    if after.things_m < min(_CLEAR_M, before.things_m):
        raise Unfit("the robot would begin too near to something")
    if after.itself_m < min(0.0, before.itself_m):
        raise Unfit("the robot would begin in its own way")
    return varied


def _arm_joints(robot: Robot) -> NDArray[np.float64]:
    """Returns (n,) 1 for the joints of arms, 0 for all others: legs have to stand, and hands begin open."""
    if not robot.groups:
        return np.ones(len(robot.joints))
    arms = {joint for group in robot.groups if group.kind == "arm" for joint in group.joints}
    return np.array([float(joint in arms) for joint in robot.joints])


AXIS = Axis(
    group="body",
    changes=("robot_qpos",),
    apply=_robot_state,
    tells=tuple(f"each joint of an arm begins up to {rad:g} rad elsewhere" for rad in _NOISE_RAD.values()),
)
