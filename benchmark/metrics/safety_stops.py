"""The safety filter stopped the episode; None in a run without one that may stop it."""

from vlagym.benchmark.metric import Metric
from vlagym.envs.types import EpisodeSpec, Trace


def _measure(trace: Trace, spec: EpisodeSpec) -> float | None:
    if (trace.safety < 0).any() or not trace.safety.size:
        return None
    return float((trace.safety == 2).any())


METRIC = Metric(unit="share", better="lower", kind="rate", measure=_measure, headline=True)
