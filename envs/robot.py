"""What a robot is: joints, end effectors, cameras, and how its bodies are added to a scene."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.errors import unknown_name
from vlagym.envs.safety_limits import SafetyLimits
from vlagym.envs.types import Base, CameraSpec, Vec3


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
class SingleArm:
    """One arm of a robot that is made of whole robots."""

    robot: str
    """Name of a robot with one arm."""
    base_pos_m: Vec3
    """Where it stands, in the base frame of both; it looks along +x as they do."""


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
    side: Literal["left", "right", ""] = ""
    """Which hand of a robot with two; empty: its only one."""
    links: tuple[str, ...] = ()
    """All links that are this hand, palm and fingers; empty: the body and the fingers of both sides."""
    open_posture: tuple[float, ...] = ()
    """Of the open hand: a control for each finger actuator; empty: `open_ctrl` for all."""
    closed_posture: tuple[float, ...] = ()
    """Of the closed hand; empty: `closed_ctrl` for all."""
    finger_range: tuple[tuple[float, float], ...] = ()
    """Lowest and highest control of each finger actuator, rad or m, where they are commanded one by one; empty: from the open to the closed hand."""
    opening_of_closure_m: tuple[tuple[float, float], ...] = ()
    """(closure, distance between the finger tips and the thumb) of a hand whose fingers bend, closure ascending from 0, open, to 1, closed."""
    point_axis: Vec3 = (0.0, 0.0, 1.0)
    """Unit vector in the frame of the site, along which the hand points at things."""
    palm_axis: Vec3 = (0.0, 0.0, 1.0)
    """Unit vector in the frame of the site, out of the palm: what it pushes and carries with."""
    single: SingleArm | None = None
    """The robot that this arm is by itself; None of an arm that shares its body with another."""

    @property
    def all_links(self) -> tuple[str, ...]:
        """Links that are this hand."""
        return self.links or tuple(dict.fromkeys((self.body, *self.finger_sides[0], *self.finger_sides[1])))

    def finger_ctrl(self, closure: float | NDArray[np.float64]) -> NDArray[np.float64]:
        """Returns the controls of the finger actuators, `(f,)` for f of them, that close the hand so far.

        Args:
          closure: 0 open to 1 closed; one number, or one for each finger actuator.
        """
        count = len(self.finger_actuators)
        start = np.array(self.open_posture) if self.open_posture else np.full(count, self.open_ctrl)
        end = np.array(self.closed_posture) if self.closed_posture else np.full(count, self.closed_ctrl)
        ctrl: NDArray[np.float64] = start + closure * (end - start)
        return ctrl


@dataclass(frozen=True, kw_only=True)
class JointGroup:
    """Joints that belong together, in the order in which actions and proprioception have them."""

    name: str
    """left_arm, right_arm, left_hand, right_hand, waist, neck, left_leg, right_leg: as GR00T names those of the Unitree G1."""
    joints: tuple[str, ...]
    kind: Literal["arm", "hand", "waist", "neck", "leg"]


@dataclass(frozen=True, kw_only=True)
class WorkArea:
    """Where on the table a robot with two hands works well; m in the world frame with the robot in its usual place, (low, high) each."""

    x_m: tuple[float, float]
    y_m: tuple[float, float]
    """Both hands together."""
    left_y_m: tuple[float, float]
    """What the left hand reaches, along all of `x_m`."""
    right_y_m: tuple[float, float]
    middle_y_m: tuple[float, float]
    """What either hand reaches."""


@dataclass(frozen=True, kw_only=True)
class FootPrint:
    """The sole of a foot."""

    body: str
    corners_m: tuple[tuple[float, float], ...]
    """Of the sole, (x, y) in the frame of the body, in order around it."""
    sole_z_m: float
    """Height of the sole in the frame of the body."""


@dataclass(frozen=True, kw_only=True)
class Stance:
    """How a robot stands on the floor behind a table. It stands at the origin of the world; the arena is moved to put the table where this says."""

    table_edge_x_m: float
    """The near edge of the table."""
    pelvis_height_m: float
    """Of the base body above the floor, in the home posture."""
    table_height_m: tuple[float, float]
    """Lowest and highest table top above the floor that it can work at."""
    arenas: tuple[str, ...]
    """In which it can stand: the table has the right height, and nothing else stands there."""
    feet: tuple[FootPrint, ...] = ()


@dataclass(frozen=True, kw_only=True)
class SensorArray:
    """An array of proprioception that is read from the model's sensors."""

    name: str
    """Carries its unit and frame: imu_gyro_rad_s, left_hand_touch_n."""
    sensors: tuple[str, ...]
    """Sensors of the model in the order of the array."""
    size: int


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
    bases: tuple[Base, ...] = ("fixed",)
    """What can carry it."""
    controls: tuple[str, ...] = ("ee_delta", "ee_pose", "joint_delta", "joint_position")
    """Action conventions that it takes; the first one where none is asked for."""
    groups: tuple[JointGroup, ...] = ()
    """Of a robot with two hands: all its joints, fingers too."""
    stance: Stance | None = None
    """How it stands on the floor; None: it stands on the table, at the origin."""
    work: WorkArea | None = None
    """Where a robot with two hands works."""
    sensors: tuple[SensorArray, ...] = ()
    """What else it feels."""
    views: tuple[CameraSpec, ...] = ()
    """Cameras that stand in the room, in the place of the arena's."""
    safety: SafetyLimits | None = None
    """What a safety filter allows it; None: what its file assets/robots/<name>/safety.toml says."""
    feedforward: bool = False
    """Whether the motors of arms, waist and neck carry the weight of the body themselves: what gravity asks of them is added to the command."""

    @property
    def has_two_hands(self) -> bool:
        return len(self.end_effectors) > 1

    @property
    def keeps_places(self) -> bool:
        """Whether some places on the table in front of it are kept for evaluation: those that a single arm on the table reaches."""
        return self.stance is None and not self.has_two_hands

    @property
    def sides(self) -> tuple[str, ...]:
        """The sides of its hands, in order; ("",) of a robot with one arm."""
        return tuple(hand.side for hand in self.end_effectors)

    def hand(self, side: str) -> EndEffector:
        """Returns the hand of a side.

        Raises:
          UnknownName: If it has none there.
        """
        for hand in self.end_effectors:
            if hand.side == side:
                return hand
        raise unknown_name(f"hand of {self.name}", side, self.sides)

    def group(self, name: str) -> JointGroup:
        """Returns a group of joints.

        Raises:
          UnknownName: If it has none of that name.
        """
        for group in self.groups:
            if group.name == name:
                return group
        raise unknown_name(f"joint group of {self.name}", name, [g.name for g in self.groups])


def look_of(wanted: str, robot: Robot) -> str:
    """Returns the look that a robot is to have, resolved.

    Args:
      wanted: "auto", one look, or "g1=menagerie,panda=auto": one for each robot that is named, auto for the others.
      robot: The robot.

    Raises:
      UnknownName: If the robot has no such look.
      MissingPackage: If this machine has not what it is made of.
    """
    pairs = dict(part.partition("=")[::2] for part in wanted.split(",")) if "=" in wanted else {robot.name: wanted}
    return robot.resolve_look(pairs.get(robot.name, "auto"))


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
