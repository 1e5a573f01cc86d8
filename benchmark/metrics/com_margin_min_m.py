"""Smallest distance from the ground below the centre of mass to the edge of the support polygon, negative outside; None without legs."""

from vlagym.benchmark.metric import Metric
from vlagym.envs.types import EpisodeSpec, Trace


def _measure(trace: Trace, spec: EpisodeSpec) -> float | None:
    margin_m = trace.columns["com_margin_m"]
    return float(margin_m.min()) if margin_m.size else None


METRIC = Metric(unit="m", better="higher", kind="mean", measure=_measure, headline=True)
