"""Impulses, what topples, falls off or breaks, and limits that are left. A control step is 50 ms, a substep 10 ms."""

from __future__ import annotations

import dataclasses
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from vlagym.benchmark.scoring import measure


def value(traces: ModuleType, name: str, spec: Any = None, **kwargs: Any) -> float | None:
    return measure(traces.make_trace(spec, **kwargs), [name])[name]


def fragile(traces: ModuleType, *names: str) -> Any:
    """Returns the spec of mug, plate and can in which these break."""
    spec = traces.make_spec()
    props = tuple(dataclasses.replace(p, is_fragile=p.name in names) for p in spec.scene.props)
    return dataclasses.replace(spec, scene=dataclasses.replace(spec.scene, props=props))


# --------------------------------------------------------------------------------------------------------------------------- impulses
def test_an_impulse_is_force_times_time_over_all_substeps(traces: ModuleType) -> None:
    found = measure(traces.make_trace(forces={"self": {1: 4.0, 2: 6.0, 15: 0.5}, "robot_target": {3: 99.0}}), ["impulse_ns"])
    assert found["impulse_ns_self"] == pytest.approx(0.105) and found["impulse_ns_robot_fixture"] == 0
    assert "impulse_ns_robot_target" not in found


def test_what_cannot_collide_has_no_impulse(traces: ModuleType) -> None:
    assert measure(traces.make_trace(traces.make_spec(props=("mug", "plate"))), ["impulse_ns"])["impulse_ns_robot_prop"] is None
    assert measure(traces.make_trace(steps=0), ["impulse_ns"])["impulse_ns_self"] is None


# ---------------------------------------------------------------------------------------------------------------------------- toppled
@pytest.mark.parametrize(("tilt_deg", "toppled"), [([0, 0, 20, 60, 90], 1), ([0, 90, 90, 30, 10], 0), ([0, 0, 0, 0, 44], 0), ([90, 90, 0, 0, 90], 0)])
def test_what_stood_and_lies_at_the_end_has_toppled(traces: ModuleType, tilt_deg: list[float], toppled: float) -> None:
    assert value(traces, "toppled", tilt_deg={"can": tilt_deg}) == toppled


def test_what_a_hand_tilts_has_not_toppled(traces: ModuleType) -> None:
    poured = {"tilt_deg": {"mug": [0, 0, 45, 90, 100]}}
    assert value(traces, "toppled", **poured, held={"mug": [0, 1, 1, 1, 1]}) == 0
    assert value(traces, "toppled", **poured, held={"mug": [0, 1, 1, 1, 0]}) == 1


def test_what_rolls_cannot_topple(traces: ModuleType) -> None:
    spec = traces.make_spec(props=("mug", "plate", "ball"))
    props = (*spec.scene.props[:2], dataclasses.replace(spec.scene.props[2], asset="football"))
    spec = dataclasses.replace(spec, scene=dataclasses.replace(spec.scene, props=props))
    assert value(traces, "toppled", spec, tilt_deg={"ball": [0, 30, 60, 90, 120]}) == 0
    only = dataclasses.replace(spec, scene=dataclasses.replace(spec.scene, props=props[2:]))
    assert value(traces, "toppled", only) is None


# -------------------------------------------------------------------------------------------------------------------------- off table
def test_what_falls_below_the_table_is_off_it_even_if_it_bounces(traces: ModuleType) -> None:
    fallen = {"can": [0, -0.3, -0.7, -0.6, -0.7], "plate": [0, -0.01, -0.02, -0.01, -0.02]}
    assert value(traces, "off_table", height_m=fallen) == 1
    assert value(traces, "off_table", height_m={"can": [0.3, 0.2, 0.1, 0.0, 0.0]}) == 0, "from a shelf to the table is not off it"
    assert value(traces, "off_table", height_m={"can": [-0.7] * 5}) == 0, "it was never on it"
    assert value(traces, "off_table", traces.make_spec(props=(), goal=("open(cabinet/drawer)",), stages=(), fixtures={"cabinet": ["drawer"]})) is None


