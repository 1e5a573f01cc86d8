"""The episode dict in the manner of DROID: displacements of joints in rad, grippers from 0 to 1, and nothing that was made up."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from vlagym.envs.errors import BadData
from vlagym.envs.types import ActionSpec
from vlagym.results.demonstration import DatasetInfo, Demonstration
from vlagym.results.format import NoDataset
from vlagym.results.formats import droid


def in_joints(traces: ModuleType, **changes: Any) -> tuple[DatasetInfo, Demonstration]:
    """Returns a demonstration whose actions are displacements of joints, 1.0 = 0.1 rad."""
    info = traces.make_dataset_info(action=traces.JOINT_DELTA, depth=("wrist",))
    rows = np.linspace(-1, 1, 7 * 8, dtype=np.float32).reshape(7, 8)
    depth = {"wrist": np.arange(7 * 16, dtype=np.uint16).reshape(7, 4, 4)}
    made = traces.make_demonstration(info=info, actions=rows, executed_actions=rows, depth=depth, **changes)
    return info, made


def write(path: Path, info: DatasetInfo, *demonstrations: Demonstration) -> Path:
    with droid.FORMAT.write(path, info) as writer:
        for demonstration in demonstrations:
            writer.append(demonstration)
    return path


def test_the_episode_dict(traces: ModuleType, tmp_path: Path) -> None:
    info, d = in_joints(traces, extra={"episode_id": "kitchen-7"})
    episode = droid.load_episode(str(write(tmp_path / "set", info, d)), 0)
    assert set(episode) == {"episode_id", "language_instruction", "success", "observations", "actions"}
    assert (episode["episode_id"], episode["language_instruction"], episode["success"]) == ("kitchen-7", "put the mug on the plate", True)
    seen, done = episode["observations"], episode["actions"]
    assert set(seen) == {"timestamp", "rgb", "depth", "joint_positions", "ee_pose"}
    np.testing.assert_allclose(seen["timestamp"], np.arange(7) / 20)
    np.testing.assert_array_equal(seen["rgb"]["front"], d.images["front"])
    np.testing.assert_array_equal(seen["depth"]["wrist"], d.depth["wrist"], strict=True)
    np.testing.assert_array_equal(seen["joint_positions"], d.proprio["joint_pos_rad"])
    np.testing.assert_array_equal(seen["ee_pose"], np.hstack([d.proprio["ee_pos_base_m"], d.proprio["ee_quat_base_wxyz"]]))
    np.testing.assert_allclose(done["delta_joint_positions"], 0.1 * d.actions[:, :7], atol=1e-7)
    np.testing.assert_allclose(done["gripper_command"], (d.actions[:, 7:] + 1) / 2, atol=1e-7)  # -1 open, +1 closed becomes 0 and 1


def test_an_episode_step_by_step(traces: ModuleType, tmp_path: Path) -> None:
    info, d = in_joints(traces)
    observations, actions = droid.steps(droid.load_episode(write(tmp_path / "set", info, d), -1))
    assert len(observations) == len(actions) == 7
    np.testing.assert_array_equal(observations[3]["rgb"]["wrist"], d.images["wrist"][3])
    assert set(actions[0]) == {"delta_joint_positions", "gripper_command"} and observations[2]["timestamp"] == pytest.approx(0.1)
    strided = dataclasses.replace(info, frame_stride=3, depth=())
    few = traces.make_demonstration(info=strided, actions=d.actions, executed_actions=d.actions)
    with pytest.raises(BadData, match="the episode has 7 steps and fewer images of front, wrist: it was recorded with a frame stride"):
        droid.steps(droid.load_episode(write(tmp_path / "few", strided, few), 0))


def test_commands_in_joints_serve_where_the_actions_are_of_the_hand(traces: ModuleType, tmp_path: Path) -> None:
    info = traces.make_dataset_info(commands={"joint_delta": traces.JOINT_DELTA})
    d = traces.make_demonstration(info=info)
    episode = droid.load_episode(write(tmp_path / "set", info, d), 0)
    np.testing.assert_allclose(episode["actions"]["delta_joint_positions"], 0.1 * d.commands["joint_delta"][:, :7], atol=1e-7)


def positions(traces: ModuleType, **parts: int) -> ActionSpec:
    joint, gripper = traces.JOINT_DELTA.components
    absolute = dataclasses.replace(joint, convention="joint_position", scale=1.0)
    made = [dataclasses.replace(absolute, name=name, size=k, low=(-9.0,) * k, high=(9.0,) * k) for name, k in parts.items()]
    return ActionSpec(name="joint_position", components=(*made, gripper), rate_hz=20.0)


def test_targets_of_joints_become_their_distance_from_where_the_joints_are(traces: ModuleType, tmp_path: Path) -> None:
    spec = positions(traces, joints=7)
    rows = np.tile(np.array([0.5] * 7 + [1.0], np.float32), (7, 1))
    info = traces.make_dataset_info(action=spec)
    d = traces.make_demonstration(info=info, actions=rows, executed_actions=rows)
    done = droid.load_episode(write(tmp_path / "set", info, d), 0)["actions"]
    np.testing.assert_allclose(done["delta_joint_positions"], 0.5 - d.proprio["joint_pos_rad"], atol=1e-6)
    assert done["gripper_command"].tolist() == [[1.0]] * 7


def test_displacements_are_taken_before_targets_whatever_their_order(traces: ModuleType, tmp_path: Path) -> None:
    info = traces.make_dataset_info(commands={"joint_position": positions(traces, joints=7), "joint_delta": traces.JOINT_DELTA})
    d = traces.make_demonstration(info=info)
    done = droid.load_episode(write(tmp_path / "set", info, d), 0)["actions"]
    np.testing.assert_allclose(done["delta_joint_positions"], 0.1 * d.commands["joint_delta"][:, :7], atol=1e-7)


def test_two_arms_are_found_by_the_names_of_their_groups(traces: ModuleType, tmp_path: Path) -> None:
    rows = np.concatenate([np.full((7, 2), 1.0), np.full((7, 3), 2.0), np.zeros((7, 1))], axis=1, dtype=np.float32)
    proprio = {"right_arm_joint_pos_rad": np.full((7, 3), 0.2, np.float32), "left_arm_joint_pos_rad": np.full((7, 2), 0.1, np.float32)}
    info = traces.make_dataset_info(action=positions(traces, left_arm=2, right_arm=3))
    d = traces.make_demonstration(info=info, actions=rows, executed_actions=rows, proprio=proprio, spec=None, digest="e" * 32)
    episode = droid.load_episode(write(tmp_path / "set", info, d), 0)
    np.testing.assert_allclose(episode["actions"]["delta_joint_positions"][0], [0.9, 0.9, 1.8, 1.8, 1.8], atol=1e-6)
    assert "ee_pose" not in episode["observations"]
    lacking = dataclasses.replace(d, digest="f" * 32, proprio={"left_arm_joint_pos_rad": proprio["left_arm_joint_pos_rad"]})
    with pytest.raises(BadData, match="tells 3 joints of 'right_arm' where to go, and not where they are.*joint positions are: left_arm_joint_pos"):
        droid.FORMAT.store(tmp_path / "other", info, lacking)


def test_a_motion_of_the_hand_alone_is_refused_with_what_to_type(traces: ModuleType, tmp_path: Path) -> None:
    info = traces.make_dataset_info()
    with droid.FORMAT.write(tmp_path / "set", info) as writer:
        with pytest.raises(BadData, match="tells its motion as ee_delta, and the format droid tells it in joints: .*with --format npz or"):
            writer.append(traces.make_demonstration())
        assert writer.digests == ()


def test_an_episode_that_is_not_there_is_said(traces: ModuleType, tmp_path: Path) -> None:
    info, d = in_joints(traces)
    path = write(tmp_path / "set", info, d)
    with pytest.raises(BadData, match="set has 1 episodes, and none of the number 1"):
        droid.load_episode(path, 1)
    with pytest.raises(NoDataset, match="there is no dataset at .*nowhere"):
        droid.load_episode(tmp_path / "nowhere", 0)
