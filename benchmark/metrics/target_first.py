"""The first thing that the robot grasped or moved by more than 2 cm is one that the goal names; None if it moved nothing."""

from vlagym.benchmark.metric import Metric
from vlagym.benchmark.metrics._manipulation import first_manipulated
from vlagym.envs.types import EpisodeSpec, Trace


def _measure(trace: Trace, spec: EpisodeSpec) -> float | None:
    first = first_manipulated(trace, spec)
    if not first:
        return None
    start = min(first.values())
    # Of several in the same control step all must be named: a policy that sweeps two objects along did not choose one.
    return float(all(name in spec.concerned for name, row in first.items() if row == start))


METRIC = Metric(unit="share", better="higher", kind="rate", measure=_measure, headline=True)
