"""Vectors of state: what is taken, in what form, in what order, and what is said of pieces that cannot be."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from vlagym.envs.types import StatePart
from vlagym.policies.conversions import rotations, states

ARRAYS = {
    "ee_pos_base_m": np.array([0.5, -0.1, 0.2], np.float32),
    "ee_quat_base_wxyz": np.array([0.0, 1.0, 0.0, 0.0], np.float32),
    "gripper_opening_m": np.array([0.06], np.float32),
}
SIZES = {name: len(array) for name, array in ARRAYS.items()}


def part(array: str, form: str, size: int, **changes: Any) -> StatePart:
    return StatePart(array=array, form=form, size=size, **changes)


LIBERO = (
    part("ee_pos_base_m", "as_is", 3, offset=(-0.66, 0.0, 0.9)),
    part("ee_quat_base_wxyz", "axis_angle_positive_w", 3),
    part("gripper_opening_m", "two_finger_joints", 2),
)


def test_a_vector_is_its_pieces_one_after_another() -> None:
    assert states.vector(ARRAYS, LIBERO).tolist() == pytest.approx([-0.16, -0.1, 1.1, math.pi, 0, 0, 0.03, -0.03])
    assert not list(states.complaints(LIBERO, 8, SIZES))


def test_a_piece_is_scaled_and_then_moved() -> None:
    closed = part("gripper_opening_m", "as_is", 1, gain=-12.5, offset=(1.0,))
    assert states.piece(ARRAYS, closed).tolist() == pytest.approx([0.25])


def test_zeros_need_no_array() -> None:
    assert states.piece({}, part("", "zeros", 2, offset=(0.0, 7.0))).tolist() == [0, 7]
    assert not list(states.complaints((part("", "zeros", 2),), 2, {}))


@pytest.mark.parametrize("form", rotations.SIZES)
def test_an_orientation_may_have_any_form(form: str) -> None:
    quat = np.array([0.1, 0.7, -0.7, 0.1])
    quat /= np.linalg.norm(quat)
    made = states.piece({"q": quat}, part("q", form, rotations.SIZES[form]))
    assert np.allclose(made, rotations.from_quaternions(quat[None], form)[0])


def test_another_hand_frame_is_turned_from_the_right() -> None:
    quarter_z = (math.sqrt(0.5), 0.0, 0.0, math.sqrt(0.5))
    turned = states.piece(ARRAYS, part("ee_quat_base_wxyz", "rot6d_columns", 6, turn_wxyz=quarter_z))
    # Our hand points down: its x lies along x, its y along -y. The x of theirs is our y, and their y our -x.
    assert turned.tolist() == pytest.approx([0, -1, 0, -1, 0, 0], abs=1e-9)


@pytest.mark.parametrize(
    ("pieces", "size", "message"),
    [
        (LIBERO, 7, "its parts have 8 numbers together, and it declares 7"),
        ((part("ee_pos_base_m", "backwards", 3),), 3, "no form is called 'backwards'; known are as_is, zeros, two_finger_joints, axis_angle"),
        ((part("tool_pos", "as_is", 3),), 3, "the environment has no array 'tool_pos'; it has ee_pos_base_m"),
        ((part("ee_pos_base_m", "axis_angle", 3),), 3, "axis_angle is made of 4 numbers, and ee_pos_base_m has 3"),
        ((part("ee_quat_base_wxyz", "rot6d_rows", 9),), 9, "rot6d_rows of ee_quat_base_wxyz has 6 numbers, not 9"),
        ((part("ee_pos_base_m", "as_is", 3, offset=(1.0,)),), 3, "the offset of ee_pos_base_m has 1 numbers, not 3"),
        ((part("ee_pos_base_m", "as_is", 3, turn_wxyz=(1.0, 0.0, 0.0, 0.0)),), 3, "turn_wxyz is for orientations"),
    ],
)
def test_pieces_that_cannot_be_are_named(pieces: tuple[StatePart, ...], size: int, message: str) -> None:
    assert any(message in complaint for complaint in states.complaints(pieces, size, SIZES))
