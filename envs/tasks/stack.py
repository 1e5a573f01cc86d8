"""Stack one block on another; the sentence says which on which."""

from vlagym.envs.task import Draft, Goal, Region, Skill, Task
from vlagym.envs.types import EpisodeSpec, Predicate

_REGION = Region(x_m=(0.37, 0.63), y_m=(-0.22, 0.22))


def _goal(upper: str, lower: str) -> Goal:
    done = Predicate(name="stacked", args=(upper, lower))
    stages = (
        Predicate(name="touched", args=(upper,)),
        Predicate(name="held", args=(upper,)),
        Predicate(name="lifted", args=(upper,)),
        Predicate(name="over", args=(upper, lower)),
        done,
    )
    return Goal(conditions=(done,), stages=stages)


def _layout(draft: Draft) -> list[Goal]:
    blocks = draft.choose(3, role="stackable", kinds=("block",))
    others = draft.choose(int(draft.rng.integers(0, 2)), role="graspable", first_split="seen", kinds=("can", "fruit"))
    for name in blocks + others:
        draft.put(name, _REGION)
    asked = (blocks[0], blocks[1])
    return [_goal(*asked), *(_goal(a, b) for a in blocks for b in blocks if a != b and (a, b) != asked)]


def _plan(spec: EpisodeSpec) -> list[Skill]:
    upper, lower = spec.goal[0].args
    return [Skill(name="pick", args=(upper,)), Skill(name="place", args=(upper, lower)), Skill(name="retreat", args=())]


TASK = Task(summary="stack a block on another one", expert_s=4.0, layout=_layout, plan=_plan)
