"""A season: fresh episodes whose seeds follow from a name, which nobody but who drew it knows before it is revealed.

The order of events: draw a name with a secret part; publish its commitment; collect checkpoints; reveal the name. Everybody can then derive the
episodes, run them, and see that the name is the one that was committed to before any checkpoint was known. What a commitment does not show is that
whoever drew the name has not drawn many and kept the one that suits, or trained on it: against that, let the season's name end in a value that
nobody knew when the commitment was published, such as a lottery number of the day after the deadline ("2027-spring-3f…-4711"; announce which one
beforehand).
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Sequence
from typing import NamedTuple

from vlagym.benchmark.suite import digest_of
from vlagym.benchmark.suite_files import load_suite
from vlagym.envs.errors import BadData

_SECRET_BYTES = 16
"""128 bits: nobody finds the name by trying."""
_MIN_SECRET_DIGITS = 16
_LABEL = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_DOMAIN = "vlagym season 1"
"""Begins what is hashed, so that the hash of a name means nothing elsewhere."""


class Episodes(NamedTuple):
    """The episodes of a suite in a season."""

    suite: str
    version: int
    digest: str
    """Of all of them, in order."""


def new_name(label: str) -> str:
    """Returns a season's name that nobody can guess: the label, and 32 hexadecimal digits from the system's source of randomness.

    Raises:
      BadData: If the label is not made of lower-case letters, digits and single hyphens.
    """
    if not _LABEL.fullmatch(label):
        raise BadData(f"the season {label!r} must be made of lower-case letters, digits and single hyphens, e.g. 2027-spring")
    return f"{label}-{secrets.token_hex(_SECRET_BYTES)}"


def is_guessable(name: str) -> bool:
    """Returns whether a name lacks a secret part as `new_name` makes it: a commitment to "2027-spring" hides nothing."""
    last = name.rpartition("-")[2]
    return len(last) < _MIN_SECRET_DIGITS or not re.fullmatch("[0-9a-f]+", last)


def commitment(name: str, episodes: Sequence[Episodes] = ()) -> str:
    """Returns 64 hexadecimal digits that can be published before the name: the SHA-256 of the name, and of the episodes where they are given.

    Raises:
      BadData: If the name is not one word of printing characters.
    """
    if not name or not name.isprintable() or " " in name:
        raise BadData(f"a season has a name of one word, e.g. 2027-spring-3f0c…, not {name!r}")
    lines = [_DOMAIN, name, *(f"{e.suite} {e.version} {e.digest}" for e in sorted(episodes))]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def episodes_of(name: str, suites: Sequence[str], *, workers: int = 1) -> list[Episodes]:
    """Returns what suites hold in a season, which samples every episode.

    Raises:
      UnknownName: If there is no such suite.
      BadData: If the name is empty, or a suite is named twice.
    """
    found = []
    for suite_name in suites:
        if suites.count(suite_name) > 1:
            raise BadData(f"the suite {suite_name!r} is named twice")
        suite = load_suite(suite_name).in_season(name)
        found.append(Episodes(suite.name, suite.version, digest_of(suite.expand(workers=workers))))
    return found
