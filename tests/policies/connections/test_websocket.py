"""A connection that goes wrong says how, in time, and can be opened again."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from raw_server import RawServer
from raw_websocket import closed_port, frame, goodbye, raw_websocket, sends

from vlagym.envs.errors import BadData, BadReply, PolicyTimeout, PolicyUnreachable, VlagymError
from vlagym.policies.connections import websocket
from vlagym.policies.connections.limits import Limits
from vlagym.policies.connections.websocket import WebSocket

LIMITS = Limits(timeout_s=20, first_timeout_s=20, connect_timeout_s=10, max_bytes=2**20)
HASTY = replace(LIMITS, timeout_s=0.3, first_timeout_s=0.5)
Act = Callable[[socket.socket, threading.Event], None]


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits long for a goodbye."""
    monkeypatch.setattr(websocket, "_CLOSE_TIMEOUT_S", 0.05)
    monkeypatch.setattr(websocket, "_LOOK_S", 0.05)


def answers(*parts: bytes) -> Act:
    """Sends one part for each thing that it is sent, and hangs up."""

    def act(connection: socket.socket, over: threading.Event) -> None:
        for part in parts:
            connection.recv(2**16)
            connection.sendall(part)

    return act


@pytest.mark.parametrize("url", ["http://host:1", "host:8000", "ws://", "ws://host:port", "ws://host:99999", ""])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(BadData, match=r"is no address of a WebSocket server.*: write ws://host:port/path"):
        WebSocket(url, LIMITS)


def test_a_query_goes_to_the_server_and_into_no_message() -> None:
    heard: list[bytes] = []

    def listen(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(frame(b"?"))

    with raw_websocket(listen, heard=heard) as url:
        client = WebSocket(f"{url}/x?token=s3cret", LIMITS)
        assert client.url == f"{url}/x" and client.again().url == client.url
        client.open()
        client.close()
    assert heard[0].startswith(b"GET /x?token=s3cret HTTP/1.1")
    for broken in (f"{closed_port()}/?token=s3cret", "ws://[::1%25zone]:1/?token=s3cret"):
        with pytest.raises(VlagymError) as caught:
            WebSocket(broken, LIMITS).open()
        assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("greeting", "words"),
    [(b"\xff" + bytes(8) + b"\x7f", r"speaks ZeroMQ, no WebSocket"), (b"SSH-2.0-Open\x1b[0mSSH\r\n", r"begins with 'SSH-2.0-Open\\\\x1b\[0mSSH'")],
)
def test_a_server_that_speaks_first_is_not_waited_for(greeting: bytes, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "_LISTEN_S", 5.0)  # of a machine that is busy with other tests

    def talk(server: RawServer, line: socket.socket) -> None:
        line.sendall(greeting)
        server.is_over.wait(20)

    with RawServer(talk) as server:
        began_s = time.monotonic()
        with pytest.raises(PolicyUnreachable, match=words + r".*is it the right port\?"):
            WebSocket(f"ws://127.0.0.1:{server.port}", LIMITS).open(patience_s=600)
        assert time.monotonic() - began_s < 10


def test_a_server_without_tls_is_told() -> None:
    def in_the_clear(server: RawServer, line: socket.socket) -> None:
        line.recv(1000)
        line.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    def gone(server: RawServer, line: socket.socket) -> None:
        line.recv(5)

    for talk, words in ((in_the_clear, r"speaks no TLS: write ws://"), (gone, r"hangs up when TLS begins, .*: write ws://")):
        with RawServer(talk) as server, pytest.raises(PolicyUnreachable, match=words):
            WebSocket(f"wss://127.0.0.1:{server.port}", LIMITS).open()


def test_a_question_is_answered() -> None:
    with raw_websocket(answers(frame(b"bytes"), frame(b"text", opcode=1), frame(b"x" * 70_000))) as url:
        client = WebSocket(url, LIMITS)
        client.open()
        assert [client.ask(b"?"), client.ask("?"), client.ask(b"?")] == [b"bytes", "text", b"x" * 70_000]
        client.close()
        client.close()


def test_nobody_there_is_said_at_once() -> None:
    began_s = time.monotonic()
    with pytest.raises(PolicyUnreachable, match=r"nobody answers at ws://127.0.0.1:\d+ \(Connection refused\): is the server up"):
        WebSocket(closed_port(), LIMITS).open()
    assert time.monotonic() - began_s < 5


@pytest.mark.parametrize(
    ("handshake", "complaint"),
    [
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", r"with HTTP 404 and opens no WebSocket: is the path right\?"),
        (b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", r"with HTTP 401 and opens no WebSocket: it wants a key"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", r"with HTTP 200 and opens no WebSocket"),
        (b"220 mail.example ESMTP\r\n\r\n", r"opens no WebSocket \("),
        (b"", r"opens no WebSocket \(|took no WebSocket within"),
    ],
)
def test_a_server_that_speaks_something_else_is_told_apart(handshake: bytes, complaint: str) -> None:
    with raw_websocket(lambda connection, over: None, handshake=handshake) as url, pytest.raises(PolicyUnreachable, match=complaint):
        WebSocket(url, LIMITS).open()


