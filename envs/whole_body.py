"""Whole-body inverse kinematics: waist and both arms move the hands to poses, within limits and without the robot touching itself."""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.errors import BadSpec, unknown_name
from vlagym.envs.frames import Pose, conjugate, from_axis_angle, multiply, rotate, to_axis_angle
from vlagym.envs.robot import Robot
from vlagym.envs.types import Base, Vec3
from vlagym.envs.whole_body_model import MOVING, skeleton

Array = NDArray[np.float64]

_TURN_COST = 0.25  # of 1 rad, where 1 m costs 1: 0.05 rad weigh as much as 12 mm
_DAMPING = {"arm": 0.04, "waist": 0.12}  # of 1 rad of motion: where both can do it, the arms move three times as far as the waist
_HOME_PULL = 0.03  # share of the way home that is taken an iteration where the hands leave it free
_STRIDE_RAD = 0.25  # per iteration of `solve`
_NEAR_M = 0.03  # from this distance on, parts of the body are kept from coming closer to each other
_APART_M = 0.006  # and this much stays between them
_RETREAT_M = 0.002  # per iteration, where there is less
_SOFT, _HARD = 8, 0  # senses of daqp's constraints


class HandTarget(NamedTuple):
    """Where a hand is wanted, and how much of its orientation counts."""

    pose: Pose
    turn: Literal["full", "axis", "free"] = "full"
    """full: all of it. axis: it may turn about `axis`. free: any."""
    axis: Vec3 = (0.0, 0.0, 1.0)
    """Unit vector in the frame of the site."""


class Solved(NamedTuple):
    """What `solve` found."""

    q: Array
    """(n,) rad, in the order of `Robot.joints`."""
    position_m: Mapping[str, float]
    """Remaining error of each hand that had a target."""
    rotation_rad: Mapping[str, float]

    def is_near(self, position_m: float = 5e-3, rotation_rad: float = 0.05) -> bool:
        """Returns whether every hand is so near to its target."""
        return max(self.position_m.values()) < position_m and max(self.rotation_rad.values()) < rotation_rad