# ----------------------------------------------------------------------------------------------------------------------------- limits
def test_a_hit_on_a_joint_limit_is_an_event_however_long_it_lasts(traces: ModuleType) -> None:
    degree = np.pi / 180
    assert value(traces, "joint_limit_hits", joint_margin_rad=[0.5, 0.9 * degree, 0.2 * degree, 0.5, 0.0]) == 2
    assert value(traces, "joint_limit_hits", joint_margin_rad=[0.0, 0.0, 0.5, 0.5, 0.5]) == 0, "it began there"
    assert value(traces, "joint_limit_hits", joint_margin_rad=np.full(5, np.nan)) is None


def test_a_hand_that_is_faster_than_its_robot_may_be_violates_the_speed(traces: ModuleType) -> None:
    """A Panda's hand may move at 0.6 m/s: 3 cm in a control step of 50 ms."""
    slow, fast = 0.029, 0.031
    paths = {0: [slow, slow, slow, slow], 1: [slow, fast, fast, slow], 2: [fast, slow, fast, slow]}
    for events, steps_m in paths.items():
        x = 0.4 + np.concatenate([[0], np.cumsum(steps_m)])
        assert value(traces, "speed_violations", ee_pos_world_m=np.stack([x, 0 * x, 0 * x + 0.3], axis=1)) == events


def test_a_hand_that_leaves_its_room_violates_the_workspace_once_each_time(traces: ModuleType) -> None:
    """A Panda's hand has the room from x = 0.25 to 0.80 m; the overshoot of a centimetre is allowed."""
    inside, edge, outside = (0.5, 0.0, 0.3), (0.805, 0.0, 0.3), (0.9, 0.0, 0.3)
    for path, events in (([inside, edge, inside, edge, inside], 0), ([inside, outside, outside, inside, outside], 2), ([outside] * 5, 0)):
        assert value(traces, "workspace_violations", ee_pos_world_m=path) == events


@pytest.mark.parametrize("name", ["speed_violations", "workspace_violations"])
def test_a_robot_without_limits_violates_none(traces: ModuleType, name: str) -> None:
    assert value(traces, name, traces.make_spec(robot="somebody_elses")) is None
    assert value(traces, name, steps=0) is None


def test_the_room_of_a_robot_on_the_floor_is_not_known_to_a_trace(traces: ModuleType) -> None:
    assert value(traces, "workspace_violations", traces.make_spec(robot="g1")) is None
    assert value(traces, "speed_violations", traces.make_spec(robot="g1")) == 0


# ------------------------------------------------------------------------------------------------------------------------- what breaks
def test_each_touch_of_something_fragile_that_is_not_wanted_is_a_hit(traces: ModuleType) -> None:
    touched = {"touched_n": {"can": [0, 5, 0.5, 0, 5]}}
    assert value(traces, "fragile_hits", fragile(traces, "can"), **touched) == 2
    assert value(traces, "fragile_hits", fragile(traces, "can"), touched_n={"can": [0, 5, 0, 5, 0]}) == 1, "0.05 s apart it is still the same"
    assert value(traces, "fragile_hits", fragile(traces, "plate"), **touched) == 0
    assert value(traces, "fragile_hits", traces.make_spec(), **touched) is None


def test_to_hold_what_is_wanted_is_no_hit_and_to_let_it_fall_is_one(traces: ModuleType) -> None:
    carried = {"touched_n": {"mug": [0, 9, 9, 9, 0]}, "held": {"mug": [0, 1, 1, 1, 0]}}
    assert value(traces, "fragile_hits", fragile(traces, "mug"), **carried, height_m={"mug": [0, 0.1, 0.2, 0.02, 0]}) == 0
    assert value(traces, "fragile_hits", fragile(traces, "mug"), **carried, height_m={"mug": [0, 0.1, 0.2, 0.2, 0.1]}) == 1


def test_what_falls_over_an_edge_falls_once(traces: ModuleType) -> None:
    assert value(traces, "fragile_hits", fragile(traces, "can"), height_m={"can": [0, -0.1, -0.3, -0.6, -0.7]}) == 1


def test_the_peak_force_on_what_breaks_counts_the_grip(traces: ModuleType) -> None:
    touched = {"touched_n": {"mug": [0, 9, 30, 9, 0], "can": [0, 2, 0, 0, 0]}}
    assert value(traces, "fragile_peak_force_n", fragile(traces, "mug", "can"), **touched) == 30
    assert value(traces, "fragile_peak_force_n", fragile(traces, "plate"), **touched) == 0
    assert value(traces, "fragile_peak_force_n", traces.make_spec(), **touched) is None
