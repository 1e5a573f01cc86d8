"""Addresses are read in one place: no login is taken, and no query is shown."""

from __future__ import annotations

import pytest

from vlagym.envs.errors import BadData
from vlagym.policies.connections.address import read_address
from vlagym.policies.connections.grpc import GrpcConnection
from vlagym.policies.connections.http import HttpConnection
from vlagym.policies.connections.limits import Limits
from vlagym.policies.connections.websocket import WebSocket
from vlagym.policies.connections.zmq import ZmqConnection


def read(url: str) -> tuple[object, ...]:
    return tuple(read_address(url, ("ws", "wss"), what="a server", write="ws://host:port"))


def test_an_address_is_cut_into_its_parts() -> None:
    assert read("ws://Host:8000/a/b?k=v") == ("ws", "host", 8000, "/a/b", "k=v", "ws://Host:8000/a/b")
    assert read("wss://[::1]") == ("wss", "::1", None, "", "", "wss://[::1]")
    assert read_address("ws://h:1/a?b", ("ws",), what="", write="").base == "ws://h:1"


@pytest.mark.parametrize(
    ("make", "address"),
    [
        (lambda url: WebSocket(url, Limits()), "ws://{}h:1"),
        (lambda url: HttpConnection(url, limits=Limits()), "https://{}h:1"),
        (lambda url: ZmqConnection(url, limits=Limits()), "tcp://{}h:1"),
        (lambda url: GrpcConnection(url, Limits()), "{}h:1"),
    ],
)
@pytest.mark.parametrize("login", ["user:s3cret@", "s3cret@", "user:s3@cret@", "@"])
def test_no_transport_takes_a_login(make: object, address: str, login: str) -> None:
    assert callable(make)
    with pytest.raises(BadData, match=r"holds no name and no key \(…@host\)") as caught:
        make(address.format(login))
    assert "cret" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "ws://user:p/s3cret@h",
        "ws://user:p?s3cret@h",
        "http://h?s3cret",
        "ws://h/?s3cret\nX: 1",
        "ws://h /s3 cret?s3cret",
        "ws://h/?s3crét",
        "ws://h:0?s3cret",
    ],
)
def test_an_address_that_is_none_is_refused_without_its_secrets(url: str) -> None:
    with pytest.raises(BadData, match="is no address of a server") as caught:
        read(url)
    assert "s3cr" not in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("url", ["tcp://h:1?s3cret", "tcp://h:1/s3", "tcp://h:1#s3", "tcp://h"])
def test_nothing_follows_an_address_of_zeromq(url: str) -> None:
    with pytest.raises(BadData, match="write tcp://host:port") as caught:
        ZmqConnection(url, limits=Limits())
    assert "s3cret" not in str(caught.value)
