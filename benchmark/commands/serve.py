"""Puts a policy behind a protocol that other harnesses speak, and prints where it listens."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from vlagym.benchmark import console
from vlagym.envs import catalog

PORT = 8000
"""Where servers of policies listen unless they are told otherwise."""


def main(args: Sequence[str]) -> int:
    """Serves until it is interrupted, which is how it ends well: returns 0 then."""
    parser = console.parser(
        prog="vlagym serve",
        description="Serves a policy to whoever speaks the protocol, until ctrl-C. The first line on stdout is the address. Whoever reaches it may "
        "ask the policy: there is no key, so listen at an address that only those reach who may.",
        example="vlagym serve --policy minivla --protocol vla_eval --port 8000\nvlagym run --policy vla_eval:ws://127.0.0.1:8000 --suite smoke",
    )
    protocols = catalog.names("protocol")
    parser.add_argument("--policy", required=True, metavar="P", help="name, name:argument or package.module:ATTRIBUTE; `vlagym list policies`")
    parser.add_argument("--policy-option", action="append", default=[], metavar="K=V", help="an option of the policy; may be repeated")
    parser.add_argument("--protocol", required=True, metavar="X", help=f"one of: {' '.join(protocols)}")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at; 127.0.0.1 by default, which this machine alone reaches")
    parser.add_argument("--port", type=int, default=PORT, metavar="N", help=f"{PORT} by default; 0 takes one that is free")
    options = parser.parse_args(args)
    from vlagym.envs.errors import BadData
    from vlagym.policies.loading import load_policy, parse_options
    from vlagym.policies.serving.counter import servable
    from vlagym.policies.serving.host import check_host, reached_at

    if not 0 <= options.port <= 65535:
        raise BadData(f"a port is 0 to 65535, not {options.port}")
    check_host(options.host)
    server_of = catalog.load("protocol", options.protocol)
    with contextlib.closing(load_policy(options.policy, parse_options(options.policy_option))) as policy:
        servable(policy.spec)
        with server_of(policy, options.host, options.port) as server:
            console.answer(server.url)
            reached = f"{options.protocol}:{reached_at(server.url)}"  # the adapter bears the name of the protocol
            rig = "" if policy.spec.rig is None else f" --rig {policy.spec.rig}"  # at its own station, for elsewhere it is not played
            console.note(f"{policy.spec.name} is served by {options.protocol}. Try it: vlagym run --policy {reached} --suite smoke{rig}")
            with contextlib.suppress(KeyboardInterrupt):
                server.serve_forever()
            console.note("interrupted; the server ends")
    return 0

