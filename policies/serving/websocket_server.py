"""A WebSocket server whose every connection has a thread, which answers a few HTTP requests on the same port, and which ends when it is told to."""

from __future__ import annotations

import contextlib
import http
import inspect
import os
import socket
import threading
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, NamedTuple

from vlagym.envs.errors import BadData, MissingPackage
from vlagym.policies.foreign import told
from vlagym.policies.serving.host import address, check_host
from vlagym.policies.wire.arrays import MAX_BYTES

_LOOK_S = 0.5
"""Waiting for the end is interrupted so often: a wait without a limit would not let ctrl-C through on every system."""


class HttpAnswer(NamedTuple):
    """What is answered to a request that opens no WebSocket."""

    text: str
    status: int = 200
    content_type: str = "text/plain; charset=utf-8"
    headers: tuple[tuple[str, str], ...] = ()
    """Further ones."""


Handle = Callable[[Any], None]
"""Is given a connection of `websockets.sync.server`; it is closed with code 1000 when the function returns, and with 1011 when it raises."""
AnswerHttp = Callable[[str], HttpAnswer | None]
"""Path and query -> the answer; None: a WebSocket is opened."""
Screen = Callable[[Mapping[str, str]], HttpAnswer | None]
"""Headers of a request, by their names in small letters -> its refusal; None: it may pass."""


class WebSocketServer:
    """Listens from when it is entered until it is left. Messages are not compressed, and no pings are sent."""

    def __init__(
        self,
        handle: Handle,
        host: str,
        port: int,
        *,
        answer_http: AnswerHttp = lambda path: None,
        max_bytes: int = MAX_BYTES,
        screen: Screen = lambda headers: None,
    ) -> None:
        """Makes a server that does not listen yet.

        Args:
          handle: Serves one connection, on a thread of its own.
          host: Address to listen at.
          port: Port; 0: any that is free.
          answer_http: Answers plain requests.
          max_bytes: A larger message closes its connection with code 1009.
          screen: Looks at each request first.

        Raises:
          BadData: If the host is none.
        """
        check_host(host)
        self._handle, self._host, self._port = handle, host, port
        self._answer_http, self._max_bytes, self._screen = answer_http, max_bytes, screen
        self._server: Any = None
        self._thread: threading.Thread | None = None
        self._connections: set[Any] = set()
        self._lock = threading.Lock()
        self._is_over = threading.Event()

    @property
    def url(self) -> str:
        """Where it listens: `ws://host:port`."""
        return address("ws", self._host, self._port)

    def __enter__(self) -> WebSocketServer:
        """Begins to listen.

        Raises:
          BadData: If the address cannot be listened at.
          MissingPackage: Without websockets.
        """
        serve = _serve()
        try:
            family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
            plug = socket.create_server((self._host, self._port), family=family)
        except (OSError, UnicodeError) as error:  # a name of a host may be one that cannot even be asked for
            code = getattr(error, "errno", None) or 0  # below 0 of a name that is not known
            why = os.strerror(code) if code > 0 else told(error)
            raise BadData(f"nobody can listen at {self.url} ({why}): choose another port with --port, or 0 for any that is free") from error
        self._port = plug.getsockname()[1]
        options = {"ping_interval": None} if "ping_interval" in inspect.signature(serve).parameters else {}
        self._server = serve(
            self._handled, sock=plug, process_request=self._answered, compression=None, max_size=self._max_bytes, close_timeout=1.0, **options
        )
        self._thread = threading.Thread(target=self._server.serve_forever, name="listens", daemon=True)
        self._thread.start()
        return self

    def serve_forever(self) -> None:
        """Waits until the server is left or closed by another thread, or this one is interrupted."""
        while not self._is_over.wait(_LOOK_S):
            pass

    def close(self) -> None:
        """Stops listening and closes every connection. Whoever is being answered is cut off."""
        self._is_over.set()
        if self._server is None:
            return
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            with contextlib.suppress(OSError):  # closed by the other side in the meantime
                connection.socket.shutdown(socket.SHUT_RDWR)
        self._server.shutdown()
        self._server = None
        if self._thread is not None:
            self._thread.join()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()

    def _handled(self, connection: Any) -> None:
        from websockets.exceptions import ConnectionClosed

        connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._lock:
            self._connections.add(connection)
        try:
            with contextlib.suppress(ConnectionClosed):  # the other side has gone
                self._handle(connection)
        finally:
            with self._lock:
                self._connections.discard(connection)

    def _answered(self, connection: Any, request: Any) -> Any:
        refusal = self._screen({name.lower(): value for name, value in request.headers.raw_items()})
        answer = refusal or self._answer_http(request.path)
        if answer is None:
            return None
        response = connection.respond(http.HTTPStatus(answer.status), answer.text)
        del response.headers["Content-Type"]
        response.headers["Content-Type"] = answer.content_type
        for name, value in answer.headers:
            response.headers[name] = value
        return response


def _serve() -> Callable[..., Any]:
    try:
        from websockets.sync.server import serve
    except ImportError as missing:
        raise MissingPackage("serving on ws:// needs: pip install 'vlagym[ws]'") from missing
    return serve
