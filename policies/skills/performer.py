"""The performer of a plan: its skills one after another, and back where one has lost what the one before it achieved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vlagym.envs.errors import unknown_name
from vlagym.envs.task import Skill
from vlagym.envs.types import EpisodeSpec, Observation
from vlagym.policies.skills import carry, controls, drawers, fitting, handles, pouring, pushing, putting, reach, upright
from vlagym.policies.skills.view import Command, SkillBase, View

SKILLS: Mapping[str, type[SkillBase]] = {
    **carry.SKILLS,
    **handles.SKILLS,
    **drawers.SKILLS,
    **controls.SKILLS,
    **putting.SKILLS,
    **pushing.SKILLS,
    **pouring.SKILLS,
    **fitting.SKILLS,
    **reach.SKILLS,
    **upright.SKILLS,
}
"""Name -> class. Each module has its own such mapping."""


class Performer:
    """Performs a plan in one episode: its skills in order, and back where one has lost what the one before it achieved.

    A plan that has come to its end without the goal is begun again, without the skills whose purpose is fulfilled.
    """

    def __init__(self, spec: EpisodeSpec, plan: Sequence[Skill]) -> None:
        for skill in plan:
            if skill.name not in SKILLS:
                raise unknown_name("skill", skill.name, SKILLS)
        self._spec = spec
        self._plan = tuple(plan)
        self._at = 0
        self._skill = self._make()

    def step(self, observation: Observation) -> Command:
        """Returns what to do now."""
        view = View.of(observation)
        for _ in range(len(self._plan) + 1):
            command, verdict = self._skill.step(view)
            if verdict == "running":
                break
            if verdict == "done" and self._at + 1 < len(self._plan):
                self._at = self._unfulfilled(view, self._at + 1)
            elif verdict == "lost":
                self._at = max(0, self._at - 1)
            elif verdict == "again":
                self._at = self._unfulfilled(view, 0)
            else:
                break
            self._skill = self._make()
            if verdict != "done":
                break
        return command

    def _unfulfilled(self, view: View, start: int) -> int:
        """Returns the first skill from `start` on whose purpose is not fulfilled; the last one if there is none."""
        fulfilled = {predicate for predicate, met in zip(self._spec.goal, view.goal_met, strict=True) if met}
        return next((i for i in range(start, len(self._plan)) if self._plan[i].purpose not in fulfilled), len(self._plan) - 1)

    def _make(self) -> SkillBase:
        skill = self._plan[self._at]
        return SKILLS[skill.name](self._spec, skill.args)
