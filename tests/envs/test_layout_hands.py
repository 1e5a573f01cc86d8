"""Layouts for robots with two hands: which hand a goal names, and what stands around one that goes about."""

from __future__ import annotations

import math

import numpy as np
import pytest

from vlagym.envs import catalog
from vlagym.envs.fixtures import get_fixture
from vlagym.envs.layouts.around import KINDS, distance_m, most_around, put_before, reach_m, stand_around, start_anywhere
from vlagym.envs.layouts.hands import goals_by_hand, hands_at
from vlagym.envs.robot import Robot
from vlagym.envs.task import Crowded, Draft, Goal, footprint_m
from vlagym.envs.types import Predicate

G1: Robot = catalog.load("robot", "g1")
CMU: Robot = catalog.load("robot", "cmu_humanoid")


def draft_of(seed: int, robot: Robot = G1) -> Draft:
    return Draft(np.random.default_rng(seed), "seen", variety=np.random.default_rng(1000 + seed), robot=robot, base="planar")


def touched(thing: str) -> Goal:
    done = Predicate(name="touched", args=(thing,))
    return Goal(conditions=(done,), stages=(done,))


def laid(seed: int) -> list[Goal]:
    """A can on the left, a mug in the middle, an apple on the right."""
    draft = draft_of(seed)
    for thing, y in (("can_red", 0.25), ("mug_blue", 0.0), ("apple", -0.25)):
        draft.put_at(thing, 0.35, y, 0.0)
    return goals_by_hand(draft, [(thing, touched(thing)) for thing in ("can_red", "mug_blue", "apple")])


def test_each_hand_reaches_its_side_and_both_the_middle() -> None:
    assert G1.work is not None
    assert hands_at(G1.work, 0.25) == ("left",) and hands_at(G1.work, -0.25) == ("right",)
    assert hands_at(G1.work, 0.0) == ("left", "right") and hands_at(G1.work, 1.0) == ()


def test_about_half_of_the_scenes_name_a_hand_and_only_one_that_reaches() -> None:
    named = 0
    for seed in range(40):
        goals = laid(seed)
        said = {(goal.conditions[0].args[0], goal.conditions[1].args[1][1:]) for goal in goals if len(goal.conditions) == 2}
        assert goals[0].conditions[0].args == ("can_red",)
        assert all(goal.stages[-len(goal.conditions) :] == goal.conditions for goal in goals)
        if said:
            named += 1
            assert said == {("can_red", "left"), ("mug_blue", "left"), ("mug_blue", "right"), ("apple", "right")}
        else:
            assert [goal.conditions[0].args[0] for goal in goals] == ["can_red", "mug_blue", "apple"]
    assert 10 < named < 30


def test_a_first_thing_that_no_hand_reaches_crowds_the_scene() -> None:
    draft = draft_of(0)
    draft.put_at("apple", 0.35, 0.5, 0.0)
    with pytest.raises(Crowded, match="apple stands where no hand reaches"):
        goals_by_hand(draft, [("apple", touched("apple"))])


@pytest.mark.parametrize("robot", [G1, CMU], ids=lambda robot: str(robot.name))
def test_what_stands_around_leaves_the_robot_room_to_turn(robot: Robot) -> None:
    made = 0
    for seed in range(30):
        draft = draft_of(seed, robot)
        start_anywhere(draft, (-0.25, -0.10), (-0.2, 0.2), math.pi)
        try:
            names = stand_around(draft, most_around(draft))
            low = put_before(draft, 1)
        except Crowded:
            continue
        made += 1
        assert 2 <= len(names) <= most_around(draft) and len(set(names)) == len(names)
        for fixture in draft.fixtures:
            asset = get_fixture(fixture.asset)
            assert asset.kind in KINDS and distance_m(draft, fixture.name) > reach_m(robot) + footprint_m(asset)
            on_floor = fixture.pos_world[2] == draft.floor_m
            assert on_floor or (asset.kind == "side_table" and asset.top is not None and abs(fixture.pos_world[2] + asset.top.height_m) < 1e-9)
        assert distance_m(draft, low[0]) > 0.3
    assert made > 5
