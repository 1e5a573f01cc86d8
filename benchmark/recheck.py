"""Whether the actions of a stored episode are those that its safety filter let pass."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlagym.benchmark.stored import StoredVerdicts
from vlagym.envs.safety import CLIPPED, NO_FILTER, PASSED, STOPPED, Filtered, Mode, SafetyFilter, check_mode
from vlagym.envs.safety_limits import SafetyLimits
from vlagym.envs.types import EpisodeSpec, Facts, Trace, from_plain

_TOLERANCE = 1e-5
"""Of an action that passes the filter a second time: what is left of its limits by the rounding of float32."""

_VERDICTS: Mapping[Mode, frozenset[int]] = {
    "off": frozenset((NO_FILTER,)),
    "clip": frozenset((PASSED, CLIPPED)),
    "stop": frozenset((PASSED, STOPPED)),
}


class Recheck:
    """Stands where the filter of a run stood while an episode is simulated again, and compares.

    What a filter has clipped it does not clip once more, so its actions are known by it. What made it stop is not stored: a stop is believed.
    """

    def __init__(self, trace: Trace, safety: Mapping[str, Any]) -> None:
        """Takes an episode.

        Args:
          trace: The stored episode.
          safety: Of the header of its run.

        Raises:
          UnknownName: If the header names no mode.
          BadData: If it lacks the limits of the robot, or they are none.
        """
        self._mode = check_mode(str(safety.get("mode")))
        self._stored = StoredVerdicts(trace)
        self._filter = SafetyFilter(self._mode, None if self._mode == "off" else _limits(safety, trace.spec.robot))
        self._step = 0
        strange = sorted(set(trace.safety.tolist()) - _VERDICTS[self._mode])
        self.difference: str | None = f"the header says --safety {self._mode}, and the trace holds the verdict {strange[0]}" if strange else None
        """What contradicts the header first; None while nothing does."""

    def reset(self, spec: EpisodeSpec) -> None:
        self._stored.reset(spec)
        self._filter.reset(spec)

    def filter(self, action: NDArray[np.float32], proprio: Mapping[str, NDArray[np.float32]], facts: Facts) -> Filtered:
        """Returns the action as it is, with the stored verdict."""
        stored = self._stored.filter(action, proprio, facts)
        found = self._filter.filter(action, proprio, facts)
        by = float(np.abs(found.action - action).max())
        self._step += 1
        if self.difference is None and stored.verdict != STOPPED and by > _TOLERANCE:
            limits = ", ".join(found.broken)
            self.difference = f"action {self._step} is none that the filter ({self._mode}) lets pass: it breaks {limits}, by {by:.3g} of an action"
        return stored


def _limits(safety: Mapping[str, Any], robot: str) -> SafetyLimits:
    plain = dict(safety.get("limits", {}).get(robot, {}))
    return from_plain(SafetyLimits, {**plain, "why": dict.fromkeys(plain, "the header of the run")}, f"the safety limits of {robot!r} in the header")
