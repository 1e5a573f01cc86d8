"""Rotations and poses agree with scipy's, and with each other."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from vlagym.envs import frames


def _random_quats(n: int) -> np.ndarray:
    q = np.random.default_rng(0).normal(size=(n, 4))
    unit: np.ndarray = q / np.linalg.norm(q, axis=1, keepdims=True)
    return unit


def _scipy(q: np.ndarray) -> Rotation:
    return Rotation.from_quat(q[[1, 2, 3, 0]])


def test_products_rotations_and_matrices_agree_with_scipy() -> None:
    v = np.array([0.3, -1.2, 0.7])
    for a, b in zip(_random_quats(50), _random_quats(50)[::-1], strict=True):
        assert np.allclose(frames.to_matrix(frames.multiply(a, b)), (_scipy(a) * _scipy(b)).as_matrix())
        assert np.allclose(frames.rotate(a, v), _scipy(a).apply(v))
        assert np.allclose(frames.to_axis_angle(a), _scipy(a).as_rotvec())


def test_a_rotation_survives_every_form() -> None:
    for q in _random_quats(50):
        for back in (frames.from_axis_angle(frames.to_axis_angle(q)), frames.from_matrix(frames.to_matrix(q))):
            assert np.allclose(back * np.sign(back @ q), q, atol=1e-9)


@pytest.mark.parametrize("angle", [0.0, 1e-13, 1e-7])
def test_small_angles_are_exact(angle: float) -> None:
    back = frames.to_axis_angle(frames.from_axis_angle([angle, 0.0, 0.0]))
    assert back == pytest.approx([angle, 0.0, 0.0], abs=1e-15)


def test_a_pose_times_its_inverse_is_the_identity() -> None:
    pose = frames.pose([0.1, -0.2, 0.5], _random_quats(1)[0])
    both = pose @ pose.inverse()
    assert np.allclose(both.pos, 0.0) and np.allclose(np.abs(both.quat), [1, 0, 0, 0])
    assert np.allclose(pose.inverse().apply(pose.apply([1.0, 2.0, 3.0])), [1.0, 2.0, 3.0])


def test_a_camera_looks_at_its_target_with_the_world_upright() -> None:
    quat = frames.look_at([1.0, 0.0, 1.0], [0.0, 0.0, 0.0])
    assert np.allclose(frames.rotate(quat, np.array([0.0, 0.0, -1.0])), np.array([-1.0, 0.0, -1.0]) / np.sqrt(2))
    assert frames.rotate(quat, np.array([0.0, 1.0, 0.0]))[2] > 0
