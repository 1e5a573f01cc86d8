"""The performer of a plan: its skills one after another, and back where one has lost what the one before it achieved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vlagym.envs.errors import unknown_name
from vlagym.envs.task import Skill
from vlagym.envs.types import EpisodeSpec, Observation
from vlagym.policies.skills import carry, handles
from vlagym.policies.skills.view import Command, SkillBase, View

SKILLS: Mapping[str, type[SkillBase]] = {**carry.SKILLS, **handles.SKILLS}
"""Name -> class. Each module has its own such mapping."""


class Performer:
    """Performs a plan in one episode: the skills in order, one step back when a skill has lost what the one before it achieved."""

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
                self._at += 1
            elif verdict == "lost":
                self._at = max(0, self._at - 1)
            else:
                break
            self._skill = self._make()
            if verdict == "lost":
                break
        return command

    def _make(self) -> SkillBase:
        skill = self._plan[self._at]
        return SKILLS[skill.name](self._spec, skill.args)
