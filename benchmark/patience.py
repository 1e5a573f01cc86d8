"""Waits for a policy that cannot be reached: with growing pauses, for a limited time, and not without saying so."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from vlagym.envs.errors import PolicyUnreachable

Result = TypeVar("Result")

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 10.0
_GROWTH = 1.6
_TOLD_MAX = 300

_LOG = logging.getLogger(__name__)


def patiently(attempt: Callable[[], Result], whom: str, seconds: float, again: Callable[[], Result] | None = None) -> Result:
    """Returns what an attempt returns. One that ends with PolicyUnreachable is made again while time is left.

    Time counts from the beginning of the first attempt, so that a server which is there and took longer than that to say nothing is not asked
    once more.

    Args:
      attempt: Made at once.
      whom: Who is waited for, in the log.
      seconds: How long; 0: the first attempt is the only one.
      again: What is made instead after a pause; None: the same.

    Raises:
      PolicyUnreachable: That of the last attempt. Whatever else an attempt raises leaves at once.
    """
    began_s, pause_s, is_told = time.monotonic(), FIRST_PAUSE_S, False
    while True:
        try:
            result = attempt()
        except PolicyUnreachable as error:
            left_s = seconds - (time.monotonic() - began_s)
            if left_s <= 0:
                if not is_told:
                    raise
                raise PolicyUnreachable(f"{error}; it was waited for, {seconds:g} s long (option reconnect=S)") from error
            if not is_told:
                _LOG.warning("%s is waited for, up to %g s (option reconnect=S): %s", whom, seconds, _shortened(error))
            is_told = True
        else:
            if is_told:
                _LOG.warning("%s is back after %.0f s", whom, time.monotonic() - began_s)
            return result
        time.sleep(min(pause_s, left_s))
        pause_s = min(_GROWTH * pause_s, LONGEST_PAUSE_S)
        attempt = again or attempt


def _shortened(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= _TOLD_MAX else f"{text[:_TOLD_MAX]} …"
