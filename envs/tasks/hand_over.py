"""Pass one of several things from hand to hand; the sentence says which, and from which hand to which."""

from vlagym.envs.layouts.bystanders import maybe_bystander
from vlagym.envs.layouts.hands import hands_at, where_of
from vlagym.envs.task import Draft, Goal, Region, Skill, Task
from vlagym.envs.types import EpisodeSpec, Predicate

_ROOM_M = 0.07
"""Around each of these tall things, which fall over when they are pushed."""
SPARE_M = 0.012
"""Of the opening of a hand, beside what it takes."""
_OTHER = {"left": "right", "right": "left"}


def _goal(thing: str, giver: str) -> Goal:
    taker = _OTHER[giver]
    done = Predicate(name="handed_over", args=(thing, f"={giver}", f"={taker}"))
    stages = (Predicate(name="held_with", args=(thing, f"={giver}")), Predicate(name="lifted", args=(thing,)), done)
    return Goal(conditions=(done,), stages=stages)


def _layout(draft: Draft) -> list[Goal]:
    region = Region(x_m=draft.work.x_m, y_m=draft.work.y_m)
    widest_m = min(hand.opening_max_m for hand in draft.robot.end_effectors) - SPARE_M
    things = draft.choose(int(draft.variety.integers(2, 4)), role="passable", suits=lambda a: a.size_m[0] <= widest_m)
    for name in things:
        draft.put(name, region)
        draft.keep_free(*where_of(draft, name), _ROOM_M)
    goals = [(thing, side) for thing in things for side in hands_at(draft.work, where_of(draft, thing)[1])]
    mine = [pair for pair in goals if pair[0] == things[0]]
    if not mine:
        return []
    asked = mine[int(draft.rng.integers(len(mine)))]
    maybe_bystander(draft)
    return [_goal(*asked), *(_goal(*pair) for pair in goals if pair != asked)]


def _plan(spec: EpisodeSpec) -> list[Skill]:
    thing, giver, taker = spec.goal[0].args
    high = "=low" if spec.robot != "panda_bimanual" else "=high"
    return [
        Skill(name="pick_with", args=(thing, giver, high)),
        Skill(name="hand_over", args=(thing, giver, taker)),
        Skill(name="keep_hold", args=(thing,)),
    ]


TASK = Task(
    summary="pass a thing from one hand to the other",
    expert_s=6.8,
    layout=_layout,
    plan=_plan,
    robots=("g1", "panda_bimanual"),
    bases=("fixed", "planar", "legs"),
    cannot={"cmu_humanoid": "its hands are so broad that two of them find no room on what is passed"},
)
