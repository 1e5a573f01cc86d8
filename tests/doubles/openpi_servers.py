"""Small servers of the openpi family that behave as their documentation and sources say. They share no line with our client: codec included."""

from __future__ import annotations

import contextlib
import inspect
import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgpack
import numpy as np

Infer = Callable[[dict[str, Any]], Any]
"""Observation without what belongs to the protocol -> the answer: a map, an array, or an exception that is raised. Bytes are put on the socket as
they are, and nothing else is said on that connection."""
_FAILED = "Internal server error. Traceback included in previous frame."


def pack(value: Any) -> bytes:
    """As openpi-client's msgpack_numpy does."""

    def default(one: Any) -> Any:
        if isinstance(one, np.ndarray):
            return {b"__ndarray__": True, b"data": one.tobytes(), b"dtype": one.dtype.str, b"shape": one.shape}
        return {b"__npgeneric__": True, b"data": one.item(), b"dtype": one.dtype.str}

    packed: bytes = msgpack.packb(value, default=default)
    return packed


def unpack(data: bytes) -> Any:
    def hook(one: dict[Any, Any]) -> Any:
        if b"__ndarray__" in one:
            return np.ndarray(buffer=one[b"data"], dtype=np.dtype(one[b"dtype"]), shape=one[b"shape"])
        return one

    return msgpack.unpackb(data, object_hook=hook)


@dataclass
class Seen:
    """What a server has been told."""

    url: str = ""
    connections: int = 0
    requests: list[dict[str, Any]] = field(default_factory=list)
    resets: list[str] = field(default_factory=list)
    authorization: list[str | None] = field(default_factory=list)


@contextlib.contextmanager
def _serving(handle: Callable[[Any, Seen], None], paths: Mapping[str, str] | None = None, only_path: str | None = None) -> Iterator[Seen]:
    from websockets.exceptions import ConnectionClosed
    from websockets.sync.server import serve

    seen, connections = Seen(), set()

    def handled(connection: Any) -> None:
        seen.connections += 1
        seen.authorization.append(connection.request.headers.get("Authorization"))
        connections.add(connection)
        with contextlib.suppress(ConnectionClosed):
            handle(connection, seen)

    def answered(connection: Any, request: Any) -> Any:
        if paths is not None and request.path in paths:
            return connection.respond(200, paths[request.path])
        return None if only_path is None or request.path == only_path else connection.respond(404, "Not Found")

    options = {"ping_interval": None} if "ping_interval" in inspect.signature(serve).parameters else {}
    server: Any = serve(handled, "127.0.0.1", 0, compression=None, max_size=None, process_request=answered, close_timeout=0.2, **options)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    seen.url = f"ws://127.0.0.1:{server.socket.getsockname()[1]}{only_path or ''}"
    try:
        yield seen
    finally:
        for connection in connections:
            connection.close()
        server.shutdown()
        thread.join(5)


def openpi(infer: Infer, metadata: Mapping[str, Any] | None = None) -> contextlib.AbstractContextManager[Seen]:
    """openpi: metadata first; a text with the traceback and code 1011 on an error; no reset."""

    def handle(connection: Any, seen: Seen) -> None:
        connection.send(pack(dict(metadata or {})))
        while True:
            observation = unpack(connection.recv())
            began_s = time.monotonic()
            try:
                observation["prompt"]
                seen.requests.append(observation)
                answer = infer(observation)
                if isinstance(answer, bytes):
                    connection.socket.sendall(answer)
                    connection.socket.shutdown(socket.SHUT_WR)
                    return
                if isinstance(answer, dict):
                    answer["server_timing"] = {"infer_ms": 1000 * (time.monotonic() - began_s)}
                reply = pack(answer)
            except Exception:
                connection.send(traceback.format_exc())
                connection.close(1011, _FAILED)
                return
            connection.send(reply)

    return _serving(handle, {"/healthz": "OK\n"})


def roboarena(infer: Infer, config: Mapping[str, Any]) -> contextlib.AbstractContextManager[Seen]:
    """RoboArena: config first; `endpoint` is wanted; a reset is answered with a text; errors as openpi's."""

    def handle(connection: Any, seen: Seen) -> None:
        connection.send(pack(dict(config)))
        while True:
            message = unpack(connection.recv())
            try:
                endpoint = message.pop("endpoint")
                session = message.pop("session_id") if config["needs_session_id"] else None
                if endpoint == "reset":
                    seen.resets.append(str(session))
                    reply: bytes | str = "reset successful"
                else:
                    seen.requests.append(message)
                    reply = pack(infer(message))
            except Exception:
                connection.send(traceback.format_exc())
                connection.close(1011, _FAILED)
                return
            connection.send(reply)

    return _serving(handle)


def vllm_omni(infer: Infer, config: Mapping[str, Any], *, idle_s: float = 30.0) -> contextlib.AbstractContextManager[Seen]:
    """vLLM-Omni: config first; errors are messages and the connection stays; whoever is idle for long is cut off; texts are ignored."""

    def handle(connection: Any, seen: Seen) -> None:
        connection.send(pack(dict(config)))
        while True:
            try:
                data = connection.recv(timeout=idle_s)
            except TimeoutError:
                connection.close(1000, "idle")
                return
            if isinstance(data, str):
                continue
            message = unpack(data)
            session = message.pop("session_id")
            if message.pop("endpoint", "infer") == "reset":
                seen.resets.append(session)
                connection.send(pack({"status": "reset successful"}))
                continue
            try:
                seen.requests.append(message)
                connection.send(pack(infer(message)))
            except Exception as error:
                connection.send(pack({"type": "error", "message": str(error)}))

    return _serving(handle, only_path="/v1/realtime/robot/openpi")


def sglang(infer: Infer, metadata: Mapping[str, Any]) -> contextlib.AbstractContextManager[Seen]:
    """SGLang: `action.metadata` first; LeRobot's names; an error is a message, and code 1011 after it."""

    def handle(connection: Any, seen: Seen) -> None:
        connection.send(pack({"object": "action.metadata", **metadata}))
        while True:
            message = unpack(connection.recv())
            try:
                message.get("task") or message["prompt"]
                message["observation.state"]
                seen.requests.append(message)
                reply = pack({"actions": infer(message), "server_timing": {"infer_ms": 1.0}})
            except Exception:
                connection.send(pack({"error": traceback.format_exc()}))
                connection.close(1011, "internal error")
                return
            connection.send(reply)

    return _serving(handle, only_path="/openpi/policy")
