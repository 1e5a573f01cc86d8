"""The performer of a plan: its skills one after another, and back where one has lost what the one before it achieved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vlagym.envs.errors import unknown_name
from vlagym.envs.task import Skill
from vlagym.envs.types import EpisodeSpec, Observation
from vlagym.policies.skills import carry, controls, drawers, fitting, handles, pouring, pushing, putting, reach, upright
from vlagym.policies.skills.progress import Progress
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
    """Performs a plan in one episode, by the rules of `Progress`."""

    def __init__(self, spec: EpisodeSpec, plan: Sequence[Skill], above_m: float = SkillBase.above_m) -> None:
        """Begins with the first skill.

        Args:
          spec: The episode.
          plan: Skills, in their order.
          above_m: At least so far above where it goes is carried what is put down.

        Raises:
          UnknownName: If there is no such skill.
        """
        for skill in plan:
            if skill.name not in SKILLS:
                raise unknown_name("skill", skill.name, SKILLS)
        self._spec, self._progress, self._above_m = spec, Progress(spec, plan), above_m
        self._skill = self._make()

    @property
    def stage(self) -> str:
        """What is being done: the skill's own word for it, or its name."""
        return self._skill.stage or self._progress.skill.name

    def step(self, observation: Observation) -> Command:
        """Returns what to do now."""
        view = View.of(observation)
        for _ in range(self._progress.most):
            command, verdict = self._skill.step(view)
            if not self._progress.moves(verdict, view.goal_met):
                break
            self._skill = self._make()
            if verdict != "done":
                break
        return command

    def _make(self) -> SkillBase:
        wanted = self._progress.skill
        skill = SKILLS[wanted.name](self._spec, wanted.args)
        skill.above_m = self._above_m
        return skill
