"""Collisions and drops. A control step is 5 substeps of 10 ms; 0.1 s without contact are 10 substeps."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest

from vlagym.benchmark.scoring import measure


def value(traces: ModuleType, name: str, spec: Any = None, **kwargs: Any) -> float | None:
    family = "collisions" if name.startswith("collisions") else "peak_force_n" if name.startswith("peak_force_n") else name
    return measure(traces.make_trace(spec, **kwargs), [family])[name]


# ------------------------------------------------------------------------------------------------------------------------ collisions
@pytest.mark.parametrize(
    ("forces", "events"),
    [
        ({}, 0),
        ({3: 1.0}, 0),  # 1 N is not exceeded
        ({3: 1.01}, 1),
        ({0: 5.0}, 1),
        ({19: 5.0}, 1),
        ({3: 5.0, 4: 5.0, 5: 5.0}, 1),  # across the border of a control step
        ({3: 5.0, 13: 5.0}, 1),  # 9 substeps apart: still the same
        ({3: 5.0, 14: 5.0}, 2),  # 10 substeps without
        ({3: 5.0, 9: 0.5, 14: 5.0}, 2),  # a light touch in between is no contact
        ({0: 5.0, 9: 5.0, 18: 5.0}, 1),  # never 0.1 s without
    ],
)
def test_an_event_begins_when_the_force_rises_after_a_tenth_of_a_second_without(traces: ModuleType, forces: dict[int, float], events: int) -> None:
    assert value(traces, "collisions_robot_fixture", forces={"robot_fixture": forces}) == events


def test_collisions_are_counted_by_kind(traces: ModuleType) -> None:
    forces = {"self": {1: 4.0}, "held_fixture": {2: 7.5, 15: 2.0}, "robot_target": {3: 99.0}}
    found = measure(traces.make_trace(forces=forces), ["collisions", "peak_force_n"])
    assert {name: v for name, v in found.items() if v} == {
        "collisions_self": 1,
        "collisions_held_fixture": 2,
        "peak_force_n_self": 4.0,
        "peak_force_n_held_fixture": 7.5,
    }


def test_touching_what_the_goal_names_is_no_collision(traces: ModuleType) -> None:
    assert "collisions_robot_target" not in measure(traces.make_trace(), ["collisions"])


def test_a_kind_that_the_scene_cannot_have_does_not_apply(traces: ModuleType) -> None:
    alone = traces.make_spec(props=("mug",), goal=("lifted(mug)",), stages=())
    found = measure(traces.make_trace(alone), ["collisions"])
    assert found["collisions_robot_prop"] is None and found["collisions_held_prop"] is None
    assert found["collisions_robot_fixture"] == 0 and found["collisions_held_fixture"] == 0
    empty = traces.make_spec(props=(), goal=("open(cabinet/drawer)",), stages=(), fixtures={"cabinet": ["drawer"]})
    assert value(traces, "collisions_held_fixture", empty) is None
    assert value(traces, "peak_force_n_held_fixture", empty) is None


def test_peak_force_is_zero_where_nothing_touched_and_none_where_nothing_was_simulated(traces: ModuleType) -> None:
    assert value(traces, "peak_force_n_self") == 0
    assert value(traces, "peak_force_n_self", steps=0) is None
    assert value(traces, "collisions_self", steps=0) is None


# --------------------------------------------------------------------------------------------------------------------- handling force
def test_handling_force_is_the_largest_between_the_robot_and_what_the_goal_names(traces: ModuleType) -> None:
    forces = {"robot_target": {1: 4.0, 3: 12.5, 15: 7.0}, "robot_prop": {3: 99.0}, "held_fixture": {8: 50.0}}
    assert value(traces, "handling_force_n", forces=forces) == 12.5


def test_nothing_was_handled_where_nothing_was_touched_or_simulated(traces: ModuleType) -> None:
    assert value(traces, "handling_force_n", forces={"robot_prop": {3: 9.0}}) is None
    assert value(traces, "handling_force_n", steps=0) is None


# ----------------------------------------------------------------------------------------------------------------------------- drops
def lifted(height_m: list[float], held: str) -> dict[str, Any]:
    return {"steps": len(held) - 1, "height_m": {"mug": height_m}, "held": {"mug": [c == "1" for c in held]}}


def test_an_object_that_slips_out_of_the_hand_is_dropped(traces: ModuleType) -> None:
    assert value(traces, "drops", **lifted([0, 0.1, 0.2, 0.1, 0, 0], "011000")) == 1


def test_an_object_that_is_set_down_is_not_dropped(traces: ModuleType) -> None:
    assert value(traces, "drops", **lifted([0, 0.1, 0.1, 0.03, 0, 0], "011100")) == 0


@pytest.mark.parametrize(("goal_met", "drops"), [([0, 0, 0, 0, 1, 1], 0), ([0, 0, 0, 1, 0, 0], 1)])
def test_letting_go_over_the_destination_is_no_drop_if_it_stays_there(traces: ModuleType, goal_met: list[int], drops: float) -> None:
    assert value(traces, "drops", **lifted([0, 0.1, 0.2, 0.1, 0, 0], "011000"), goal_met=goal_met) == drops


def test_a_goal_about_another_object_excuses_nothing(traces: ModuleType) -> None:
    spec = traces.make_spec(goal=("on(can, plate)",))
    assert value(traces, "drops", spec, **lifted([0, 0.1, 0.2, 0.1, 0, 0], "011000"), goal_met=[0, 0, 0, 1, 1, 1]) == 1


def test_a_grip_that_flickers_is_no_drop(traces: ModuleType) -> None:
    assert value(traces, "drops", **lifted([0, 0.1, 0.2, 0.2, 0.2, 0.2], "010101")) == 0


def test_being_caught_in_the_air_ends_the_fall(traces: ModuleType) -> None:
    assert value(traces, "drops", **lifted([0, 0.2, 0.19, 0.18, 0.0, 0.0], "010111")) == 0
    assert value(traces, "drops", **lifted([0, 0.2, 0.19, 0.15, 0.0, 0.0], "010111")) == 1


def test_two_drops_are_two(traces: ModuleType) -> None:
    assert value(traces, "drops", **lifted([0, 0.1, 0, 0, 0.1, 0], "010010")) == 2


def test_without_props_there_is_nothing_to_drop(traces: ModuleType) -> None:
    empty = traces.make_spec(props=(), goal=("open(cabinet/drawer)",), stages=(), fixtures={"cabinet": ["drawer"]})
    assert value(traces, "drops", empty) is None
