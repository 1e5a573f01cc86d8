"""A policy behind a model server of vla-eval: `vla_eval:ws://host:8000`."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any

import vlagym
from vlagym.envs.errors import BadData, BadReply, ConventionMismatch, NotReset, PolicyUnreachable, VlagymError, unknown_name
from vlagym.envs.types import ActionChunk, Observation
from vlagym.policies.base import EpisodeContext, PolicySpec
from vlagym.policies.connections.limits import OPTIONS, Deadline, Limits, read_limits
from vlagym.policies.connections.websocket import WebSocket, shortened
from vlagym.policies.loading import refuse_options
from vlagym.policies.wire import vla_eval as wire
from vlagym.policies.wire.names import Names
from vlagym.policies.wire.vla_eval_specs import Wishes, compared

_KNOWN = ("profile", "execute", "suite", "images", "announced", *OPTIONS)
_ANNOUNCED = ("compare", "ignore")
_LASTING = ("protocol_version", "model_server", "observation_params", "action_spec", "observation_spec", "vlagym")
"""What of a server's hello may not change while a run goes on."""

_log = logging.getLogger(__name__)


class Line:
    """One connection to a model server, and what was asked on it: an episode at a time.

    Every answer must bear the number of a question. One to an earlier question that nobody waits for any more, such as a second error after a failed
    start, is read and dropped; one to a question that was never asked closes the connection. An error that the server tells keeps it.
    """

    def __init__(self, url: str, limits: Limits, images: wire.ImageFormat = "png") -> None:
        """Makes a line; nothing is contacted.

        Raises:
          BadData: If the URL is none.
        """
        self._socket = WebSocket(url, limits)
        self._limits, self._images = limits, images
        self._hello: dict[str, Any] | None = None
        """Of the first connection."""
        self._seq = 0
        self._open_questions: set[int] = set()
        """Numbers of messages that may still be answered."""
        self._is_up = False
        self._has_answered = False
        self._steps: int | None = None
        """Observations of the episode that is under way; None where none is."""

    def again(self) -> Line:
        """Returns another line to the same server, which is not connected."""
        line = Line(self._socket.url, self._limits, self._images)
        line._hello = self._hello
        return line

    def dial(self) -> dict[str, Any]:
        """Connects anew and greets; returns the payload of the server's hello.

        Raises:
          PolicyUnreachable: If nobody is there, or nobody greets.
          BadReply: If what comes is no greeting, or that of another server than before.
        """
        self.hang_up()
        self._socket.open()
        self._seq, self._open_questions, self._has_answered = 0, set(), False
        try:
            payload = {"harness_version": f"vlagym {vlagym.__version__}", "protocol_version": wire.PROTOCOL_VERSION, "vlagym": {"plays_chunks": True}}
            seq = self._say("hello", payload, is_answered=True)
            answer = self._read(Deadline(self._limits.connect_timeout_s), "connect_timeout")
            if answer.type != "hello" or answer.seq != seq:
                raise BadReply(f"{self._socket.url} answers a hello of seq {seq} with {answer.type!r} {_told(answer)}")
        except PolicyUnreachable as error:
            self.hang_up()
            raise PolicyUnreachable(f"{error}: a model server of vla-eval answers a hello at once") from error
        except BadReply as error:
            self.hang_up()
            raise BadReply(f"{error}. Is it a model server of vla-eval? Those of openpi are reached by openpi:ws://…") from error
        hello = dict(answer.payload)
        if self._hello is not None and any(hello.get(key) != self._hello.get(key) for key in _LASTING):
            self.hang_up()
            raise BadReply(f"the server at {self._socket.url} is another one than before: its hello has changed; begin a run of its own for it")
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
        self._steps = 0

    def ask(self, payload: Mapping[str, Any]) -> int:
        """Sends an observation; returns its number.

        Raises:
          PolicyUnreachable: If the connection is lost.
        """
        if not self._is_up:
            raise PolicyUnreachable(f"the connection to {self._socket.url} was lost in this episode; the next one makes it again")
        self._steps = (self._steps or 0) + 1
        return self._say("observation", payload, is_answered=True)

    def answer(self, seq: int) -> Mapping[str, Any]:
        """Waits for the answer to a question and returns its payload.

        Raises:
          PolicyUnreachable: If none comes in time, or the connection is lost.
          BadReply: If the server tells an error, or something comes that is no answer.
        """
        limit, option = (self._limits.timeout_s, "timeout") if self._has_answered else (self._limits.first_timeout_s, "first_timeout")
        deadline = Deadline(limit)
        while True:
            message = self._read(deadline, option)
            if message.type == "error" and message.seq in self._open_questions:
                # An error about the start of the episode is all that will be told of it; the answer to this question is dropped when it comes.
                self._open_questions.discard(message.seq)
                raise BadReply(f"{self._socket.url} tells of an error: {_told(message)}")
            if message.seq not in self._open_questions:
                self.hang_up()
                found = f"{message.type!r} with seq {message.seq}"
                raise BadReply(f"{self._socket.url} sent {found}, and was asked with {seq}; the connection was closed")
            self._open_questions.discard(message.seq)
            if message.seq != seq:
                _log.info("dropped the late answer %d of %s", message.seq, self._socket.url)
                continue
            if message.type != "action":
                self.hang_up()
                raise BadReply(f"{self._socket.url} answers an observation with {message.type!r} {_told(message)}")
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
            self._say("episode_end", {"metrics": {}, "steps": steps, "elapsed_sec": 0.0}, is_answered=False)

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
                raise PolicyUnreachable(f"{self._socket.url} has not answered within {deadline.seconds:g} s (option {option}=S)") from error
            raise
        except BadReply:
            self.hang_up()
            raise


