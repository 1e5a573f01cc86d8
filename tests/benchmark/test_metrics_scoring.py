"""Scoring applies every metric and refuses answers that a metric did not promise."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import pytest

from vlagym.benchmark.metric import Metric
from vlagym.benchmark.scoring import LATENCY, MetricFailed, columns, measure
from vlagym.envs import catalog
from vlagym.envs.errors import BadData, UnknownName
from vlagym.envs.types import EpisodeSpec, Trace


@pytest.fixture
def outsider(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Returns a function that installs a metric as "somewhere.jerk:METRIC"."""

    def install(answer: Any, *, kind: Any = "mean", parts: tuple[str, ...] = ()) -> str:
        module = ModuleType("somewhere.jerk")
        module.METRIC = Metric(unit="1", better="lower", kind=kind, measure=lambda trace, spec: answer, parts=parts)  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "somewhere", ModuleType("somewhere"))
        monkeypatch.setitem(sys.modules, "somewhere.jerk", module)
        return "somewhere.jerk:METRIC"

    return install


def test_every_metric_file_gives_its_values_in_order(traces: ModuleType) -> None:
    measures = measure(traces.make_trace(latency_s=[0.1]))
    assert list(measures) == [c.name for c in columns()]
    assert {name for name in measures if name in catalog.names("metric")} >= {"success", "steps", "drops", "target_first"}
    assert [name for name in measures if name.startswith(LATENCY)] == ["latency_s_p50", "latency_s_p95", "latency_s_max"]


def test_names_say_their_units() -> None:
    for column in columns():
        if column.unit not in ("1", "share", "steps"):
            assert any(part == column.unit.lower() for part in column.name.split("_")), column


def test_an_outsiders_metric_is_called_like_its_module(traces: ModuleType, outsider: Any) -> None:
    name = outsider(2)
    assert measure(traces.make_trace(), [name]) == {"jerk": 2.0}
    assert [c.name for c in columns([name])] == ["jerk"]


@pytest.mark.parametrize(
    ("answer", "kind", "parts", "message"),
    [
        (math.nan, "mean", (), "the metric 'jerk' gave nan for 'jerk'; it must be a finite number, or None where it does not apply"),
        ("much", "mean", (), "gave 'much' for 'jerk'"),
        (0.5, "rate", (), "is a rate and gave 0.5 for 'jerk'; a rate is 0 or 1 in each episode"),
        ({"a": 1.0}, "mean", (), "answered with the parts a; it declares none: it must answer with a number or None"),
        ({"a": 1.0}, "mean", ("a", "b"), "answered with the parts a; it declares a, b"),
        (1.0, "mean", ("a", "b"), "answered with 1.0; it declares the parts a, b"),
    ],
)
def test_an_answer_that_was_not_declared_is_refused(
    traces: ModuleType, outsider: Any, answer: float | Mapping[str, float], kind: str, parts: tuple[str, ...], message: str
) -> None:
    with pytest.raises(MetricFailed, match=message):
        measure(traces.make_trace(), [outsider(answer, kind=kind, parts=parts)])


def test_a_metric_that_raises_is_named(traces: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    def divide(trace: Trace, spec: EpisodeSpec) -> float:
        return 1.0 / 0.0

    module = ModuleType("halves")
    module.METRIC = Metric(unit="1", better="lower", kind="mean", measure=divide)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "halves", module)
    with pytest.raises(MetricFailed, match="the metric 'halves' raised ZeroDivisionError: "):
        measure(traces.make_trace(), ["halves:METRIC"])


def test_something_else_than_a_metric_is_refused(traces: ModuleType) -> None:
    with pytest.raises(BadData, match="is a float; METRIC must be a vlagym.benchmark.metric.Metric"):
        measure(traces.make_trace(), ["math:pi"])
    with pytest.raises(UnknownName, match="no metric is called 'stepz'. Did you mean steps"):
        measure(traces.make_trace(), ["stepz"])
