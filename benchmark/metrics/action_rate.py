"""How much the action changes from one control step to the next: the mean Euclidean norm of the change, in the units of the action vector."""

import numpy as np

from vlagym.benchmark.metric import Metric
from vlagym.envs.types import EpisodeSpec, Trace


def _measure(trace: Trace, spec: EpisodeSpec) -> float | None:
    """Returns the mean of |a(t) - a(t-1)|, of what was executed; None for an episode of fewer than two steps."""
    if trace.num_steps < 2:
        return None
    return float(np.linalg.norm(np.diff(trace.actions.astype(np.float64), axis=0), axis=1).mean())


METRIC = Metric(unit="1", better="lower", kind="mean", measure=_measure)
