"""Fresh decisions that were executed in a second of simulated time: the control rate of a policy that is asked at every step, less of others."""

from vlagym.benchmark.metric import Metric
from vlagym.benchmark.metrics._freshness import fresh_steps
from vlagym.envs.types import EpisodeSpec, Trace


def _measure(trace: Trace, spec: EpisodeSpec) -> float | None:
    fresh = fresh_steps(trace, spec)
    return None if fresh is None else fresh * spec.control.rate_hz / trace.num_steps


METRIC = Metric(unit="Hz", better="higher", kind="mean", measure=_measure)
