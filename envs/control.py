"""Action components to joint targets: end-effector deltas and poses by inverse kinematics, joints directly, the gripper."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.errors import BadAction, BadSpec, unknown_name
from vlagym.envs.frames import Pose, conjugate, from_axis_angle, multiply, to_axis_angle
from vlagym.envs.kinematics import Kinematics
from vlagym.envs.robot import Robot
from vlagym.envs.types import ActionComponent, ActionSpec, Base

Array = NDArray[np.float64]

RATE_HZ = 20.0
TRANSLATION_SCALE_M = 0.05  # per step at full scale: 1 m/s at 20 Hz, LIBERO's scale
ROTATION_SCALE_RAD = 0.25
JOINT_DELTA_SCALE_RAD = 0.1
LEAD_MAX_M = 0.06  # how far the commanded pose may run ahead of the measured one: presses with a bounded force, and lets go at once
LEAD_MAX_RAD = 0.35
_DISPLACEMENTS = ("delta_position", "delta_axis_angle", "joint_delta")
"""Conventions whose scale an episode may state: 0 stays 0."""

_GRIPPER = ActionComponent(
    name="gripper", size=1, convention="gripper_closed_positive", frame="joint", unit="fraction", scale=1.0, low=(-1.0,), high=(1.0,)
)


def _unit(name: str, convention: str, unit: str, scale: float, size: int = 3, frame: str = "base") -> ActionComponent:
    return ActionComponent(
        name=name, size=size, convention=convention, frame=frame, unit=unit, scale=scale, low=(-1.0,) * size, high=(1.0,) * size
    )


def action_spec(robot: Robot, name: str, rate_hz: float = RATE_HZ, base: Base = "fixed") -> ActionSpec:
    """Returns the action vector of a convention; "default" is the first that the robot takes.

    For a robot with two hands see `vlagym.envs.body_control.body_action_spec`. For one with a single arm:

    ee_delta: translation (3, base frame, 1.0 = 5 cm a step), rotation (3, axis-angle in the base frame, applied from the left, 1.0 = 0.25 rad
    a step), gripper. ee_pose: position (3, m, base frame), orientation (4, quaternion wxyz), gripper. joint_delta: joints (n, 1.0 = 0.1 rad a
    step), gripper. joint_position: joints (n, rad), gripper. The gripper is -1 open, +1 closed, everywhere.

    Raises:
      UnknownName: For another convention.
    """
    name = robot.controls[0] if name == "default" else name
    if robot.has_two_hands:
        from vlagym.envs.body_control import body_action_spec  # which builds upon this module

        return body_action_spec(robot, name, base, rate_hz)
    n = len(robot.joints)
    table = {
        "ee_delta": (
            _unit("translation", "delta_position", "m", TRANSLATION_SCALE_M),
            _unit("rotation", "delta_axis_angle", "rad", ROTATION_SCALE_RAD),
            _GRIPPER,
        ),
        "ee_pose": (
            ActionComponent(
                name="position", size=3, convention="position", frame="base", unit="m", scale=1.0, low=(-1.2,) * 3, high=(1.2,) * 3
            ),
            _unit("orientation", "quaternion_wxyz", "1", 1.0, size=4),
            _GRIPPER,
        ),
        "joint_delta": (_unit("joints", "joint_delta", "rad", JOINT_DELTA_SCALE_RAD, size=n, frame="joint"), _GRIPPER),
        "joint_position": (
            ActionComponent(
                name="joints",
                size=n,
                convention="joint_position",
                frame="joint",
                unit="rad",
                scale=1.0,
                low=robot.joint_low_rad,
                high=robot.joint_high_rad,
            ),
            _GRIPPER,
        ),
    }
    if name not in table:
        raise unknown_name("action convention", name, table)
    return ActionSpec(name=name, components=table[name], rate_hz=rate_hz)


def rescaled(spec: ActionSpec, scale: Mapping[str, float]) -> ActionSpec:
    """Returns the action vector with another physical value of 1.0 in some of its components.

    Args:
      spec: Of a convention.
      scale: Component -> m or rad a step.

    Raises:
      UnknownName: If it has no such component.
      BadSpec: If a component is no displacement, or a scale is not above 0.
    """
    names = [c.name for c in spec.components]
    for name, value in scale.items():
        if name not in names:
            raise unknown_name(f"component of {spec.name}", name, names)
        if not value > 0.0:
            raise BadSpec(f"the scale of {name!r} in {spec.name} is {value:g}; it must be more than 0")
        if spec.components[names.index(name)].convention not in _DISPLACEMENTS:
            raise BadSpec(f"{name!r} of {spec.name} is no displacement, so it has no other scale")
    return replace(spec, components=tuple(replace(c, scale=scale.get(c.name, c.scale)) for c in spec.components))


def is_control_of(spec: ActionSpec, own: ActionSpec) -> bool:
    """Tells whether an action vector is one of ours: the same but for the scale of its displacements, which an episode may state."""
    if len(spec.components) != len(own.components):
        return False
    pairs = zip(spec.components, own.components, strict=True)
    components = tuple(replace(b, scale=a.scale) if b.convention in _DISPLACEMENTS and a.scale > 0.0 else b for a, b in pairs)
    return spec == replace(own, components=components)


class Controller:
    """Turns actions into joint and finger targets. Holds the commanded pose and posture between steps."""

    def __init__(self, robot: Robot, kinematics: Kinematics, spec: ActionSpec) -> None:
        self.spec = spec
        self._robot = robot
        self._hand = robot.end_effectors[0]
        self._kinematics = kinematics
        self._slices = spec.slices()
        self._scales = {c.name: c.scale for c in spec.components}
        self._step_max_rad = np.array(robot.joint_speed_max_rad_s) / spec.rate_hz
        self.joint_target = np.zeros(len(robot.joints))
        """(n,) rad, what the arm's actuators are asked for."""
        self.pose_target = Pose(np.zeros(3), np.array([1.0, 0.0, 0.0, 0.0]))
        """Commanded pose of the pinch point in the base frame."""
        self.gripper_command = -1.0
        """Last commanded, -1 open, +1 closed."""

    def reset(self, q: Array) -> None:
        """Begins an episode in a posture `(n,)` rad, hand open."""
        self.joint_target = np.array(q, np.float64)
        self.pose_target = self._kinematics.forward(self.joint_target)
        self.gripper_command = -1.0

    @property
    def finger_target(self) -> Array:
        """What the finger actuators are asked for."""
        return self._hand.finger_ctrl((self.gripper_command + 1.0) / 2.0)

    def command(self, action: NDArray[np.float32], measured: Pose) -> None:
        """Takes one action.

        Args:
          action: `(D,)`, checked by `ActionSpec.check`.
          measured: Present pose of the pinch point in the base frame.

        Raises:
          BadAction: If a quaternion of `ee_pose` has a norm below 1e-3.
        """
        a = action.astype(np.float64)
        if "orientation" in self._slices and float(np.linalg.norm(a[self._slices["orientation"]])) < 1e-3:
            given = a[self._slices["orientation"]].tolist()
            raise BadAction(f"the orientation of ee_pose is {given}; it wants a quaternion wxyz, which has norm 1")
        self.gripper_command = float(a[self._slices["gripper"]][0])
        if self.spec.name == "joint_position":
            self._move_joints(a[self._slices["joints"]])
        elif self.spec.name == "joint_delta":
            self._move_joints(self.joint_target + a[self._slices["joints"]] * self._scales["joints"])
        elif self.spec.name == "ee_delta":
            target = Pose(
                self.pose_target.pos + a[self._slices["translation"]] * self._scales["translation"],
                multiply(from_axis_angle(a[self._slices["rotation"]] * self._scales["rotation"]), self.pose_target.quat),
            )
            self._move_pose(target, measured)
        else:
            quat = a[self._slices["orientation"]]
            self._move_pose(Pose(a[self._slices["position"]], quat / np.linalg.norm(quat)), measured)

    def _move_joints(self, q: Array) -> None:
        robot = self._robot
        q = np.clip(q, np.array(robot.joint_low_rad), np.array(robot.joint_high_rad))
        self.joint_target = self.joint_target + np.clip(q - self.joint_target, -self._step_max_rad, self._step_max_rad)
        self.pose_target = self._kinematics.forward(self.joint_target)

    def _move_pose(self, target: Pose, measured: Pose) -> None:
        target = clamp_lead(target, measured)
        change = self._kinematics.step(self.joint_target, target) - self.joint_target
        excess = float(np.max(np.abs(change) / self._step_max_rad))
        self.joint_target = self.joint_target + (change / excess if excess > 1.0 else change)
        self.pose_target = target


def clamp_lead(target: Pose, measured: Pose, lead_max_m: float = LEAD_MAX_M) -> Pose:
    """Returns a commanded pose that runs ahead of the measured one by `lead_max_m` and LEAD_MAX_RAD at most."""
    lead = target.pos - measured.pos
    distance = float(np.sqrt(lead @ lead))
    pos = target.pos if distance <= lead_max_m else measured.pos + lead * (lead_max_m / distance)
    turn = to_axis_angle(multiply(target.quat, conjugate(measured.quat)))
    angle = float(np.sqrt(turn @ turn))
    quat = target.quat if angle <= LEAD_MAX_RAD else multiply(from_axis_angle(turn * (LEAD_MAX_RAD / angle)), measured.quat)
    return Pose(pos, quat / np.sqrt(quat @ quat))
