"""Every metric keeps the contract of its kind: pure, finite, with a unit."""

from __future__ import annotations

from types import ModuleType

import pytest

from vlagym.benchmark.checks.metric import CONTRACT
from vlagym.benchmark.scoring import measure
from vlagym.envs import catalog


@pytest.mark.parametrize("name", catalog.names("metric"))
def test_nothing_is_wrong_with_it(name: str) -> None:
    assert list(CONTRACT.complaints(name)) == []


@pytest.mark.parametrize("name", catalog.names("metric"))
def test_it_leaves_the_trace_as_it_was(traces: ModuleType, name: str) -> None:
    trace = traces.make_trace(held={"mug": [0, 1, 1, 0, 0]}, forces={"self": {3: 5.0}}, latency_s=[0.1])
    for array in (trace.actions, trace.contact_force_n, trace.latency_s, trace.call_step, *trace.columns.values()):
        array.flags.writeable = False
    measure(trace, [name])


@pytest.mark.parametrize("name", catalog.names("metric"))
def test_it_answers_for_an_episode_that_never_began(traces: ModuleType, name: str) -> None:
    measure(traces.make_trace(steps=0), [name])
