"""A run that goes on with its policy's server at another address: on a cluster the port changes with every job, and nothing else does."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from vlagym.envs.types import RunHeader
from vlagym.results.pooling import ADDRESSES

_ADDRESS = re.compile(r"(?P<adapter>\w+:(\w+://)?)(?P<place>[^/?#]+:\d+)(?P<path>[/?#].*)?")
"""A policy behind a wire, as it is written: openpi:ws://host:8000/path."""
_SAID_IN = ("url", "address")
"""Keys of a card under which adapters say where their server is."""


def at_home(after: RunHeader, before: RunHeader) -> RunHeader:
    """Returns a header as if its policy were asked where that of another one was first.

    That takes the same adapter and path, and a card that says nothing else either: only host and port are put back. Whoever serves another model
    there, and lets it announce the same, is not found out, and would not be at the same address.

    Args:
      after: Of a run that goes on.
      before: Of the run that it goes on with.
    """
    policy = {key: value for key, value in after.policy.items() if key != ADDRESSES}
    old, new = (_ADDRESS.fullmatch(str(header.policy.get("name"))) for header in (before, after))
    card, said = policy.get("card"), before.policy.get("card")
    if old and new and isinstance(card, Mapping) and isinstance(said, Mapping) and (old["adapter"], old["path"]) == (new["adapter"], new["path"]):
        back = {key: text.replace(new["place"], old["place"]) for key in _SAID_IN if isinstance(text := card.get(key), str) and key in said}
        if back and all(said[key] == text for key, text in back.items()):
            policy |= {"name": before.policy["name"], "card": {**card, **back}}
    return replace(after, policy=policy)


def address_of(header: RunHeader) -> str:
    """Returns the policy of a run as it was written last: where it was asked when the run was begun, or at the last address to which it moved."""
    return str([header.policy["name"], *header.policy.get(ADDRESSES, ())][-1])


def noted(before: RunHeader, after: RunHeader) -> RunHeader:
    """Returns the header of a run that goes on: it lists a further address where the policy is asked at another one than the last."""
    name = str(after.policy["name"])
    if name == address_of(before):
        return before
    return replace(before, policy={**before.policy, ADDRESSES: [*before.policy.get(ADDRESSES, ()), name]})
