"""A run that goes on with its policy's server at another address: on a cluster the port changes with every job, and nothing else does."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from vlagym.envs.types import RunHeader
from vlagym.results.pooling import ADDRESSES

_ADDRESS = re.compile(r"(?P<adapter>\w+:)((?P<scheme>\w+://)(?P<place>[^/?#\s]+)|(?P<bare>[^/?#\s]+:\d+))(?P<path>[/?#].*)?")
"""A policy behind a wire, as it is written: openpi:ws://host:8000/path, rest:https://host/act, or lerobot_grpc:host:8080."""
_SAID_IN = ("url", "address")
"""Keys of a card under which adapters say where their server is."""
_OF_ITSELF = "server"
"""Key of a card under which adapters keep what a server says of itself."""
_PLACE = frozenset(
    "host hostname node nodename ip ipaddress addr address url port pid ppid processid started startedat start starttime boottime launched "
    "launchedat uptime uptimes timestamp time date now job jobid slurmjobid container containerid pod podname instanceid serverid".split()
)
"""Names, without case and what joins their words, of what tells where a server runs and since when, and nothing of what it answers."""


def at_home(after: RunHeader, before: RunHeader) -> RunHeader:
    """Returns a header as if its policy were asked where that of another one was first.

    That takes the same adapter, scheme and path, and a card that says nothing else either: host and port are put back, and what of the server's own
    words is called like a place, a process or a time (`host`, `pid`, `started_at` …). Whoever serves another model there, and lets it announce the
    same, is not found out, and would not be at the same address.

    Args:
      after: Of a run that goes on.
      before: Of the run that it goes on with.
    """
    policy = {key: value for key, value in after.policy.items() if key != ADDRESSES}
    old, new = (_ADDRESS.fullmatch(str(header.policy.get("name"))) for header in (before, after))
    card, said = policy.get("card"), before.policy.get("card")
    parts = ("adapter", "scheme", "path")
    if old and new and isinstance(card, Mapping) and isinstance(said, Mapping) and old.group(*parts) == new.group(*parts):
        back = {key: _moved(text, new, old) for key in _SAID_IN if isinstance(text := card.get(key), str) and key in said}
        if back and all(said[key] == text for key, text in back.items()):
            own = {_OF_ITSELF: _put_back(card[_OF_ITSELF], said[_OF_ITSELF])} if _OF_ITSELF in card and _OF_ITSELF in said else {}
            policy |= {"name": before.policy["name"], "card": {**card, **back, **own}}
    return replace(after, policy=policy)


def _moved(url: str, new: re.Match[str], old: re.Match[str]) -> str:
    """Returns an address at the old place, if it is at the new one; its path may hold the same letters."""
    scheme, slashes, rest = url.rpartition("://") if "://" in url.partition("?")[0] else ("", "", url)
    there, here = (found["place"] or found["bare"] for found in (new, old))
    is_there = rest.startswith(there) and rest[len(there) : len(there) + 1] in ("", "/", "?", "#")
    return f"{scheme}{slashes}{here}{rest[len(there):]}" if is_there else url


def _put_back(after: Any, before: Any) -> Any:
    """Returns what a server says of itself, with the place, the process and the times that it said before."""
    if isinstance(after, Mapping) and isinstance(before, Mapping):
        return {key: _said_of(key, value, before[key]) if key in before else value for key, value in after.items()}
    return after


def _said_of(key: Any, after: Any, before: Any) -> Any:
    is_place = re.sub(r"[^a-z]", "", str(key).lower()) in _PLACE
    return before if is_place and not isinstance(after, Mapping) else _put_back(after, before)


def address_of(header: RunHeader) -> str:
    """Returns the policy of a run as it was written last: where it was asked when the run was begun, or at the last address to which it moved."""
    return str([header.policy["name"], *header.policy.get(ADDRESSES, ())][-1])


def noted(before: RunHeader, after: RunHeader) -> RunHeader:
    """Returns the header of a run that goes on: it lists a further address where the policy is asked at another one than the last."""
    name = str(after.policy["name"])
    if name == address_of(before):
        return before
    return replace(before, policy={**before.policy, ADDRESSES: [*before.policy.get(ADDRESSES, ()), name]})
