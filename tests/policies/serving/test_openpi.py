"""Our server behaves as openpi's own does, frame by frame, for a client that knows nothing of us."""

from __future__ import annotations

import contextlib
import pickle
import urllib.request
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import openpi_servers
import pytest
import served

from vlagym.envs.errors import BadData
from vlagym.envs.types import sha
from vlagym.policies.adapters.hold import Hold
from vlagym.policies.base import Policy
from vlagym.policies.loading import load_policy
from vlagym.policies.serving.openpi import SERVER

LIMIT_S = 20.0


@contextlib.contextmanager
def serving(policy: Policy | None = None) -> Iterator[Any]:
    with SERVER(policy or served.Echo(), "127.0.0.1", 0) as server:
        yield server


class Client:
    """What openpi's own client does: it reads the metadata, then sends an observation and takes a text for an error."""

    def __init__(self, url: str) -> None:
        from websockets.sync.client import connect

        self._stack = contextlib.ExitStack()
        self.socket = self._stack.enter_context(connect(url, compression=None, max_size=None, close_timeout=1))
        first = self.socket.recv(timeout=LIMIT_S)
        assert isinstance(first, bytes)
        self.metadata = openpi_servers.unpack(first)

    def infer(self, observation: dict[str, Any]) -> Any:
        self.socket.send(openpi_servers.pack(observation))
        response = self.socket.recv(timeout=LIMIT_S)
        if isinstance(response, str):
            raise RuntimeError(f"Error in inference server:\n{response}")
        return openpi_servers.unpack(response)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()


