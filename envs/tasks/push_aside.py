"""Push one of several things aside, to the left or to the right; the sentence says which thing and which way."""

from vlagym.envs.layouts.bystanders import maybe_bystander
from vlagym.envs.layouts.lanes import ASIDE_M, Disc, behind, distance_m
from vlagym.envs.objects import ObjectAsset, get
from vlagym.envs.predicates.carrying import ASIDE_M as FAR_M
from vlagym.envs.task import Crowded, Draft, Goal, Region, Skill, Task, footprint_m
from vlagym.envs.types import EpisodeSpec, Predicate

_KINDS = ("block", "book", "box", "cup", "mug", "sponge", "tape")
_SIDES = {"left": 1.0, "right": -1.0}
_HAND_M = 0.11
"""Behind a thing, for the hand that comes down there."""
_HEIGHT_M = 0.02
"""Lower things would be passed over by hands that keep off the table."""
_BEYOND_M = 0.06
"""A thing may come to lie so much farther than it must."""


def _slides(asset: ObjectAsset) -> bool:
    """Returns whether a thing slides over the table when it is pushed at half its height, and does not topple."""
    return asset.size_m[2] <= 1.2 * min(asset.size_m[:2]) and min(asset.size_m[:2]) >= 0.045 and asset.size_m[2] >= _HEIGHT_M


def _goal(thing: str, side: str) -> Goal:
    done = Predicate(name="pushed_aside", args=(thing, f"={side}"))
    return Goal(conditions=(done,), stages=(Predicate(name="touched", args=(thing,)), done))


def _ways(draft: Draft, thing: Disc, others: list[Disc]) -> list[str]:
    """Returns the sides to which a hand reaches to push a thing, with nothing in the way."""
    free: list[str] = []
    for side, sign in _SIDES.items():
        start, end = (thing.x, thing.y), (thing.x, thing.y + sign * (FAR_M + _BEYOND_M))
        first = behind(start, end, thing.radius_m + _HAND_M)
        low, high = sorted((behind(start, end, thing.radius_m)[1], end[1] - sign * _BEYOND_M))
        reached = any(reach[0] <= low and high <= reach[1] for reach in (draft.work.left_y_m, draft.work.right_y_m))
        if reached and all(distance_m(other[:2], first, end) > thing.radius_m + other.radius_m + 2 * ASIDE_M for other in others):
            free.append(side)
    return free


def _layout(draft: Draft) -> list[Goal]:
    rng, work = draft.rng, draft.work
    region = Region(x_m=work.x_m, y_m=work.y_m)
    things = draft.choose(int(draft.variety.integers(2, 4)), role="graspable", kinds=_KINDS, suits=_slides)
    for thing in things:
        draft.put(thing, region)
    for name in draft.choose(int(rng.integers(0, 2)), role="graspable", first_split="seen", without=things, suits=lambda a: a.size_m[2] < 0.12):
        draft.put(name, region)
    discs = {p.name: Disc(p.pos_world[0], p.pos_world[1], footprint_m(get(p.asset))) for p in draft.props}
    ways = {thing: _ways(draft, discs[thing], [disc for name, disc in discs.items() if name != thing]) for thing in things}
    for thing in (things[0], things[-1]):  # with unseen objects these are the new ones: what is asked for is not the only goal with something new
        if not ways[thing]:
            raise Crowded(f"no hand pushes {thing} aside where it stands")
    goals = [_goal(thing, side) for thing in things for side in ways[thing]]
    asked = int(rng.integers(len(ways[things[0]])))
    maybe_bystander(draft)
    return [goals[asked], *goals[:asked], *goals[asked + 1 :]]


def _plan(spec: EpisodeSpec) -> list[Skill]:
    return [Skill(name="push_aside", args=spec.goal[0].args), Skill(name="retreat", args=())]


TASK = Task(
    summary="push something aside, to the left or to the right",
    expert_s=5.0,
    layout=_layout,
    plan=_plan,
    robots=("g1", "cmu_humanoid", "panda_bimanual"),
    bases=("fixed", "legs"),
)
