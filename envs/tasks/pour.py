"""Pour the beads of a cup into a bowl; the sentence says which cup, or into which bowl."""

from vlagym.envs.layouts import beads
from vlagym.envs.task import Draft, Goal, Region, Skill, Task
from vlagym.envs.types import EpisodeSpec, Predicate

_REGION = Region(x_m=(0.40, 0.60), y_m=(-0.20, 0.20))
_SCENES = ((1, 2, 12), (1, 2, 10), (2, 1, 8))
"""Cups, bowls, and beads in each cup."""


def _goal(cup: str, bowl: str) -> Goal:
    done = Predicate(name="poured", args=(cup, bowl))
    stages = (Predicate(name="touched", args=(cup,)), Predicate(name="held", args=(cup,)), Predicate(name="lifted", args=(cup,)), done)
    return Goal(conditions=(done,), stages=stages)


def _layout(draft: Draft) -> list[Goal]:
    num_cups, num_bowls, num_beads = _SCENES[int(draft.variety.integers(len(_SCENES)))]
    cups = draft.choose(num_cups, role="pourable")
    bowls = draft.choose(num_bowls, role="container", kinds=("bowl",))
    for name in cups + bowls:
        draft.put(name, _REGION)
    for cup in cups:
        beads.fill(draft, cup, num_beads)
    return [_goal(cup, bowl) for cup in cups for bowl in bowls]


def _plan(spec: EpisodeSpec) -> list[Skill]:
    return [Skill(name="pick_to_pour", args=spec.goal[0].args), Skill(name="pour", args=spec.goal[0].args)]


TASK = Task(summary="pour the beads of a cup into a bowl", expert_s=4.5, layout=_layout, plan=_plan, robots=("panda", "jaco"))
