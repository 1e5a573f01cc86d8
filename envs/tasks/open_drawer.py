"""Open the drawer of one of two cabinets; the sentence says which."""

from vlagym.envs.fixtures import fixtures
from vlagym.envs.task import Draft, Goal, Region, Skill, Task
from vlagym.envs.types import EpisodeSpec, Predicate

_FRONT = Region(x_m=(0.56, 0.68), y_m=(-0.10, 0.10))


def _goal(cabinet: str) -> Goal:
    joint = f"{cabinet}/{fixtures()[cabinet].joints[0].name}"
    done = Predicate(name="open", args=(joint,))
    return Goal(conditions=(done,), stages=(Predicate(name="touched", args=(cabinet,)), Predicate(name="moved", args=(joint,)), done))


def _layout(draft: Draft) -> list[Goal]:
    rng = draft.rng
    cabinets = draft.choose_fixtures(2, kind="cabinet")
    side = 1.0 if rng.random() < 0.5 else -1.0
    for name, sign in zip(cabinets, (side, -side), strict=True):
        x, y = rng.uniform(0.36, 0.43), sign * rng.uniform(0.13, 0.19)
        draft.stand(name, float(x), float(y), float(rng.uniform(-0.25, 0.25)), keep_free_m=0.115)
    for name in draft.choose(int(rng.integers(0, 3)), role="graspable", first_split="seen", kinds=("block", "fruit")):
        draft.put(name, _FRONT)
    return [_goal(name) for name in cabinets]


def _plan(spec: EpisodeSpec) -> list[Skill]:
    joint = spec.goal[0].args[0]
    return [Skill(name="hook", args=(joint,)), Skill(name="pull", args=(joint,)), Skill(name="retreat", args=())]


TASK = Task(summary="open the drawer of a cabinet", expert_s=2.0, layout=_layout, plan=_plan)
