"""How a demonstration lies in an HDF5 group: the names, orders and signs of robomimic and LIBERO."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.errors import BadData
from vlagym.envs.types import canonical_json, from_plain, to_plain
from vlagym.results.demonstration import DatasetInfo, Demonstration

SCHEMA = 1
"""Of what vlagym adds to the layout."""

_OBS_NAMES = {"front": "agentview_rgb", "wrist": "eye_in_hand_rgb"}
"""What LIBERO calls our cameras; another camera is called <camera>_rgb."""

_ABOUT = (
    "Images are upright RGB, row 0 on top: do not flip or turn them. Row t was seen before action t. Positions are in the frame of the robot's base. "
    "states is no MuJoCo state, see states_layout; an episode is repeated from its spec and executed_actions. "
    "Of a robot with two hands, left comes before right in ee_pos, ee_ori, ee_states, gripper_states (openings, in m) and robot_states, and "
    "joint_states holds the joints of all groups but the hands, in the order of obs's attribute proprio. "
    "With frame_stride k > 1 images have one row for each k-th step, and obs_index says which."
)

_NEEDED = {"joint_pos_rad": None, "ee_pos_base_m": 3, "ee_quat_base_wxyz": 4, "gripper_opening_m": 1}
"""Proprioception from which the keys of LIBERO are made: name -> width; None: any."""
_SIDES = ("left", "right")
_NEEDED_OF_TWO = {
    f"{side}_{name}": width for name, width in (("ee_pos_base_m", 3), ("ee_quat_base_wxyz", 4), ("hand_opening_m", 1)) for side in _SIDES
}
"""The same of a robot with two hands."""
_JOINTS = "_joint_pos_rad"


def obs_name(camera: str) -> str:
    """Returns under which key of `obs` the images of a camera are stored."""
    return _OBS_NAMES.get(camera, f"{camera}_rgb")


# -------------------------------------------------------------------------------------------------------------- the group of the file
def info_attributes(info: DatasetInfo) -> dict[str, Any]:
    """Returns the attributes of `data` that hold for every demonstration."""
    env_args = {"env_name": "vlagym", "type": 2, "env_kwargs": {"control": info.action.name}}  # 2: a Gym environment, in robomimic's counting
    return {
        "env_args": json.dumps(env_args),
        "env_name": "vlagym",
        "tag": "libero-v1",
        "macros_image_convention": "opencv",
        "about": _ABOUT,
        "ee_frame": "base",
        "vlagym_schema": SCHEMA,
        "action_spec": canonical_json(to_plain(info.action)),
        "image_preprocessing": canonical_json(to_plain(info.images)),
        "frame_stride": info.frame_stride,
        "provenance": canonical_json(to_plain(info.provenance)),
        "split_digest": str(info.provenance.get("split_digest", "")),  # of what was seen and what was kept for tests; empty: not said
    }


def read_info(data: Any, where: str) -> DatasetInfo:
    """Reads what `info_attributes` wrote.

    Args:
      data: The group `data`.
      where: Path of the file, for the error.

    Raises:
      BadData: If the file is not ours, of another schema, or damaged.
    """
    schema = data.attrs.get("vlagym_schema")
    if schema is None:
        raise BadData(f"{where} was not written by vlagym: it has no action_spec and no episode specs")
    if int(schema) != SCHEMA:
        newer = " It was written by a newer vlagym: pip install --upgrade vlagym" if int(schema) > SCHEMA else ""
        raise BadData(f"{where} has schema {int(schema)}; this version of vlagym reads {SCHEMA}.{newer}")
    try:
        plain = {
            "action": json.loads(data.attrs["action_spec"]),
            "images": json.loads(data.attrs["image_preprocessing"]),
            "frame_stride": int(data.attrs["frame_stride"]),
            "provenance": json.loads(data.attrs["provenance"]),
        }
    except (KeyError, ValueError) as error:
        raise BadData(f"{where}: the attributes of 'data' are damaged: {error}") from error
    return from_plain(DatasetInfo, plain, where)


# ------------------------------------------------------------------------------------------------------- the group of a demonstration
def write_demo(group: Any, d: Demonstration) -> None:
    """Fills a group. Arrays are contiguous and not compressed: lzf takes five times as long to write and to read and saves a tenth."""
    steps, proprio = d.num_steps, d.proprio
    felt = _felt(proprio)
    positions, axis_angles = np.concatenate(felt.positions, axis=1), np.concatenate([_axis_angle(quat) for quat in felt.quats_wxyz], axis=1)
    last = np.zeros(steps, np.uint8)
    last[-1] = 1
    group.attrs.update(
        {
            "num_samples": steps,
            "language_instruction": d.instruction,
            "digest": d.digest,
            "spec": d.episode.to_json(),
            "success": d.is_success,
            "seed": d.episode.seed,
            "task": d.episode.task,
            "fps": d.episode.control.rate_hz,
        }
    )
    group["actions"] = d.actions.astype(np.float64)
    group["executed_actions"] = d.executed_actions.astype(np.float64)
    group["dones"] = last
    group["rewards"] = last if d.is_success else np.zeros_like(last)
    # robosuite's quaternions are xyzw.
    quats_xyzw = [np.roll(quat, -1, axis=1) for quat in felt.quats_wxyz]
    group["robot_states"] = np.concatenate([felt.fingers, positions, *quats_xyzw], axis=1, dtype=np.float64)
    states = _states(d)
    group["states"] = np.concatenate(list(states.values()), axis=1)
    group.attrs["states_layout"] = json.dumps({name: part.shape[1] for name, part in states.items()})

    obs = group.create_group("obs")
    obs["joint_states"] = felt.joints.astype(np.float64)
    obs["ee_pos"] = positions.astype(np.float64)
    obs["ee_ori"] = axis_angles
    obs["ee_states"] = np.concatenate([positions, axis_angles], axis=1)
    obs["gripper_states"] = felt.fingers.astype(np.float64)
    for camera, images in d.images.items():
        obs[obs_name(camera)] = images
    group["obs_index"] = d.image_steps.astype(np.int64)
    for name, array in proprio.items():
        obs[name] = array
    obs.attrs["proprio"] = json.dumps(list(proprio))
    privileged = group.create_group("privileged")
    for name, array in d.privileged.items():
        privileged[name] = array


class _Felt(NamedTuple):
    """What LIBERO's keys are made of."""

    joints: NDArray[np.float32]
    """(T, J)"""
    positions: list[NDArray[np.float32]]
    """Of each hand (T, 3)."""
    quats_wxyz: list[NDArray[np.float32]]
    fingers: NDArray[np.float32]
    """(T, 2) the fingers of one gripper, or the openings of two hands."""


