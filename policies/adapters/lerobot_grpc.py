"""Policies behind LeRobot's asynchronous inference server (gRPC), whose wire is Python pickles: off unless it is said that the server is trusted."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from vlagym.envs.errors import BadData, BadReply, NotReset, VlagymError
from vlagym.envs.types import ActionChunk, Observation
from vlagym.policies.base import EpisodeContext, PolicySpec
from vlagym.policies.connections import limits
from vlagym.policies.connections.grpc import GrpcConnection
from vlagym.policies.families.lerobot_features import parse_keys
from vlagym.policies.families.options import flag
from vlagym.policies.loading import refuse_options
from vlagym.policies.wire import lerobot_grpc

TYPES = ("act", "smolvla", "tdmpc", "pi0", "pi05", "groot")
_REMEMBERING = ("diffusion", "vqbet")
"""Types whose model is shown several observations, which LeRobot's server does not keep: it asks for a chunk of the last one alone."""
_TRUST = (
    "lerobot_grpc is off unless you say --policy-option trust_pickle=true. LeRobot's protocol is Python pickles in both directions. What is received "
    "here is never unpickled: a reader takes numbers and strings out of it and refuses all else. But LeRobot's server unpickles, and so executes, "
    "whatever anyone sends to its port: run it where only you can reach it, or load the checkpoint in process with lerobot:DIR"
)


class LerobotGrpcPolicy:
    """A checkpoint that LeRobot's server loads because we tell it to. It answers one observation at a time, and one client."""

    def __init__(self, connection: GrpcConnection, spec: PolicySpec, wiring: lerobot_grpc.Wiring, instructions: bytes) -> None:
        """Takes over a connection whose server has loaded the checkpoint.

        Args:
          connection: To the server.
          spec: What the policy declares.
          wiring: What of an observation goes where.
          instructions: Told again to a server that has gone away in the meantime.
        """
        self.spec = spec
        assert spec.action is not None
        self._action = spec.action
        self._connection, self._wiring, self._instructions = connection, wiring, instructions
        self._is_loaded, self._has_answered = True, False
        self._timestep = 0
        self._slots: set[int] = set()

    def reset(self, context: EpisodeContext) -> None:
        """Begins an episode: the server forgets observations that wait. A server that was lost is told again which checkpoint it loads.

        Raises:
          PolicyUnreachable: If the server is not there.
          BadReply: If it cannot load the checkpoint.
        """
        try:
            tell(self._connection, None if self._is_loaded else self._instructions)
        except VlagymError:
            self._drop()
            raise
        self._is_loaded = True
        self._slots.add(context.slot)

    def act(self, observations: Mapping[int, Observation]) -> dict[int, ActionChunk]:
        """Returns a chunk for each slot, asked for one after another.

        Raises:
          NotReset: If an episode was not begun.
          PolicyUnreachable: If the connection is lost, or an answer takes too long.
          BadReply: If an answer holds no actions, others than were asked for, or anything but numbers.
        """
        chunks = {}
        for slot, observation in observations.items():
            if slot not in self._slots:
                raise NotReset(f"slot {slot} was asked for actions before it was told its episode: call reset first")
            try:
                chunks[slot] = self._answer(observation)
            except VlagymError:
                self._drop()
                raise
        return chunks

    def close(self) -> None:
        """Closes the connection."""
        self._connection.close()

    def _drop(self) -> None:
        self._connection.close()
        self._is_loaded = self._has_answered = False

    def _answer(self, observation: Observation) -> ActionChunk:
        limit, connection = self._connection.limits, self._connection
        self._timestep += 1
        connection.ask(
            lerobot_grpc.OBSERVE, lerobot_grpc.observe(observation, self._wiring, self._timestep), timeout_s=limit.timeout_s
        )
        patience, option = (limit.timeout_s, "timeout") if self._has_answered else (limit.first_timeout_s, "first_timeout")
        actions = lerobot_grpc.read_actions(connection.ask(lerobot_grpc.ACT, b"", timeout_s=patience, option=option))
        self._has_answered = True
        first = self._timestep
        if [one.timestep for one in actions] != list(range(first, first + len(actions))):
            raise BadReply(f"the server answers the observation {actions[0].timestep}; {first} was asked for: does another client ask it too?")
        wrong = [one.action.shape for one in actions if one.action.shape != (self._action.size,)]
        if wrong:
            raise BadReply(f"the server sends actions of {wrong[0][0]} numbers, and the profile's have {self._action.size}")
        if not self.spec.execute_steps <= len(actions) <= self.spec.chunk_steps:
            wanted = f"{self.spec.chunk_steps} were asked for, and {self.spec.execute_steps} are executed of each chunk"
            raise BadReply(f"the server sent {len(actions)} actions; {wanted} (options chunk=N, execute=N)")
        return ActionChunk(values=np.stack([one.action for one in actions]), spec=self._action)


