"""A rosbridge without ROS: hands topics on to who subscribed, passes service calls on, answers no error; and a small node that hears and commands."""

from __future__ import annotations

import base64
import contextlib
import inspect
import json
import queue
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass
class Bridge:
    """What went through it."""

    url: str = ""
    types: dict[str, str] = field(default_factory=dict)
    """Topic -> type, as first said."""
    connections: int = 0
    silent: set[str] = field(default_factory=set)
    """Topics whose messages are thrown away, as of a type that is not known."""


@contextlib.contextmanager
def bridge() -> Iterator[Bridge]:
    from websockets.exceptions import ConnectionClosed
    from websockets.sync.server import serve

    seen, lock = Bridge(), threading.RLock()
    subscribed: dict[str, list[Any]] = {}
    latched: dict[str, str] = {}
    latching: set[str] = set()
    offered: dict[str, Any] = {}
    calls: dict[str, Any] = {}
    connections: list[Any] = []
    mail: dict[Any, queue.SimpleQueue[str | None]] = {}

    def deliver(connection: Any, letters: queue.SimpleQueue[str | None]) -> None:
        with contextlib.suppress(ConnectionClosed):
            while (text := letters.get()) is not None:
                connection.send(text)

    def handle(connection: Any) -> None:
        with lock:
            seen.connections += 1
            connections.append(connection)
            mail[connection] = queue.SimpleQueue()
        threading.Thread(target=deliver, args=(connection, mail[connection]), daemon=True).start()
        with contextlib.suppress(ConnectionClosed):
            for frame in connection:
                with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError):  # rosbridge logs these and says nothing
                    took(connection, json.loads(frame))
        mail[connection].put(None)
        with lock:
            for listeners in subscribed.values():
                listeners[:] = [one for one in listeners if one is not connection]

    def say(connection: Any, message: Mapping[str, Any]) -> None:
        mail[connection].put(json.dumps(message).replace("/", "\\/"))

    def took(connection: Any, message: dict[str, Any]) -> None:
        op = message["op"]
        with lock:
            if op in ("advertise", "subscribe") and seen.types.setdefault(message["topic"], message["type"]) != message["type"]:
                return
            if op == "advertise" and message.get("latch"):
                latching.add(message["topic"])
            if op == "subscribe":
                subscribed.setdefault(message["topic"], []).append(connection)
                if message["topic"] in latched:
                    mail[connection].put(latched[message["topic"]])
            if op == "unsubscribe":
                subscribed[message["topic"]].remove(connection)
            if op == "advertise_service":
                offered[message["service"]] = connection
            if op == "call_service":
                calls[message["id"]] = connection
                say(offered[message["service"]], message)
            if op == "service_response":
                say(calls.pop(message["id"]), message)
            if op == "publish":
                topic, inner = message["topic"], message["msg"]
                if topic not in seen.types or topic in seen.silent or not isinstance(inner, dict):
                    return
                out = {"op": "publish", "topic": topic, "msg": inner}
                if topic in latching:
                    latched[topic] = json.dumps(out)
                for listener in list(subscribed.get(topic, [])):
                    say(listener, out)

    options = {"ping_interval": None} if "ping_interval" in inspect.signature(serve).parameters else {}
    server: Any = serve(handle, "127.0.0.1", 0, compression=None, max_size=None, close_timeout=0.2, **options)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    seen.url = f"ws://127.0.0.1:{server.socket.getsockname()[1]}"
    try:
        yield seen
    finally:
        for connection in connections:
            connection.close()
        server.shutdown()
        thread.join(5)


@dataclass
class Seen:
    """An observation as a node has put it together: messages by topic."""

    stamp: str
    status: dict[str, Any]
    messages: dict[str, dict[str, Any]]

    def header(self) -> dict[str, Any]:
        seconds, rest = self.stamp.split(".")
        return {"stamp": {"sec": int(seconds), "nanosec": int(rest)}, "frame_id": ""}

    def image(self, camera: str) -> np.ndarray[Any, Any]:
        message = self.messages[f"/camera/{camera}/image_raw"]
        assert message["encoding"] == "rgb8" and message["step"] == 3 * message["width"]
        pixels = np.frombuffer(base64.b64decode(message["data"]), np.uint8)
        return pixels.reshape(message["height"], message["width"], 3)

    def array(self, name: str) -> list[float]:
        found: list[float] = self.messages[f"/state/{name}"]["data"]
        return found


def as_array(values: Any, stamp: str) -> dict[str, Any]:
    """Returns a chunk `(T, D)` as a Float64MultiArray that echoes the stamp."""
    rows = np.asarray(values, float)
    steps, size = rows.shape
    dims = [{"label": stamp, "size": steps, "stride": rows.size}, {"label": "action", "size": size, "stride": size}]
    return {"layout": {"dim": dims, "data_offset": 0}, "data": rows.ravel().tolist()}


Think = Callable[[Seen], Mapping[str, Any]]
"""What is seen -> topic -> message."""


@contextlib.contextmanager
def node(url: str, topics: Mapping[str, str], commands: Mapping[str, str], think: Think, *, prefix: str = "") -> Iterator[Any]:
    """A node on a thread of its own: thinks once for each status that says `running`, when all other topics have come.

    Args:
      url: Of the bridge.
      topics: What it hears -> type.
      commands: What it publishes -> type.
      think: What it answers.
      prefix: Before each topic.
    """
    from websockets.exceptions import ConnectionClosed
    from websockets.sync.client import connect

    options = {"ping_interval": None} if "ping_interval" in inspect.signature(connect).parameters else {}
    stack = contextlib.ExitStack()
    connection: Any = stack.enter_context(connect(url, compression=None, max_size=None, close_timeout=0.2, **options))

    def send(message: Mapping[str, Any]) -> None:
        connection.send(json.dumps(message))

    for topic, kind in topics.items():
        send({"op": "subscribe", "topic": prefix + topic, "type": kind})
    for topic, kind in commands.items():
        send({"op": "advertise", "topic": prefix + topic, "type": kind})
    answers: list[dict[str, Any]] = []

    def live() -> None:
        messages: dict[str, dict[str, Any]] = {}
        with contextlib.suppress(ConnectionClosed):
            for frame in connection:
                found = json.loads(frame)
                if found["op"] != "publish":
                    answers.append(found)
                    continue
                topic = found["topic"].removeprefix(prefix)
                messages[topic] = found["msg"]
                if topic == "/task/status":
                    status = json.loads(found["msg"]["data"])
                    if status["state"] == "running":
                        for out, message in think(Seen(status["stamp"], status, dict(messages))).items():
                            send({"op": "publish", "topic": prefix + out, "msg": message})

    thread = threading.Thread(target=live, daemon=True)
    thread.start()
    connection.answers = answers
    try:
        yield connection
    finally:
        stack.close()
        thread.join(5)
