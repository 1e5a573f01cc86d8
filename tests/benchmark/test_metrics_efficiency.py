"""Steps, time, path, energy and latency."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest

from vlagym.benchmark.scoring import measure


def values(traces: ModuleType, name: str, **kwargs: Any) -> dict[str, float | None]:
    return measure(traces.make_trace(**kwargs), [name])


def test_steps_and_time_are_those_of_the_simulation(traces: ModuleType) -> None:
    assert values(traces, "steps", steps=7) == {"steps": 7}
    assert values(traces, "time_s", steps=7)["time_s"] == pytest.approx(0.35)
    assert values(traces, "time_s", steps=2, time_s=[5.0, 5.05, 5.1])["time_s"] == pytest.approx(0.1)
    assert values(traces, "steps", steps=0) == {"steps": 0}


def test_path_length_follows_the_corners(traces: ModuleType) -> None:
    corners = [[0, 0, 0], [0, 0, 0.3], [0, 0.4, 0.3], [0, 0, 0.3], [0, 0, 0]]
    assert values(traces, "path_length_m", ee_pos_world_m=corners) == {"path_length_m": pytest.approx(1.4)}
    assert values(traces, "path_length_m") == {"path_length_m": 0}


def test_path_lengths_of_two_hands_are_summed_and_no_hand_has_none(traces: ModuleType) -> None:
    trace = traces.make_trace(steps=1)
    trace.columns["ee_pos_world_m"] = np.array([[[0, 0, 0], [1, 0, 0]], [[0, 0, 2], [1, 3, 0]]], float)
    assert measure(trace, ["path_length_m"]) == {"path_length_m": 5}
    trace.columns["ee_pos_world_m"] = np.zeros((2, 0, 3))
    assert measure(trace, ["path_length_m"]) == {"path_length_m": None}


def test_energy_is_summed_over_the_steps_and_leaves_out_the_settling(traces: ModuleType) -> None:
    assert values(traces, "energy_j", energy_j=[100, 1, 2, 3, 4]) == {"energy_j": 10}


def test_latency_has_its_quantiles(traces: ModuleType) -> None:
    found = values(traces, "latency_s", latency_s=[0.01 * i for i in range(101)])
    assert found == {"latency_s_p50": pytest.approx(0.5), "latency_s_p95": pytest.approx(0.95), "latency_s_max": pytest.approx(1.0)}


def test_a_policy_that_was_never_called_has_no_latency(traces: ModuleType) -> None:
    assert values(traces, "latency_s") == {"latency_s_p50": None, "latency_s_p95": None, "latency_s_max": None}


# ------------------------------------------------------------------------------------------------------------------ joints and motion
def test_the_path_of_the_joints_is_euclidean_from_posture_to_posture(traces: ModuleType) -> None:
    posture = np.zeros((4, 7))
    posture[1, :2] = posture[2, :2] = (0.3, 0.4)
    posture[3, :2] = (0.3, 0.0)
    assert values(traces, "joint_path_rad", steps=3, joint_pos=posture)["joint_path_rad"] == pytest.approx(0.9)
    assert values(traces, "joint_path_rad", steps=0) == {"joint_path_rad": 0}


def least_jerk(rows: int) -> Any:
    """The motion of least jerk over 0.4 m, Flash and Hogan 1985."""
    t = np.linspace(0, 1, rows)
    return np.stack([0.4 * (10 * t**3 - 15 * t**4 + 6 * t**5), 0 * t, 0 * t], axis=1)


def test_the_motion_of_least_jerk_has_the_smoothness_that_its_formula_says(traces: ModuleType) -> None:
    found = values(traces, "log_dimensionless_jerk", steps=1000, ee_pos_world_m=least_jerk(1001))["log_dimensionless_jerk"]
    assert found == pytest.approx(-np.log(720 / 1.875**2), abs=0.02)


def test_smoothness_depends_neither_on_the_size_nor_on_the_speed_of_a_motion(traces: ModuleType) -> None:
    slow, fast = (values(traces, "log_dimensionless_jerk", steps=n, ee_pos_world_m=least_jerk(n + 1)) for n in (400, 200))
    small = values(traces, "log_dimensionless_jerk", steps=400, ee_pos_world_m=0.3 * least_jerk(401))
    assert slow["log_dimensionless_jerk"] == pytest.approx(small["log_dimensionless_jerk"])
    assert slow["log_dimensionless_jerk"] == pytest.approx(fast["log_dimensionless_jerk"], abs=0.05)


def test_a_motion_that_shakes_is_less_smooth(traces: ModuleType) -> None:
    shaken = least_jerk(101) + 0.002 * np.array([1, 0, 0]) * (-1.0) ** np.arange(101)[:, None]
    smooth, rough = (values(traces, "log_dimensionless_jerk", steps=100, ee_pos_world_m=path) for path in (least_jerk(101), shaken))
    assert rough["log_dimensionless_jerk"] < smooth["log_dimensionless_jerk"] - 5  # type: ignore[operator]


def test_what_does_not_move_is_neither_smooth_nor_rough(traces: ModuleType) -> None:
    assert values(traces, "log_dimensionless_jerk") == {"log_dimensionless_jerk": None}
    assert values(traces, "log_dimensionless_jerk", steps=2, ee_pos_world_m=[[0, 0, 0], [0.1, 0, 0], [0.2, 0, 0]])["log_dimensionless_jerk"] is None
    assert values(traces, "log_dimensionless_jerk", ee_pos_world_m=[[0.5 * i, 0, 0] for i in range(5)])["log_dimensionless_jerk"] is None


def test_smoothness_of_two_hands_is_the_mean_of_those_that_moved(traces: ModuleType) -> None:
    trace = traces.make_trace(steps=100)
    one = measure(traces.make_trace(steps=100, ee_pos_world_m=least_jerk(101)), ["log_dimensionless_jerk"])
    trace.columns["ee_pos_world_m"] = np.stack([least_jerk(101), np.zeros((101, 3))], axis=1)
    assert measure(trace, ["log_dimensionless_jerk"]) == one


def test_the_action_rate_is_the_mean_length_of_the_change(traces: ModuleType) -> None:
    actions = np.zeros((3, 7))
    actions[1, :2] = (0.3, 0.4)
    assert values(traces, "action_rate", steps=3, actions=actions)["action_rate"] == pytest.approx(0.5)
    assert values(traces, "action_rate", steps=3) == {"action_rate": 0}
    assert values(traces, "action_rate", steps=1) == {"action_rate": None}


# -------------------------------------------------------------------------------------------------------------------------- decisions
def test_calls_and_chunks_are_counted(traces: ModuleType) -> None:
    asked = {"steps": 20, "call_step": [0, 8, 16]}
    assert values(traces, "calls", **asked) == {"calls": 3}
    assert values(traces, "chunk_steps", **asked) == {"chunk_steps": pytest.approx(20 / 3)}
    assert values(traces, "calls") == {"calls": 0} and values(traces, "chunk_steps") == {"chunk_steps": None}


def test_a_step_is_fresh_at_which_a_chunk_begins(traces: ModuleType) -> None:
    asked = {"steps": 20, "call_step": [0, 5, 10, 15]}
    assert values(traces, "stale_action_ratio", **asked) == {"stale_action_ratio": pytest.approx(0.8)}
    assert values(traces, "effective_rate_hz", **asked) == {"effective_rate_hz": pytest.approx(4.0)}


def test_who_is_asked_at_every_step_is_always_fresh_and_has_the_control_rate(traces: ModuleType) -> None:
    asked = {"steps": 4, "call_step": [0, 1, 2, 3]}
    assert values(traces, "stale_action_ratio", **asked) == {"stale_action_ratio": 0}
    assert values(traces, "effective_rate_hz", **asked) == {"effective_rate_hz": 20}


def test_what_arrives_late_is_fresh_when_it_arrives_and_lost_after_the_end(traces: ModuleType) -> None:
    late = traces.make_trace(traces.make_spec(action_delay_steps=2), steps=10, call_step=range(10))
    found = measure(late, ["stale_action_ratio", "effective_rate_hz"])
    assert found == {"stale_action_ratio": pytest.approx(0.2), "effective_rate_hz": pytest.approx(16.0)}


def test_who_was_never_asked_is_neither_fresh_nor_stale(traces: ModuleType) -> None:
    assert values(traces, "stale_action_ratio") == {"stale_action_ratio": None}
    assert values(traces, "effective_rate_hz", steps=0) == {"effective_rate_hz": None}
