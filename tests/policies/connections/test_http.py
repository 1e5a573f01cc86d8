"""HTTP by real sockets: an answer comes whole, in time and within the limit, or an error says what came instead."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

import pytest

from raw_server import RawServer, Talk, http_answer, http_answers
from vlagym.envs.errors import BadData, BadReply, PolicyTimeout, PolicyUnreachable
from vlagym.policies.connections import http
from vlagym.policies.connections.http import HttpConnection
from vlagym.policies.connections.limits import Limits

QUICK = Limits(timeout_s=0.3, first_timeout_s=0.3, connect_timeout_s=2.0, max_bytes=1000)


def connect(server: RawServer, limits: Limits = QUICK) -> HttpConnection:
    return HttpConnection(f"http://127.0.0.1:{server.port}", limits=limits)


def fails(talk: Talk, error: type[Exception], words: str, limits: Limits = QUICK) -> None:
    """Checks that a request to such a server raises, long before the server would go on, and that the next one makes a new connection."""
    with RawServer(talk) as server:
        connection = connect(server, limits)
        for made in (1, 2):
            began_s = time.monotonic()
            with pytest.raises(error, match=words):
                connection.ask("POST", "/act", b"{}")
            assert time.monotonic() - began_s < 30 and server.num_connections == made


def test_requests_share_a_connection() -> None:
    with RawServer(http_answers(http_answer(b"one"), http_answer(b"two", "404 Not Found"))) as server:
        connection = HttpConnection(f"http://127.0.0.1:{server.port}", limits=QUICK, headers={"Authorization": "Bearer k"})
        assert connection.ask("POST", "/act", b'{"a": 1}')[:2] == (200, b"one")
        assert connection.ask("GET", "/health")[:2] == (404, b"two")
        assert server.num_connections == 1
        first, second = server.requests
    assert first.startswith(b"POST /act HTTP/1.1") and first.endswith(b'{"a": 1}') and b"Content-Type: application/json" in first
    assert second.startswith(b"GET /health HTTP/1.1") and b"Authorization: Bearer k" in second and b"Content-Type" not in second


def test_an_answer_in_pieces_is_put_together() -> None:
    pieces = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    with RawServer(http_answers(pieces)) as server:
        assert connect(server).ask("GET", "/").body == b"abcde"


def test_an_answer_may_end_with_its_connection() -> None:
    with RawServer(http_answers(b"HTTP/1.1 200 OK\r\n\r\nall that there is")) as server:
        assert connect(server).ask("GET", "/").body == b"all that there is"


def test_a_connection_that_the_server_closed_in_the_meantime_is_made_anew() -> None:
    with RawServer(http_answers(http_answer(b"once"))) as server:
        connection = connect(server)
        for made in (1, 2, 3):
            assert connection.ask("GET", "/").body == b"once" and server.num_connections == made
            time.sleep(0.05)


def test_a_connection_that_rested_long_is_made_anew_before_the_server_can_close_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "_IDLE_S", 0.0)
    with RawServer(http_answers(*[http_answer(b"here")] * 2)) as server:
        connection = connect(server)
        assert [connection.ask("GET", "/").body for _ in range(2)] == [b"here"] * 2
        assert server.num_connections == 2


def test_a_server_that_is_not_up_is_told_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as plug:
        port = plug.getsockname()[1]
    with pytest.raises(PolicyUnreachable, match=rf"nobody takes a connection at http://127.0.0.1:{port} \(ConnectionRefusedError.*start the server"):
        HttpConnection(f"http://127.0.0.1:{port}", limits=QUICK).ask("GET", "/")


def test_a_host_that_does_not_exist_is_told() -> None:
    with pytest.raises(PolicyUnreachable, match=r"nobody takes a connection at http://no\.such\.host\.invalid:8000"):
        HttpConnection("http://no.such.host.invalid:8000", limits=QUICK).ask("GET", "/")


def never(server: RawServer, line: socket.socket) -> None:
    server.is_over.wait(60)


def trickle(server: RawServer, line: socket.socket) -> None:
    """Sends something in time again and again, and never gets done."""
    server.read_http(line)
    line.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n")
    while not server.is_over.wait(0.02):
        line.sendall(b"x")


def endless(server: RawServer, line: socket.socket) -> None:
    server.read_http(line)
    line.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while not server.is_over.is_set():
        line.sendall(b"x" * 1000)


def drops(sent: bytes) -> Callable[[RawServer, socket.socket], None]:
    return http_answers(sent)


@pytest.mark.parametrize(
    ("talk", "error", "words"),
    [
        pytest.param(never, PolicyTimeout, r"POST http://127.0.0.1:\d+/act did not answer within 0.3 s", id="never answers"),
        pytest.param(trickle, PolicyTimeout, "did not answer within 0.3 s", id="trickles"),
        pytest.param(drops(b""), PolicyUnreachable, r"closed the connection before its answer was whole \(RemoteDisconnected", id="drops"),
        pytest.param(drops(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"), PolicyUnreachable, "before its answer was whole", id="half a body"),
        pytest.param(drops(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhalf"), PolicyUnreachable, "was whole", id="half a piece"),
        pytest.param(drops(b"\x80\x04\x95 this is no HTTP\r\n\r\n"), BadReply, "something that is no answer of HTTP", id="another protocol"),
        pytest.param(drops(b"HTTP/1.1 200 OK\r\nA: " + b"x" * 70000 + b"\r\n\r\n"), BadReply, "LineTooLong", id="an endless header"),
        pytest.param(drops(b"HTTP/1.1 200 OK\r\nContent-Length: 10737418240\r\n\r\n"), BadReply, "an answer of 10737418240 bytes", id="10 GB"),
        pytest.param(endless, BadReply, "sent more than 1000 bytes: the option max_mib=N allows more", id="more than is allowed"),
    ],
)
def test_what_is_no_whole_answer_is_an_error(talk: Talk, error: type[Exception], words: str) -> None:
    fails(talk, error, words)


def test_a_piece_that_announces_10_gb_is_not_waited_for() -> None:
    """Chunks are read as they come; the announced size takes no memory."""
    fails(drops(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n280000000\r\nx"), PolicyUnreachable, "before its answer was whole")


def test_the_first_answer_may_take_longer_than_the_others() -> None:
    def slow_at_first(server: RawServer, line: socket.socket) -> None:
        for pause_s in (0.4, 0.4):
            server.read_http(line)
            server.is_over.wait(pause_s)
            line.sendall(http_answer(b"done"))

    with RawServer(slow_at_first) as server:
        connection = connect(server, Limits(timeout_s=0.2, first_timeout_s=2.0, connect_timeout_s=2.0))
        assert connection.ask("GET", "/").body == b"done"
        with pytest.raises(PolicyUnreachable, match="did not answer within 0.2 s"):
            connection.ask("GET", "/")


@pytest.mark.parametrize("url", ["127.0.0.1:8000", "tcp://127.0.0.1:1", "http://", "http://host:0", "http://host:99999", "http://host:x"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(BadData, match="is no address of HTTP: write http://host:port"):
        HttpConnection(url, limits=QUICK)


def test_a_key_in_an_address_is_refused() -> None:
    with pytest.raises(BadData, match="an address holds no name and no key") as caught:
        HttpConnection("http://user:s3cret@host:1", limits=QUICK)
    assert "s3cret" not in str(caught.value)


def test_a_query_goes_to_the_server_and_into_no_message() -> None:
    with RawServer(http_answers(http_answer(b"one"))) as server:
        connection = HttpConnection(f"http://127.0.0.1:{server.port}/act?token=s3cret", limits=QUICK)
        connection.ask("POST", "/act?token=s3cret", b"{}")
        assert server.requests[0].startswith(b"POST /act?token=s3cret HTTP/1.1") and "s3cret" not in connection.base
    with pytest.raises(PolicyUnreachable) as caught:
        connection.ask("POST", "/act?token=s3cret", b"{}")
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nabc", r"is no answer of HTTP: ValueError: "),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"f" * 70_000, r"is no answer of HTTP: LineTooLong: "),
        (b"HTTP/9.9 two OK\r\n\r\n", r"is no answer of HTTP: BadStatusLine: HTTP/9.9 two OK$"),
        (b"SSH-2.0-\x1b[31mOpenSSH_9.6\r\n", r"is no answer of HTTP: BadStatusLine: SSH-2.0-\\x1b\[31mOpenSSH_9.6$"),
        (b"\x15\x03\x01\x00\x02\x02\x46\n", r"who answers at http://127.0.0.1:\d+ speaks TLS: write https://"),
    ],
)
def test_malformed_http_is_a_bad_reply_of_one_printable_line(answer: bytes, words: str) -> None:
    def talk(server: RawServer, line: socket.socket) -> None:
        server.read_http(line)
        line.sendall(answer)

    fails(talk, BadReply, words)


def test_a_server_without_tls_is_told_from_one_that_is_not_there() -> None:
    def in_the_clear(server: RawServer, line: socket.socket) -> None:
        line.recv(1000)
        line.sendall(http_answer(b"what?", "400 Bad Request"))

    def silent(server: RawServer, line: socket.socket) -> None:
        server.is_over.wait(60)

    def gone(server: RawServer, line: socket.socket) -> None:
        line.recv(5)

    for talk, words in (
        (in_the_clear, r"who answers at https://127.0.0.1:\d+ speaks no TLS: write http://"),
        (silent, r"shakes no hands of TLS in time: is it the right port\? Without TLS, write http://"),
        (gone, r"hangs up when TLS begins, as a server does that speaks no TLS: write http://"),
    ):
        with RawServer(talk) as server:
            connection = HttpConnection(f"https://127.0.0.1:{server.port}", limits=Limits(connect_timeout_s=0.5))
            with pytest.raises(PolicyUnreachable, match=words):
                connection.ask("GET", "/")


def test_an_answer_tells_where_a_redirect_leads() -> None:
    moved = http_answer(b"", "302 Found").replace(b"\r\n\r\n", b"\r\nLocation: http://elsewhere/\r\n\r\n", 1)
    with RawServer(http_answers(moved)) as server:
        assert connect(server).ask("GET", "/").location == "http://elsewhere/"
