"""The state of a robot as one vector: its order, its units, its names."""

from __future__ import annotations

import dataclasses
import math
from types import ModuleType

import numpy as np
import pytest

from vlagym.envs.errors import BadData, UnknownName
from vlagym.results.demonstration import Demonstration
from vlagym.results.formats import _vectors
from vlagym.results.formats._vectors import vector

HALF = math.sqrt(0.5)


def one_row(traces: ModuleType, **arrays: list[float]) -> Demonstration:
    made: Demonstration = traces.make_demonstration(steps=1, proprio={name: np.array([row], np.float32) for name, row in arrays.items()})
    return made


def test_libero_is_position_axis_times_angle_and_two_fingers(traces: ModuleType) -> None:
    demonstration = one_row(
        traces, gripper_opening_m=[0.08], ee_quat_base_wxyz=[HALF, 0, 0, HALF], ee_pos_base_m=[0.1, 0.2, 0.3], joint_pos_rad=[0.5] * 7
    )
    found = vector(demonstration, "libero")
    np.testing.assert_allclose(found.values, [[0.1, 0.2, 0.3, 0, 0, math.pi / 2, 0.04, -0.04]], atol=1e-6)
    assert found.values.dtype == np.float32 and found.names[:1] == ("ee_pos_base_m.x",) and found.names[-1] == "finger_pos_m.1"
    assert vector(demonstration, "joints").names == (*(f"joint_pos_rad.{i}" for i in range(7)), "gripper_opening_m")


def test_of_two_hands_the_left_comes_first(traces: ModuleType) -> None:
    arrays: dict[str, list[float]] = {"waist_joint_pos_rad": [7, 8], "left_hand_joint_pos_rad": [9], "right_hand_joint_pos_rad": [10]}
    for number, side in reversed(list(enumerate(("left", "right"), 1))):
        arrays |= {f"{side}_ee_pos_base_m": [number] * 3, f"{side}_ee_quat_base_wxyz": [1, 0, 0, 0], f"{side}_hand_opening_m": [number / 10]}
    demonstration = one_row(traces, **arrays)
    libero = vector(demonstration, "libero")
    np.testing.assert_allclose(libero.values[0], [1, 1, 1, 0, 0, 0, 0.1, 2, 2, 2, 0, 0, 0, 0.2])
    assert libero.names[6:8] == ("left_hand_opening_m", "right_ee_pos_base_m.x")
    joints = vector(demonstration, "joints")
    np.testing.assert_allclose(joints.values[0], [7, 8, 9, 10, 0.1, 0.2])
    assert joints.names[2:] == ("left_hand_joint_pos_rad", "right_hand_joint_pos_rad", "left_hand_opening_m", "right_hand_opening_m")


def test_all_is_every_array_in_its_order(traces: ModuleType) -> None:
    demonstration = one_row(traces, touch_n=[1, 2], base_height_m=[3])
    found = vector(demonstration, "all")
    assert found.names == ("touch_n.0", "touch_n.1", "base_height_m") and found.values.tolist() == [[1, 2, 3]]


def test_a_pose_in_the_world_says_so(traces: ModuleType) -> None:
    demonstration = one_row(traces, ee_pos_world_m=[1, 2, 3], ee_quat_world_wxyz=[1, 0, 0, 0], gripper_opening_m=[0.04])
    assert vector(demonstration, "libero").names[:4] == (
        "ee_pos_world_m.x",
        "ee_pos_world_m.y",
        "ee_pos_world_m.z",
        "ee_axis_angle_world_rad.x",
    )


def test_rotation_vectors_and_quaternions_are_each_other_s_inverse() -> None:
    turns = np.array([[0, 0, 0], [3.5, 0, 0], [0, -math.pi, 0], [0.1, 0.2, -0.3], [1e-14, 0, 0], [0, 0, 6.2]])
    np.testing.assert_allclose(_vectors.axis_angles(_vectors.quats_wxyz(turns).astype(np.float32)), turns, atol=1e-4)
    quats = np.array([[-HALF, 0, HALF, 0], [0.5, 0.5, -0.5, 0.5]], np.float32)
    np.testing.assert_allclose(_vectors.quats_wxyz(_vectors.axis_angles(quats)), quats, atol=1e-6)


def test_what_is_missing_is_named(traces: ModuleType) -> None:
    demonstration = one_row(traces, joint_pos_rad=[0] * 7, ee_pos_base_m=[0] * 3)
    with pytest.raises(BadData, match="lacks the proprioception 'ee_quat_base_wxyz', of which the state is made. It has: joint_pos_rad, ee_pos"):
        vector(demonstration, "libero")
    assert _vectors.missing(demonstration.proprio) == ["ee_quat_base_wxyz", "gripper_opening_m"]
    with pytest.raises(BadData, match=r"'gripper_opening_m' has shape \(1, 2\); the state wants \(1, 1\)"):
        vector(one_row(traces, joint_pos_rad=[0], gripper_opening_m=[0, 1]), "joints")
    with pytest.raises(BadData, match="has no proprioception"):
        vector(one_row(traces), "all")
    with pytest.raises(UnknownName, match="no state vector is called 'libreo'.*libero"):
        vector(demonstration, "libreo")


def test_numbers_keep_the_names_that_others_gave_them(traces: ModuleType) -> None:
    def names(told: object, **arrays: list[float]) -> tuple[str, ...]:
        return vector(dataclasses.replace(one_row(traces, **arrays), extra={_vectors.NAMES: told}), "all").names

    motors = ["lift.pos", "pan.pos"]
    assert names({"state": motors}, state=[1, 2], force_n=[3]) == ("lift.pos", "pan.pos", "force_n")
    assert names({"state": motors, "velocity": motors}, state=[1, 2], velocity=[3, 4]) == ("state.0", "state.1", "velocity.0", "velocity.1")
    for nothing in ({"state": ["one"]}, {"state": ["a", "a"]}, {"state": "ab"}, {"other": motors}, motors, None):
        assert names(nothing, state=[1, 2]) == ("state.0", "state.1")
