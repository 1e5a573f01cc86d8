"""How far loaded soles slid over the ground, summed over the episode; None without legs."""

from vlagym.benchmark.metric import Metric
from vlagym.envs.types import EpisodeSpec, Trace


def _measure(trace: Trace, spec: EpisodeSpec) -> float | None:
    slip_m = trace.columns["foot_slip_m"]
    # Row 0 is the state before the first action: what slid while it settled is not the policy's.
    return float(slip_m[1:].sum()) if slip_m.shape[1] else None


METRIC = Metric(unit="m", better="lower", kind="mean", measure=_measure)
