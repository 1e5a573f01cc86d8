"""Action components to joint targets for a robot with two hands: both hands by whole-body inverse kinematics, joints by group, hands, base."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.bases import PLANAR_SPEED_MAX
from vlagym.envs.control import LEAD_MAX_M, ROTATION_SCALE_RAD, TRANSLATION_SCALE_M, clamp_lead
from vlagym.envs.errors import unknown_name
from vlagym.envs.frames import Pose, from_axis_angle, multiply
from vlagym.envs.robot import Robot
from vlagym.envs.types import ActionComponent, ActionSpec, Base
from vlagym.envs.whole_body import WholeBody

Array = NDArray[np.float64]

HEIGHT_M = (-0.30, 0.0)
"""What may be commanded of the height of the pelvis of a robot on its legs, counted from its height as it stands at the start."""
LEAN_RAD = (-0.1, 0.5)
"""What may be commanded of the lean of its torso, forward."""


def body_action_spec(robot: Robot, name: str, base: Base, rate_hz: float) -> ActionSpec:
    """Returns the action vector of a convention for a robot with two hands.

    bimanual_ee_delta: for the left, then the right hand, translation (3, base frame, 1.0 = 5 cm a step) and rotation (3, axis-angle in the base
    frame, applied from the left, 1.0 = 0.25 rad a step); then left_hand and right_hand, -1 open, +1 closed, and neck (rad, absolute) where there is
    one: hands do not say where a head looks. joint_position: left_arm, right_arm
    (rad), left_hand, right_hand, waist and neck (rad) where there are such. joint_position_fingers: the same with a number for each finger joint
    (rad). Behind them what the base takes. planar: navigate_command (3: forward, to the left, turning to the left; 1.0 = 0.5 m/s, 0.5 m/s,
    1 rad/s). legs: base_height_command (m, how much lower than at the start the pelvis is to be, from -0.3 to 0) and torso_lean_command (rad,
    forward). The frame "base" is that of `vlagym.envs.bases.base_frame`. Groups of joints and commands of the base bear the names that GR00T has
    for the Unitree G1.

    Raises:
      UnknownName: For another convention.
    """
    hands = robot.end_effectors
    if name == "bimanual_ee_delta":
        parts = [
            part
            for hand in hands
            for part in (
                _scaled(f"{hand.side}_translation", "delta_position", "m", TRANSLATION_SCALE_M),
                _scaled(f"{hand.side}_rotation", "delta_axis_angle", "rad", ROTATION_SCALE_RAD),
            )
        ]
        parts += [_closing(f"{hand.side}_hand") for hand in hands]
        parts += [_joints(robot, group.name) for group in robot.groups if group.kind == "neck"]
    elif name in ("joint_position", "joint_position_fingers"):
        parts = [_joints(robot, group.name) for group in robot.groups if group.kind == "arm"]
        if name == "joint_position":
            parts += [_closing(f"{hand.side}_hand") for hand in hands]
        else:
            parts += [_fingers(robot, hand.side) for hand in hands]
        parts += [_joints(robot, group.name) for group in robot.groups if group.kind in ("waist", "neck")]
    else:
        raise unknown_name("action convention", name, robot.controls, f"They are those of {robot.name!r}.")
    if base == "planar":
        velocity = ActionComponent(
            name="navigate_command", size=3, convention="planar_velocity", frame="base", unit="m/s, m/s, rad/s", scale=1.0,
            low=tuple(-v for v in PLANAR_SPEED_MAX), high=PLANAR_SPEED_MAX,
        )  # fmt: skip
        parts.append(velocity)
    elif base == "legs":
        parts.append(_absolute("base_height_command", "height", "m", *HEIGHT_M))
        parts.append(_absolute("torso_lean_command", "lean", "rad", *LEAN_RAD))
    return ActionSpec(name=name, components=tuple(parts), rate_hz=rate_hz)


def _scaled(name: str, convention: str, unit: str, scale: float) -> ActionComponent:
    low, high = (-1.0,) * 3, (1.0,) * 3
    return ActionComponent(name=name, size=3, convention=convention, frame="base", unit=unit, scale=scale, low=low, high=high)


def _closing(name: str) -> ActionComponent:
    return ActionComponent(
        name=name, size=1, convention="gripper_closed_positive", frame="joint", unit="fraction", scale=1.0, low=(-1.0,), high=(1.0,)
    )


def _absolute(name: str, convention: str, unit: str, low: float, high: float) -> ActionComponent:
    return ActionComponent(name=name, size=1, convention=convention, frame="base", unit=unit, scale=1.0, low=(low,), high=(high,))


def _joints(robot: Robot, group: str) -> ActionComponent:
    joints = robot.group(group).joints
    at = [robot.joints.index(joint) for joint in joints]
    low, high = (tuple(limits[i] for i in at) for limits in (robot.joint_low_rad, robot.joint_high_rad))
    return ActionComponent(
        name=group, size=len(joints), convention="joint_position", frame="joint", unit="rad", scale=1.0, low=low, high=high
    )


def _fingers(robot: Robot, side: str) -> ActionComponent:
    hand = robot.hand(side)
    ends = np.array(hand.finger_range).T if hand.finger_range else np.sort(np.stack([hand.finger_ctrl(0.0), hand.finger_ctrl(1.0)]), axis=0)
    low, high = (tuple(row.tolist()) for row in ends)
    return ActionComponent(
        name=f"{side}_hand", size=len(low), convention="joint_position", frame="joint", unit="rad", scale=1.0, low=low, high=high
    )


_BASE_LEAD = np.array([0.06, 0.06, 0.12])
"""m, m, rad: how far the commanded place of a gliding base may run ahead of where it is, so that it pushes with a bounded force."""


_LEAD_ON_LEGS_M = 0.03
"""How far a commanded hand may run ahead of the measured one on legs: hands that press on a table as hard as arms can push the robot over."""


class Standing(NamedTuple):
    """How a robot stands on its legs."""

    pelvis_base: Pose
    """Of its base body in the base frame."""
    joint_pos: Array
    """(n,) rad, of which those of the legs are looked at."""


class BodyController:
    """Turns actions into targets of joints, fingers and base. Holds the commanded poses and postures between steps."""

    def __init__(self, robot: Robot, whole_body: WholeBody, spec: ActionSpec, base: Base) -> None:
        self.spec = spec
        self._robot, self._whole_body, self._base = robot, whole_body, base
        self._slices = spec.slices()
        self._scales = {c.name: c.scale for c in spec.components}
        self._dt_s = 1.0 / spec.rate_hz
        self._lead_m = _LEAD_ON_LEGS_M if base == "legs" else LEAD_MAX_M
        self._step_max_rad = np.array(robot.joint_speed_max_rad_s) / spec.rate_hz
        legs = {joint for group in robot.groups if group.kind == "leg" for joint in group.joints}
        self._is_leg = np.array([joint in legs for joint in robot.joints])
        self._low, self._high = np.array(robot.joint_low_rad), np.array(robot.joint_high_rad)
        self._groups = {
            g.name: np.array([robot.joints.index(j) for j in g.joints]) for g in robot.groups if g.kind in ("arm", "waist", "neck")
        }
        self._necks = [g.name for g in robot.groups if g.kind == "neck"]
        self.joint_target: Array = np.zeros(len(robot.joints))
        """(n,) rad"""
        self.pose_targets: dict[str, Pose] = {}
        """Commanded pose of each pinch point in the base frame."""
        self.hand_commands: dict[str, float] = {}
        """How far each hand is asked to close: -1 open to +1 closed; where its fingers are commanded one by one, how far on its way they are."""
        self._fingers: dict[str, Array] = {}
        self.base_target: Array | None = None
        """(3,) m, m, rad, where a gliding base is to be, counted from where it stands usually."""
        self.height_m, self.lean_rad = 0.0, 0.0
        """What is commanded of a robot on its legs."""

    def reset(self, q: Array, start: tuple[float, float, float]) -> None:
        """Begins an episode in a posture `(n,)` rad, hands open.

        Args:
          q: Joint positions.
          start: Of the base.
        """
        self.joint_target = np.array(q, np.float64)
        self.pose_targets = dict(self._whole_body.forward(self.joint_target))
        self.hand_commands = dict.fromkeys(self._robot.sides, -1.0)
        self._fingers = {hand.side: hand.finger_ctrl(0.0) for hand in self._robot.end_effectors}
        self.base_target = np.array(start, np.float64) if self._base == "planar" else None
        self.height_m = self.lean_rad = 0.0

    def copy(self) -> BodyController:
        """Returns one that is commanded on its own from here."""
        other = copy.copy(self)
        other._fingers, other.hand_commands = dict(self._fingers), dict(self.hand_commands)
        return other

    @property
    def finger_target(self) -> Array:
        """What the finger actuators are asked for, hand by hand."""
        return np.concatenate([self._fingers[side] for side in self._robot.sides])

    def command(self, action: NDArray[np.float32], measured: Mapping[str, Pose], base: Array, standing: Standing | None = None) -> None:
        """Takes one action.

        Args:
          action: `(D,)`, checked by `ActionSpec.check`.
          measured: Side -> present pose of its pinch point in the base frame.
          base: (3,) m, m, rad, where a gliding base is.
          standing: How a robot on its legs stands now; None with another base.
        """
        a = action.astype(np.float64)
        self._close(a)
        self._carry(a, base)
        pelvis = None
        if standing is not None:
            pelvis = standing.pelvis_base
            self.joint_target = np.where(self._is_leg, standing.joint_pos, self.joint_target)
        if self.spec.name == "bimanual_ee_delta":
            targets = {}
            for side, here in self.pose_targets.items():
                way, turn = (a[self._slices[f"{side}_{part}"]] * self._scales[f"{side}_{part}"] for part in ("translation", "rotation"))
                targets[side] = clamp_lead(Pose(here.pos + way, multiply(from_axis_angle(turn), here.quat)), measured[side], self._lead_m)
            self.joint_target = self._limited(self._whole_body.step(self.joint_target, targets, self._dt_s, pelvis=pelvis))
            for name in self._necks:
                at = self._groups[name]
                self.joint_target[at] += np.clip(a[self._slices[name]] - self.joint_target[at], -self._step_max_rad[at], self._step_max_rad[at])
            self.pose_targets = targets
        else:
            wanted = self.joint_target.copy()
            for name, at in self._groups.items():
                wanted[at] = a[self._slices[name]]
            self.joint_target = self._limited(np.clip(wanted, self._low, self._high))
            self.pose_targets = dict(self._whole_body.forward(self.joint_target, pelvis))

    def _limited(self, wanted: Array) -> Array:
        change = wanted - self.joint_target
        if self.spec.name != "bimanual_ee_delta":
            return self.joint_target + np.clip(change, -self._step_max_rad, self._step_max_rad)
        excess = float(np.max(np.abs(change) / self._step_max_rad))
        return self.joint_target + (change / excess if excess > 1.0 else change)

    def _close(self, a: Array) -> None:
        for hand in self._robot.end_effectors:
            asked = a[self._slices[f"{hand.side}_hand"]]
            if self.spec.name == "joint_position_fingers":
                start, end = hand.finger_ctrl(0.0), hand.finger_ctrl(1.0)
                way = end - start
                self._fingers[hand.side] = asked
                self.hand_commands[hand.side] = float(np.clip(2.0 * float((asked - start) @ way) / float(way @ way) - 1.0, -1.0, 1.0))
            else:
                self._fingers[hand.side] = hand.finger_ctrl((float(asked[0]) + 1.0) / 2.0)
                self.hand_commands[hand.side] = float(asked[0])

    def _carry(self, a: Array, base: Array) -> None:
        if self.base_target is not None:
            forward, left, turn = (a[self._slices["navigate_command"]] * self._dt_s).tolist()
            x, y, yaw = self.base_target.tolist()
            cos, sin = np.cos(yaw), np.sin(yaw)
            wanted = np.array([x + cos * forward - sin * left, y + sin * forward + cos * left, yaw + turn])
            self.base_target = base + np.clip(wanted - base, -_BASE_LEAD, _BASE_LEAD)
        elif self._base == "legs":
            self.height_m = float(a[self._slices["base_height_command"]][0])
            self.lean_rad = float(a[self._slices["torso_lean_command"]][0])

