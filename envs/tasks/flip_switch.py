"""Flip one of several switches or levers; the sentence says which, and to which side."""

from vlagym.envs.fixtures import FixtureAsset, fixtures
from vlagym.envs.task import Draft, Goal, Region, Skill, Task, footprint_m
from vlagym.envs.types import EpisodeSpec, Predicate

_AROUND = Region(x_m=(0.34, 0.64), y_m=(-0.26, 0.26))


def _has_switches(asset: FixtureAsset) -> bool:
    return any(j.control is not None and j.control.kind in ("lever", "rocker") for j in asset.joints)


def _goal(fixture: str, switch: str, start: str, setting: str) -> Goal:
    joint = f"{fixture}/{switch}"
    done = Predicate(name="set_to", args=(joint, f"={setting}"))
    stages = (Predicate(name="touched", args=(fixture,)), Predicate(name="turned_from", args=(joint, f"={start}")), done)
    return Goal(conditions=(done,), stages=stages)


def _layout(draft: Draft) -> list[Goal]:
    rng = draft.rng
    names = draft.choose_fixtures(int(rng.integers(2, 4)), suits=_has_switches)
    places = [0.19, -0.19] if len(names) == 2 else [0.20, 0.0, -0.20]
    goals: list[Goal] = []
    for name, k in zip(names, rng.permutation(len(names)), strict=True):
        asset, start = fixtures()[name], {}
        for joint in asset.joints:
            settings = joint.control.settings if joint.control is not None else {}
            now = list(settings)[int(rng.integers(len(settings)))]
            start[joint.name] = settings[now]
            goals += [_goal(name, joint.name, now, word) for word in settings if word != now]
        x, y = rng.uniform(0.40, 0.54), places[k] * rng.uniform(0.8, 1.05)
        draft.stand(name, float(x), float(y), float(rng.uniform(-0.3, 0.3)), keep_free_m=footprint_m(asset) - 0.01, joints=start)
    for name in draft.choose(int(rng.integers(0, 3)), role="graspable", first_split="seen", kinds=("block", "fruit", "can", "mug")):
        draft.put(name, _AROUND)
    asked = int(rng.integers(len(fixtures()[names[0]].joints)))
    return [goals[asked], *goals[:asked], *goals[asked + 1 :]]


def _plan(spec: EpisodeSpec) -> list[Skill]:
    return [Skill(name="flip", args=spec.goal[0].args), Skill(name="retreat", args=())]


TASK = Task(
    summary="flip a switch or lever",
    expert_s=5.2,  # with the jaco, which pushes with one side of its hand only and has to turn it; the panda needs 2.2
    layout=_layout,
    plan=_plan,
    robots=("panda", "jaco"),
)
