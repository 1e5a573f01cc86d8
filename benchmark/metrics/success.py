"""Every goal condition holds together, without a break, for the hold time of the spec."""

from vlagym.benchmark.metric import Metric
from vlagym.envs.outcome import held
from vlagym.envs.types import EpisodeSpec, Trace


def _measure(trace: Trace, spec: EpisodeSpec) -> float:
    return float(held(trace.columns["goal_met"], spec.hold_steps))


METRIC = Metric(unit="share", better="higher", kind="rate", measure=_measure)
