"""Carry a box with both hands to one of two mats."""

import math

from vlagym.envs.layouts.bystanders import maybe_bystander
from vlagym.envs.task import Draft, Goal, Skill, Task
from vlagym.envs.types import EpisodeSpec, Predicate

_SLOTS_M = 0.24
"""From mat to mat along the table: a box of 24 cm stands beside them."""
_DEEP_M = (0.08, 0.11)
"""From the near side of the work area to the middle of boxes and mats."""


def _goal(box: str, place: str) -> Goal:
    done = Predicate(name="carried_to", args=(box, place))
    return Goal(conditions=(done,), stages=(Predicate(name="touched", args=(box,)), done))


def _layout(draft: Draft) -> list[Goal]:
    rng = draft.rng
    (box,) = draft.choose(1, role="box")
    mats = draft.choose_fixtures(2, kind="desk_mat")
    slots = [float(k) * _SLOTS_M for k in rng.permutation([-1, 0, 1])]
    start, *ends = slots
    x = draft.work.x_m[0] + float(rng.uniform(*_DEEP_M))
    turn = 0.5 * math.atan2(start, x)
    draft.put_upon(box, x, start, 0.0, math.pi / 2 + turn + float(rng.uniform(-0.1, 0.1)) + (math.pi if rng.random() < 0.5 else 0.0))
    for mat, y in zip(mats, ends, strict=True):
        draft.stand(mat, x + float(rng.uniform(-0.02, 0.02)), y, math.pi / 2 + float(rng.uniform(-0.1, 0.1)), keep_free_m=0.10)
    maybe_bystander(draft)
    return [_goal(box, mat) for mat in mats]


def _plan(spec: EpisodeSpec) -> list[Skill]:
    box, place = spec.goal[0].args
    return [Skill(name="take_both", args=(box,)), Skill(name="put_both", args=(box, place)), Skill(name="retreat", args=())]


TASK = Task(
    summary="carry a box with both hands to the place that is meant",
    expert_s=8.0,
    layout=_layout,
    plan=_plan,
    robots=("g1", "panda_bimanual"),
    bases=("fixed",),
    cannot={"cmu_humanoid": "its thumbs stand off the palms and keep them from lying against a box"},
)
