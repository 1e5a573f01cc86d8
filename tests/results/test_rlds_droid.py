"""Folders of RLDS with the steps of DROID: what a command means there, in numbers that one can compute in the head."""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from vlagym.envs.errors import BadData
from vlagym.envs.types import ActionComponent, ActionSpec
from vlagym.results.demonstration import DatasetInfo, Demonstration
from vlagym.results.formats import _tfrecord, rlds_droid
from vlagym.results.formats._rlds_droid import euler_xyz, of_euler_xyz
from vlagym.results.formats._rlds_example import Example

STEPS = 4


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "droid"


def make_info(traces: ModuleType, **changes: Any) -> DatasetInfo:
    """Returns a dataset at DROID's rate, told as displacements of the hand and of the joints."""
    ee_delta, joint_delta = (dataclasses.replace(spec, rate_hz=15.0) for spec in (traces.EE_DELTA, traces.JOINT_DELTA))
    info: DatasetInfo = traces.make_dataset_info(action=ee_delta, commands={"joint_delta": joint_delta}, robot="panda", **changes)
    return info


def make_demonstration(traces: ModuleType, info: DatasetInfo, **changes: Any) -> Demonstration:
    """Returns a hand half open at (0.5, 0, 0.2) m, not turned, that is told to go 0.5 x 5 cm along x and to close; all joints go 0.5 x 0.1 rad."""
    rows = np.ones((STEPS, 1), np.float32)
    values: dict[str, Any] = {
        "actions": rows * np.array([0.5, 0, 0, 0, 0, 0.2, 1], np.float32),
        "commands": {"joint_delta": rows * np.array([0.5] * 7 + [1.0], np.float32)},
        "proprio": {
            "joint_pos_rad": rows * np.arange(7, dtype=np.float32) / 10,
            "ee_pos_base_m": rows * np.array([0.5, 0, 0.2], np.float32),
            "ee_quat_base_wxyz": rows * np.array([1, 0, 0, 0], np.float32),
            "gripper_opening_m": rows * np.float32(0.04),
        },
        **changes,
    }
    found: Demonstration = traces.make_demonstration(steps=STEPS, info=info, executed_actions=values["actions"], **values)
    return found


def write(path: Path, info: DatasetInfo, *demonstrations: Demonstration) -> Example:
    """Returns the first record of what was written."""
    with rlds_droid.FORMAT.write(path, info) as writer:
        for demonstration in demonstrations:
            writer.append(demonstration)
    (file,) = (path / "1.0.0").glob("*.tfrecord-*")
    with file.open("rb") as opened:
        return Example(_tfrecord.payload(opened, _tfrecord.places(file)[0], "it"))


def first(example: Example, name: str, size: int) -> list[float]:
    """Returns the numbers of the first step."""
    return [float(value) for value in example.numbers(f"steps/{name}").reshape(STEPS, size)[0]]


def test_a_command_is_told_as_positions_and_as_droids_velocities(traces: ModuleType, path: Path) -> None:
    info = make_info(traces)
    told = write(path, info, make_demonstration(traces, info))
    joints = np.arange(7) / 10
    assert first(told, "observation/joint_position", 7) == pytest.approx([*joints[:6], 0.6 - math.pi / 4])
    assert first(told, "observation/cartesian_position", 6) == pytest.approx([0.5, 0, 0.2, 0, 0, 0])
    assert first(told, "observation/gripper_position", 1) == pytest.approx([0.5])
    assert first(told, "action_dict/joint_position", 7) == pytest.approx([*(joints[:6] + 0.05), 0.65 - math.pi / 4])
    assert first(told, "action_dict/joint_velocity", 7) == pytest.approx([0.05 / 0.2] * 7)
    assert first(told, "action_dict/cartesian_position", 6) == pytest.approx([0.525, 0, 0.2, 0, 0, 0.05])
    assert first(told, "action_dict/cartesian_velocity", 6) == pytest.approx([0.025 / 0.075, 0, 0, 0, 0, 0.05 / 0.15])
    assert first(told, "action_dict/gripper_position", 1) == [1.0]
    assert first(told, "action_dict/gripper_velocity", 1) == pytest.approx([0.5 / 0.25])
    assert first(told, "action", 7) == pytest.approx([0.025 / 0.075, 0, 0, 0, 0, 0.05 / 0.15, 1.0])


