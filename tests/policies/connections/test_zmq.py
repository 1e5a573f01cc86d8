"""ZeroMQ by real sockets: who is not there, goes away or never answers is noticed, and the next request starts afresh."""

from __future__ import annotations

import contextlib
import socket
import sys
import time

import pytest
from raw_server import RawServer, http_answer
from zmq_server import boast, replying, shake_hands

from vlagym.envs.errors import BadData, BadReply, MissingPackage, PolicyTimeout, PolicyUnreachable
from vlagym.policies.connections.limits import Limits
from vlagym.policies.connections.zmq import ZmqConnection

QUICK = Limits(timeout_s=0.3, first_timeout_s=0.3, connect_timeout_s=2.0, max_bytes=1000)


def connect(port: int, limits: Limits = QUICK) -> ZmqConnection:
    return ZmqConnection(f"tcp://127.0.0.1:{port}", limits=limits)


def test_requests_are_answered_one_after_another() -> None:
    with replying(lambda message: [message[::-1]]) as port, contextlib.closing(connect(port)) as connection:
        assert [connection.ask(m) for m in (b"abc", b"de", b"")] == [b"cba", b"ed", b""]


def test_a_server_that_is_not_up_is_told_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as plug:
        port = plug.getsockname()[1]
    began_s = time.monotonic()
    with pytest.raises(PolicyUnreachable, match=rf"nobody takes a connection at tcp://127.0.0.1:{port}: start the server first"):
        connect(port, Limits(timeout_s=60, first_timeout_s=60, connect_timeout_s=60)).ask(b"x")
    assert time.monotonic() - began_s < 30


def test_a_server_that_speaks_something_else_is_told() -> None:
    def hello(other: RawServer, line: socket.socket) -> None:
        line.sendall(http_answer(b"hello") * 10)

    with RawServer(hello) as other, pytest.raises(PolicyUnreachable, match="speaks no ZeroMQ.*is it the right port"):
        connect(other.port).ask(b"x")


def test_a_server_that_takes_the_connection_and_says_nothing_is_not_waited_for() -> None:
    def nothing(silent: RawServer, line: socket.socket) -> None:
        silent.is_over.wait(60)

    limits = Limits(timeout_s=60, first_timeout_s=60, connect_timeout_s=0.3)
    with RawServer(nothing) as silent, pytest.raises(PolicyUnreachable, match=r"or did not greet within 0.3 s \(option connect_timeout=S\)"):
        connect(silent.port, limits).ask(b"x")


def test_after_an_answer_that_never_came_the_next_request_is_answered() -> None:
    asked: list[bytes] = []

    def forgets_the_first(message: bytes) -> list[bytes]:
        asked.append(message)
        if len(asked) == 1:
            time.sleep(0.5)
        return [message]

    with replying(forgets_the_first) as port, contextlib.closing(connect(port)) as connection:
        with pytest.raises(PolicyUnreachable, match=r"did not answer within 0.3 s; the option timeout=S or first_timeout=S waits longer"):
            connection.ask(b"first")
        time.sleep(0.3)
        assert connection.ask(b"second") == b"second", "the late answer to the first request is not taken for that to the second"
    assert asked == [b"first", b"second"]


def test_the_first_answer_may_take_longer_than_the_others() -> None:
    def slow(message: bytes) -> list[bytes]:
        time.sleep(0.4)
        return [message]

    limits = Limits(timeout_s=0.2, first_timeout_s=5.0, connect_timeout_s=2.0)
    with replying(slow) as port, contextlib.closing(connect(port, limits)) as connection:
        assert connection.ask(b"x") == b"x"
        with pytest.raises(PolicyTimeout, match="did not answer within 0.2 s"):
            connection.ask(b"y")


def test_a_server_that_goes_away_before_it_answers_is_noticed_at_once() -> None:
    limits = Limits(timeout_s=60, first_timeout_s=60, connect_timeout_s=2)

    def leaves(raw: RawServer, line: socket.socket) -> None:
        shake_hands(line)

    with RawServer(leaves) as raw:
        began_s = time.monotonic()
        with pytest.raises(PolicyUnreachable, match="closed the connection before it answered: it went away, or its answer was larger than 64 MiB"):
            connect(raw.port, limits).ask(b"x")
        assert time.monotonic() - began_s < 30


def test_a_server_that_was_started_again_is_found_again() -> None:
    with replying(lambda message: [b"old"]) as port:
        connection = connect(port)
        assert connection.ask(b"x") == b"old"
    with pytest.raises(PolicyUnreachable, match="nobody takes a connection"):
        connection.ask(b"x")
    with replying(lambda message: [b"new"], port):
        assert connection.ask(b"x") == b"new"
    connection.close()


@pytest.mark.parametrize("announced", [10 * 2**30, 1001])
def test_an_answer_that_is_too_large_is_not_read(announced: int) -> None:
    def boasts(raw: RawServer, line: socket.socket) -> None:
        shake_hands(line)
        boast(line, announced)
        raw.is_over.wait(60)

    with RawServer(boasts) as raw:
        began_s = time.monotonic()
        with pytest.raises(PolicyUnreachable, match=r"its answer was larger than 0\.00095\d* MiB \(option max_mib=N\)"):
            connect(raw.port, Limits(timeout_s=60, first_timeout_s=60, connect_timeout_s=2, max_bytes=1000)).ask(b"x")
        assert time.monotonic() - began_s < 30


def test_an_answer_in_several_frames_is_none() -> None:
    with replying(lambda message: [b"a", b"b"]) as port, pytest.raises(BadReply, match="answered with 2 frames; one is wanted"):
        connect(port).ask(b"x")


@pytest.mark.parametrize("url", ["127.0.0.1:5555", "http://host:1", "tcp://host", "tcp://:5555", "tcp://host:x", "tcp://*:5555/path", "ipc:///tmp/x"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(BadData, match="is no address of ZeroMQ: write tcp://host:port"):
        ZmqConnection(url, limits=QUICK)


def test_without_pyzmq_the_line_that_installs_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zmq", None)
    with pytest.raises(MissingPackage, match=r"servers behind ZeroMQ need pyzmq: pip install 'vlagym\[gr00t\]'"):
        ZmqConnection("tcp://127.0.0.1:5555", limits=QUICK)
