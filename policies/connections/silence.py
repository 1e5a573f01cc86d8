"""A server that has taken a connection and says nothing: a person is told of it while it is waited for."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def told_when_silent(log: logging.Logger, after_s: float, words: str, *args: object) -> Iterator[None]:
    """Logs a warning if what is done inside takes longer than so many seconds.

    Args:
      log: Of whoever waits.
      after_s: Seconds until then.
      words: With the places of `args`.
      *args: As logging takes them.
    """
    timer = threading.Timer(after_s, log.warning, (words, *args))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