def test_positions_are_taken_where_they_are_told(traces: ModuleType, path: Path) -> None:
    base = make_info(traces)
    joints = dataclasses.replace(traces.JOINT_DELTA.components[0], convention="joint_position", scale=1.0, low=(-3.0,) * 7, high=(3.0,) * 7)
    commands = {
        **base.commands,
        "joint_position": ActionSpec(name="joint_position", components=(joints, traces.EE_DELTA.components[2]), rate_hz=15.0),
    }
    info = dataclasses.replace(base, commands=commands)
    there = np.tile(np.array([0.2] * 7 + [-1.0], np.float32), (STEPS, 1))
    demonstration = make_demonstration(traces, info, commands={"joint_delta": np.zeros((STEPS, 8), np.float32), "joint_position": there})
    told = write(path, info, demonstration)
    assert first(told, "action_dict/joint_position", 7) == pytest.approx([0.2] * 6 + [0.2 - math.pi / 4])
    assert first(told, "action_dict/joint_velocity", 7) == pytest.approx([(0.2 - at / 10) / 0.2 for at in range(7)], abs=1e-6)


def test_a_displacement_counts_from_the_target_of_the_hand_where_that_is_told(traces: ModuleType, path: Path) -> None:
    info = make_info(traces)
    plain = make_demonstration(traces, info)
    ahead = {"ee_target_pos_base_m": plain.proprio["ee_pos_base_m"] + 0.01, "ee_target_quat_base_wxyz": plain.proprio["ee_quat_base_wxyz"]}
    told = write(path, info, dataclasses.replace(plain, proprio={**plain.proprio, **ahead}))
    assert first(told, "action_dict/cartesian_position", 6)[:3] == pytest.approx([0.535, 0.01, 0.21])


def test_at_another_rate_a_velocity_is_the_same_speed(traces: ModuleType, path: Path) -> None:
    info = make_info(traces)
    fast = {name: dataclasses.replace(spec, rate_hz=30.0) for name, spec in info.commands.items()}
    info = dataclasses.replace(info, action=dataclasses.replace(info.action, rate_hz=30.0), commands=fast)
    told = write(path, info, make_demonstration(traces, info))
    assert first(told, "action_dict/joint_velocity", 7) == pytest.approx([0.5] * 7)  # 0.05 rad in 1/30 s: 1.5 of 3 rad/s


def test_three_sentences_and_two_exterior_views_are_there(traces: ModuleType, path: Path) -> None:
    info = make_info(traces)
    told = write(path, info, make_demonstration(traces, info, paraphrases=("set the mug down on the plate",)))
    sentences = [told.texts(f"steps/language_instruction{end}")[0].decode() for end in ("", "_2", "_3")]
    assert sentences == ["put the mug on the plate", "set the mug down on the plate", "put the mug on the plate"]
    left, right = (told.texts(f"steps/observation/exterior_image_{i}_left") for i in (1, 2))
    assert left == right and len(left) == STEPS and len(told.texts("steps/observation/wrist_image_left")) == STEPS
    assert b"success" in told.texts("episode_metadata/file_path")[0]
    features = json.loads((path / "1.0.0" / "features.json").read_text())["featuresDict"]["features"]
    state = features["steps"]["sequence"]["feature"]["featuresDict"]["features"]["observation"]["featuresDict"]["features"]
    assert state["joint_position"]["tensor"]["dtype"] == "float64"


