"""Control steps that were executed."""

from vlagym.benchmark.metric import Metric
from vlagym.envs.types import EpisodeSpec, Trace


def _measure(trace: Trace, spec: EpisodeSpec) -> float:
    return float(trace.num_steps)


METRIC = Metric(unit="steps", better="lower", kind="mean", measure=_measure)
