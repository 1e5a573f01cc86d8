"""Success, goal conditions and stages on traces whose value one can see."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest

from vlagym.benchmark.scoring import measure


def value(traces: ModuleType, name: str, spec: Any = None, **kwargs: Any) -> float | None:
    return measure(traces.make_trace(spec, **kwargs), [name])[name]


@pytest.mark.parametrize(
    ("rows", "success", "success_any"), [("00000", 0, 0), ("00100", 0, 1), ("01010", 0, 1), ("00011", 1, 1), ("01100", 1, 1), ("10000", 0, 0)]
)
def test_success_wants_the_goal_for_two_steps_in_a_row_and_success_any_for_one(
    traces: ModuleType, rows: str, success: float, success_any: float
) -> None:
    goal_met = [c == "1" for c in rows]
    assert value(traces, "success", goal_met=goal_met) == success
    assert value(traces, "success_any", goal_met=goal_met) == success_any


def test_success_reads_the_hold_time_of_the_spec(traces: ModuleType) -> None:
    goal_met = [False, False, True, True, True]
    assert value(traces, "success", traces.make_spec(hold_s=0.15), goal_met=goal_met) == 1
    assert value(traces, "success", traces.make_spec(hold_s=0.2), goal_met=goal_met) == 0


def test_goal_conditions_count_only_what_holds_at_the_end(traces: ModuleType) -> None:
    spec = traces.make_spec(goal=("on(mug, plate)", "on(can, plate)"))
    assert value(traces, "goal_conditions", spec, steps=2, goal_met=[[0, 0], [1, 1], [1, 0]]) == 0.5
    assert value(traces, "goal_conditions", spec, steps=2, goal_met=[[0, 0], [1, 1], [0, 0]]) == 0.0
    assert value(traces, "goal_conditions", spec, steps=0, goal_met=[[1, 1]]) == 1.0


@pytest.mark.parametrize(
    ("first", "second", "reached"),
    [
        ("00000", "00000", 0.0),
        ("01100", "00000", 0.5),
        ("01100", "00010", 1.0),  # held, then let go over the plate
        ("01000", "01000", 1.0),  # both in one step
        ("00001", "01000", 0.5),  # it had been on the plate before it was held, and is not any more
        ("00000", "01111", 0.0),  # the mug came onto the plate without having been held
        ("11111", "11111", 1.0),  # from the beginning
    ],
)
def test_stages_are_reached_one_after_the_other(traces: ModuleType, first: str, second: str, reached: float) -> None:
    stage_met = [[a == "1", b == "1"] for a, b in zip(first, second, strict=True)]
    assert value(traces, "stage_reached", stage_met=stage_met) == reached
    assert value(traces, "plan_success", stage_met=stage_met) == float(reached == 1)


def test_a_task_without_stages_has_none_to_reach(traces: ModuleType) -> None:
    spec = traces.make_spec(stages=())
    assert value(traces, "stage_reached", spec) is None
    assert value(traces, "plan_success", spec) is None


def test_a_plan_has_not_succeeded_when_something_else_was_manipulated(traces: ModuleType) -> None:
    stage_met = [[0, 0], [1, 0], [1, 0], [1, 0], [1, 1]]
    assert value(traces, "plan_success", stage_met=stage_met, held={"mug": [0, 1, 1, 1, 0]}) == 1
    assert value(traces, "plan_success", stage_met=stage_met, held={"mug": [0, 0, 1, 1, 0], "can": [0, 1, 0, 0, 0]}) == 0
    pushed = {"x_m": {"can": [0.2, 0.2, 0.23, 0.23, 0.23]}, "touched_n": {"can": [0, 0, 4, 0, 0]}}
    assert value(traces, "plan_success", stage_met=stage_met, **pushed) == 0
    assert value(traces, "plan_success", stage_met=stage_met, x_m=pushed["x_m"]) == 1  # moved, but never touched by the robot


# --------------------------------------------------------------------------------------------------------------- the end, and the best
@pytest.mark.parametrize(("rows", "at_the_end"), [("00011", 1), ("00001", 1), ("01110", 0), ("00000", 0)])
def test_success_at_the_end_looks_at_the_last_step_alone(traces: ModuleType, rows: str, at_the_end: float) -> None:
    assert value(traces, "success_end", goal_met=[c == "1" for c in rows]) == at_the_end


def test_an_episode_without_steps_has_no_end(traces: ModuleType) -> None:
    assert value(traces, "success_end", steps=0, goal_met=[[1]]) is None


def test_the_most_goal_conditions_that_held_together_count(traces: ModuleType) -> None:
    spec = traces.make_spec(goal=("on(mug, plate)", "on(can, plate)"))
    assert value(traces, "goal_conditions_max", spec, steps=3, goal_met=[[0, 0], [1, 0], [0, 1], [0, 0]]) == 0.5
    assert value(traces, "goal_conditions_max", spec, steps=2, goal_met=[[0, 0], [1, 1], [1, 0]]) == 1.0
    assert value(traces, "goal_conditions_max", spec, steps=0, goal_met=[[1, 0]]) == 0.5


# --------------------------------------------------------------------------------------------------------------------------- progress
def test_progress_counts_what_was_grasped_beside_what_holds(traces: ModuleType) -> None:
    spec = traces.make_spec(goal=("on(mug, plate)", "on(can, plate)"))
    one_of_two = {"steps": 2, "goal_met": [[0, 0], [1, 0], [1, 0]]}
    assert value(traces, "progress_score", spec, **one_of_two, held={"mug": [0, 1, 0]}) == 2 / 4
    assert value(traces, "progress_score", spec, **one_of_two, held={"mug": [0, 1, 0], "can": [0, 0, 1]}) == 3 / 4
    assert value(traces, "progress_score", spec, steps=2) == 0
    assert value(traces, "progress_score", spec, steps=2, held={"plate": [0, 1, 0]}) == 0, "the destination is no target"


def test_a_success_is_whole_progress_however_it_came_about(traces: ModuleType) -> None:
    assert value(traces, "progress_score", goal_met=[0, 0, 0, 1, 1]) == 1


def test_without_a_prop_to_grasp_progress_is_that_of_the_conditions(traces: ModuleType) -> None:
    spec = traces.make_spec(goal=("open(cabinet/drawer)", "closed(cabinet/door)"), stages=(), fixtures={"cabinet": ["drawer", "door"]})
    assert value(traces, "progress_score", spec, steps=1, goal_met=[[0, 0], [1, 0]]) == 0.5


# ------------------------------------------------------------------------------------------------------------- the other goal, as told
def test_who_was_told_another_goal_and_held_it_did_what_was_said(traces: ModuleType) -> None:
    others = ((traces.predicate("on(mug, can)"),), (traces.predicate("on(can, plate)"),))
    spec = traces.make_spec(alternatives=others, told=1)
    second = [[0, 0], [0, 0], [0, 1], [0, 1], [0, 0]]
    assert value(traces, "named_success", spec, alternative_met=second) == 1
    assert value(traces, "named_success", spec, alternative_met=[row[::-1] for row in second]) == 0
    assert value(traces, "named_success", spec, alternative_met=[[0, 0], [0, 1], [0, 0], [0, 1], [0, 0]]) == 0, "held for too short a time"


def test_where_the_sentence_says_what_is_wanted_nothing_else_was_named(traces: ModuleType) -> None:
    assert value(traces, "named_success", traces.make_spec(alternatives=((traces.predicate("on(mug, can)"),),)), alternative_met=[[1]] * 5) is None
