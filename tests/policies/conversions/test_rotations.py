"""Forms of a rotation against SciPy, against examples made by hand, and against themselves there and back."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from vlagym.envs import frames
from vlagym.envs.errors import BadPolicyOutput, UnknownName
from vlagym.policies.conversions import rotations
from vlagym.policies.conversions.rotations import SIZES, convert, from_quaternions, to_quaternions

HALF = math.sqrt(0.5)
QUARTER_TURN_Z = [HALF, 0.0, 0.0, HALF]
"""x to y, y to -x."""

Array = NDArray[np.float64]


def random(seed: int, n: int = 200) -> Array:
    quats = np.random.default_rng(seed).normal(size=(n, 4))
    return np.asarray(quats / np.linalg.norm(quats, axis=1, keepdims=True))


def same_rotation(a: Array, b: Array, within: float = 1e-7) -> bool:
    """Whether quaternions mean the same rotations: q and -q do."""
    return bool((np.abs(np.abs((a * b).sum(axis=1)) - 1) < within).all())


def scipy(quats: Array) -> Rotation:
    return Rotation.from_quat(np.roll(quats, -1, axis=1))


# -------------------------------------------------------------------------------------------------------------- there and back
@pytest.mark.parametrize("form", SIZES)
def test_every_form_comes_back_as_the_rotation_that_it_was(form: str) -> None:
    quats = random(1)
    said = from_quaternions(quats, form)
    assert said.shape == (len(quats), SIZES[form])
    assert same_rotation(to_quaternions(said, form), quats)


@pytest.mark.parametrize("form", SIZES)
def test_every_form_says_half_turns_and_no_turn(form: str) -> None:
    axes = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [HALF, HALF, 0], [0.6, 0, 0.8], [-1, 0, 0], [0, -HALF, HALF]])
    quats = np.concatenate([np.c_[np.zeros(len(axes)), axes], [[1, 0, 0, 0], [-1, 0, 0, 0]]])
    said = from_quaternions(quats, form)
    assert np.isfinite(said).all() and same_rotation(to_quaternions(said, form), quats)


@pytest.mark.parametrize("form", [f for f in SIZES if "positive" not in f and "quaternion" not in f])
def test_the_two_quaternions_of_a_rotation_are_said_alike(form: str) -> None:
    quats = random(2)
    assert np.allclose(from_quaternions(quats, form), from_quaternions(-quats, form), atol=1e-6)


def test_any_form_becomes_any_other() -> None:
    quats = random(3, 20)
    for a in SIZES:
        said = from_quaternions(quats, a)
        assert all(same_rotation(to_quaternions(convert(said, a, b), b), quats) for b in SIZES)


def test_products_and_matrices_agree_with_those_of_the_environment() -> None:
    a, b = random(4), random(5)
    ours = rotations.products(a, b)
    assert np.allclose(ours, [frames.multiply(p, q) for p, q in zip(a, b, strict=True)])
    assert np.allclose(rotations.matrices(ours), rotations.matrices(a) @ rotations.matrices(b))
    assert same_rotation(rotations.products(rotations.inverses(a), a), np.tile([1.0, 0, 0, 0], (len(a), 1)))


def test_matrices_come_back_as_quaternions_whose_largest_number_is_positive() -> None:
    quats = rotations.of_matrices(rotations.matrices(random(6)))
    assert (quats[np.arange(len(quats)), np.abs(quats).argmax(axis=1)] > 0).all()


# -------------------------------------------------------------------------------------------------------------------- Euler angles
@pytest.mark.parametrize("order", [f.removeprefix("euler_") for f in SIZES if f.startswith("euler_")])
def test_euler_angles_are_those_of_scipy(order: str) -> None:
    angles = np.random.default_rng(7).uniform([-3, -1.5, -3], [3, 1.5, 3], (100, 3))
    theirs = Rotation.from_euler(order, angles)
    assert same_rotation(to_quaternions(angles, f"euler_{order}"), np.roll(theirs.as_quat(), 1, axis=1))
    assert np.allclose(from_quaternions(np.roll(theirs.as_quat(), 1, axis=1), f"euler_{order}"), angles)


@pytest.mark.parametrize("order", [f.removeprefix("euler_") for f in SIZES if f.startswith("euler_")])
def test_euler_angles_whose_middle_one_is_a_quarter_turn_still_mean_the_rotation(order: str) -> None:
    for middle in (math.pi / 2, -math.pi / 2):
        quats = to_quaternions([[0.4, middle, -1.1], [0.0, middle, 2.0]], f"euler_{order}")
        assert same_rotation(to_quaternions(from_quaternions(quats, f"euler_{order}"), f"euler_{order}"), quats)


def test_lower_case_turns_about_axes_that_stand_still_and_upper_case_about_those_that_turn_along() -> None:
    quarter = math.pi / 2
    # About x first: z comes to -y. Then about the z that stands still: -y comes to x. Of "XYZ" the third axis is the turned z, which lies along -y.
    still, along = (rotations.matrices(to_quaternions([[quarter, 0, quarter]], f"euler_{order}"))[0] for order in ("xyz", "XYZ"))
    assert np.allclose(still @ [0, 0, 1], [1, 0, 0]) and np.allclose(along @ [0, 0, 1], [0, -1, 0])


def test_an_order_is_that_in_which_the_angles_stand() -> None:
    assert np.allclose(convert([[0.3, 0, 0]], "euler_zyx", "axis_angle"), [[0, 0, 0.3]])
    assert np.allclose(convert([[0.3, 0, 0]], "euler_xyz", "axis_angle"), [[0.3, 0, 0]])
    assert same_rotation(to_quaternions([[0.1, 0.2, 0.3]], "euler_xyz"), to_quaternions([[0.3, 0.2, 0.1]], "euler_ZYX"))


# --------------------------------------------------------------------------------------------------------- axis times angle
def test_axis_angles_are_those_of_scipy() -> None:
    quats = random(8)
    assert np.allclose(from_quaternions(quats, "axis_angle"), scipy(quats).as_rotvec())
    vectors = np.random.default_rng(9).normal(size=(100, 3)) * 3
    assert same_rotation(to_quaternions(vectors, "axis_angle"), np.roll(Rotation.from_rotvec(vectors).as_quat(), 1, axis=1))


def test_small_axis_angles_lose_nothing() -> None:
    vectors = np.array([[1e-9, 0, 0], [0, -2e-12, 0], [0, 0, 0]])
    assert np.allclose(convert(vectors, "axis_angle", "axis_angle"), vectors, rtol=1e-6, atol=0)


def robosuite_quat2axisangle(x: float, y: float, z: float, w: float) -> list[float]:
    """The formula as it stands in the documentation of the LIBERO state, number by number."""
    w = max(-1.0, min(1.0, w))
    den = math.sqrt(1.0 - w * w)
    return [0.0, 0.0, 0.0] if den == 0 else [v * 2.0 * math.acos(w) / den for v in (x, y, z)]


def test_robosuites_axis_angle_is_its_formula_and_goes_beyond_half_a_turn() -> None:
    quats = random(10)
    said = from_quaternions(quats, "axis_angle_positive_w")
    assert np.allclose(said, [robosuite_quat2axisangle(x, y, z, w) for w, x, y, z in quats], rtol=1e-9)
    angle = np.linalg.norm(said, axis=1)
    assert (angle[quats[:, 0] < 0] > math.pi).all() and (angle[quats[:, 0] > 0] < math.pi).all() and angle.max() > 1.7 * math.pi


def test_robosuites_axis_angle_does_not_change_the_sign_of_a_quaternion() -> None:
    tilted = np.array([[math.cos(1.6), math.sin(1.6), 0, 0]])  # a hand that points down and a little further: an angle of 3.2
    assert np.allclose(from_quaternions(tilted, "axis_angle_positive_w"), [[3.2, 0, 0]])
    assert np.allclose(from_quaternions(tilted, "axis_angle"), [[3.2 - 2 * math.pi, 0, 0]])


@pytest.mark.parametrize("w", [1.0, -1.0, 1.0 + 1e-9, -1.0 - 1e-9])
def test_robosuites_axis_angle_of_no_turn_is_zero_whichever_quaternion_says_it(w: float) -> None:
    assert from_quaternions([[w, 0, 0, 0]], "axis_angle_positive_w").tolist() == [[0, 0, 0]]


def test_a_hand_that_points_down_has_no_jump_where_its_quaternion_changes_sign() -> None:
    angles = np.linspace(3.0, 3.3, 31)
    quats = np.c_[np.cos(angles / 2), np.sin(angles / 2), np.zeros((31, 2))]
    either = np.where(np.arange(31)[:, None] % 2 == 0, quats, -quats)
    assert np.allclose(from_quaternions(either, "axis_angle_positive_x")[:, 0], angles)


# ---------------------------------------------------------------------------------------------------------------- quaternions
def test_the_orders_of_a_quaternion_differ_in_where_w_stands() -> None:
    assert from_quaternions([QUARTER_TURN_Z], "quaternion_wxyz").tolist() == [QUARTER_TURN_Z]
    assert from_quaternions([QUARTER_TURN_Z], "quaternion_xyzw").tolist() == [[0, 0, HALF, HALF]]
    assert to_quaternions([[0, 0, HALF, HALF]], "quaternion_xyzw").tolist()[0] == pytest.approx(QUARTER_TURN_Z)


def test_quaternions_of_another_length_are_brought_to_one() -> None:
    assert np.allclose(to_quaternions([[3.0, 0, 0, 3.0]], "quaternion_wxyz"), [QUARTER_TURN_Z])


# ------------------------------------------------------------------------------------------------------------------- six numbers
def test_six_numbers_are_the_rows_or_the_columns_of_the_matrix() -> None:
    # The matrix of a quarter turn about z: [[0, -1, 0], [1, 0, 0], [0, 0, 1]]
    said = {form: np.round(from_quaternions([QUARTER_TURN_Z], form)[0], 9).tolist() for form in SIZES if form.startswith("rot6d")}
    assert said["rot6d_rows"] == [0, -1, 0, 1, 0, 0]
    assert said["rot6d_columns"] == [0, 1, 0, -1, 0, 0]
    assert said["rot6d_interleaved"] == [0, -1, 1, 0, 0, 0]


def test_rows_that_are_taken_for_columns_mean_the_inverse() -> None:
    quats = random(11)
    mistaken = to_quaternions(from_quaternions(quats, "rot6d_rows"), "rot6d_columns")
    assert same_rotation(mistaken, rotations.inverses(quats))


def test_six_numbers_that_are_not_square_keep_the_first_direction() -> None:
    matrix = rotations.matrices(to_quaternions([[2.0, 0, 0, 5.0, 3.0, 0]], "rot6d_columns"))[0]
    assert np.allclose(matrix, np.eye(3))
    noisy = from_quaternions(random(12), "rot6d_rows") + np.random.default_rng(13).normal(size=(200, 6)) * 0.1
    made = rotations.matrices(to_quaternions(noisy, "rot6d_rows"))
    assert np.allclose(made @ made.transpose(0, 2, 1), np.eye(3)) and np.allclose(np.linalg.det(made), 1)


# ------------------------------------------------------------------------------------------------------------------- what is none
@pytest.mark.parametrize(
    ("form", "values", "message"),
    [
        ("quaternion_wxyz", [[0, 0, 0, 0]], "a quaternion is .*which is no rotation"),
        ("rot6d_rows", [[0, 0, 0, 0, 1, 0]], "two directions that are neither zero nor parallel"),
        ("rot6d_columns", [[1, 0, 0, 2, 0, 0]], "two directions that are neither zero nor parallel"),
        ("axis_angle", [[1, 2]], r"rotations of the form axis_angle are \(N, 3\), not \(1, 2\)"),
    ],
)
def test_numbers_that_are_no_rotation_are_refused(form: str, values: list[list[float]], message: str) -> None:
    with pytest.raises(BadPolicyOutput, match=message):
        to_quaternions(values, form)


def test_a_form_that_nobody_knows_is_answered_with_the_near_ones() -> None:
    with pytest.raises(UnknownName, match="no form of a rotation is called 'euler_xzz'. Did you mean .*euler_xzy"):
        from_quaternions(random(0), "euler_xzz")


def test_the_form_of_a_displacement_stands_behind_its_word() -> None:
    assert rotations.delta_form("delta_euler_ZYX") == "euler_ZYX"
    assert rotations.delta_form("delta_position") is None and rotations.delta_form("euler_xyz") is None
