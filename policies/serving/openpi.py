"""Serves a policy as openpi's own server does: metadata first, then a chunk for each observation, over a WebSocket."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from vlagym.envs.errors import BadData
from vlagym.policies.base import Policy
from vlagym.policies.foreign import told
from vlagym.policies.profile import Profile
from vlagym.policies.sent_keys import cleaned
from vlagym.policies.serving.counter import TOLD_MAX, Counter, servable
from vlagym.policies.serving.websocket_server import HttpAnswer, WebSocketServer
from vlagym.policies.wire import arrays, names, openpi
from vlagym.policies.wire.names import Names

_LOG = logging.getLogger(__name__)
_HEALTH = "/healthz"
_TRACE_MAX = 20_000
"""Letters of a traceback that a client is sent, from its end."""
_FAILED = (1011, "Internal server error. Traceback included in previous frame.")
"""Close code and reason with which openpi's server ends a connection whose request it could not answer."""


class SERVER:
    """Each connection is one client. Its episode begins where the connection or the sentence is new.

    A request holds what the policy reads under the names of the profile's table [wire.openpi], or as `observation/<name>` and `prompt`. A client
    that sends `session_id` too begins an episode with each new one.
    """

    def __init__(self, policy: Policy, host: str, port: int) -> None:
        """Makes a server that does not listen yet.

        Args:
          policy: Is served; it is not closed.
          host: Address to listen at.
          port: Port; 0: any that is free.

        Raises:
          BadData: If the policy cannot be served.
        """
        servable(policy.spec)
        self._called = _names(policy)
        self._counter = Counter(policy)
        self._server = WebSocketServer(self._handle, host, port, answer_http=_answer_http)

    @property
    def url(self) -> str:
        """Where it listens."""
        return self._server.url

    def __enter__(self) -> SERVER:
        """Begins to listen.

        Raises:
          BadData: If the address cannot be listened at.
          MissingPackage: Without websockets.
        """
        self._server.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.close()
        self._counter.close()

    def serve_forever(self) -> None:
        """Waits until it is interrupted."""
        self._server.serve_forever()

    def _handle(self, connection: Any) -> None:
        connection.send(arrays.pack({openpi.ANNOUNCEMENT: self._counter.announcement()}, "openpi"))
        try:
            self._serve(connection)
        finally:
            self._counter.leave(connection)

    def _serve(self, connection: Any) -> None:
        """Answers until the client leaves, or something cannot be answered."""
        session: str | None = None
        total_s: float | None = None
        while True:
            message = connection.recv()
            began_s = time.perf_counter()
            try:
                request = _read(message)
                said = request.get(openpi.SESSION)
                if said is not None and said != session:
                    session = str(said)
                    self._counter.begin(connection, digest=session)
                reply = self._answer(connection, request, total_s)
            except Exception as error:
                _LOG.warning("a request to %s could not be answered: %s: %s", self.url, type(error).__name__, told(error, TOLD_MAX))
                connection.send(_sendable(traceback.format_exc()))
                connection.close(*_FAILED)
                return
            connection.send(reply)
            total_s = time.perf_counter() - began_s

    def _answer(self, connection: Any, request: Mapping[str, Any], total_s: float | None) -> bytes:
        """Returns the reply to a request; `total_s` is how long the one before it took."""
        images, state = ({name: names.find(request, place) for name, place in of.items()} for of in (self._called.images, self._called.state))
        instruction = names.find(request, self._called.instruction)
        began_s = time.perf_counter()
        chunk = self._counter.answer(
            connection,
            {name: value for name, value in images.items() if value is not None},
            {name: value for name, value in state.items() if value is not None},
            instruction,
        )
        infer_ms = 1000 * (time.perf_counter() - began_s)
        server = {"infer_ms": infer_ms} | ({} if total_s is None else {"prev_total_ms": 1000 * total_s})
        return arrays.pack({self._called.actions: chunk.values, "policy_timing": {"infer_ms": infer_ms}, "server_timing": server}, "openpi")


def _names(policy: Policy) -> Names:
    spec = policy.spec
    if spec.history != (0,):
        raise BadData(f"openpi sends one observation at a time, and policy {spec.name!r} reads those at the steps {spec.history}: it is not served")
    profile = Profile.of(spec)
    default = openpi.default_names("openpi", profile.action, profile.observation)
    return names.read_names(profile.wire.get("openpi"), default, profile.action, profile.observation, f"[wire.openpi] of policy {spec.name!r}")


def _read(message: bytes | str) -> dict[str, Any]:
    if isinstance(message, str):
        raise BadData("a request is a binary message, and this one is a text")
    found = arrays.unpack(message)
    if not isinstance(found, dict):
        raise BadData(f"a request is a map, and this one is {type(found).__name__}")
    return found


def _sendable(trace: str) -> str:
    """Returns the end of a traceback as a frame of text can hold it: half a surrogate pair is no character of UTF-8."""
    return cleaned(trace).encode("utf-8", "backslashreplace").decode()[-_TRACE_MAX:]


def _answer_http(path: str) -> HttpAnswer | None:
    return HttpAnswer("OK\n") if path == _HEALTH else None
