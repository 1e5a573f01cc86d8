"""Which conventions a policy behind a wire has: those of the profile that was named, or those that the server announces; never a guess."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vlagym.envs.errors import BadData, BadReply, ConventionMismatch, VlagymError
from vlagym.envs.types import ActionComponent, ImageComponent, StateComponent, to_plain
from vlagym.policies.foreign import told
from vlagym.policies.profile import Profile, load_profile, profile_names

OPTIONS = ("profile", "execute")
"""Names of the options that `adopt` and `read_execute` read."""
_TOLD_MAX = 600
"""Letters of what is wrong with an announcement."""
_TOLD = 6
"""Differences that a refusal names."""


def adopt(policy: str, options: Mapping[str, str], announced: Any, url: str) -> Profile:
    """Returns the profile of a policy behind a wire.

    Args:
      policy: Name of the adapter.
      options: "profile": name of a profile, or a file that ends in .toml.
      announced: What the server says of itself as plain data, as servers of vlagym do; None where it says nothing.
      url: Of the server.

    Raises:
      BadData: If nobody says what the policy's conventions are, or the server's are of a rig whose file nobody can read here.
      BadReply: If what the server announces is no profile.
      ConventionMismatch: If the server announces other conventions than the profile that was named.
    """
    said = None if announced is None else _read(announced, url)
    if "profile" in options:
        named = load_profile(options["profile"])
        if said is not None:
            _check_same(named, said, url, is_told_execute="execute" in options)
        return named
    if said is None:
        known = ", ".join(profile_names())
        raise BadData(
            f"the server at {url} does not say what it reads and sends, and a guess would be a silent 0 %: give {policy} "
            f"--policy-option profile=NAME|FILE.toml. There are: {known}"
        )
    if said.rig is not None and said.rig.endswith(".toml"):
        raise BadData(
            f"the server at {url} announces the profile {said.name!r} of the rig {said.rig!r}, a file of its own that is not sent along: give "
            f"{policy} --policy-option profile=FILE.toml, whose `rig` is where that file lies here"
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
        raise BadReply(f"the server at {url} announces what is no profile: {told(error, _TOLD_MAX)}") from error


def _check_same(named: Profile, said: Profile, url: str, *, is_told_execute: bool) -> None:
    """Refuses a profile that says otherwise than the server in anything that changes what a number means; labels and prose may differ.

    A server that was not told of a rig announces none, and then there is nothing to compare; what things are called on a wire is not announced.
    """
    parts: list[tuple[str, Any, Any]] = [
        ("action", _by_name(named.action.components), _by_name(said.action.components)),
        ("action.rate_hz", named.action.rate_hz, said.action.rate_hz),
        ("image", _by_name(named.observation.images), _by_name(said.observation.images)),
        ("state", _by_name(named.observation.state), _by_name(said.observation.state)),
        ("observation.rate_hz", named.observation.rate_hz, said.observation.rate_hz),
        ("normalisation", to_plain(named.normalisation), to_plain(said.normalisation)),
    ]
    orders = ((named.action.components, said.action.components, "action"), (named.observation.images, said.observation.images, "image"),
              (named.observation.state, said.observation.state, "state"))  # fmt: skip
    parts += [(f"order of {what}", _names(ours), _names(theirs)) for ours, theirs, what in orders if sorted(_names(ours)) == sorted(_names(theirs))]
    scalars = [name for name in ("clip", "history", "sticky_steps", "chunk_steps", "execute_steps") if not (is_told_execute and name[0] == "e")]
    parts += [(name, to_plain(getattr(named, name)), to_plain(getattr(said, name))) for name in scalars]
    if said.rig is not None:
        parts.append(("rig", None if named.rig is None else Path(named.rig).name, said.rig))
    differing = [line for path, ours, theirs in parts for line in _differences(path, ours, theirs)]
    if differing:
        more = f"; and {len(differing) - _TOLD} more" if len(differing) > _TOLD else ""
        raise ConventionMismatch(
            f"the server at {url} announces the profile {said.name!r}, and the profile {named.name!r} that was named says otherwise: "
            f"{'; '.join(differing[:_TOLD])}{more}. Leave the option profile out, or serve the policy that it describes"
        )


def _names(parts: Sequence[ActionComponent | ImageComponent | StateComponent]) -> list[str]:
    return [part.name for part in parts]


def _by_name(parts: Sequence[ActionComponent | ImageComponent | StateComponent]) -> dict[str, Any]:
    return {part.name: {field.name: to_plain(getattr(part, field.name)) for field in dataclasses.fields(part)} for part in parts}


def _differences(path: str, ours: Any, theirs: Any) -> list[str]:
    """Returns in words where the plain data of two profiles differ: "action.gripper.low is [-1.0] there and [0.0] here"."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return [line for key in dict.fromkeys([*theirs, *ours]) for line in _differences(f"{path}.{key}", ours.get(key), theirs.get(key))]
    if ours == theirs:
        return []
    if isinstance(ours, dict) or isinstance(theirs, dict):
        return [f"{path} is {'not there' if theirs is None else 'only there'}"]
    return [f"{path} is {theirs!r} there and {ours!r} in the profile"]
