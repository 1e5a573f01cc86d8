"""Every goal condition holds together at the end of at least one control step, however briefly."""

from vlagym.benchmark.metric import Metric
from vlagym.envs.outcome import held
from vlagym.envs.types import EpisodeSpec, Trace


def _measure(trace: Trace, spec: EpisodeSpec) -> float:
    return float(held(trace.columns["goal_met"], 1))


METRIC = Metric(unit="share", better="higher", kind="rate", measure=_measure)
