"""Our server behaves as GR00T's inference service does, message by message, and gives its clients what the policy says."""

from __future__ import annotations

import contextlib
import logging
import re
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import zmq
from numpy.typing import NDArray
from served import Echo, context, frames, observation, state

from vlagym.envs.errors import BadData, MissingPackage
from vlagym.policies.serving.gr00t import SERVER
from vlagym.policies.wire import arrays
from vlagym.policies.wire.gr00t_modality import LANGUAGE, Dialect

LIMIT_MS = 20_000
COMPONENTS = ("translation", "rotation", "gripper")


class Client:
    """A client that knows messages and nothing of us."""

    def __init__(self, url: str) -> None:
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.REQ)
        self._socket.linger, self._socket.rcvtimeo = 0, LIMIT_MS
        self._socket.connect(url)

    def send(self, message: bytes) -> bytes:
        self._socket.send(message)
        return self._socket.recv()

    def ask(self, endpoint: str, data: Any = None) -> Any:
        message = {"endpoint": endpoint} if data is None else {"endpoint": endpoint, "data": data}
        return arrays.unpack(self.send(arrays.pack(message, "gr00t")))

    def close(self) -> None:
        self._context.destroy(linger=0)


@contextlib.contextmanager
def serving(policy: Echo | None = None, dialect: Dialect = "n1.6") -> Iterator[tuple[Client, Echo]]:
    policy = policy or Echo()
    with SERVER(policy, "127.0.0.1", 0, dialect=dialect) as server, contextlib.closing(Client(server.url)) as client:
        yield client, policy


def seen(*levels: int, sentences: tuple[str, ...] | None = None) -> dict[str, Any]:
    """Returns N1.6's data of a batch, a row for each brightness."""
    sentences = sentences or ("lift the cube",) * len(levels)
    video = {name: np.stack([frames(level)[name][None] for level in levels]) for name in ("front", "wrist")}
    vectors = {name: np.stack([value[None]] * len(levels)) for name, value in state().items()}
    return {"observation": {"video": video, "state": vectors, "language": {LANGUAGE: [[s] for s in sentences]}}, "options": None}


def flat(level: int) -> dict[str, Any]:
    """Returns N1.5's data, without a batch."""
    images, vectors = frames(level), state()
    return {f"video.{k}": v[None] for k, v in images.items()} | {f"state.{k}": v[None] for k, v in vectors.items()} | {LANGUAGE: ["lift the cube"]}


def joined(actions: dict[str, Any], prefix: str = "") -> NDArray[np.float32]:
    """Returns the policy's numbers but for the draw of the episode."""
    return np.concatenate([actions[prefix + name] for name in COMPONENTS], axis=-1)[..., :6]


def expected(level: int) -> NDArray[np.float32]:
    alone = Echo()
    alone.reset(context())
    return alone.act({0: observation(level=level)})[0].values[:, :6]


def test_it_says_that_it_runs_and_what_it_reads_and_sends() -> None:
    with serving() as (client, _):
        assert client.ask("ping") == {"status": "ok", "message": "Server is running"}
        said = client.ask("get_modality_config")
    assert list(said) == ["video", "state", "action", "language"]
    assert said["video"]["as_json"]["modality_keys"] == ["front", "wrist"] and said["action"]["as_json"]["delta_indices"] == [0, 1, 2, 3]
    assert said["language"]["as_json"]["modality_keys"] == [LANGUAGE]


def test_rows_of_a_batch_are_episodes_of_their_own() -> None:
    with serving() as (client, policy):
        actions, info = client.ask("get_action", seen(50, 150, sentences=("lift the cube", "drop the lid")))
    assert info == {} and {k: v.shape for k, v in actions.items()} == {"translation": (2, 4, 3), "rotation": (2, 4, 3), "gripper": (2, 4, 1)}
    assert all(v.dtype == np.float32 for v in actions.values())
    found = joined(actions)
    assert np.array_equal(found[0], expected(50)) and np.allclose(found[1][:, 2], 150 / 255)
    assert sorted(sentence for _, sentence, _ in policy.begun) == ["drop the lid", "lift the cube"]


def test_a_row_begins_anew_with_another_sentence_and_after_a_reset() -> None:
    with serving() as (client, policy):
        for sentence in ("lift the cube", "lift the cube", "drop the lid"):
            client.ask("get_action", seen(50, sentences=(sentence,)))
        assert client.ask("reset", {"options": None}) == {} and client.ask("reset") == {}
        client.ask("get_action", seen(50, sentences=("drop the lid",)))
    assert [sentence for _, sentence, _ in policy.begun] == ["lift the cube", "drop the lid", "drop the lid"]


def test_n15_is_answered_with_a_flat_map_that_is_squeezed() -> None:
    with serving(dialect="n1.5") as (client, _):
        assert isinstance(client.ask("get_modality_config")["video"]["as_json"], str)
        said = client.ask("get_action", flat(50))
    assert {k: v.shape for k, v in said.items()} == {"action.translation": (4, 3), "action.rotation": (4, 3), "action.gripper": (4,)}
    assert np.array_equal(np.concatenate([said["action.translation"], said["action.rotation"]], axis=-1), expected(50))


