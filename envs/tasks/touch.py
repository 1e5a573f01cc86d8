"""Touch an object; the sentence says which of many, and there is nothing to grasp."""

from vlagym.envs.task import Draft, Goal, Region, Skill, Task
from vlagym.envs.types import EpisodeSpec, Predicate

_REGION = Region(x_m=(0.36, 0.62), y_m=(-0.24, 0.24))
_ROLES = ("graspable", "graspable", "graspable", "support", "container")


def _goal(thing: str) -> Goal:
    done = Predicate(name="touched", args=(thing,))
    return Goal(conditions=(done,), stages=(done,))


def _layout(draft: Draft) -> list[Goal]:
    rng = draft.rng
    count = int(draft.variety.integers(4, 7))
    things: list[str] = []
    for i in range(count):
        role = _ROLES[int(rng.integers(len(_ROLES)))]
        things += draft.choose(1, role=role, first_split=draft.objects if i in (0, count - 1) else "seen", without=things)
    return [_goal(draft.put(thing, _REGION)) for thing in things]


def _plan(spec: EpisodeSpec) -> list[Skill]:
    return [Skill(name="touch", args=spec.goal[0].args), Skill(name="retreat", args=())]


TASK = Task(summary="touch the object that is meant", expert_s=3.0, layout=_layout, plan=_plan, robots=("panda", "jaco"), hold_s=0.1)
