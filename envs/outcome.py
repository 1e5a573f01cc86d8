"""When an episode has succeeded: the hold rule, shared by the environment that ends there and the metric that counts it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.errors import BadData


class HoldCounter:
    """Counts for how many control steps in a row every goal condition has held. One counter serves one episode."""

    def __init__(self, hold_steps: int) -> None:
        """Starts at zero.

        Args:
          hold_steps: Consecutive control steps that are wanted, at least 1 (`EpisodeSpec.hold_steps`).

        Raises:
          BadData: If `hold_steps` is below 1.
        """
        _check_hold_steps(hold_steps)
        self._hold_steps = hold_steps
        self._in_a_row = 0

    @property
    def in_a_row(self) -> int:
        """Control steps, up to the latest one, at the end of which every condition held."""
        return self._in_a_row

    def update(self, goal_met: NDArray[np.bool_]) -> bool:
        """Takes the facts after one control step and returns whether the goal has now been held long enough.

        The facts before the first action are not a control step and must not be handed in.

        Args:
          goal_met: `(G,)` bool, one for each goal condition.

        Returns:
          True from the step at which the wanted number is reached, for as long as no condition breaks.

        Raises:
          BadData: If the goal has no conditions: then everything would be a success.
        """
        met = np.asarray(goal_met, dtype=bool)
        if met.ndim != 1 or met.size == 0:
            raise BadData(f"goal_met has shape {met.shape}; it must be (G,) with at least one goal condition")
        self._in_a_row = self._in_a_row + 1 if bool(met.all()) else 0
        return self._in_a_row >= self._hold_steps


def held(goal_met: NDArray[np.bool_], hold_steps: int) -> bool:
    """Returns whether every goal condition held together for `hold_steps` control steps in a row, anywhere in an episode.

    The rule is that of `HoldCounter`: row 0, before the first action, does not count.

    Args:
      goal_met: `(T + 1, G)` bool, the column of a trace: row 0 before the first action, row t after action t.
      hold_steps: Consecutive control steps that are wanted, at least 1.

    Raises:
      BadData: If `hold_steps` is below 1, or the column is not two-dimensional or has no goal conditions.
    """
    _check_hold_steps(hold_steps)
    return longest_hold(goal_met) >= hold_steps


def longest_hold(goal_met: NDArray[np.bool_]) -> int:
    """Returns the largest number of control steps in a row at the end of which every goal condition held.

    Args:
      goal_met: `(T + 1, G)` bool; row 0 does not count.

    Raises:
      BadData: If the column is not two-dimensional or has no goal conditions.
    """
    column: NDArray[Any] = np.asarray(goal_met, dtype=bool)
    if column.ndim != 2 or column.shape[0] == 0 or column.shape[1] == 0:
        raise BadData(f"goal_met has shape {column.shape}; it must be (T + 1, G) with at least one goal condition")
    all_met = column[1:].all(axis=1)
    # The steps at which the goal was not met cut the episode into stretches; the longest gap between two cuts is the answer.
    cuts = np.concatenate(([-1], np.flatnonzero(~all_met), [all_met.size]))
    return int(np.diff(cuts).max()) - 1


def _check_hold_steps(hold_steps: int) -> None:
    if hold_steps < 1:
        raise BadData(f"hold_steps is {hold_steps}; the goal must be held for at least 1 control step")
