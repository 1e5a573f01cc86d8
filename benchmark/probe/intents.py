"""What a chunk asks of a hand, and what the expert asked of it over the same time: the two sides that a probe compares."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from vlagym.benchmark.probe.demonstrations import Demonstration
from vlagym.envs.types import ActionSpec, Observation

Array = NDArray[np.float64]
WORST = 4.0
"""Errors beyond twice the usual size of what the expert does count no more: one wild number must not drown the others."""
FLOOR = {"translation": 2e-3, "rotation": 5e-3, "gripper": 0.5, "joints": 5e-3}
"""m, rad, share, rad: what is smaller than that over a chunk is nothing."""


@dataclass(frozen=True, kw_only=True)
class Intents:
    """What was asked for over one chunk, for N observations, in the base frame: part -> `(N, k)`.

    translation in m, rotation as axis times angle in rad, joints in rad: from the pose or posture commanded before. gripper: mean share closed.
    """

    parts: dict[str, Array]

    def replaced(self, name: str, values: Array) -> Intents:
        """Returns the same with another part."""
        return Intents(parts={**self.parts, name: values})


def of_expert(shown: Demonstration, first: int, steps: int, names: tuple[str, ...]) -> dict[str, Array]:
    """Returns what the expert asked for in control steps `first` to `first + steps`, or to its end."""
    end = min(first + steps, shown.num_steps)
    a, b = (Rotation.from_quat(np.roll(shown.target_quat_wxyz[i], -1)) for i in (first, end))
    closed = np.append(shown.closed[first:end], [shown.closed[-1]] * (first + steps - end))
    every = {
        "translation": shown.target_pos_m[end] - shown.target_pos_m[first],
        "rotation": (b * a.inv()).as_rotvec(),
        "joints": shown.joint_target_rad[end] - shown.joint_target_rad[first],
        "gripper": np.array([closed.mean()]),
    }
    return {name: every[name] for name in names}


def of_chunk(rows: Array, takes: ActionSpec, before: Observation, joints: Array) -> dict[str, Array]:
    """Returns what a chunk asks for.

    Args:
      rows: `(T, D)` in the environment's convention, as `Link.drive` leaves them: displacements are those of the policy's whole steps.
      takes: The environment's actions.
      before: When the policy was asked.
      joints: `(n,)` joint targets then.
    """
    out: dict[str, Array] = {}
    hand = Rotation.from_quat(np.roll(before.proprio["ee_target_quat_base_wxyz"].astype(np.float64), -1))
    slices = takes.slices()
    for c in takes.components:
        v = rows[:, slices[c.name]]
        if c.convention == "delta_position":
            out["translation"] = v.sum(axis=0) * c.scale
        elif c.convention == "delta_axis_angle":
            turn = Rotation.identity()
            for one in v:
                turn = Rotation.from_rotvec(one * c.scale) * turn
            out["rotation"] = turn.as_rotvec()
        elif c.convention == "position":
            out["translation"] = v[-1] - before.proprio["ee_target_pos_base_m"]
        elif c.convention == "quaternion_wxyz":
            out["rotation"] = (Rotation.from_quat(np.roll(v[-1], -1)) * hand.inv()).as_rotvec()
        elif c.convention == "joint_delta":
            out["joints"] = v.sum(axis=0) * c.scale
        elif c.convention == "joint_position":
            out["joints"] = v[-1] - joints
        elif c.name == "gripper":
            out["gripper"] = np.clip((v.mean(axis=0) + 1) / 2, -1.0, 2.0)
    return out


def stacked(rows: list[dict[str, Array]]) -> Intents:
    """Returns many as one."""
    return Intents(parts={name: np.array([row[name] for row in rows]) for name in rows[0]})


def losses_by_part(said: Intents, wanted: Intents) -> dict[str, Array]:
    """Returns part -> `(N,)` how far what is said is from what is wanted, in squares of the usual size of that: 0 is the same, 1 is as if nothing
    were said; WORST at most."""
    out = {}
    for name, w in wanted.parts.items():
        size = 0.25 if name == "gripper" else max(float((w**2).sum(axis=1).mean()), FLOOR[name] ** 2)
        out[name] = np.minimum(((said.parts[name] - w) ** 2).sum(axis=1) / size, WORST)
    return out


def is_active(wanted: Intents, name: str) -> NDArray[np.bool_]:
    """Returns `(N,)` whether the expert does anything in a part: there it can be seen whether a policy does the same."""
    size = np.linalg.norm(wanted.parts[name], axis=1)
    return np.asarray(size > max(0.3 * float(np.sqrt((size**2).mean())), FLOOR[name]))


def correlations(said: Array, wanted: Array) -> Array:
    """Returns `(k, k)`: how number i of what is wanted goes with number j of what is said; 0 where one of them does not vary."""
    a, b = wanted - wanted.mean(axis=0), said - said.mean(axis=0)
    sizes = np.outer(np.sqrt((a**2).sum(axis=0)), np.sqrt((b**2).sum(axis=0)))
    return np.asarray(np.divide(a.T @ b, sizes, out=np.zeros((a.shape[1], b.shape[1])), where=sizes > 1e-12))


def ratio(said: Array, wanted: Array) -> float:
    """Returns how many times as large what is said is, over all numbers of a part; the middle over the observations in which something is wanted."""
    a, b = np.linalg.norm(said, axis=1), np.linalg.norm(wanted, axis=1)
    is_large = b > 0.3 * np.sqrt((b**2).mean())
    return float(np.median(a[is_large] / b[is_large])) if is_large.any() else 1.0
