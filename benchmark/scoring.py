"""The measures of an episode: every metric of the catalogue, applied to a trace, and what follows from them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from vlagym.benchmark.cost import SAFE_BELOW, cost, weights_with
from vlagym.benchmark.metric import Metric
from vlagym.envs import catalog
from vlagym.envs.errors import BadData, VlagymError
from vlagym.envs.types import EpisodeResult, Trace
from vlagym.results import spl
from vlagym.results.aggregate import Column

LATENCY = "latency_"
"""Measures whose names begin so depend on the machine; all others are the same whenever the same actions are simulated."""

DERIVED = (
    Column(name="cost", unit="1", better="lower", kind="mean", headline=True),
    Column(name="safe_success", unit="share", better="higher", kind="rate", headline=True),
)
"""Measures that are made of others and no trace: the weighted cost, and success at a cost below 1."""

STATED = "stated_"
"""Measures whose names begin so are what a policy says of itself, such as a planner of its plan. Nothing confirms them."""

_STATED = {
    c.name: c
    for c in (
        Column(name=f"{STATED}plan_valid", unit="share", better="higher", kind="mean"),
        Column(name=f"{STATED}plan_executable", unit="share", better="higher", kind="mean"),
        Column(name=f"{STATED}model_calls", unit="1", better="lower", kind="mean"),
        Column(name=f"{STATED}prompt_tokens", unit="1", better="lower", kind="mean"),
        Column(name=f"{STATED}completion_tokens", unit="1", better="lower", kind="mean"),
    )
}

REFERRED = tuple(Column(name=name, unit="share", better="higher", kind="mean") for name in spl.OF)
"""Measures that want a second run to compare with."""


class MetricFailed(VlagymError):
    """A metric raised, or answered with something that it did not promise."""


def metrics(names: Sequence[str] | None = None) -> dict[str, Metric]:
    """Returns metrics by their names.

    Args:
      names: Files of `benchmark/metrics` or `package.module:ATTRIBUTE`; default: every file.

    Raises:
      UnknownName: If one does not exist.
      BadData: If one defines something else than a `Metric`.
    """
    found: dict[str, Metric] = {}
    for name in catalog.names("metric") if names is None else names:
        metric = catalog.load("metric", name)
        if not isinstance(metric, Metric):
            raise BadData(f"the metric {name!r} is a {type(metric).__name__}; METRIC must be a vlagym.benchmark.metric.Metric")
        # An outsider's metric is called like its module: its values need a name that is a word.
        found[name.partition(":")[0].rpartition(".")[2]] = metric
    return found


class Scorer:
    """Measures one episode after another; the metrics are looked up once."""

    def __init__(self, names: Sequence[str] | None = None, weights: Mapping[str, float] | None = None) -> None:
        """Looks up the metrics.

        Args:
          names: As for `metrics`.
          weights: Measure -> weight of the cost, where they differ from those of the house: `Suite.cost`.

        Raises:
          UnknownName: If there is no such metric, or no measure that a weight is of.
          BadData: If something else than a metric is named, or a weight cannot be.
        """
        self._metrics = metrics(names)
        self._derives = _derives(self._metrics)
        values = [value for name, metric in self._metrics.items() for value in metric.names(name)]
        self._weights = weights_with(weights or {}, [*values, *(c.name for c in DERIVED)]) if self._derives else {}

    def measure(self, trace: Trace) -> dict[str, float | None]:
        """Returns the measures of an episode: name -> number, or None where the metric does not apply.

        After those of the metrics come the `DERIVED` ones, if every metric of ours is among them.

        Raises:
          MetricFailed: If a metric raises, answers with something else than it declares, or with NaN or infinity.
        """
        measures: dict[str, float | None] = {}
        for name, metric in self._metrics.items():
            try:
                measures.update(_values(name, metric, trace))
            except MetricFailed:
                raise
            except Exception as error:
                raise MetricFailed(f"the metric {name!r} raised {type(error).__name__}: {error}") from error
        if self._derives:
            paid = cost(measures, self._weights)
            measures |= {"cost": paid, "safe_success": float(measures["success"] == 1 and paid < SAFE_BELOW)}
        return measures


def measure(trace: Trace, names: Sequence[str] | None = None, weights: Mapping[str, float] | None = None) -> dict[str, float | None]:
    """Returns the measures of one episode.

    Args:
      trace: What happened; its spec says what was asked for.
      names: As for `metrics`.
      weights: As for `Scorer`.

    Raises:
      MetricFailed: As `Scorer.measure`.
    """
    return Scorer(names, weights).measure(trace)


def columns(names: Sequence[str] | None = None) -> tuple[Column, ...]:
    """Returns what a table needs to know of each measure, in the order of `measure`; last those that want a reference run (`results.spl`)."""
    found = metrics(names)
    own = tuple(
        Column(name=value, unit=metric.unit, better=metric.better, kind=metric.kind, headline=metric.headline)
        for name, metric in found.items()
        for value in metric.names(name)
    )
    return (*own, *DERIVED, *REFERRED) if _derives(found) else own


def stated(results: Iterable[EpisodeResult]) -> tuple[Column, ...]:
    """Returns what a table needs to know of the measures that policies state of themselves in some results; none where no policy does."""
    names = {name for result in results for name in result.measures if name.startswith(STATED)}
    known = [column for name, column in _STATED.items() if name in names]
    return (*known, *(Column(name=name, unit="1", better="higher", kind="mean") for name in sorted(names - set(_STATED))))


def _derives(found: Mapping[str, Metric]) -> bool:
    return set(catalog.names("metric")) <= set(found)


def _values(name: str, metric: Metric, trace: Trace) -> dict[str, float | None]:
    answer = metric.measure(trace, trace.spec)
    if isinstance(answer, Mapping):
        if not metric.parts or set(answer) != set(metric.parts):
            declared = ", ".join(metric.parts) or "none: it must answer with a number or None"
            raise MetricFailed(f"the metric {name!r} answered with the parts {', '.join(answer)}; it declares {declared}")
        values = {f"{name}_{part}": answer[part] for part in metric.parts}
    else:
        if metric.parts:
            raise MetricFailed(f"the metric {name!r} answered with {answer!r}; it declares the parts {', '.join(metric.parts)}")
        values = {name: answer}
    for value_name, value in values.items():
        if value is None:
            continue
        if not isinstance(value, (int, float)) or not math.isfinite(value):
            raise MetricFailed(f"the metric {name!r} gave {value!r} for {value_name!r}; it must be a finite number, or None where it does not apply")
        if metric.kind == "rate" and value not in (0, 1):
            raise MetricFailed(f"the metric {name!r} is a rate and gave {value!r} for {value_name!r}; a rate is 0 or 1 in each episode")
        values[value_name] = float(value)
    return values
