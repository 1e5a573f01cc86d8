"""Carry a box with both hands: to one of two mats, or, on a base that glides, to one of two other tables."""

import math

from vlagym.envs.fixtures import get_fixture
from vlagym.envs.layouts.bystanders import maybe_bystander
from vlagym.envs.task import Draft, Goal, Skill, Task
from vlagym.envs.types import EpisodeSpec, Predicate

_SLOTS_M = 0.24
"""From mat to mat along the table: a box of 24 cm stands beside them."""
_BESIDE_X_M, _BESIDE_Y_M = (-0.20, -0.10), (0.74, 0.84)
"""Where other tables stand, to the left and to the right of the robot."""
_GOING_S = 8.5
"""What the expert needs to another table."""
_DEEP_M = (0.08, 0.11)
"""From the near side of the work area to the middle of boxes and mats."""


def _goal(box: str, place: str, expert_s: float | None = None) -> Goal:
    done = Predicate(name="carried_to", args=(box, place))
    return Goal(conditions=(done,), stages=(Predicate(name="touched", args=(box,)), done), expert_s=expert_s)


def _put_box(draft: Draft, box: str, x: float, y: float) -> None:
    """Puts a box on the table, its long side across the robot's view, turned a little to the robot."""
    yaw = math.pi / 2 + 0.5 * math.atan2(y, x) + float(draft.rng.uniform(-0.1, 0.1))
    draft.put_upon(box, x, y, 0.0, yaw + (math.pi if draft.rng.random() < 0.5 else 0.0))


def _to_mats(draft: Draft) -> list[Goal]:
    rng = draft.rng
    (box,) = draft.choose(1, role="box")
    mats = draft.choose_fixtures(2, kind="desk_mat")
    slots = [float(k) * _SLOTS_M for k in rng.permutation([-1, 0, 1])]
    start, *ends = slots
    x = draft.work.x_m[0] + float(rng.uniform(*_DEEP_M))
    _put_box(draft, box, x, start)
    for mat, y in zip(mats, ends, strict=True):
        draft.stand(mat, x + float(rng.uniform(-0.02, 0.02)), y, math.pi / 2 + float(rng.uniform(-0.1, 0.1)), keep_free_m=0.10)
    maybe_bystander(draft)
    return [_goal(box, mat) for mat in mats]


def _to_tables(draft: Draft) -> list[Goal]:
    rng = draft.rng
    (box,) = draft.choose(1, role="box")
    tables = draft.choose_fixtures(2, kind="side_table")
    _put_box(draft, box, draft.work.x_m[0] + float(rng.uniform(*_DEEP_M)), float(rng.uniform(-0.08, 0.08)))
    first = 1.0 if rng.random() < 0.5 else -1.0
    for table, side in zip(tables, (first, -first), strict=True):
        top = get_fixture(table).top
        assert top is not None
        x, y = float(rng.uniform(*_BESIDE_X_M)), side * float(rng.uniform(*_BESIDE_Y_M))
        yaw = -side * math.pi / 2 + float(rng.uniform(-0.12, 0.12))
        draft.stand(table, x, y, yaw, keep_free_m=0.2, height_m=-top.height_m)
    return [_goal(box, table, _GOING_S) for table in tables]


def _layout(draft: Draft) -> list[Goal]:
    return _to_tables(draft) if draft.base == "planar" else _to_mats(draft)


def _plan(spec: EpisodeSpec) -> list[Skill]:
    box, place = spec.goal[0].args
    go = [Skill(name="bring_before", args=(box, place))] if spec.robot_base == "planar" else []
    return [Skill(name="take_both", args=(box,)), *go, Skill(name="put_both", args=(box, place)), Skill(name="retreat", args=())]


TASK = Task(
    summary="carry a box with both hands to the place that is meant",
    expert_s=6.6,
    layout=_layout,
    plan=_plan,
    robots=("g1", "panda_bimanual"),
    bases=("fixed", "planar"),
    roams=("planar",),
    cannot={"cmu_humanoid": "its thumbs stand off the palms and keep them from lying against a box"},
)
