"""Sort: all things of one sort to one place, or two sorts to two places; the sentence says what goes where."""

from collections.abc import Sequence
from itertools import permutations

from vlagym.envs.layouts.groups import two_categories, two_colours
from vlagym.envs.layouts.milestones import carried
from vlagym.envs.layouts.room import fit_together, put_into
from vlagym.envs.objects import catalog
from vlagym.envs.task import Draft, Goal, Region, Skill, Task, footprint_m
from vlagym.envs.types import EpisodeSpec

_REGION = Region(x_m=(0.36, 0.62), y_m=(-0.24, 0.24))
_SORTS = ("category", "categories", "colours")
"""All of one category to one place; two categories to two places; things of two colours to two places."""
_TALL_M = 0.07
"""Things taller than this fall over in a bowl that holds others: they are sorted onto what is flat."""
_SECONDS_A_THING = 3.1


def _height_m(prop: str) -> float:
    return catalog()[prop.rpartition("_")[0]].size_m[2]


def _goal(*moves: tuple[Sequence[str], str]) -> Goal:
    """Returns the goal of bringing props to places, group by group: what is tall first, or else it stands in the way of the hand."""
    tallest = sorted(moves, key=lambda move: -max(map(_height_m, move[0])))
    conditions = tuple(put_into(thing, destination) for things, destination in tallest for thing in sorted(things, key=lambda t: -_height_m(t)))
    return Goal(conditions=conditions, stages=carried(conditions), expert_s=_SECONDS_A_THING * len(conditions))


def _layout(draft: Draft) -> list[Goal]:
    rng = draft.rng
    sort = _SORTS[int(draft.variety.integers(len(_SORTS)))]
    assets = two_colours(draft) if sort == "colours" else two_categories(draft, 3 if sort == "category" else 2)
    is_tall = any(catalog()[asset].size_m[2] > _TALL_M for group in assets for asset in group)
    places: list[str] = []
    for _ in range(2):
        role = "support" if is_tall or rng.random() < 0.4 else "container"
        places += draft.choose(1, role=role, first_split="seen", without=places, suits=lambda a: footprint_m(a) <= 0.1)
    if not all(fit_together(group, place) for group in assets for place in places):
        return []
    for place in places:
        draft.put(place, _REGION)
    one, other = ([draft.put(asset, _REGION, name=f"{asset}_{k}") for k, asset in enumerate(group)] for group in assets)
    if sort == "category":
        return [_goal((things, place)) for things in (one, other) for place in places]
    goals = [_goal((one, a), (other, b)) for a, b in permutations(places)]
    together = [_goal((one + other, place)) for place in places if fit_together(assets[0] + assets[1], place)]
    return goals + together


def _plan(spec: EpisodeSpec) -> list[Skill]:
    plan: list[Skill] = []
    for move in spec.goal:
        plan += [Skill(name="pick", args=move.args[:1], purpose=move), Skill(name="place", args=move.args, purpose=move)]
    return [*plan, Skill(name="retreat", args=())]


TASK = Task(summary="sort objects to their places", expert_s=12.4, layout=_layout, plan=_plan, robots=("panda", "jaco"))
