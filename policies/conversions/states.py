"""Vectors of state as policies read them, put together of the environment's arrays.

Forms of a piece: "as_is"; "zeros", which no array is read for; "two_finger_joints", of an opening in m the positions of two fingers that move
against each other, +o/2 and -o/2 (robosuite's gripper); and of an orientation as quaternion wxyz all forms of `conversions.rotations`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.errors import did_you_mean
from vlagym.envs.types import StatePart
from vlagym.policies.conversions import rotations

FORMS = ("as_is", "zeros", "two_finger_joints", *rotations.SIZES)
"""All that may be made of an array."""


def piece(arrays: Mapping[str, NDArray[Any]], part: StatePart) -> NDArray[np.float64]:
    """Returns the numbers `(size,)` of one piece of a vector."""
    if part.form == "zeros":
        made = np.zeros(part.size)
    else:
        array = np.asarray(arrays[part.array], np.float64)
        if part.form == "as_is":
            made = array
        elif part.form == "two_finger_joints":
            made = np.array([0.5, -0.5]) * array
        else:
            made = _orientation(array, part)
    offset = np.array(part.offset) if part.offset else 0.0
    return np.asarray(part.gain * made + offset)


def vector(arrays: Mapping[str, NDArray[Any]], parts: tuple[StatePart, ...]) -> NDArray[np.float64]:
    """Returns the pieces one after another."""
    return np.concatenate([piece(arrays, part) for part in parts])


def complaints(parts: tuple[StatePart, ...], size: int, there: Mapping[str, int]) -> Iterator[str]:
    """Yields what is wrong with the pieces of a vector.

    Args:
      parts: The pieces.
      size: What the vector is declared to have.
      there: Array of the environment -> its size.
    """
    total = sum(part.size for part in parts)
    if total != size:
        yield f"its parts have {total} numbers together, and it declares {size}"
    for part in parts:
        if part.form not in FORMS:
            yield f"no form is called {part.form!r}{did_you_mean(part.form, FORMS)}; known are {', '.join(FORMS)}"
            continue
        if part.form != "zeros" and part.array not in there:
            yield f"the environment has no array {part.array!r}{did_you_mean(part.array, there)}; it has {', '.join(there) or 'none'}"
            continue
        if part.form == "two_finger_joints" and not part.array.endswith("opening_m"):
            yield f"two_finger_joints is made of an opening in m, and {part.array} is none: such an array ends in opening_m"
            continue
        wanted, gives = _sizes(part, there)
        if wanted is not None and there[part.array] != wanted:
            yield f"{part.form} is made of {wanted} numbers, and {part.array} has {there[part.array]}"
        elif gives != part.size:
            yield f"{part.form} of {part.array or 'nothing'} has {gives} numbers, not {part.size}"
        if part.offset and len(part.offset) != part.size:
            yield f"the offset of {part.array} has {len(part.offset)} numbers, not {part.size}"
        if part.turn_wxyz is not None and part.form not in rotations.SIZES:
            yield f"turn_wxyz is for orientations, and {part.array} is taken {part.form}: choose a form such as quaternion_wxyz"


def _sizes(part: StatePart, there: Mapping[str, int]) -> tuple[int | None, int]:
    """Returns how many numbers a form is made of (None: any) and gives."""
    if part.form == "zeros":
        return None, part.size
    if part.form == "as_is":
        return None, there[part.array]
    if part.form == "two_finger_joints":
        return 1, 2
    return 4, rotations.SIZES[part.form]


def _orientation(quat: NDArray[np.float64], part: StatePart) -> NDArray[np.float64]:
    q = quat[None]
    if part.turn_wxyz is not None:
        turn = rotations.to_quaternions([part.turn_wxyz], "quaternion_wxyz")
        q = rotations.products(q, turn)
    return np.asarray(rotations.from_quaternions(q, part.form)[0])
