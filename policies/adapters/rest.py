"""Policies that are asked by HTTP: servers of OpenVLA, of OpenVLA-OFT and of GR00T N1.5, and ours."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.errors import BadData, BadReply, NotReset, PolicyTimeout, PolicyUnreachable, VlagymError
from vlagym.envs.types import ActionChunk, Observation
from vlagym.policies.base import EpisodeContext, PolicySpec
from vlagym.policies.connections import http, limits
from vlagym.policies.connections.http import HttpConnection
from vlagym.policies.foreign import NAME_MAX, told, without_query
from vlagym.policies.loading import refuse_options
from vlagym.policies.profile import Profile
from vlagym.policies.wire import arrays, gr00t, gr00t_modality, rest
from vlagym.policies.wire.rest import Dialect

ANNOUNCEMENT = "/vlagym"
"""Where a server of ours says its profile and its dialect; others have no such path."""
_PATH = "/act"
_NOT_THERE = (404, 405)
_SECRET = (401, 403)
_AWAY = (502, 503, 504)
"""Of a server that loads its model, and of a proxy whose server is away or hangs: they are waited for, as one that takes no connection is."""
_ABSENT, _UPGRADE, _NO_SUCH_METHOD = 404, 426, 501
_FASTAPI_ABSENT = b'{"detail":"NotFound"}'
"""The body of FastAPI's 404, without spaces. At a path that takes another method it answers 405 instead."""

_LOG = logging.getLogger(__name__)

Write = Callable[[Observation], Any]
Read = Callable[[Any], NDArray[np.float32]]


class RestPolicy:
    """A policy behind one address. The protocol has no episodes: every request stands alone."""

    def __init__(self, server: HttpConnection, path: str, spec: PolicySpec, write: Write, read: Read, *, is_encoded: bool = False) -> None:
        """Takes over a connection.

        Args:
          server: Where the policy is.
          path: Where it is asked.
          spec: What the policy declares.
          write: Makes a message of an observation.
          read: Makes actions `(T, D)` of an answer; raises BadReply.
          is_encoded: Whether messages are JSON within JSON.
        """
        self.spec = spec
        assert spec.action is not None
        self._action = spec.action
        self._server, self._path, self._write, self._read, self._is_encoded = server, path, write, read, is_encoded
        self._slots: set[int] = set()

    def reset(self, context: EpisodeContext) -> None:
        """Begins an episode; the server is not told, for its protocol has no word for it."""
        self._slots.add(context.slot)

    def act(self, observations: Mapping[int, Observation]) -> dict[int, ActionChunk]:
        """Returns a chunk for each slot, asked for one after another. After an error the next request makes a new connection.

        Raises:
          NotReset: If an episode was not begun.
          PolicyUnreachable: If the connection is lost, or the server says that it is away.
          PolicyTimeout: If an answer takes too long.
          BadReply: If an answer is an error, or no actions of the profile's size.
        """
        missing = sorted(set(observations) - self._slots)
        if missing:
            raise NotReset(f"slot {missing[0]} was asked for actions before it was told its episode: call reset first")
        return {slot: self._answer(observation) for slot, observation in observations.items()}

    def close(self) -> None:
        """Closes the connection."""
        self._server.close()

    def _answer(self, observation: Observation) -> ActionChunk:
        message = self._write(observation)
        if self._is_encoded:
            message = {rest.ENCODED: arrays.to_json(message)}
        try:
            said = self._server.ask("POST", self._path, arrays.to_json(message).encode())
            _check_status(said, self._server.base + self._path.partition("?")[0])
            values = self._read(_decoded(said.body, self._server.base))
            if len(values) < self.spec.execute_steps:
                raise BadReply(f"the server sent {len(values)} actions, and {self.spec.execute_steps} are executed of each chunk (option execute=N)")
        except PolicyTimeout:
            raise
        except PolicyUnreachable:
            self._server.forget()
            raise
        except VlagymError:
            self._server.close()
            raise
        return ActionChunk(values=values, spec=self._action)


