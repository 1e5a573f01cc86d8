"""Each way to fail has its label, and the first rule that fits gives it. Every trace has 4 control steps, "put the mug on the plate"."""

from __future__ import annotations

import typing
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from vlagym.benchmark.failure_modes import ABOUT, MODES, failure_mode
from vlagym.envs.types import EndedBy

AWAY = [[0, 0, 0], [0.1, 0, 0], [0.2, 0, 0], [0.3, 0, 0], [0.3, 0, 0]]
GRASPED = [[0, 0]] + [[1, 0]] * 4


def mode(traces: ModuleType, spec: Any = None, **kwargs: Any) -> str | None:
    """Returns the label of an episode whose hand moves, unless the columns say otherwise."""
    return failure_mode(traces.make_trace(spec, **{"ee_pos_world_m": AWAY, **kwargs}))


@pytest.mark.parametrize("ended_by", ["goal", "policy_error", "env_error"])
def test_successes_and_errors_have_none(traces: ModuleType, ended_by: EndedBy) -> None:
    assert mode(traces, ended_by=ended_by) is None


@pytest.mark.parametrize("ended_by", ["fall", "stop", "divergence"])
def test_what_was_cut_short_is_unsafe_whatever_came_before(traces: ModuleType, ended_by: EndedBy) -> None:
    assert mode(traces, ended_by=ended_by) == "unsafe"
    assert mode(traces, ended_by=ended_by, held={"can": [0, 1, 1, 1, 1]}) == "unsafe"


def test_every_ending_of_an_episode_is_judged(traces: ModuleType) -> None:
    for ended_by in typing.get_args(EndedBy):
        assert mode(traces, ended_by=ended_by) in (None, *MODES)
    assert set(ABOUT) == set(MODES)


def test_a_robot_that_stands_still_never_moved(traces: ModuleType) -> None:
    still = np.zeros((5, 3))
    assert mode(traces, ee_pos_world_m=still) == "never_moved"
    assert mode(traces, ee_pos_world_m=still + 0.01 * np.arange(5)[:, None] / 4, joint_pos=np.full((5, 7), 0.3)) == "never_moved", "it sagged"
    assert mode(traces, ee_pos_world_m=still, joint_pos=0.1 * np.arange(5)[:, None] * np.ones(7)) == "never_reached", "its elbow moved"
    assert mode(traces, ee_pos_world_m=still, base_pose_world=[[0.1 * i, 0, 0] for i in range(5)]) == "never_reached"


def test_who_touches_nothing_that_is_named_never_reached_it(traces: ModuleType) -> None:
    assert mode(traces) == "never_reached"
    assert mode(traces, touched_n={"can": [0, 2, 0, 0, 0]}) == "never_reached", "it brushed past something else"


def test_who_moves_another_thing_first_took_the_wrong_one(traces: ModuleType) -> None:
    assert mode(traces, held={"can": [0, 1, 1, 0, 0]}) == "wrong_object"
    assert mode(traces, held={"can": [0, 1, 0, 0, 0], "mug": [0, 0, 1, 1, 1]}) == "wrong_object"
    pushed = {"x_m": {"can": [0.2, 0.3, 0.3, 0.3, 0.3]}, "touched_n": {"can": [0, 5, 0, 0, 0]}}
    assert mode(traces, **pushed) == "wrong_object"


def test_who_reaches_the_goal_of_another_thing_took_the_wrong_one(traces: ModuleType) -> None:
    spec = traces.make_spec(
        goal=("pressed(panel/red)",), stages=(), fixtures={"panel": ["red", "blue"]}, alternatives=((traces.predicate("pressed(panel/blue)"),),)
    )
    assert mode(traces, spec, ended_by="wrong_goal", alternative_met=[0, 0, 0, 1, 1], fixture_touched_n={"panel": [0, 0, 3, 3, 3]}) == "wrong_object"


def test_a_step_before_its_turn_is_the_wrong_thing(traces: ModuleType) -> None:
    assert mode(traces, ended_by="wrong_order", held={"mug": [0, 1, 1, 1, 0]}) == "wrong_object"


def test_what_is_touched_and_never_held_was_not_grasped(traces: ModuleType) -> None:
    assert mode(traces, touched_n={"mug": [0, 3, 3, 0, 0]}) == "grasp_failed"
    pushed_over = {"x_m": {"mug": [0, 0.05, 0.1, 0.1, 0.1]}, "touched_n": {"mug": [0, 3, 3, 0, 0]}}
    assert mode(traces, **pushed_over) == "grasp_failed"


