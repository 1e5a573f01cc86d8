"""Pick an object up and hold it; the sentence says which of several."""

from vlagym.envs.layouts.milestones import grasped
from vlagym.envs.objects import UPRIGHT, catalog
from vlagym.envs.task import Draft, Goal, Region, Skill, Task
from vlagym.envs.types import EpisodeSpec, Predicate

_REGION = Region(x_m=(0.36, 0.62), y_m=(-0.22, 0.22))
_LYING_SHARE = 0.3
"""How often a thing that can lie on its side does so."""


def _pose(draft: Draft, asset_id: str) -> str:
    """Draws the pose in which a thing waits; it must have a grasp there."""
    asset = catalog()[asset_id]
    lying = [p.name for p in asset.poses if asset.grasps_in(p.name)]
    return lying[int(draft.rng.integers(len(lying)))] if lying and draft.rng.random() < _LYING_SHARE else UPRIGHT


def _goal(thing: str) -> Goal:
    done = Predicate(name="lifted", args=(thing,))
    return Goal(conditions=(done,), stages=grasped(thing))


def _layout(draft: Draft) -> list[Goal]:
    things = draft.choose(int(draft.variety.integers(3, 6)), role="graspable")
    return [_goal(draft.put(thing, _REGION, pose=_pose(draft, thing))) for thing in things]


def _plan(spec: EpisodeSpec) -> list[Skill]:
    thing = spec.goal[0].args
    return [Skill(name="pick", args=thing), Skill(name="lift", args=thing)]


TASK = Task(summary="pick an object up and hold it", expert_s=2.0, layout=_layout, plan=_plan, robots=("panda", "jaco"))
