"""Our server behaves as vla-eval's own model servers do, frame by frame, and gives its clients what the policy says."""

from __future__ import annotations

import contextlib
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import msgpack
import numpy as np
import pytest
import served

from vlagym.envs.errors import BadData
from vlagym.policies.adapters.vla_eval import POLICY
from vlagym.policies.serving.vla_eval import SERVER
from vlagym.policies.wire import vla_eval as wire

LIMIT_S = 20.0


@contextlib.contextmanager
def serving(policy: served.Echo | None = None) -> Iterator[tuple[str, served.Echo]]:
    policy = policy or served.Echo()
    with SERVER(policy, "127.0.0.1", 0) as server:
        yield server.url, policy


class Client:
    """A client that knows messages and nothing of us."""

    def __init__(self, url: str) -> None:
        from websockets.sync.client import connect

        self._stack = contextlib.ExitStack()
        self.socket = self._stack.enter_context(connect(url, compression=None, max_size=None, close_timeout=1))
        self._seq = 0

    def send(self, kind: Any, payload: dict[str, Any]) -> None:
        self._seq += 1
        self.socket.send(wire.pack(wire.Message(kind, payload, self._seq, 0.0)))

    def receive(self) -> wire.Message:
        message = wire.unpack(self.socket.recv(timeout=LIMIT_S))
        assert message.seq == self._seq
        return message

    def see(self, instruction: str = "lift the cube", level: int = 100) -> wire.Message:
        state = np.concatenate(list(served.state().values()))
        self.send("observation", {"images": served.frames(level), "task_description": instruction, "states": state})
        return self.receive()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()


def expected(calls: int = 1, digest: str | None = None, instruction: str = "lift the cube") -> Any:
    """Returns what the policy says in process, `(calls, T, D)`."""
    from vlagym.envs.types import sha

    policy = served.Echo()
    policy.reset(served.context(instruction=instruction, digest=digest or sha(f"served: {instruction}".encode())))
    return np.stack([policy.act({0: served.observation(instruction)})[0].values for _ in range(calls)])


def test_it_greets_as_the_original_and_says_what_it_is_at_the_end() -> None:
    with serving() as (url, _), Client(url) as client:
        client.send("hello", {"harness_version": "0.8.0", "protocol_version": 1, "benchmark": "ours:Bench"})
        hello = client.receive()
        assert hello.type == "hello"
        keys = ["harness_version", "protocol_version", "model_server", "capabilities", "observation_params", "action_spec", "observation_spec"]
        assert list(hello.payload) == [*keys, "vlagym"]
        assert hello.payload["protocol_version"] == 1 and hello.payload["model_server"] == "echo"
        assert hello.payload["observation_params"] == {"send_state": True, "send_wrist_image": True}
        assert hello.payload["action_spec"]["gripper"] == {"name": "gripper", "dims": 1, "format": "binary_close_positive", "range": [-1.0, 1.0]}
        assert hello.payload["vlagym"]["execute_steps"] == 3


def test_an_envelope_has_the_fields_of_the_original_in_its_order() -> None:
    with serving() as (url, _), Client(url) as client:
        client.send("hello", {"harness_version": "0.8.0", "protocol_version": 1})
        raw = msgpack.unpackb(client.socket.recv(timeout=LIMIT_S))
        assert list(raw) == ["type", "payload", "seq", "timestamp"] and isinstance(raw["timestamp"], float)


def test_each_observation_gets_one_action_and_the_policy_is_asked_when_they_are_used_up() -> None:
    with serving() as (url, policy), Client(url) as client:
        client.send("episode_start", {"task": {"name": "t0", "suite": "s"}})
        answers = [client.see() for _ in range(7)]
        assert {a.type for a in answers} == {"action"} and {a.payload["actions"].shape for a in answers} == {(7,)}
        said = expected(3)
        steps = [said[0][0], said[0][1], said[0][2], said[1][0], said[1][1], said[1][2], said[2][0]]
        assert np.array_equal([a.payload["actions"] for a in answers], steps) and len(policy.batches) == 3


