"""Go to one of several things that stand around, stop before it and look at it, without bumping into the others or the table."""

import math

from vlagym.envs.layouts.around import distance_m, most_around, put_before, stand_around, start_anywhere
from vlagym.envs.task import Crowded, Draft, Goal, Skill, Task
from vlagym.envs.types import EpisodeSpec, Predicate

_AWAY_M = 0.80
"""What is gone to is at least so far away."""


def _goal(thing: str) -> Goal:
    done = Predicate(name="approached", args=(thing,))
    return Goal(conditions=(done,), stages=(Predicate(name="faced", args=(thing,)), done))


def _layout(draft: Draft) -> list[Goal]:
    start_anywhere(draft, (-0.35, -0.10), (-0.40, 0.40), math.radians(140))
    around = stand_around(draft, min(most_around(draft), int(draft.variety.integers(2, 5))))
    before = put_before(draft, int(draft.variety.integers(1, 3)))
    things = [*before, *around] if draft.variety.random() < 0.25 else [*around, *before]
    if distance_m(draft, things[0]) < _AWAY_M:
        raise Crowded(f"the robot begins next to {things[0]}")
    return [_goal(thing) for thing in things]


def _plan(spec: EpisodeSpec) -> list[Skill]:
    return [Skill(name="go_to", args=spec.goal[0].args)]


TASK = Task(
    summary="go to the thing that is meant and stop before it",
    expert_s=8.0,
    layout=_layout,
    plan=_plan,
    robots=("g1", "cmu_humanoid"),
    bases=("planar",),
    roams=("planar",),
    cannot={"panda_bimanual": "it is fixed to the table"},
)
