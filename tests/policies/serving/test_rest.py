"""Our HTTP server behaves as OpenVLA's and OFT's do, and gives its clients what the policy says."""

from __future__ import annotations

import contextlib
import http.client
import json
import logging
import re
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from served import ACTION, Echo, frames, observation, state
from vlagym.envs.errors import BadData
from vlagym.envs.types import ImageComponent, ObservationSpec
from vlagym.policies.serving.rest import SERVER
from vlagym.policies.wire import arrays

LIMIT_S = 20.0


@contextlib.contextmanager
def serving(policy: Echo | None = None) -> Iterator[tuple[http.client.HTTPConnection, Echo]]:
    """Yields a bare client and the policy that is served."""
    policy = policy or Echo()
    with SERVER(policy, "127.0.0.1", 0) as server:
        port = int(server.url.split(":")[2].removesuffix("/act"))
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT_S)) as client:
            yield client, policy


def ask(client: http.client.HTTPConnection, method: str, path: str, body: str | bytes | None = None) -> tuple[int, Any]:
    client.request(method, path, body)
    answer = client.getresponse()
    return answer.status, json.loads(answer.read())


def act(client: http.client.HTTPConnection, message: Any) -> Any:
    status, said = ask(client, "POST", "/act", arrays.to_json(message))
    assert status == 200
    return arrays.from_json(json.dumps(said))


def payload(instruction: str = "lift the cube", level: int = 100, x: float = 0.1) -> dict[str, Any]:
    images, vectors = frames(level), state(x)
    return {
        "full_image": images["front"],
        "wrist_image": images["wrist"],
        "state": np.concatenate([vectors["ee_pos_base_m"], vectors["gripper_opening_m"]]),
        "instruction": instruction,
    }


def expected(instruction: str = "lift the cube", level: int = 100, x: float = 0.1, policy: Echo | None = None) -> NDArray[np.float32]:
    """Returns what the policy answers in process to the same, but for the draw of the episode, which the protocol has no seed for."""
    from served import context

    alone = policy or Echo()
    alone.reset(context(instruction=instruction))
    return alone.act({0: observation(instruction, level, x)})[0].values[:, :6]


def test_a_request_as_ofts_clients_send_it_is_answered_with_a_list_of_actions() -> None:
    with serving() as (client, _):
        said = act(client, payload())
    assert isinstance(said, list) and [a.dtype for a in said] == [np.float64] * 4 and [a.shape for a in said] == [(7,)] * 4
    assert np.array_equal(np.array(said, np.float32)[:, :6], expected())


def test_a_policy_with_one_image_and_no_state_is_served_as_openvla_is() -> None:
    class Still(Echo):
        def _one(self, slot: int, o: Any) -> Any:
            from vlagym.envs.types import ActionChunk

            values = np.full((self.spec.chunk_steps, 7), np.float32(o.images["front"].mean() / 255))
            values[1:] = -1
            return ActionChunk(values=values, spec=ACTION)

    policy = Still(observation=ObservationSpec(images=(ImageComponent(name="front", width=16, height=12),), state=(), rate_hz=20.0))
    with serving(policy) as (client, _):
        said = act(client, {"image": frames(50)["front"], "instruction": "lift", "unnorm_key": "bridge_orig"})
    assert said.shape == (7,) and said.dtype == np.float64
    assert np.array_equal(said.astype(np.float32), [np.float32(50 / 255)] * 7), "the first action alone"


def test_json_within_json_is_answered_in_json_within_json() -> None:
    with serving() as (client, _):
        status, said = ask(client, "POST", "/act", json.dumps({"encoded": arrays.to_json(payload())}))
    assert status == 200 and isinstance(said, str) and np.array_equal(np.array(arrays.from_json(said), np.float32)[:, :6], expected())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param({"full_image": None}, "reads the image 'front', which was not sent", id="no image"),
        pytest.param({"full_image": np.zeros((12, 16, 3), np.float32)}, "the policy reads .* uint8", id="an image of floats"),
        pytest.param({"full_image": np.zeros((16, 12, 3), np.uint8)}, r"the image 'front' is \(16, 12, 3\)", id="another size"),
        pytest.param({"state": np.zeros(5)}, r"state has the shape \(5,\); \(4,\) is wanted", id="another state"),
        pytest.param({"state": [np.nan] * 4}, "the state 'ee_pos_base_m' holds nan", id="NaN"),
        pytest.param({"instruction": None}, "told what to do in a sentence", id="no sentence"),
        pytest.param({"instruction": "raise"}, "ValueError: I have no idea", id="the policy raises"),
        pytest.param({"instruction": "nan"}, "BadPolicyOutput: the policy sent nan", id="the policy sends NaN"),
        pytest.param({"full_image": {"__numpy__": "gASVAAAA", "dtype": "|O", "shape": [1]}}, None, id="a pickle"),
    ],
)
def test_whatever_goes_wrong_is_answered_with_status_200_and_the_word_error(change: dict[str, Any], words: str | None, caplog: Any) -> None:
    message = {k: v for k, v in (payload() | change).items() if v is not None}
    with serving() as (client, _), caplog.at_level(logging.WARNING):
        status, said = ask(client, "POST", "/act", arrays.to_json(message))
        if words is None:  # what is no JSON with arrays of numbers does not come so far
            assert status == 422
        else:
            assert (status, said) == (200, "error")
            assert len(caplog.messages) == 1 and re.search(words, caplog.messages[0]), caplog.messages
        assert len(act(client, payload())) == 4, "the connection goes on"


