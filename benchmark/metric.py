"""What a metric is: a unit, a direction, and a pure function of a trace and its spec."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from vlagym.envs.types import EpisodeSpec, Trace

METRICS_VERSION = 1
"""Of what the metrics mean. Raised whenever a trace can give another number than before; a run says by which its measures were made, and runs of two
versions never stand in one row."""

Value = float | None
"""A number, or None where the metric does not apply to the episode."""


@dataclass(frozen=True, kw_only=True)
class Metric:
    """`METRIC` of a file in `benchmark/metrics`.

    A metric has one value, named like its file, or a family of them: then `parts` names its members, `measure` returns a mapping with exactly
    these keys, and the value of part "p50" of the file `latency_s.py` is called `latency_s_p50`.
    """

    unit: str
    """"1" for counts and "share" for numbers between 0 and 1 that are shown as percent; "m", "s", "N", "J", "steps"."""
    better: Literal["higher", "lower"]
    kind: Literal["rate", "mean"]
    """rate: 0 or 1 an episode, summed up with a Wilson interval. mean: any number, with a bootstrap interval."""
    measure: Callable[[Trace, EpisodeSpec], Value | Mapping[str, Value]]
    """Pure: the same trace always gives the same value."""
    parts: tuple[str, ...] = ()
    """Members of a family; empty for a single value."""
    headline: bool = False
    """Shown in tables that a person reads; the others are in CSV and JSON."""

    def names(self, file_name: str) -> tuple[str, ...]:
        """Returns the names of the values, given the name of the file that defines the metric."""
        return tuple(f"{file_name}_{part}" for part in self.parts) or (file_name,)
