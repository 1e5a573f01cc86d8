"""Turn a knob to one of its settings; the sentence says which knob and which setting."""

from vlagym.envs.fixtures import FixtureAsset, fixtures
from vlagym.envs.task import Draft, Goal, Region, Skill, Task, footprint_m
from vlagym.envs.types import EpisodeSpec, Predicate

_AROUND = Region(x_m=(0.34, 0.64), y_m=(-0.26, 0.26))


def _has_knobs(asset: FixtureAsset) -> bool:
    return any(j.control is not None and j.control.kind == "knob" for j in asset.joints)


def _goal(fixture: str, knob: str, start: str, setting: str) -> Goal:
    joint = f"{fixture}/{knob}"
    done = Predicate(name="set_to", args=(joint, f"={setting}"))
    stages = (Predicate(name="touched", args=(fixture,)), Predicate(name="turned_from", args=(joint, f"={start}")), done)
    return Goal(conditions=(done,), stages=stages)


def _layout(draft: Draft) -> list[Goal]:
    rng = draft.rng
    names = draft.choose_fixtures(1 if rng.random() < 0.5 else 2, suits=_has_knobs)
    sides = [0.0] if len(names) == 1 else [0.165, -0.165] if rng.random() < 0.5 else [-0.165, 0.165]
    goals: list[list[Goal]] = []
    for name, side in zip(names, sides, strict=True):
        asset, start = fixtures()[name], {}
        goals.append([])
        for joint in asset.joints:
            settings = joint.control.settings if joint.control is not None else {}
            now = list(settings)[int(rng.integers(len(settings)))]
            start[joint.name] = settings[now]
            goals[-1] += [_goal(name, joint.name, now, word) for word in settings if word != now]
        x, y = rng.uniform(0.42, 0.50), side + rng.uniform(-0.02, 0.02) * (5.0 if len(names) == 1 else 1.0)
        draft.stand(name, float(x), float(y), float(rng.uniform(-0.3, 0.3)), keep_free_m=footprint_m(asset) - 0.01, joints=start)
    for name in draft.choose(int(rng.integers(0, 3)), role="graspable", first_split="seen", kinds=("block", "fruit", "can", "mug")):
        draft.put(name, _AROUND)
    asked = goals[0].pop(int(rng.integers(len(goals[0]))))
    return [asked, *(goal for of_one in goals for goal in of_one)]


def _plan(spec: EpisodeSpec) -> list[Skill]:
    return [Skill(name="turn", args=spec.goal[0].args), Skill(name="retreat", args=())]


TASK = Task(
    summary="turn a knob to a setting",
    expert_s=4.1,  # with the jaco, whose wrist turns slowly; the panda needs 2.9
    layout=_layout,
    plan=_plan,
    robots=("panda", "jaco"),
)
