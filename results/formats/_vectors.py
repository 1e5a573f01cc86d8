"""The state of a robot as one vector, in the forms that datasets have for it: its order, its units and the name of each number."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.errors import BadData, unknown_name
from vlagym.results.demonstration import Demonstration

Proprio = Mapping[str, NDArray[np.float32]]

SIDES = ("left", "right")
"""Of robots with two hands, in the order in which they are told."""
FRAMES = ("base", "world")
"""In which the pose of a hand may be told; where both are, the first is taken."""
JOINTS = "joint_pos_rad"
NAMES = "names_of_numbers"
"""Key of what else is said of a demonstration: array of proprioception -> what those who recorded it call each of its numbers."""


class Vector(NamedTuple):
    """A vector a step."""

    values: NDArray[np.float32]
    """(T, k)"""
    names: tuple[str, ...]
    """Of each of the k numbers."""


class Hand(NamedTuple):
    """Where a hand is, and how far it is open."""

    side: str
    """left, right, or "" of a robot that has one hand."""
    frame: str
    """In which its pose is told: of FRAMES."""
    positions: NDArray[np.float32]
    """(T, 3) in m"""
    quats_wxyz: NDArray[np.float32]
    """(T, 4)"""
    openings: NDArray[np.float32]
    """(T, 1) in m, between the pads"""


def vector(demonstration: Demonstration, name: str) -> Vector:
    """Returns the state of a demonstration as one vector a step.

    Args:
      demonstration: Of whose proprioception it is made.
      name: libero: position (3, m), axis times angle (3, rad) and two finger positions (m, the second negative) of the hand, 8 numbers; of a robot
        with two hands position, axis times angle and opening (m) of the left one, then of the right one, 14 numbers. joints: the joint positions of
        every group in their order, then the opening of each hand. all: every array of proprioception in its order, flattened; where those who
        recorded it have names for its numbers, under these.

    Raises:
      UnknownName: If there is no such form.
      BadData: If the demonstration lacks an array of which it is made.
    """
    make = STATES.get(name)
    if make is None:
        raise unknown_name("state vector", name, list(STATES))
    parts = make(demonstration)
    return Vector(
        values=np.concatenate([part.values for part in parts], axis=1, dtype=np.float32),
        names=tuple(word for part in parts for word in part.names),
    )


# ------------------------------------------------------------------------------------------------------------ what they are made of
def has_two_hands(proprio: Proprio) -> bool:
    """Returns whether the arrays are those of a robot with two hands."""
    return any(name.startswith(f"{side}_ee_pos_") for name in proprio for side in SIDES)


def places(proprio: Proprio) -> list[tuple[str, str]]:
    """Returns for each hand, left before right, what the names of its arrays begin with, and the name of its opening."""
    return [(f"{side}_", f"{side}_hand_opening_m") for side in SIDES] if has_two_hands(proprio) else [("", "gripper_opening_m")]


def frame_of(proprio: Proprio, prefix: str) -> str:
    """Returns the frame of FRAMES in which the pose of a hand is told: the first in which both its parts are."""
    return next((f for f in FRAMES if all(name in proprio for name in pose_names(prefix, f))), FRAMES[0])


def pose_names(prefix: str, frame: str) -> tuple[str, str]:
    """Returns the names of the arrays that hold a hand's position and its orientation."""
    return f"{prefix}ee_pos_{frame}_m", f"{prefix}ee_quat_{frame}_wxyz"


def missing(proprio: Proprio) -> list[str]:
    """Returns the arrays that `hands` and joint states are made of and that are not there."""
    lacks = [] if joint_groups(proprio) else [JOINTS]
    for prefix, opening in places(proprio):
        lacks += [name for name in (*pose_names(prefix, frame_of(proprio, prefix)), opening) if name not in proprio]
    return lacks


def hands(demonstration: Demonstration) -> list[Hand]:
    """Returns the hands of the robot, left before right.

    Raises:
      BadData: If an array is missing or of another width.
    """
    found = []
    for prefix, opening in places(demonstration.proprio):
        frame = frame_of(demonstration.proprio, prefix)
        position, orientation = pose_names(prefix, frame)
        found.append(
            Hand(
                side=prefix.removesuffix("_"),
                frame=frame,
                positions=_array(demonstration, position, 3),
                quats_wxyz=_array(demonstration, orientation, 4),
                openings=_array(demonstration, opening, 1),
            )
        )
    return found


def joint_groups(proprio: Proprio, *, fingers: bool = True) -> list[str]:
    """Returns the names of the arrays of joint positions, in their order.

    Args:
      proprio: All arrays.
      fingers: Whether the joints of the hands are among them.
    """
    of_hands = {f"{side}_hand_{JOINTS}" for side in SIDES}
    return [name for name in proprio if (name == JOINTS or name.endswith(f"_{JOINTS}")) and (fingers or name not in of_hands)]


