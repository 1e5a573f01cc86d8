"""A player's input becomes an action of the robot: displacements of one hand, of the other, of both, or of what carries it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vlagym.benchmark.teleoperation.inputs import Input
from vlagym.envs import catalog
from vlagym.envs.errors import BadData
from vlagym.envs.frames import rotate
from vlagym.envs.robot import Robot
from vlagym.envs.types import EpisodeSpec, Observation

Array = NDArray[np.float64]

ONE_ARM, TWO_HANDS = "ee_delta", "bimanual_ee_delta"
"""The conventions that a player's input is told in."""
BOTH, BODY = "both", "body"
"""Limbs besides the hands: both hands together, and what carries the robot."""

TURN_RAD_PER_M = 5.0
"""A hand turns by so much in the time in which it would move by a metre: the ratio of the two scales of an action."""
_HEIGHT_M_S, _LEAN_RAD_S = 0.12, 0.25
"""How fast a robot on its legs crouches and leans, at full deflection and the fast speed: slow enough to keep its balance."""
_SLOW_BODY = 0.4
"""Share of the fast speed at which a body moves when slow."""
_STEEP = 0.3
"""Horizontal share of a view below which a camera looks straight down: what is above in its picture is then forward."""


@dataclass(frozen=True, kw_only=True)
class Speeds:
    """How fast a hand moves at full deflection."""

    slow_m_s: float = 0.08
    fast_m_s: float = 0.30

    def __post_init__(self) -> None:
        """Raises BadData unless 0 < slow <= fast <= 1 m/s."""
        if not 0.0 < self.slow_m_s <= self.fast_m_s <= 1.0:
            found = f"the speeds are {self.slow_m_s:g} and {self.fast_m_s:g} m/s"
            raise BadData(f"{found}; the slow one must be above 0, the fast one no slower, at most 1")


def control_for(robot: Robot) -> str:
    """Returns the convention in which a robot is played."""
    return TWO_HANDS if robot.has_two_hands else ONE_ARM


def limbs(spec: EpisodeSpec) -> tuple[str, ...]:
    """Returns what of the robot of an episode can be steered, the first of them at the start."""
    robot: Robot = catalog.load("robot", spec.robot)
    if not robot.has_two_hands:
        return ("hand",)
    moves = {"navigate_command", "base_height_command", "torso_lean_command"} & set(spec.control.slices())
    return (*robot.sides, BOTH, *((BODY,) if moves else ()))


