"""The hand presses, turns and flips what it is told, whatever else could be asked for, and comes back when it was pushed away."""

import dataclasses

import numpy as np
import pytest

from vlagym.benchmark.episode import WorldOptions, make_world, play_episode
from vlagym.envs.errors import BadSpec
from vlagym.envs.fixtures import fixtures
from vlagym.envs.sampling import sample
from vlagym.envs.task import Skill
from vlagym.envs.types import EpisodeResult, EpisodeSpec
from vlagym.envs.world import World
from vlagym.policies.adapters.expert import POLICY
from vlagym.policies.base import EpisodeContext
from vlagym.policies.skills.controls import SKILLS
from vlagym.policies.skills.performer import Performer

TASKS = ("press_button", "turn_knob", "flip_switch")


def play(spec: EpisodeSpec) -> EpisodeResult:
    return play_episode(make_world(WorldOptions(render=False)), spec, POLICY(None, {})).result


@pytest.mark.parametrize("task", TASKS)
def test_every_goal_of_a_scene_is_reached_when_it_is_the_one_that_is_asked_for(task: str) -> None:
    spec = sample(task, seed=820_000)
    for goal in spec.alternatives:
        others = tuple(g for g in (spec.goal, *spec.alternatives) if g != goal)
        result = play(dataclasses.replace(spec, goal=goal, stages=goal, alternatives=others))
        assert result.outcome == "success", (task, str(goal[0]), result.ended_by)


@pytest.mark.parametrize("kind", sorted({f.kind for f in fixtures().values() for j in f.joints if j.control is not None}))
def test_every_control_of_a_kind_of_fixture_is_worked_in_both_directions(kind: str) -> None:
    asset = next(f for f in fixtures().values() if f.kind == kind)
    control = asset.joints[0].control
    assert control is not None
    words = list(control.settings)
    for start, wanted in [(words[0], words[-1]), (words[-1], words[0])] if words else [("", "")]:
        result = play(_with(asset.id, start, wanted))
        assert result.outcome == "success", (asset.id, wanted, result.ended_by)


def _with(fixture: str, start: str, wanted: str) -> EpisodeSpec:
    """Returns an episode with one fixture in front of the robot, its first control at one setting and wanted at another."""
    asset = fixtures()[fixture]
    control = asset.joints[0].control
    assert control is not None
    task = {"button": "press_button", "knob": "turn_knob"}.get(control.kind, "flip_switch")
    spec = sample(task, seed=800_000)
    first = {j.name: min(j.control.settings.values(), default=0.0) if j.control else 0.0 for j in asset.joints}
    first |= {asset.joints[0].name: control.settings[start]} if start else {}
    here = dataclasses.replace(
        spec.scene.fixtures[0], name=fixture, asset=fixture, pos_world=(0.47, 0.05, 0.0), yaw_rad=0.2, joints=tuple(first.items())
    )
    args = (f"{fixture}/{asset.joints[0].name}", *([f"={wanted}"] if wanted else []))
    goal = (dataclasses.replace(spec.goal[0], args=args),)
    return dataclasses.replace(spec, scene=dataclasses.replace(spec.scene, props=(), fixtures=(here,)), goal=goal, stages=goal, alternatives=())


@pytest.mark.parametrize("task", TASKS)
def test_it_comes_back_when_it_is_pushed_away_at_work(task: str) -> None:
    spec = sample(task, seed=820_003)
    world, expert = World(render=False), POLICY(None, {})
    facts = world.start(spec)
    expert.reset(EpisodeContext(slot=0, instruction="", action=spec.control, digest="", spec=spec))
    touched = 0
    for _ in range(spec.horizon_steps):
        action = expert.act({0: world.observe((), privileged=True)})[0].values[0]
        touched += int(facts.fixture_robot_force_n.any())
        if 0 < touched < 4:  # aside and up, right after the first touch
            action = np.array([0, 0, 1, 0, 0, 0, action[-1]], np.float32) if touched < 3 else np.array([0.8, 0, 0, 0, 0, 0, action[-1]], np.float32)
            touched += 1
        facts = world.advance(action)
        if facts.goal_met.all():
            return
    raise AssertionError(f"{task} was not done again: {spec.goal[0]}")


@pytest.mark.parametrize("task", TASKS)
def test_it_is_gentle(task: str) -> None:
    spec = sample(task, seed=820_001)
    world, expert = World(render=False), POLICY(None, {})
    world.start(spec)
    expert.reset(EpisodeContext(slot=0, instruction="", action=spec.control, digest="", spec=spec))
    peak = 0.0
    for _ in range(60):
        facts = world.advance(expert.act({0: world.observe((), privileged=True)})[0].values[0])
        peak = max(peak, float(facts.fixture_robot_force_n.max()))
    assert 0.0 < peak < 80.0


@pytest.mark.parametrize(
    ("skill", "args", "message"),
    [
        ("press", ("stove_white/knob",), r"'stove_white/knob' is a knob; it is set with flip or turn, not pressed"),
        ("turn", ("lever_black/lever", "=up"), r"'lever_black/lever' is a lever; only a knob is turned"),
        ("flip", ("stove_white/knob", "=low"), r"'stove_white/knob' is a knob; only switches, levers and rockers are flipped"),
    ],
)
def test_a_skill_refuses_what_it_is_not_made_for(skill: str, args: tuple[str, ...], message: str) -> None:
    spec = _with(args[0].split("/")[0], "", "")
    with pytest.raises(BadSpec, match=message):
        SKILLS[skill](spec, args)


def test_a_plan_names_the_skills_of_this_file() -> None:
    spec = _with("panel_grey_two", "", "")
    assert Performer(spec, [Skill(name="press", args=("panel_grey_two/red_button",))]) is not None
