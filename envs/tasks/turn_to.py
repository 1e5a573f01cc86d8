"""Turn to one of several things that stand around: furniture on the floor, something on the table. The robot begins looking somewhere else."""

import math

from vlagym.envs.layouts.around import things_around
from vlagym.envs.layouts.hands import where_of
from vlagym.envs.task import Crowded, Draft, Goal, Skill, Task
from vlagym.envs.types import EpisodeSpec, Predicate

_APART_RAD = math.radians(24)
"""Between the directions of two things: who faces the one does not face the other."""


def _goal(thing: str) -> Goal:
    done = Predicate(name="faced", args=(thing,))
    return Goal(conditions=(done,), stages=(done,))


def _layout(draft: Draft) -> list[Goal]:
    things = things_around(draft, (-0.25, -0.10), (-0.12, 0.12))
    x, y, _ = draft.robot_start
    ways = [math.atan2(there[1] - y, there[0] - x) for there in (where_of(draft, thing) for thing in things)]
    if any(abs(math.remainder(a - b, 2 * math.pi)) < _APART_RAD for i, a in enumerate(ways) for b in ways[:i]):
        raise Crowded("two things lie in nearly the same direction")
    return [_goal(thing) for thing in things]


def _plan(spec: EpisodeSpec) -> list[Skill]:
    return [Skill(name="turn_to", args=spec.goal[0].args)]


TASK = Task(
    summary="turn to the thing that is meant",
    expert_s=5.0,
    layout=_layout,
    plan=_plan,
    robots=("g1", "cmu_humanoid"),
    bases=("planar",),
    roams=("planar",),
    cannot={"panda_bimanual": "it is fixed to the table"},
)
