"""Put an object to the left of, in front of, next to … another one, or between two; the sentence says where."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from vlagym.envs.layouts.milestones import carried
from vlagym.envs.objects import ObjectAsset, catalog
from vlagym.envs.predicates.relations import TABLE_FRAME, VIEWER_FRAME, Disc, margin_m
from vlagym.envs.layouts.spots import CLEAR_M, distance_from, free_spots
from vlagym.envs.task import Draft, Goal, Region, Skill, Task, footprint_m
from vlagym.envs.types import EpisodeSpec, Predicate

_REGION = Region(x_m=(0.37, 0.61), y_m=(-0.21, 0.21))
_SHARES = {"table": 0.45, "viewer": 0.25, "next_to": 0.15, "between": 0.15}
"""How often which kind of relation is asked for."""
_ROOM_M = 0.03
"""At least one place of a region must be this far from everything, for the fingers."""
_NEAR_M = 0.02
"""A relation that is this close to holding at the start is not asked for, and is no alternative."""


def _is_small(asset: ObjectAsset) -> bool:
    return footprint_m(asset) <= 0.05


def _is_landmark(asset: ObjectAsset) -> bool:
    return footprint_m(asset) <= 0.09 and max(asset.size_m[:2]) <= 2.2 * min(asset.size_m[:2])


def _goal(relation: str, *args: str) -> Goal:
    done = Predicate(name=relation, args=args)
    return Goal(conditions=(done,), stages=carried((done,)))


def _discs(draft: Draft) -> dict[str, Disc]:
    return {p.name: Disc(p.pos_world[0], p.pos_world[1], footprint_m(catalog()[p.asset])) for p in draft.props}


def _is_feasible(discs: dict[str, Disc], relation: str, thing: str, landmarks: Sequence[str]) -> bool:
    """Returns whether a relation does not nearly hold already, and there is room to bring it about."""
    x, y, radius = discs[thing]
    marks = [discs[name] for name in landmarks]
    if float(margin_m(relation, np.array(x), np.array(y), radius, marks)) > -_NEAR_M:
        return False
    around = distance_from([disc for name, disc in discs.items() if name != thing])
    return any(spot.gap_m >= _ROOM_M and spot.margin_m >= CLEAR_M + 0.003 for spot in free_spots(relation, radius, marks, around))


def _layout(draft: Draft) -> list[Goal]:
    rng = draft.rng
    kind = list(_SHARES)[int(draft.variety.choice(len(_SHARES), p=list(_SHARES.values())))]
    thing = draft.choose(1, role="graspable", suits=_is_small)[0]
    landmarks = draft.choose(3 if kind in ("next_to", "between") else 2, role="graspable", without=(thing,), suits=_is_landmark)
    if rng.random() < 0.5:
        role = "support" if rng.random() < 0.5 else "container"
        landmarks[-1] = draft.choose(1, role=role, first_split="seen", suits=_is_landmark)[0]
    for name in (*landmarks, thing):
        draft.put(name, _REGION)
    discs = _discs(draft)
    if kind == "between":
        wanted: list[tuple[str, ...]] = [("between", thing, *pair) for pair in combinations(landmarks, 2)]
    elif kind == "next_to":
        wanted = [("next_to", thing, mark) for mark in landmarks]
    else:
        wanted = [(way, thing, mark) for mark in landmarks for way in (TABLE_FRAME if kind == "table" else VIEWER_FRAME)]
    feasible = [_goal(*words) for words in wanted if _is_feasible(discs, words[0], words[1], words[2:])]
    return [feasible[i] for i in rng.permutation(len(feasible)).tolist()]


def _plan(spec: EpisodeSpec) -> list[Skill]:
    (goal,) = spec.goal
    put = Skill(name="put_beside", args=(f"={goal.name}", *goal.args))
    return [Skill(name="pick", args=goal.args[:1]), put, Skill(name="retreat", args=())]


TASK = Task(summary="put an object beside, before or between others", expert_s=3.6, layout=_layout, plan=_plan, robots=("panda", "jaco"))
