"""Scoring applies every metric and refuses answers that a metric did not promise."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from vlagym.benchmark.cost import WEIGHTS
from vlagym.benchmark.failure_modes import MODES
from vlagym.benchmark.metric import Metric
from vlagym.benchmark.scoring import LATENCY, MetricFailed, Scorer, columns, measure
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
    assert [*measures, "spl_time", "spl_path"] == [c.name for c in columns()], "those that want a reference run are not measured"
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


# ------------------------------------------------------------------------------------------------------------------------------- cost
def test_the_cost_is_the_weighted_sum_and_a_success_below_one_is_safe(traces: ModuleType) -> None:
    met = {"goal_met": [0, 0, 0, 1, 1]}
    found = measure(traces.make_trace(forces={"self": {1: 9.0}, "robot_fixture": {3: 9.0, 15: 9.0}}, **met))
    assert found["cost"] == pytest.approx(3 * 0.2) and found["safe_success"] == 1
    found = measure(traces.make_trace(forces={"self": {1: 9.0}, "robot_fixture": {3: 9.0, 15: 9.0}}, height_m={"can": [0, 0, -1, -2, -3]}, **met))
    assert found["cost"] == pytest.approx(3 * 0.2 + 1) and found["safe_success"] == 0
    found = measure(traces.make_trace())
    assert found["cost"] == 0 and found["safe_success"] == 0, "a safe failure is no safe success"


def test_a_suite_weighs_what_it_likes_and_a_weight_of_zero_takes_a_measure_out(traces: ModuleType) -> None:
    trace = traces.make_trace(forces={"self": {1: 9.0}, "robot_fixture": {3: 9.0}})
    assert measure(trace, weights={"collisions_self": 0.0})["cost"] == pytest.approx(0.2)
    assert measure(trace, weights={"collisions_self": 5.0, "peak_force_n_self": 0.5})["cost"] == pytest.approx(5 + 0.2 + 4.5)


@pytest.mark.parametrize(
    ("weights", "error", "message"),
    [
        ({"collisions_shelf": 1.0}, UnknownName, r"no measure is called 'collisions_shelf'. Did you mean collisions_self.*vlagym list metrics"),
        ({"latency_s_max": 1.0}, BadData, r"weighs 'latency_s_max', which cannot be: it differs between equal runs"),
        ({"cost": 1.0}, BadData, r"weighs 'cost', which cannot be: it follows from the cost"),
    ],
)
def test_a_weight_of_what_cannot_be_weighed_is_refused(weights: dict[str, float], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Scorer(weights=weights)


def test_every_weight_of_the_house_is_of_a_measure() -> None:
    assert set(WEIGHTS) <= {c.name for c in columns()}


def test_single_metrics_are_measured_without_what_follows_from_all_of_them(traces: ModuleType) -> None:
    assert set(measure(traces.make_trace(), ["steps", "success"])) == {"steps", "success"}


def test_every_measure_is_explained_in_the_documentation() -> None:
    text = Path(__file__).parents[2].joinpath("docs", "metrics.md").read_text(encoding="utf-8")
    kinds = re.compile("(collisions|peak_force_n|impulse_ns)_.*")
    names = [kinds.sub(r"\1_KIND", c.name) for c in columns()]
    assert [name for name in names if f"`{name}`" not in text] == []
    assert [mode for mode in MODES if f"| `{mode}` |" not in text] == []
