"""Clients that mean no good take nothing from the others: slow ones, many of them, and large messages at once."""

from __future__ import annotations

import contextlib
import importlib
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from served import Echo, context, observation

from vlagym.policies.loading import load_policy

PROTOCOLS = ("openpi", "vla_eval", "rest", "gr00t")
SLOW = 40
LARGE_MIB, LARGE = 8, 3
_HEAD = {"rest": b"POST /act HTTP/1.1\r\nHost: h\r\nX-Slow: ", "gr00t": b"\xff\x00\x00\x00"}
QUICK = {"timeout": "20", "first_timeout": "20"}


@pytest.fixture(params=PROTOCOLS)
def server(request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    """Yields a protocol and the address of a server of it."""
    protocol: str = request.param
    with importlib.import_module(f"vlagym.policies.serving.{protocol}").SERVER(Echo(), "127.0.0.1", 0) as found:
        yield protocol, found.url


def answered(protocol: str, url: str) -> bool:
    """Plays as an honest client."""
    with contextlib.closing(load_policy(f"{protocol}:{url}", QUICK)) as policy:
        policy.reset(context())
        return policy.act({0: observation()})[0].values.shape == (4, 7)


def port_of(url: str) -> int:
    return int(url.rsplit(":", 1)[1].split("/")[0])


def test_who_never_finishes_what_they_say_keeps_nobody_waiting(server: tuple[str, str]) -> None:
    protocol, url = server
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(socket.create_connection(("127.0.0.1", port_of(url)), timeout=5)) for _ in range(SLOW)]
        for line in slow:
            line.sendall(_HEAD.get(protocol, b"GET / HTTP/1.1\r\nHost: h\r\nX-Slow: "))
        assert answered(protocol, url)
        for line in slow:
            with contextlib.suppress(OSError):  # a server may have hung up on it
                line.sendall(b"x")
        assert answered(protocol, url)
    assert answered(protocol, url)


def test_a_body_that_is_announced_and_never_sent_keeps_nobody_waiting() -> None:
    from vlagym.policies.serving.rest import SERVER

    with SERVER(Echo(), "127.0.0.1", 0) as found, contextlib.ExitStack() as stack:
        for _ in range(SLOW):
            line = stack.enter_context(socket.create_connection(("127.0.0.1", port_of(found.url)), timeout=5))
            line.sendall(b"POST /act HTTP/1.1\r\nHost: h\r\nContent-Length: 60000000\r\n\r\n{")
        assert answered("rest", found.url)


def test_large_messages_at_once_are_refused_and_the_others_are_answered(server: tuple[str, str]) -> None:
    protocol, url = server
    said: list[bytes] = []
    threads = [threading.Thread(target=lambda: said.append(large(protocol, url))) for _ in range(LARGE)]
    for thread in threads:
        thread.start()
    assert answered(protocol, url)
    for thread in threads:
        thread.join(60)
    told = {"openpi": b"Traceback", "vla_eval": b"", "rest": b"HTTP/1.1 422 ", "gr00t": b"error"}[protocol]
    assert len(said) == LARGE and all(told in one for one in said), said


def large(protocol: str, url: str) -> bytes:
    """Sends a large message that is none of the protocol; returns what is answered."""
    message = b'"' + b"x" * (LARGE_MIB << 20) + b'"'
    if protocol == "rest":
        return by_http(port_of(url), message)
    if protocol == "gr00t":
        return by_zmq(url, message)
    return by_websocket(url, message)


def by_http(port: int, message: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=60) as line:
        line.sendall(b"POST /act HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % len(message) + message[:-1] + b",")
        return line.recv(1000)


def by_zmq(url: str, message: bytes) -> bytes:
    zmq: Any = pytest.importorskip("zmq")
    with zmq.Context() as where, where.socket(zmq.REQ) as plug:
        plug.setsockopt(zmq.LINGER, 0)
        plug.setsockopt(zmq.RCVTIMEO, 60_000)
        plug.connect(url)
        plug.send(message)
        answer: bytes = plug.recv()
        return answer


def by_websocket(url: str, message: bytes) -> bytes:
    from websockets.exceptions import ConnectionClosed
    from websockets.sync.client import connect

    with connect(url, compression=None, max_size=None) as line:
        said = b""
        with contextlib.suppress(ConnectionClosed):
            line.send(message)
            while True:
                frame = line.recv(timeout=60)
                said += frame.encode() if isinstance(frame, str) else frame
    return said
