"""Goals whose steps have an order: what must hold in the end, and the plan that does one step after another as its own task does it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from vlagym.envs.errors import unknown_name
from vlagym.envs.task import Goal, Skill, Task
from vlagym.envs.tasks import close_drawer, flip_switch, open_drawer, place_on, press_button
from vlagym.envs.types import EpisodeSpec, Predicate


def _open_wide(spec: EpisodeSpec) -> list[Skill]:
    return [Skill(name=name, args=spec.goal[0].args) for name in ("hook", "pull_out", "unhook")]


def _put_into_drawer(spec: EpisodeSpec) -> list[Skill]:
    return [Skill(name="pick", args=spec.goal[0].args[:1]), Skill(name="place_in", args=spec.goal[0].args)]


WAYS: Mapping[str, Task] = {
    "open": dataclasses.replace(open_drawer.TASK, plan=_open_wide),
    "closed": close_drawer.TASK,
    "in_drawer": Task(summary="put an object into an open drawer", expert_s=4.5, layout=lambda draft: [], plan=_put_into_drawer),
    "on": place_on.TASK,
    "inside": place_on.TASK,
    "pressed": press_button.TASK,
    "set_to": flip_switch.TASK,
}
"""By the name of a step's predicate, the task whose plan does it. A drawer is opened wide: something may be put into it."""


def ordered(*steps: Predicate) -> Goal:
    """Returns the goal of doing steps in an order.

    What holds in the end is every step that no later one undoes: a button that was pressed has come up again, unless it was the last step,
    and a drawer that is closed later is not open.

    Args:
      *steps: In order.

    Raises:
      UnknownName: If there is no way to do one of them.
    """
    undone = {p.args for p in steps if p.name == "closed"}
    until_closed = {p for p in steps if p.name == "open" and p.args in undone}
    lasting = tuple(p for i, p in enumerate(steps) if p not in until_closed and (p.name != "pressed" or i == len(steps) - 1))
    needs_s = round(sum(_way(p).expert_s for p in steps), 3)
    ends_with_goal = steps[len(steps) - len(lasting) :] == lasting
    stages = steps if ends_with_goal else (*steps, *lasting)
    return Goal(conditions=lasting, stages=stages, steps=tuple((p,) for p in steps), expert_s=needs_s)


def plan_in_order(spec: EpisodeSpec) -> Sequence[Skill]:
    """Returns the plans of the steps of an episode, joined; the hand retreats once, after the last."""
    skills: list[Skill] = []
    for step in spec.steps:
        alone = dataclasses.replace(spec, goal=step, stages=step, steps=())
        skills += [skill for skill in _way(step[0]).plan(alone) if skill.name != "retreat"]
    return [*skills, Skill(name="retreat", args=())]


def _way(step: Predicate) -> Task:
    if step.name not in WAYS:
        raise unknown_name("way to do a step", step.name, WAYS)
    return WAYS[step.name]