def test_a_new_episode_and_a_new_sentence_drop_what_is_left_of_a_chunk() -> None:
    with serving() as (url, policy), Client(url) as client:
        client.see()
        client.send("episode_end", {"metrics": {}, "steps": 1, "elapsed_sec": 0.0})
        client.send("episode_start", {"task": {"name": "t1", "digest": "abcd" * 8}})
        assert np.array_equal(client.see().payload["actions"], expected(digest="abcd" * 8)[0][0])
        assert np.array_equal(client.see("open it").payload["actions"][:1], [0.0])
        assert [sentence for _, sentence, _ in policy.begun] == ["lift the cube", "lift the cube", "open it"]


def test_neither_hello_nor_start_are_needed() -> None:
    with serving() as (url, _), Client(url) as client:
        assert np.array_equal(client.see().payload["actions"], expected()[0][0])


def test_images_and_state_come_as_files_arrays_and_under_other_names() -> None:
    with serving() as (url, _):
        values = np.concatenate(list(served.state().values()))
        for kind, key in (("png", "states"), ("raw", "state"), ("array", "states")):
            with Client(url) as client:
                front, wrist = served.frames().values()
                payload = {"images": {"agentview": front, "eye": wrist}, "task_description": "lift the cube", key: values.tolist()}
                client.socket.send(wire.pack(wire.Message("observation", payload, 0, 0.0), kind))  # type: ignore[arg-type]
                assert np.array_equal(client.receive().payload["actions"], expected()[0][0])


@pytest.mark.parametrize(
    ("payload", "error"),
    [
        ({"images": {}, "task_description": "go"}, "observation_failed: BadData: the policy reads the images front, wrist, in this order"),
        ({"images": served.frames(), "task_description": "go"}, "observation_failed: BadData: the policy reads states: (4,) numbers"),
        (
            {"images": served.frames(), "states": np.zeros(4, np.float32)},
            "observation_failed: BadData: the policy is told what to do in a sentence, and there is none",
        ),
        (
            {"images": served.frames() | {"front": np.zeros((4, 4, 3), np.uint8)}, "states": np.zeros(4), "task_description": "go"},
            "observation_failed: BadData: the image 'front' is (4, 4, 3) uint8; the policy reads (12, 16, 3) uint8, upright",
        ),
        ({"images": served.frames(), "states": np.zeros(4), "task_description": "raise"}, "observation_failed: ValueError: I have no idea"),
        ({"images": served.frames(), "states": np.zeros(4), "task_description": "nan"}, "observation_failed: BadPolicyOutput: the policy sent nan"),
        ({"images": served.frames(), "states": np.zeros(4), "task_description": "refuse"}, "observation_failed: ValueError: I will not begin"),
    ],
)
def test_what_goes_wrong_is_told_and_the_connection_stays(payload: dict[str, Any], error: str) -> None:
    with serving() as (url, _), Client(url) as client:
        client.send("observation", payload)
        told = client.receive()
        assert told.type == "error" and str(told.payload["error"]).startswith(error)
        assert np.array_equal(client.see().payload["actions"], expected()[0][0])


@pytest.mark.parametrize("frame", ["hello", b"\xc1\xc1", b"\x80", msgpack.packb({"type": "dance", "payload": {}, "seq": 1, "timestamp": 0.0})])
def test_what_is_no_message_is_answered_by_closing_with_1000_and_without_a_word(frame: bytes | str) -> None:
    from websockets.exceptions import ConnectionClosedOK

    with serving() as (url, _), Client(url) as client:
        client.socket.send(frame)
        with pytest.raises(ConnectionClosedOK) as caught:
            client.socket.recv(timeout=LIMIT_S)
        assert caught.value.rcvd is not None and caught.value.rcvd.code == 1000