def POLICY(argument: str | None, options: Mapping[str, str]) -> RestPolicy:
    """Connects to a server.

    Where the profile has a table [wire.openvla] or [wire.oft], images and state are called as it says. Otherwise the image of openvla is `image`; of
    oft, the first one is `full_image`, the one other `wrist_image`, or `<name>_image` for those whose names hold "wrist", and all state is one
    vector, `state`, in the profile's order. The sentence is `instruction`. For gr00t, see the adapter gr00t: this is the HTTP server of N1.5, which
    does not say what it reads, so that all keys are the profile's.

    Args:
      argument: Address of the server: http://host:8000/act; without a path it is /act.
      options: "profile": name of a profile or a TOML file of one; needed where the server announces none. "execute": actions of each chunk that are
        executed. "dialect": openvla, oft or gr00t; without it a profile with one image and no state is served by openvla, and any other by
        oft. "unnorm_key": sent along, for servers that have several. "encoded": true sends JSON within JSON. "api_key_env": name of the environment
        variable that holds a key, sent as `Authorization: Bearer`. "timeout", "first_timeout", "connect_timeout" in s, "max_mib" in MiB.

    Raises:
      UnknownName: For another option, dialect or profile.
      BadData: If there is no address, or nobody says what the policy's conventions are.
      PolicyUnreachable: If the server is not there.
      BadReply: If what it announces is no profile.
      ConventionMismatch: If it announces other conventions than the profile that was named.
    """
    from vlagym.policies import adoption

    refuse_options("rest", options, known=("dialect", "unnorm_key", "encoded", "api_key_env", *adoption.OPTIONS, *limits.OPTIONS))
    if argument is None:
        raise BadData("rest is the address of a server too: write rest:http://host:8000/act")
    if options.get("encoded", "false") not in ("true", "false"):
        raise BadData(f"encoded of rest is true or false, not {options['encoded']!r}")
    is_encoded = options.get("encoded") == "true"
    said_dialect = rest.check_dialect(options["dialect"]) if "dialect" in options else None
    execute = adoption.read_execute("rest", options)
    parts = http.read_url(argument)
    path = (parts.path if parts.path.strip("/") else _PATH) + (f"?{parts.query}" if parts.query else "")
    key = limits.read_secret("rest", "api_key_env", options)
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    said_limits = limits.read_limits("rest", options)
    server = HttpConnection(argument, limits=said_limits, headers=headers)
    try:
        announced = _announcement(server, said_limits.timeout_s)
        _check_path(server, path, said_limits.timeout_s)
        profile = adoption.adopt("rest", options, announced.get("profile"), server.base)
        dialect = said_dialect or _announced_dialect(announced) or rest.usual_dialect(profile.observation)
        card = {"url": server.base + path.partition("?")[0], "dialect": dialect, "profile": profile.name, "encoded": is_encoded}
        if "unnorm_key" in options:
            card["unnorm_key"] = options["unnorm_key"]
        spec = profile.spec("rest", card=card, execute_steps=execute, runs_in_worker=True)
        write, read = _messages(dialect, profile, spec, options.get("unnorm_key"))
    except VlagymError:
        server.close()
        raise
    return RestPolicy(server, path, spec, write, read, is_encoded=is_encoded)


def _messages(dialect: Dialect, profile: Profile, spec: PolicySpec, unnorm_key: str | None) -> tuple[Write, Read]:
    """Returns how observations are written and actions are read in a dialect."""
    assert spec.action is not None
    table = profile.wire.get(dialect)
    where = f"profile {profile.name!r}" if table is None else f"[wire.{dialect}] of profile {profile.name!r}"
    if dialect == "gr00t":
        if unnorm_key is not None:
            raise BadData("GR00T's servers have no unnorm_key: leave the option out")
        keys = gr00t_modality.keys_of(spec, table, None, where)
        return (lambda seen: {"observation": gr00t.request([seen], keys, spec.history, "n1.5")}), (lambda said: gr00t.read_actions(said, keys, 1)[0])
    if spec.history != (0,):
        raise BadData(f"this protocol sends one observation at a time, and the profile {profile.name!r} wants those at the steps {spec.history}")
    layout = rest.layout(dialect, table, spec.action, spec.observation, where)
    return partial(rest.request, where=layout, unnorm_key=unnorm_key), partial(rest.read_actions, action=spec.action)