def observation(instruction: str | None = "lift the cube", changes: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Returns what a client sends, under the usual names; without what is changed to None."""
    parts = {f"observation/{name}": value for name, value in {**served.frames(), **served.state()}.items()}
    said = {**parts, "prompt": instruction, **(changes or {})}
    return {key: value for key, value in said.items() if value is not None}


def expected(calls: int = 1, digest: str | None = None, instruction: str = "lift the cube") -> Any:
    """Returns the last of so many chunks that the policy answers with in process."""
    policy = served.Echo()
    policy.reset(served.context(instruction=instruction, digest=digest or sha(f"served: {instruction}".encode())))
    return [policy.act({0: served.observation(instruction)})[0].values for _ in range(calls)][-1]


def test_metadata_comes_first_and_says_what_the_policy_reads_and_sends() -> None:
    with serving() as server, Client(server.url) as client:
        said = client.metadata["vlagym"]
        assert [component["name"] for component in said["action"]["components"]] == ["translation", "rotation", "gripper"]
        assert [image["name"] for image in said["observation"]["images"]] == ["front", "wrist"]


def test_a_reply_has_the_fields_of_openpis_own_in_their_order() -> None:
    with serving() as server, Client(server.url) as client:
        first, second = client.infer(observation()), client.infer(observation())
    assert list(first) == list(second) == ["actions", "policy_timing", "server_timing"]
    assert list(first["policy_timing"]) == list(first["server_timing"]) == ["infer_ms"]
    assert list(second["server_timing"]) == ["infer_ms", "prev_total_ms"] and second["server_timing"]["prev_total_ms"] > 0
    assert np.array_equal(first["actions"], expected()) and np.array_equal(second["actions"], expected(calls=2))
    assert first["actions"].dtype == np.float32 and first["actions"].shape == (4, 7)


def test_numbers_of_state_may_be_float64_and_keys_more_than_are_read() -> None:
    state = {f"observation/{name}": value.astype(np.float64) for name, value in served.state().items()}
    with serving() as server, Client(server.url) as client:
        assert np.array_equal(client.infer(observation(changes={**state, "endpoint": "infer", "seed": 3}))["actions"], expected())


def test_an_episode_begins_with_a_connection_a_sentence_and_a_session() -> None:
    policy = served.Echo()
    with serving(policy) as server:
        for _ in range(2):
            with Client(server.url) as client:
                client.infer(observation())
        with Client(server.url) as client:
            for sentence in ("one", "one", "two"):
                client.infer(observation(sentence))
            for session in ("aa", "aa", "bb"):
                answer = client.infer(observation("two", {"session_id": session * 16}))
    assert [sentence for _, sentence, _ in policy.begun] == ["lift the cube", "lift the cube", "one", "two", "two", "two"]
    assert [digest for *_, digest in policy.begun][-2:] == ["aa" * 16, "bb" * 16]
    assert np.array_equal(answer["actions"], expected(digest="bb" * 16, instruction="two"))


def test_two_clients_are_answered_as_if_they_were_alone() -> None:
    with serving() as server, Client(server.url) as one, Client(server.url) as two:
        one.infer(observation())
        assert np.array_equal(two.infer(observation())["actions"], expected())
        assert np.array_equal(one.infer(observation())["actions"], expected(calls=2))


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (observation(None), "there is none: the instruction is None"),
        (observation(changes={"observation/front": None}), "reads the image 'front', which was not sent; there are: wrist"),
        (observation(changes={"observation/front": np.zeros((3, 12, 16), np.uint8)}), "'front' is (3, 12, 16) uint8; the policy reads (12, 16, 3)"),
        (observation(changes={"observation/ee_pos_base_m": np.zeros(2)}), "the state 'ee_pos_base_m' is (2,) float64; the policy reads (3,) float32"),
        (observation(changes={"observation/ee_pos_base_m": np.array([0.0, np.nan, 0.0])}), "holds nan at index 1"),
        (observation("raise"), "ValueError: I have no idea"),
        (observation("nan"), "the policy sent nan in step 1, component 2 of its chunk"),
        ([1, 2], "a request is a map, and this one is list"),
    ],
    ids=["no prompt", "no image", "turned image", "short state", "nan", "policy raises", "policy sends nan", "no map"],
)
def test_an_error_is_a_text_with_the_traceback_and_code_1011(request_: Any, words: str) -> None:
    from websockets.exceptions import ConnectionClosed

    with serving() as server:
        with Client(server.url) as client:
            with pytest.raises(RuntimeError, match=r"^Error in inference server:\nTraceback \(most recent call last\)") as told:
                client.infer(request_)
            assert words in str(told.value)
            with pytest.raises(ConnectionClosed) as closed:
                client.socket.recv(timeout=LIMIT_S)
            assert closed.value.rcvd is not None
            assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1011, "Internal server error. Traceback included in previous frame.")
        with Client(server.url) as client:
            assert np.array_equal(client.infer(observation())["actions"], expected())


@pytest.mark.parametrize(
    ("message", "words"), [("text", "a request is a binary message"), (pickle.dumps({"a": print}), "BadData: "), (b"", "BadData: ")]
)
def test_what_is_no_request_is_never_unpickled(message: bytes | str, words: str) -> None:
    with serving() as server, Client(server.url) as client:
        client.socket.send(message)
        reply = client.socket.recv(timeout=LIMIT_S)
        assert isinstance(reply, str) and words in reply


def test_health_is_answered_as_openpi_does() -> None:
    with serving() as server:
        with urllib.request.urlopen(server.url.replace("ws://", "http://") + "/healthz", timeout=LIMIT_S) as reply:
            assert (reply.status, reply.headers["Content-Type"], reply.read()) == (200, "text/plain; charset=utf-8", b"OK\n")


def test_our_own_adapter_needs_no_profile_for_it() -> None:
    with serving() as server:
        policy = load_policy(f"openpi:{server.url}")
        for _ in range(2):  # an episode that is played again is begun again
            policy.reset(served.context())
            chunk = policy.act({0: served.observation()})[0]
            assert np.array_equal(chunk.values, expected(digest="00ff" * 8)) and chunk.spec == served.ACTION
        assert (policy.spec.chunk_steps, policy.spec.execute_steps, policy.spec.profile) == (4, 3, "echo")
        policy.close()


def test_policies_that_this_protocol_has_no_place_for_are_not_served() -> None:
    with pytest.raises(BadData, match=r"openpi sends one observation at a time, and policy 'echo' reads those at the steps \(-1, 0\)"):
        SERVER(served.Echo(history=(-1, 0)), "127.0.0.1", 0)
    with pytest.raises(BadData, match=r"policy 'hold' sends whatever actions an environment has"):
        SERVER(Hold(), "127.0.0.1", 0)