class Steering:
    """Turns inputs into actions through one episode. What is absolute in an action, as the height of a robot on its legs, is remembered here."""

    def __init__(self, spec: EpisodeSpec, speeds: Speeds) -> None:
        """Begins an episode.

        Raises:
          BadData: If it is controlled in a convention that no input is told in.
        """
        if spec.control.name not in (ONE_ARM, TWO_HANDS):
            raise BadData(f"a player moves hands by displacements ({ONE_ARM}, {TWO_HANDS}), and the episode is controlled by {spec.control.name!r}")
        self._spec, self._speeds = spec, speeds
        robot: Robot = catalog.load("robot", spec.robot)
        self._sides, self._limbs = robot.sides, limbs(spec)
        self._slices = spec.control.slices()
        self._scales = {c.name: c.scale for c in spec.control.components}
        self._neck: Array | None = None
        self._height_m = self._lean_rad = 0.0

    def action(self, wanted: Input | None, seen: Observation) -> NDArray[np.float32]:
        """Returns the action of one control step.

        Args:
          wanted: None: nothing moves, and the hands are open. A limb or a view that the episode has not moves nothing, or is that of the robot.
          seen: Of the robot's body, before the action.

        Returns:
          (D,) within the bounds.
        """
        control, rate_hz = self._spec.control, self._spec.control.rate_hz
        action = np.zeros(control.size)
        if "neck" in self._slices:
            self._neck = seen.proprio["neck_joint_pos_rad"].astype(np.float64) if self._neck is None else self._neck
            action[self._slices["neck"]] = self._neck
        for i, side in enumerate(self._sides):
            closes = wanted is not None and i < len(wanted.closed) and wanted.closed[i]
            action[self._slices[f"{side}_hand" if side else "gripper"]] = 1.0 if closes else -1.0
        if wanted is not None and wanted.limb in self._limbs:
            axes = np.array(wanted.axes)
            share = 1.0 if wanted.is_fast else self._speeds.slow_m_s / self._speeds.fast_m_s
            if wanted.limb == BODY:
                self._steer_body(action, axes, 1.0 if wanted.is_fast else _SLOW_BODY)
            else:
                moves, turns = self._in_base(axes, wanted.view, seen)
                metres = share * self._speeds.fast_m_s / rate_hz
                for side, sense in self._moved(wanted.limb):
                    prefix = f"{side}_" if side else ""
                    apart, turned = (np.array([0.0, sense * axes[5], 0.0]), turns * [1.0, 1.0, 0.0]) if sense else (np.zeros(3), turns)
                    action[self._slices[f"{prefix}translation"]] = (moves + apart) * metres / self._scales[f"{prefix}translation"]
                    action[self._slices[f"{prefix}rotation"]] = turned * metres * TURN_RAD_PER_M / self._scales[f"{prefix}rotation"]
        if "base_height_command" in self._slices:
            action[self._slices["base_height_command"]], action[self._slices["torso_lean_command"]] = self._height_m, self._lean_rad
        return np.clip(action, control.low, control.high).astype(np.float32)

    def _moved(self, limb: str) -> list[tuple[str, float]]:
        """Returns the hands that a limb means, each with the sense in which it goes aside where both move: a turn to the left takes them apart."""
        if limb == BOTH:
            return [(side, 1.0 if side == "left" else -1.0) for side in self._sides]
        return [("" if limb == "hand" else limb, 0.0)]

    def _steer_body(self, action: Array, axes: Array, share: float) -> None:
        rate_hz = self._spec.control.rate_hz
        if "navigate_command" in self._slices:
            at = self._slices["navigate_command"]
            action[at] = axes[[0, 1, 5]] * share * self._spec.control.high[at]
        if "base_height_command" in self._slices:
            low, high = (float(b[self._slices["base_height_command"]][0]) for b in (self._spec.control.low, self._spec.control.high))
            self._height_m = min(max(self._height_m + axes[2] * share * _HEIGHT_M_S / rate_hz, low), high)
            low, high = (float(b[self._slices["torso_lean_command"]][0]) for b in (self._spec.control.low, self._spec.control.high))
            self._lean_rad = min(max(self._lean_rad + axes[4] * share * _LEAN_RAD_S / rate_hz, low), high)

    def _in_base(self, axes: Array, view: str, seen: Observation) -> tuple[Array, Array]:
        """Returns what moves and what turns in the base frame, from what they are in a picture."""
        here = float(seen.proprio["base_pose_m_rad"][2]) if "base_pose_m_rad" in seen.proprio else self._spec.robot_start[2]
        yaw = heading(self._spec, view)
        yaw = 0.0 if yaw is None else yaw - here
        cos, sin = math.cos(yaw), math.sin(yaw)
        about_z = np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
        return about_z @ axes[:3], about_z @ axes[3:]


def heading(spec: EpisodeSpec, view: str) -> float | None:
    """Returns where "forward" of a camera's picture leads, as a turn about the vertical in the world, in rad.

    None for a camera that moves with the robot, or that the episode has not: forward is then where the robot looks.
    """
    camera = next((c for c in spec.scene.cameras if c.name == view and c.parent == "world"), None)
    if camera is None:
        return None
    quat = np.array(camera.quat_parent_wxyz)
    ahead = rotate(quat, np.array([0.0, 0.0, -1.0]))
    if math.hypot(ahead[0], ahead[1]) < _STEEP:
        ahead = rotate(quat, np.array([0.0, 1.0, 0.0]))
    return math.atan2(ahead[1], ahead[0])
