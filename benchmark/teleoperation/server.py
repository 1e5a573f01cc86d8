"""The server of the page: one page, one WebSocket, one player; requests that come from other places of the web are refused."""

from __future__ import annotations

import ipaddress
import json
import socket
import threading
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from vlagym.benchmark.teleoperation.inputs import BadMessage, parse
from vlagym.benchmark.teleoperation.page import page
from vlagym.benchmark.teleoperation.seat import Player, Seat
from vlagym.envs.errors import BadData
from vlagym.policies.foreign import told
from vlagym.policies.serving.websocket_server import HttpAnswer, WebSocketServer

SOCKET = "/play"
"""Path of the WebSocket."""
_HERE = ("localhost", "127.0.0.1", "::1")
_EVERYWHERE = ("0.0.0.0", "::")
_MESSAGE_BYTES = 4096
_REASON_BYTES = 120
"""Of the reason for which a connection is closed; the protocol has room for 123."""
_LOOK_S = 1.0


class Server:
    """Serves the page at `/`, and the seat of the player behind it. Listens from when it is entered until it is left."""

    def __init__(self, seat: Seat, host: str, port: int, names: Sequence[str] = ()) -> None:
        """Makes a server that does not listen yet.

        Args:
          seat: Of the player.
          host: Address to listen at.
          port: Port; 0: any that is free.
          names: Under which else the machine is reached.

        Raises:
          BadData: If the host is none, or the port.
        """
        if not 0 <= port <= 65535:
            raise BadData(f"a port is 0 to 65535, not {port}")
        self._seat, self._names = seat, (*names, host)
        self._listens_everywhere = host in _EVERYWHERE
        self._page = page()
        self._server = WebSocketServer(self._handle, host, port, answer_http=self._answer, screen=self._screen, max_bytes=_MESSAGE_BYTES)

    @property
    def url(self) -> str:
        """Where the page is: `http://host:port/`."""
        return self._server.url.replace("ws://", "http://", 1) + "/"

    def __enter__(self) -> Server:
        """Begins to listen.

        Raises:
          BadData: If the address cannot be listened at.
          MissingPackage: Without websockets.
        """
        self._server.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._server.close()

    # ------------------------------------------------------------------------------------------------------------ requests
    def _answer(self, path: str) -> HttpAnswer | None:
        asked = urlsplit(path).path
        if asked == SOCKET:
            return None
        if asked == "/":
            return HttpAnswer(self._page.text, content_type="text/html; charset=utf-8", headers=self._page.headers)
        return HttpAnswer("There is one page here: /\n", status=404)

    def _screen(self, headers: Mapping[str, str]) -> HttpAnswer | None:
        """Refuses what a page of another place has sent: by its origin, and by the name under which it has reached us (DNS rebinding)."""
        host, origin = headers.get("host", ""), headers.get("origin")
        name = _name(host)
        if not self._is_ours(name):
            known = "" if not name else f" If {told(name, 60)!r} is this machine: vlagym play --allow-host {told(name, 60)}"
            return HttpAnswer(f"This server is reached as localhost, or under the names that it was started with.{known}\n", status=403)
        if origin is not None and (urlsplit(origin).scheme not in ("http", "https") or urlsplit(origin).netloc.lower() != host.lower()):
            return HttpAnswer("A page of another origin may not play here.\n", status=403)
        return None

    def _is_ours(self, name: str) -> bool:
        if name in _HERE or name in (known.lower() for known in self._names):
            return bool(name)
        if not self._listens_everywhere:
            return False
        try:
            ipaddress.ip_address(name)
            return True
        except ValueError:
            return name in (socket.gethostname().lower(), socket.getfqdn().lower())

    # -------------------------------------------------------------------------------------------------------- connections
    def _handle(self, connection: Any) -> None:
        player = self._seat.sit()
        if player is None:
            connection.send(json.dumps({"type": "taken"}))
            return
        sender = threading.Thread(target=_send, args=(connection, player), name="shows", daemon=True)
        sender.start()
        try:
            for data in connection:
                try:
                    message = parse(data)
                except BadMessage as error:
                    connection.close(1008, told(error, _REASON_BYTES).encode()[:_REASON_BYTES].decode(errors="ignore"))
                    return
                self._seat.hear(player, message)
        finally:
            self._seat.leave(player)
            sender.join(2 * _LOOK_S)


def _send(connection: Any, player: Player) -> None:
    """Sends what there is to be shown until the seat was left."""
    from websockets.exceptions import ConnectionClosed

    try:
        while (messages := player.outbox(_LOOK_S)) is not None:
            for message in messages:
                connection.send(message)
        connection.send(json.dumps({"type": "replaced"}))
        connection.close()
    except (ConnectionClosed, OSError):
        return  # the thread that receives is told too, and gives the seat up


def _name(host: str) -> str:
    """Returns the name in a Host header, without its port; "" where it is none."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""
