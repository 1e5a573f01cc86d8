"""Press one of the buttons of one or two panels, with the hand that the sentence names, or with either."""

from vlagym.envs.fixtures import FixtureAsset, fixtures
from vlagym.envs.layouts.hands import goals_by_hand
from vlagym.envs.task import Draft, Goal, Region, Skill, Task, footprint_m
from vlagym.envs.types import EpisodeSpec, Predicate

_SIDE_M = 0.15
_INSIDE_M = 0.04
"""Panels keep so far from the ends of the work area, small things need not."""


def is_panel(asset: FixtureAsset) -> bool:
    """Returns whether furniture has buttons."""
    return any(j.control is not None and j.control.kind == "button" for j in asset.joints)


def _goal(panel: str, button: str) -> Goal:
    done = Predicate(name="pressed", args=(f"{panel}/{button}",))
    return Goal(conditions=(done,), stages=(Predicate(name="touched", args=(panel,)), done))


def _layout(draft: Draft) -> list[Goal]:
    rng, work = draft.rng, draft.work
    panels = draft.choose_fixtures(1 if draft.variety.random() < 0.5 else 2, suits=is_panel)
    sides = [0.0] if len(panels) == 1 else [_SIDE_M, -_SIDE_M] if rng.random() < 0.5 else [-_SIDE_M, _SIDE_M]
    for name, side in zip(panels, sides, strict=True):
        x = rng.uniform(work.x_m[0] + _INSIDE_M, work.x_m[1] - _INSIDE_M)
        y = side + rng.uniform(-0.03, 0.03) * (4.0 if len(panels) == 1 else 1.0)
        draft.stand(name, float(x), float(y), float(rng.uniform(-0.3, 0.3)), keep_free_m=footprint_m(fixtures()[name]) + 0.01)
    for name in draft.choose(int(rng.integers(0, 3)), role="graspable", first_split="seen", kinds=("block", "fruit", "can", "mug")):
        draft.put(name, Region(x_m=work.x_m, y_m=work.y_m))
    goals = [(f"{name}/{j.name}", _goal(name, j.name)) for name in panels for j in fixtures()[name].joints]
    asked = goals.pop(int(rng.integers(len(fixtures()[panels[0]].joints))))
    return goals_by_hand(draft, [asked, *goals])


def _plan(spec: EpisodeSpec) -> list[Skill]:
    return [Skill(name="press_with", args=spec.goal[0].args), Skill(name="retreat", args=())]


TASK = Task(
    summary="press the button that is meant, with the hand that is meant",
    expert_s=3.0,
    layout=_layout,
    plan=_plan,
    robots=("g1", "cmu_humanoid", "panda_bimanual"),
    bases=("fixed", "legs"),
    hold_s=0.1,
)
