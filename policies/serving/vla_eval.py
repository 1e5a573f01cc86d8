"""Serves a policy to vla-eval's benchmarks as its own model servers do: hello, episodes, an action for each observation, /health and /config."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Mapping
from functools import partial
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
from numpy.typing import NDArray

import vlagym
from vlagym.envs.errors import VlagymError
from vlagym.policies.base import Policy
from vlagym.policies.foreign import told
from vlagym.policies.serving.counter import TOLD_MAX, Counter
from vlagym.policies.serving.websocket_server import HttpAnswer, WebSocketServer
from vlagym.policies.wire import vla_eval as wire
from vlagym.policies.wire import vla_eval_specs as specs

_SETTINGS = {"max_batch_size": int, "max_wait_time": float}
"""What GET /config?name=value changes while the server runs."""


class SERVER:
    """Clients of all connections are answered in common calls of the policy.

    A chunk is kept here, and each observation gets one action `(D,)`; after as many as the policy wants executed it is asked again. A client that is
    vlagym too says so in its hello and plays chunks by itself: it gets them whole, and need not render in between.
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
        self._counter = Counter(policy)
        self._hello = _hello(self._counter)
        self._server = WebSocketServer(self._handle, host, port, answer_http=self._http)

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

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._server.close()
        self._counter.close()

    def serve_forever(self) -> None:
        """Waits until it is interrupted."""
        self._server.serve_forever()

    def _handle(self, connection: Any) -> None:
        session = _Session(self._counter, self._hello)
        try:
            for data in connection:
                try:
                    message = wire.unpack(data)
                except VlagymError:
                    return  # closed with 1000 and without a word, as the original does
                answer = session.answer(message)
                if answer is not None:
                    connection.send(answer)
        finally:
            self._counter.leave(session)

    def _http(self, path: str) -> HttpAnswer | None:
        parts = urlsplit(path)
        if parts.path == "/health":
            return HttpAnswer('{"status": "ok"}\n', content_type="application/json")
        return self._configured(parse_qs(parts.query)) if parts.path == "/config" else None

    def _configured(self, asked: Mapping[str, list[str]]) -> HttpAnswer:
        applied: dict[str, Any] = {}
        errors: list[str] = []
        for name, values in asked.items():
            if name not in _SETTINGS:
                errors.append(f"unknown key: {name}")
                continue
            try:
                value = _SETTINGS[name](values[-1])
                if not (value >= 1 if name == "max_batch_size" else 0 <= value <= 60):
                    raise ValueError(f"{value} is out of range")
            except ValueError as error:
                errors.append(f"bad value for {name}: {error}")
                continue
            setattr(self._counter, name, value)
            applied[name] = value
        if errors and not applied:
            return HttpAnswer(json.dumps({"errors": errors}) + "\n", status=422)
        done: dict[str, Any] = {"applied": applied, "config": {name: getattr(self._counter, name) for name in _SETTINGS}}
        return HttpAnswer(json.dumps(done | ({"errors": errors} if errors else {})) + "\n")


class _Session:
    """One connection: what its client asked for last, and the rest of the chunk that it is being given."""

    def __init__(self, counter: Counter, hello: Mapping[str, Any]) -> None:
        self._counter, self._hello = counter, hello
        self._plays_chunks = False
        self._rest: deque[NDArray[np.float32]] = deque()
        self._instruction: str | None = None

    def answer(self, message: wire.Message) -> bytes | None:
        """Returns what is answered to a message, None where nothing is."""
        say = partial(_said, seq=message.seq)
        payload = message.payload
        if message.type == "hello":
            ours = payload.get("vlagym")
            self._plays_chunks = isinstance(ours, dict) and ours.get("plays_chunks") is True
            return say("hello", self._hello)
        if message.type == "episode_start":
            task = payload.get("task")
            digest = task.get("digest") if isinstance(task, dict) else None
            self._rest.clear()
            self._instruction = None
            try:
                self._counter.begin(self, digest=digest if isinstance(digest, str) and digest else None)
            except Exception as error:
                return say("error", {"error": f"episode_start_failed: {type(error).__name__}: {told(error, TOLD_MAX)}"})
        if message.type == "observation":
            try:
                return say("action", {"actions": self._act(payload)})
            except Exception as error:  # of the policy, or of what was sent: the client is told, and may go on
                self._rest.clear()
                return say("error", {"error": f"observation_failed: {type(error).__name__}: {told(error, TOLD_MAX)}"})
        return None

    def _act(self, payload: Mapping[str, Any]) -> NDArray[np.float32]:
        instruction = payload.get("task_description", "")
        if instruction != self._instruction:
            self._rest.clear()
        if not self._rest:
            reads = self._counter.spec.observation
            images, state = wire.read_images(payload, reads), wire.read_state(payload, reads)
            chunk = self._counter.answer(self, images, state, instruction)
            self._instruction = instruction
            if self._plays_chunks:
                return chunk.values
            self._rest.extend(chunk.values[: self._counter.spec.execute_steps])
        return self._rest.popleft()


def _hello(counter: Counter) -> dict[str, Any]:
    """Returns the payload of the server's hello; what vlagym alone reads stands behind everything else."""
    spec = counter.spec
    params = specs.observation_params(spec.observation)
    return {
        "harness_version": f"vlagym {vlagym.__version__}",
        "protocol_version": wire.PROTOCOL_VERSION,
        "model_server": spec.name,
        "capabilities": {},
        **({"observation_params": params} if params else {}),
        "action_spec": specs.action_spec(counter.action),
        "observation_spec": specs.observation_spec(spec.observation),
        "vlagym": counter.announcement(),
    }


def _said(kind: str, payload: Mapping[str, Any], seq: int) -> bytes:
    return wire.pack(wire.Message(kind, payload, seq, time.time()))