def _felt(proprio: Mapping[str, NDArray[np.float32]]) -> _Felt:
    if not _has_two_hands(proprio):
        # robosuite measures both fingers along one axis, so that the second is negative.
        fingers = np.concatenate([proprio["gripper_opening_m"] / 2, -proprio["gripper_opening_m"] / 2], axis=1)
        return _Felt(proprio["joint_pos_rad"], [proprio["ee_pos_base_m"]], [proprio["ee_quat_base_wxyz"]], fingers)
    groups = [name for name in proprio if name.endswith(_JOINTS) and name not in {f"{side}_hand{_JOINTS}" for side in _SIDES}]
    return _Felt(
        joints=np.concatenate([proprio[name] for name in groups], axis=1),
        positions=[proprio[f"{side}_ee_pos_base_m"] for side in _SIDES],
        quats_wxyz=[proprio[f"{side}_ee_quat_base_wxyz"] for side in _SIDES],
        fingers=np.concatenate([proprio[f"{side}_hand_opening_m"] for side in _SIDES], axis=1),
    )


def _has_two_hands(proprio: Mapping[str, NDArray[np.float32]]) -> bool:
    return "left_ee_pos_base_m" in proprio


def _states(d: Demonstration) -> dict[str, NDArray[np.float64]]:
    """Returns the parts of the flat state, each (T, k): time, then proprioception and privileged arrays in the order of their names."""
    parts: dict[str, NDArray[Any]] = {"time_s": np.arange(d.num_steps) / d.episode.control.rate_hz}
    for group, arrays in (("proprio", d.proprio), ("privileged", d.privileged)):
        parts |= {f"{group}/{name}": array for name, array in sorted(arrays.items())}
    # Not reshape(steps, -1): the width of an array without entries cannot be told so.
    return {name: np.asarray(array, np.float64).reshape(d.num_steps, math.prod(array.shape[1:])) for name, array in parts.items()}


def _axis_angle(quat_wxyz: NDArray[np.float32]) -> NDArray[np.float64]:
    """Returns the rotation vectors `(T, 3)` of unit quaternions `(T, 4)`: axis times angle, the angle in [0, 2 pi) like robosuite's.

    The sign of the quaternion is kept, so that a hand that points down does not jump between pi and -pi.
    """
    quat = np.asarray(quat_wxyz, np.float64)
    w = np.clip(quat[:, :1], -1.0, 1.0)
    sine = np.sqrt(1.0 - w * w)
    return np.where(sine > 1e-9, quat[:, 1:] * 2.0 * np.arccos(w) / np.where(sine > 1e-9, sine, 1.0), 0.0)


# --------------------------------------------------------------------------------------------------------------------------- checks
def check_info(info: DatasetInfo) -> None:
    """Raises BadData unless a dataset of this kind can be laid out."""
    if info.frame_stride < 1:
        raise BadData(f"the frame stride is {info.frame_stride}; it must be 1 or more")
    keys: dict[str, str] = {}
    for camera in info.images:
        key = obs_name(camera)
        if key in keys:
            raise BadData(f"the cameras {keys[key]!r} and {camera!r} would both be stored as {key}; rename one")
        keys[key] = camera


def check_same(path: str, stored: DatasetInfo, wanted: DatasetInfo) -> None:
    """Raises BadData, naming the difference, unless a file with the information `stored` may be extended with demonstrations of `wanted`."""
    for name in ("action", "images", "frame_stride"):
        before, now = to_plain(getattr(stored, name)), to_plain(getattr(wanted, name))
        if before != now:
            was, is_now = canonical_json(before), canonical_json(now)
            raise BadData(f"{path} was made with {name} {was} and cannot be extended with {is_now}. Choose another file")


def check_proprio(d: Demonstration) -> None:
    """Raises BadData unless the proprioception holds what the layout is made of, and nothing that it calls otherwise."""
    taken = {"joint_states", "ee_pos", "ee_ori", "ee_states", "gripper_states", *map(obs_name, d.images)}
    for name in d.proprio:
        if name in taken:
            raise BadData(f"demonstration {d.digest} has proprioception {name!r}, which is a key of the layout; carry its unit and frame in the name")
    for name, width in (_NEEDED_OF_TWO if _has_two_hands(d.proprio) else _NEEDED).items():
        found = d.proprio.get(name)
        if found is None:
            raise BadData(f"demonstration {d.digest} lacks the proprioception {name!r}, of which the layout is made. It has: {', '.join(d.proprio)}")
        if found.ndim != 2 or (width is not None and found.shape[1] != width):
            raise BadData(f"demonstration {d.digest}: {name!r} has shape {found.shape}; the layout wants ({d.num_steps}, {width or 'joints'})")
