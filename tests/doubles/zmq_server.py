"""Servers of ZeroMQ that answer what a test wants, and the greeting of one that is made of bare bytes."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

Reply = Callable[[bytes], bytes | list[bytes] | None]

_GREETING = b"\xff" + bytes(8) + b"\x7f" + b"\x03\x00" + b"NULL".ljust(20, b"\0") + b"\0" + bytes(31)
"""Of ZMTP 3.0."""
_READY = b"\x05READY" + b"\x0bSocket-Type" + (3).to_bytes(4, "big") + b"REP"
_EMPTY_FRAME = b"\x01\x00"
"""Stands before every answer."""


@contextlib.contextmanager
def replying(reply: Reply, port: int = 0) -> Iterator[int]:
    """Serves on a thread with what `reply` returns; where that is None, nothing more is ever answered. Yields the port."""
    import zmq

    context, is_over = zmq.Context(), threading.Event()
    plug = context.socket(zmq.REP)
    plug.linger = 0
    if port:
        plug.bind(f"tcp://127.0.0.1:{port}")
    else:
        port = plug.bind_to_random_port("tcp://127.0.0.1")

    def serve() -> None:
        while not is_over.is_set():
            if not plug.poll(20):
                continue
            answer = reply(plug.recv())
            if answer is None:
                is_over.wait(60)
            else:
                plug.send_multipart(answer if isinstance(answer, list) else [answer])

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield port
    finally:
        is_over.set()
        thread.join(timeout=5)
        context.destroy(linger=0)


def shake_hands(line: socket.socket) -> None:
    """Greets on a bare socket as a server of ZeroMQ does, and reads the first request."""
    line.sendall(_GREETING)
    greeted = b""
    while len(greeted) < 64 + 2:
        greeted += line.recv(1 << 16)
    while len(greeted) < 66 + greeted[65]:
        greeted += line.recv(1 << 16)
    line.sendall(b"\x04" + bytes([len(_READY)]) + _READY)
    line.recv(1 << 16)


def boast(line: socket.socket, announced: int) -> None:
    """Begins an answer that is announced to have so many bytes."""
    line.sendall(_EMPTY_FRAME + b"\x02" + announced.to_bytes(8, "big") + b"x" * 100)