def test_n16s_wrapper_for_simulations_takes_and_gives_flat_maps() -> None:
    batch = {k: v[None] if isinstance(v, np.ndarray) else v for k, v in flat(50).items()}
    with serving(dialect="n1.6_sim") as (client, _):
        actions, _ = client.ask("get_action", {"observation": batch, "options": None})
    assert np.array_equal(joined(actions, "action.")[0], expected(50))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param(lambda d: d["observation"]["video"].pop("wrist"), "the policy reads the image 'wrist', which was not sent", id="no image"),
        pytest.param(lambda d: d["observation"]["video"].update(front=np.zeros((1, 2, 12, 16, 3), np.uint8)), "reads 1 observations", id="T"),
        pytest.param(lambda d: d["observation"]["state"].pop("gripper_opening_m"), "reads the state 'gripper_opening_m'", id="no state"),
        pytest.param(lambda d: d["observation"]["state"].update(ee_pos_base_m=np.full((1, 1, 3), np.inf)), "holds inf at index 0", id="infinite"),
        pytest.param(lambda d: d.pop("observation"), "get_action wants data with an observation", id="no observation"),
        pytest.param(lambda d: d["observation"]["language"].update({LANGUAGE: [["raise"]]}), "I have no idea", id="the policy raises"),
        pytest.param(lambda d: d.update(options={"slots": [1, 1]}), r"slots names one slot for each of 1 rows, not \[1, 1\]", id="slots"),
    ],
)
def test_whatever_goes_wrong_is_an_error_that_says_what(change: Any, words: str, caplog: Any) -> None:
    data = seen(50)
    change(data)
    with serving() as (client, _), caplog.at_level(logging.WARNING):
        said = client.ask("get_action", data)
        assert list(said) == ["error"] and re.search(words, said["error"]), said
        assert len(caplog.messages) == 1
        assert np.array_equal(joined(client.ask("get_action", seen(50))[0])[0], expected(50)), "the server goes on"


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (arrays.pack({"endpoint": "nope"}, "gr00t"), "Unknown endpoint: nope"),
        (arrays.pack({"endpoint": "kill"}, "gr00t"), "Unknown endpoint: kill"),
        (arrays.pack(["ping"], "gr00t"), "a request is a map with an endpoint, not list"),
        (b"\xc1", "extensions are not read"),
        (b"\xdd\xff\xff\xff\xff", "announces 4294967295 values"),
        (b"", "ends before its last value"),
    ],
)
def test_a_request_that_is_none_is_answered_and_the_server_goes_on(message: bytes, words: str) -> None:
    with serving() as (client, _):
        assert words in arrays.unpack(client.send(message))["error"]
        assert client.ask("ping")["status"] == "ok"


def test_a_policy_with_a_history_reads_earlier_observations() -> None:
    class Last(Echo):
        def _one(self, slot: int, o: Any) -> Any:
            chunk = super()._one(slot, o)
            chunk.values[:, 3] = o.past[0].images["front"].mean() / 255
            return chunk

    data = seen(50)
    both = data["observation"]
    both["video"] = {k: np.stack([frames(100)[k], frames(50)[k]])[None] for k in both["video"]}
    both["state"] = {k: np.repeat(v, 2, axis=1) for k, v in both["state"].items()}
    with serving(Last(history=(-1, 0))) as (client, _):
        assert client.ask("get_modality_config")["video"]["as_json"]["delta_indices"] == [-1, 0]
        found = joined(client.ask("get_action", data)[0])
    assert np.allclose(found[0, :, 2:4], [50 / 255, 100 / 255])


def test_who_has_not_asked_for_long_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    from vlagym.policies.serving import gr00t

    monkeypatch.setattr(gr00t, "_CLIENTS_MAX", 2)
    with serving() as (client, policy):
        for slot in (0, 1, 2, 2, 0):
            client.ask("get_action", seen(50) | {"options": {"slots": [slot]}})
    assert len(policy.begun) == 4, "slot 0 was forgotten, and began again"


def test_a_port_that_is_taken_is_told_with_what_to_do() -> None:
    with SERVER(Echo(), "127.0.0.1", 0) as server, pytest.raises(BadData, match="nobody can listen at .*: choose another port with --port, or 0"):
        SERVER(Echo(), "127.0.0.1", int(server.url.split(":")[2])).__enter__()


def test_without_pyzmq_the_line_that_installs_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zmq", None)
    server = SERVER(Echo(), "127.0.0.1", 0)
    with pytest.raises(MissingPackage, match=r"serving GR00T's protocol needs pyzmq and msgpack: pip install 'vlagym\[gr00t\]'"):
        server.__enter__()
    server.__exit__(None, None, None)
