"""A client of rosbridge (JSON over a WebSocket). It never answers an error, so that all is proven by what comes back."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from vlagym.envs.errors import BadData, BadReply, PolicyUnreachable
from vlagym.policies.connections.limits import Deadline, Limits
from vlagym.policies.connections.websocket import WebSocket
from vlagym.policies.wire import arrays

Answer = Callable[[], tuple[bool, str]]
"""What a service of type std_srvs/Trigger does: whether it succeeded, and what it says."""


class Rosbridge:
    """One connection to a bridge: topics that are published, topics that are heard, and services that are offered."""

    def __init__(self, url: str, limits: Limits) -> None:
        """Makes a client; nothing is contacted.

        Raises:
          BadData: If the URL is none.
        """
        self._socket = WebSocket(url, limits)
        self.limits = limits
        self._services: dict[str, Answer] = {}
        self._arrived: list[tuple[str, Mapping[str, Any]]] = []
        self.is_open = False

    @property
    def url(self) -> str:
        return self._socket.url

    def open(self) -> None:
        """Connects.

        Raises:
          PolicyUnreachable: If nobody is there.
        """
        self._socket.open()
        self._services.clear()
        self._arrived.clear()
        self.is_open = True

    def close(self) -> None:
        """Hangs up; the bridge forgets what was advertised and subscribed."""
        self.is_open = False
        self._socket.close()

    def advertise(self, topic: str, kind: str, *, is_latched: bool = False) -> None:
        """Says that a topic will be published."""
        self._send({"op": "advertise", "topic": topic, "type": kind, "latch": is_latched, "queue_size": 10})

    def subscribe(self, topic: str, kind: str) -> None:
        """Asks for a topic."""
        self._send({"op": "subscribe", "id": f"vlagym:{topic}", "topic": topic, "type": kind, "throttle_rate": 0, "queue_length": 0})

    def unsubscribe(self, topic: str) -> None:
        """Asks for it no longer."""
        self._send({"op": "unsubscribe", "id": f"vlagym:{topic}", "topic": topic})

    def publish(self, topic: str, message: Mapping[str, Any]) -> None:
        """Publishes a message."""
        self._send({"op": "publish", "topic": topic, "msg": message})

    def offer(self, service: str, kind: str, answer: Answer) -> None:
        """Offers a service. It is answered while something is waited for."""
        self._services[service] = answer
        self._send({"op": "advertise_service", "service": service, "type": kind})

    def next(self, timeout_s: float) -> tuple[str, Mapping[str, Any]] | None:
        """Returns the next message that was asked for as (topic, message), None where none comes in that time.

        Raises:
          PolicyUnreachable: If the connection is lost.
          BadReply: If what comes is nothing that rosbridge sends.
        """
        if self._arrived:
            return self._arrived.pop(0)
        deadline = Deadline(timeout_s)
        while True:
            frame = self._socket.poll(deadline.left_s())
            if frame is None:
                return None
            found = self._read(frame)
            if found is not None:
                return found

    def prove(self, expected: Mapping[str, str], publish: Callable[[], None], is_echo: Callable[[str, Mapping[str, Any]], bool]) -> None:
        """Publishes, and waits until each topic has come back: the bridge knows its type, and takes messages of that size.

        What comes on other topics in the meantime is kept for `next`.

        Args:
          expected: Topic -> type.
          publish: Publishes on each of them.
          is_echo: Whether a message on one of them is what was published.

        Raises:
          PolicyUnreachable: If something does not come back in time.
        """
        for topic, kind in expected.items():
            self.subscribe(topic, kind)
        publish()
        missing, others, deadline = set(expected), [], Deadline(self.limits.connect_timeout_s)
        while missing:
            found = self.next(deadline.left_s())
            if found is None:
                wait = f"{deadline.seconds:g} s (option connect_timeout=S)"
                raise PolicyUnreachable(
                    f"what was published on {', '.join(sorted(missing))} did not come back from {self.url} within {wait}. rosbridge answers no "
                    f"errors; its log says why: a type that it does not know ({expected[min(missing)]}: option ros=1 for ROS 1), a topic of another "
                    "type, a message that is too large"
                )
            if found[0] not in expected:
                others.append(found)
            elif is_echo(*found):
                missing.discard(found[0])
        self._arrived += others
        for topic in expected:
            self.unsubscribe(topic)

    def prove_topic(self, topic: str, kind: str) -> None:
        """Proves that what answers is a rosbridge, by a message of std_msgs/String."""
        mark = uuid.uuid4().hex
        text = json.dumps({"state": "proof", "mark": mark})
        self.prove({topic: kind}, lambda: self.publish(topic, {"data": text}), lambda _, message: mark in str(message.get("data")))

    def _send(self, message: Mapping[str, Any]) -> None:
        self._socket.send(json.dumps(message, allow_nan=False, separators=(",", ":")))

    def _read(self, frame: bytes | str) -> tuple[str, Mapping[str, Any]] | None:
        try:
            found = arrays.from_json(frame, max_bytes=self.limits.max_bytes)
        except BadData as error:
            raise BadReply(f"{self.url} sent what is no message of rosbridge: {error}") from error
        if not isinstance(found, Mapping):
            raise BadReply(f"{self.url} sent {type(found).__name__}, which is no message of rosbridge")
        if found.get("op") == "call_service":
            self._answer(found)
        if found.get("op") == "fragment":
            raise BadReply(f"{self.url} sends a message in fragments, for it is larger than its max_message_size: raise that, or say images=jpeg")
        topic, message = found.get("topic"), found.get("msg")
        if found.get("op") == "publish" and isinstance(topic, str) and isinstance(message, Mapping):
            return topic, message
        return None

    def _answer(self, call: Mapping[str, Any]) -> None:
        service = call.get("service")
        answer = self._services.get(service) if isinstance(service, str) else None
        if answer is None:
            return
        is_done, words = answer()
        reply = {"op": "service_response", "service": service, "values": {"success": is_done, "message": words}, "result": True}
        self._send(reply | ({"id": call["id"]} if "id" in call else {}))
