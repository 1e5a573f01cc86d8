"""A blocking HTTP client that waits for a limited time and takes a limited answer: one request at a time over one connection that stays open."""

from __future__ import annotations

import http.client
import io
import socket
import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from vlagym.envs.errors import BadReply, PolicyTimeout, PolicyUnreachable, VlagymError
from vlagym.policies.connections import tls
from vlagym.policies.connections.address import Address, read_address
from vlagym.policies.connections.limits import Deadline, Limits, has_come
from vlagym.policies.foreign import told

_IDLE_S = 2.0
"""A connection that rested longer is made anew before the next request. uvicorn closes one after 5 s, and a request that meets the closing is lost,
without a word on whether it was read; so it is never sent twice."""
_PIECE = 1 << 16
_NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class Answer(NamedTuple):
    """What came back."""

    status: int
    body: bytes
    retry_after: str | None = None
    """The header Retry-After, of a server that wants to be left alone for a while."""
    location: str | None = None
    """The header Location: where a server sends its clients instead. Nobody follows it by itself: the request may hold a key."""


class HttpConnection:
    """One server. After an error the connection is gone, and the next request makes a new one; nothing is ever asked twice."""

    def __init__(self, url: str, *, limits: Limits, headers: Mapping[str, str] = _NO_HEADERS) -> None:
        """Reads the address; nothing is contacted yet.

        Args:
          url: `http://host:port` or `https://host:port`; a path and a query are the caller's to add to each request.
          limits: How long it waits and how much it takes.
          headers: Sent with every request, keys for instance.

        Raises:
          BadData: If the address has no host, another scheme or an impossible port.
        """
        address = read_url(url)
        self._is_tls = address.scheme == "https"
        self._host = address.host
        self._port = address.port or (443 if self._is_tls else 80)
        self._base = address.base
        self._limits = limits
        self._headers = dict(headers)
        self._open: http.client.HTTPConnection | None = None
        self._line: _Line | None = None
        self._used_at = 0.0
        self._answered: set[str] = set()
        """Paths at which there was an answer, since the server was last away."""

    @property
    def base(self) -> str:
        """Scheme, host and port, as they stand in messages."""
        return self._base

    def ask(self, method: str, path: str, body: bytes | None = None, *, timeout_s: float | None = None) -> Answer:
        """Sends a request and returns the answer, whatever its status.

        Args:
          method: GET or POST.
          path: With its leading slash, and with its query, which stands in no message.
          body: JSON; None: there is none.
          timeout_s: Until the answer is there as a whole; None: as the limits say, longer for the first answer at a path.

        Raises:
          PolicyUnreachable: If nobody takes the connection, it is closed before the answer is whole, or a GET is not answered in time.
          PolicyTimeout: If a POST is not answered in time: the server may compute still.
          BadReply: If the answer is no HTTP, or larger than the limit.
        """
        limit = timeout_s or (self._limits.timeout_s if path in self._answered else self._limits.first_timeout_s)
        deadline = Deadline(limit)
        where = f"{method} {self._base}{path.partition('?')[0]}"
        connection, line = self._connected()
        line.deadline = deadline
        headers = {**self._headers, **({} if body is None else {"Content-Type": "application/json"})}
        try:
            connection.request(method, path, body, headers)
        except OSError as error:
            self.close()
            raise self._lost(where, error, limit) from error
        except BaseException:
            self.close()
            raise
        try:
            response = connection.getresponse()
            body_of_it = self._body(response, where)
            answer = Answer(response.status, body_of_it, response.getheader("Retry-After"), response.getheader("Location"))
        except (http.client.RemoteDisconnected, http.client.IncompleteRead, OSError) as error:
            self.close()
            raise self._lost(where, error, limit) from error
        except VlagymError:
            self.close()
            raise
        except Exception as error:  # http.client raises what it meets: of its own errors, and ValueError of a chunk of -5 bytes
            self.close()
            raise self._no_http(where, error) from error
        except BaseException:
            self.close()
            raise
        if response.will_close:
            self.close()
        self._used_at = time.monotonic()
        self._answered.add(path)
        return answer

    def forget(self) -> None:
        """Drops the connection of a server that is away. Once it is back, its first answer at each path has the time of a first one again."""
        self.close()
        self._answered.clear()

    def close(self) -> None:
        """Drops the connection; the next request makes a new one."""
        if self._open is not None:
            self._open.close()
        self._open, self._line = None, None

    def _connected(self) -> tuple[http.client.HTTPConnection, _Line]:
        """Returns a connection that the server has not closed, as far as can be known before something is sent."""
        if self._line is not None and (time.monotonic() - self._used_at > _IDLE_S or self._line.has_something):
            self.close()
        if self._open is None or self._line is None:
            deadline = Deadline(self._limits.connect_timeout_s)
            try:
                plain = socket.create_connection((self._host, self._port), timeout=deadline.seconds)
                plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except (OSError, UnicodeError) as error:  # a name of a host may be one that cannot even be asked for
                self.forget()
                raise PolicyUnreachable(
                    f"nobody takes a connection at {self._base} ({_named(error)}): start the server first, or mend the address"
                ) from error
            try:
                self._line = _Line(tls.secured(plain, self._host, deadline) if self._is_tls else plain)
            except OSError as error:
                raise PolicyUnreachable(tls.failure(error, self._base, "http")) from error
            self._open = http.client.HTTPConnection(self._host, self._port)
            self._open.sock = self._line  # of a socket it uses sendall, makefile and close
        return self._open, self._line

    def _lost(self, where: str, error: Exception, limit: float) -> PolicyUnreachable:
        if isinstance(error, TimeoutError):
            kind = PolicyTimeout if where.startswith("POST") else PolicyUnreachable
            return kind(f"{where} did not answer within {limit:g} s; the option timeout=S or first_timeout=S waits longer")
        self.forget()
        return PolicyUnreachable(f"{where} closed the connection before its answer was whole ({_named(error)})")

    def _no_http(self, where: str, error: Exception) -> BadReply:
        line = getattr(error, "line", "")  # of a BadStatusLine
        if isinstance(line, str) and line.encode("latin-1", "replace").startswith(tls.ALERT):
            return BadReply(f"who answers at {self._base} speaks TLS: write https://…")
        return BadReply(f"{where} sent something that is no answer of HTTP: {_named(error)}")

    def _body(self, response: http.client.HTTPResponse, where: str) -> bytes:
        """Returns the body, in pieces, so that no memory is taken for what a header merely announces."""
        most = self._limits.max_bytes
        if response.length is not None and response.length > most:
            raise BadReply(f"{where} announces an answer of {response.length} bytes, and {most} are allowed: the option max_mib=N allows more")
        body = bytearray()
        while piece := response.read(_PIECE):
            body += piece
            if len(body) > most:
                raise BadReply(f"{where} sent more than {most} bytes: the option max_mib=N allows more")
        if response.length:  # read(n) does not say that it ended early
            raise http.client.IncompleteRead(bytes(body[:0]), response.length)
        return bytes(body)


