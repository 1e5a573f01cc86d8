"""Point at one of several things, near or far, with the hand that the sentence names, or with either."""

from vlagym.envs.layouts.hands import NAMED_SHARE
from vlagym.envs.task import Draft, Goal, Region, Skill, Task
from vlagym.envs.types import EpisodeSpec, Predicate

_ROLES = ("graspable", "graspable", "graspable", "support", "container")
_FARTHER_M = 0.20
"""Beyond what the hands reach: it is enough to see a thing."""


def _goal(thing: str, side: str | None) -> Goal:
    done = Predicate(name="pointed_at", args=(thing,)) if side is None else Predicate(name="pointed_at_with", args=(thing, f"={side}"))
    return Goal(conditions=(done,), stages=(done,))


def _layout(draft: Draft) -> list[Goal]:
    rng, work = draft.rng, draft.work
    region = Region(x_m=(work.x_m[0] + 0.03, work.x_m[1] + _FARTHER_M), y_m=work.y_m)
    count = int(draft.variety.integers(3, 6))
    things: list[str] = []
    for i in range(count):
        role = _ROLES[int(rng.integers(len(_ROLES)))]
        things += draft.choose(1, role=role, first_split=draft.objects if i in (0, count - 1) else "seen", without=things)
    for thing in things:
        draft.put(thing, region)
    if draft.variety.random() >= NAMED_SHARE:
        return [_goal(thing, None) for thing in things]
    sides = ("left", "right") if draft.variety.random() < 0.5 else ("right", "left")
    return [_goal(thing, side) for side in sides for thing in things]


def _plan(spec: EpisodeSpec) -> list[Skill]:
    return [Skill(name="point_at", args=spec.goal[0].args[:1]), Skill(name="retreat", args=())]


TASK = Task(
    summary="point at the object that is meant, with the hand that is meant",
    expert_s=3.0,
    layout=_layout,
    plan=_plan,
    robots=("g1", "cmu_humanoid"),
    bases=("fixed", "planar", "legs"),
    cannot={"panda_bimanual": "a gripper that looks down points at the table; nobody sees what it means"},
)