def test_of_a_plan_the_grasp_that_is_due_counts(traces: ModuleType) -> None:
    stages = ("held(mug)", "on(mug, plate)", "held(can)", "on(can, plate)")
    spec = traces.make_spec(goal=("on(mug, plate)", "on(can, plate)"), stages=stages)
    done = {"stage_met": [[0, 0, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 1, 0, 0], [0, 1, 0, 0]], "goal_met": [[0, 0], [0, 0], [1, 0], [1, 0], [1, 0]]}
    held = {"held": {"mug": [0, 1, 0, 0, 0]}}
    assert mode(traces, spec, **done, **held, touched_n={"can": [0, 0, 0, 3, 0]}) == "grasp_failed"
    assert mode(traces, spec, **done, **held) == "timed_out"


def test_what_falls_out_of_the_hand_was_dropped(traces: ModuleType) -> None:
    fallen = {"held": {"mug": [0, 1, 1, 0, 0]}, "height_m": {"mug": [0, 0.1, 0.2, 0.1, 0]}, "stage_met": GRASPED}
    assert mode(traces, **fallen) == "dropped"


def test_what_fell_and_lies_where_it_belongs_is_not_why_it_failed(traces: ModuleType) -> None:
    spec = traces.make_spec(goal=("on(mug, plate)", "on(can, plate)"), stages=())
    fallen = {"held": {"mug": [0, 1, 1, 0, 0]}, "height_m": {"mug": [0, 0.2, 0.3, 0.1, 0]}}
    assert mode(traces, spec, **fallen, goal_met=[[0, 0]] * 4 + [[1, 0]]) == "timed_out"


def test_what_is_put_down_elsewhere_is_in_the_wrong_place(traces: ModuleType) -> None:
    carried = {"held": {"mug": [0, 1, 1, 1, 0]}, "x_m": {"mug": [0, 0.1, 0.2, 0.3, 0.3]}, "stage_met": GRASPED}
    assert mode(traces, **carried) == "wrong_place"
    assert mode(traces, **{**carried, "held": {"mug": [0, 1, 1, 1, 1]}}) == "timed_out", "it is still on its way"
    assert mode(traces, **{**carried, "x_m": {}}) == "timed_out", "it was let go where it stood"


def test_who_puts_the_right_thing_where_another_goal_wants_it_put_it_in_the_wrong_place(traces: ModuleType) -> None:
    spec = traces.make_spec(alternatives=((traces.predicate("on(mug, can)"),),))
    held = {"held": {"mug": [0, 1, 1, 0, 0]}, "stage_met": GRASPED}
    assert mode(traces, spec, ended_by="wrong_goal", alternative_met=[0, 0, 0, 1, 1], **held) == "wrong_place"


def test_a_joint_that_was_left_halfway_is_in_the_wrong_place(traces: ModuleType) -> None:
    spec = traces.make_spec(goal=("open(cabinet/drawer)",), stages=(), fixtures={"cabinet": ["drawer"]})
    pulled = {"joint": {"cabinet/drawer": [0, 0.02, 0.05, 0.05, 0.05]}}
    assert mode(traces, spec, **pulled, fixture_touched_n={"cabinet": [0, 4, 4, 0, 0]}) == "wrong_place"
    assert mode(traces, spec, **pulled, fixture_touched_n={"cabinet": [0, 4, 4, 4, 4]}) == "timed_out", "it is still pulling"


def test_what_held_and_does_not_any_more_was_undone(traces: ModuleType) -> None:
    stacked = {"held": {"mug": [0, 1, 0, 0, 0]}, "stage_met": [[0, 0], [1, 0], [0, 1], [0, 1], [0, 0]], "x_m": {"mug": [0, 0.1, 0.1, 0.1, 0.2]}}
    assert mode(traces, **stacked, goal_met=[0, 0, 1, 0, 0]) == "undone"


def test_whoever_was_on_the_way_ran_out_of_time(traces: ModuleType) -> None:
    assert mode(traces, held={"mug": [0, 0, 0, 1, 1]}, stage_met=[[0, 0]] * 3 + [[1, 0]] * 2) == "timed_out"
    button = traces.make_spec(goal=("pressed(panel/red)",), stages=(), fixtures={"panel": ["red"]})
    assert mode(traces, button, fixture_touched_n={"panel": [0, 3, 0, 0, 0]}) == "timed_out"
