"""Both hands on one thing, and a body that goes down to what stands low: how things are taken, led, set down, and with whom it works."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from vlagym.benchmark.trials import try_seeds
from vlagym.envs import catalog
from vlagym.envs.errors import BadSpec
from vlagym.envs.frames import Pose, from_yaw, pose, to_yaw
from vlagym.envs.objects import get
from vlagym.envs.robot import Robot
from vlagym.envs.sampling import sample
from vlagym.envs.types import EpisodeSpec
from vlagym.envs.world import World
from vlagym.policies.bimanual.both_hands import Carried, KeepBoth, PutBoth, where
from vlagym.policies.bimanual.bringing import BringBefore
from vlagym.policies.bimanual.legs import PickLow, Rise, Stoop, pelvis_of, seen_from
from vlagym.policies.bimanual.pairs import Pairs
from vlagym.policies.bimanual.performer import BimanualPerformer
from vlagym.policies.bimanual.view import BimanualView

ROBOTS = ("g1", "panda_bimanual")


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    one = World(render=False)
    yield one
    one.close()


def _robot(spec: EpisodeSpec) -> Robot:
    robot: Robot = catalog.load("robot", spec.robot)
    return robot


def _seen(world: World, spec: EpisodeSpec) -> BimanualView:
    world.start(spec)
    return BimanualView.of(world.observe([], privileged=True), _robot(spec))


# --------------------------------------------------------------------------------------------------------------- how it is taken
@pytest.mark.parametrize("robot", ROBOTS)
@pytest.mark.parametrize("task", ["lift_tray", "carry_box"])
def test_each_hand_takes_the_hold_on_its_own_side(world: World, robot: str, task: str) -> None:
    spec = sample(task, seed=11, robot=robot)
    view, name = _seen(world, spec), spec.goal[0].args[0]
    pair = Pairs(spec, _robot(spec)).look(view, name)[0]
    thing, holds = view.props[name], get(name).holds
    places = {side: take.at(thing).pos for side, take in pair.takes.items()}
    assert places["left"][1] > places["right"][1] + 0.15
    for place in places.values():
        assert min(float(np.linalg.norm((thing.apply(hold.pos_m) - place)[:2])) for hold in holds) < 0.06


@pytest.mark.parametrize("robot", ROBOTS)
def test_palms_come_square_to_the_sides_of_a_box_and_press_inwards(world: World, robot: str) -> None:
    spec = sample("carry_box", seed=3, robot=robot)
    view, name = _seen(world, spec), spec.goal[0].args[0]
    thing = view.props[name]
    for pair in Pairs(spec, _robot(spec)).look(view, name):
        for take in pair.takes.values():
            inward = thing.pos - take.at(thing).pos
            assert abs(float(take.along[1])) < 1e-6 and take.press_m > 0.0
            assert float((take.at(thing, 0.02).pos - take.at(thing).pos) @ inward) > 0.0
            assert float((take.before(thing).pos - take.at(thing).pos) @ inward) < 0.0


# ------------------------------------------------------------------------------------------------------------------ how it is led
def _carried(world: World) -> tuple[Carried, BimanualView, str]:
    spec = sample("lift_tray", seed=5)
    view, name = _seen(world, spec), spec.goal[0].args[0]
    return Carried(KeepBoth(spec, (name,)), view, name), view, name


def test_hands_keep_their_places_at_what_they_carry_while_it_moves_and_turns(world: World) -> None:
    carried, view, name = _carried(world)
    goal = Pose(view.props[name].pos + [0.05, 0.1, 0.1], from_yaw(to_yaw(view.props[name].quat) + 0.6))
    apart = float(np.linalg.norm(view.targets["left"].pos - view.targets["right"].pos))
    for _ in range(40):
        hands = carried.towards(view, goal, 0.01)
        left, right = (hands[side].pose for side in ("left", "right"))
        assert left is not None and right is not None
        assert float(np.linalg.norm(left.pos - right.pos)) == pytest.approx(apart, abs=1e-9)
        view = dataclasses.replace(view, props={**view.props, name: carried.wanted})
    assert np.allclose(carried.wanted.pos, goal.pos, atol=0.01)
    assert to_yaw(carried.wanted.quat) == pytest.approx(to_yaw(goal.quat), abs=0.02)


def test_what_is_stuck_is_not_pulled_ever_farther(world: World) -> None:
    carried, view, name = _carried(world)
    goal = Pose(view.props[name].pos + [0.0, 0.0, 0.5], carried.level)
    for _ in range(200):
        carried.towards(view, goal, 0.01)
    assert float(carried.wanted.pos[2] - view.props[name].pos[2]) < 0.07


def test_a_tilted_thing_is_led_level(world: World) -> None:
    spec = sample("lift_tray", seed=5)
    view, name = _seen(world, spec), spec.goal[0].args[0]
    tilted = dataclasses.replace(view, props={**view.props, name: view.props[name] @ pose((0.0, 0.0, 0.0), (0.996, 0.087, 0.0, 0.0))})
    carried = Carried(KeepBoth(spec, (name,)), tilted, name)
    carried.towards(tilted, Pose(tilted.props[name].pos, carried.level), 0.01)
    assert carried.wanted.quat[1] == pytest.approx(0.0) and carried.wanted.quat[2] == pytest.approx(0.0)


def test_things_are_set_down_in_the_middle_of_a_mat_and_on_the_near_side_of_a_table(world: World) -> None:
    mats = sample("carry_box", seed=2)
    mat = next(f for f in mats.scene.fixtures if f.name == mats.goal[0].args[1])
    assert where(mats, _seen(world, mats), mat.name) == pytest.approx(mat.pos_world)
    tables = sample("carry_box", seed=2, base="planar")
    table = next(f for f in tables.scene.fixtures if f.name == tables.goal[0].args[1])
    x, y, z = where(tables, _seen(world, tables), table.name)
    assert z == pytest.approx(0.0) and 0.05 < abs(table.pos_world[1]) - abs(y) < 0.25


def test_a_robot_that_does_not_glide_brings_nothing_to_another_table() -> None:
    spec = sample("carry_box", seed=2)
    with pytest.raises(BadSpec, match="only on the base 'planar' the robot goes about; this episode has 'fixed'"):
        BringBefore(spec, spec.goal[0].args)


def test_hands_that_hold_nothing_put_nothing_down(world: World) -> None:
    spec = sample("carry_box", seed=2)
    view, skill = _seen(world, spec), PutBoth(spec, spec.goal[0].args)
    verdicts = [skill.step(view)[1] for _ in range(12)]
    assert "lost" in verdicts and "done" not in verdicts


# ------------------------------------------------------------------------------------------------------------------------- legs
def test_only_who_stands_on_legs_goes_down() -> None:
    spec = sample("touch_with", seed=2)
    for kind in (Stoop, PickLow, Rise):
        with pytest.raises(BadSpec, match="only on the base 'legs' the robot squats and leans; this episode has 'fixed'"):
            kind(spec, spec.goal[0].args)


def test_the_pelvis_is_where_hands_and_arms_say_it_is(world: World) -> None:
    spec = sample("reach_low", seed=4)
    plan = catalog.load("task", "reach_low").plan(spec)
    world.start(spec)
    performer, skill = BimanualPerformer(spec, plan), Stoop(spec, plan[0].args)
    for _ in range(25):
        world.advance(performer.act(world.observe([], privileged=True)))
    view = BimanualView.of(world.observe([], privileged=True), _robot(spec))
    found, true = pelvis_of(view, skill), world.simulation.base_body_pose()
    assert np.allclose(found.pos, true.pos, atol=2e-3) and abs(float(found.quat @ true.quat)) > 0.9999
    assert float(true.pos[2] - view.base.pos[2]) < -0.1


def test_a_shelf_before_the_robot_is_seen_as_a_table_before_it() -> None:
    spec = sample("reach_low", seed=4)
    x, y, yaw = spec.robot_start
    board_m = spec.scene.props[0].pos_world[2]
    seen = seen_from(spec, pose((x, y, board_m), from_yaw(yaw)))
    assert seen.scene.fixtures == () and seen.goal == spec.goal
    for prop in seen.scene.props:
        assert prop.pos_world[2] == pytest.approx(0.0, abs=1e-6)
        assert 0.3 < prop.pos_world[0] < 0.55 and abs(prop.pos_world[1]) < 0.33


# ------------------------------------------------------------------------------------------------------------------ what comes of it
_CASES = [
    ("lift_tray", {"robot": "g1"}),
    ("lift_tray", {"robot": "panda_bimanual"}),
    ("carry_box", {"robot": "g1"}),
    ("carry_box", {"robot": "g1", "base": "planar"}),
    ("carry_box", {"robot": "panda_bimanual"}),
    ("reach_low", {"robot": "g1"}),
    ("humanoid_sequence", {"robot": "g1"}),
    ("humanoid_sequence", {"robot": "cmu_humanoid"}),
    ("humanoid_sequence", {"robot": "panda_bimanual"}),
]


@pytest.mark.parametrize(("task", "options"), _CASES)
def test_it_solves_a_fresh_seed(task: str, options: dict[str, Any]) -> None:
    (trial,) = try_seeds(task, [800_100], workers=1, **options)
    assert trial.solved, trial.ending


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize(("task", "options"), _CASES)
def test_it_solves_90_of_100_fresh_seeds_and_never_falls(task: str, options: dict[str, Any]) -> None:
    trials = try_seeds(task, range(810_000, 810_100), workers=2, **options)
    failed = [trial.ending for trial in trials if not trial.solved]
    assert len(failed) <= 10, failed
    assert not any(trial.result is not None and trial.result.ended_by == "fall" for trial in trials)
