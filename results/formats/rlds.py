"""RLDS as TFDS stores it, with the steps of LIBERO's datasets: OpenVLA's `libero_dataset_transform` and Octo read it as they read those.

    steps/observation/image, wrist_image     the cameras front and wrist, JPEG; another is called <camera>_image
                      depth, wrist_depth     uint16 in mm, PNG, where it was recorded; another is called <camera>_depth
                      state                  (8,) position, axis times angle, two finger positions; another form where the dataset says so
                      joint_state            (J,) rad
                      timestamp              s
    steps/action                             (7,) displacement and turn of the hand, as shares of what 1.0 means; gripper -1 open, +1 closed
    steps/reward, discount                   1 on the last step of a success; always 1
    steps/is_first, is_last, is_terminal     terminal is the last step of a success
    steps/language_instruction               the same at every step
    episode_metadata/…                       file_path, episode_id, task, robot, success, seed (-1: not simulated here), fps

Images are upright: those of LIBERO's own builders, which turn upside-down ones by 180 degrees, are mirrored left to right. Of a robot with two hands
`action` is what the dataset tells, left before right, and `state` has 14 numbers. The rest lies in the folder `vlagym` of the dataset.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.errors import BadData
from vlagym.envs.types import ActionComponent, ActionSpec
from vlagym.results.demonstration import DatasetInfo, Demonstration
from vlagym.results.formats import _vectors
from vlagym.results.formats._rlds_features import Column, Feature, numbers, texts
from vlagym.results.formats._rlds_folder import make_format
from vlagym.results.formats._rlds_schema import ACTION, INSTRUCTION, OBSERVATION, Conventions, Told, flow, sentence, succeeded
from vlagym.results.formats._rlds_sources import ACTIONS, is_of_two_hands, rows_of, specs, told
from vlagym.results.formats._sidecar import recorded_action

_KEYS = {"front": "image", "wrist": "wrist_image"}
_DEPTH_KEYS = {"front": "depth", "wrist": "wrist_depth"}
_CAMERAS = {key: camera for keys in (_KEYS, _DEPTH_KEYS) for camera, key in keys.items()}
_ACTION = (("delta_position", 3), ("delta_axis_angle", 3), ("gripper_closed_positive", 1))
_STATE, _JOINT_STATE = OBSERVATION + "state", OBSERVATION + "joint_state"
_RATE_HZ = 20.0
# What LIBERO tells its controller to do with 1.0: robosuite 1.4.1, controllers/config/osc_pose.json.
_POSITION_SCALE_M, _ROTATION_SCALE_RAD = 0.05, 0.5
_METADATA = "episode_metadata/"


class _Libero:
    """LIBERO's steps."""

    name = "rlds"
    about = (
        "Demonstrations collected with vlagym, with the steps of LIBERO's RLDS datasets. Images are upright RGB. Row t was seen before action t. "
        "Gripper: -1 open, +1 closed."
    )

    def check(self, info: DatasetInfo) -> None:
        self.action_source(info)

    def image_keys(self, info: DatasetInfo) -> Mapping[str, tuple[str, ...]]:
        return {camera: (_KEYS.get(camera, f"{camera}_image"),) for camera in info.images}

    def depth_keys(self, info: DatasetInfo) -> Mapping[str, str]:
        return {camera: _DEPTH_KEYS.get(camera, f"{camera}_depth") for camera in info.depth}

    def action_source(self, info: DatasetInfo) -> str | None:
        """Returns which rows are LIBERO's action. For two hands LIBERO has no convention: theirs is stored as it is.

        Raises:
          BadData: If the motion of one hand is told in other conventions only.
        """
        if is_of_two_hands(info.action):
            return ACTIONS
        for name, spec in specs(info):
            if tuple((c.convention, c.size) for c in spec.components) == _ACTION:
                return name
        raise BadData(
            f"the format rlds tells motion as displacements of the hand, and the dataset as {told(info)}: demonstrate with --control ee_delta, "
            "record with action=ActionSpec(…) of that convention, or store it in another format"
        )

    def columns(self, demonstration: Demonstration, info: DatasetInfo) -> list[Column]:
        d, source = demonstration, self.action_source(info)
        assert source is not None, "check has found it"
        times_s = np.arange(d.num_steps) / info.action.rate_hz if d.timestamps_s is None else d.timestamps_s
        groups = _vectors.joint_groups(d.proprio, fingers=False)
        joints = [np.concatenate([d.proprio[name] for name in groups], axis=1)] if groups else []
        task, robot = ("", info.robot) if d.spec is None else (d.spec.task, d.spec.robot)
        path = "/".join(word for word in ("success" if d.is_success else "failure", task, d.digest) if word)
        return [
            *flow(d, {INSTRUCTION: d.instruction}),
            numbers(ACTION, rows_of(d, source), "float32"),
            numbers(_STATE, _vectors.vector(d, info.state).values, "float32"),
            *(numbers(_JOINT_STATE, rows, "float32") for rows in joints),
            numbers(OBSERVATION + "timestamp", times_s, "float32"),
            *(texts(_METADATA + name, [word]) for name, word in _said(path, d.digest, task, robot).items()),
            numbers(_METADATA + "success", np.array(d.is_success), "bool"),
            numbers(_METADATA + "seed", np.array(-1 if d.spec is None else d.spec.seed), "int64"),
            numbers(_METADATA + "fps", np.array(info.action.rate_hz), "float32"),
        ]

    # ------------------------------------------------------------------------------------------------------------------ made by others
    def fits(self, features: Mapping[str, Feature]) -> bool:
        action = features.get(ACTION)
        return action is not None and len(action.shape) == 1 and _STATE in features and INSTRUCTION in features

    def conventions(self, low: NDArray[Any], high: NDArray[Any], rate_hz: float | None) -> Conventions:
        taken_for = {"images": "upright, as they are; those of LIBERO's own builders are mirrored left to right"}
        if rate_hz is None:
            taken_for["rate_hz"] = f"{_RATE_HZ:g}, that of LIBERO's simulation"
        rate_hz = rate_hz or _RATE_HZ
        if len(low) != sum(size for _, size in _ACTION):
            return Conventions(recorded_action(low.tolist(), high.tolist(), rate_hz), {}, "", taken_for)
        scales = f"1.0 is {_POSITION_SCALE_M:g} m or {_ROTATION_SCALE_RAD:g} rad a step"
        taken_for["action"] = f"that of LIBERO's OSC_POSE: {scales}; gripper -1 open, +1 closed"
        low, high = np.minimum(low, -1.0), np.maximum(high, 1.0)

        def part(name: str, at: slice, frame: str, unit: str, scale: float) -> ActionComponent:
            convention, size = _ACTION[("translation", "rotation", "gripper").index(name)]
            bounds = {"low": tuple(map(float, low[at])), "high": tuple(map(float, high[at]))}
            return ActionComponent(name=name, size=size, convention=convention, frame=frame, unit=unit, scale=scale, **bounds)

        components = (
            part("translation", slice(0, 3), "base", "m", _POSITION_SCALE_M),
            part("rotation", slice(3, 6), "base", "rad", _ROTATION_SCALE_RAD),
            part("gripper", slice(6, 7), "joint", "fraction", 1.0),
        )
        return Conventions(ActionSpec(name="osc_pose", components=components, rate_hz=rate_hz), {}, "", taken_for)

    def told(self, values: Mapping[str, Any]) -> Told:
        return Told(
            instruction=sentence(values, (INSTRUCTION,)),
            actions=values[ACTION].astype(np.float32),
            proprio=_felt(values),
            commands={},
            is_success=succeeded(values),
        )

    def camera(self, key: str) -> str:
        return _CAMERAS.get(key) or key.removesuffix("_image").removesuffix("_depth")


def _said(path: str, digest: str, task: str, robot: str) -> dict[str, str]:
    return {"file_path": path, "episode_id": digest, "task": task, "robot": robot}


def _felt(values: Mapping[str, Any]) -> dict[str, NDArray[np.float32]]:
    """Returns the state of LIBERO's robot under our names; what is of another width under its own. Poses are in LIBERO's world."""
    proprio: dict[str, NDArray[np.float32]] = {}
    for path, value in values.items():
        if not path.startswith(OBSERVATION) or not isinstance(value, np.ndarray) or value.dtype.kind not in "fiu":
            continue
        key, rows = path.removeprefix(OBSERVATION), value.astype(np.float32).reshape(len(value), -1)
        if path == _STATE and rows.shape[1] == 8:
            proprio["ee_pos_world_m"] = rows[:, :3]
            proprio["ee_quat_world_wxyz"] = _vectors.quats_wxyz(rows[:, 3:6]).astype(np.float32)
            proprio["gripper_opening_m"] = rows[:, 6:7] - rows[:, 7:8]
        elif path == _JOINT_STATE:
            proprio[_vectors.JOINTS] = rows
        elif key != "timestamp":
            proprio[key] = rows
    return proprio


FORMAT = make_format(_Libero())
