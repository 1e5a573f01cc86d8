"""Close one of several open drawers: of two cabinets or chests, of a sideboard; the sentence says which."""

from vlagym.envs.layouts.furniture import furnish
from vlagym.envs.task import Draft, Goal, Skill, Task
from vlagym.envs.types import EpisodeSpec, Predicate


def _goal(joint: str) -> Goal:
    done = Predicate(name="closed", args=(joint,))
    touched = Predicate(name="touched", args=(joint.split("/")[0],))
    return Goal(conditions=(done,), stages=(touched, Predicate(name="moved", args=(joint,)), done))


def _layout(draft: Draft) -> list[Goal]:
    return [_goal(joint) for joint in furnish(draft, kinds=("cabinet", "chest", "sideboard"), opened=True)]


def _plan(spec: EpisodeSpec) -> list[Skill]:
    joint = spec.goal[0].args
    return [Skill(name="push_shut", args=joint), Skill(name="unhook", args=joint)]


TASK = Task(summary="close a drawer", expert_s=2.4, layout=_layout, plan=_plan, robots=("panda", "jaco"))
