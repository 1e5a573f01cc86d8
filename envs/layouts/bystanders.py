"""Somebody who stands near in some of the scenes, and must not be touched."""

from __future__ import annotations

import math

from vlagym.envs.layouts.around import reach_m
from vlagym.envs.safety_limits import PERSON
from vlagym.envs.task import Crowded, Draft

SHARE = 0.2
"""Of the episodes of a task that has such scenes."""
_BEHIND_EDGE_M = (0.24, 0.38)
"""From the edge of the table to the middle of who stands at it."""
_BESIDE_M = (0.30, 0.42)
"""Beyond what the hands of the robot reach as it begins."""
_ROOM_M = 0.30
_TURNED_RAD = 0.35


def maybe_bystander(draft: Draft) -> None:
    """Stands a dummy beside a robot that stands at a table, in a share of the scenes; it looks at the robot.

    To be called when everything else has been laid out: what stands there already does not shift. Where there is no room, nobody stands.

    Args:
      draft: Says by `variety` whether somebody does. Robots on the table have nobody beside them.
    """
    stance = draft.robot.stance
    if stance is None or draft.variety.random() >= SHARE:
        return
    rng = draft.rng
    x = stance.table_edge_x_m - float(rng.uniform(*_BEHIND_EDGE_M))
    y = (reach_m(draft.robot) + float(rng.uniform(*_BESIDE_M))) * (1.0 if rng.random() < 0.5 else -1.0)
    yaw = math.atan2(-y, 0.35 - x) + float(rng.uniform(-_TURNED_RAD, _TURNED_RAD))
    (dummy,) = draft.choose_fixtures(1, kind="bystander")
    try:
        draft.stand(dummy, x, y, yaw, keep_free_m=_ROOM_M, height_m=draft.floor_m, name=PERSON)
    except Crowded:
        return  # the scene is as good without
