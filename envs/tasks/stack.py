"""Stack one block on another, or three into a tower; the sentence says which on which."""

from itertools import permutations

from vlagym.envs.layouts.milestones import carried
from vlagym.envs.task import Draft, Goal, Region, Skill, Task
from vlagym.envs.types import EpisodeSpec, Predicate

_REGION = Region(x_m=(0.37, 0.63), y_m=(-0.22, 0.22))
_TOWER_SHARE = 0.35
_TOWER_EXPERT_S = 6.4


def _goal(*blocks: str) -> Goal:
    """Returns the goal of a stack, its blocks named from the top to the bottom. It is built from the bottom up."""
    moves = tuple(Predicate(name="stacked", args=pair) for pair in zip(blocks, blocks[1:], strict=False))[::-1]
    return Goal(conditions=moves, stages=carried(moves), expert_s=_TOWER_EXPERT_S if len(moves) > 1 else None)


def _layout(draft: Draft) -> list[Goal]:
    blocks = draft.choose(3, role="stackable", kinds=("block",))
    others = draft.choose(int(draft.rng.integers(0, 2)), role="graspable", first_split="seen", kinds=("can", "fruit"))
    for name in blocks + others:
        draft.put(name, _REGION)
    count = 3 if draft.catalogue != "core" and draft.variety.random() < _TOWER_SHARE else 2
    asked = tuple(blocks[:count])
    return [_goal(*asked), *(_goal(*order) for order in permutations(blocks, count) if order != asked)]


def _plan(spec: EpisodeSpec) -> list[Skill]:
    plan: list[Skill] = []
    for move in spec.goal:
        plan += [Skill(name="pick", args=move.args[:1], purpose=move), Skill(name="place", args=move.args, purpose=move)]
    return [*plan, Skill(name="retreat", args=())]


TASK = Task(summary="stack blocks on each other", expert_s=4.0, layout=_layout, plan=_plan, robots=("panda", "jaco"))
