"""Serves a policy by HTTP as OpenVLA-OFT's server does, or as OpenVLA's where it reads one image and no state."""

from __future__ import annotations

import contextlib
import json
import logging
import socket
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

from vlagym.envs.errors import BadData
from vlagym.policies.base import Policy
from vlagym.policies.foreign import told
from vlagym.policies.serving.counter import TOLD_MAX, Counter
from vlagym.policies.serving.host import address, check_host
from vlagym.policies.wire import arrays, rest

_LOG = logging.getLogger(__name__)
_LOOK_S = 0.5
_IDLE_S = 600.0
"""A connection over which nothing is asked for so long is closed; a simulation may take its time between two questions."""


class SERVER:
    """POST /act asks for actions; GET /health says that it is up, and GET /vlagym what it reads and sends.

    The protocol has no episodes: one begins with each connection, and where the sentence of a connection changes. Whatever goes wrong is answered as
    the originals do, with status 200 and the word "error", and logged here.
    """

    def __init__(self, policy: Policy, host: str, port: int) -> None:
        """Makes a server that does not listen yet.

        Args:
          policy: Is served; it is not closed.
          host: Address to listen at.
          port: Port; 0: any that is free.

        Raises:
          BadData: If the policy cannot be served, or reads something that the protocol has no place for.
        """
        check_host(host)
        self._counter = Counter(policy)
        try:
            spec = policy.spec
            self._dialect = rest.usual_dialect(spec.observation)
            self._layout = rest.layout(self._dialect, None, self._counter.action, spec.observation, f"policy {spec.name!r}")
            if len(spec.history) > 1:
                raise BadData(f"policy {spec.name!r} reads earlier observations, and this protocol carries one at a time")
        except BadData:
            self._counter.close()
            raise
        self._host, self._port = host, port
        self._server: _Listener | None = None
        self._thread: threading.Thread | None = None
        self._is_over = threading.Event()

    @property
    def url(self) -> str:
        """Where it is asked."""
        return f"{address('http', self._host, self._port)}/act"

    def __enter__(self) -> SERVER:
        """Begins to listen.

        Raises:
          BadData: If the address cannot be listened at.
        """
        try:
            self._server = _Listener(self._host, self._port, self)
        except (OSError, UnicodeError) as error:  # a name of a host may be one that cannot even be asked for
            where = f"{self._host}:{self._port} ({getattr(error, 'strerror', None) or told(error)})"
            raise BadData(f"nobody can listen at {where}: choose another port with --port, or 0 for any that is free") from error
        self._port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, name="listens", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._is_over.set()
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()
        self._counter.close()

    def serve_forever(self) -> None:
        """Waits until it is interrupted."""
        while not self._is_over.wait(_LOOK_S):
            pass

    def leave(self, client: object) -> None:
        """Forgets a connection."""
        self._counter.leave(client)

    def answer(self, client: object, message: Mapping[str, Any]) -> str:
        """Returns the answer to a request as JSON: actions, or the word "error"."""
        is_encoded = list(message) == [rest.ENCODED]
        try:
            if is_encoded:
                message = arrays.from_json(message[rest.ENCODED])
            images, state, instruction = rest.read_request(message, self._layout)
            chunk = self._counter.answer(client, images, state, instruction)
            said = arrays.to_json(rest.answer(chunk.values, self._dialect))
        except Exception as error:  # of the policy, or of what was sent
            _LOG.warning("a request was answered with 'error': %s: %s", type(error).__name__, told(error, TOLD_MAX))
            return json.dumps(rest.ERROR)
        return json.dumps(said) if is_encoded else json.dumps(json.loads(said), separators=(",", ":"))

    def announcement(self) -> str:
        """Returns what a client must know to convert for the policy, as JSON."""
        return arrays.to_json({"dialect": self._dialect, "profile": self._counter.announcement()})


class _Listener(ThreadingHTTPServer):
    """Gives every connection a thread, and cuts all of them off when it is closed."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, host: str, port: int, owner: SERVER) -> None:
        self.owner = owner
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._lines: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__((host, port), _Conversation)

    def server_bind(self) -> None:
        """Binds the address; unlike http.server's own, without asking for the name of the host, which can take seconds."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def finish_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._lines.add(request)
        try:
            super().finish_request(request, client_address)
        finally:
            with self._lock:
                self._lines.discard(request)

    def server_close(self) -> None:
        super().server_close()
        with self._lock:
            lines = list(self._lines)
        for line in lines:
            with contextlib.suppress(OSError):  # closed by the other side in the meantime
                line.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        _LOG.info("the connection of %s ended", client_address, exc_info=True)


class _Conversation(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: _Listener
    timeout = _IDLE_S
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        if self.path == "/health":
            return self._say(200, '{"status":"ok"}')
        if self.path == "/vlagym":
            return self._say(200, self.server.owner.announcement())
        return self._say(405, _detail("Method Not Allowed")) if self.path == "/act" else self._say(404, _detail("Not Found"))

    def do_POST(self) -> None:
        body = self._body()
        if body is None:
            return None
        if self.path != "/act":
            return self._say(404, _detail("Not Found"))
        try:
            message = arrays.from_json(body)
        except BadData as error:
            return self._say(422, _detail([{"type": "json_invalid", "loc": ["body", 0], "msg": "JSON decode error", "ctx": {"error": str(error)}}]))
        if not isinstance(message, dict):
            return self._say(422, _detail([{"type": "dict_type", "loc": ["body"], "msg": "Input should be a valid dictionary"}]))
        return self._say(200, self.server.owner.answer(self, message))

    def finish(self) -> None:
        self.server.owner.leave(self)
        super().finish()

    def log_message(self, format: str, *args: Any) -> None:
        _LOG.debug(format, *args)

    def _body(self) -> bytes | None:
        """Reads the body; None if it was refused. Nothing is allocated for what a header merely announces beyond the limit."""
        said = self.headers.get("Content-Length")
        if said is None or not said.isdecimal() or int(said) > arrays.MAX_BYTES:
            self.close_connection = True
            status, why = (413, f"at most {arrays.MAX_BYTES} bytes are taken") if said and said.isdecimal() else (411, "Content-Length is wanted")
            self._say(status, _detail(why))
            return None
        body = self.rfile.read(int(said))
        if len(body) < int(said):
            self.close_connection = True
            return None
        return body

    def _say(self, status: int, text: str) -> None:
        data = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(data)


def _detail(what: Any) -> str:
    return json.dumps({"detail": what}, separators=(",", ":"))
