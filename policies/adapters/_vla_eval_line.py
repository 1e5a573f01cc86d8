"""A connection to a model server of vla-eval: greeting, episodes, questions and their answers, told apart by their numbers."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any

import vlagym
from vlagym.envs.errors import BadReply, PolicyTimeout, PolicyUnreachable
from vlagym.policies.connections.limits import Deadline, Limits
from vlagym.policies.connections.silence import told_when_silent
from vlagym.policies.connections.websocket import WebSocket
from vlagym.policies.foreign import told, told_names
from vlagym.policies.wire import vla_eval as wire

_LASTING = ("protocol_version", "model_server", "observation_params", "action_spec", "observation_spec", "vlagym")
"""What of a server's hello may not change while a run goes on."""

_log = logging.getLogger(__name__)
_SILENT = "%s has taken the connection and opens no WebSocket yet: is it the right port? It has up to %g s (option connect_timeout=S)"
_TELL_AFTER_S = 2.0


class Line:
    """One connection to a model server, and what was asked on it: an episode at a time.

    Every answer must bear the number of a question. One to an earlier question that nobody waits for any more, such as a second error after a failed
    start, is read and dropped; one to a question that was never asked closes the connection. An error that the server tells keeps it.
    """

    def __init__(self, plug: WebSocket, images: wire.ImageFormat = "png") -> None:
        """Makes a line; nothing is contacted."""
        self._socket = plug
        self._limits, self._images = plug.limits, images
        self._hello: dict[str, Any] | None = None
        """Of the first connection."""
        self._seq = 0
        self._open_questions: set[int] = set()
        """Numbers of messages that may still be answered."""
        self._is_up = False
        self._has_answered = False
        self._steps: int | None = None
        """Observations of the episode that is under way; None where none is."""
        self._began_s = 0.0
        """When that began; time.monotonic()."""

    @property
    def url(self) -> str:
        """Without its query."""
        return self._socket.url

    def again(self) -> Line:
        """Returns another line to the same server, which is not connected."""
        line = Line(self._socket.again(), self._images)
        line._hello = self._hello
        return line

    def dial(self) -> dict[str, Any]:
        """Connects anew and greets; returns the payload of the server's hello.

        Raises:
          PolicyUnreachable: If nobody is there, or nobody greets.
          BadReply: If what comes is no greeting, or that of another server than before.
        """
        self.hang_up()
        limits = self._limits
        with told_when_silent(_log, min(_TELL_AFTER_S, limits.connect_timeout_s / 2), _SILENT, self.url, limits.connect_timeout_s):
            self._socket.open()  # vla-eval predicts on a thread, so that its handshake waits for no model
        self._seq, self._open_questions, self._has_answered = 0, set(), False
        try:
            payload = {"harness_version": f"vlagym {vlagym.__version__}", "protocol_version": wire.PROTOCOL_VERSION, "vlagym": {"plays_chunks": True}}
            seq = self._say("hello", payload, is_answered=True)
            limit_s, option = max((limits.timeout_s, "timeout"), (limits.connect_timeout_s, "connect_timeout"))
            answer = self._read(Deadline(limit_s), option)
            if answer.type != "hello" or answer.seq != seq:
                raise BadReply(f"{self.url} answers a hello of seq {seq} with {answer.type!r} {_told(answer)}")
        except PolicyUnreachable as error:
            self.hang_up()
            raise PolicyUnreachable(f"{error}: a model server of vla-eval answers a hello") from error
        except BadReply as error:
            self.hang_up()
            raise BadReply(f"{error}. Is it a model server of vla-eval? Those of openpi are reached by openpi:ws://…") from error
        hello = dict(answer.payload)
        if self._hello is not None and any(hello.get(key) != self._hello.get(key) for key in _LASTING):
            self.hang_up()
            raise BadReply(f"the server at {self.url} is another one than before: its hello has changed; begin a run of its own for it")
        self._hello = hello
        self._open_questions.clear()
        self._is_up = True
        return hello

    def begin(self, task: Mapping[str, Any]) -> None:
        """Tells the server that an episode begins; a connection that was lost is made again.

        Raises:
          PolicyUnreachable: As `dial`.
          BadReply: As `dial`.
        """
        if not self._is_up:
            self.dial()
        try:
            self._end()
            self._say("episode_start", {"task": dict(task), "mode": "sync"}, is_answered=True)  # answered only by an error
        except PolicyUnreachable:  # the server has gone since the last episode, and may be up again
            self.dial()
            self._say("episode_start", {"task": dict(task), "mode": "sync"}, is_answered=True)
        self._steps, self._began_s = 0, time.monotonic()

    def ask(self, payload: Mapping[str, Any]) -> int:
        """Sends an observation; returns its number.

        Raises:
          PolicyUnreachable: If the connection is lost.
        """
        if not self._is_up:
            raise PolicyUnreachable(f"the connection to {self.url} was lost in this episode; the next one makes it again")
        self._steps = (self._steps or 0) + 1
        return self._say("observation", payload, is_answered=True)

    def answer(self, seq: int) -> Mapping[str, Any]:
        """Waits for the answer to a question and returns its payload.

        Raises:
          PolicyUnreachable: If the connection is lost.
          PolicyTimeout: If none comes in time.
          BadReply: If the server tells an error, or something comes that is no answer.
        """
        limit, option = (self._limits.timeout_s, "timeout") if self._has_answered else (self._limits.first_timeout_s, "first_timeout")
        deadline = Deadline(limit)
        while True:
            message = self._read(deadline, option)
            if message.type == "error" and message.seq in self._open_questions:
                # An error about the start of the episode is all that will be told of it; the answer to this question is dropped when it comes.
                self._open_questions.discard(message.seq)
                raise BadReply(f"{self.url} tells of an error: {_told(message)}")
            if message.seq not in self._open_questions:
                self.hang_up()
                found = f"{message.type!r} with seq {message.seq}"
                raise BadReply(f"{self.url} sent {found}, and was asked with {seq}; the connection was closed")
            self._open_questions.discard(message.seq)
            if message.seq != seq:
                _log.info("dropped the late answer %d of %s", message.seq, self.url)
                continue
            if message.type != "action":
                self.hang_up()
                raise BadReply(f"{self.url} answers an observation with {message.type!r} {_told(message)}")
            # What was asked before and is not answered by now, never will be: answers come in order.
            self._open_questions = {number for number in self._open_questions if number > seq}
            self._has_answered = True
            return message.payload

    def close(self) -> None:
        """Ends the episode that is under way, and hangs up."""
        if self._is_up:
            try:
                self._end()
            except PolicyUnreachable as error:
                _log.info("the server had gone before the last episode was ended: %s", error)
        self.hang_up()

    def hang_up(self) -> None:
        """Closes the connection without a word."""
        self._is_up, self._steps = False, None
        self._socket.close()

    def _end(self) -> None:
        steps, self._steps = self._steps, None
        if steps is not None:
            self._say("episode_end", {"metrics": {}, "steps": steps, "elapsed_sec": round(time.monotonic() - self._began_s, 3)}, is_answered=False)

    def _say(self, kind: wire.Type, payload: Mapping[str, Any], *, is_answered: bool) -> int:
        self._seq += 1
        message = wire.pack(wire.Message(kind, payload, self._seq, time.time()), self._images)
        try:
            self._socket.send(message)
        except PolicyUnreachable:
            self.hang_up()
            raise
        if is_answered:
            self._open_questions.add(self._seq)
        return self._seq

    def _read(self, deadline: Deadline, option: str) -> wire.Message:
        try:
            return wire.unpack(self._socket.receive(max(deadline.left_s(), 0.001), option=option), max_bytes=self._limits.max_bytes)
        except PolicyUnreachable as error:
            self.hang_up()
            if deadline.is_over:
                raise PolicyTimeout(f"{self.url} has not answered within {deadline.seconds:g} s (option {option}=S)") from error
            raise
        except BadReply:
            self.hang_up()
            raise


def _told(message: wire.Message) -> str:
    """Returns what an error says, shortened; of any other message, its number and what it holds."""
    said = message.payload.get("error") if message.type == "error" else None
    return told(said, keep="end") if isinstance(said, str) else f"of seq {told(message.seq, 20)}, which holds {told_names(message.payload)}"
