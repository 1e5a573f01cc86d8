"""A robot that stands on its own feet fell; None where something else carries it."""

from vlagym.benchmark.metric import Metric
from vlagym.envs.types import EpisodeSpec, Trace


def _measure(trace: Trace, spec: EpisodeSpec) -> float | None:
    if spec.robot_base != "legs":
        return None
    return float(trace.columns["is_fallen"].any())


METRIC = Metric(unit="share", better="lower", kind="rate", measure=_measure, headline=True)
