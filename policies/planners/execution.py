"""What a planner calls is carried out by the skills of the expert, which see the true state: the low level is privileged, the plan is not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from vlagym.envs.errors import NotGraspable, VlagymError
from vlagym.envs.frames import Pose, from_yaw, multiply
from vlagym.envs.kinematics import kinematics
from vlagym.envs.types import EpisodeSpec
from vlagym.policies.planners.work import Work
from vlagym.policies.skills.performer import SKILLS
from vlagym.policies.skills.putting import PutDown, Target
from vlagym.policies.skills.view import DOWN, Command, SkillBase, Verdict, View, hand_yaw

SKILL_S = 15.0
"""Simulated time after which a skill that does not come to its end is given up."""
_LOST_MAX = 2
"""How often a thing may slip out of the hand, or a handle, before a skill is given up."""
_RISE_M = 0.10
_RISE_STEPS = 40
_SLIP_STEPS = 3
class Outcome(NamedTuple):
    """What came of a skill."""

    is_done: bool
    text: str
    """For the planner."""


class Doing:
    """One call at work."""

    def __init__(self, work: Work, rate_hz: float, *, tells: bool = False) -> None:
        """Begins it; nothing moves yet.

        Args:
          work: What is done.
          rate_hz: Of control.
          tells: Whether an outcome may say what the low level calls things.
        """
        self._work, self._tells = work, tells
        self._at, self._lost, self._steps = 0, 0, 0
        self._steps_max = round(SKILL_S * rate_hz)
        self._skill: SkillBase | None = None

    def step(self, view: View) -> tuple[Command, Outcome | None]:
        """Returns what to do now, and what came of it once it is at its end."""
        self._steps += 1
        stay = Command(view.ee.pos, view.ee.quat, view.gripper_command)
        if self._steps > self._steps_max:
            return stay, Outcome(False, f"it did not come to its end within {SKILL_S:g} s")
        command = stay
        try:
            for _ in range(len(self._work.stages) + 1):
                if self._skill is None:
                    self._skill = self._made()
                command, verdict = self._skill.step(view)
                if verdict == "running":
                    return command, None
                self._skill = None
                if verdict == "lost":
                    self._lost += 1
                    self._at = max(0, self._at - 1)
                    if self._lost > _LOST_MAX:
                        return command, Outcome(False, "it slipped out of the hand, or off it, again and again")
                    return command, None
                self._at += 1
                if self._at == len(self._work.stages):
                    return command, Outcome(True, "done")
        except (VlagymError, StopIteration) as error:
            is_too_far = isinstance(error, NotGraspable)
            reason = "it is out of reach, or leaves no room for the hand" if is_too_far else "this cannot be done with that thing"
            return stay, Outcome(False, f"{reason} ({error})" if self._tells else reason)
        return command, None

    def _made(self) -> SkillBase:
        name, args = self._work.stages[self._at]
        if name == "put_at":
            assert self._work.point is not None
            return PutAt(self._work.spec, args, self._work.point)
        return (Rise if name == "rise" else SKILLS[name])(self._work.spec, args)


# ------------------------------------------------------------------------------------------------------------------------ own skills
class Rise(SkillBase):
    """rise(a): raises the hand by 10 cm with what it holds; lost when that slips. rise(): the same with whatever it holds or not."""

    def __init__(self, spec: EpisodeSpec, args: Sequence[str]) -> None:
        super().__init__(spec, args)
        self._goal: Pose | None = None
        self._slipped = self._steps = 0

    def step(self, view: View) -> tuple[Command, Verdict]:
        if self._goal is None:
            self._goal = Pose(view.ee.pos + [0.0, 0.0, _RISE_M], view.ee.quat)
        self._steps += 1
        if self.args:
            self._slipped = 0 if self.args[0] in view.held else self._slipped + 1
            if self._slipped > _SLIP_STEPS:
                return Command(view.ee.pos, view.ee.quat, -1.0), "lost"
        is_there = abs(float(self._goal.pos[2] - view.ee.pos[2])) < 0.01 or self._steps > _RISE_STEPS
        return Command(self._goal.pos, self._goal.quat, view.gripper_command), "done" if is_there else "running"


class PutAt(PutDown):
    """put_at(a): puts the held prop down at a point of the table."""

    def __init__(self, spec: EpisodeSpec, args: Sequence[str], point: tuple[float, float, float]) -> None:
        super().__init__(spec, args)
        self._point = np.array([point[0], point[1], 0.003])
        self._target: Target | None = None

    def target(self, view: View) -> Target:
        if self._target is None:
            turn = hand_yaw(view.ee.quat)
            if not kinematics(self.spec.robot).reaches(Pose(self._point + [0.0, 0.0, 0.1], multiply(from_yaw(turn), DOWN))):
                raise NotGraspable(f"the table at {self._point.round(3).tolist()} is out of the reach of {self.spec.robot}")
            self._target = Target(self._point, turn)
        return self._target
