"""What the network is told of the robot's own body, made of the named arrays of an observation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.errors import BadData
from vlagym.envs.types import StateComponent
from vlagym.policies.models.minivla.geometry import rotation_between, rotation_matrix

COMPONENTS = (
    StateComponent(name="ee_pos_base_m", size=3),
    StateComponent(name="ee_quat_base_wxyz", size=4),
    StateComponent(name="ee_target_pos_base_m", size=3),
    StateComponent(name="ee_target_quat_base_wxyz", size=4),
    StateComponent(name="gripper_opening_m", size=1),
    StateComponent(name="gripper_command", size=1),
)
"""The state that minivla declares to read. Neither joint positions nor velocities: what it knows of its last command is enough to continue
a motion, and more of it teaches a policy to copy itself."""

NAMES = (
    *(f"ee_pos_base_m.{a}" for a in "xyz"),
    *(f"ee_x_axis_base.{a}" for a in "xyz"),
    *(f"ee_y_axis_base.{a}" for a in "xyz"),
    *(f"ee_pos_ahead_m.{a}" for a in "xyz"),
    *(f"ee_rotation_ahead_rad.{a}" for a in "xyz"),
    "gripper_opening_m",
    "gripper_command",
)
"""Of the features, in order. "ahead": commanded minus measured."""

FLOOR = np.array([0.02] * 3 + [0.05] * 6 + [0.01] * 3 + [0.02] * 3 + [0.01, 0.5], np.float32)
"""Smallest spread by which a feature is divided, so that one that hardly moves in the data does not become noise."""

SIZE = len(NAMES)
CLOSED_FROM = 0.9
"""A command from here on closes the fingers, one below it opens them: -1 as wide as they go, others only as far as a grasp needs."""


def fully_opened(proprio: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Returns what a demonstration's `(T, k)` arrays would be, had its hand always been opened fully where it was opened at all.

    minivla opens and closes, and nothing between: what it learns from must look as what it will see when it acts. Without these arrays they are
    returned as they are.
    """
    if not {"gripper_command", "gripper_opening_m"} <= set(proprio):
        return dict(proprio)
    command, opening_m = (np.asarray(proprio[name], np.float64) for name in ("gripper_command", "gripper_opening_m"))
    is_closed = command >= CLOSED_FROM
    wider = np.minimum(opening_m * 2.0 / np.where(is_closed, 2.0, 1.0 - command), max(float(opening_m.max()), 0.0))
    told = {"gripper_command": np.where(is_closed, command, -1.0), "gripper_opening_m": np.where(is_closed, opening_m, wider)}
    return {**proprio, **told}


def features(proprio: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
    """Returns the features of one observation `(17,)` or of many `(T, 17)`.

    Args:
      proprio: Arrays `(k,)` or `(T, k)` by the names of `COMPONENTS`; others are ignored.

    Raises:
      BadData: If one is missing or has another size.
    """
    arrays: dict[str, NDArray[np.float64]] = {}
    for component in COMPONENTS:
        if component.name not in proprio:
            raise BadData(f"minivla reads the state {component.name!r}; the observation holds {', '.join(sorted(proprio)) or 'none'}")
        array = np.asarray(proprio[component.name], np.float64)
        if array.shape[-1:] != (component.size,):
            raise BadData(f"minivla reads {component.size} numbers of {component.name!r}; the observation holds shape {array.shape}")
        arrays[component.name] = array
    axes = rotation_matrix(arrays["ee_quat_base_wxyz"])
    parts = [
        arrays["ee_pos_base_m"],
        axes[..., :, 0],
        axes[..., :, 1],
        arrays["ee_target_pos_base_m"] - arrays["ee_pos_base_m"],
        rotation_between(arrays["ee_quat_base_wxyz"], arrays["ee_target_quat_base_wxyz"]),
        arrays["gripper_opening_m"],
        arrays["gripper_command"],
    ]
    return np.concatenate(parts, axis=-1).astype(np.float32)
