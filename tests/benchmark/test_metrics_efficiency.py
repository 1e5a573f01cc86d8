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
