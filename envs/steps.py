"""Goals whose steps have an order: what must hold in the end, and the plan that does one step after another as its own task does it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from vlagym.envs.errors import unknown_name
from vlagym.envs.task import Goal, Skill, Task
from vlagym.envs.types import EpisodeSpec, Predicate


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ways:
    """How steps are done: by the plans of tasks, by the name of the step's predicate."""

    tasks: Mapping[str, Task]

    def goal(self, *steps: Predicate) -> Goal:
        """Returns the goal of doing steps in an order.

        What holds in the end is every step that no later one undoes: a button that was pressed has come up again, unless it was the last
        step, and a drawer that is closed later is not open.

        Args:
          *steps: In order.

        Raises:
          UnknownName: If there is no way to do one of them.
        """
        undone = {p.args for p in steps if p.name == "closed"}
        lasting = tuple(
            p for i, p in enumerate(steps) if not (p.name == "open" and p.args in undone) and not (p.name == "pressed" and i < len(steps) - 1)
        )
        return Goal(
            conditions=lasting,
            stages=(*steps, *lasting),
            steps=tuple((p,) for p in steps),
            expert_s=round(sum(self._task(p).expert_s for p in steps), 3),
        )

    def plan(self, spec: EpisodeSpec) -> Sequence[Skill]:
        """Returns the plans of the steps of an episode, joined; the hand retreats once, after the last."""
        skills: list[Skill] = []
        for step in spec.steps:
            alone = dataclasses.replace(spec, goal=step, stages=step, steps=())
            skills += [skill for skill in self._task(step[0]).plan(alone) if skill.name != "retreat"]
        return [*skills, Skill(name="retreat", args=())]

    def _task(self, step: Predicate) -> Task:
        if step.name not in self.tasks:
            raise unknown_name("way to do a step", step.name, self.tasks)
        return self.tasks[step.name]
