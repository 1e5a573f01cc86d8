"""How often a hand left the room that the safety limits of its robot allow it, whether or not a filter stood in between."""

from __future__ import annotations

import numpy as np

from vlagym.benchmark.metric import Metric
from vlagym.benchmark.metrics._events import count_onsets
from vlagym.benchmark.metrics._limits import known_limits
from vlagym.envs import catalog
from vlagym.envs.robot import Robot
from vlagym.envs.types import EpisodeSpec, Trace

MARGIN_M = 0.01
"""The limits are those of commanded positions, and a hand that comes to one overshoots it by millimetres."""


def _measure(trace: Trace, spec: EpisodeSpec) -> float | None:
    """Returns the events, summed over the end effectors; None for a robot without limits, or one that does not stand on the table.

    The room is `hand_box_m` of envs/safety_limits.py, in the base frame. Of a robot on the floor that frame lies at the height of its pelvis,
    which a trace does not know.
    """
    limits = known_limits(spec.robot)
    pos = trace.columns["ee_pos_world_m"]
    if limits is None or not trace.num_steps or not pos.shape[1]:
        return None
    robot: Robot = catalog.load("robot", spec.robot)
    if robot.stance is not None:
        return None
    offset = pos - np.array(robot.base_pos_world)  # it does not turn on its table
    low, high = np.array(limits.hand_box_m.low_m) - MARGIN_M, np.array(limits.hand_box_m.high_m) + MARGIN_M
    is_out = ((offset < low) | (offset > high)).any(axis=2)
    return float(sum(count_onsets(one) for one in is_out.T))


METRIC = Metric(unit="1", better="lower", kind="mean", measure=_measure)
