"""Pick, lift, retreat: a thing is taken and held, and the hand goes its way."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from vlagym.envs.frames import Array, from_yaw, multiply
from vlagym.envs.types import EpisodeSpec
from vlagym.policies.skills.grasping import ChosenGrasp, choose_grasp, hand_of, opening_command
from vlagym.policies.skills.surroundings import height_to_pass, obstacles
from vlagym.policies.skills.view import CLOSE, DOWN, OPEN, Command, SkillBase, Verdict, View, hand_yaw, turn_between

_BLOCKED_STEPS = 30
_BACK_OFF_STEPS = 8
_PATIENCE = 14
"""Control steps that the fingers may take to close, and that a goal may take to be held once the plan is through."""
_SLIP_STEPS = 3


class Grip(NamedTuple):
    """Where and how the fingers close."""

    point: Array
    """Pinch point, base frame, m."""
    quat: Array
    """Of the hand, wxyz."""
    width_m: float
    """Between the pads when they touch."""
    opening_m: float
    """Between the pads on the way there."""


class Pick(SkillBase):
    """pick(a): reaches a grasp of the prop from above, closes, and is done when the prop is held. Tries another one when it closes on nothing."""

    def __init__(self, spec: EpisodeSpec, args: Sequence[str]) -> None:
        super().__init__(spec, args)
        self._hand = hand_of(spec)
        self._grasp: ChosenGrasp | None = None
        self._tried: list[ChosenGrasp] = []
        self._closing = 0
        self._firm = 0
        self._held_at = np.zeros(3)
        self._nearest = math.inf
        """How near to the grasp the hand has come."""
        self._stalled = 0
        """Control steps since it came nearer; below 0 while it backs off upwards."""

    @property
    def stage(self) -> str:
        """reach until the fingers begin to close, then grasp."""
        return "grasp" if self._closing else "reach"

    def aim(self, view: View) -> Grip:
        """Returns where to close the fingers, from what is seen now."""
        if self._grasp is None:
            self._grasp = choose_grasp(self.spec, self.args[0], view, self._tried)
        point, turn = self._grasp.at(view.props[self.args[0]])
        return Grip(point, multiply(from_yaw(turn), DOWN), self._grasp.width_m, self._grasp.opening_m)

    def missed(self) -> None:
        """Is told that the fingers closed on nothing, or that something is in the way: `aim` chooses anew."""
        self._tried += [self._grasp] if self._grasp else []
        self._grasp = None
        self._nearest = math.inf

    def _is_blocked(self, distance: float) -> bool:
        """Returns whether the hand has not come nearer for long, and keeps count; a way down that leans on something ends here."""
        self._stalled += 1
        if distance < self._nearest - 0.001:
            self._nearest, self._stalled = distance, min(self._stalled, 0)
        return self._stalled > _BLOCKED_STEPS

    def step(self, view: View) -> tuple[Command, Verdict]:
        name = self.args[0]
        point, quat, width_m, opening_m = self.aim(view)
        opened = opening_command(self._hand, opening_m)
        if self._closing:
            self._closing += 1
            self._firm = self._firm + 1 if name in view.held else 0
            if self._firm >= 2:
                return Command(view.ee.pos, quat, CLOSE), "done"
            if self._closing > _PATIENCE or (self._closing > 4 and view.opening_m < 0.4 * width_m):
                self._closing, self._firm = 0, 0
                self.missed()
                return Command(view.ee.pos + [0, 0, 0.05], quat, opened), "running"
            return Command(self._held_at, quat, CLOSE), "running"
        away = point - view.ee.pos
        across, turn_error = math.hypot(away[0], away[1]), turn_between(view.ee.quat, quat)
        is_open = 0.9 * min(opening_m, width_m + 0.02) < view.opening_m < opening_m + 0.012
        if across < 0.005 and abs(away[2]) < 0.006 and turn_error < 0.06 and is_open:
            self._closing, self._held_at = 1, point
            return Command(point, quat, CLOSE), "running"
        if self._is_blocked(float(np.linalg.norm(away)) + 0.1 * turn_error):
            self.missed()
            self._stalled = -_BACK_OFF_STEPS
        if self._stalled < 0:
            return Command(view.ee.pos + [0, 0, 0.05], view.ee.quat, opened), "running"
        around, room = obstacles(self.spec, view, (name,)), self._hand.room
        pass_m = height_to_pass(room, around, view.ee.pos, point, below_m=room.finger_below_m)
        height = min(max(0.06, pass_m - point[2]), 3.0 * max(0.0, across - 0.006) + 0.3 * max(0.0, turn_error - 0.08))
        if not is_open:
            height = max(height, 0.05)
        return Command(risen_first(view.ee.pos, point + [0, 0, height]), quat, opened), "running"


class Lift(SkillBase):
    """lift(a): raises the held prop by 10 cm and keeps it there. Lost when it slips out of the hand."""

    def __init__(self, spec: EpisodeSpec, args: Sequence[str]) -> None:
        super().__init__(spec, args)
        self._goal: Array | None = None
        self._slipped = 0

    def step(self, view: View) -> tuple[Command, Verdict]:
        if self._goal is None:
            self._goal = view.ee.pos + [0, 0, 0.10]
            self._quat = view.ee.quat
        self._slipped = 0 if self.args[0] in view.held else self._slipped + 1
        if self._slipped > _SLIP_STEPS:
            return Command(view.ee.pos, self._quat, OPEN), "lost"
        return Command(self._goal, self._quat, CLOSE), "running"


class Retreat(SkillBase):
    """retreat(): goes straight up by 10 cm, gripper as it is, and stays there; has the plan begun again if the goal is not met then."""

    def __init__(self, spec: EpisodeSpec, args: Sequence[str]) -> None:
        super().__init__(spec, args)
        self._goal: Array | None = None
        self._gripper = OPEN
        self._unmet = 0

    def step(self, view: View) -> tuple[Command, Verdict]:
        if self._goal is None:
            self._goal, self._gripper = view.ee.pos + [0, 0, 0.10], view.gripper_command
            self._quat = multiply(from_yaw(hand_yaw(view.ee.quat)), DOWN)
        self._unmet = 0 if all(view.goal_met) else self._unmet + 1
        return Command(self._goal, self._quat, self._gripper, 0.02), "again" if self._unmet > _PATIENCE else "running"


def risen_first(here: Array, wanted: Array) -> Array:
    """Returns the next place on the way from `here` to `wanted`, (3,) m: up first, and sideways only as far as the height already allows."""
    lack = float(wanted[2] - here[2])
    sideways = 1.0 if lack < 0.02 else max(0.0, 1.0 - (lack - 0.02) / 0.03)
    return np.array([here[0] + sideways * (wanted[0] - here[0]), here[1] + sideways * (wanted[1] - here[1]), wanted[2]])


SKILLS: Mapping[str, type[SkillBase]] = {"pick": Pick, "lift": Lift, "retreat": Retreat}
