"""Proprioception: which named arrays a robot feels, and how they are read. Names carry unit and frame."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.body_control import BodyController
from vlagym.envs.frames import Pose
from vlagym.envs.robot import Robot
from vlagym.envs.simulation import Simulation
from vlagym.envs.types import Base, StateComponent

Array = NDArray[np.float64]


def state_components(robot: Robot, base: Base = "fixed") -> tuple[StateComponent, ...]:
    """Returns the proprioception of a robot, in order."""
    if not robot.has_two_hands:
        return _components(_arm_sizes(len(robot.joints)))
    sizes: dict[str, int] = {}
    for group in robot.groups:
        sizes[f"{group.name}_joint_pos_rad"] = sizes[f"{group.name}_joint_vel_rad_s"] = len(group.joints)
    for side in robot.sides:
        sizes |= {f"{side}_ee_pos_base_m": 3, f"{side}_ee_quat_base_wxyz": 4, f"{side}_ee_target_pos_base_m": 3}
        sizes |= {f"{side}_ee_target_quat_base_wxyz": 4, f"{side}_hand_opening_m": 1, f"{side}_hand_command": 1}
    if base == "planar":
        sizes |= {"base_pose_m_rad": 3, "base_vel_m_s": 3}
    elif base == "legs":
        sizes |= {"base_height_m": 1, "torso_lean_rad": 1}
    return _components({**sizes, **{s.name: s.size for s in robot.sensors}})


def _arm_sizes(n: int) -> dict[str, int]:
    return {
        "joint_pos_rad": n,
        "joint_vel_rad_s": n,
        "ee_pos_base_m": 3,
        "ee_quat_base_wxyz": 4,
        "ee_target_pos_base_m": 3,
        "ee_target_quat_base_wxyz": 4,
        "gripper_opening_m": 1,
        "gripper_command": 1,
    }


def _components(sizes: Mapping[str, int]) -> tuple[StateComponent, ...]:
    return tuple(StateComponent(name=name, size=size) for name, size in sizes.items())


class BodySenses:
    """Reads the proprioception of a robot with two hands off its simulation."""

    def __init__(self, robot: Robot, base: Base, simulation: Simulation) -> None:
        model = simulation.model
        self._robot, self._base, self._simulation = robot, base, simulation
        joints = [joint for group in robot.groups for joint in group.joints]
        self._qpos = np.array([int(model.joint(j).qposadr[0]) for j in joints])
        self._dof = np.array([int(model.joint(j).dofadr[0]) for j in joints])
        ends = np.cumsum([0, *(len(group.joints) for group in robot.groups)]).tolist()
        self._pieces = [(group.name, slice(a, b)) for group, a, b in zip(robot.groups, ends, ends[1:], strict=False)]

    def read(self, hands: Mapping[str, Pose], controller: BodyController) -> dict[str, NDArray[np.float32]]:
        """Returns every array of `state_components`, each its own memory.

        Args:
          hands: Side -> present pose of its pinch point in the base frame.
          controller: Whose commands are felt too.
        """
        simulation, data = self._simulation, self._simulation.data
        q, v = data.qpos[self._qpos], data.qvel[self._dof]
        out: dict[str, Any] = {}
        for name, piece in self._pieces:
            out[f"{name}_joint_pos_rad"], out[f"{name}_joint_vel_rad_s"] = q[piece], v[piece]
        for i, side in enumerate(self._robot.sides):
            here, target = hands[side], controller.pose_targets[side]
            out[f"{side}_ee_pos_base_m"], out[f"{side}_ee_quat_base_wxyz"] = here.pos, here.quat
            out[f"{side}_ee_target_pos_base_m"], out[f"{side}_ee_target_quat_base_wxyz"] = target.pos, target.quat
            out[f"{side}_hand_opening_m"], out[f"{side}_hand_command"] = [simulation.finger_opening_m(i)], [controller.hand_commands[side]]
        if self._base == "planar":
            out["base_pose_m_rad"], out["base_vel_m_s"] = simulation.base_pose, simulation.base_velocity
        elif self._base == "legs":
            out["base_height_m"], out["torso_lean_rad"] = [simulation.height_m], [simulation.lean_rad]
        for array in self._robot.sensors:
            out[array.name] = simulation.sensors(array.sensors)
        return {name: np.array(value, np.float32) for name, value in out.items()}
