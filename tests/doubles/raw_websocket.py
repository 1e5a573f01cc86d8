"""A server that shakes hands as a WebSocket server and then does whatever a test wants with the bare socket: lies, silence, half a message."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3
PATIENCE_S = 20.0
"""A test that goes wrong ends nevertheless."""


@contextlib.contextmanager
def raw_websocket(
    act: Callable[[socket.socket, threading.Event], None], *, handshake: bytes | None = None, delay_s: float = 0.0, heard: list[bytes] | None = None
) -> Iterator[str]:
    """Yields the address of a server that hands each connection over after the handshake.

    Args:
      act: What is done with a connection; the event says that the test is over. The connection is closed afterwards.
      handshake: What is answered to the request; None: that a WebSocket is open.
      delay_s: How long it takes to.
      heard: Gets each request for a handshake.
    """
    over = threading.Event()
    server = socket.create_server(("127.0.0.1", 0))
    server.settimeout(0.02)
    threads: list[threading.Thread] = []

    def serve(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(PATIENCE_S)
            request = b""
            while b"\r\n\r\n" not in request:
                piece = connection.recv(4096)
                if not piece:
                    return
                request += piece
            if b"sec-websocket-key:" not in request.lower():
                over.wait(PATIENCE_S)  # busy: it answers nobody else
                return
            if heard is not None:
                heard.append(request)
            over.wait(delay_s)
            connection.sendall(_accepted(request) if handshake is None else handshake)
            act(connection, over)

    def accept() -> None:
        while not over.is_set():
            with contextlib.suppress(TimeoutError):
                threads.append(threading.Thread(target=serve, args=(server.accept()[0],), daemon=True))
                threads[-1].start()

    threads.append(threading.Thread(target=accept, daemon=True))
    threads[0].start()
    try:
        yield f"ws://127.0.0.1:{server.getsockname()[1]}"
    finally:
        over.set()
        for thread in threads:
            thread.join(PATIENCE_S)
        server.close()


def frame(payload: bytes, *, opcode: int = 2, announced: int | None = None, is_last: bool = True) -> bytes:
    """Returns a frame of a server: opcode 1 text, 2 binary, 0 what continues one, 8 a close; `announced`: a length that is a lie."""
    head = bytes([opcode | (0x80 if is_last else 0)])
    size = len(payload) if announced is None else announced
    if size < 126:
        return head + bytes([size]) + payload
    return head + (b"\x7e" + struct.pack(">H", size) if size < 2**16 else b"\x7f" + struct.pack(">Q", size)) + payload


def goodbye(code: int, reason: str) -> bytes:
    """Returns a close frame."""
    return frame(struct.pack(">H", code) + reason.encode(), opcode=8)


def sends(*parts: bytes) -> Callable[[socket.socket, threading.Event], None]:
    """Returns what sends, and stays without ever listening."""

    def act(connection: socket.socket, over: threading.Event) -> None:
        for part in parts:
            connection.sendall(part)
        over.wait(PATIENCE_S)

    return act


def closed_port() -> str:
    """Returns an address at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"ws://127.0.0.1:{server.getsockname()[1]}"


def _accepted(request: bytes) -> bytes:
    key = next(line.split(b":", 1)[1].strip() for line in request.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key:"))
    accept = base64.b64encode(hashlib.sha1(key + _GUID).digest())
    return b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + accept + b"\r\n\r\n"
