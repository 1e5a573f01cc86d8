"""Policies behind a WebSocket that speak as openpi does: openpi, RoboArena, vLLM-Omni and SGLang, told apart by the first frame."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from vlagym.envs.errors import BadData, BadReply, ConventionMismatch, NotReset, VlagymError
from vlagym.envs.types import ActionChunk, Observation
from vlagym.policies.base import EpisodeContext, PolicySpec
from vlagym.policies.adapters._openpi_line import Line, announced
from vlagym.policies.connections import limits
from vlagym.policies.connections.websocket import WebSocket
from vlagym.policies.foreign import kept
from vlagym.policies.loading import refuse_options
from vlagym.policies.wire import names, openpi, openpi_metadata
from vlagym.policies.wire.names import Names
from vlagym.policies.wire.openpi import ANNOUNCEMENT, Dialect

_SCHEMES = ("Api-Key", "Bearer")
_BEARERS = (openpi.VLLM_PATH, openpi.SGLANG_PATH)
_SEEDS = 2**31


class OpenpiPolicy:
    """A policy behind one server; each slot has a connection of its own, for some servers keep their memory by connection."""

    def __init__(self, first: Line, spec: PolicySpec, called: Names) -> None:
        """Takes over a line that is open.

        Args:
          first: A line to the server; it serves the first slot.
          spec: What the policy declares.
          called: How its parts are called in messages.
        """
        self.spec = spec
        assert spec.action is not None
        self._action = spec.action
        self._called = called
        self._first = first
        self._spare: list[Line] = [first]
        self._lines: dict[int, Line] = {}
        self._contexts: dict[int, EpisodeContext] = {}
        self._calls: dict[int, int] = {}

    def reset(self, context: EpisodeContext) -> None:
        """Begins an episode: connects where the connection was lost, and tells servers that want to know.

        Raises:
          PolicyUnreachable: If the server is not there.
          BadReply: If it does not take the reset, or is another one than before.
        """
        slot = context.slot
        line = self._lines.get(slot) or (self._spare.pop() if self._spare else self._first.again())
        self._lines[slot], self._contexts[slot], self._calls[slot] = line, context, 0
        with line.dropped_on_error():
            line.ensure_open()
            line.begin(context.digest)

    def act(self, observations: Mapping[int, Observation]) -> dict[int, ActionChunk]:
        """Returns a chunk for each slot, asked for one after another.

        Raises:
          PolicyUnreachable: If a connection is lost, or an answer takes too long.
          BadReply: If an answer is an error, or no chunk of the profile's size.
        """
        return {slot: self._answer(slot, observation) for slot, observation in observations.items()}

    def close(self) -> None:
        """Closes every connection."""
        for line in (*self._spare, *self._lines.values()):
            line.close()
        self._lines.clear()

    def _answer(self, slot: int, observation: Observation) -> ActionChunk:
        if slot not in self._lines:
            raise NotReset(f"slot {slot} was asked for actions before it was told its episode: call reset first")
        line, context = self._lines[slot], self._contexts[slot]
        seed = (int(context.digest[:8], 16) + self._calls[slot]) % _SEEDS
        self._calls[slot] += 1
        with line.dropped_on_error():
            line.ensure_in_episode(context.digest)
            session = context.digest if line.wants_session else None
            answer = line.ask(openpi.request(observation, self._called, line.dialect, session=session, seed=seed))
            values = openpi.read_actions(answer, self._called, self._action)
            if len(values) < self.spec.execute_steps:
                raise BadReply(f"the server sent {len(values)} actions, and {self.spec.execute_steps} are executed of each chunk (option execute=N)")
        return ActionChunk(values=values, spec=self._action)


def POLICY(argument: str | None, options: Mapping[str, str]) -> OpenpiPolicy:
    """Connects to a server.

    Images and state are called as the profile's table [wire.<dialect>] says. Without one: `observation/<name>` and `prompt` for openpi; for RoboArena
    and vLLM-Omni `observation/exterior_image_0_left`, `…_1_left` in the order of the profile, `observation/wrist_image_left` for the stream whose
    name holds "wrist", `observation/<name>` for state; for SGLang `observation.images.<name>`, `observation.state`, `task`.

    Args:
      argument: Address of the server: ws://host:8000, or wss://… with whatever path.
      options: "profile": name of a profile or a TOML file of one; needed where the server announces none. "execute": actions of each chunk that are
        executed. "dialect": openpi, roboarena, vllm_omni or sglang; without it the first frame tells. "api_key_env": name of the environment variable
        that holds a key. "api_key_scheme": Api-Key (openpi's, the default) or Bearer (the default at the paths of vLLM-Omni and SGLang). "timeout",
        "first_timeout", "connect_timeout" in s, "max_mib" in MiB.

    Raises:
      UnknownName: For another option, dialect or profile.
      BadData: If there is no address, or nobody says what the policy's conventions are.
      PolicyUnreachable: If the server is not there.
      BadReply: If what it sends is not what this protocol says.
      ConventionMismatch: If it describes itself otherwise than the profile does.
      MissingPackage: Without websockets and msgpack.
    """
    from vlagym.policies import adoption

    known = ("dialect", "api_key_env", "api_key_scheme", *adoption.OPTIONS, *limits.OPTIONS)
    refuse_options("openpi", options, known=known)
    if argument is None:
        raise BadData("openpi is the address of a server too: write openpi:ws://host:8000")
    dialect = openpi.check_dialect(options["dialect"]) if "dialect" in options else None
    execute = adoption.read_execute("openpi", options)
    plug = WebSocket(argument, limits.read_limits("openpi", options), headers=_headers(argument, options, dialect))
    line = Line(plug, dialect)
    try:
        line.ensure_open()
        metadata = line.metadata or {}
        profile = adoption.adopt("openpi", options, announced(metadata), line.url)
        spec = profile.spec(
            "openpi", card=_card(line, profile.name), execute_steps=execute, chunk_steps=openpi_metadata.horizon(metadata), runs_in_worker=True
        )
        assert spec.action is not None
        if spec.history != (0,):
            raise BadData(f"this protocol sends one observation at a time, and the profile {profile.name!r} wants those at the steps {spec.history}")
        where = f"[wire.{line.dialect}] of profile {profile.name!r}"
        default = openpi.default_names(line.dialect, spec.action, spec.observation)
        called = names.read_names(profile.wire.get(line.dialect), default, spec.action, spec.observation, where)
        wrong = list(openpi_metadata.complaints(metadata, line.dialect, called, spec.action, spec.observation))
        if wrong:
            raise ConventionMismatch(f"the server at {line.url} and the profile {profile.name!r} do not fit:\n" + "\n".join(f"- {w}" for w in wrong))
    except VlagymError:
        line.close()
        raise
    return OpenpiPolicy(line, spec, called)


def _headers(url: str, options: Mapping[str, str], dialect: Dialect | None) -> dict[str, str]:
    key = limits.read_secret("openpi", "api_key_env", options)
    is_bearer = dialect in ("vllm_omni", "sglang") or urlsplit(url).path.rstrip("/") in _BEARERS
    scheme = options.get("api_key_scheme", _SCHEMES[is_bearer])
    if scheme not in _SCHEMES:
        raise BadData(f"api_key_scheme of openpi is {' or '.join(_SCHEMES)}, not {scheme!r}")
    return {} if key is None else {"Authorization": f"{scheme} {key}"}


def _card(line: Line, profile: str) -> dict[str, Any]:
    """Returns what the run header says of a server: where it was, and what it said of itself, bounded and without secrets."""
    said = {key: value for key, value in (line.metadata or {}).items() if key != ANNOUNCEMENT}
    return {"url": line.url, "dialect": line.dialect, "profile": profile, "server": kept(said)}
