"""RLDS as TFDS stores it, with the steps of DROID: openpi's DROID loader and OpenVLA's transform for DROID read it as they read DROID.

    steps/observation/exterior_image_1_left, exterior_image_2_left, wrist_image_left: the cameras front, exterior_2 (else front once more) and wrist,
                                         JPEG, as large as they were recorded: DROID's are 320 x 180; another camera is called <camera>_image
                      joint_position     (7,) rad
                      cartesian_position (6,) m, and angles about the fixed axes x, y, z in rad
                      gripper_position   (1,) 0 open, 1 closed
    steps/action_dict/…                  joint_, cartesian_ and gripper_ position and velocity
    steps/action                         (7,) cartesian_velocity, gripper_position
    steps/language_instruction, _2, _3   the sentence and two paraphrases; where there are none, the sentence
    episode_metadata/file_path           …/success/… or …/failure/…, by which openpi chooses
    with steps/{reward, discount, is_first, is_last, is_terminal} as in `rlds`

1.0 of a velocity is what it is on DROID's robot: 3 rad/s of a joint, 1.125 m/s and 2.25 rad/s of the hand, 3.75 ways of the gripper a second; at
DROID's 15 Hz that is 0.2 rad, 75 mm, 0.15 rad and a quarter of the way a step. The last joint of a Panda with its own hand is told pi/4 less than it
is: its hand is mounted askew, DROID's straight; so the profile `droid` tells it to a policy. All numbers are stored as float32, as TFDS does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.errors import BadData
from vlagym.envs.types import ActionComponent, ActionSpec
from vlagym.results.demonstration import DatasetInfo, Demonstration
from vlagym.results.formats import _rlds_droid, _vectors
from vlagym.results.formats._rlds_features import Column, Feature, numbers, texts
from vlagym.results.formats._rlds_folder import make_format
from vlagym.results.formats._rlds_schema import ACTION, INSTRUCTION, OBSERVATION, Conventions, Told, flow, sentence, succeeded

_KEYS = {"front": "exterior_image_1_left", "exterior_2": "exterior_image_2_left", "wrist": "wrist_image_left"}
_CAMERAS = {key: camera for camera, key in _KEYS.items()}
_NEEDED = ("front", "wrist")
_ACTION_DICT = "steps/action_dict/"
_INSTRUCTIONS = (INSTRUCTION, f"{INSTRUCTION}_2", f"{INSTRUCTION}_3")
_FILE_PATH = "episode_metadata/file_path"


class _Droid:
    """DROID's steps."""

    name = "rlds_droid"
    about = "Demonstrations collected with vlagym, with the steps of DROID. Images are upright RGB. Row t was seen before action t."

    def check(self, info: DatasetInfo) -> None:
        lacking = [camera for camera in _NEEDED if camera not in info.images]
        if lacking:
            there = ", ".join(info.images) or "none"
            raise BadData(f"the format rlds_droid needs the cameras {' and '.join(_NEEDED)}, and the dataset has {there}: record {lacking[0]} too")
        _rlds_droid.droid_sources(info)

    def image_keys(self, info: DatasetInfo) -> Mapping[str, tuple[str, ...]]:
        keys: dict[str, tuple[str, ...]] = {camera: (_KEYS.get(camera, f"{camera}_image"),) for camera in info.images}
        if "exterior_2" not in keys:
            keys["front"] = (*keys["front"], _KEYS["exterior_2"])
        return keys

    def depth_keys(self, info: DatasetInfo) -> Mapping[str, str]:
        return {}

    def action_source(self, info: DatasetInfo) -> str | None:
        return None

    def columns(self, demonstration: Demonstration, info: DatasetInfo) -> list[Column]:
        d = demonstration
        state, action = _rlds_droid.droid_observation(d, info), _rlds_droid.droid_action(d, info)
        sentences = (d.instruction, *d.paraphrases[:2], d.instruction, d.instruction)
        folder = "/".join(word for word in ("success" if d.is_success else "failure", d.spec.task if d.spec else "", d.digest) if word)
        return [
            *flow(d, dict(zip(_INSTRUCTIONS, sentences, strict=False))),
            *(numbers(OBSERVATION + name, rows, "float64") for name, rows in state.items()),
            *(numbers(_ACTION_DICT + name, rows, "float64") for name, rows in action.items()),
            numbers(ACTION, np.concatenate([action["cartesian_velocity"], action["gripper_position"]], axis=1), "float64"),
            texts("episode_metadata/recording_folderpath", [f"{folder}/recordings"]),
            texts(_FILE_PATH, [f"{folder}/trajectory.h5"]),
        ]

    # ------------------------------------------------------------------------------------------------------------------ made by others
    def fits(self, features: Mapping[str, Feature]) -> bool:
        wanted = {ACTION: (7,), INSTRUCTION: (), OBSERVATION + "joint_position": (7,), OBSERVATION + "cartesian_position": (6,)}
        wanted |= {OBSERVATION + "gripper_position": (1,), _ACTION_DICT + "joint_position": (7,), _ACTION_DICT + "joint_velocity": (7,)}
        wanted |= {_ACTION_DICT + "cartesian_position": (6,), _ACTION_DICT + "gripper_position": (1,)}
        return all(path in features and features[path].shape == shape for path, shape in wanted.items())

    def conventions(self, low: NDArray[Any], high: NDArray[Any], rate_hz: float | None) -> Conventions:
        taken_for = {} if rate_hz else {"rate_hz": f"{_rlds_droid.DROID_RATE_HZ:g}, DROID's"}
        rate_hz = rate_hz or _rlds_droid.DROID_RATE_HZ
        low, high = (np.minimum(low, [-1.0] * 6 + [0.0]), np.maximum(high, 1.0))
        gripper = _part("gripper", 1, "gripper_closed_unit", "joint", "fraction", 1.0, 0.0, 1.0)
        speed = _rlds_droid.MAX_SPEED
        hand = (
            _part("translation", 3, "delta_position", "base", "m", speed["position"] / rate_hz, low[:3], high[:3]),
            _part("rotation", 3, "delta_euler_xyz", "base", "rad", speed["rotation"] / rate_hz, low[3:6], high[3:6]),
            _part("gripper", 1, "gripper_closed_unit", "joint", "fraction", 1.0, low[6:], high[6:]),
        )
        joints = _part("joints", 7, "joint_position", "joint", "rad", 1.0, -2 * np.pi, 2 * np.pi)
        speeds = _part("joints", 7, "joint_velocity", "joint", "rad/s", speed["joint"], -1.0, 1.0)
        pose = (
            _part("position", 3, "position", "base", "m", 1.0, -2.0, 2.0),
            _part("orientation", 3, "euler_xyz", "base", "rad", 1.0, -np.pi, np.pi),
        )
        commands = {"joint_position": (joints, gripper), "joint_velocity": (speeds, gripper), "ee_pose": (*pose, gripper)}
        return Conventions(
            action=ActionSpec(name="droid", components=hand, rate_hz=rate_hz),
            commands={name: ActionSpec(name=name, components=parts, rate_hz=rate_hz) for name, parts in commands.items()},
            robot="droid",
            taken_for=taken_for,
        )

    def told(self, values: Mapping[str, Any]) -> Told:
        told = {path.removeprefix(_ACTION_DICT): value.astype(np.float32) for path, value in values.items() if path.startswith(_ACTION_DICT)}
        state = {name: values[OBSERVATION + name] for name in ("joint_position", "cartesian_position", "gripper_position")}
        commands = {"joint_position": "joint_position", "joint_velocity": "joint_velocity", "ee_pose": "cartesian_position"}
        file_path = values.get(_FILE_PATH, [""])[0]
        return Told(
            instruction=sentence(values, _INSTRUCTIONS),
            actions=values[ACTION].astype(np.float32),
            proprio={
                _vectors.JOINTS: state["joint_position"].astype(np.float32),
                "ee_pos_base_m": state["cartesian_position"][:, :3].astype(np.float32),
                "ee_quat_base_wxyz": _rlds_droid.of_euler_xyz(state["cartesian_position"][:, 3:]).astype(np.float32),
                "gripper_opening_m": (_rlds_droid.HANDS["droid"].opening_m * (1.0 - state["gripper_position"])).astype(np.float32),
            },
            commands={ours: np.concatenate([told[theirs], told["gripper_position"]], axis=1) for ours, theirs in commands.items()},
            is_success="success" in file_path if "success" in file_path or "failure" in file_path else succeeded(values),
        )

    def camera(self, key: str) -> str:
        return _CAMERAS.get(key) or key.removesuffix("_image")


def _part(name: str, size: int, convention: str, frame: str, unit: str, scale: float, low: Any, high: Any) -> ActionComponent:
    """Returns a component; its bounds may be one number for all."""
    ends = [tuple(map(float, np.broadcast_to(end, (size,)))) for end in (low, high)]
    return ActionComponent(name=name, size=size, convention=convention, frame=frame, unit=unit, scale=scale, low=ends[0], high=ends[1])


FORMAT = make_format(_Droid())
