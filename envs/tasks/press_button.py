"""Press one of the buttons of one or two panels; the sentence says which, by its colour or by what is written on it."""

from vlagym.envs.fixtures import FixtureAsset, fixtures
from vlagym.envs.task import Draft, Goal, Region, Skill, Task, footprint_m
from vlagym.envs.types import EpisodeSpec, Predicate

_AROUND = Region(x_m=(0.34, 0.64), y_m=(-0.26, 0.26))


def _has_buttons(asset: FixtureAsset) -> bool:
    return any(j.control is not None and j.control.kind == "button" for j in asset.joints)


def _goal(panel: str, button: str) -> Goal:
    done = Predicate(name="pressed", args=(f"{panel}/{button}",))
    return Goal(conditions=(done,), stages=(Predicate(name="touched", args=(panel,)), done))


def _layout(draft: Draft) -> list[Goal]:
    rng = draft.rng
    panels = draft.choose_fixtures(1 if draft.variety.random() < 0.6 else 2, suits=_has_buttons)
    sides = [0.0] if len(panels) == 1 else [0.16, -0.16] if rng.random() < 0.5 else [-0.16, 0.16]
    for name, side in zip(panels, sides, strict=True):
        x, y = rng.uniform(0.42, 0.54), side + rng.uniform(-0.03, 0.03) * (4.0 if len(panels) == 1 else 1.0)
        free_m = footprint_m(fixtures()[name]) + 0.01
        draft.stand(name, float(x), float(y), float(rng.uniform(-0.3, 0.3)), keep_free_m=free_m)
    for name in draft.choose(int(rng.integers(0, 4)), role="graspable", first_split="seen", kinds=("block", "fruit", "can", "mug")):
        draft.put(name, _AROUND)
    goals = [_goal(name, j.name) for name in panels for j in fixtures()[name].joints]
    asked = int(rng.integers(len(fixtures()[panels[0]].joints)))
    return [goals[asked], *goals[:asked], *goals[asked + 1 :]]


def _plan(spec: EpisodeSpec) -> list[Skill]:
    return [Skill(name="press", args=spec.goal[0].args), Skill(name="retreat", args=())]


TASK = Task(
    summary="press one of several buttons",
    expert_s=1.8,
    layout=_layout,
    plan=_plan,
    robots=("panda", "jaco"),
    hold_s=0.1,
    horizon_factor=3.0,
)
