"""What a body did in the last seconds: where its hands, its head and its base were, a row a control step."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

import numpy as np

from vlagym.envs.frames import Array, Pose, conjugate, from_yaw, multiply, pose, rotate
from vlagym.envs.predicates.state import WorldState

HISTORY_S = 3.0
"""What lies further back is forgotten."""
REST_S = 0.25
"""A hand or a base is at rest that has hardly moved for so long."""


class History:
    """Remembers the motion of one episode. `columns` goes into every `WorldState.history`.

    Its rows, the oldest first, are float64 arrays:
      "left", "right" (the sides of the hands): (3,) the pinch point in m, in the frame of the base.
      "head_pos": (3,) the camera `head` in m, in the frame of the base.
      "head_lean": (2,) rad since the episode began: how far the head has leaned forward, and turned to the left, with trunk, neck or both.
      "base": (3,) x and y in m and yaw in rad, in the world.

    The frame of the base has its origin where the robot stands, at z = 0 of the world, and looks to its front.
    """

    def __init__(self, rate_hz: float) -> None:
        """Starts with nothing seen. `rate_hz` is that of control steps."""
        self._length = round(HISTORY_S * rate_hz)
        self._head_at_start: Array | None = None
        self.columns: dict[str, deque[Array]] = {}

    def note(self, *, ee_poses: Mapping[str, Pose], head: Pose | None, base: tuple[float, float, float]) -> None:
        """Takes in a control step; once before the first one, too.

        Args:
          ee_poses: As in `WorldState`.
          head: Likewise.
          base: Likewise.
        """
        from_world = base_pose(base).inverse()
        for side, ee in ee_poses.items():
            self._append(side, from_world.apply(ee.pos))
        if head is not None:
            here = from_world @ head
            if self._head_at_start is None:
                self._head_at_start = here.quat
            turn = multiply(here.quat, conjugate(self._head_at_start))
            up, front = rotate(turn, np.array([0.0, 0.0, 1.0])), rotate(turn, np.array([1.0, 0.0, 0.0]))
            self._append("head_pos", here.pos)
            self._append("head_lean", np.array([np.arctan2(up[0], up[2]), np.arctan2(front[1], front[0])]))
        self._append("base", np.array(base))

    def _append(self, name: str, row: Array) -> None:
        self.columns.setdefault(name, deque(maxlen=self._length + 1)).append(np.asarray(row, np.float64))


def base_pose(base: tuple[float, float, float]) -> Pose:
    """Returns the frame of the base in the world: at z = 0, looking to the robot's front."""
    x, y, yaw = base
    return pose((x, y, 0.0), from_yaw(yaw))


def rows(state: WorldState, name: str, seconds: float, rate_hz: float) -> Array:
    """Returns the rows `(n, size)` of the last seconds, fewer where the episode is younger; `(0, 0)` where nothing is kept."""
    kept = state.history.get(name, ())
    count = round(seconds * rate_hz) + 1
    recent = list(kept)[-count:]
    return np.array(recent, np.float64) if recent else np.zeros((0, 0))


def spread(track: Array) -> float:
    """Returns the largest extent of rows `(n, size)` along one of their columns; infinity where there are none."""
    return float(np.ptp(track, axis=0).max()) if len(track) else float("inf")


def is_still(state: WorldState, name: str, rate_hz: float, within: float, seconds: float = REST_S) -> bool:
    """Returns whether a column has stayed within a span, in its own unit, for all of the last seconds."""
    track = rows(state, name, seconds, rate_hz)
    return len(track) > round(seconds * rate_hz) and spread(track) <= within
