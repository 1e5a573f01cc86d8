"""What carries a robot that stands on the floor: a stand, a gliding base, or its legs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from vlagym.envs.errors import BadSpec
from vlagym.envs.frames import Pose, from_yaw, pose
from vlagym.envs.robot import Robot, Stance, position_actuator
from vlagym.envs.types import Base, Vec3

PLANAR_JOINTS = ("base_x", "base_y", "base_yaw")
"""Joints and position actuators of a gliding base: m, m, rad."""
ROOT = "root"
"""Free joint of a robot on its legs."""

PLANAR_SPEED_MAX = (0.5, 0.5, 1.0)
"""m/s, m/s, rad/s: an unhurried walk, half of what the maker states for the Unitree G1's (2 m/s) and less."""

_GLIDE = ((12000.0, 1600.0, 600.0), (12000.0, 1600.0, 600.0), (1500.0, 130.0, 200.0))
"""(kp, kv, force) of each: near critical damping for 35 kg and 1.5 kg m2; 600 N and 200 N m, so that furniture stops it before it breaks."""
_RANGE = ((-2.0, 2.0), (-2.0, 2.0), (-2 * math.pi, 2 * math.pi))


def check_base(robot: Robot, base: Base) -> None:
    """Raises BadSpec if a robot has no such base."""
    if base not in robot.bases:
        raise BadSpec(f"{robot.name!r} has no base {base!r}; it has: {', '.join(robot.bases)}")


def stance_of(robot: Robot) -> Stance:
    """Returns how a robot stands on the floor. Raises BadSpec for one that stands on the table."""
    if robot.stance is None:
        raise BadSpec(f"{robot.name!r} stands on the table, not on the floor")
    return robot.stance


def base_frame(robot: Robot, floor_m: float, start: Vec3 = (0.0, 0.0, 0.0)) -> Pose:
    """Returns the pose in the world of the frame in which poses and actions of a robot are given.

    Args:
      robot: One that stands on the table has its base body's frame; one that stands on the floor a frame at its pelvis as it stands, level.
      floor_m: Height of the floor in the world frame.
      start: Where it is, counted from where it stands usually: x and y in m, and its turn in rad.
    """
    x, y, yaw = start
    if robot.stance is None:
        bx, by, bz = robot.base_pos_world
        return pose((bx + x, by + y, bz), from_yaw(yaw))
    return pose((x, y, floor_m + robot.stance.pelvis_height_m), from_yaw(yaw))


def mount(mj: Any, robot: Robot, base: Base, start: Vec3, floor_m: float) -> None:
    """Puts a robot where it stands and adds the joints and actuators that its base needs.

    Args:
      mj: `mujoco.MjSpec` that the robot has been added to, its base body a plain child of the world.
      robot: The robot.
      base: What carries it.
      start: See `base_frame`. A gliding base and legs begin there by their joint positions, see `root_qpos`.
      floor_m: Height of the floor in the world frame.

    Raises:
      BadSpec: If the robot has no such base.
    """
    import mujoco

    check_base(robot, base)
    body = mj.body(robot.base_body)
    here = base_frame(robot, floor_m, start if base == "fixed" else (0.0, 0.0, 0.0))
    body.pos, body.quat = here.pos, here.quat
    if base == "legs":
        body.add_freejoint(name=ROOT)
        return
    for foot in stance_of(robot).feet if robot.stance else ():
        # Its feet carry nothing: they shall not drag over the floor either.
        mj.add_exclude(name=f"world-{foot.body}", bodyname1="world", bodyname2=foot.body)
    if base == "planar":
        slide, hinge = mujoco.mjtJoint.mjJNT_SLIDE, mujoco.mjtJoint.mjJNT_HINGE
        kinds = ((slide, (1, 0, 0)), (slide, (0, 1, 0)), (hinge, (0, 0, 1)))
        for name, (kind, axis), (kp, kv, force), ctrl in zip(PLANAR_JOINTS, kinds, _GLIDE, _RANGE, strict=True):
            body.add_joint(name=name, type=kind, axis=axis)
            position_actuator(mj, name, kp, kv, force, ctrl)


def root_qpos(robot: Robot, start: Vec3, floor_m: float) -> Any:
    """Returns the position of the free joint `(7,)` of a robot on its legs at its start: m and quaternion wxyz."""
    here = base_frame(robot, floor_m, start)
    return np.concatenate([here.pos, here.quat])