def tell(connection: GrpcConnection, instructions: bytes | None) -> None:
    """Tells a server that a client is there, and, where it is given, what it loads.

    Raises:
      PolicyUnreachable: If the server is not there, or takes too long.
      BadReply: If it cannot do what it is told.
    """
    connection.ask(lerobot_grpc.READY, b"", timeout_s=connection.limits.timeout_s)
    if instructions is not None:
        connection.ask(lerobot_grpc.SETUP, instructions, timeout_s=connection.limits.first_timeout_s, option="first_timeout")


def POLICY(argument: str | None, options: Mapping[str, str]) -> LerobotGrpcPolicy:
    """Connects to a server and tells it which checkpoint it loads, as LeRobot's protocol has it.

    An image NAME of the profile is sent as `observation.images.NAME`, all states as one `observation.state` in the profile's order. The option
    `keys`, or the profile's table [wire.lerobot], says it otherwise. The server itself brings images to the size that its checkpoint reads.

    Args:
      argument: Address of the server: host:8080.
      options: "trust_pickle": true, without which there is no connection. "profile": name of a profile or a TOML file of one. "type": of the
        checkpoint: act, smolvla, tdmpc, pi0, pi05 or groot. "checkpoint": its folder on the server's machine, or its name on the hub. "device": of
        the server's machine, cpu where it is not given. "chunk": actions that are asked for at once, "execute": how many of them are executed.
        "keys": NAME=KEY,NAME=KEY. "timeout", "first_timeout", "connect_timeout" in s, "max_mib" in MiB.

    Raises:
      UnknownName: For another option or profile.
      BadData: If the server is not said to be trusted, or something else is missing.
      PolicyUnreachable: If the server is not there.
      BadReply: If it cannot load the checkpoint.
      MissingPackage: Without grpcio.
    """
    from vlagym.policies import adoption

    own = ("trust_pickle", "type", "checkpoint", "device", "chunk", "keys")
    refuse_options("lerobot_grpc", options, known=(*own, *adoption.OPTIONS, *limits.OPTIONS))
    if argument is None:
        raise BadData("lerobot_grpc is the address of a server too: write lerobot_grpc:host:8080")
    if not flag("lerobot_grpc", "trust_pickle", options.get("trust_pickle", "false")):
        raise BadData(_TRUST)
    kind = _kind(options)
    checkpoint = options.get("checkpoint")
    if not checkpoint:
        raise BadData("LeRobot's server loads what its client names: say --policy-option checkpoint=DIR, a folder on the server's machine")
    connection = GrpcConnection(argument, limits.read_limits("lerobot_grpc", options))
    profile = adoption.adopt("lerobot_grpc", options, None, argument)
    unread = [i.name for i in profile.observation.images if i.values != "uint8"]
    if unread or profile.history != (0,):
        what = f"the image {unread[0]!r} in other values than 0 to 255" if unread else f"the observations at the steps {profile.history}"
        raise BadData(f"this protocol sends single observations and images as bytes, and the profile {profile.name!r} wants {what}")
    chunk = _count(options, "chunk", profile.chunk_steps)
    device = options.get("device", "cpu")
    card = {"address": argument, "profile": profile.name, "type": kind, "checkpoint": checkpoint, "device": device, "trust_pickle": True}
    spec = profile.spec(
        "lerobot_grpc", card=card, execute_steps=adoption.read_execute("lerobot_grpc", options), chunk_steps=chunk, runs_in_worker=False
    )
    keys = parse_keys(options["keys"]) if "keys" in options else dict(profile.wire.get("lerobot", {}))
    where = "keys of lerobot_grpc" if "keys" in options else f"[wire.lerobot] of profile {profile.name!r}"
    wiring = lerobot_grpc.wire(profile.observation, keys, where)
    told = lerobot_grpc.instructions(
        profile.observation, wiring, policy_type=kind, checkpoint=checkpoint, actions_per_chunk=chunk, device=device
    )
    try:
        tell(connection, told)
    except VlagymError:
        connection.close()
        raise
    return LerobotGrpcPolicy(connection, spec, wiring, told)


def _kind(options: Mapping[str, str]) -> str:
    kind = options.get("type", "")
    if kind in _REMEMBERING:
        raise BadData(
            f"a checkpoint of type {kind} is shown several observations, and LeRobot's server keeps none between its calls: what it answers would be "
            "wrong. Load it in process: lerobot:DIR"
        )
    if kind not in TYPES:
        raise BadData(f"LeRobot's server is told the type of the checkpoint: say --policy-option type=TYPE, one of {', '.join(TYPES)}; not {kind!r}")
    return kind


def _count(options: Mapping[str, str], name: str, usual: int) -> int:
    text = options.get(name, str(usual))
    if not text.isdecimal() or int(text) < 1:
        raise BadData(f"{name} of lerobot_grpc is a number of actions, not {text!r}")
    return int(text)
