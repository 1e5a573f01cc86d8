"""Pull one of several drawers open, with the hand that the sentence names, or with either; their fronts look at the robot."""

import math
from collections.abc import Sequence

from vlagym.envs.fixtures import fixtures
from vlagym.envs.layouts.hands import goals_by_hand
from vlagym.envs.task import Crowded, Draft, Goal, Region, Skill, Task
from vlagym.envs.types import EpisodeSpec, Predicate

_KINDS = ("cabinet", "chest")
_CLOSED_M = 0.05
"""The handle of a closed drawer is at most so far beyond the middle of the work area."""
_APART_M = (0.125, 0.17)


def _goal(joint: str) -> Goal:
    done = Predicate(name="open", args=(joint,))
    return Goal(conditions=(done,), stages=(Predicate(name="touched", args=(joint.split("/")[0],)), Predicate(name="moved", args=(joint,)), done))


def stand_cabinet(draft: Draft, kind: str, side: float, without: Sequence[str] = ()) -> str:
    """Stands furniture with drawers on the table, its front to the robot; returns its name.

    Args:
      draft: The scene.
      kind: cabinet | chest.
      side: 1.0 to the left, -1.0 to the right, 0.0 in the middle.
      without: Pieces that stand there already.

    Raises:
      Crowded: If there is no room.
    """
    rng, work = draft.rng, draft.work
    (name,) = draft.choose_fixtures(1, kind=kind, suits=lambda f: f.id not in without)
    deep, wide, _ = fixtures()[name].size_m
    reach = max(abs(joint.handle_pos_m[0]) for joint in fixtures()[name].joints if joint.handle is not None)
    x = (work.x_m[0] + work.x_m[1]) / 2 + _CLOSED_M * float(rng.uniform(0.4, 1.0)) + reach
    y = side * float(rng.uniform(*_APART_M)) + float(rng.uniform(-0.02, 0.02))
    draft.stand(name, x, y, math.pi + float(rng.uniform(-0.12, 0.12)), keep_free_m=math.hypot(deep, wide) / 2)
    draft.keep_free(x - reach - 0.06, y, 0.11)
    return name


def topmost(name: str) -> str:
    """Returns "fixture/joint" of the topmost drawer of a piece of furniture."""
    return f"{name}/{max((j for j in fixtures()[name].joints if j.handle is not None), key=lambda j: j.handle_pos_m[2]).name}"


def _layout(draft: Draft) -> list[Goal]:
    rng, work = draft.rng, draft.work
    # A hand with fingers has no room below the handle of another drawer.
    only_top = draft.robot.stance is not None
    alone = draft.variety.random() < 0.3 and not only_top
    kinds = ("chest",) if alone else (_KINDS[int(draft.variety.random() < 0.35)], "cabinet")
    sides = (0.0,) if alone else (1.0, -1.0) if rng.random() < 0.5 else (-1.0, 1.0)
    names: list[str] = []
    for kind, side in zip(kinds, sides, strict=True):
        names.append(stand_cabinet(draft, kind, side, names))
    around = Region(x_m=work.x_m, y_m=work.y_m)
    for thing in draft.choose(int(rng.integers(0, 3)), role="graspable", first_split="seen", kinds=("block", "fruit", "cup")):
        try:
            draft.put(thing, around)
        except Crowded:
            continue  # it is only there to be looked at
    joints: list[str] = []
    for name in names:
        handles = sorted((j for j in fixtures()[name].joints if j.handle is not None), key=lambda j: -j.handle_pos_m[2])
        joints += [f"{name}/{joint.name}" for joint in (handles[:1] if only_top else handles)]
    order = [joints[int(i)] for i in rng.permutation(len(joints))]
    return goals_by_hand(draft, [(joint, _goal(joint)) for joint in order]) if order else []


def _plan(spec: EpisodeSpec) -> list[Skill]:
    return [Skill(name="pull_with", args=spec.goal[0].args), Skill(name="retreat", args=())]


TASK = Task(
    summary="open a drawer, with the hand that is meant",
    expert_s=3.1,
    layout=_layout,
    plan=_plan,
    robots=("g1", "panda_bimanual"),
    bases=("fixed", "planar", "legs"),
    cannot={"cmu_humanoid": "its mitten fingers do not go behind the bar of a handle"},
)
