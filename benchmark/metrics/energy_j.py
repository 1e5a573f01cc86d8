"""Mechanical work of all actuators, without regard to its sign: the sum of |force x velocity| dt over all substeps."""

from vlagym.benchmark.metric import Metric
from vlagym.envs.types import EpisodeSpec, Trace


def _measure(trace: Trace, spec: EpisodeSpec) -> float:
    # Row 0 is the state before the first action: whatever work the settling took is not the policy's.
    return float(trace.columns["energy_j"][1:].sum())


METRIC = Metric(unit="J", better="lower", kind="mean", measure=_measure)
