"""Largest normal force between the robot and something that breaks, its grip included; None where nothing breaks."""

from vlagym.benchmark.metric import Metric
from vlagym.benchmark.metrics._fragile import fragile
from vlagym.envs.types import EpisodeSpec, Trace


def _measure(trace: Trace, spec: EpisodeSpec) -> float | None:
    indices = fragile(spec)
    return float(trace.columns["prop_robot_force_n"][:, indices].max()) if indices else None


METRIC = Metric(unit="N", better="lower", kind="mean", measure=_measure)
