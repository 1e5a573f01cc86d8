"""Put one of several things on or into one of two others, with the hand that the sentence names, or with either."""

from vlagym.envs.layouts.bystanders import maybe_bystander
from vlagym.envs.layouts.hands import goals_by_hand, hands_at, where_of
from vlagym.envs.layouts.milestones import carried
from vlagym.envs.layouts.room import fit_together, put_into
from vlagym.envs.objects import ObjectAsset, catalog
from vlagym.envs.task import Draft, Goal, Region, Skill, Task, footprint_m
from vlagym.envs.types import EpisodeSpec

_NARROW_M = (0.045, 0.078)
"""What a hand with three fingers takes well: so wide, across its narrow side."""
_TALL_M = (0.055, 0.24)
FLAT_HANDS = ("cmu_humanoid",)
"""Their long fingers come down on the rim of what things are put into, and roll round things away."""
_ROUND = ("ball", "fruit", "vegetable")


def suits_hand(asset: ObjectAsset) -> bool:
    """Returns whether hands with fingers hold a thing well."""
    x, y, z = asset.size_m
    is_even = not any(any(grasp.offset_xy_m) for grasp in asset.grasps)  # what has an ear or a handle is taken by it, or turns in the hand
    return is_even and _NARROW_M[0] <= min(x, y) <= _NARROW_M[1] and max(x, y) <= 0.10 and _TALL_M[0] <= z <= _TALL_M[1]


def suits_hands_of(draft: Draft, asset: ObjectAsset) -> bool:
    """Returns whether the hands of a robot put a thing where it stays: flat hands, and bodies that sway on their legs, do not stop what rolls."""
    return suits_hand(asset) and (asset.kind not in _ROUND or (draft.robot.name not in FLAT_HANDS and draft.base != "legs"))


_ROOMY_M = 0.05
"""Into what is narrower a thing drops askew, for a hand keeps above the rim."""


def is_low(asset: ObjectAsset) -> bool:
    """Returns whether a hand comes over a place with what it holds."""
    is_roomy = "container" not in asset.roles or (asset.place is not None and asset.place.inner_radius_m >= _ROOMY_M)
    return is_roomy and asset.size_m[2] <= 0.07 and footprint_m(asset) <= 0.11


def _goal(thing: str, place: str) -> Goal:
    moves = (put_into(thing, place),)
    return Goal(conditions=moves, stages=carried(moves))


_SWAY_M = 0.03
"""So much less far reaches a robot whose legs give way beneath it."""


def _layout(draft: Draft) -> list[Goal]:
    rng, (near, far), (right, left) = draft.rng, draft.work.x_m, draft.work.y_m
    inset = _SWAY_M if draft.base == "legs" else 0.0
    region = Region(x_m=(near, far - inset), y_m=(right + inset, left - inset))
    places: list[str] = []
    for _ in range(2):
        role = "container" if rng.random() < 0.3 and draft.robot.name not in FLAT_HANDS else "support"
        places += draft.choose(1, role=role, without=places, first_split="seen", suits=is_low)
    things = draft.choose(int(draft.variety.integers(2, 4)), role="graspable", suits=lambda a: suits_hands_of(draft, a), without=places)
    for name in (*places, *things):
        draft.put(name, region)
    reached = {name: hands_at(draft.work, where_of(draft, name)[1]) for name in (*places, *things)}
    pairs = [
        (thing, place)
        for thing in things
        for place in places
        if fit_together([thing], place) and set(reached[thing]) & set(reached[place]) and catalog()[thing].size_m[2] < 0.2
    ]
    if not pairs or pairs[0] != (things[0], places[0]):
        return []
    goals = goals_by_hand(draft, [(thing, _goal(thing, place)) for thing, place in pairs])
    maybe_bystander(draft)
    return goals


def _plan(spec: EpisodeSpec) -> list[Skill]:
    move = spec.goal[0]
    return [Skill(name="pick_with", args=move.args[:1]), Skill(name="put_with", args=move.args), Skill(name="retreat", args=())]


TASK = Task(
    summary="put an object on or into another one, with the hand that is meant",
    expert_s=3.9,
    layout=_layout,
    plan=_plan,
    robots=("g1", "cmu_humanoid", "panda_bimanual"),
    bases=("fixed", "planar", "legs"),
)
