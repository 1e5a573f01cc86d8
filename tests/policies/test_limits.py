"""How long an adapter waits is said in seconds, and a key is never said itself."""

from __future__ import annotations

import socket

import pytest

from vlagym.envs.errors import BadData
from vlagym.policies.connections.limits import Deadline, Limits, has_come, read_limits, read_reconnect, read_secret


def test_without_options_an_answer_has_a_minute_and_the_first_one_ten() -> None:
    assert read_limits("rest", {"profile": "libero"}) == Limits(timeout_s=60, first_timeout_s=600, connect_timeout_s=10, max_bytes=64 * 1024 * 1024)


def test_every_limit_is_an_option() -> None:
    said = read_limits("rest", {"timeout": "2", "first_timeout": "3.5", "connect_timeout": "0.25", "max_mib": "1.5"})
    assert said == Limits(timeout_s=2, first_timeout_s=3.5, connect_timeout_s=0.25, max_bytes=1_572_864)


def test_who_waits_longer_for_each_answer_waits_as_long_for_the_first() -> None:
    assert read_limits("rest", {"timeout": "900"}).first_timeout_s == 900


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "soon", ""])
def test_a_limit_that_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(BadData, match=f"timeout of rest is a number of seconds above 0, not {text!r}"):
        read_limits("rest", {"timeout": text})


def test_a_deadline_that_is_over_leaves_nothing() -> None:
    assert Deadline(0.0).is_over and not Deadline(60.0).is_over
    assert 59 < Deadline(60.0).left_s() <= 60


def test_a_key_is_read_from_the_variable_that_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROBOT_KEY", "s3cret")
    assert read_secret("rest", "api_key_env", {"api_key_env": "ROBOT_KEY"}) == "s3cret"
    assert read_secret("rest", "api_key_env", {}) is None


def test_a_variable_that_is_not_there_is_told_apart_from_an_empty_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROBOT_KEY", "")
    with pytest.raises(BadData, match="api_key_env of rest is the name of an environment variable that holds the key, and 'ROBOT_KEY' is empty"):
        read_secret("rest", "api_key_env", {"api_key_env": "ROBOT_KEY"})
    monkeypatch.delenv("ROBOT_KEY")
    with pytest.raises(BadData, match="'ROBOT_KEY' does not exist"):
        read_secret("rest", "api_key_env", {"api_key_env": "ROBOT_KEY"})


def test_a_socket_is_looked_at_also_in_a_process_with_more_than_a_thousand_files() -> None:
    fcntl, resource = pytest.importorskip("fcntl"), pytest.importorskip("resource")
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] <= 1100:
        pytest.skip("this process may not open so many files")
    ours, theirs = socket.socketpair()
    with ours, theirs, socket.socket(fileno=fcntl.fcntl(ours.fileno(), fcntl.F_DUPFD, 1100)) as high:
        assert high.fileno() > 1024 and not has_come(high, 0.0)
        theirs.send(b"x")
        assert has_come(high, 1.0)


def test_a_lost_server_is_waited_for_two_minutes_unless_told_otherwise() -> None:
    assert read_reconnect("rest", {}) == 120.0 and read_reconnect("rest", {"reconnect": "0"}) == 0.0
    with pytest.raises(BadData, match="reconnect of rest is a number of seconds, 0 for none, not 'ever'"):
        read_limits("rest", {"reconnect": "ever"})
