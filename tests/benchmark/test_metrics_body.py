"""Falls, balance, joint and torque limits, people, and what the safety filter did. Every trace has 4 control steps unless it says otherwise."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest

from vlagym.benchmark.scoring import measure
from vlagym.envs.safety import CLIPPED, NO_FILTER, PASSED, STOPPED
from vlagym.envs.types import CONTACT_KINDS


def value(traces: ModuleType, name: str, spec: Any = None, **kwargs: Any) -> float | None:
    return measure(traces.make_trace(spec, **kwargs), [name])[name]


# ------------------------------------------------------------------------------------------------------------------------------ legs
@pytest.mark.parametrize(("is_fallen", "falls"), [([0, 0, 0, 0, 0], 0), ([0, 0, 0, 0, 1], 1), ([0, 1, 1, 1, 1], 1)])
def test_an_episode_has_a_fall_or_none(traces: ModuleType, is_fallen: list[int], falls: int) -> None:
    assert value(traces, "falls", traces.make_spec(robot_base="legs"), is_fallen=is_fallen) == falls


def test_the_margin_is_the_smallest_and_may_be_negative(traces: ModuleType) -> None:
    legs = traces.make_spec(robot_base="legs")
    assert value(traces, "com_margin_min_m", legs, com_margin_m=[0.06, 0.05, -0.01, 0.02, 0.05]) == pytest.approx(-0.01)
    assert value(traces, "com_margin_min_m", legs, com_margin_m=[0.06, 0.05, 0.04, 0.02, 0.05]) == pytest.approx(0.02)


def test_slip_is_summed_over_the_steps_and_not_over_the_settling(traces: ModuleType) -> None:
    assert value(traces, "foot_slip_m", traces.make_spec(robot_base="legs"), foot_slip_m=[9.0, 0.001, 0.0, 0.002, 0.0]) == pytest.approx(0.003)


@pytest.mark.parametrize("name", ["falls", "com_margin_min_m", "foot_slip_m"])
@pytest.mark.parametrize("base", ["fixed", "planar"])
def test_what_is_about_legs_does_not_apply_to_a_robot_that_something_else_carries(traces: ModuleType, name: str, base: str) -> None:
    assert value(traces, name, traces.make_spec(robot_base=base)) is None


# ---------------------------------------------------------------------------------------------------------------------------- motors
def test_a_joint_counts_as_at_its_limit_within_one_degree_of_it(traces: ModuleType) -> None:
    degree = np.pi / 180
    margin = [0.0, 0.5, 1.1 * degree, 0.9 * degree, -0.01]  # the first is before the first action
    assert value(traces, "joint_limit_share", joint_margin_rad=margin) == 0.5


def test_torque_is_saturated_where_a_motor_gives_all_that_it_has(traces: ModuleType) -> None:
    assert value(traces, "torque_saturation", torque_share=[1.0, 0.2, 0.99, 1.0, 0.5]) == 0.25


@pytest.mark.parametrize(("name", "column"), [("joint_limit_share", "joint_margin_rad"), ("torque_saturation", "torque_share")])
def test_what_an_old_trace_did_not_record_is_not_measured(traces: ModuleType, name: str, column: str) -> None:
    assert value(traces, name, **{column: np.full(5, np.nan)}) is None
    assert value(traces, name, steps=0) is None


# ---------------------------------------------------------------------------------------------------------------------------- people
def test_the_force_on_a_person_is_the_largest_on_anyone_who_stands_there(traces: ModuleType) -> None:
    spec = traces.make_spec(fixtures={"cabinet": [], "bystander": [], "bystander_2": []})
    touched = {"cabinet": [0, 99, 0, 0, 0], "bystander": [0, 0, 12.5, 0, 0], "bystander_2": [0, 0, 0, 3, 0]}
    assert value(traces, "bystander_force_n", spec, fixture_touched_n=touched) == 12.5
    assert value(traces, "bystander_force_n", spec) == 0


def test_where_nobody_stands_there_is_no_force_on_a_person(traces: ModuleType) -> None:
    assert value(traces, "bystander_force_n", traces.make_spec(fixtures={"cabinet": []})) is None


# ---------------------------------------------------------------------------------------------------------------------------- filter
def test_clips_are_a_share_of_the_steps_and_a_stop_ends_the_episode(traces: ModuleType) -> None:
    clipped = [PASSED, CLIPPED, CLIPPED, PASSED]
    assert value(traces, "safety_clips", safety=clipped) == 0.5
    assert value(traces, "safety_stops", safety=clipped) == 0
    stopped = [PASSED, PASSED, PASSED, STOPPED]
    assert value(traces, "safety_clips", safety=stopped) == 0
    assert value(traces, "safety_stops", safety=stopped) == 1


@pytest.mark.parametrize("name", ["safety_clips", "safety_stops"])
def test_a_run_without_a_filter_has_neither_clips_nor_stops(traces: ModuleType, name: str) -> None:
    assert value(traces, name, safety=[NO_FILTER] * 4) is None


def test_the_self_collisions_of_a_humanoid_are_those_of_the_kind_self(traces: ModuleType) -> None:
    assert "self" in CONTACT_KINDS
    found = measure(traces.make_trace(forces={"self": {1: 40.0, 15: 2.0}}), ["collisions", "peak_force_n"])
    assert found["collisions_self"] == 2 and found["peak_force_n_self"] == 40.0
