"""Rotations and poses. Quaternions are wxyz; a `Pose` of b in a maps coordinates of b to coordinates of a."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Pose(NamedTuple):
    """Position `(3,)` in m and unit quaternion `(4,)` wxyz."""

    pos: Array
    quat: Array

    def __matmul__(self, other: Pose) -> Pose:
        return Pose(self.pos + rotate(self.quat, other.pos), multiply(self.quat, other.quat))

    def inverse(self) -> Pose:
        """Returns the pose that undoes this one."""
        quat = conjugate(self.quat)
        return Pose(-rotate(quat, self.pos), quat)

    def apply(self, point: Sequence[float] | Array) -> Array:
        """Returns a point `(3,)` of this frame in the frame around it."""
        return self.pos + rotate(self.quat, np.asarray(point, np.float64))


def pose(pos: Sequence[float] | Array, quat: Sequence[float] | Array = (1.0, 0.0, 0.0, 0.0)) -> Pose:
    """Returns a pose from anything array-like; the quaternion is normalised."""
    q = np.array(quat, np.float64)
    return Pose(np.array(pos, np.float64), q / math.sqrt(float(q @ q)))


def multiply(a: Array, b: Array) -> Array:
    """Returns the quaternion product a b."""
    aw, ax, ay, az = a.tolist()
    bw, bx, by, bz = b.tolist()
    return np.array(
        [
            aw * bw - ax * bx - ay * by - az * bz,
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
        ]
    )


def conjugate(quat: Array) -> Array:
    """Returns the inverse of a unit quaternion."""
    inverse: Array = quat * np.array([1.0, -1.0, -1.0, -1.0])
    return inverse


def rotate(quat: Array, vector: Array) -> Array:
    """Returns the vector `(3,)` turned by the quaternion."""
    w, x, y, z = quat.tolist()
    a, b, c = np.asarray(vector, np.float64).tolist()
    tx, ty, tz = 2 * (y * c - z * b), 2 * (z * a - x * c), 2 * (x * b - y * a)
    return np.array([a + w * tx + y * tz - z * ty, b + w * ty + z * tx - x * tz, c + w * tz + x * ty - y * tx])


def from_axis_angle(vector: Sequence[float] | Array) -> Array:
    """Returns the quaternion of a rotation vector (axis times angle, rad)."""
    x, y, z = (float(v) for v in vector)
    angle = math.sqrt(x * x + y * y + z * z)
    if angle < 1e-12:
        return np.array([1.0, 0.5 * x, 0.5 * y, 0.5 * z])
    s = math.sin(angle / 2) / angle
    return np.array([math.cos(angle / 2), s * x, s * y, s * z])


def to_axis_angle(quat: Array) -> Array:
    """Returns the rotation vector of a quaternion, angle within [0, pi] (the non-antipodal form)."""
    w, x, y, z = quat.tolist()
    if w < 0:
        w, x, y, z = -w, -x, -y, -z
    s = math.sqrt(x * x + y * y + z * z)
    if s < 1e-12:
        return np.array([2 * x, 2 * y, 2 * z])
    k = 2 * math.atan2(s, w) / s
    return np.array([k * x, k * y, k * z])


def from_yaw(yaw_rad: float) -> Array:
    """Returns the quaternion of a turn about z."""
    return np.array([math.cos(yaw_rad / 2), 0.0, 0.0, math.sin(yaw_rad / 2)])


def to_yaw(quat: Array) -> float:
    """Returns the turn about z of a quaternion (exact where it is a pure yaw)."""
    w, x, y, z = quat.tolist()
    return math.atan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))


def to_matrix(quat: Sequence[float] | Array) -> Array:
    """Returns the rotation matrix `(3, 3)`."""
    w, x, y, z = (float(v) for v in quat)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def from_matrix(matrix: Any) -> Array:
    """Returns the quaternion (w >= 0) of a rotation matrix `(3, 3)`."""
    m = np.asarray(matrix, np.float64)
    k = np.array(
        [
            [m[0, 0] - m[1, 1] - m[2, 2], 0, 0, 0],
            [m[1, 0] + m[0, 1], m[1, 1] - m[0, 0] - m[2, 2], 0, 0],
            [m[2, 0] + m[0, 2], m[2, 1] + m[1, 2], m[2, 2] - m[0, 0] - m[1, 1], 0],
            [m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1], m.trace()],
        ]
    )
    values, vectors = np.linalg.eigh(k / 3)
    x, y, z, w = vectors[:, int(values.argmax())]
    quat = np.array([w, x, y, z])
    return quat if w >= 0 else -quat


def look_at(eye: Sequence[float], target: Sequence[float]) -> Array:
    """Returns the quaternion of a camera at `eye` that looks at `target` with world z up (camera looks along -z, y up)."""
    back = np.asarray(eye, np.float64) - np.asarray(target, np.float64)
    back /= np.linalg.norm(back)
    right = np.cross([0.0, 0.0, 1.0], back)
    right /= np.linalg.norm(right)
    return from_matrix(np.stack([right, np.cross(back, right), back], axis=1))
