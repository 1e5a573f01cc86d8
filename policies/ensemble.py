"""What several chunks that overlap say of one step, as one action: a mean, of each part in a way that means something."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlagym.policies.conversions import grippers, rotations
from vlagym.policies.pipeline import Pipeline

Array = NDArray[np.float64]


def plain(said: NDArray[Any], weights: Array) -> Array:
    """Returns the weighted mean `(D,)` of `(N, D)`, number by number."""
    return np.asarray((weights[:, None] * said).sum(axis=0) / weights.sum())


def mean(pipeline: Pipeline, said: NDArray[Any], weights: Array) -> Array:
    """Returns what overlapping chunks say of a step.

    Numbers are averaged one by one, but for three kinds of parts. Of orientations it is a rotation between them. Turns are averaged as axis-angles,
    of the two that lead to the same the one that is nearer to what the oldest chunk says. A gripper of which only the side of the middle counts goes
    to the end on whose side the mean is, and stays as it was where that is the middle.

    Args:
      pipeline: Says what the parts are.
      said: `(N, D)` in the environment's convention, oldest chunk first.
      weights: `(N,)`, more than 0.

    Returns:
      `(D,)` in the environment's convention.

    Raises:
      BadPolicyOutput: If an orientation is none.
    """
    out = plain(said, weights)
    at = pipeline.environment.slices()
    binary = {step.component for step in pipeline.actions if step.name == "gripper_binary"}
    for c in pipeline.environment.components:
        part = at[c.name]
        if c.convention in rotations.SIZES:
            out[part] = _between(said[:, part] * c.scale, c.convention, weights) / c.scale
        elif c.convention == "delta_axis_angle":
            out[part] = plain(_same_way(np.asarray(said[:, part], np.float64), 2 * np.pi / c.scale), weights)
        elif c.name in binary:
            ends = grippers.ends(c)
            assert ends is not None, "connect lets a binary gripper through only to one with ends"
            out[part] = grippers.binary(out[part], ends)
    return out


def _between(said: Array, form: str, weights: Array) -> Array:
    """Returns the mean of orientations `(N, k)` of a form: of their quaternions, each with the sign that is nearer to the first, whose weight in the
    mean is never cancelled."""
    quats = rotations.to_quaternions(said, form)
    total = plain(np.where(quats @ quats[0] < 0, -1.0, 1.0)[:, None] * quats, weights)
    return np.asarray(rotations.from_quaternions((total / np.linalg.norm(total))[None], form)[0])


def _same_way(turns: Array, whole: float) -> Array:
    """Returns axis-angles `(N, 3)`, of which `whole` is a whole turn: each as it is, or as the turn about the same axis that leads to the same from
    the other side, if that is nearer to the first."""
    angle = np.linalg.norm(turns, axis=1, keepdims=True)
    other = turns * (1 - np.divide(whole, angle, out=np.zeros_like(angle), where=angle > 0))
    is_nearer = np.linalg.norm(other - turns[0], axis=1) < np.linalg.norm(turns - turns[0], axis=1)
    return np.where((is_nearer & (angle[:, 0] > 0))[:, None], other, turns)
