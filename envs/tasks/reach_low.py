"""Squat, or bend down, and take one of several things from a low shelf without falling."""

import math

from vlagym.envs.fixtures import get_fixture
from vlagym.envs.layouts.hands import goals_by_hand
from vlagym.envs.layouts.milestones import grasped
from vlagym.envs.objects import ObjectAsset
from vlagym.envs.task import Draft, Goal, Skill, Task, footprint_m
from vlagym.envs.types import EpisodeSpec, Predicate

_BACK_M = 0.32
"""The robot begins so far behind where it stands at the table, turned away from it."""
_TO_SHELF_M = (0.30, 0.33)
"""From the middle of the robot to the front of the shelf."""
_FROM_FRONT_M = (0.07, 0.13)
"""How far behind the front of its board things stand."""
_ASIDE_M = 0.135
"""From thing to thing along the board."""


def _suits_hand(asset: ObjectAsset) -> bool:
    x, y, z = asset.size_m
    return 0.045 <= min(x, y) <= 0.078 and footprint_m(asset) <= 0.055 and 0.055 <= z <= 0.20 and z <= 3.0 * min(x, y)


def _goal(thing: str) -> Goal:
    done = Predicate(name="lifted", args=(thing,))
    return Goal(conditions=(done,), stages=grasped(thing))


def _layout(draft: Draft) -> list[Goal]:
    rng = draft.rng
    count = int(draft.variety.integers(2, 5))
    (shelf,) = draft.choose_fixtures(1, kind="low_shelf")
    things = draft.choose(count, role="graspable", suits=_suits_hand)
    asset = get_fixture(shelf)
    assert asset.top is not None
    yaw = (math.pi / 2 if rng.random() < 0.5 else -math.pi / 2) + float(rng.uniform(-0.15, 0.15))
    x, y, yaw = (round(v, 4) for v in (-_BACK_M, -0.15 * math.copysign(1.0, yaw), yaw))
    draft.robot_start = (x, y, yaw)
    ahead, left = (math.cos(yaw), math.sin(yaw)), (-math.sin(yaw), math.cos(yaw))
    front = float(rng.uniform(*_TO_SHELF_M))
    middle = front + asset.size_m[0] / 2
    draft.stand(shelf, x + middle * ahead[0], y + middle * ahead[1], yaw + math.pi, keep_free_m=0.0, height_m=draft.floor_m)
    first = -_ASIDE_M * (count - 1) / 2 + float(rng.uniform(-0.04, 0.04))
    for k, place in enumerate(rng.permutation(count)):
        deep, aside = front + float(rng.uniform(*_FROM_FRONT_M)), first + _ASIDE_M * float(place) + float(rng.uniform(-0.012, 0.012))
        px, py = x + deep * ahead[0] + aside * left[0], y + deep * ahead[1] + aside * left[1]
        turn = float(rng.uniform(-math.pi, math.pi))
        draft.put_upon(things[k], px, py, draft.floor_m + asset.top.height_m, turn)
    return goals_by_hand(draft, [(thing, _goal(thing)) for thing in things])


def _plan(spec: EpisodeSpec) -> list[Skill]:
    thing = spec.goal[0].args[:1]
    return [Skill(name=name, args=thing) for name in ("stoop", "pick_low", "rise", "keep_hold")]


TASK = Task(
    summary="squat or bend down and take something from a low shelf",
    expert_s=3.2,
    layout=_layout,
    plan=_plan,
    robots=("g1",),
    bases=("legs",),
    roams=("legs",),
    cannot={
        "cmu_humanoid": "it sits, or glides, and does not stand on its legs",
        "panda_bimanual": "it is fixed to the table",
    },
)
