"""Which thing was moved first, and how far the others were moved."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest

from vlagym.benchmark.scoring import MetricFailed, measure


def value(traces: ModuleType, name: str, spec: Any = None, **kwargs: Any) -> float | None:
    return measure(traces.make_trace(spec, **kwargs), [name])[name]


def test_none_when_nothing_was_moved(traces: ModuleType) -> None:
    assert value(traces, "target_first") is None
    assert value(traces, "target_first", touched_n={"can": [0, 9, 9, 9, 9]}) is None


def test_the_thing_that_is_grasped_first_decides(traces: ModuleType) -> None:
    assert value(traces, "target_first", held={"mug": [0, 1, 1, 0, 0], "can": [0, 0, 0, 1, 1]}) == 1
    assert value(traces, "target_first", held={"mug": [0, 0, 0, 1, 1], "can": [0, 1, 1, 0, 0]}) == 0


def test_the_destination_is_named_too(traces: ModuleType) -> None:
    assert value(traces, "target_first", held={"plate": [0, 1, 1, 0, 0]}) == 1


@pytest.mark.parametrize(("distance_m", "expected"), [(0.019, None), (0.021, 0.0)])
def test_an_object_counts_as_moved_beyond_two_centimetres(traces: ModuleType, distance_m: float, expected: float | None) -> None:
    kwargs = {"x_m": {"can": [0.2, 0.2, 0.2 + distance_m, 0.2, 0.2]}, "touched_n": {"can": [0, 3, 0, 0, 0]}}
    assert value(traces, "target_first", **kwargs) == expected


def test_what_moves_before_the_robot_touches_it_is_not_the_robots_doing(traces: ModuleType) -> None:
    rolled = {"x_m": {"can": [0.2, 0.25, 0.3, 0.3, 0.3]}, "held": {"mug": [0, 0, 0, 1, 1]}}
    assert value(traces, "target_first", **rolled) == 1
    assert value(traces, "target_first", **rolled, touched_n={"can": [0, 0, 2, 0, 0]}) == 0


def test_two_things_swept_along_in_one_step_are_no_choice(traces: ModuleType) -> None:
    swept = {"x_m": {"mug": [0, 0.05, 0.05, 0.05, 0.05], "can": [0.2, 0.25, 0.25, 0.25, 0.25]}}
    touched = {"touched_n": {"mug": [0, 3, 0, 0, 0], "can": [0, 3, 0, 0, 0]}}
    assert value(traces, "target_first", **swept, **touched) == 0


def test_a_drawer_that_is_pulled_counts_as_moved_and_what_lies_in_it_does_not(traces: ModuleType) -> None:
    spec = traces.make_spec(goal=("open(cabinet/drawer)",), stages=(), fixtures={"cabinet": ["drawer"], "chest": ["drawer"]})
    pulled = {"joint": {"cabinet/drawer": [0, 0.01, 0.03, 0.06, 0.1]}, "fixture_touched_n": {"cabinet": [0, 5, 5, 5, 5]}}
    carried = {"x_m": {"can": [0.2, 0.21, 0.23, 0.26, 0.3]}}
    assert value(traces, "target_first", spec, **pulled, **carried) == 1
    other = {"joint": {"chest/drawer": [0, 0.01, 0.03, 0.06, 0.1]}, "fixture_touched_n": {"chest": [0, 5, 5, 5, 5]}}
    assert value(traces, "target_first", spec, **other) == 0


def test_a_trace_with_other_joints_than_its_spec_is_refused(traces: ModuleType) -> None:
    spec = traces.make_spec(fixtures={"cabinet": ["drawer"]})
    trace = traces.make_trace(spec)
    trace.columns["fixture_joint_pos"] = trace.columns["fixture_joint_pos"].repeat(2, axis=1)
    with pytest.raises(MetricFailed, match="the column 'fixture_joint_pos' has 2 entries a row; the spec of 'place_on' has 1"):
        measure(trace, ["target_first"])


def test_displacement_of_the_objects_that_are_not_named_is_summed_from_start_to_end(traces: ModuleType) -> None:
    spec = traces.make_spec(props=("mug", "plate", "can", "apple"))
    moved = {"mug": [0, 0, 0.5, 0.5, 0.5], "can": [0.2, 0.9, 0.2, 0.2, 0.23], "apple": [0.3, 0.3, 0.3, 0.3, 0.26]}
    assert value(traces, "wrong_object_displacement_m", spec, x_m=moved) == pytest.approx(0.07)
    assert value(traces, "wrong_object_displacement_m", spec) == 0


def test_without_another_object_there_is_no_wrong_one(traces: ModuleType) -> None:
    assert value(traces, "wrong_object_displacement_m", traces.make_spec(props=("mug", "plate"))) is None
