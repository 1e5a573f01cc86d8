"""What a robot is: joints, end effectors, cameras, and how its bodies are added to a scene."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from vlagym.envs.types import CameraSpec, Vec3


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
    finger_bodies: tuple[str, ...]
    """Left and right; a prop is held when each side touches it."""
    finger_actuators: tuple[str, ...]
    open_ctrl: float
    """Control of the finger actuators that opens the hand."""
    closed_ctrl: float
    opening_max_m: float
    """Widest distance between the pads."""


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
    add: Callable[[Any, str | None], None]
    """Adds bodies, joints, actuators, sites and contact exclusions to a `mujoco.MjSpec`. The second argument is the look; None adds no visual
    meshes (the physics is the same)."""
    looks: tuple[str, ...]
    resolve_look: Callable[[str], str]
    """"auto" or a name of `looks` -> the look that this machine has. Raises UnknownName, MissingPackage."""