def _announcement(server: HttpConnection, timeout_s: float) -> dict[str, Any]:
    """Returns what a server of ours says of itself; nothing of another one. Contacts the server in any case."""
    said = server.ask("GET", ANNOUNCEMENT, timeout_s=timeout_s)
    if said.status in (*_SECRET, *_AWAY):
        _check_status(said, server.base + ANNOUNCEMENT)
    if said.status == _UPGRADE:
        raise BadReply(f"{server.base} speaks WebSocket and no plain HTTP: is it the right port? Such servers are openpi:ws://… or vla_eval:ws://…")
    if said.status != 200:
        return {}
    try:
        found = arrays.from_json(said.body)
    except BadData:
        return {}  # a server of something else that answers whatever it is asked
    return found if isinstance(found, dict) and "profile" in found else {}


def _check_path(server: HttpConnection, path: str, timeout_s: float) -> None:
    """Looks whether there is anything at a path, as far as a GET tells, which asks for no actions: who takes a POST there alone answers 405.

    Raises:
      BadReply: If there is nothing: FastAPI, in which the servers of this protocol are written, says so in words of its own. Of anybody else's 404
        nobody can know whether it is one of a POST too, so that it is logged.
    """
    try:
        said = server.ask("GET", path, timeout_s=timeout_s)
    except PolicyUnreachable:  # it has answered once, and then hung up, as servers do that keep no connection: nothing is known of the path
        return
    url = server.base + path.partition("?")[0]
    if said.status == _ABSENT and said.body.replace(b" ", b"") == _FASTAPI_ABSENT:
        raise BadReply(f"{url} answers with HTTP {_ABSENT}: there is nothing at this path; is it the right port? OpenVLA's and OFT's path is /act")
    if said.status == _ABSENT:
        _LOG.warning("%s answers a GET with HTTP %d: if the first episodes are errors, is it the right port and path?", url, _ABSENT)


def _announced_dialect(announced: Mapping[str, Any]) -> Dialect | None:
    said = announced.get("dialect")
    return None if said is None else rest.check_dialect(told(said, NAME_MAX))


def _check_status(said: http.Answer, url: str) -> None:
    if said.status == 200:
        return
    text = told(said.body) or "nothing"
    if said.status in _NOT_THERE:
        hint = "there is nothing to ask at this path; is it the right port? OpenVLA's and OFT's path is /act"
        raise BadReply(f"{url} answers with HTTP {said.status}: {hint}")
    if said.status in _SECRET:
        raise PolicyUnreachable(f"{url} answers with HTTP {said.status} and wants a key: say api_key_env=NAME of a variable that holds it")
    if said.location is not None:
        where = f"sends its clients to {told(without_query(said.location))}, where no request follows"
        raise BadReply(f"{url} answers with HTTP {said.status} and {where}: write that address if you trust it")
    if said.status in _AWAY:
        raise PolicyUnreachable(f"{url} answers with HTTP {said.status}, as a server that loads its model, or a proxy whose server is away: {text}")
    what = "refuses the request" if said.status < 500 else "failed"
    hint = "; is it the right port?" if said.status == _NO_SUCH_METHOD else ""
    raise BadReply(f"{url} {what} with HTTP {said.status}: {text}{hint}")


def _decoded(body: bytes, url: str) -> Any:
    try:
        return arrays.from_json(body, max_bytes=len(body))  # the connection has bounded it
    except BadData as error:
        raise BadReply(f"{url} answers with what are no actions ({error}): {told(body)}") from error
