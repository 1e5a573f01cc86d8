"""Hold a pan by its handle with one hand while the other puts one of several things into it; the sentence says which, and which hand does what."""

import math

from vlagym.envs.layouts.hands import hands_at, where_of
from vlagym.envs.layouts.room import fit_together
from vlagym.envs.objects import ObjectAsset
from vlagym.envs.task import Draft, Goal, Region, Skill, Task
from vlagym.envs.types import EpisodeSpec, Predicate

_NARROW_M = (0.042, 0.070)
_TALL_M = (0.040, 0.10)
_OTHER = {"left": "right", "right": "left"}


def _suits_hand(asset: ObjectAsset) -> bool:
    x, y, z = asset.size_m
    return _NARROW_M[0] <= min(x, y) and max(x, y) <= _NARROW_M[1] and _TALL_M[0] <= z <= _TALL_M[1] and fit_together([asset.id], "pan_black")


def _goal(thing: str, pan: str, holder: str) -> Goal:
    held = Predicate(name="held_with", args=(pan, f"={holder}"))
    inside = Predicate(name="inside", args=(thing, pan))
    hand = Predicate(name="by_hand", args=(thing, f"={_OTHER[holder]}"))
    stages = (held, Predicate(name="held_with", args=(thing, f"={_OTHER[holder]}")), Predicate(name="over", args=(thing, pan)))
    return Goal(conditions=(inside, held, hand), stages=(*stages, inside, held, hand))


def _layout(draft: Draft) -> list[Goal]:
    rng, work = draft.rng, draft.work
    holder = "left" if rng.random() < 0.5 else "right"
    sign = 1.0 if holder == "left" else -1.0
    (pan,) = draft.choose(1, role="container", kinds=("pan",))
    low, high = work.x_m
    x, y = float(rng.uniform(low + 0.45 * (high - low), low + 0.8 * (high - low))), sign * float(rng.uniform(0.0, 0.06))
    turn = sign * math.radians(float(rng.uniform(95.0, 140.0)))
    draft.put_at(pan, x, y, turn)
    draft.keep_free(x + 0.17 * math.cos(turn), y + 0.17 * math.sin(turn), 0.10)  # the hand that holds it
    things = draft.choose(int(draft.variety.integers(2, 4)), role="graspable", suits=_suits_hand, without=(pan,))
    side = Region(x_m=work.x_m, y_m=work.left_y_m if holder == "right" else work.right_y_m)
    for thing in things:
        draft.put(thing, side)
    if not all(_OTHER[holder] in hands_at(work, where_of(draft, thing)[1]) for thing in things):
        return []
    return [_goal(thing, pan, holder) for thing in things]


def _plan(spec: EpisodeSpec) -> list[Skill]:
    inside, held, hand = spec.goal
    return [
        Skill(name="hold_with", args=held.args),
        Skill(name="pick_with", args=(inside.args[0], hand.args[1]), purpose=inside),
        Skill(name="put_with", args=inside.args, purpose=inside),
        Skill(name="retreat", args=(hand.args[1][1:],)),
    ]


TASK = Task(
    summary="hold a pan with one hand while the other puts something into it",
    expert_s=5.2,
    layout=_layout,
    plan=_plan,
    robots=("g1", "panda_bimanual"),
    bases=("fixed", "planar", "legs"),
    cannot={"cmu_humanoid": "its mitten hands do not hold a pan by its handle"},
)
