"""Put an object, or two of a kind, on or into another one: plates, bowls, trays, baskets … The sentence says which object and where."""

from collections import Counter
from itertools import combinations

from vlagym.envs.layouts.milestones import carried
from vlagym.envs.objects import ObjectAsset, catalog
from vlagym.envs.layouts.room import fit_together, put_into
from vlagym.envs.task import Draft, Goal, Region, Skill, Task, footprint_m
from vlagym.envs.types import EpisodeSpec

_REGION = Region(x_m=(0.36, 0.62), y_m=(-0.22, 0.22))
_CORE_KINDS = ("bowl", "plate", "mat")
_PAIR_M = 0.046
"""Two things of at most this radius are asked for together."""
_BOTH_SHARE = 0.25
_BOTH_EXPERT_S = 6.1


def _goal(things: tuple[str, ...], destination: str) -> Goal:
    moves = tuple(put_into(thing, destination) for thing in things)
    return Goal(conditions=moves, stages=carried(moves), expert_s=_BOTH_EXPERT_S if len(moves) > 1 else None)


def _is_low(asset: ObjectAsset) -> bool:
    return asset.size_m[2] <= 0.07 and footprint_m(asset) <= 0.11


def _two_of_a_kind(draft: Draft) -> list[str]:
    """Draws two small things of a kind that the draft's split has at least two of."""
    kinds = Counter(a.kind for a in catalog().values() if a.split == draft.objects and "graspable" in a.roles and footprint_m(a) <= _PAIR_M)
    paired = sorted(kind for kind, count in kinds.items() if count > 1)
    kind = paired[int(draft.rng.integers(len(paired)))]
    return draft.choose(2, role="graspable", kinds=(kind,), suits=lambda a: footprint_m(a) <= _PAIR_M)


def _layout(draft: Draft) -> list[Goal]:
    rng = draft.rng
    core = draft.catalogue == "core"
    both = not core and draft.variety.random() < _BOTH_SHARE
    destinations: list[str] = []
    for _ in range(2):
        role = "container" if rng.random() < 0.4 else "support"
        destinations += draft.choose(1, role=role, kinds=_CORE_KINDS if core else (), without=destinations, suits=_is_low)
    if both:
        things = _two_of_a_kind(draft)
        like = catalog()[things[0]].kind
        things += draft.choose(1, role="graspable", first_split="seen", suits=lambda a: a.kind != like and footprint_m(a) <= _PAIR_M)
    else:
        things = draft.choose(int(rng.integers(2, 4)), role="graspable")
    for name in destinations + things:
        draft.put(name, _REGION)
    groups = list(combinations(things, 2 if both else 1))
    fitting = [(group, d) for group in groups for d in destinations if fit_together(group, d)]
    asked = (groups[0], destinations[0])
    if asked not in fitting:
        return []
    return [_goal(*asked), *(_goal(*pair) for pair in fitting if pair != asked)]


def _plan(spec: EpisodeSpec) -> list[Skill]:
    plan: list[Skill] = []
    for move in spec.goal:
        plan += [Skill(name="pick", args=move.args[:1], purpose=move), Skill(name="place", args=move.args, purpose=move)]
    return [*plan, Skill(name="retreat", args=())]


TASK = Task(summary="put objects on or into other ones", expert_s=4.0, layout=_layout, plan=_plan, robots=("panda", "jaco"))
