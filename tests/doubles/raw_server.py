"""A TCP server that does whatever a test wants with each connection: what no real server would do on purpose."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from functools import partial
from types import TracebackType

Talk = Callable[["RawServer", socket.socket], None]
_HEAD_MAX = 1 << 20


class RawServer:
    """Listens on a free port of this machine while it is entered; each connection has a thread, and is closed when `talk` returns."""

    def __init__(self, talk: Talk) -> None:
        self._talk = talk
        self._plug = socket.create_server(("127.0.0.1", 0))
        self._threads: list[threading.Thread] = []
        self._lines: list[socket.socket] = []
        self.is_over = threading.Event()
        """A connection that is to hang waits for this."""
        self.requests: list[bytes] = []
        """What `read_http` has read."""

    @property
    def port(self) -> int:
        return int(self._plug.getsockname()[1])

    @property
    def num_connections(self) -> int:
        return len(self._lines)

    def __enter__(self) -> RawServer:
        self._start(self._accept)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.is_over.set()
        for plug in (self._plug, *self._lines):
            with contextlib.suppress(OSError):
                plug.shutdown(socket.SHUT_RDWR)  # closing alone wakes nobody who waits
            plug.close()
        for thread in self._threads:
            thread.join(timeout=5)

    def read_http(self, line: socket.socket) -> bytes | None:
        """Reads one request and returns its body; None where the other side has hung up."""
        data = b""
        while b"\r\n\r\n" not in data and len(data) < _HEAD_MAX:
            piece = line.recv(1 << 16)
            if not piece:
                return None
            data += piece
        head, _, body = data.partition(b"\r\n\r\n")
        lengths = [row.split(b":")[1] for row in head.split(b"\r\n") if row.lower().startswith(b"content-length:")]
        while lengths and len(body) < int(lengths[0]):
            body += line.recv(1 << 16)
        self.requests.append(head + b"\r\n\r\n" + body)
        return body

    def _accept(self) -> None:
        while not self.is_over.is_set():
            try:
                line, _ = self._plug.accept()
            except OSError:
                return
            self._lines.append(line)
            self._start(partial(self._serve, line))

    def _serve(self, line: socket.socket) -> None:
        with line, contextlib.suppress(OSError):
            self._talk(self, line)

    def _start(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, daemon=True)
        self._threads.append(thread)
        thread.start()


def http_answers(*answers: bytes) -> Talk:
    """Returns a talk that answers the requests of a connection with these, one after another, and then hangs up."""

    def talk(server: RawServer, line: socket.socket) -> None:
        for answer in answers:
            if server.read_http(line) is None:
                return
            line.sendall(answer)

    return talk


def http_answer(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    """Returns an answer whose length is said."""
    rows = [f"HTTP/1.1 {status}", "Content-Type: application/json", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*rows, "", ""]).encode() + body
