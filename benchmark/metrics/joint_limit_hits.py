"""How often a joint of the body came within a degree of one of its limits: events, where `joint_limit_share` counts the time spent there."""

import numpy as np

from vlagym.benchmark.metric import Metric
from vlagym.benchmark.metrics._events import count_onsets
from vlagym.benchmark.metrics.joint_limit_share import NEAR_RAD
from vlagym.envs.types import EpisodeSpec, Trace


def _measure(trace: Trace, spec: EpisodeSpec) -> float | None:
    """Returns the number; None for an episode without steps, or of a run from before this was recorded.

    The trace knows the joint that is nearest to a limit: a second one that comes to its own while the first is still there is no further event.
    """
    margin_rad = trace.columns["joint_margin_rad"]
    if not trace.num_steps or np.isnan(margin_rad).any():
        return None
    return float(count_onsets(margin_rad < NEAR_RAD))


METRIC = Metric(unit="1", better="lower", kind="mean", measure=_measure)