def test_angles_are_about_axes_that_stand_still() -> None:
    angles = np.array([[0.3, -1.2, 2.5], [math.pi, 0.0, 0.1], [0.0, 0.0, 0.0]])
    quats = of_euler_xyz(angles)
    assert np.allclose(euler_xyz(quats), angles) and np.allclose(np.linalg.norm(quats, axis=1), 1.0)
    (quarter,) = of_euler_xyz(np.array([[math.pi / 2, 0.0, math.pi / 2]]))  # y goes to z by the first turn, and stays there by the second
    w, v = quarter[0], quarter[1:]
    y = np.array([0.0, 1.0, 0.0])
    assert np.allclose(y + 2 * w * np.cross(v, y) + 2 * np.cross(v, np.cross(v, y)), [0, 0, 1])


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"images": {}}, "needs the cameras front and wrist, and the dataset has none: record front too"),
        ({"commands": {}}, "tells the motion of seven joints, and the dataset its motion as ee_delta: have joint_position or joint_delta among"),
        ({"frame_stride": 2}, "stores an image for every step; the frame stride is 2, and must be 1"),
    ],
)
def test_a_dataset_that_lacks_what_droid_has_is_refused(traces: ModuleType, path: Path, changes: dict[str, Any], told: str) -> None:
    with pytest.raises(BadData, match=told):
        rlds_droid.FORMAT.write(path, dataclasses.replace(make_info(traces), **changes))
    assert not path.exists()


def test_a_dataset_of_joint_motion_alone_and_one_of_two_hands_are_refused(traces: ModuleType, path: Path) -> None:
    info = make_info(traces)
    with pytest.raises(BadData, match="tells the motion of the hand, and .* as joint_delta: have ee_pose or ee_delta among its commands"):
        rlds_droid.FORMAT.write(path, dataclasses.replace(info, action=info.commands["joint_delta"], commands={}))
    both = tuple(dataclasses.replace(c, name=f"{side}_{c.name}") for side in ("left", "right") for c in info.action.components)
    with pytest.raises(BadData, match="is of one arm with seven joints, and the dataset of a robot with two"):
        rlds_droid.FORMAT.write(path, dataclasses.replace(info, action=ActionSpec(name="both", components=both, rate_hz=15.0)))


def test_a_hand_that_nobody_measured_is_refused(traces: ModuleType, path: Path) -> None:
    info = dataclasses.replace(make_info(traces), robot="jaco")
    with rlds_droid.FORMAT.write(path, info) as writer, pytest.raises(BadData, match="the robot of .* is jaco. It knows: panda, droid"):
        writer.append(make_demonstration(traces, info))


def test_what_others_recorded_is_read_and_written_again_the_same(traces: ModuleType, path: Path) -> None:
    info = dataclasses.replace(make_info(traces), robot="droid")
    demonstrations = [make_demonstration(traces, info), make_demonstration(traces, info, spec=None, digest="f" * 32, is_success=False)]
    written = write(path, info, *demonstrations)
    shutil.rmtree(path / "1.0.0" / "vlagym")
    again = path.with_name("again")
    with rlds_droid.FORMAT.open(path) as reader:
        assert reader.info.robot == "droid" and reader.info.action.rate_hz == 15.0 and reader.info.provenance["taken_for"] == {"rate_hz": "15, DROID's"}
        assert set(reader.info.images) == {"front", "exterior_2", "wrist"} and [reader[i].is_success for i in (0, 1)] == [True, False]
        assert np.allclose(reader[0].proprio["gripper_opening_m"], 0.04) and np.allclose(reader[0].commands["joint_velocity"][:, 0], 0.25)
        told = write(again, reader.info, reader[0])
    for name in ("observation/joint_position", "action_dict/joint_position", "action_dict/joint_velocity", "action_dict/cartesian_position"):
        assert np.allclose(told.numbers(f"steps/{name}"), written.numbers(f"steps/{name}"), atol=1e-5), name
    for name in ("action", "action_dict/gripper_position", "action_dict/gripper_velocity", "observation/cartesian_position"):
        assert np.allclose(told.numbers(f"steps/{name}"), written.numbers(f"steps/{name}"), atol=1e-5), name


def test_a_component_of_another_size_is_no_arm_of_seven_joints(traces: ModuleType, path: Path) -> None:
    six = ActionComponent(name="joints", size=6, convention="joint_delta", frame="joint", unit="rad", scale=0.1, low=(-1.0,) * 6, high=(1.0,) * 6)
    info = make_info(traces)
    commands = {"joint_delta": ActionSpec(name="joint_delta", components=(six,), rate_hz=15.0)}
    with pytest.raises(BadData, match="tells the motion of seven joints"):
        rlds_droid.FORMAT.write(path, dataclasses.replace(info, commands=commands))
