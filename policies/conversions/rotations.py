"""Forms of a rotation: each is turned into unit quaternions wxyz and back, many at a time.

The forms, and how many numbers each has:

  axis_angle (3)             axis times angle in rad, read at any angle, written with one of 0 to pi
  axis_angle_positive_w (3)  written by robosuite's formula xyz * 2 acos(w) / sqrt(1 - w^2) from the quaternion as it is: the angle is 0 to 2 pi
  axis_angle_positive_x (3)  the same of that one of the two quaternions whose x is not negative: that of a hand which points down, whatever its w
  quaternion_wxyz, quaternion_xyzw (4)
  rot6d_rows (6)             first two rows of the matrix
  rot6d_columns (6)          first two columns, one after the other (Zhou et al. 2019, as most write it)
  rot6d_interleaved (6)      first two columns side by side, read row by row: m00 m01 m10 m11 m20 m21
  euler_xyz, euler_ZYX … (3) rad, three different axes: lower case about axes that stand still, upper case about those that turn along

A displacement of an orientation bears "delta_" before its form.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.errors import BadPolicyOutput, unknown_name

Array = NDArray[np.float64]

_ORDERS = tuple("".join(order) for axes in ("xyz", "XYZ") for order in itertools.permutations(axes))

SIZES: Mapping[str, int] = MappingProxyType(
    {
        "axis_angle": 3,
        "axis_angle_positive_w": 3,
        "axis_angle_positive_x": 3,
        "quaternion_wxyz": 4,
        "quaternion_xyzw": 4,
        "rot6d_rows": 6,
        "rot6d_columns": 6,
        "rot6d_interleaved": 6,
        **{f"euler_{order}": 3 for order in _ORDERS},
    }
)
"""Form -> numbers that it has."""

ANGLES = frozenset(form for form in SIZES if form.startswith(("axis_angle", "euler_")))
"""Forms that are made of angles, in rad: they may be scaled. The others are numbers without a unit."""

_DELTA = "delta_"
_TINY = 1e-6


def delta_form(convention: str) -> str | None:
    """Returns the form of a displacement: "euler_xyz" of "delta_euler_xyz"; None where it is none of an orientation."""
    form = convention.removeprefix(_DELTA)
    return form if convention.startswith(_DELTA) and form in SIZES else None


def to_quaternions(values: Any, form: str) -> Array:
    """Returns rotations as unit quaternions.

    Args:
      values: `(N, k)`, k numbers of the form, angles in rad.
      form: A name of SIZES.

    Returns:
      `(N, 4)` wxyz; of the two that mean a rotation, whichever the form leads to.

    Raises:
      BadPolicyOutput: If a quaternion or a column of rot6d has no direction, or the two of rot6d have the same.
      UnknownName: If there is no such form.
    """
    v = np.asarray(values, np.float64)
    _known(form)
    if v.ndim != 2 or v.shape[1] != SIZES[form]:
        raise BadPolicyOutput(f"rotations of the form {form} are (N, {SIZES[form]}), not {v.shape}")
    if form.startswith("axis_angle"):
        return _of_axis_angles(v)
    if form.startswith("euler_"):
        return _of_euler(v, form.removeprefix("euler_"))
    if form.startswith("quaternion_"):
        norm = np.linalg.norm(v, axis=1, keepdims=True)
        if (norm < 1e-3).any():
            raise BadPolicyOutput(f"a quaternion is {v[int(norm.argmin())].tolist()}, which is no rotation: its norm must be 1")
        return np.asarray(v / norm if form == "quaternion_wxyz" else np.roll(v / norm, 1, axis=1))
    return of_matrices(_of_six(v, form))


def from_quaternions(quats: Any, form: str) -> Array:
    """Returns unit quaternions `(N, 4)` wxyz as `(N, k)`, k numbers of the form. The middle Euler angle is
    within a quarter turn.

    Raises:
      UnknownName: If there is no such form.
    """
    q = np.asarray(quats, np.float64)
    _known(form)
    if form == "quaternion_wxyz":
        return q.copy()
    if form == "quaternion_xyzw":
        return np.asarray(np.roll(q, -1, axis=1))
    if form == "axis_angle":
        return _axis_angles(q)
    if form.startswith("axis_angle_"):
        return _long_axis_angles(q if form == "axis_angle_positive_w" else np.where(q[:, 1:2] < 0, -q, q))
    if form.startswith("euler_"):
        return _euler(matrices(q), form.removeprefix("euler_"))
    m = matrices(q)
    if form == "rot6d_rows":
        return np.asarray(m[:, :2, :].reshape(-1, 6).copy())
    columns = m[:, :, :2] if form == "rot6d_interleaved" else m[:, :, :2].transpose(0, 2, 1)
    return np.asarray(columns.reshape(-1, 6).copy())


def convert(values: Any, form: str, into: str) -> Array:
    """Returns rotations `(N, k)` of one form in another."""
    return from_quaternions(to_quaternions(values, form), into)


def products(a: Array, b: Array) -> Array:
    """Returns the quaternion products a b of `(N, 4)` and `(N, 4)` wxyz; either may be `(1, 4)`."""
    aw, av, bw, bv = a[:, :1], a[:, 1:], b[:, :1], b[:, 1:]
    w = aw * bw - (av * bv).sum(axis=1, keepdims=True)
    return np.concatenate([w, aw * bv + bw * av + np.cross(av, bv)], axis=1)


def inverses(quats: Array) -> Array:
    """Returns the inverses of unit quaternions `(N, 4)` wxyz."""
    return np.asarray(quats * np.array([1.0, -1.0, -1.0, -1.0]))


def matrices(quats: Array) -> Array:
    """Returns `(N, 3, 3)` of unit quaternions `(N, 4)` wxyz."""
    w, x, y, z = quats.T
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.moveaxis(np.array(rows), 2, 0)


def of_matrices(m: Array) -> Array:
    """Returns unit quaternions `(N, 4)` wxyz of rotation matrices `(N, 3, 3)`; the largest of the four numbers is positive."""
    xx, yy, zz = m[:, 0, 0], m[:, 1, 1], m[:, 2, 2]
    wx, wy, wz = m[:, 2, 1] - m[:, 1, 2], m[:, 0, 2] - m[:, 2, 0], m[:, 1, 0] - m[:, 0, 1]
    xy, xz, yz = m[:, 0, 1] + m[:, 1, 0], m[:, 0, 2] + m[:, 2, 0], m[:, 1, 2] + m[:, 2, 1]
    # Row i of each is 4 q_i q: the one with the largest q_i loses the fewest digits.
    times_four = np.array(
        [
            [1 + xx + yy + zz, wx, wy, wz],
            [wx, 1 + xx - yy - zz, xy, xz],
            [wy, xy, 1 - xx + yy - zz, yz],
            [wz, xz, yz, 1 - xx - yy + zz],
        ]
    )
    largest = np.argmax([times_four[i, i] for i in range(4)], axis=0)
    rows = times_four[largest, :, np.arange(len(m))]
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def _known(form: str) -> None:
    if form not in SIZES:
        raise unknown_name("form of a rotation", form, SIZES)


def _of_axis_angles(v: Array) -> Array:
    angle = np.linalg.norm(v, axis=1, keepdims=True)
    # sinc(x) is sin(pi x) / (pi x): without a division by 0 where the angle is 0
    return np.concatenate([np.cos(angle / 2), v * (0.5 * np.sinc(angle / (2 * np.pi)))], axis=1)


def _axis_angles(q: Array) -> Array:
    q = np.where(q[:, :1] < 0, -q, q)
    sine = np.linalg.norm(q[:, 1:], axis=1, keepdims=True)
    angle = 2 * np.arctan2(sine, q[:, :1])
    per_sine = np.divide(angle, sine, out=np.full_like(sine, 2.0), where=sine > 1e-12)
    return np.asarray(q[:, 1:] * per_sine)


def _long_axis_angles(q: Array) -> Array:
    w = np.clip(q[:, :1], -1.0, 1.0)
    sine = np.sqrt(1.0 - w * w)
    return np.asarray(q[:, 1:] * np.divide(2 * np.arccos(w), sine, out=np.zeros_like(sine), where=sine > 0))


def _of_euler(v: Array, order: str) -> Array:
    total = np.tile([1.0, 0.0, 0.0, 0.0], (len(v), 1))
    for axis, angle in zip(order.lower(), v.T, strict=True):
        turn = np.zeros((len(v), 4))
        turn[:, 0], turn[:, 1 + "xyz".index(axis)] = np.cos(angle / 2), np.sin(angle / 2)
        total = products(turn, total) if order.islower() else products(total, turn)
    return total


def _euler(m: Array, order: str) -> Array:
    """Returns angles `(N, 3)` of matrices; where the middle one is a quarter turn, so that only two axes are left, one of the others is 0."""
    if order.islower():  # about axes that stand still: the same turns in reverse about axes that turn along
        return _euler(m, order[::-1].upper())[:, ::-1]
    i, j, k = ("XYZ".index(axis) for axis in order)
    sign = 1.0 if (j - i) % 3 == 1 else -1.0
    middle = np.arcsin(np.clip(sign * m[:, i, k], -1.0, 1.0))
    is_locked = np.hypot(m[:, i, i], m[:, i, j]) < 1e-7
    first = np.where(is_locked, np.arctan2(sign * m[:, k, j], m[:, j, j]), np.arctan2(-sign * m[:, j, k], m[:, k, k]))
    last = np.where(is_locked, 0.0, np.arctan2(-sign * m[:, i, j], m[:, i, i]))
    return np.stack([first, middle, last], axis=1)


def _of_six(v: Array, form: str) -> Array:
    """Returns matrices `(N, 3, 3)`: the first direction is kept, the second is made square to it."""
    first, second = (v[:, 0::2], v[:, 1::2]) if form == "rot6d_interleaved" else (v[:, :3], v[:, 3:])
    a = _unit(first, v)
    b = _unit(second - (a * second).sum(axis=1, keepdims=True) * a, v)
    m = np.stack([a, b, np.cross(a, b)], axis=1)
    return m if form == "rot6d_rows" else m.transpose(0, 2, 1)


def _unit(directions: Array, said: Array) -> Array:
    norm = np.linalg.norm(directions, axis=1, keepdims=True)
    if (norm < _TINY).any():
        row = said[int(norm.argmin())].tolist()
        raise BadPolicyOutput(f"a rotation of six numbers is {row}, which is none: it is two directions that are neither zero nor parallel")
    return np.asarray(directions / norm)
