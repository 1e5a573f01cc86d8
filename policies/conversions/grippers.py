"""Conventions of a gripper command: their ends, thresholds, openings in metres, and commands that are relative to the last.

  gripper_closed_positive, gripper_open_positive   -1 to 1
  gripper_closed_unit, gripper_open_unit           0 to 1
  … with "_binary" behind                          the same, of which only the side of the middle counts, and the middle says nothing new
  gripper_opening_m                                how far it is open: the declared low is closed, the declared high is open
  gripper_closing_relative                         how much further it closes (RT-1): 1 is all of the way, below 0 it opens
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.types import ActionComponent

GRIPPER_ENDS: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        "gripper_closed_positive": (-1.0, 1.0),
        "gripper_open_positive": (1.0, -1.0),
        "gripper_closed_unit": (0.0, 1.0),
        "gripper_open_unit": (1.0, 0.0),
    }
)
"""Convention of a gripper command -> the values that mean (fully open, fully closed). Between them it is linear."""

RELATIVE = "gripper_closing_relative"
OPENING = "gripper_opening_m"
_BINARY = "_binary"

CONVENTIONS = (*GRIPPER_ENDS, *(f"{name}{_BINARY}" for name in GRIPPER_ENDS), OPENING, RELATIVE)
"""All that a policy may say; an environment takes one of GRIPPER_ENDS."""

STICKY_FROM = 0.5
"""Beyond this a relative command is held, as SimplerEnv does for Octo on the Google robot (octo_model.py). What is smaller is heard once."""
DEAD_BELOW = 1e-2
"""Where none is held, a command below this is none, as SimplerEnv does for RT-1 on that robot (rt1_model.py)."""


class Line(NamedTuple):
    """environment = gain x policy + offset"""

    gain: float
    offset: float


def is_binary(convention: str) -> bool:
    """Returns whether only the side of the middle counts."""
    return convention.endswith(_BINARY)


def ends(component: ActionComponent) -> tuple[float, float] | None:
    """Returns the values that mean (fully open, fully closed); None for a relative command and for what is none of a gripper."""
    if component.convention == OPENING:
        return component.high[0], component.low[0]
    return GRIPPER_ENDS.get(component.convention.removesuffix(_BINARY))


def line(mine: tuple[float, float], theirs: tuple[float, float]) -> Line:
    """Returns what brings one pair of (open, closed) to another."""
    (my_open, my_closed), (open_, closed) = mine, theirs
    gain = (closed - open_) / (my_closed - my_open)
    return Line(gain, open_ - gain * my_open)


def binary(values: Any, ends: tuple[float, float]) -> NDArray[np.float64]:
    """Returns each command as the end on whose side of the middle it is; the middle itself stays: `BinaryGripper` knows what was said before."""
    open_, closed = ends
    middle = (open_ + closed) / 2
    side = (np.asarray(values, np.float64) - middle) * (closed - open_)
    return np.where(side > 0, closed, np.where(side < 0, open_, middle))


class BinaryGripper:
    """What a gripper is asked for that is only opened or closed. It begins open, and the middle leaves it as it is, as robosuite's sign of 0 does."""

    def __init__(self, ends: tuple[float, float]) -> None:
        """Begins an episode.

        Args:
          ends: The environment's values of (open, closed).
        """
        self._middle, self._last = sum(ends) / 2, ends[0]

    def push(self, command: float) -> float:
        """Takes the command of one step of the policy, an end or the middle, and returns what the environment is asked for."""
        if command != self._middle:
            self._last = command
        return self._last


class RelativeGripper:
    """What a gripper is asked for that is told how much further to close. It begins open.

    With `sticky_steps` it does what SimplerEnv does for Octo there, not for RT-1, whose commands are each passed on.
    """

    def __init__(self, ends: tuple[float, float], sticky_steps: int) -> None:
        """Begins an episode.

        Args:
          ends: The environment's values of (open, closed).
          sticky_steps: A command beyond STICKY_FROM is done again in each of so many steps, and what comes meanwhile is not heard; 0: none is.
        """
        self._ends, self._sticky_steps = ends, sticky_steps
        self._closed = 0.0
        self._held, self._left = 0.0, 0

    def push(self, command: float) -> float:
        """Takes the command of one step of the policy and returns what the environment is asked for."""
        if not self._sticky_steps:
            change = command if abs(command) >= DEAD_BELOW else 0.0
        else:
            if not self._left and abs(command) > STICKY_FROM:
                self._held, self._left = command, self._sticky_steps
            change = self._held if self._left else command
            self._left = max(0, self._left - 1)
        self._closed = min(1.0, max(0.0, self._closed + change))
        open_, closed = self._ends
        return open_ + (closed - open_) * self._closed
