"""Success weighted by how short it was, against a reference run of the same episodes."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest

from vlagym.results.spl import reference_of, spl, with_spl


def result(traces: ModuleType, outcome: str = "success", seed: int = 0, **measures: float | None) -> Any:
    return traces.make_result(traces.make_spec(seed=seed), outcome=outcome, **({} if outcome == "error" else {"measures": measures}))


@pytest.mark.parametrize(
    ("outcome", "time_s", "path_m", "expected"),
    [
        ("success", 4.0, 2.0, (0.5, 0.5)),
        ("success", 2.0, 1.0, (1.0, 1.0)),
        ("success", 1.0, 0.5, (1.0, 1.0)),  # shorter than the reference counts as equal to it
        ("failure", 1.0, 0.5, (0.0, 0.0)),
        ("success", 8.0, None, (0.25, None)),
    ],
)
def test_a_success_counts_by_the_reference_over_the_longer(
    traces: ModuleType, outcome: str, time_s: float, path_m: float | None, expected: tuple[float | None, ...]
) -> None:
    reference = reference_of([result(traces, time_s=2.0, path_length_m=1.0)])
    found = spl(result(traces, outcome, time_s=time_s, path_length_m=path_m), reference)
    assert tuple(found.values()) == expected and list(found) == ["spl_time", "spl_path"]


def test_what_the_reference_did_not_solve_is_left_out(traces: ModuleType) -> None:
    reference = reference_of([result(traces, "failure", time_s=2.0, path_length_m=1.0), result(traces, "error", seed=1)])
    for seed in (0, 1, 2):
        assert spl(result(traces, seed=seed, time_s=1.0, path_length_m=1.0), reference) == {"spl_time": None, "spl_path": None}


def test_errors_have_no_measures_and_get_none(traces: ModuleType) -> None:
    reference = reference_of([result(traces, time_s=2.0, path_length_m=0.0)])
    errored, moved, still = with_spl(
        [result(traces, "error"), result(traces, time_s=4.0, path_length_m=1.0), result(traces, time_s=4.0, path_length_m=0.0)], reference
    )
    assert errored.measures == {} and moved.measures["time_s"] == 4.0
    assert moved.measures["spl_path"] == 0 and still.measures["spl_path"] == 1, "nobody is shorter than no path at all"


def test_of_two_reference_runs_the_shorter_counts_whichever_is_named_first(traces: ModuleType) -> None:
    quick, straight = (result(traces, time_s=t, path_length_m=m) for t, m in ((2.0, 3.0), (4.0, 1.0)))
    for runs in ([quick, straight], [straight, quick]):
        (reference,) = reference_of(runs).values()
        assert reference == {"time_s": 2.0, "path_length_m": 1.0}
