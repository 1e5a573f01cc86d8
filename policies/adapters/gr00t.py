"""Policies behind NVIDIA Isaac-GR00T's inference service (ZeroMQ): N1.5, N1.6 and N1.7, told apart by what they say of themselves; and ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vlagym.envs.errors import BadData, BadReply, NotReset, VlagymError
from vlagym.envs.types import ActionChunk, Observation
from vlagym.policies.base import EpisodeContext, PolicySpec
from vlagym.policies.connections import limits
from vlagym.policies.connections.zmq import ZmqConnection
from vlagym.policies.loading import refuse_options
from vlagym.policies.wire import arrays, gr00t
from vlagym.policies.wire.gr00t_modality import Dialect, Keys, Served, check_dialect, keys_of, read_modalities

BATCH = 32
"""Observations in one request, unless told otherwise."""


class Gr00tPolicy:
    """All episodes that wait are answered in one request, a row of its batch for each."""

    def __init__(self, server: Server, spec: PolicySpec, keys: Keys, dialect: Dialect, *, batch: int = BATCH, is_ours: bool = False) -> None:
        """Takes over a connection.

        Args:
          server: Where the policy is.
          spec: What the policy declares.
          keys: What is called how.
          dialect: Of the server.
          batch: Observations in one request at most.
          is_ours: Whether the server is told which episode each row is of, which only ours understand, and not as N1.5.
        """
        self.spec = spec
        assert spec.action is not None
        self._action = spec.action
        self._server, self._keys, self._dialect, self._batch, self._is_ours = server, keys, dialect, batch, is_ours
        self._slots: set[int] = set()

    def reset(self, context: EpisodeContext) -> None:
        """Begins an episode. GR00T's own servers are not told: their reset is one for all episodes, and they remember none.

        Raises:
          PolicyUnreachable: If a server of ours is not there.
          BadReply: If it does not take the reset.
        """
        if self._is_ours:
            self._server.ask("reset", {"options": {"slot": context.slot, "digest": context.digest}})
        self._slots.add(context.slot)

    def act(self, observations: Mapping[int, Observation]) -> dict[int, ActionChunk]:
        """Returns a chunk for each slot. After an error the next request makes a new connection.

        Raises:
          NotReset: If an episode was not begun.
          PolicyUnreachable: If the connection is lost, or an answer takes too long.
          BadReply: If an answer is an error, or no actions of the profile's size.
        """
        missing = sorted(set(observations) - self._slots)
        if missing:
            raise NotReset(f"slot {missing[0]} was asked for actions before it was told its episode: call reset first")
        slots, chunks = sorted(observations), {}
        for first in range(0, len(slots), self._batch):
            some = slots[first : first + self._batch]
            chunks.update(self._answers({slot: observations[slot] for slot in some}))
        return chunks

    def close(self) -> None:
        """Closes the connection."""
        self._server.close()

    def _answers(self, asked: Mapping[int, Observation]) -> dict[int, ActionChunk]:
        data = gr00t.request(list(asked.values()), self._keys, self.spec.history, self._dialect)
        if self._is_ours:
            data["options"] = {"slots": list(asked)}
        try:
            values = gr00t.read_actions(self._server.ask("get_action", data), self._keys, len(asked))
            if values.shape[1] < self.spec.execute_steps:
                executed = f"{self.spec.execute_steps} are executed of each chunk (option execute=N)"
                raise BadReply(f"the server sent {values.shape[1]} actions, and {executed}")
        except VlagymError:
            self._server.close()
            raise
        return {slot: ActionChunk(values=values[row], spec=self._action) for row, slot in enumerate(asked)}


class Server:
    """The endpoints of one server."""

    def __init__(self, connection: ZmqConnection, limit: limits.Limits, token: str | None) -> None:
        self._connection, self._limits, self._token = connection, limit, token

    @property
    def url(self) -> str:
        return self._connection.url

    def ask(self, endpoint: str, data: Mapping[str, Any] | None = None, *, timeout_s: float | None = None) -> Any:
        """Returns the answer of an endpoint; the first actions may take longer than anything else.

        Raises:
          PolicyUnreachable: As `ZmqConnection.ask`.
          BadReply: If it is an error, or cannot be read.
        """
        limit = self._limits.timeout_s if timeout_s is None and endpoint != "get_action" else timeout_s
        said = self._connection.ask(arrays.pack(gr00t.call(endpoint, data, self._token), "gr00t"), endpoint, timeout_s=limit)
        try:
            answer = arrays.unpack(said, max_bytes=self._limits.max_bytes)
        except BadData as error:
            self._connection.close()
            raise BadReply(
                f"{self.url} answers {endpoint} with what cannot be read ({error}); servers of before September 2025 send pickles, which never are"
            ) from error
        return gr00t.check_answer(answer, endpoint, self.url)

    def close(self) -> None:
        self._connection.close()


def POLICY(argument: str | None, options: Mapping[str, str]) -> Gr00tPolicy:
    """Connects to a server.

    Where the profile has a table [wire.gr00t], streams, state and actions are called as it says, cut up as `state = "x:1,y:1,gripper:2"`; otherwise
    they have the server's keys of the same names. What the server says that it reads and sends is compared with that.

    Args:
      argument: Address of the server: tcp://host:5555.
      options: "profile": name of a profile or a TOML file of one; needed where the server announces none. "execute": actions of each chunk that are
        executed. "dialect": n1.5, n1.6, n1.6_sim (the server's --use-sim-policy-wrapper, which cannot be found out) or n1.7; without it the server
        tells. "api_token_env": name of the environment variable that holds a token. "batch": observations in one request at most, 32 where it is
        not given. "timeout", "first_timeout", "connect_timeout" in s, "max_mib" in MiB.

    Raises:
      UnknownName: For another option, dialect or profile.
      BadData: If there is no address, or nobody says what the policy's conventions are.
      PolicyUnreachable: If the server is not there.
      BadReply: If what it says of itself cannot be read.
      ConventionMismatch: If it reads or sends other things than the profile.
      MissingPackage: Without pyzmq and msgpack.
    """
    from vlagym.policies import adoption

    refuse_options("gr00t", options, known=("dialect", "api_token_env", "batch", *adoption.OPTIONS, *limits.OPTIONS))
    if argument is None:
        raise BadData("gr00t is the address of a server too: write gr00t:tcp://host:5555")
    said_dialect = check_dialect(options["dialect"]) if "dialect" in options else None
    batch, execute = _batch(options), adoption.read_execute("gr00t", options)
    limit, token = limits.read_limits("gr00t", options), limits.read_secret("gr00t", "api_token_env", options)
    server = Server(ZmqConnection(argument, limits=limit), limit, token)
    try:
        server.ask("ping")
        served = read_modalities(server.ask("get_modality_config"))
        announced = _announced(server)
        dialect: Dialect = said_dialect or served.dialect
        profile = adoption.adopt("gr00t", options, announced, server.url)
        spec = profile.spec(
            "gr00t",
            card={"url": server.url, "dialect": dialect, "profile": profile.name, "batch": batch, "modalities": _said(served)},
            execute_steps=execute,
            chunk_steps=len(served.modalities["action"].steps) if "action" in served.modalities else None,
            runs_in_worker=False,
        )
        keys = keys_of(spec, profile.wire.get("gr00t"), served.modalities, f"[wire.gr00t] of profile {profile.name!r}")
    except VlagymError:
        server.close()
        raise
    return Gr00tPolicy(server, spec, keys, dialect, batch=batch, is_ours=announced is not None and dialect != "n1.5")


def _announced(server: Server) -> Any:
    """Returns the profile that a server of ours announces, None for another one, which does not know the word."""
    try:
        return server.ask(gr00t.ENDPOINT_PROFILE)
    except BadReply:
        return None


def _batch(options: Mapping[str, str]) -> int:
    text = options.get("batch", str(BATCH))
    if not text.isdecimal() or int(text) < 1:
        raise BadData(f"batch of gr00t is the number of observations in one request, not {text!r}")
    return int(text)


def _said(served: Served) -> dict[str, dict[str, Sequence[Any]]]:
    """Returns the server's modalities as plain data for the run header."""
    return {name: {"keys": list(m.keys), "steps": list(m.steps)} for name, m in served.modalities.items()}
