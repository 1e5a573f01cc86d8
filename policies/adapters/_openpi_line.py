"""A connection to a server of the openpi family: what it has said of itself, which episode it was told of, and what is asked of it."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from vlagym.envs.errors import BadData, BadReply, PolicyUnreachable
from vlagym.policies.connections.http import HttpConnection
from vlagym.policies.connections.limits import Deadline, Limits
from vlagym.policies.connections.silence import told_when_silent
from vlagym.policies.connections.websocket import WebSocket
from vlagym.policies.foreign import told
from vlagym.policies.wire import arrays, openpi
from vlagym.policies.wire.openpi import ANNOUNCEMENT, Dialect

_LOG = logging.getLogger(__name__)
_SILENT = "%s has taken the connection and says nothing yet: it answers somebody else, or is no server of openpi's kind. It has up to %g s"
_HEALTH, _HEALTH_S = "/healthz", 2.0
"""Where openpi's servers say that they are well, and how long one that is not busy takes to."""
_LOOK_S = 0.2
"""While waiting for the first frame it is looked so often whether the connection still stands."""


class Line:
    """One connection to a server, and what the server has said of itself."""

    def __init__(self, plug: WebSocket, dialect: Dialect | None) -> None:
        self._socket, self._said_dialect = plug, dialect
        self.metadata: dict[str, Any] | None = None
        """Of the first frame of the first connection."""
        self.dialect: Dialect = dialect or "openpi"
        self._session: str | None = None
        """Of the episode that was begun last."""

    @property
    def url(self) -> str:
        return self._socket.url

    @property
    def has_sessions(self) -> bool:
        """Whether the server is told which episode it is."""
        return openpi.has_sessions(self.dialect) or ANNOUNCEMENT in (self.metadata or {})

    @property
    def wants_session(self) -> bool:
        """Whether each request names the episode: RoboArena's servers say so."""
        return self.has_sessions and (self.metadata or {}).get("needs_session_id") is not False

    def again(self) -> Line:
        """Returns another line to the same server, which is not open."""
        line = Line(self._socket.again(), self._said_dialect)
        line.metadata, line.dialect = self.metadata, self.dialect
        return line

    def ensure_open(self) -> None:
        """Connects if the connection does not stand, and reads the first frame.

        Raises:
          PolicyUnreachable: If the server is not there.
          BadReply: If its first frame is none, does not come though the server is not busy, or is another one than that of the first connection.
        """
        if self._socket.is_open():
            return
        patience = self._socket.limits
        with told_when_silent(_LOG, patience.connect_timeout_s, _SILENT, self.url, patience.first_timeout_s):
            self._socket.open(patience_s=patience.first_timeout_s)
            frame = self._first_frame(patience)
        found = self._read(frame)
        error = openpi.read_error(found)
        if error is not None or not isinstance(found, dict):
            what = told(error, keep="end") if error else f"{type(found).__name__}, which is no map"
            raise BadReply(f"the first frame of {self.url} says what the server is; this one holds {what}")
        if self.metadata is None:
            self.metadata = found
            self.dialect = self._said_dialect or openpi.dialect_of(found, urlsplit(self.url).path)
        elif announced(found) != announced(self.metadata):
            raise BadReply(f"the server at {self.url} is another one than before: what it says of itself has changed; begin a run of its own for it")

    def begin(self, session: str) -> None:
        """Tells the server of a new episode, where its dialect has a word for that.

        A server of ours begins one with each new session; one that is played again begins with a new connection.
        """
        is_again, self._session = self._session == session, session
        if is_again and ANNOUNCEMENT in (self.metadata or {}):
            self._socket.close()
            self.ensure_open()
        if openpi.has_sessions(self.dialect):
            self._socket.send(arrays.pack(openpi.reset_request(session), "openpi"))  # its answer is not yet that of the model
            openpi.check_reset(self._checked(self._read(self._socket.receive(self._socket.limits.first_timeout_s, option="first_timeout"))))

    def ensure_in_episode(self, session: str) -> None:
        """Connects again if the server has closed the connection while the simulation computed, as vLLM-Omni does after 30 s.

        Raises:
          PolicyUnreachable: If it keeps a memory of the episode that is lost then.
        """
        if self._socket.is_open():
            return
        if self.has_sessions and self.dialect != "vllm_omni":
            raise PolicyUnreachable(f"the connection to {self.url} was lost in mid-episode, and with it what the policy remembers")
        _LOG.warning("%s closed the connection in mid-episode; it is opened again", self.url)
        self.ensure_open()
        self.begin(session)

    def ask(self, message: Mapping[str, Any]) -> Any:
        """Sends a message and returns the answer: a text as it is, anything else unpacked."""
        return self._read(self._socket.ask(arrays.pack(message, "openpi")))

    @contextlib.contextmanager
    def dropped_on_error(self) -> Iterator[None]:
        """Closes the connection when anything is raised inside: whatever comes over it afterwards could be a late answer."""
        try:
            yield
        except BaseException:
            self._socket.close()
            raise

    def close(self) -> None:
        """Hangs up."""
        self._socket.close()

    def _first_frame(self, patience: Limits) -> bytes | str:
        """Waits for what a server says unasked. One that computes in its event loop says nothing for minutes, and answers nobody else either."""
        deadline = Deadline(min(patience.connect_timeout_s, patience.first_timeout_s))
        while not deadline.is_over:
            frame = self._socket.poll(min(_LOOK_S, deadline.left_s()))
            if frame is not None:
                return frame
        left_s = patience.first_timeout_s - deadline.seconds
        if left_s > 0 and self._answers_others():
            self._socket.close()
            limit = f"{patience.connect_timeout_s:g} s (option connect_timeout=S)"
            raise BadReply(
                f"{self.url} opens a WebSocket and says nothing within {limit}, though it is not busy: a server of openpi's kind begins with what it "
                "is. Is it the right port? Those of vla-eval are reached by vla_eval:ws://…"
            )
        return self._socket.receive(patience.first_timeout_s, option="first_timeout", waited_s=deadline.seconds)

    def _answers_others(self) -> bool:
        """Returns whether the server answers HTTP beside the WebSocket at once, whatever it answers: its event loop is free then."""
        parts = urlsplit(self.url)
        limit = Limits(connect_timeout_s=_HEALTH_S, timeout_s=_HEALTH_S, first_timeout_s=_HEALTH_S)
        beside = HttpConnection(f"{'https' if parts.scheme == 'wss' else 'http'}://{parts.netloc}", limits=limit)
        try:
            beside.ask("GET", _HEALTH)
        except (PolicyUnreachable, BadReply):
            return False
        finally:
            beside.close()
        return True

    def _read(self, frame: bytes | str) -> Any:
        if isinstance(frame, str):
            return frame
        try:
            return arrays.unpack(frame, max_bytes=self._socket.limits.max_bytes)
        except BadData as error:
            raise BadReply(f"{self.url} sent what is no answer: {error}") from error

    def _checked(self, answer: Any) -> Any:
        error = None if isinstance(answer, str) else openpi.read_error(answer)
        if error is not None:
            raise BadReply(f"{self.url} answers a reset with an error: {told(error, keep='end')}")
        return answer


def announced(metadata: Mapping[str, Any]) -> Any:
    """Returns what a server of ours says of its policy; None where the server is another's."""
    return metadata.get(ANNOUNCEMENT)
