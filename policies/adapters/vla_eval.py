"""A policy behind a model server of vla-eval: `vla_eval:ws://host:8000`."""

from __future__ import annotations

from collections.abc import Mapping

from vlagym.envs.errors import BadData, ConventionMismatch, NotReset, VlagymError, unknown_name
from vlagym.envs.types import ActionChunk, Observation
from vlagym.policies.adapters._vla_eval_line import Line
from vlagym.policies.base import EpisodeContext, PolicySpec
from vlagym.policies.connections.limits import OPTIONS, read_limits
from vlagym.policies.connections.websocket import WebSocket
from vlagym.policies.foreign import NAME_MAX, kept, told
from vlagym.policies.loading import refuse_options
from vlagym.policies.wire import vla_eval as wire
from vlagym.policies.wire.names import Names
from vlagym.policies.wire.vla_eval_specs import Wishes, compared

_KNOWN = ("profile", "execute", "suite", "images", "announced", *OPTIONS)
_ANNOUNCED = ("compare", "ignore")


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
    line = Line(WebSocket(argument, read_limits("vla_eval", options)), images)
    try:
        hello = line.dial()
        profile = adoption.adopt("vla_eval", options, hello.get("vlagym"), line.url)
        wishes, complaints = compared(hello, profile.action, profile.observation)
        if hello.get("protocol_version") != wire.PROTOCOL_VERSION:
            version = told(hello.get("protocol_version"), NAME_MAX)
            complaints.append(f"protocol: it speaks version {version}, and {wire.PROTOCOL_VERSION} is known here")
        if complaints and announced == "compare":
            listed = "\n".join(f"- {complaint}" for complaint in complaints)
            hint = "Choose the profile of what it was trained with; where the server is wrong about itself, add --policy-option announced=ignore"
            raise ConventionMismatch(f"the server at {line.url} and the profile {profile.name!r} do not fit:\n{listed}\n{hint}")
        card = {
            "url": line.url,
            "profile": profile.name,
            "server": kept({key: value for key, value in hello.items() if key != "vlagym"}),
            "sent": {"images": [i.name for i in profile.observation.images[: wishes.num_images]], "state": wishes.has_state, "format": images},
            "not_followed": kept(wishes.unfollowed),
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
