"""Steps that a body with two hands does one after another: what must hold in the end, and the plans of their tasks joined."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from vlagym.envs.errors import BadSpec, unknown_name
from vlagym.envs.layouts.hands import by_hand, hands_at, where_of
from vlagym.envs.task import Draft, Goal, Skill, Task
from vlagym.envs.tasks import gesture, hand_over, open_drawer_with, pick_place, point_at, press_with, push_aside, touch_with
from vlagym.envs.types import MOMENTARY, EpisodeSpec, Predicate

Step = tuple[Predicate, ...]

WAYS: Mapping[str, Task] = {
    "gestured": gesture.TASK,
    "handed_over": hand_over.TASK,
    "inside": pick_place.TASK,
    "on": pick_place.TASK,
    "open": open_drawer_with.TASK,
    "pointed_at": point_at.TASK,
    "pressed": press_with.TASK,
    "pushed_aside": push_aside.TASK,
    "touched": touch_with.TASK,
}
"""By the name of a step's first predicate, the task whose plan does it."""
_PASSING = frozenset((*MOMENTARY, "gestured", "pointed_at"))
"""What is over as soon as the next step begins."""
_NAMED_SHARE = 0.4


def can_do(robot: str, *names: str) -> bool:
    """Returns whether a robot can do steps whose predicates have these names."""
    return all(robot in _way(name).robots for name in names)


def in_order(steps: Sequence[Step]) -> Goal:
    """Returns the goal of doing steps in an order.

    What holds in the end is the last step, and of the ones before it what lasts: a thing that has been touched is not touched any more, one that
    has been handed over and then put down is not in a hand.

    Args:
      steps: Each one thing to do, its condition first; a by_hand may stand behind it.

    Raises:
      UnknownName: If there is no way to do one of them.
      BadSpec: If there are fewer than two.
    """
    if len(steps) < 2:
        raise BadSpec(f"an order has at least two steps; this one has {len(steps)}")
    lasting = [p for i, step in enumerate(steps) for p in step if i == len(steps) - 1 or _lasts(p, steps[i + 1 :])]
    needs_s = round(sum(_way(step[0].name).expert_s for step in steps), 3)
    stages = tuple(step[0] for step in steps)
    return Goal(conditions=tuple(lasting), stages=(*stages[:-1], *lasting), steps=tuple(steps), expert_s=needs_s)


def with_hand(draft: Draft, goals: Sequence[Sequence[Predicate]]) -> list[list[Step]]:
    """Returns orders of steps, in each of which, in some episodes, the same step says with which hand it is to be done.

    Args:
      draft: Says by `variety` whether a hand is named.
      goals: Orders of equal length, the one that is asked for first.
    """
    orders: list[list[Step]] = [[(p,) for p in goal] for goal in goals]
    if draft.variety.random() >= _NAMED_SHARE:
        return orders
    at = int(draft.variety.integers(len(orders[0])))
    asked = orders[0][at][0]
    roots = [name.partition("/")[0] for goal in goals for p in goal for name in p.things[:1]]
    root = asked.things[0].partition("/")[0] if asked.things else ""
    sides = set(hands_at(draft.work, where_of(draft, root)[1])) if root else set()
    for name in asked.things[1:]:
        sides &= set(hands_at(draft.work, where_of(draft, name)[1]))
    # A hand that is named for a thing is the only one that touches it: in no other step is there anything to do with it.
    if asked.name in ("gestured", "handed_over", "pointed_at") or not sides or sum(name == root for name in roots[: len(orders[0])]) > 1:
        return orders
    side = sorted(sides)[int(draft.rng.integers(len(sides)))]
    named: list[list[Step]] = []
    for order in orders:
        alike = order[at][0].things[:1] == asked.things[:1]
        named.append([(*step, by_hand(step[0].things[0], side)) if i == at and alike else step for i, step in enumerate(order)])
    return named


def plan_in_order(spec: EpisodeSpec) -> Sequence[Skill]:
    """Returns the plans of the steps of an episode, joined: hands go back after each step, and what is in a hand already is not taken again."""
    skills: list[Skill] = []
    for i, step in enumerate(spec.steps):
        alone = dataclasses.replace(spec, goal=step, stages=step, steps=())
        holds = i > 0 and spec.steps[i - 1][0].name == "handed_over" and spec.steps[i - 1][0].args[0] == step[0].args[0]
        left_out = {"retreat", "keep_hold", *(("pick_with",) if holds else ())}
        skills += [dataclasses.replace(skill, purpose=step[0]) for skill in _way(step[0].name).plan(alone) if skill.name not in left_out]
        if step[0].name != "handed_over":
            skills.append(Skill(name="hands_back", args=(), purpose=step[0]))
    return [*skills, Skill(name="retreat", args=())]


def _lasts(predicate: Predicate, later: Sequence[Step]) -> bool:
    if predicate.name == "handed_over":
        return not any(predicate.args[0] in step[0].args for step in later)
    return predicate.name not in _PASSING


def _way(name: str) -> Task:
    if name not in WAYS:
        raise unknown_name("way to do a step", name, WAYS)
    return WAYS[name]