def test_what_is_no_map_of_json_is_unprocessable() -> None:
    with serving() as (client, _):
        for body in ("not json", "[1]"):
            status, said = ask(client, "POST", "/act", body)
            assert status == 422 and said["detail"][0]["loc"][0] == "body"


def test_other_paths_are_not_there() -> None:
    with serving() as (client, _):
        assert ask(client, "GET", "/") == (404, {"detail": "Not Found"})
        assert ask(client, "POST", "/other", "{}") == (404, {"detail": "Not Found"})
        assert ask(client, "GET", "/act") == (405, {"detail": "Method Not Allowed"})
        assert ask(client, "GET", "/health") == (200, {"status": "ok"})


def test_it_says_what_it_reads_and_sends() -> None:
    from vlagym.policies.profile import Profile

    with serving() as (client, policy):
        status, said = ask(client, "GET", "/vlagym")
    profile = Profile.from_plain(said["profile"])
    assert status == 200 and said["dialect"] == "oft"
    assert (profile.action, profile.observation, profile.chunk_steps) == (policy.spec.action, policy.spec.observation, 4)


def test_an_episode_begins_with_a_connection_and_with_a_sentence() -> None:
    with SERVER(policy := Echo(), "127.0.0.1", 0) as server:
        port = int(server.url.split(":")[2].removesuffix("/act"))
        calls = []
        for sentences in (["lift", "lift", "drop"], ["lift"]):
            with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT_S)) as client:
                calls += [round(100 * act(client, payload(s))[0][1]) for s in sentences]
    assert calls == [1, 2, 1, 1] and [sentence for _, sentence, _ in policy.begun] == ["lift", "drop", "lift"]


def test_clients_are_answered_at_the_same_time_each_with_its_own() -> None:
    with SERVER(policy := Echo(slow_s=0.05), "127.0.0.1", 0) as server:
        port = int(server.url.split(":")[2].removesuffix("/act"))

        def one(n: int) -> list[float]:
            with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT_S)) as client:
                return [float(act(client, payload(level=10 * n))[0][2]) for _ in range(3)]

        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(one, range(2, 6)))
    assert np.allclose(found, [[10 * n / 255] * 3 for n in range(2, 6)], atol=1e-6) and max(policy.batches) > 1
    assert len(policy.threads) == 1, "the policy lives on one thread"


def test_a_body_that_is_announced_too_large_is_not_read() -> None:
    with serving() as (client, _), socket.create_connection((client.host, client.port), timeout=LIMIT_S) as line:
        line.sendall(b"POST /act HTTP/1.1\r\nHost: x\r\nContent-Length: 10737418240\r\n\r\n")
        assert b" 413 " in line.makefile("rb").readline()


def test_a_port_that_is_taken_is_told_with_what_to_do() -> None:
    with SERVER(Echo(), "127.0.0.1", 0) as server, pytest.raises(BadData, match="nobody can listen at .*: choose another port with --port, or 0"):
        SERVER(Echo(), "127.0.0.1", int(server.url.split(":")[2].removesuffix("/act"))).__enter__()


def test_a_policy_that_the_protocol_has_no_place_for_is_not_served() -> None:
    with pytest.raises(BadData, match="reads earlier observations, and this protocol carries one at a time"):
        SERVER(Echo(history=(-1, 0)), "127.0.0.1", 0)
    with pytest.raises(BadData, match="reads the true state of the simulation"):
        SERVER(Echo(privileged=True), "127.0.0.1", 0)
