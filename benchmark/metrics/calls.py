"""How often the policy was asked for actions."""

from vlagym.benchmark.metric import Metric
from vlagym.envs.types import EpisodeSpec, Trace


def _measure(trace: Trace, spec: EpisodeSpec) -> float:
    return float(trace.call_step.size)


METRIC = Metric(unit="1", better="lower", kind="mean", measure=_measure)
