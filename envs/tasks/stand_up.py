"""Stand up a bottle, can or cup that lies on its side; the sentence says which of several.

Not with the jaco: it solves 43 of 50 fresh scenes with unseen objects. Its hand, 9 cm thick at the palm, often does not come down level behind a
thing that is short, with the wrist in reach.
"""

from vlagym.envs.layouts.milestones import grasped
from vlagym.envs.task import Draft, Goal, Region, Skill, Task
from vlagym.envs.types import EpisodeSpec, Predicate

_REGION = Region(x_m=(0.38, 0.58), y_m=(-0.20, 0.20))


def _goal(thing: str) -> Goal:
    done = Predicate(name="upright", args=(thing,))
    return Goal(conditions=(done,), stages=(*grasped(thing), done))


def _layout(draft: Draft) -> list[Goal]:
    rng = draft.rng
    things = draft.choose(int(rng.integers(2, 4)), role="standable")
    goals = [_goal(draft.put(thing, _REGION, pose="lying")) for thing in things]
    for name in draft.choose(int(rng.integers(0, 2)), role="graspable", first_split="seen", kinds=("block", "fruit", "ball")):
        draft.put(name, _REGION)
    return goals


def _plan(spec: EpisodeSpec) -> list[Skill]:
    thing = spec.goal[0].args
    return [Skill(name="grasp_lying", args=thing), Skill(name="set_upright", args=thing), Skill(name="retreat", args=())]


TASK = Task(summary="stand up an object that lies on its side", expert_s=5.6, layout=_layout, plan=_plan)
