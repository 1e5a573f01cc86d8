"""A blocking ZeroMQ client for servers that answer one request at a time, which notices when nobody is there instead of waiting for them."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from vlagym.envs.errors import BadData, BadReply, MissingPackage, PolicyTimeout, PolicyUnreachable
from vlagym.policies.connections.address import read_address
from vlagym.policies.connections.limits import Deadline, Limits

_LOOK_MS = 200
"""While waiting, time is looked at so often."""


class ZmqConnection:
    """A REQ socket. One that has lost an answer can neither send nor receive, so it is thrown away after every error, and the next request makes
    another; nothing is ever asked twice."""

    def __init__(self, url: str, *, limits: Limits) -> None:
        """Reads the address; nothing is contacted yet.

        Args:
          url: `tcp://host:port`.
          limits: How long it waits and how much it takes.

        Raises:
          BadData: If the address is none.
          MissingPackage: Without pyzmq.
        """
        address = read_address(url, ("tcp",), what="ZeroMQ", write="tcp://host:port")
        if address.port is None or address.path.strip("/") or address.query or "#" in url:
            raise BadData(f"{address.shown!r} is no address of ZeroMQ: write tcp://host:port, and nothing after it")
        self._url = address.base
        self._limits = limits
        self._zmq = _package()
        self._context: Any = None
        self._socket: Any = None
        self._monitor: Any = None
        self._answered: set[str] = set()
        """Kinds of requests that were answered, since the server was last away."""

    @property
    def url(self) -> str:
        """As it stands in messages."""
        return self._url

    def ask(self, message: bytes, kind: str = "", *, timeout_s: float | None = None) -> bytes:
        """Sends a request and returns the answer.

        Args:
          message: One frame.
          kind: What is asked for: the first answer of each kind has more time.
          timeout_s: Until the answer is there; None: as the limits say.

        Raises:
          PolicyUnreachable: If nobody takes the connection, or it is closed before there is an answer. The same where an answer is larger than the
            limit: it is not read then, and ZeroMQ closes the connection without telling why.
          PolicyTimeout: If there is no answer in time.
          BadReply: If the answer is more than one frame.
        """
        limit = timeout_s or (self._limits.timeout_s if kind in self._answered else self._limits.first_timeout_s)
        try:
            self._connect()
            answer = self._exchange(message, Deadline(limit))
        except BaseException as error:
            self.close()
            if isinstance(error, PolicyUnreachable) and not isinstance(error, PolicyTimeout):
                self._answered.clear()
            raise
        self._answered.add(kind)
        return answer

    def close(self) -> None:
        """Drops the connection and what is under way; the next request makes a new one."""
        if self._context is not None:
            self._context.destroy(linger=0)
        self._context, self._socket, self._monitor = None, None, None

    def _connect(self) -> None:
        zmq = self._zmq
        if self._socket is not None and self._is_lost():
            self.close()
        if self._socket is not None:
            return
        limit_ms = max(1, int(1000 * self._limits.connect_timeout_s))
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.REQ)
        for option, value in (
            (zmq.LINGER, 0),
            (zmq.IMMEDIATE, 1),
            (zmq.MAXMSGSIZE, self._limits.max_bytes),
            (zmq.HANDSHAKE_IVL, limit_ms),
            (zmq.SNDTIMEO, limit_ms),
            (zmq.RCVTIMEO, _LOOK_MS),
        ):
            self._socket.setsockopt(option, value)
        self._monitor = self._socket.get_monitor_socket()
        try:
            self._socket.connect(self._url)
        except zmq.ZMQError as error:
            raise PolicyUnreachable(f"nobody can be reached at {self._url}: {error}") from error
        self._shake_hands(Deadline(self._limits.connect_timeout_s))

    def _shake_hands(self, deadline: Deadline) -> None:
        """Waits until both sides have greeted each other. ZeroMQ itself would go on knocking for ever."""
        zmq, is_taken = self._zmq, False
        while not deadline.is_over:
            event = self._event(min(_LOOK_MS, 1 + int(1000 * deadline.left_s())))
            if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                return
            if event == zmq.EVENT_CONNECTED:
                is_taken = True
            elif event in (zmq.EVENT_CLOSED, zmq.EVENT_CONNECT_RETRIED) and not is_taken:
                raise PolicyUnreachable(f"nobody takes a connection at {self._url}: start the server first, or mend the address")
            elif event in (zmq.EVENT_DISCONNECTED, zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL, zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL):
                break
        within = f"within {deadline.seconds:g} s (option connect_timeout=S)"
        if is_taken:
            raise PolicyUnreachable(f"who answers at {self._url} speaks no ZeroMQ, or did not greet {within}: is it the right port?")
        raise PolicyUnreachable(f"nobody took a connection at {self._url} {within}")

    def _exchange(self, message: bytes, deadline: Deadline) -> bytes:
        zmq = self._zmq
        try:
            self._socket.send(message)
        except zmq.Again as error:
            raise PolicyUnreachable(f"{self._url} did not take a request of {len(message)} bytes") from error
        poller = zmq.Poller()
        poller.register(self._socket, zmq.POLLIN)
        poller.register(self._monitor, zmq.POLLIN)
        while not deadline.is_over:
            ready = dict(poller.poll(min(_LOOK_MS, 1 + int(1000 * deadline.left_s()))))
            if self._monitor in ready and self._is_lost() and not self._socket.poll(0):
                size = self._limits.max_bytes / 2**20
                maybe = f"it went away, or its answer was larger than {size:g} MiB (option max_mib=N)"
                raise PolicyUnreachable(f"{self._url} closed the connection before it answered: {maybe}")
            if self._socket.poll(0):
                frames = self._socket.recv_multipart()
                if len(frames) != 1:
                    raise BadReply(f"{self._url} answered with {len(frames)} frames; one is wanted")
                answer: bytes = frames[0]
                return answer
        raise PolicyTimeout(f"{self._url} did not answer within {deadline.seconds:g} s; the option timeout=S or first_timeout=S waits longer")

    def _is_lost(self) -> bool:
        """Returns whether the connection has ended since somebody looked. ZeroMQ would make another by itself, and the request would be lost."""
        gone = (self._zmq.EVENT_DISCONNECTED, self._zmq.EVENT_CLOSED)
        is_lost = False
        while (event := self._event(0)) is not None:
            is_lost |= event in gone
        return is_lost

    def _event(self, wait_ms: int) -> int | None:
        """Returns what has happened to the connection, None where nothing has."""
        from zmq.utils.monitor import parse_monitor_message

        if not self._monitor.poll(wait_ms):
            return None
        return int(parse_monitor_message(self._monitor.recv_multipart())["event"])


def _package() -> ModuleType:
    try:
        import zmq
    except ImportError as missing:
        raise MissingPackage("servers behind ZeroMQ need pyzmq: pip install 'vlagym[gr00t]'") from missing
    return zmq
