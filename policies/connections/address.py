"""Addresses of servers: read in one place, where no name and no key is taken, and told without what follows a question mark."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import parse_qsl, urlsplit

from vlagym.envs.errors import BadData
from vlagym.policies.foreign import looks_secret, told, without_query
from vlagym.policies.sent_keys import remember


class Address(NamedTuple):
    """Where a server is."""

    scheme: str
    host: str
    port: int | None
    """None: the usual one of the scheme."""
    path: str
    """With its leading slash; empty where none was written."""
    query: str
    """Without its question mark. Goes to the server, and into nothing that is stored or said."""
    shown: str
    """Scheme, host, port and path, as they stand in messages, cards and headers."""

    @property
    def base(self) -> str:
        """Scheme, host and port alone."""
        return self.shown.removesuffix(self.path) if self.path else self.shown


def read_address(url: str, schemes: Sequence[str], *, what: str, write: str) -> Address:
    """Returns the parts of an address. A key in its query is known to `sent_keys` from here on.

    Args:
      url: As it was written.
      schemes: Those that are spoken here.
      what: What it should be an address of, in errors.
      write: How such a one is written.

    Raises:
      BadData: If it is none of these schemes, has no host or an impossible port, holds spaces, or a name and a password (`user:password@host`): those
        would stand in headers and lists of processes.
    """
    refuse_login(url)
    shown, begin = without_query(url), f"{url.partition('://')[0]}://…"
    if not url.isprintable() or " " in url:
        raise BadData(f"{told(begin, 40)!r} is no address of {what}: it holds a space or a letter that cannot be printed; write {write}")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:  # it may be that a password stands where the port is looked for, so that none of it is told
        raise BadData(f"{begin!r} is no address of {what}: write {write}; its host or its port is none that can be") from error
    if parts.scheme not in schemes or not parts.hostname or port == 0:
        raise BadData(f"{shown!r} is no address of {what}: write {write}")
    if not (parts.path + parts.query).isascii():
        raise BadData(f"{shown!r} is no address of {what}: what follows the host holds a letter beyond ASCII; write it as %C3%A9 and the like")
    for name, value in parse_qsl(parts.query):
        if looks_secret(name):
            remember(value)
    return Address(parts.scheme, parts.hostname, port, parts.path, parts.query, f"{parts.scheme}://{parts.netloc}{parts.path}")


def refuse_login(address: str) -> None:
    """Refuses an address with a name or a password before its host.

    Raises:
      BadData: If there is one.
    """
    rest = address.partition("://")[2] or address
    host = rest.replace("?", "/").replace("#", "/").replace("\\", "/").partition("/")[0]
    if "@" in host:
        raise BadData(
            "an address holds no name and no key (…@host): they would stand in the run header. Keys lie in environment variables: see the option "
            "api_key_env"
        )
