"""Waits for a policy that cannot be reached: with growing pauses, for a limited time, and not without saying so."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import TypeVar

from vlagym.envs.errors import PolicyTimeout, PolicyUnreachable

Result = TypeVar("Result")

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 10.0
_GROWTH = 1.6
_TOLD_MAX = 300

_LOG = logging.getLogger(__name__)
_LISTENER: ContextVar[Callable[[float], None] | None] = ContextVar("vlagym_listener_to_patience", default=None)


@contextlib.contextmanager
def overheard(listener: Callable[[float], None]) -> Iterator[None]:
    """Tells a listener of each wait inside, before its pause: how long the attempt took that failed and how long the pause will be, in s together.

    Whoever limits the time of a job takes that off: a job that waits for a server does nothing.
    """
    token = _LISTENER.set(listener)
    try:
        yield
    finally:
        _LISTENER.reset(token)


def patiently(attempt: Callable[[], Result], whom: str, seconds: float, again: Callable[[], Result] | None = None) -> Result:
    """Returns what an attempt returns. One that ends with PolicyUnreachable is made again while time is left, but for PolicyTimeout.

    Who is asked again while it still computes what it was asked before, is only later the next time. Time counts from the beginning of the first
    attempt.

    Args:
      attempt: Made at once.
      whom: Who is waited for, in the log.
      seconds: How long; 0: the first attempt is the only one.
      again: What is made instead after a pause; None: the same.

    Raises:
      PolicyUnreachable: That of the last attempt. Whatever else an attempt raises leaves at once, PolicyTimeout too.
    """
    began_s, pause_s, is_told = time.monotonic(), FIRST_PAUSE_S, False
    while True:
        tried_s = time.monotonic()
        try:
            result = attempt()
        except PolicyTimeout:
            raise
        except PolicyUnreachable as error:
            now_s = time.monotonic()
            left_s = seconds - (now_s - began_s)
            pause_s = max(0.0, min(pause_s, left_s))
            if seconds > 0 and (listener := _LISTENER.get()) is not None:
                listener(now_s - tried_s + pause_s)
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
        time.sleep(pause_s)
        pause_s = min(_GROWTH * pause_s, LONGEST_PAUSE_S)
        attempt = again or attempt


def _shortened(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= _TOLD_MAX else f"{text[:_TOLD_MAX]} …"
