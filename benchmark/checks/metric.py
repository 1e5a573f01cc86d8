"""A metric: a unit and a direction, and a pure function whose values are finite on every trace, however odd."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from vlagym.benchmark.check import Contract, described, first_sentence_complaint
from vlagym.benchmark.checks import _samples
from vlagym.benchmark.metric import Metric, Value
from vlagym.envs import catalog
from vlagym.envs.types import Trace


def _complaints(name: str) -> Iterator[str]:
    metric = catalog.load("metric", name)
    if not isinstance(metric, Metric):
        yield f"METRIC is {type(metric).__name__}: make it a vlagym.benchmark.metric.Metric"
        return
    yield from first_sentence_complaint("metric", name)
    if not metric.unit:
        yield 'it has no unit: write "1" for a count, "share" for a number between 0 and 1, else "m", "s", "N" …'
    if metric.better not in ("higher", "lower"):
        yield f"better is {metric.better!r}: say higher or lower, so that a table can be read"
    if metric.kind not in ("rate", "mean"):
        yield f"kind is {metric.kind!r}: say rate (0 or 1 an episode) or mean"
    if len(set(metric.parts)) != len(metric.parts):
        yield f"parts holds a name twice: {', '.join(metric.parts)}"
    traces = _samples.traces()
    first: dict[str, Mapping[str, Value]] = {}
    for label, trace in traces.items():
        try:
            first[label] = _measured(metric, trace)
        except Exception as error:
            yield f"on {label} it raises {described(error)}"
            continue
        yield from (f"on {label} {complaint}" for complaint in _about(metric, first[label]))
    for label, trace in reversed(traces.items()):
        if label in first and (again := _measured(metric, trace)) != first[label]:
            told = f"{dict(first[label])} first and {dict(again)} when asked again after other episodes"
            yield f"on {label} it gives {told}: keep no state between calls"


def _measured(metric: Metric, trace: Trace) -> Mapping[str, Value]:
    """Returns the values by part; a metric without parts has the part ""."""
    value = metric.measure(trace, trace.spec)
    return dict(value) if isinstance(value, Mapping) else {"": value}


def _about(metric: Metric, values: Mapping[str, Value]) -> Iterator[str]:
    wanted = metric.parts or ("",)
    if set(values) != set(wanted):
        yield f"it gives {_listed(values)}, while parts promises {_listed(metric.parts)}"
    for part, value in values.items():
        who = f"the value{f' of {part!r}' if part else ''}"
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            yield f"{who} is {type(value).__name__} {value!r}: give a float, or None where the metric does not apply"
        elif not math.isfinite(value):
            yield f"{who} is {value}: give None where the metric does not apply"
        elif metric.kind == "rate" and value not in (0.0, 1.0):
            yield f"{who} is {value:g}: a rate is 0 or 1 in each episode; say kind='mean' for other numbers"
        elif metric.unit == "share" and not 0.0 <= value <= 1.0:
            yield f"{who} is {value:g}: a share lies between 0 and 1"


def _listed(names: Mapping[str, Value] | tuple[str, ...]) -> str:
    return ", ".join(map(repr, filter(None, names))) or "one value without a name"


CONTRACT = Contract(names=lambda: catalog.names("metric"), complaints=_complaints)