def read_url(url: str) -> Address:
    """Returns the parts of an address.

    Raises:
      BadData: If it is none of HTTP, or holds a name and a password.
    """
    return read_address(url, ("http", "https"), what="HTTP", write="http://host:port")


def _named(error: BaseException) -> str:
    return f"{type(error).__name__}: {told(error)}" if str(error) else type(error).__name__


class _Line:
    """A socket whose every wait ends at one deadline, however slowly bytes trickle in."""

    def __init__(self, plain: socket.socket) -> None:
        self._plain = plain
        self._readers = 0
        self._is_to_close = False
        self.deadline = Deadline(0.0)

    @property
    def has_something(self) -> bool:
        """Whether something came in that nobody asked for: the end of the connection."""
        return has_come(self._plain, 0.0)

    def sendall(self, data: Any) -> None:
        self._wait()
        self._plain.sendall(data)  # its timeout is that of the whole

    def makefile(self, mode: str) -> io.BufferedReader:
        assert mode == "rb"
        self._readers += 1
        return io.BufferedReader(_Incoming(self), _PIECE)

    def close(self) -> None:
        """Closes the socket as soon as nobody reads from it: http.client closes its own end before the body is read."""
        self._is_to_close = True
        if not self._readers:
            self._plain.close()

    def is_read(self) -> None:
        """A reader is done."""
        self._readers -= 1
        if self._is_to_close:
            self.close()

    def recv_into(self, buffer: Any) -> int:
        self._wait()
        return self._plain.recv_into(buffer)

    def _wait(self) -> None:
        left = self.deadline.left_s()
        if left == 0.0:
            raise TimeoutError("the time is over")
        self._plain.settimeout(left)


class _Incoming(io.RawIOBase):
    """What comes in, for http.client to read its lines from."""

    def __init__(self, line: _Line) -> None:
        self._line = line

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        if not self.closed:
            self._line.is_read()
        super().close()

    def readinto(self, buffer: Any) -> int:
        return self._line.recv_into(buffer)
