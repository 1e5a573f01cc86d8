"""Model servers of vla-eval that behave as its documentation and captures say, or misbehave on purpose. Built without our own codec."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgpack

Reply = Callable[["Talk", dict[str, Any]], None]


class Talk:
    """One connection, as a reply function sees it."""

    def __init__(self, connection: Any, number: int) -> None:
        self._connection = connection
        self.number = number
        """0 for the first connection of the server."""

    def say(self, kind: str, payload: Mapping[str, Any], seq: int) -> None:
        self.send(msgpack.packb({"type": kind, "payload": payload, "seq": seq, "timestamp": 0.0}))

    def act(self, message: Mapping[str, Any], *, seq: int | None = None, values: Any = None) -> None:
        self.say("action", {"actions": [0.0] * 7 if values is None else values}, message["seq"] if seq is None else seq)

    def send(self, frame: bytes | str) -> None:
        self._connection.send(frame)

    def drop(self) -> None:
        """Ends the connection without a word. Closing the socket alone would wait for whoever reads from it."""
        self._connection.socket.shutdown(socket.SHUT_RDWR)


class Heard:
    """What a server was told."""

    def __init__(self) -> None:
        self.url = ""
        self.messages: list[dict[str, Any]] = []
        self.num_connections = 0

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [m["payload"] for m in self.messages if m["type"] == kind]


def greet(talk: Talk, message: Mapping[str, Any], **extra: Any) -> None:
    hello = {"harness_version": "0.8.0", "protocol_version": 1, "model_server": "Double", "capabilities": {}, **extra}
    talk.say("hello", hello, message["seq"])


@contextlib.contextmanager
def model_server(
    on_observation: Reply,
    *,
    hello: Mapping[str, Any] | None = None,
    on_hello: Reply | None = None,
    on_start: Reply | None = None,
    port: int = 0,
) -> Iterator[Heard]:
    """Yields what a server hears that answers observations as it is told. `port`: one that another double has had, to be up again there."""
    from websockets.exceptions import ConnectionClosed
    from websockets.sync.server import serve

    heard, lock = Heard(), threading.Lock()
    talks: list[Talk] = []

    def handle(connection: Any) -> None:
        with lock:
            talk = Talk(connection, heard.num_connections)
            talks.append(talk)
            heard.num_connections += 1
        with contextlib.suppress(ConnectionClosed, OSError):
            for frame in connection:
                message = msgpack.unpackb(frame)
                heard.messages.append(message)
                if message["type"] == "hello":
                    on_hello(talk, message) if on_hello else greet(talk, message, **(hello or {}))
                elif message["type"] == "episode_start" and on_start is not None:
                    on_start(talk, message)
                elif message["type"] == "observation":
                    on_observation(talk, message)

    server = serve(handle, "127.0.0.1", port, compression=None, max_size=None, close_timeout=0.5)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    heard.url = f"ws://127.0.0.1:{server.socket.getsockname()[1]}"
    try:
        yield heard
    finally:
        for talk in talks:
            with contextlib.suppress(OSError):  # it is closed already
                talk.drop()
        server.shutdown()
        thread.join(10)


def profile_file(folder: Any, name: str = "mine", **changes: str) -> str:
    """Writes a profile of 7 actions, one image and one array of state, and returns its path; `changes` replace lines that begin so."""
    lines = _PROFILE.format(name=name).splitlines()
    for key, value in changes.items():
        at = [i for i, line in enumerate(lines) if line.startswith(f"{key} =")]
        assert at, key
        lines[at[0]] = f"{key} = {value}"
    path = folder / f"{name}.toml"
    path.write_text("\n".join(lines), encoding="utf-8")
    return str(path)


_PROFILE = """
name = "{name}"
chunk_steps = 1
execute_steps = 1
[action]
name = "mine"
rate_hz = 20.0
[[action.components]]
name = "translation"
size = 3
convention = "delta_position"
frame = "base"
unit = "m"
scale = 0.05
low = [-1.0, -1.0, -1.0]
high = [1.0, 1.0, 1.0]
[[action.components]]
name = "rotation"
size = 3
convention = "delta_axis_angle"
frame = "base"
unit = "rad"
scale = 0.25
low = [-1.0, -1.0, -1.0]
high = [1.0, 1.0, 1.0]
[[action.components]]
name = "gripper"
size = 1
convention = "gripper_closed_positive"
frame = "joint"
unit = "fraction"
scale = 1.0
low = [-1.0]
high = [1.0]
[[observation.images]]
name = "front"
width = 16
height = 16
[[observation.state]]
name = "ee_pos_base_m"
size = 3
"""
