"""Largest share of the goal conditions that held together at the end of any control step, or before the first."""

from vlagym.benchmark.metric import Metric
from vlagym.envs.types import EpisodeSpec, Trace


def _measure(trace: Trace, spec: EpisodeSpec) -> float | None:
    met = trace.columns["goal_met"]
    return float(met.mean(axis=1).max()) if met.size else None


METRIC = Metric(unit="share", better="higher", kind="mean", measure=_measure)
