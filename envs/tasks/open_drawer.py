"""Open one of several drawers: of two cabinets, of a chest, of a sideboard; the sentence says which."""

from vlagym.envs.fixtures import fixtures
from vlagym.envs.layouts.furniture import furnish
from vlagym.envs.task import Draft, Goal, Region, Skill, Task
from vlagym.envs.types import EpisodeSpec, Predicate

_FRONT = Region(x_m=(0.56, 0.68), y_m=(-0.10, 0.10))


def _goal(joint: str, expert_s: float | None = None) -> Goal:
    done = Predicate(name="open", args=(joint,))
    touched = Predicate(name="touched", args=(joint.split("/")[0],))
    return Goal(conditions=(done,), stages=(touched, Predicate(name="moved", args=(joint,)), done), expert_s=expert_s)


def _core_layout(draft: Draft) -> list[Goal]:
    rng = draft.rng
    cabinets = draft.choose_fixtures(2, kind="cabinet")
    side = 1.0 if rng.random() < 0.5 else -1.0
    for name, sign in zip(cabinets, (side, -side), strict=True):
        x, y = rng.uniform(0.36, 0.43), sign * rng.uniform(0.13, 0.19)
        draft.stand(name, float(x), float(y), float(rng.uniform(-0.25, 0.25)), keep_free_m=0.115)
    for name in draft.choose(int(rng.integers(0, 3)), role="graspable", first_split="seen", kinds=("block", "fruit")):
        draft.put(name, _FRONT)
    return [_goal(f"{name}/{fixtures()[name].joints[0].name}") for name in cabinets]


def _layout(draft: Draft) -> list[Goal]:
    if draft.catalogue == "core":
        return _core_layout(draft)
    return [_goal(joint, expert_s=3.0) for joint in furnish(draft, kinds=("cabinet", "chest", "sideboard"))]


def _plan(spec: EpisodeSpec) -> list[Skill]:
    joint = spec.goal[0].args
    return [Skill(name="hook", args=joint), Skill(name="pull", args=joint), Skill(name="unhook", args=joint)]


TASK = Task(summary="open a drawer", expert_s=2.0, layout=_layout, plan=_plan, robots=("panda", "jaco"))
