"""A key that a server of plain HTTP repeats stands in no message and in no traceback that a run stores."""

from __future__ import annotations

import contextlib
import json
import socket
from pathlib import Path

import echo_profile
import pytest
from raw_server import RawServer, Talk, http_answer
from served import context, observation

from vlagym.benchmark.rollout import record_of
from vlagym.envs.errors import BadReply
from vlagym.policies.loading import load_policy


def answers(*given: bytes) -> Talk:
    """Returns a server that has nothing but what is asked for by POST, which it answers so, one after another."""
    left = list(given)

    def talk(server: RawServer, line: socket.socket) -> None:
        while (body := server.read_http(line)) is not None:
            line.sendall(left.pop(0) if body else http_answer(b"{}", "405 Method Not Allowed"))

    return talk


@pytest.mark.parametrize("before", [0, 270, 290, 2385])
def test_a_key_that_the_server_repeats_is_told_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: int) -> None:
    """Wherever texts are cut: at the letters that are told, and at those that are looked at for them."""
    monkeypatch.setenv("ROBOT_KEY", key := 'sk-very/secret+"0123456789"')
    said = json.dumps({"detail": "x" * before + f" bad header Authorization: Bearer {key}"}).encode()
    lines = b"SIP/2.0 200 Bearer " + key.encode() + b"\r\n\r\n"
    with RawServer(answers(http_answer(said, "500 Internal Server Error"), http_answer(said), lines)) as server:
        options = {"profile": echo_profile.write(tmp_path), "api_key_env": "ROBOT_KEY", "timeout": "20"}
        with contextlib.closing(load_policy(f"rest:http://127.0.0.1:{server.port}/act", options)) as policy:
            for _ in range(3):
                policy.reset(context())
                with pytest.raises(BadReply) as caught:
                    policy.act({0: observation()})
                record = record_of(caught.value)
                assert not any(part in record.message + record.traceback for part in (key, "sk-v", "very", "0123"))
                assert before > 0 or "Bearer (the key)" in record.message