class WholeBody:
    """Kinematics of both hands of a robot, on a model of its own; nothing is remembered from one call to the next, and no thread shares it.

    It moves waist and arms. Legs are not its business: on base `legs` they belong to `vlagym.envs.balance`, and the caller says where the pelvis is
    and, in the joint positions, how the legs stand, which the hands keep off. Poses are in the base frame: the frame of the base body as the robot
    stands at the start of an episode, which glides with it on base `planar`. A pelvis pose is that of the base body in the base frame, the identity
    where None.
    """

    def __init__(self, robot: Robot, base: Base = "fixed") -> None:
        """Builds the solver.

        Args:
          robot: With two hands and joint groups.
          base: What carries it.

        Raises:
          BadSpec: If the robot has no groups of kind arm, or not this base.
        """
        import mink

        if not any(group.kind == "arm" for group in robot.groups):
            raise BadSpec(f"{robot.name} has no joint group of kind 'arm'; whole-body inverse kinematics wants one for each hand (Robot.groups)")
        if base not in robot.bases:
            raise BadSpec(f"{robot.name} has no base {base!r}; it has: {', '.join(robot.bases)}")
        self.robot = robot
        self.base = base
        self.sides = robot.sides
        frame = skeleton(robot, base == "legs")
        self._mink = mink
        self._configuration = mink.Configuration(frame.model)
        self._data = self._configuration.data
        order = np.array([robot.joints.index(joint) for joint in frame.joints])
        self._order = order
        self.low = np.array(robot.joint_low_rad)
        self.high = np.array(robot.joint_high_rad)
        self.home = np.array(robot.home_qpos, np.float64)
        self._low, self._high = self.low[order] + 0.01, self.high[order] - 0.01
        self._speed = np.array(robot.joint_speed_max_rad_s, np.float64)[order]
        kind = {joint: group.kind for group in robot.groups for joint in group.joints}
        self._members = {
            group.name: np.array([i for i, joint in enumerate(frame.joints) if joint in group.joints], np.intp)
            for group in robot.groups
            if group.kind in MOVING
        }
        self._may_move = np.array([kind[joint] in MOVING for joint in frame.joints])
        self._arm_of: dict[str, NDArray[np.intp]] = {
            hand.side: np.array([i for i, joint in enumerate(frame.joints) if joint in hand.arm_joints], np.intp) for hand in robot.end_effectors
        }
        self._sites: dict[str, int] = {hand.side: frame.model.site(hand.site).id for hand in robot.end_effectors}
        self._tasks: dict[str, mink.FrameTask] = {
            hand.side: mink.FrameTask(hand.site, "site", position_cost=1.0, orientation_cost=_TURN_COST) for hand in robot.end_effectors
        }
        self._posture = mink.PostureTask(frame.model, cost=np.array([_DAMPING.get(kind[joint], 1.0) for joint in frame.joints]), gain=_HOME_PULL)
        self._posture.set_target(self.home[order])
        self._collisions = mink.CollisionAvoidanceLimit(
            frame.model,
            [([a], [b]) for a, b in frame.geom_pairs],
            gain=0.5,
            minimum_distance_from_collisions=_APART_M,
            collision_detection_distance=_NEAR_M,
            bound_relaxation=-_RETREAT_M,
        )
        self._has_pairs = bool(frame.geom_pairs)
        self._quat = np.zeros(4)

    def forward(self, q: Array, pelvis: Pose | None = None) -> dict[str, Pose]:
        """Returns the pose of each hand's pinch site for joint positions `(n,)` in rad."""
        import mujoco

        self._data.qpos[:] = q[self._order]
        mujoco.mj_kinematics(self._configuration.model, self._data)
        poses = {side: self._site_pose(side) for side in self.sides}
        return poses if pelvis is None else {side: pelvis @ pose for side, pose in poses.items()}

    def step(
        self,
        q: Array,
        targets: Mapping[str, Pose | HandTarget],
        dt_s: float | None = 0.05,
        *,
        iterations: int = 2,
        hold: Collection[str] = (),
        pelvis: Pose | None = None,
        avoid: bool = True,
    ) -> Array:
        """Moves the joints towards targets of the hands.

        Args:
          q: (n,) rad, where the joints are now.
          targets: Side -> pose of the pinch site in the base frame. The arm of a side that is not named keeps its joints.
          dt_s: Time that the motion may take: joints move no farther than their speed limits allow; None for as far as is good.
          iterations: Each linearises anew.
          hold: Names of groups whose joints stay: "waist", "left_arm".
          pelvis: Of the base body in the base frame.
          avoid: Whether parts of the body keep apart.

        Returns:
          (n,) rad; joints of legs and neck are those of `q`.

        Raises:
          UnknownName: If a side or group does not exist.
        """
        aims = self._aims(targets, pelvis)
        free = self._free(aims, hold)
        out = np.array(q, np.float64)
        if not free.any():
            return out
        moving = np.flatnonzero(free)
        stride = np.full(len(moving), _STRIDE_RAD) if dt_s is None else self._speed[moving] * (dt_s / iterations)
        x = out[self._order]
        for _ in range(iterations):
            x[moving] += self._increment(x, moving, aims, stride, avoid)
        out[self._order[moving]] = x[moving]
        return out

    def solve(
        self,
        targets: Mapping[str, Pose | HandTarget],
        start: Array | None = None,
        *,
        iterations: int = 60,
        hold: Collection[str] = (),
        pelvis: Pose | None = None,
        avoid: bool = True,
    ) -> Solved:
        """Solves for targets of the hands from a start posture `(n,)` rad (home where None); arguments as those of `step`."""
        q = np.array(self.home if start is None else start, np.float64)
        found = self._errors(q, targets, pelvis)
        for _ in range(max(1, iterations // 4)):
            q = self.step(q, targets, None, iterations=4, hold=hold, pelvis=pelvis, avoid=avoid)
            found = self._errors(q, targets, pelvis)
            if found.is_near(5e-4, 2e-3):
                break
        return found

    def reaches(
        self,
        side: str,
        target: Pose | HandTarget,
        start: Array | None = None,
        *,
        hold: Collection[str] = (),
        pelvis: Pose | None = None,
        avoid: bool = True,
    ) -> bool:
        """Returns whether one hand reaches a pose within 5 mm and 0.05 rad, the other arm as in the start posture."""
        return self.solve({side: target}, start, hold=hold, pelvis=pelvis, avoid=avoid).is_near()

    def _increment(self, x: Array, moving: NDArray[np.intp], aims: Mapping[str, HandTarget], stride: Array, avoid: bool) -> Array:
        """Returns a change of the moving joints that brings the hands nearer to their targets; the others stay."""
        import daqp

        self._configuration.update(x)
        for side, aim in aims.items():
            pose = self._effective(side, aim)
            self._tasks[side].set_target(self._mink.SE3(np.concatenate([pose.quat, pose.pos])))
        tasks = [*(self._tasks[side] for side in aims), self._posture]
        problem = self._mink.build_ik(self._configuration, tasks, 1.0, limits=[self._collisions] if avoid and self._has_pairs else [])
        here = x[moving]
        low, high = np.clip(self._low[moving] - here, -stride, stride), np.clip(self._high[moving] - here, -stride, stride)
        rows, bounds = np.zeros((0, len(moving))), np.zeros(0)
        if problem.G is not None and problem.h is not None:
            near = np.flatnonzero(np.isfinite(problem.h))
            rows, bounds = problem.G[np.ix_(near, moving)], problem.h[near]
        upper = np.concatenate([high, bounds])
        lower = np.concatenate([low, np.full(len(bounds), -1e30)])
        # Kept apart softly: a posture in which parts already touch has a way out.
        sense = np.concatenate([np.full(len(moving), _HARD, np.int32), np.full(len(bounds), _SOFT, np.int32)])
        quadratic, linear = (problem.P, problem.q) if len(moving) == len(x) else (problem.P[np.ix_(moving, moving)], problem.q[moving])
        change, _, flag, _ = daqp.solve(quadratic, linear, rows, upper, lower, sense)
        if flag <= 0:
            raise RuntimeError(f"daqp ended with flag {flag} on the inverse kinematics of {self.robot.name} at {x.tolist()}")
        increment: Array = np.clip(change, low, high)
        return increment

    def _effective(self, side: str, aim: HandTarget) -> Pose:
        """Returns the target with what is free of its orientation taken from the present pose."""
        if aim.turn == "full":
            return aim.pose
        here = self._site_pose(side).quat
        if aim.turn == "free":
            return Pose(aim.pose.pos, here)
        return Pose(aim.pose.pos, multiply(aim.pose.quat, _twist(multiply(conjugate(aim.pose.quat), here), np.array(aim.axis))))

    def _errors(self, q: Array, targets: Mapping[str, Pose | HandTarget], pelvis: Pose | None) -> Solved:
        aims = self._aims(targets, pelvis)
        poses = self.forward(q)
        position, rotation = {}, {}
        for side, aim in aims.items():
            wanted = self._effective(side, aim)
            position[side] = float(np.linalg.norm(wanted.pos - poses[side].pos))
            rotation[side] = float(np.linalg.norm(to_axis_angle(multiply(wanted.quat, conjugate(poses[side].quat)))))
        return Solved(q, position, rotation)

    def _aims(self, targets: Mapping[str, Pose | HandTarget], pelvis: Pose | None) -> dict[str, HandTarget]:
        """Returns the targets in the frame of the base body, in the order of the sides."""
        for side in targets:
            if side not in self.sides:
                raise unknown_name(f"hand of {self.robot.name}", side, self.sides)
        aims = {side: _as_target(targets[side]) for side in self.sides if side in targets}
        if pelvis is None:
            return aims
        inverse = pelvis.inverse()
        return {side: aim._replace(pose=inverse @ aim.pose) for side, aim in aims.items()}

    def _free(self, aims: Mapping[str, HandTarget], hold: Collection[str]) -> NDArray[np.bool_]:
        free = self._may_move.copy()
        for side in self.sides:
            if side not in aims:
                free[self._arm_of[side]] = False
        for group in hold:
            if group not in self._members:
                raise unknown_name(f"moving joint group of {self.robot.name}", group, self._members)
            free[self._members[group]] = False
        return free

    def _site_pose(self, side: str) -> Pose:
        import mujoco

        site = self._sites[side]
        mujoco.mju_mat2Quat(self._quat, self._data.site_xmat[site])
        return Pose(self._data.site_xpos[site].copy(), self._quat.copy())


def _as_target(target: Pose | HandTarget) -> HandTarget:
    return target if isinstance(target, HandTarget) else HandTarget(target)


def _twist(quat: Array, axis: Array) -> Array:
    """Returns the part of a rotation that turns about an axis; the identity where the rest is a half turn."""
    along = float(quat[1:] @ axis)
    w = float(quat[0])
    norm = float(np.hypot(w, along))
    if norm < 1e-9:
        return np.array([1.0, 0.0, 0.0, 0.0])
    return np.concatenate([[w / norm], axis * (along / norm)])


def pointing(pos: Array, direction: Array, axis: Vec3, near: Array) -> Pose:
    """Returns the pose at a position whose axis points along a direction, turned as little as possible from a given orientation.

    Args:
      pos: (3,) m
      direction: (3,) Any length.
      axis: Unit vector in the frame of the pose.
      near: (4,) quaternion wxyz.
    """
    here = rotate(near, np.array(axis))
    there = np.asarray(direction, np.float64) / np.linalg.norm(direction)
    cross = np.cross(here, there)
    sine, cosine = float(np.linalg.norm(cross)), float(here @ there)
    if sine < 1e-9:
        if cosine > 0:
            return Pose(np.array(pos), np.array(near))
        cross, sine = np.cross(here, np.eye(3)[int(np.abs(here).argmin())]), 0.0
    turn = cross / np.linalg.norm(cross) * np.arctan2(sine, cosine)
    return Pose(np.array(pos), multiply(from_axis_angle(turn), near))


@functools.cache
def whole_body(robot_name: str, base: Base = "fixed") -> WholeBody:
    """Returns the solver of a robot, built once a process. Not to be shared between threads.

    Raises:
      UnknownName: If there is no robot of that name.
      BadSpec: As the constructor.
    """
    from vlagym.envs import catalog

    return WholeBody(catalog.load("robot", robot_name), base)
