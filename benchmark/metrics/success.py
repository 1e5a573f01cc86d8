"""The goal holds without a break for the hold time, all steps in order, before another goal of the scene was held as long."""

from vlagym.benchmark.metric import Metric
from vlagym.envs.outcome import decided
from vlagym.envs.types import EpisodeSpec, Trace


def _measure(trace: Trace, spec: EpisodeSpec) -> float:
    return float(decided(spec, trace.columns) == "goal")


METRIC = Metric(unit="share", better="higher", kind="rate", measure=_measure)
