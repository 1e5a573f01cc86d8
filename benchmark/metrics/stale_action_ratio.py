"""Share of the control steps that executed no fresh decision: a later part of a chunk, or nothing new because the first action was on its way."""

from vlagym.benchmark.metric import Metric
from vlagym.benchmark.metrics._freshness import fresh_steps
from vlagym.envs.types import EpisodeSpec, Trace


def _measure(trace: Trace, spec: EpisodeSpec) -> float | None:
    fresh = fresh_steps(trace, spec)
    return None if fresh is None else 1.0 - fresh / trace.num_steps


METRIC = Metric(unit="share", better="lower", kind="mean", measure=_measure)
