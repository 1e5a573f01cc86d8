"""The way back: what is asked of a hand, in metres and radians, as a policy of some convention would send it.

It shares no code with the conversions that it is held against: rotations are scipy's, grippers and statistics are written down anew.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from vlagym.benchmark.probe.demonstrations import Demonstration
from vlagym.envs.errors import BadSpec
from vlagym.envs.types import ActionComponent
from vlagym.policies.base import Normalisation, PolicySpec

Array = NDArray[np.float64]
_RELATIVE, _OPENING = "gripper_closing_relative", "gripper_opening_m"
_HEARD_FROM = 0.5
"""Of a gripper command that is held, as Octo's on the Google robot."""
_GRASPING = 0.99
"""The expert grasps with a hand that is told to close all of the way; half closed it is on its way to something narrow. Who can say only open or
closed says open then."""


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What is asked for in one step of a policy."""

    move_m: Array
    """(3,) in the base frame."""
    turn: Rotation
    hand: Rotation
    """Asked for before the step."""
    place_m: Array
    """(3,) asked for after it."""
    orientation: Rotation
    joints_before: Array
    joints_after: Array
    closed: float
    was_closed: float
    """Before the step."""


def wishes(shown: Demonstration, repeats: int, still_steps: int = 0) -> list[Wish]:
    """Returns a demonstration in steps of a policy that last for `repeats` control steps each, with some at its end in which nothing moves.

    What is asked for in a step is the way from one commanded pose to the next, not the sum of the expert's displacements: where its command ran
    ahead of the hand, the world heard less than it said. Where the gripper is told something else a step begins, or it would close before
    the hand is there: the step before lasts longer than the expert took for it.
    """
    hands = Rotation.from_quat(np.roll(shown.target_quat_wxyz, -1, axis=1))
    told_anew = np.flatnonzero(np.diff(shown.closed)) + 1
    out = []
    for begin, stop in itertools.pairwise([0, *told_anew.tolist(), shown.num_steps]):
        for first in range(begin, stop, repeats):
            end = min(first + repeats, stop)
            out.append(
                Wish(
                    move_m=shown.target_pos_m[end] - shown.target_pos_m[first],
                    turn=hands[end] * hands[first].inv(),
                    hand=hands[first],
                    place_m=shown.target_pos_m[end],
                    orientation=hands[end],
                    joints_before=shown.joint_target_rad[first],
                    joints_after=shown.joint_target_rad[end],
                    closed=float(shown.closed[first]),
                    was_closed=float(shown.closed[first - 1]) if first else 0.0,
                )
            )
    end_wish = still(shown.target_pos_m[-1], hands[-1], shown.joint_target_rad[-1], float(shown.closed[-1]))
    return out + [end_wish] * still_steps


def still(place_m: Array, hand: Rotation, joints: Array, closed: float) -> Wish:
    """Returns the wish that nothing moves."""
    return Wish(move_m=np.zeros(3), turn=Rotation.identity(), hand=hand, place_m=place_m, orientation=hand, joints_before=joints,
                joints_after=joints, closed=closed, was_closed=closed)  # fmt: skip


def within(policy: PolicySpec, wish: Wish) -> list[Wish]:
    """Returns a wish as one, or as so many equal parts of it that each displacement lies within what the policy may say."""
    num = int(np.ceil(max([1.0, *excesses(policy, wish).values()]) - 1e-4))
    if num == 1:
        return [wish]
    part, out = Rotation.from_rotvec(wish.turn.as_rotvec() / num), []
    joints = (wish.joints_after - wish.joints_before) / num
    for k in range(num):
        done = Rotation.from_rotvec(wish.turn.as_rotvec() * k / num)
        out.append(replace(wish, move_m=wish.move_m / num, turn=part, hand=done * wish.hand, joints_before=wish.joints_before + k * joints,
                           joints_after=wish.joints_before + (k + 1) * joints, was_closed=wish.closed if k else wish.was_closed))  # fmt: skip
    return out


def excesses(policy: PolicySpec, wish: Wish) -> dict[str, float]:
    """Returns, of each displacement that a policy sends, how many times its range is asked for."""
    said = Encoder(policy).said(wish)
    assert policy.action is not None
    return {
        c.name: max(abs(v) / max(abs(low), abs(high), 1e-9) for v, low, high in zip(said[c.name], c.low, c.high, strict=True))
        for c in policy.action.components
        if c.convention.startswith(("delta_", "joint_delta", "joint_velocity"))
    }


def is_half_closed(wish: Wish) -> bool:
    """Returns whether the expert's hand is closed in part: who can say only open or closed says open then."""
    return 0.0 < wish.closed <= _GRASPING


