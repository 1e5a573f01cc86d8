"""Lift one of two trays with both hands and hold it level; what stands on it must stay there."""

import math

from vlagym.envs.layouts.bystanders import maybe_bystander
from vlagym.envs.objects import ObjectAsset, get
from vlagym.envs.task import Draft, Goal, Skill, Task, footprint_m
from vlagym.envs.types import EpisodeSpec, Predicate

_EDGE_M = 0.115
"""The middle of a tray is at least so far behind the edge of the table."""
_BEHIND_M = (0.245, 0.265)
"""From tray to tray: one stands behind the other."""
_ASIDE_M, _TURN_RAD = 0.05, 0.08
_LOADED_M = (0.0, 0.052)
"""From the middle of a tray to a single load, and to each of two."""
_EMPTY = 0.2


def _is_load(asset: ObjectAsset) -> bool:
    """Returns whether a thing stands firmly on a tray, and hands get past it."""
    x, y, z = asset.size_m
    return footprint_m(asset) <= 0.05 and z <= 0.13 and z <= 2.2 * min(x, y) and asset.kind not in ("ball", "fruit", "vegetable")


def _load(draft: Draft, tray: str, loads: list[str], x: float, y: float, yaw: float) -> None:
    place = get(tray).place
    assert place is not None
    for k, name in enumerate(loads):
        angle = yaw + math.pi / 2 * (1.0 - 2.0 * k) + float(draft.rng.uniform(-0.5, 0.5))
        far = _LOADED_M[len(loads) - 1]
        px, py = (v + far * f for v, f in ((x, math.cos(angle)), (y, math.sin(angle))))
        draft.put_upon(name, px, py, place.surface_height_m, float(draft.rng.uniform(-math.pi, math.pi)))


def _goal(tray: str, loads: list[str]) -> Goal:
    raised = Predicate(name="raised_level", args=(tray,))
    conditions = (raised, *(Predicate(name="on", args=(load, tray)) for load in loads))
    return Goal(conditions=conditions, stages=(Predicate(name="touched", args=(tray,)), *conditions))


def _layout(draft: Draft) -> list[Goal]:
    rng, stance = draft.rng, draft.robot.stance
    counts = [int(draft.variety.random() >= _EMPTY) + int(draft.variety.random() < 0.3) for _ in range(2)]
    trays = draft.choose(2, role="tray")
    things = draft.choose(sum(counts), role="graspable", first_split="seen", suits=_is_load) if sum(counts) else []
    near = max(stance.table_edge_x_m + _EDGE_M if stance else 0.0, draft.work.x_m[0] + 0.03) + float(rng.uniform(0.0, 0.02))
    far = near + float(rng.uniform(*_BEHIND_M))
    asked_is_near = rng.random() < 0.5
    goals: list[Goal] = []
    for tray, count, x in zip(trays, counts, (near, far) if asked_is_near else (far, near), strict=True):
        y, turn = float(rng.uniform(-_ASIDE_M, _ASIDE_M)), float(rng.uniform(-_TURN_RAD, _TURN_RAD))
        yaw = math.pi / 2 + turn + (math.pi if rng.random() < 0.5 else 0.0)
        draft.put_upon(tray, x, y, 0.0, yaw)
        loads = [things.pop() for _ in range(count)]
        _load(draft, tray, loads, x, y, yaw)
        goals.append(_goal(tray, loads))
    maybe_bystander(draft)
    return goals


def _plan(spec: EpisodeSpec) -> list[Skill]:
    tray = spec.goal[0].args
    return [Skill(name="take_both", args=tray), Skill(name="keep_both", args=tray)]


TASK = Task(
    summary="lift a tray with both hands, level, with what is on it",
    expert_s=3.4,
    layout=_layout,
    plan=_plan,
    robots=("g1", "cmu_humanoid", "panda_bimanual"),
    bases=("fixed", "planar"),
)
