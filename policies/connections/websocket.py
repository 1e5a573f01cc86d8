"""A blocking WebSocket client that waits for nothing without a limit, and says why a connection ended."""

from __future__ import annotations

import contextlib
import inspect
import socket
import ssl
import struct
import sys
from collections.abc import Callable, Mapping
from typing import Any

from vlagym.envs.errors import BadData, BadReply, MissingPackage, PolicyTimeout, PolicyUnreachable
from vlagym.policies.connections import tls
from vlagym.policies.connections.address import read_address
from vlagym.policies.connections.limits import Deadline, Limits, has_come
from vlagym.policies.foreign import told

_CLOSE_TIMEOUT_S = 1.0
"""For the other side to say goodbye."""
_LOOK_S = 0.2
"""While waiting for a message it is looked so often whether the connection still stands."""
_MAX_WAITING = 4
"""Frames that are read ahead; each may be as long as a message."""
_TOO_BIG = 1009
"""Close code of RFC 6455: a message is larger than its reader takes."""
_SECRETS = (401, 403)
_LISTEN_S = 0.02
"""So long it is listened to who speaks before being asked; on the same machine that is there within 1 ms."""
_ZMQ = b"\xff\x00"
"""How a greeting of ZMTP begins."""


class WebSocket:
    """One connection to one server, opened when told to, and again after it was lost.

    Messages are not compressed, and no pings are sent: a server that compiles or computes in its event loop answers none for minutes. Pings of the
    other side are answered at any time. Proxies of the environment are not used.
    """

    def __init__(self, url: str, limits: Limits, *, headers: Mapping[str, str] | None = None) -> None:
        """Makes a client; nothing is contacted.

        Args:
          url: `ws://host:port/path` or `wss://…`. A query goes to the server, and stands in no message.
          limits: How long it waits, and how large a message may be.
          headers: Of the handshake.

        Raises:
          BadData: If the URL is none.
        """
        address = read_address(url, ("ws", "wss"), what="a WebSocket server", write="ws://host:port/path, or wss://…")
        if "#" in url:
            raise BadData(f"{address.shown!r} is no address of a WebSocket server, which has no part after a #: write ws://host:port/path")
        self.url = address.shown
        """Without the query, as it stands in messages and cards."""
        self.limits = limits
        self._target, self._headers = url, dict(headers or {})
        self._is_secure = address.scheme == "wss"
        self._host, self._port = address.host, address.port or (443 if self._is_secure else 80)
        self._stack = contextlib.ExitStack()
        self._connection: Any = None
        self._has_answered = False

    def again(self) -> WebSocket:
        """Returns another client of the same server, which is not connected."""
        return WebSocket(self._target, self.limits, headers=self._headers)

    def open(self, *, patience_s: float | None = None) -> None:
        """Connects, after closing what was open.

        Args:
          patience_s: How long the handshake may take once the other side's machine has taken the connection: a server that computes in its event
            loop shakes no hands until it has finished. None: as long as connecting may take.

        Raises:
          PolicyUnreachable: If nobody is there, or who is there speaks no WebSocket or refuses.
          MissingPackage: Without websockets.
        """
        self.close()
        connect, errors = _websockets()
        deadline = Deadline(self.limits.connect_timeout_s)
        try:
            plug = socket.create_connection((self._host, self._port), timeout=self.limits.connect_timeout_s)
        except OSError as error:
            raise PolicyUnreachable(f"nobody answers at {self.url} ({self._said(error)}): is the server up, and the address right?") from error
        self._refuse_talkers(plug)
        plug.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        plug.settimeout(None)  # websockets 13 to 15 keep what it brings along, and take a silence of so long for the end of the connection
        try:
            made = connect(
                self._target,
                sock=plug,
                compression=None,
                open_timeout=max(deadline.left_s(), 0.001) if patience_s is None else patience_s,
                close_timeout=_CLOSE_TIMEOUT_S,
                max_size=self.limits.max_bytes,
                additional_headers=self._headers,
                **_options(connect),
            )
            self._connection = self._stack.enter_context(made)
        except (OSError, EOFError, ValueError, errors.WebSocketException) as error:
            plug.close()
            raise self._refused(error, patience_s) from error
        self._has_answered = False

    def is_open(self) -> bool:
        """Returns whether the connection stands; one that the other side has closed in the meantime is tidied up.

        Raises:
          BadReply: If a message has come that nobody asked for: whatever is answered next would be taken for the answer to something else.
        """
        if self._connection is None:
            return False
        try:
            unasked = self._connection.recv(timeout=0)
        except TimeoutError:
            if self._stands():
                return True
        except _websockets()[1].ConnectionClosed:
            pass
        else:
            self.close()
            raise BadReply(f"{self.url} sent a message that nobody had asked for: {shortened(unasked)}")
        self.close()
        return False

    def ask(self, message: bytes | str) -> bytes | str:
        """Sends a message and returns the next one that comes. For the first answer of a connection there is more time.

        Raises:
          PolicyUnreachable: If the connection is not open, or is lost. It is closed then.
          PolicyTimeout: If no answer comes in time. The connection is closed then.
          BadReply: If the answer is larger than allowed. The connection is closed then.
        """
        limit_s = self.limits.timeout_s if self._has_answered else self.limits.first_timeout_s
        deadline = Deadline(limit_s)
        self.send(message, timeout_s=limit_s)
        answer = self._received(deadline, "first_timeout" if limit_s != self.limits.timeout_s else "timeout")
        self._has_answered = True
        return answer

    def send(self, message: bytes | str, *, timeout_s: float | None = None) -> None:
        """Sends a message: bytes as a binary one, a string as a text.

        Raises:
          PolicyUnreachable: If the connection is not open or lost, or the other side does not take the message in time.
        """
        connection = self._opened()
        limit_s = self.limits.timeout_s if timeout_s is None else timeout_s
        with contextlib.suppress(OSError):  # of a socket that is closed already, which sending tells
            _limit_sending(connection.socket, limit_s)
        try:
            connection.send(message)
        except _websockets()[1].ConnectionClosed as closed:
            self.close()
            is_stuck = isinstance(closed.__cause__, (BlockingIOError, TimeoutError, ssl.SSLWantWriteError))
            if is_stuck and closed.rcvd is None and closed.sent is None:
                raise PolicyUnreachable(f"{self.url} did not take a message of {len(message)} bytes within {limit_s:g} s") from closed
            raise self._ended(closed) from closed

    def receive(self, timeout_s: float | None = None, *, option: str = "timeout", waited_s: float = 0.0) -> bytes | str:
        """Returns the next message; bytes of a binary one, a string of a text.

        Args:
          timeout_s: How long it is waited for; None: the usual limit.
          option: Which option sets that limit, for the error.
          waited_s: How much of that time was waited already.

        Raises:
          PolicyUnreachable: If the connection is not open, or is lost. It is closed then.
          PolicyTimeout: If no message comes in time. The connection is closed then.
          BadReply: If the message is larger than allowed. The connection is closed then.
        """
        return self._received(Deadline(self.limits.timeout_s if timeout_s is None else timeout_s, waited_s), option)

    def poll(self, timeout_s: float) -> bytes | str | None:
        """Returns the next message, or None where none comes in that time; the connection stays open then.

        Raises:
          PolicyUnreachable: If the connection is not open, or is lost. It is closed then.
          BadReply: If the message is larger than allowed. The connection is closed then.
        """
        connection, errors = self._opened(), _websockets()[1]
        try:
            message: bytes | str = connection.recv(timeout=timeout_s)
            return message
        except TimeoutError:
            if self._stands():
                return None
            self.close()
            raise self._ended(connection.protocol.close_exc) from None
        except errors.ConnectionClosed as closed:
            self.close()
            raise self._ended(closed) from closed

    def close(self) -> None:
        """Closes the connection, if there is one."""
        self._connection = None
        self._stack.close()

    def _received(self, deadline: Deadline, option: str) -> bytes | str:
        connection, errors = self._opened(), _websockets()[1]
        while True:
            try:
                message: bytes | str = connection.recv(timeout=min(_LOOK_S, deadline.left_s()))
                return message
            except TimeoutError:
                if not self._stands():  # somebody has said goodbye, and nobody has hung up
                    self.close()
                    raise self._ended(connection.protocol.close_exc) from None
                if deadline.is_over:
                    self.close()
                    raise PolicyTimeout(f"{self.url} has not answered within {deadline.seconds:g} s (option {option}=S)") from None
            except errors.ConnectionClosed as closed:
                self.close()
                raise self._ended(closed) from closed

    def _stands(self) -> bool:
        """Returns whether neither side has begun to close the connection."""
        return bool(self._connection.protocol.state.name == "OPEN")

    def _opened(self) -> Any:
        if self._connection is None:
            raise PolicyUnreachable(f"the connection to {self.url} is not open")
        return self._connection

    def _refused(self, error: Exception, patience_s: float | None) -> PolicyUnreachable:
        response = getattr(error, "response", None)
        if response is not None:
            hint = "it wants a key" if response.status_code in _SECRETS else "is the path right?"
            return PolicyUnreachable(f"{self.url} answers the handshake with HTTP {response.status_code} and opens no WebSocket: {hint}")
        if isinstance(error, TimeoutError):
            limit_s, option = (self.limits.connect_timeout_s, "connect_timeout") if patience_s is None else (patience_s, "first_timeout")
            hint = "is it the right port?" if patience_s is None else "is it the right port, or does the server compute all that time?"
            return PolicyUnreachable(f"{self.url} took no WebSocket within {limit_s:g} s (option {option}=S): {hint}")
        if self._is_secure and isinstance(error, (ssl.SSLError, ConnectionError)):
            return PolicyUnreachable(tls.failure(error, self.url, "ws"))
        return PolicyUnreachable(f"what answers at {self.url} opens no WebSocket ({self._said(error)})")

    def _refuse_talkers(self, plug: socket.socket) -> None:
        """Refuses a server that speaks first, as those of ZeroMQ, SSH and mail do: no server of HTTP does, and a client of it would wait for ever."""
        if not has_come(plug, _LISTEN_S):
            return
        with contextlib.suppress(OSError):  # it has hung up, which the handshake tells
            if said := plug.recv(64, socket.MSG_PEEK):
                plug.close()
                kind = "ZeroMQ" if said.startswith(_ZMQ) else "something else"
                begin = f"who answers at {self.url} speaks {kind}, no WebSocket, and begins with {told(said, 40)!r}"
                raise PolicyUnreachable(f"{begin}: is it the right port?")

    def _said(self, error: BaseException) -> str:
        """Returns what an error says, without the query of the address, which the library's own errors repeat."""
        text = str(getattr(error, "strerror", None) or str(error) or type(error).__name__)
        return told(text.replace(self._target, self.url))

    def _ended(self, closed: Any) -> PolicyUnreachable | BadReply:
        """Returns the error that says how a connection ended."""
        theirs, ours = closed.rcvd, closed.sent
        if ours is not None and ours.code == _TOO_BIG and (theirs is None or not closed.rcvd_then_sent):
            size = self.limits.max_bytes / 2**20
            return BadReply(f"{self.url} announced a message that is larger than {size:g} MiB (option max_mib=N); it was not read")
        if theirs is not None:
            return PolicyUnreachable(f"{self.url} closed the connection with code {theirs.code} ({told(theirs.reason) or 'no reason given'})")
        if ours is not None:
            how = told(ours.reason) or f"code {ours.code}"
            return PolicyUnreachable(f"{self.url} broke the WebSocket protocol ({how}); the connection was closed")
        return PolicyUnreachable(f"{self.url} dropped the connection without a word")


def shortened(message: bytes | str) -> str:
    """Returns what of a message can be shown in an error: the end of a text, which is where a traceback says what happened."""
    return f"{len(message)} bytes" if isinstance(message, bytes) else told(message, keep="end")


def _websockets() -> tuple[Callable[..., Any], Any]:
    try:
        from websockets import exceptions
        from websockets.sync.client import connect
    except ImportError as missing:
        raise MissingPackage("servers behind ws:// need: pip install 'vlagym[ws]'") from missing
    return connect, exceptions


def _options(connect: Callable[..., Any]) -> dict[str, Any]:
    """Returns the options that only younger releases of websockets know. The older ones do without what they turn off."""
    known = inspect.signature(connect).parameters
    return {name: value for name, value in {"ping_interval": None, "max_queue": _MAX_WAITING}.items() if name in known}


def _limit_sending(plug: socket.socket, seconds: float) -> None:
    """Lets a send fail that makes no progress for so long. A timeout of the socket itself would end the thread that reads from it."""
    whole = int(seconds)
    value = struct.pack("@L", int(1000 * seconds)) if sys.platform == "win32" else struct.pack("@ll", whole, int(1e6 * (seconds - whole)))
    plug.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, value)
