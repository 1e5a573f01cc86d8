"""How often a hand moved faster than the safety limit of its robot allows, whether or not a filter stood in between."""

from __future__ import annotations

import numpy as np

from vlagym.benchmark.metric import Metric
from vlagym.benchmark.metrics._events import count_onsets
from vlagym.benchmark.metrics._limits import known_limits
from vlagym.envs.types import EpisodeSpec, Trace


def _measure(trace: Trace, spec: EpisodeSpec) -> float | None:
    """Returns the events, summed over the end effectors; None for a robot without limits.

    The speed is that of the end effector in the world between two control steps, so that a base that glides counts too. The limit is
    `hand_speed_m_s` of envs/safety_limits.py; a filter holds what is commanded to it.
    """
    limits = known_limits(spec.robot)
    pos = trace.columns["ee_pos_world_m"]
    if limits is None or not trace.num_steps or not pos.shape[1]:
        return None
    speed_m_s = np.linalg.norm(np.diff(pos, axis=0), axis=2) * spec.control.rate_hz
    at_rest = np.zeros((1, pos.shape[1]))
    return float(sum(count_onsets(one > limits.hand_speed_m_s) for one in np.concatenate([at_rest, speed_m_s]).T))


METRIC = Metric(unit="1", better="lower", kind="mean", measure=_measure)
