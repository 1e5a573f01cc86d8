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