class VlaEval:
    """Asks a model server: a line for each episode that runs at the same time, so that the server may answer them together."""

    def __init__(self, spec: PolicySpec, line: Line, wishes: Wishes, called: Names | None, task: Mapping[str, str]) -> None:
        """Makes the policy of a server that has greeted.

        Args:
          spec: What it declares.
          line: The one on which it has greeted; the first episode takes it.
          wishes: What is sent.
          called: Where things stand in messages; None: in the usual places.
          task: What the server is told of every task besides its sentence.
        """
        assert spec.action is not None
        self.spec = spec
        self._action, self._wishes, self._called, self._task = spec.action, wishes, called, dict(task)
        self._first = line
        self._idle: list[Line] = [line]
        self._lines: dict[int, Line] = {}

    def reset(self, context: EpisodeContext) -> None:
        """Begins an episode at the server.

        Raises:
          PolicyUnreachable: If it cannot be reached.
          BadReply: If it is another one than before.
        """
        if context.slot not in self._lines:
            self._lines[context.slot] = self._idle.pop() if self._idle else self._first.again()
        self._lines[context.slot].begin({"name": context.instruction, "digest": context.digest, **self._task})

    def act(self, observations: Mapping[int, Observation]) -> dict[int, ActionChunk]:
        """Returns what the server answers for each slot; all are asked before any answer is waited for.

        Raises:
          PolicyUnreachable: If an answer does not come.
          BadReply: If one is none.
        """
        reads, wishes = self.spec.observation, self._wishes
        asked: dict[int, int] = {}
        for slot, seen in observations.items():
            if slot not in self._lines:
                raise NotReset(f"slot {slot} was asked for actions before it was told its episode: call reset first")
            payload = wire.observation_payload(seen, reads, self._called, num_images=wishes.num_images, has_state=wishes.has_state)
            asked[slot] = self._lines[slot].ask(payload)
        key = wire.ACTIONS if self._called is None else self._called.actions
        answers = {slot: wire.read_actions(self._lines[slot].answer(seq), key) for slot, seq in asked.items()}
        return {slot: ActionChunk(values=values, spec=self._action) for slot, values in answers.items()}

    def close(self) -> None:
        """Says that episodes have ended, and hangs up."""
        for line in (*self._lines.values(), *self._idle):
            line.close()
        self._lines.clear()
        self._idle.clear()


