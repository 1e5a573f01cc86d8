"""What the episode dict in the manner of DROID is made of: timestamps, poses, displacements of joints, and grippers from open to closed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.errors import BadData
from vlagym.envs.types import ActionSpec
from vlagym.results.demonstration import DatasetInfo, Demonstration
from vlagym.results.formats import _vectors

_GRIPPER = "gripper_closed_positive"


def derived(demonstration: Demonstration, info: DatasetInfo) -> Mapping[str, NDArray[Any]]:
    """Returns the arrays of the episode dict that are made of others, by their paths in it.

    Raises:
      BadData: If the motion is told in no convention of joints.
    """
    displacements, grippers = joint_motion(demonstration, info)
    arrays: dict[str, NDArray[Any]] = {"observations/timestamp": timestamps_s(demonstration, info)}
    groups = _vectors.joint_groups(demonstration.proprio, fingers=False)
    if groups:
        arrays["observations/joint_positions"] = np.concatenate([demonstration.proprio[name] for name in groups], axis=1)
    poses = ee_poses(demonstration)
    if poses is not None:
        arrays["observations/ee_pose"] = poses
    return arrays | {"actions/delta_joint_positions": displacements, "actions/gripper_command": grippers}


def timestamps_s(demonstration: Demonstration, info: DatasetInfo) -> NDArray[np.float64]:
    """Returns when each observation was made, `(T,)` in s: as recorded, or t / rate_hz."""
    if demonstration.timestamps_s is not None:
        return demonstration.timestamps_s
    return np.arange(demonstration.num_steps) / info.action.rate_hz


def ee_poses(demonstration: Demonstration) -> NDArray[np.float32] | None:
    """Returns the pose of each hand, left before right: `(T, 7)` a hand, position in m and quaternion wxyz; None where it was not recorded."""
    parts = []
    for prefix, _ in _vectors.places(demonstration.proprio):
        names = _vectors.pose_names(prefix, _vectors.frame_of(demonstration.proprio, prefix))
        if any(name not in demonstration.proprio for name in names):
            return None
        parts += [demonstration.proprio[name] for name in names]
    return np.concatenate(parts, axis=1)


def joint_motion(demonstration: Demonstration, info: DatasetInfo) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Returns by how much each joint is told to move in a step, and how far each gripper is told to close.

    Where some command is a displacement it is taken: they add up to the way that the joints were told to go. Of commands that are positions, how far
    they lie from the joints when they are given.

    Returns:
      Displacements `(T, J)` in rad, and grippers `(T, G)` from 0, open, to 1, closed.

    Raises:
      BadData: If neither the actions nor other commands tell the joints.
    """
    for spec, rows in sorted(_conventions(demonstration, info), key=lambda told: not _is_displacement(told[0])):
        slices = spec.slices()
        joints = [c for c in spec.components if c.convention in ("joint_delta", "joint_position")]
        if not joints:
            continue
        told = [rows[:, slices[c.name]] * np.float32(c.scale) for c in joints]
        if any(c.convention == "joint_position" for c in joints):
            here = _positions(demonstration, [c.name for c in joints], [c.size for c in joints])
            told = [t - now if c.convention == "joint_position" else t for c, t, now in zip(joints, told, here, strict=True)]
        grippers = [(rows[:, slices[c.name]] * np.float32(c.scale) + 1) / 2 for c in spec.components if c.convention == _GRIPPER]
        nothing = np.zeros((demonstration.num_steps, 0), np.float32)
        return np.concatenate(told, axis=1, dtype=np.float32), np.concatenate([nothing, *grippers], axis=1, dtype=np.float32)
    names = ", ".join(spec.name for spec, _ in _conventions(demonstration, info))
    raise BadData(
        f"demonstration {demonstration.digest} tells its motion as {names}, and the format droid tells it in joints: give it commands in "
        "joint_delta or joint_position too, or store it with --format npz or --format hdf5"
    )


def _is_displacement(spec: ActionSpec) -> bool:
    return any(component.convention == "joint_delta" for component in spec.components)


def _conventions(demonstration: Demonstration, info: DatasetInfo) -> Iterator[tuple[ActionSpec, NDArray[np.float32]]]:
    yield info.action, demonstration.actions
    for name, rows in demonstration.commands.items():
        yield info.commands[name], rows


def _positions(demonstration: Demonstration, components: list[str], sizes: list[int]) -> list[NDArray[np.float32]]:
    """Returns where the joints of some components are: by the name of their group, or all of them where there is one component."""
    proprio, found = demonstration.proprio, []
    for name, size in zip(components, sizes, strict=True):
        array = proprio.get(_vectors.JOINTS if len(components) == 1 and _vectors.JOINTS in proprio else f"{name}_{_vectors.JOINTS}")
        if array is None or array.shape[1] != size:
            there = ", ".join(_vectors.joint_groups(proprio)) or "none"
            raise BadData(
                f"demonstration {demonstration.digest} tells {size} joints of {name!r} where to go, and not where they are: displacements cannot "
                f"be made of it. Its joint positions are: {there}"
            )
        found.append(array)
    return found
