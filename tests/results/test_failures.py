"""How policies fail, as counts and shares."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from types import ModuleType

import pytest

from vlagym.benchmark import failure_modes
from vlagym.envs.errors import BadData, UnknownName
from vlagym.results.failures import MODES, failures, modes_of
from vlagym.results.pooling import Run

MakeRun = Callable[..., Run]


def run_of(traces: ModuleType, *labels: str | None) -> Run:
    results = [traces.make_result(traces.make_spec(seed=i), outcome="failure", failure_mode=label) for i, label in enumerate(labels)]
    succeeded = traces.make_result(traces.make_spec(seed=90))
    errored = traces.make_result(traces.make_spec(seed=91), outcome="error")
    return Run(name="run", header=traces.make_header(), results=[*results, succeeded, errored])


def test_failures_are_counted_by_their_label(traces: ModuleType) -> None:
    (row,) = failures([run_of(traces, "timed_out", "dropped", "dropped", "slipped", None)])
    assert (row.n, row.errors, row.num_failures) == (6, 1, 5)
    assert list(row.counts.items()) == [("dropped", 2), ("timed_out", 1), ("slipped", 1), ("unlabelled", 1)], "in the order of the rules"
    assert row.share("dropped") == pytest.approx(2 / 6) and row.share("undone") == 0.0
    assert modes_of([row]) == ["dropped", "timed_out", "slipped", "unlabelled"]


def test_they_are_parted_as_the_table_is(traces: ModuleType) -> None:
    run = run_of(traces, "dropped", "undone")
    other = [dataclasses.replace(r, task="pour") if r.failure_mode == "undone" else r for r in run.results]
    rows = failures([dataclasses.replace(run, results=other)], ["task"])
    assert [(row.group, row.counts) for row in rows] == [(("place_on",), {"dropped": 1}), (("pour",), {"undone": 1})]
    with pytest.raises(UnknownName, match="no grouping is called 'tasks'"):
        failures([run], ["tasks"])
    with pytest.raises(BadData, match="at least one run folder"):
        failures([])


def test_the_labels_are_those_of_the_benchmark() -> None:
    assert MODES == tuple(failure_modes.MODES)
