"""Simulated time from the first observation to the end."""

from vlagym.benchmark.metric import Metric
from vlagym.envs.types import EpisodeSpec, Trace


def _measure(trace: Trace, spec: EpisodeSpec) -> float:
    time_s = trace.columns["time_s"]
    return float(time_s[-1] - time_s[0])


METRIC = Metric(unit="s", better="lower", kind="mean", measure=_measure, headline=True)