def fetch(url: str, path: str) -> tuple[int, str, str]:
    try:
        with urllib.request.urlopen(url.replace("ws://", "http://") + path, timeout=LIMIT_S) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers["Content-Type"], error.read().decode()


def test_health_and_config_answer_as_the_original() -> None:
    with serving() as (url, policy):
        assert fetch(url, "/health") == (200, "application/json", '{"status": "ok"}\n')
        config = '{"max_batch_size": 16, "max_wait_time": 0.0}'
        assert fetch(url, "/config") == (200, "text/plain; charset=utf-8", f'{{"applied": {{}}, "config": {config}}}\n')
        status, _, text = fetch(url, "/config?max_batch_size=1&bogus=1")
        assert status == 200
        assert json.loads(text) == {
            "applied": {"max_batch_size": 1},
            "config": {"max_batch_size": 1, "max_wait_time": 0.0},
            "errors": ["unknown key: bogus"],
        }
        assert fetch(url, "/config?bogus=1") == (422, "text/plain; charset=utf-8", '{"errors": ["unknown key: bogus"]}\n')
        assert "out of range" in fetch(url, "/config?max_batch_size=0")[2] and fetch(url, "/config?max_wait_time=x")[0] == 422


def test_clients_of_several_connections_are_answered_in_common_calls() -> None:
    with serving(served.Echo(slow_s=0.02)) as (url, policy):
        answers: dict[int, list[Any]] = {}

        def play(number: int) -> None:
            with Client(url) as client:
                answers[number] = [client.see(level=50 + 10 * number).payload["actions"] for _ in range(9)]

        threads = [threading.Thread(target=play, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(LIMIT_S)
        assert max(policy.batches) > 1 and {slot for slot, *_ in policy.begun} == {0, 1, 2, 3}
        assert sorted(answers) == [0, 1, 2, 3] and all(len(a) == 9 for a in answers.values())


def test_a_client_that_is_vlagym_plays_chunks_by_itself_and_tells_the_digest() -> None:
    with serving() as (url, policy):
        client = POLICY(url, {})
        assert (client.spec.action, client.spec.observation) == (policy.spec.action, policy.spec.observation)
        assert (client.spec.chunk_steps, client.spec.execute_steps, client.spec.runs_in_worker) == (4, 3, True)
        for digest in ("1234" * 8, "ffff" * 8):
            client.reset(served.context(digest=digest))
            for said in expected(2, digest):
                assert np.array_equal(client.act({0: served.observation()})[0].values, said)
        client.close()
        assert [digest for *_, digest in policy.begun] == ["1234" * 8, "ffff" * 8]


def test_a_client_that_goes_away_leaves_its_place_to_the_next() -> None:
    with serving() as (url, policy):
        for _ in range(50):  # the server needs a moment to notice that somebody has gone
            with Client(url) as client:
                client.see()
            if len(policy.begun) > 1 and policy.begun[-1][0] == 0:
                return
        raise AssertionError(f"slots were {[slot for slot, *_ in policy.begun]}")


def test_leaving_the_server_cuts_clients_off_and_leaves_the_policy_open() -> None:
    from websockets.exceptions import ConnectionClosed

    with serving() as (url, policy):
        client = Client(url)
        client.see()
    with pytest.raises(ConnectionClosed):
        client.socket.recv(timeout=LIMIT_S)
    assert not policy.is_closed


def test_a_port_that_is_taken_is_one_line() -> None:
    with serving() as (url, _):
        port = int(url.rsplit(":", 1)[1])
        with pytest.raises(BadData, match=rf"nobody can listen at ws://127.0.0.1:{port} \(Address already in use\): choose another port with --port"):
            SERVER(served.Echo(), "127.0.0.1", port).__enter__()


def test_a_privileged_policy_is_not_served() -> None:
    with pytest.raises(BadData, match="reads the true state of the simulation"):
        SERVER(served.Echo(privileged=True), "127.0.0.1", 0)