class Encoder:
    """Says wishes in a policy's convention, one after another: a gripper that is told changes remembers what it was told."""

    def __init__(self, policy: PolicySpec) -> None:
        """Makes one.

        Raises:
          BadSpec: If the policy has no convention of its own.
        """
        if policy.action is None:
            raise BadSpec(f"policy {policy.name!r} takes whatever actions the environment has: there is no convention to say anything in")
        self._policy, self._action = policy, policy.action
        self._busy = 0

    def encode(self, wish: Wish) -> NDArray[np.float32]:
        """Returns one row `(D,)` as the policy would send it."""
        by = self._policy.normalisation
        row = [normalised(value, by[name]) if name in by else value for name, value in self.said(wish).items()]
        return np.concatenate(row).astype(np.float32)

    def said(self, wish: Wish) -> dict[str, Array]:
        """Returns each component in its declared unit, in order, before the policy's statistics."""
        return {c.name: self._said(c, wish) for c in self._action.components}

    def _said(self, c: ActionComponent, wish: Wish) -> Array:
        what, is_in_hand = c.convention, c.frame == "ee"
        if what == "ignored":
            return np.zeros(c.size)
        if what == "delta_position":
            return (wish.hand.inv().apply(wish.move_m) if is_in_hand else wish.move_m) / c.scale
        if what == "position":
            return wish.place_m / c.scale
        if what == "joint_position":
            return wish.joints_after / c.scale
        if what == "joint_delta":
            return (wish.joints_after - wish.joints_before) / c.scale
        if what == "joint_velocity":
            return (wish.joints_after - wish.joints_before) * self._action.rate_hz / c.scale
        if what.startswith("gripper_"):
            return np.array([self._gripper(c, wish)])
        if what.startswith("delta_"):
            turn = wish.hand.inv() * wish.turn * wish.hand if is_in_hand else wish.turn
            return written(turn, what.removeprefix("delta_")) / c.scale
        return written(wish.orientation, what) / c.scale

    def _gripper(self, c: ActionComponent, wish: Wish) -> float:
        what = c.convention.removesuffix("_binary")
        if what == _OPENING:
            return c.low[0] + (1 - wish.closed) * (c.high[0] - c.low[0])
        if what == _RELATIVE:
            return self._change(wish)
        lowest = 0.0 if what.endswith("_unit") else -1.0
        closed = wish.closed if what == c.convention else float(wish.closed > _GRASPING)
        share = closed if what.startswith("gripper_closed") else 1 - closed
        return lowest + share * (1.0 - lowest)

    def _change(self, wish: Wish) -> float:
        """Returns how much further it closes; where commands are held, one at a time."""
        change = wish.closed - wish.was_closed
        if not self._policy.sticky_steps:
            return change
        if self._busy:
            self._busy -= 1
            return 0.0
        if abs(change) <= _HEARD_FROM / 2:
            return 0.0
        self._busy = self._policy.sticky_steps - 1
        return 1.0 if change > 0 else -1.0


def written(turn: Rotation, form: str) -> Array:
    """Returns a rotation in a form of `vlagym.policies.conversions.rotations`, as scipy says it.

    Raises:
      BadSpec: If scipy has no such form.
    """
    x, y, z, w = turn.as_quat()
    matrix = turn.as_matrix()
    if form == "axis_angle":
        return np.asarray(turn.as_rotvec())
    if form in ("axis_angle_positive_w", "axis_angle_positive_x"):
        q = np.array([x, y, z, w]) * (-1.0 if form.endswith("x") and x < 0 else 1.0)
        sine = np.sqrt(max(0.0, 1 - q[3] ** 2))
        return np.zeros(3) if sine == 0 else q[:3] * 2 * np.arccos(q[3]) / sine
    if form.startswith("euler_"):
        return np.asarray(turn.as_euler(form.removeprefix("euler_")))
    forms = {
        "quaternion_wxyz": np.array([w, x, y, z]),
        "quaternion_xyzw": np.array([x, y, z, w]),
        "rot6d_rows": matrix[:2].ravel(),
        "rot6d_columns": matrix[:, :2].T.ravel(),
        "rot6d_interleaved": matrix[:, :2].ravel(),
    }
    if form not in forms:
        raise BadSpec(f"nothing can be said as {form!r}; known are {', '.join(forms)}, axis_angle and euler_ with an order")
    return np.asarray(forms[form], np.float64)


def normalised(value: Array, by: Normalisation) -> Array:
    """Returns numbers in the declared unit as a policy sends them that leaves it to us to scale them."""
    first, second = np.array(by.first), np.array(by.second)
    middle, half = (first, second) if by.kind == "mean_std" else ((first + second) / 2, (second - first) / 2)
    out = np.array([(v - m) / h if h > 0 else 0.0 for v, m, h in zip(value, middle, half, strict=True)])
    return np.where(np.array(by.mask or (True,) * len(value)), out, value)
