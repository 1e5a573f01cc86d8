"""What the attribute env_args of others' HDF5 files says of the simulation: a table of robosuite, in JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.errors import BadData
from vlagym.envs.types import ActionComponent

_KWARGS = "env_kwargs"


def read_env_args(attributes: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Returns what a file says of its simulation, an empty table where it says nothing.

    Args:
      attributes: Of the group `data`.
      path: Of the file, for errors.

    Raises:
      BadData: If it is no JSON object, or its env_kwargs are none.
    """
    env = read_json(attributes, "env_args", path)
    if not isinstance(env.get(_KWARGS) or {}, dict):
        raise BadData(f"{path}: {_KWARGS} in the attribute env_args of its group 'data' is no JSON object. Correct it")
    return env


def kwargs_of(env: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns with what the simulation was made."""
    return env.get(_KWARGS) or {}


def osc_components_of(env: Mapping[str, Any], low: NDArray[Any], high: NDArray[Any]) -> tuple[ActionComponent, ...] | None:
    """Returns the components of robosuite's OSC_POSE in displacements, with the scales that the file says; None for any other controller."""
    controller = kwargs_of(env).get("controller_configs") or {}
    if isinstance(controller, list) and len(controller) == 1:
        controller = controller[0]
    if not isinstance(controller, Mapping) or controller.get("type") != "OSC_POSE" or not controller.get("control_delta", True) or len(low) != 7:
        return None
    scales = controller.get("output_max")
    if not isinstance(scales, list) or len(scales) != 6 or not all(_is_above_zero(scale) for scale in scales):
        return None
    if len({*scales[:3]}) != 1 or len({*scales[3:]}) != 1:
        return None

    def part(name: str, at: slice, convention: str, frame: str, unit: str, scale: float) -> ActionComponent:
        bounds = {"low": tuple(map(float, low[at])), "high": tuple(map(float, high[at]))}
        return ActionComponent(name=name, size=at.stop - at.start, convention=convention, frame=frame, unit=unit, scale=scale, **bounds)

    return (
        part("translation", slice(0, 3), "delta_position", "base", "m", float(scales[0])),
        part("rotation", slice(3, 6), "delta_axis_angle", "base", "rad", float(scales[3])),
        part("gripper", slice(6, 7), "gripper_closed_positive", "joint", "fraction", 1.0),
    )


def robot_of(env: Mapping[str, Any]) -> str:
    """Returns the name of the robot, or those of several; "" where nobody says."""
    robots = kwargs_of(env).get("robots") or ""
    return "_".join(map(str, robots) if isinstance(robots, list) else [str(robots)]).lower()


def read_json(attributes: Mapping[str, Any], name: str, path: Path) -> dict[str, Any]:
    """Returns the JSON object of an attribute of the group `data`, empty where there is none.

    Raises:
      BadData: If it is something else.
    """
    text = attributes.get(name)
    if text is None:
        return {}
    try:
        found = json.loads(text)
    except (ValueError, TypeError) as error:
        raise BadData(f"{path}: the attribute {name} of its group 'data' is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise BadData(f"{path}: the attribute {name} of its group 'data' is no JSON object")
    return found


def _is_above_zero(value: Any) -> bool:
    is_number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    return is_number and math.isfinite(value) and value > 0


def above_zero(value: Any, otherwise: str) -> float:
    """Returns a number, or the one number of an array; raises BadData with what is to be said otherwise."""
    value = value.item() if isinstance(value, np.ndarray) and value.size == 1 else value
    if not _is_above_zero(value):
        raise BadData(otherwise)
    return float(value)
