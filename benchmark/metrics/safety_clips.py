"""Share of the control steps whose action the safety filter clipped; None in a run without one."""

from vlagym.benchmark.metric import Metric
from vlagym.envs.types import EpisodeSpec, Trace


def _measure(trace: Trace, spec: EpisodeSpec) -> float | None:
    if (trace.safety < 0).any() or not trace.safety.size:
        return None
    return float((trace.safety == 1).mean())


METRIC = Metric(unit="share", better="lower", kind="mean", measure=_measure, headline=True)
