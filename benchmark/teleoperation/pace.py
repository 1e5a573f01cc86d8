"""The pace of an episode that a person plays: a control step when its time has come, never two at once to catch up."""

from __future__ import annotations

import time
from collections import deque
from typing import Protocol

_LATE_SHARE = 0.5
"""A step that begins later than this share of its period after its time is counted as late."""
_OVER_S = 1.0
"""The rate that is shown is that of the last second."""


class Pace(Protocol):
    """Says when a control step begins."""

    @property
    def rate_hz(self) -> float: ...

    @property
    def late_steps(self) -> int: ...

    def begin(self) -> None: ...

    def wait(self) -> float: ...

    def spare_s(self) -> float: ...


class RealTime:
    """Simulated time passes as fast as that of the clock, or slower where the machine is too slow."""

    def __init__(self, rate_hz: float) -> None:
        self._period_s = 1.0 / rate_hz
        self._due_s = 0.0
        self._recent: deque[float] = deque()
        self.late_steps = 0
        """Steps that began later than they should have."""

    def begin(self) -> None:
        """The next step begins at once: at the start, and after a pause."""
        self._due_s = time.monotonic()
        self._recent.clear()

    def wait(self) -> float:
        """Returns when the next step is to begin: the time of a monotonic clock, in s. A step that comes late delays those after it."""
        now_s = time.monotonic()
        if now_s < self._due_s:
            time.sleep(self._due_s - now_s)
            now_s = time.monotonic()
        if now_s - self._due_s > _LATE_SHARE * self._period_s:
            self.late_steps += 1
            self._due_s = now_s
        self._due_s += self._period_s
        self._recent.append(now_s)
        while now_s - self._recent[0] > _OVER_S:
            self._recent.popleft()
        return now_s

    def spare_s(self) -> float:
        """Returns how much time is left before the next step; below 0 where it should have begun."""
        return self._due_s - time.monotonic()

    @property
    def rate_hz(self) -> float:
        """Steps a second, measured; 0 before there are two."""
        if len(self._recent) < 2:
            return 0.0
        return (len(self._recent) - 1) / max(self._recent[-1] - self._recent[0], 1e-9)
