"""How long an adapter waits for the other side, and how large an answer may be: options that every policy by wire takes."""

from __future__ import annotations

import math
import os
import selectors
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass

from vlagym.envs.errors import BadData
from vlagym.policies.sent_keys import remember

_BOUNDS = ("timeout", "first_timeout", "connect_timeout", "max_mib")
OPTIONS = (*_BOUNDS, "reconnect")
"""Names of the options that `read_limits` and `read_reconnect` read."""
RECONNECT_S = 120.0
"""How long a server that cannot be reached is waited for when an episode begins, unless told otherwise."""

_MIB = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a connection puts up with. Every time is wall time."""

    timeout_s: float = 60.0
    """Until an answer is there as a whole, from when it was asked for."""
    first_timeout_s: float = 600.0
    """The same for the first answer of a connection: a model is loaded or compiled then."""
    connect_timeout_s: float = 10.0
    """Until the other side takes the connection."""
    max_bytes: int = 64 * _MIB
    """Of one message. What is larger is refused before memory is taken for it."""


class Deadline:
    """A moment by which something has to be done."""

    def __init__(self, seconds: float, waited_s: float = 0.0) -> None:
        """Sets the moment that many seconds from now, less those that were waited before."""
        self.seconds = seconds
        self._at = time.monotonic() + seconds - waited_s

    def left_s(self) -> float:
        """Returns the time that is left; 0 where none is."""
        return max(0.0, self._at - time.monotonic())

    @property
    def is_over(self) -> bool:
        return self.left_s() == 0.0


def has_come(line: socket.socket, seconds: float) -> bool:
    """Returns whether something came in over a socket, or its end, within so many seconds. Unlike select, of a process with any number of files."""
    with selectors.DefaultSelector() as looks:
        looks.register(line, selectors.EVENT_READ)
        return bool(looks.select(seconds))


def read_limits(policy: str, options: Mapping[str, str]) -> Limits:
    """Returns the limits that the options of a policy ask for: timeout, first_timeout and connect_timeout in s, max_mib in MiB.

    Where only `timeout` is given and is longer than the usual time for a first answer, that one is as long.

    Raises:
      BadData: If one of them, or `reconnect`, is not the number that it should be.
    """
    said = {name: _positive(policy, name, options[name]) for name in _BOUNDS if name in options}
    read_reconnect(policy, options)
    usual = Limits()
    timeout = said.get("timeout", usual.timeout_s)
    return Limits(
        timeout_s=timeout,
        first_timeout_s=said.get("first_timeout", max(usual.first_timeout_s, timeout)),
        connect_timeout_s=said.get("connect_timeout", usual.connect_timeout_s),
        max_bytes=int(said["max_mib"] * _MIB) if "max_mib" in said else usual.max_bytes,
    )


def read_reconnect(policy: str, options: Mapping[str, str]) -> float:
    """Returns how long a server that cannot be reached is waited for when an episode begins, in s. Who waits is whoever plays episodes.

    Raises:
      BadData: If the option `reconnect` is no number of 0 or more.
    """
    text = options.get("reconnect", f"{RECONNECT_S}")
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= 0):
        raise BadData(f"reconnect of {policy} is a number of seconds, 0 for none, not {text!r}")
    return value


def read_secret(policy: str, option: str, options: Mapping[str, str]) -> str | None:
    """Returns the key that an environment variable holds which an option names; None where the option is not given.

    Keys are never options themselves: those stand in the run header, and in the list of processes. From here on no text that is told holds this one.

    Raises:
      BadData: If there is no such variable, or it is empty.
    """
    if option not in options:
        return None
    name = options[option]
    value = os.environ.get(name, "")
    if not value:
        state = "is empty" if name in os.environ else "does not exist"
        raise BadData(f"{option} of {policy} is the name of an environment variable that holds the key, and {name!r} {state}")
    remember(value)
    return value


def _positive(policy: str, name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        unit = "MiB" if name == "max_mib" else "seconds"
        raise BadData(f"{name} of {policy} is a number of {unit} above 0, not {text!r}")
    return value