def POLICY(argument: str | None, options: Mapping[str, str]) -> VlaEval:
    """Contacts the server and compares what it says of itself with the profile.

    Args:
      argument: Where it is: ws://host:port.
      options: "profile": name or file of what it was trained with; not needed where the server announces one, as `vlagym serve` does. "execute":
        actions of a chunk that are executed, where it sends chunks. "suite": is told to the server with every task. "images": png (default), jpeg,
        raw or array, how images travel. "announced": compare (default), or ignore, which goes on whatever the server says of itself.
        "timeout", "first_timeout", "connect_timeout" in s and "max_mib": limits.

    Raises:
      PolicyUnreachable: If nobody is there.
      BadReply: If what is there speaks another protocol.
      ConventionMismatch: If server and profile contradict each other.
      BadData: If the argument, an option or the profile makes no sense, or nobody names a profile.
      UnknownName: If there is no such option, profile or format of images.
      MissingPackage: Without websockets and msgpack.
    """
    refuse_options("vla_eval", options, _KNOWN)
    if argument is None:
        raise BadData("vla_eval needs the address of a server: vla_eval:ws://host:8000")
    from vlagym.policies import adoption

    images = wire.check_format(options.get("images", "png"))
    announced = options.get("announced", _ANNOUNCED[0])
    if announced not in _ANNOUNCED:
        raise unknown_name("way to treat what a server announces", announced, _ANNOUNCED)
    execute = adoption.read_execute("vla_eval", options)
    line = Line(argument, read_limits("vla_eval", options), images)
    try:
        hello = line.dial()
        profile = adoption.adopt("vla_eval", options, hello.get("vlagym"), argument)
        wishes, complaints = compared(hello, profile.action, profile.observation)
        if hello.get("protocol_version") != wire.PROTOCOL_VERSION:
            complaints.append(f"protocol: it speaks version {hello.get('protocol_version')!r}, and {wire.PROTOCOL_VERSION} is known here")
        if complaints and announced == "compare":
            told = "\n".join(f"- {line}" for line in complaints)
            hint = "Choose the profile of what it was trained with; where the server is wrong about itself, add --policy-option announced=ignore"
            raise ConventionMismatch(f"the server at {argument} and the profile {profile.name!r} do not fit:\n{told}\n{hint}")
        card = {
            "url": argument,
            "profile": profile.name,
            "server": {key: _plain(value) for key, value in hello.items() if key != "vlagym"},
            "sent": {"images": [i.name for i in profile.observation.images[: wishes.num_images]], "state": wishes.has_state, "format": images},
            "not_followed": {key: _plain(value) for key, value in wishes.unfollowed.items()},
            "not_compared": list(wishes.unsaid),
            "ignored": complaints,
        }
        spec = profile.spec("vla_eval", card=card, execute_steps=execute, runs_in_worker=True)
        if spec.history != (0,):
            raise BadData(f"this protocol sends one observation at a time, and the profile {profile.name!r} wants those at the steps {spec.history}")
        called = wire.read_table(profile.wire.get("vla_eval"), profile.action, profile.observation, f"[wire.vla_eval] of profile {profile.name!r}")
        return VlaEval(spec, line, wishes, called, {"suite": options["suite"]} if "suite" in options else {})
    except VlagymError:
        line.close()
        raise


def _told(message: wire.Message) -> str:
    """Returns what an error says, shortened; of any other message, its number and what it holds."""
    said = message.payload.get("error") if message.type == "error" else None
    text = said if isinstance(said, str) else f"of seq {message.seq}, which holds {', '.join(map(str, message.payload)) or 'nothing'}"
    return " ".join(shortened(text).split())


def _plain(value: Any) -> Any:
    """Returns plain data as it is, and a word for anything else."""
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return value if isinstance(value, (str, int, float, bool, type(None))) else f"({type(value).__name__})"
