"""Which conventions a policy behind a wire has: those of the profile that was named, or those that the server announces; never a guess."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vlagym.envs.errors import BadData, BadReply, ConventionMismatch, VlagymError
from vlagym.envs.types import to_plain
from vlagym.policies.profile import Profile, load_profile, profile_names

OPTIONS = ("profile", "execute")
"""Names of the options that `adopt` and `read_execute` read."""


def adopt(policy: str, options: Mapping[str, str], announced: Any, url: str) -> Profile:
    """Returns the profile of a policy behind a wire.

    Args:
      policy: Name of the adapter.
      options: "profile": name of a profile, or a file that ends in .toml.
      announced: What the server says of itself as plain data, as servers of vlagym do; None where it says nothing.
      url: Of the server.

    Raises:
      BadData: If nobody says what the policy's conventions are.
      BadReply: If what the server announces is no profile.
      ConventionMismatch: If the server announces other actions or observations than the profile that was named.
    """
    said = None if announced is None else _read(announced, url)
    if "profile" in options:
        named = load_profile(options["profile"])
        if said is not None:
            _check_same(named, said, url)
        return named
    if said is None:
        known = ", ".join(profile_names())
        raise BadData(
            f"the server at {url} does not say what it reads and sends, and a guess would be a silent 0 %: give {policy} "
            f"--policy-option profile=NAME|FILE.toml. There are: {known}"
        )
    return said


def read_execute(policy: str, options: Mapping[str, str]) -> int | None:
    """Returns how many actions of a chunk are executed; None: what the profile says.

    Adapters read this before they contact anybody, so the profile that is named is read as well: a misspelt one is not to wait for a server.

    Raises:
      BadData: If it is no whole number above 0, or the profile's file does not hold what it should.
      UnknownName: If there is no such profile.
    """
    if "profile" in options:
        load_profile(options["profile"])
    text = options.get("execute")
    if text is None:
        return None
    if not text.isdecimal() or int(text) < 1:
        raise BadData(f"execute of {policy} is the number of actions of a chunk that are executed, not {text!r}")
    return int(text)


def _read(announced: Any, url: str) -> Profile:
    try:
        return Profile.from_plain(announced)
    except VlagymError as error:
        raise BadReply(f"the server at {url} announces what is no profile: {error}") from error


def _check_same(named: Profile, said: Profile, url: str) -> None:
    parts = {"actions": (named.action, said.action), "observations": (named.observation, said.observation)}
    differing = [part for part, (a, b) in parts.items() if to_plain(a) != to_plain(b)]
    if differing:
        raise ConventionMismatch(
            f"the server at {url} announces the profile {said.name!r} with other {' and '.join(differing)} than the profile {named.name!r} "
            "that was named: leave the option profile out, or serve the policy that it describes"
        )