def finger_positions(found: list[Hand]) -> NDArray[np.float32]:
    """Returns `(T, 2)` in m: the two fingers of one gripper, or the openings of two hands."""
    if len(found) == 1:
        # robosuite measures both fingers along one axis, so that the second is negative.
        return np.concatenate([found[0].openings / 2, -found[0].openings / 2], axis=1)
    return np.concatenate([hand.openings for hand in found], axis=1)


def axis_angles(quats_wxyz: NDArray[np.float32]) -> NDArray[np.float64]:
    """Returns the rotation vectors `(T, 3)` of unit quaternions `(T, 4)`: axis times angle, the angle in [0, 2 pi) like robosuite's.

    The sign of the quaternion is kept, so that a hand that points down does not jump between pi and -pi.
    """
    quat = np.asarray(quats_wxyz, np.float64)
    w = np.clip(quat[:, :1], -1.0, 1.0)
    sine = np.sqrt(1.0 - w * w)
    return np.where(sine > 1e-9, quat[:, 1:] * 2.0 * np.arccos(w) / np.where(sine > 1e-9, sine, 1.0), 0.0)


def quats_wxyz(rotation_vectors: NDArray[Any]) -> NDArray[np.float64]:
    """Returns the unit quaternions `(T, 4)` of rotation vectors `(T, 3)`, with the sign that `axis_angles` turns back into the same vector."""
    turn = np.asarray(rotation_vectors, np.float64)
    angle = np.linalg.norm(turn, axis=1, keepdims=True)
    return np.concatenate([np.cos(angle / 2), turn * np.where(angle > 1e-12, np.sin(angle / 2) / np.where(angle > 1e-12, angle, 1.0), 0.5)], axis=1)


# ---------------------------------------------------------------------------------------------------------------------- the forms
def _libero(demonstration: Demonstration) -> list[Vector]:
    found = hands(demonstration)
    parts = []
    for hand in found:
        prefix = f"{hand.side}_" if hand.side else ""
        parts.append(Vector(hand.positions, tuple(f"{prefix}ee_pos_{hand.frame}_m.{axis}" for axis in "xyz")))
        turned = axis_angles(hand.quats_wxyz).astype(np.float32)
        parts.append(Vector(turned, tuple(f"{prefix}ee_axis_angle_{hand.frame}_rad.{axis}" for axis in "xyz")))
        if len(found) > 1:
            parts.append(Vector(hand.openings, (f"{prefix}hand_opening_m",)))
    if len(found) == 1:
        parts.append(Vector(finger_positions(found), ("finger_pos_m.0", "finger_pos_m.1")))
    return parts


def _joints(demonstration: Demonstration) -> list[Vector]:
    proprio = demonstration.proprio
    names = joint_groups(proprio)
    if not names:
        raise BadData(f"demonstration {demonstration.digest} lacks the proprioception {JOINTS!r}. It has: {', '.join(proprio) or 'none'}")
    openings = [opening for _, opening in places(proprio)]
    for opening in openings:
        _array(demonstration, opening, 1)
    return [_flat(demonstration, name) for name in (*names, *openings)]


def _all(demonstration: Demonstration) -> list[Vector]:
    if not demonstration.proprio:
        raise BadData(f"demonstration {demonstration.digest} has no proprioception, of which a state vector could be made")
    parts = [_flat(demonstration, name) for name in demonstration.proprio]
    names = [name for part in parts for name in part.names]
    if len(set(names)) == len(names):
        return parts
    # Positions and velocities of the same motors, say.
    return [Vector(part.values, _numbered(name, part.values.shape[1])) for name, part in zip(demonstration.proprio, parts, strict=True)]


STATES: Mapping[str, Callable[[Demonstration], list[Vector]]] = {"libero": _libero, "joints": _joints, "all": _all}
"""The forms of a state vector, by the name that a dataset gives them."""

def _flat(demonstration: Demonstration, name: str) -> Vector:
    array = demonstration.proprio[name]
    width = math.prod(array.shape[1:])
    flat = np.asarray(array, np.float32).reshape(demonstration.num_steps, width)
    return Vector(flat, _told(demonstration, name, width) or _numbered(name, width))


def _told(demonstration: Demonstration, name: str, width: int) -> tuple[str, ...]:
    """Returns what the numbers of an array were called by those who recorded it; () where they did not say it of each."""
    told = demonstration.extra.get(NAMES)
    names = told.get(name) if isinstance(told, Mapping) else None
    return tuple(map(str, names)) if isinstance(names, list) and len({*map(str, names)}) == len(names) == width else ()


def _numbered(name: str, width: int) -> tuple[str, ...]:
    return (name,) if width == 1 else tuple(f"{name}.{i}" for i in range(width))


def _array(demonstration: Demonstration, name: str, width: int) -> NDArray[np.float32]:
    found = demonstration.proprio.get(name)
    if found is None:
        there = ", ".join(demonstration.proprio) or "none"
        raise BadData(f"demonstration {demonstration.digest} lacks the proprioception {name!r}, of which the state is made. It has: {there}")
    if found.shape != (demonstration.num_steps, width):
        raise BadData(f"demonstration {demonstration.digest}: {name!r} has shape {found.shape}; the state wants ({demonstration.num_steps}, {width})")
    return found