def test_a_server_that_never_shakes_hands_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"ws://127.0.0.1:{mute.getsockname()[1]}"
        with pytest.raises(PolicyUnreachable, match=r"took no WebSocket within 0.2 s \(option connect_timeout=S\)"):
            WebSocket(url, Limits(connect_timeout_s=0.2)).open()


HUGE = 10 * 2**30


@pytest.mark.parametrize(
    ("act", "kind", "complaint"),
    [
        (sends(frame(b"x" * 100, announced=HUGE)), BadReply, r"announced a message that is larger than 1 MiB \(option max_mib=N\); it was not read"),
        (sends(frame(b"x" * 700_000, is_last=False), frame(b"x" * 700_000, opcode=0)), BadReply, r"larger than 1 MiB"),
        (sends(), PolicyTimeout, r"has not answered within 0.5 s \(option first_timeout=S\)"),
        (sends(frame(b"x" * 100, announced=500)), PolicyUnreachable, r"has not answered within 0.5 s"),
        (answers(goodbye(1011, "Traceback in previous frame.")), PolicyUnreachable, r"with code 1011 \(Traceback in previous frame.\)"),
        (sends(goodbye(1008, "")), PolicyUnreachable, r"closed the connection with code 1008 \(no reason given\)"),
        (answers(b""), PolicyUnreachable, r"dropped the connection without a word"),
        (lambda connection, over: None, PolicyUnreachable, r"dropped the connection without a word"),
        (sends(frame(b"x", opcode=3)), PolicyUnreachable, r"broke the WebSocket protocol"),
    ],
    ids=["10GB", "fragments", "never", "half", "closed", "closed_and_stays", "cut", "cut_at_once", "nonsense"],
)
def test_a_connection_that_ends_says_how_and_can_be_opened_again(act: Act, kind: type[VlagymError], complaint: str) -> None:
    is_second = threading.Event()

    def once(connection: socket.socket, over: threading.Event) -> None:
        if is_second.is_set():
            answers(frame(b"well"))(connection, over)
        else:
            is_second.set()
            act(connection, over)

    with raw_websocket(once) as url:
        client = WebSocket(url, HASTY if "has not answered" in complaint else LIMITS)
        client.open()
        began_s = time.monotonic()
        with pytest.raises(kind, match=complaint):
            client.ask(b"?")
        assert time.monotonic() - began_s < 10
        client.limits = LIMITS
        with pytest.raises(PolicyUnreachable, match=r"the connection to ws://.* is not open"):
            client.ask(b"?")
        client.open()
        assert client.ask(b"?") == b"well"
        client.close()


def test_an_announcement_of_ten_gigabytes_takes_no_memory() -> None:
    def peak_kib() -> int:
        status = Path("/proc/self/status")
        if not status.exists():
            pytest.skip("this system does not say what a process has taken at most")
        return int(next(line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmPeak")))

    with raw_websocket(sends(frame(b"x" * 1000, announced=HUGE))) as url:
        client = WebSocket(url, LIMITS)
        client.open()
        before = peak_kib()
        with pytest.raises(BadReply, match="larger than 1 MiB"):
            client.ask(b"?")
        assert peak_kib() - before < 2**20


def test_only_the_first_answer_has_more_time() -> None:
    with raw_websocket(lambda connection, over: (answers(frame(b"one"))(connection, over), over.wait(20))[0]) as url:
        client = WebSocket(url, HASTY)
        client.open()
        assert client.ask(b"?") == b"one"
        with pytest.raises(PolicyUnreachable, match=r"has not answered within 0.3 s \(option timeout=S\)"):
            client.ask(b"?")


def test_a_server_that_does_not_read_is_given_up() -> None:
    with raw_websocket(sends()) as url:
        client = WebSocket(url, HASTY)
        client.open()
        with pytest.raises(PolicyUnreachable, match=r"did not take a message of 30000000 bytes within 0.5 s"):
            client.ask(b"x" * 30_000_000)


def test_a_connection_that_was_closed_while_nobody_listened_is_found_out() -> None:
    def act(connection: socket.socket, over: threading.Event) -> None:
        connection.recv(100)
        connection.sendall(goodbye(1000, "idle for 30 s"))

    with raw_websocket(act) as url:
        client = WebSocket(url, LIMITS)
        assert not client.is_open()
        client.open()
        assert client.is_open()
        client.send(b"go")
        until_s = time.monotonic() + 5
        while client.is_open() and time.monotonic() < until_s:
            time.sleep(0.01)
        assert not client.is_open()


def test_a_message_that_nobody_asked_for_is_not_taken_for_an_answer() -> None:
    with raw_websocket(sends(frame(b"late news", opcode=1))) as url:
        client = WebSocket(url, LIMITS)
        client.open()
        with pytest.raises(BadReply, match=r"sent a message that nobody had asked for: late news"):
            for _ in range(500):
                client.is_open()
                time.sleep(0.01)


def test_pings_are_answered_while_the_simulation_computes() -> None:
    pongs: list[bytes] = []

    def act(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(frame(b"there?", opcode=9))
        pongs.append(connection.recv(100)[:1])
        connection.sendall(frame(b"fine"))
        over.wait(20)

    with raw_websocket(act) as url:
        client = WebSocket(url, LIMITS)
        client.open()
        assert client.receive(5.0) == b"fine" and pongs == [b"\x8a"]
        client.close()
