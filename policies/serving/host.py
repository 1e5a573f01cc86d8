"""The host at which a server listens: named, and written as part of an address."""

from __future__ import annotations

from vlagym.envs.errors import BadData

_ALL = {"0.0.0.0": "127.0.0.1", "0": "127.0.0.1", "*": "127.0.0.1", "::": "::1"}
"""Words for every interface of the machine, and where such a server is reached from the machine itself."""


def check_host(host: str) -> None:
    """Refuses what is no host. Of an empty one sockets make every interface of the machine, which nobody should open by leaving out a word.

    Raises:
      BadData: If it is empty, or holds spaces or letters that cannot be printed.
    """
    if not host or not host.isprintable() or " " in host:
        raise BadData(f"{host!r} is no host to listen at: say 127.0.0.1 for this machine alone, or 0.0.0.0 for whoever reaches it")


def address(scheme: str, host: str, port: int) -> str:
    """Returns `scheme://host:port`, with brackets around a host of IPv6."""
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def reached_at(url: str) -> str:
    """Returns where a server is reached from its own machine, for 0.0.0.0, 0, * and :: are no places to go to.

    Args:
      url: Where it listens: `scheme://host:port` and perhaps a path.
    """
    for everywhere, here in _ALL.items():
        before = address("", everywhere, 0).removesuffix("0")
        if before in url:
            return url.replace(before, address("", here, 0).removesuffix("0"), 1)
    return url
