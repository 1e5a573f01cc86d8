"""Wall time of a call of the policy: median, 95th percentile, maximum. The only measures that differ between equal runs."""

from __future__ import annotations

import numpy as np

from vlagym.benchmark.metric import Metric
from vlagym.envs.types import EpisodeSpec, Trace


def _measure(trace: Trace, spec: EpisodeSpec) -> dict[str, float | None]:
    calls = trace.latency_s
    if calls.size == 0:
        return {"p50": None, "p95": None, "max": None}
    p50, p95 = np.percentile(calls, [50, 95])
    return {"p50": float(p50), "p95": float(p95), "max": float(calls.max())}


METRIC = Metric(unit="s", better="lower", kind="mean", measure=_measure, parts=("p50", "p95", "max"))
