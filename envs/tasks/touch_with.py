"""Touch one of several things, with the hand that the sentence names, or with either."""

from vlagym.envs.layouts.bystanders import maybe_bystander
from vlagym.envs.layouts.hands import goals_by_hand
from vlagym.envs.task import Draft, Goal, Region, Skill, Task
from vlagym.envs.types import EpisodeSpec, Predicate

_ROLES = ("graspable", "graspable", "graspable", "support", "container")


def _goal(thing: str) -> Goal:
    done = Predicate(name="touched", args=(thing,))
    return Goal(conditions=(done,), stages=(done,))


def _layout(draft: Draft) -> list[Goal]:
    rng, region = draft.rng, Region(x_m=draft.work.x_m, y_m=draft.work.y_m)
    count = int(draft.variety.integers(3, 6))
    things: list[str] = []
    for i in range(count):
        role = _ROLES[int(rng.integers(len(_ROLES)))]
        things += draft.choose(1, role=role, first_split=draft.objects if i in (0, count - 1) else "seen", without=things)
    goals = goals_by_hand(draft, [(draft.put(thing, region), _goal(thing)) for thing in things])
    maybe_bystander(draft)
    return goals


def _plan(spec: EpisodeSpec) -> list[Skill]:
    return [Skill(name="touch_with", args=spec.goal[0].args), Skill(name="retreat", args=())]


TASK = Task(
    summary="touch the object that is meant, with the hand that is meant",
    expert_s=3.0,
    layout=_layout,
    plan=_plan,
    robots=("g1", "cmu_humanoid", "panda_bimanual"),
    bases=("fixed", "planar", "legs"),
    hold_s=0.1,
)
