"""What one step of a loop of one's own gives: checked, and in the units of a demonstration."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vlagym.envs.errors import BadData
from vlagym.results.formats import _vectors

MM_PER_M = 1000.0
UNIT_TOLERANCE = 1e-2
"""By how much the length of a quaternion may differ from 1."""


class Rows:
    """The steps of one episode, each with the same arrays."""

    def __init__(self) -> None:
        self.num_steps = 0
        self._columns: dict[str, list[NDArray[Any]]] = {}

    def add(self, row: Mapping[str, NDArray[Any]]) -> None:
        """Takes a step.

        Raises:
          BadData: If it has other arrays or shapes than the steps before, or its timestamp is not later. Nothing of it is kept then.
        """
        t = self.num_steps
        if t:
            try:
                check_like(row, {name: rows[0].shape for name, rows in self._columns.items()}, "the steps before")
            except BadData as error:
                raise BadData(f"step {t}: {error}") from error
        if t and "timestamp" in row and not row["timestamp"] > self._columns["timestamp"][-1]:
            raise BadData(f"step {t}: the timestamp {row['timestamp']} is not after that of the step before, {self._columns['timestamp'][-1]}")
        for name, value in row.items():
            self._columns.setdefault(name, []).append(value)
        self.num_steps += 1

    def check_joints(self, joints: NDArray[np.float32]) -> None:
        """Raises BadData unless there are as many joints as in the steps before."""
        if self.num_steps and joints.shape != (before := self._columns[_vectors.JOINTS][0].shape):
            told = f"joint_positions has {joints.size} numbers, and in the steps before it had {before[0]}"
            raise BadData(f"step {self.num_steps}: {told}")

    def columns(self) -> dict[str, NDArray[Any]]:
        """Returns each array with a row a step; there must have been one."""
        return {name: np.stack(rows) for name, rows in self._columns.items()}


def check_like(row: Mapping[str, NDArray[Any]], before: Mapping[str, tuple[int, ...]], whose: str) -> None:
    """Raises BadData unless a step has the arrays and the shapes of those before it.

    Args:
      row: The step.
      before: Array -> shape.
      whose: Shapes they are, for the error.
    """
    lacks, more = sorted(set(before) - set(row)), sorted(set(row) - set(before))
    if lacks or more:
        told = f"lacks {', '.join(map(_argument, lacks))}, which" if lacks else f"has {', '.join(map(_argument, more))}, which none of"
        raise BadData(f"it {told} {whose} have")
    for name, value in row.items():
        if value.shape != before[name]:
            raise BadData(f"{_argument(name)} has shape {value.shape}; in {whose} it had {before[name]}")


def _argument(column: str) -> str:
    """Returns as which argument of a step a column is given."""
    return {_vectors.JOINTS: "joint_positions", "joint_delta": "delta_joint_positions with gripper_command"}.get(column, column)


def seconds(value: float, step: int) -> NDArray[np.float64]:
    """Returns a timestamp; raises BadData unless it is a finite number."""
    try:
        given = np.array(value, np.float64)
    except (TypeError, ValueError) as error:
        raise BadData(f"step {step}: timestamp is {value!r} and must be a number, in s") from error
    if given.ndim or not np.isfinite(given):
        raise BadData(f"step {step}: timestamp is {value!r} and must be a finite number, in s")
    return given


def truth(success: object) -> bool:
    """Returns whether an episode succeeded; raises BadData unless it is True or False, or the 0 or 1 of a library."""
    given = np.asarray(success)
    if given.ndim or given.dtype.kind not in "biu" or given not in (0, 1):
        raise BadData(f"success is {success!r} and must be True or False")
    return bool(given)


def further(proprio: Mapping[str, ArrayLike] | None, taken: Mapping[str, NDArray[Any]], step: int) -> dict[str, NDArray[np.float32]]:
    """Returns further arrays, by "proprio/" and their names.

    Args:
      proprio: What was given.
      taken: What the other arguments of the step are stored as.
      step: Its number, for errors.

    Raises:
      BadData: If one is no vector, or has the name of what another argument gives.
    """
    for name in proprio or {}:
        if name in taken:
            raise BadData(f"step {step}: proprio has {name!r}, under which another argument of the step is stored: give it another name")
    return {f"proprio/{name}": numbers(name, value, step) for name, value in (proprio or {}).items()}


def check_depth(row: Mapping[str, NDArray[Any]]) -> None:
    """Raises BadData unless the depth of a camera is as large as its image, which must be there."""
    for name in row:
        kind, _, camera = name.partition("/")
        if kind != "depth":
            continue
        image = row.get(f"rgb/{camera}")
        if image is None:
            raise BadData(f"there is depth of {camera!r}, and no image: give rgb of the same camera")
        if row[name].shape != image.shape[:2]:
            raise BadData(f"the depth of {camera!r} is {row[name].shape}, and its image {image.shape[:2]}; they must be equally large")


def numbers(name: str, value: ArrayLike, step: int, sizes: tuple[int, ...] = ()) -> NDArray[np.float32]:
    """Returns a vector, or a number as one.

    Args:
      name: For the error.
      value: What was given.
      step: For the error.
      sizes: Of which it may be; () for any.

    Raises:
      BadData: If it is none, or holds NaN or infinity.
    """
    try:
        array = np.atleast_1d(np.array(value, np.float32))
    except (TypeError, ValueError) as error:
        raise BadData(f"step {step}: {name} is no array of numbers: {error}") from error
    if array.ndim != 1 or not array.size:
        raise BadData(f"step {step}: {name} has shape {array.shape} and must be a vector of numbers")
    if not np.isfinite(array).all():
        bad = int(np.flatnonzero(~np.isfinite(array))[0])
        raise BadData(f"step {step}: {name} has {array[bad]} as its number {bad}; all must be finite")
    if sizes and array.size not in sizes:
        raise BadData(f"step {step}: {name} has {array.size} numbers and must have {' or '.join(map(str, sizes))}")
    return array


def motion(displacements: ArrayLike, closed: ArrayLike, joints: int, step: int) -> NDArray[np.float32]:
    """Returns displacements in rad, and after them grippers from -1, open, to 1, closed.

    Raises:
      BadData: If they are of another number than the joints, or of another unit.
    """
    moved = numbers("delta_joint_positions", displacements, step, (joints,))
    if np.abs(moved).max() > math.pi:
        raise BadData(f"step {step}: delta_joint_positions holds {moved[np.abs(moved).argmax()]:g}; displacements are in rad, at most pi in a step")
    grippers = numbers("gripper_command", closed, step)
    if grippers.min() < 0 or grippers.max() > 1:
        raise BadData(f"step {step}: gripper_command is {', '.join(f'{g:g}' for g in grippers)}; it runs from 0, open, to 1, closed")
    return np.concatenate([moved, 2 * grippers - 1], dtype=np.float32)


def poses(value: ArrayLike | None, step: int) -> dict[str, NDArray[np.float32]]:
    """Returns the position and the orientation of each hand, by our names: of (7,) numbers, or (14,) of two hands.

    Raises:
      BadData: If they are of another number, or no pose.
    """
    if value is None:
        return {}
    given = numbers("ee_pose", value, step, (7, 14)).reshape(-1, 7)
    found: dict[str, NDArray[np.float32]] = {}
    for prefix, pose in zip(("",) if len(given) == 1 else ("left_", "right_"), given, strict=True):
        position, orientation = _vectors.pose_names(prefix, "base")
        length = float(np.linalg.norm(pose[3:]))
        if abs(length - 1) > UNIT_TOLERANCE:
            raise BadData(f"step {step}: the quaternion of ee_pose has the length {length:g} and must have 1: a pose is x, y, z, then w, x, y, z")
        found |= {position: pose[:3], orientation: pose[3:]}
    return found


def openings(value: ArrayLike | None, step: int) -> dict[str, NDArray[np.float32]]:
    """Returns how far each gripper is open, by our names, in m."""
    if value is None:
        return {}
    given = numbers("gripper_opening_m", value, step, (1, 2))
    names = ("gripper_opening_m",) if len(given) == 1 else tuple(f"{side}_hand_opening_m" for side in _vectors.SIDES)
    return {name: given[i : i + 1] for i, name in enumerate(names)}


def image(camera: str, value: ArrayLike, step: int) -> NDArray[np.uint8]:
    """Returns a copy of an image; raises BadData unless it is uint8 (h, w, 3)."""
    given = np.array(value)
    if given.ndim != 3 or given.shape[2] != 3 or given.dtype != np.uint8:
        raise BadData(f"step {step}: the image of {camera!r} is {given.dtype} {given.shape}; wanted uint8 (height, width, 3), RGB, row 0 on top")
    return given


def depth(camera: str, value: ArrayLike, step: int) -> NDArray[np.uint16]:
    """Returns depth in mm; 0 where nothing was hit, or it is farther than 65.535 m."""
    given = np.array(value)
    if given.ndim != 2 or (given.dtype != np.uint16 and given.dtype.kind != "f"):
        told = f"step {step}: the depth of {camera!r} is {given.dtype} {given.shape}"
        raise BadData(f"{told}; wanted (height, width) of floats in m, or of uint16 in mm")
    if given.dtype == np.uint16:
        return given
    mm = np.round(np.where(np.isfinite(given), given, 0.0).astype(np.float64) * MM_PER_M)
    return np.where((mm > 0) & (mm <= np.iinfo(np.uint16).max), mm, 0).astype(np.uint16)
