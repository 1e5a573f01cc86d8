"""What a robot is: joints, end effectors, cameras, and how its bodies are added to a scene."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from vlagym.envs.types import CameraSpec, Vec3


@dataclass(frozen=True, kw_only=True)
class GraspRoom:
    """The room that an open hand takes around a grasp, in m from the pinch point. It reads as boxes in the frame of the site."""

    finger_from_m: float
    """Inner side of the open fingers, along the line from finger to finger."""
    finger_to_m: float
    """Their outer side."""
    finger_half_width_m: tuple[float, float]
    """Half of what they take across that line: on the side of the site's +y, and on that of its -y."""
    finger_below_m: float
    """How far they reach below the pinch point, with a few mm to spare."""
    hand_above_m: float
    """From this height above the pinch point on there is the hand."""
    hand_half_size_m: tuple[float, float]
    """Half of what the hand takes along that line and across it."""


@dataclass(frozen=True, kw_only=True)
class PushFace:
    """The side of the hand that pushes things over the table while it looks down."""

    turn_rad: float
    """From the site's x to where the face looks, about the vertical, counter-clockwise from above."""
    distance_m: float
    """From the pinch point to the face."""
    opening_m: float = 0.0
    """Between the pads while it pushes."""
    is_on_both_sides: bool = True
    """Whether the opposite side of the hand pushes as well."""


@dataclass(frozen=True, kw_only=True)
class EndEffector:
    """A hand, and the joints of the arm that carries it."""

    name: str
    site: str
    """The pinch point: z out of the palm, y from finger to finger."""
    body: str
    """The link that the site and wrist cameras are fixed to."""
    arm_joints: tuple[str, ...]
    finger_joints: tuple[str, ...]
    finger_sides: tuple[tuple[str, ...], tuple[str, ...]]
    """Links on the side of the site's +y, and those opposite; a prop is held when each side touches it."""
    finger_actuators: tuple[str, ...]
    open_ctrl: float
    """Control of the finger actuators that opens the hand."""
    closed_ctrl: float
    opening_max_m: float
    """Widest distance between the pads."""
    room: GraspRoom
    push: PushFace
    opening_of_joint_m: tuple[tuple[float, float], ...] = ()
    """(mean position of the finger joints, distance between the pads) of a hand whose fingers turn, ascending; empty: they slide, and the
    distance is the sum of their positions."""
    is_symmetric: bool = True
    """Whether a half turn about the site's z leaves the hand as it is. Where not, the +y side is the slender one."""
    bar_opening_m: float | None = None
    """Opening with which it takes the bar of a handle between its sides, the +y side behind the bar; None: its closed fingers hook the bar."""
    bar_shift_m: float = 0.0
    """Where along the site's x the pinch point is then, counted from the middle of the bar: the +y side comes to the middle."""
    pregrasp_margin_m: float | None = None
    """How much wider than the grasp it opens beforehand; None: all the way."""


@dataclass(frozen=True, kw_only=True)
class Robot:
    """A robot. `ROBOT` of a file in envs/robots."""

    name: str
    summary: str
    base_body: str
    """Its frame is the base frame of poses and actions."""
    joints: tuple[str, ...]
    """Arm joints in the order of the action and of proprioception, without fingers."""
    joint_low_rad: tuple[float, ...]
    joint_high_rad: tuple[float, ...]
    joint_speed_max_rad_s: tuple[float, ...]
    actuators: tuple[str, ...]
    """One for each of `joints`."""
    end_effectors: tuple[EndEffector, ...]
    home_qpos: tuple[float, ...]
    """Arm posture that task samplers start from, in rad."""
    bodies: tuple[str, ...]
    cameras: tuple[CameraSpec, ...]
    """Those that are mounted on it."""
    base_pos_world: Vec3
    pace: float = 1.0
    """How many times as long as the panda it is given for a task: horizons are measured with the panda's expert."""
    add: Callable[[Any, str | None], None]
    """Adds bodies, joints, actuators, sites and contact exclusions to a `mujoco.MjSpec`. The second argument is the look; None adds no visual
    meshes (the physics is the same)."""
    looks: tuple[str, ...]
    resolve_look: Callable[[str], str]
    """"auto" or a name of `looks` -> the look that this machine has. Raises UnknownName, MissingPackage."""


def position_actuator(spec: Any, joint: str, kp: float, kv: float, force: float, ctrl: tuple[float, float]) -> None:
    """Adds an actuator that holds a joint at a commanded position; it bears the joint's name.

    Args:
      spec: `mujoco.MjSpec`
      joint: Of the robot.
      kp: Stiffness in N m/rad, or N/m.
      kv: Damping in N m s/rad, or N s/m.
      force: Largest torque or force, in N m or N.
      ctrl: Lowest and highest command, in rad or m.
    """
    import mujoco

    actuator = spec.add_actuator(name=joint, target=joint, trntype=mujoco.mjtTrn.mjTRN_JOINT)
    actuator.gaintype, actuator.biastype = mujoco.mjtGain.mjGAIN_FIXED, mujoco.mjtBias.mjBIAS_AFFINE
    actuator.gainprm[0], actuator.biasprm[:3] = kp, (0, -kp, -kv)
    actuator.ctrllimited = actuator.forcelimited = mujoco.mjtLimited.mjLIMITED_TRUE
    actuator.ctrlrange, actuator.forcerange = ctrl, (-force, force)
