"""Go to one of several things that stand around, stop before it and look at it, without bumping into the others or the table."""

from vlagym.envs.layouts.around import distance_m, things_around
from vlagym.envs.task import Crowded, Draft, Goal, Skill, Task
from vlagym.envs.types import EpisodeSpec, Predicate

_AWAY_M = 0.80
"""What is gone to is at least so far away."""


def _goal(thing: str) -> Goal:
    done = Predicate(name="approached", args=(thing,))
    return Goal(conditions=(done,), stages=(Predicate(name="faced", args=(thing,)), done))


def _layout(draft: Draft) -> list[Goal]:
    things = things_around(draft, (-0.35, -0.10), (-0.40, 0.40))
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
