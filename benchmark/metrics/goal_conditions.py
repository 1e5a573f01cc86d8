"""Share of the goal conditions that hold at the end of the episode (goal-condition success of ALFRED)."""

from vlagym.benchmark.metric import Metric
from vlagym.envs.types import EpisodeSpec, Trace


def _measure(trace: Trace, spec: EpisodeSpec) -> float | None:
    last = trace.columns["goal_met"][-1]
    return float(last.mean()) if last.size else None


METRIC = Metric(unit="share", better="higher", kind="mean", measure=_measure)
