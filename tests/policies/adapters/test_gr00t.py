"""A policy behind GR00T's service acts; one that goes wrong costs an episode, says why, and is asked again in the next."""

from __future__ import annotations

import contextlib
import pickle
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import echo_profile
import msgpack
import numpy as np
import pytest
from raw_server import RawServer
from served import ACTION, Echo, context, observation
from zmq_server import boast, replying, shake_hands

from vlagym.envs.errors import BadData, BadPolicyOutput, BadReply, ConventionMismatch, NotReset, PolicyUnreachable, UnknownName
from vlagym.policies.base import Policy, check_chunks
from vlagym.policies.loading import load_policy
from vlagym.policies.serving.gr00t import SERVER
from vlagym.policies.wire import arrays, gr00t
from vlagym.policies.wire.gr00t_modality import LANGUAGE, Dialect, Modality, modality_answer

QUICK = {"timeout": "0.4", "first_timeout": "0.4", "connect_timeout": "2"}
MODALITIES = {
    "video": Modality(steps=(0,), keys=("front", "wrist")),
    "state": Modality(steps=(0,), keys=("ee_pos_base_m", "gripper_opening_m")),
    "action": Modality(steps=(0, 1, 2, 3), keys=("translation", "rotation", "gripper")),
    "language": Modality(steps=(0,), keys=(LANGUAGE,)),
}
Load = Callable[..., Policy]


class Foreign:
    """A server that is not ours, and answers `get_action` with what it was made with, or as it should."""

    def __init__(self, *answers: bytes | None, dialect: Dialect = "n1.6", token: str | None = None, modalities: Any = None) -> None:
        self._answers, self._dialect, self._token = list(answers), dialect, token
        self._modalities = modality_answer(MODALITIES, dialect) if modalities is None else modalities
        self.asked: list[dict[str, Any]] = []

    def repeat(self, answer: bytes) -> None:
        """Answers the next question for actions so."""
        self._answers.append(answer)

    def __call__(self, message: bytes) -> bytes | None:
        said = arrays.unpack(message)
        self.asked.append(said)
        if self._token is not None and said.get("api_token") != self._token:
            return arrays.pack({"error": "Unauthorized: Invalid API token"}, "gr00t")
        if said["endpoint"] == "ping":
            return arrays.pack({"status": "ok", "message": "Server is running"}, "gr00t")
        if said["endpoint"] == "get_modality_config":
            return self._modalities if isinstance(self._modalities, bytes) else arrays.pack(self._modalities, "gr00t")
        if said["endpoint"] != "get_action":
            return arrays.pack({"error": f"Unknown endpoint: {said['endpoint']}"}, "gr00t")
        return self._answers.pop(0) if self._answers else self._actions(said["data"])

    def _actions(self, data: Any) -> bytes:
        """Answers each row with its own front image, as the release does."""
        asked = gr00t.read_request(data, self._dialect, LANGUAGE)
        rows = [np.full((4, 7), row.video["front"].mean() / 255, np.float32) for row in asked.rows]
        parts = np.split(np.stack(rows), [3, 6], axis=-1)
        named = dict(zip(("translation", "rotation", "gripper"), parts, strict=True))
        if self._dialect == "n1.5":
            return arrays.pack({f"action.{k}": np.squeeze(v) for k, v in named.items()}, "gr00t")
        return arrays.pack([named, {"took": 0.1}], "gr00t")


def packed(value: Any) -> bytes:
    return arrays.pack(value, "gr00t")


def chunk(**changes: Any) -> bytes:
    usual = {"translation": np.zeros((1, 4, 3)), "rotation": np.zeros((1, 4, 3)), "gripper": np.zeros((1, 4, 1))}
    return packed([usual | changes, {}])


@pytest.fixture
def load(tmp_path: Path) -> Iterator[Load]:
    """Returns what loads the policy behind a server that announces nothing, with a profile that fits it."""
    with contextlib.ExitStack() as stack:

        def make(port: int, **options: str) -> Policy:
            policy = load_policy(f"gr00t:tcp://127.0.0.1:{port}", {"profile": echo_profile.write(tmp_path), **QUICK, **options})
            stack.callback(policy.close)
            for slot in range(4):
                policy.reset(context(slot))
            return policy

        yield make


# ------------------------------------------------------------------------------------------------------------------- what goes well
@pytest.mark.parametrize("dialect", ["n1.6", "n1.5"])
def test_a_served_policy_answers_as_in_process(dialect: Dialect) -> None:
    alone, behind = Echo(), Echo()
    with SERVER(behind, "127.0.0.1", 0, dialect=dialect) as server, contextlib.closing(load_policy(f"gr00t:{server.url}")) as policy:
        sentences = {0: "lift the cube", 2: "drop the lid"}
        for slot, sentence in sentences.items():
            for one in (alone, policy):
                one.reset(context(slot, sentence, digest=f"{slot}a" * 16))
        for x in (0.1, 0.5):
            wanted, found = (one.act({s: observation(text, x=x) for s, text in sentences.items()}) for one in (alone, policy))
            columns = slice(0, 6 if dialect == "n1.5" else 7)  # N1.5 has no place for the seed of an episode
            assert all(np.array_equal(found[s].values[:, columns], wanted[s].values[:, columns]) for s in sentences)
    assert (policy.spec.action, policy.spec.observation, policy.spec.chunk_steps) == (alone.spec.action, alone.spec.observation, 4)
    assert policy.spec.card["dialect"] == dialect and not policy.spec.runs_in_worker, "one request serves all workers"


@pytest.mark.parametrize("dialect", ["n1.6", "n1.5"])
def test_a_server_of_either_release_is_told_by_what_it_says_of_itself(dialect: Dialect, load: Load) -> None:
    foreign = Foreign(dialect=dialect)
    with replying(foreign) as port:
        policy = load(port)
        found = policy.act({slot: observation(level=50 * slot) for slot in (1, 3)})
    assert {slot: float(c.values[0, 0]) for slot, c in found.items()} == {1: np.float32(50 / 255), 3: np.float32(150 / 255)}
    assert policy.spec.card["dialect"] == dialect and [m["endpoint"] for m in foreign.asked].count("get_action") == 1
    assert "reset" not in [m["endpoint"] for m in foreign.asked] and "slots" not in str(foreign.asked[-1]["data"].get("options"))


def test_a_server_of_n17_may_answer_as_msgpack_numpy_writes_arrays(load: Load) -> None:
    def written(value: np.ndarray[Any, Any]) -> dict[bytes, Any]:
        return {b"nd": True, b"type": value.dtype.str, b"kind": b"", b"shape": list(value.shape), b"data": value.tobytes()}

    sizes = {"translation": 3, "rotation": 3, "gripper": 1}
    answer = msgpack.packb([{k: written(np.full((1, 4, n), 0.5, np.float32)) for k, n in sizes.items()}, {}])
    said = {name: {"__ModalityConfig__": True, "as_json": m["as_json"]} for name, m in modality_answer(MODALITIES, "n1.6").items()}
    with replying(Foreign(answer, modalities=said)) as port:
        policy = load(port)
        assert policy.spec.card["dialect"] == "n1.7" and np.array_equal(policy.act({0: observation()})[0].values, np.full((4, 7), 0.5))


def test_an_answer_of_n15_to_a_single_row_may_be_squeezed(load: Load) -> None:
    with replying(Foreign(dialect="n1.5")) as port:
        assert load(port).act({0: observation(level=50)})[0].values.shape == (4, 7)


def test_more_rows_than_a_batch_holds_are_asked_in_several_requests(load: Load) -> None:
    foreign = Foreign()
    with replying(foreign) as port:
        found = load(port, batch="2").act({slot: observation(level=20 * slot + 20) for slot in range(3)})
    assert [float(found[s].values[0, 0]) for s in range(3)] == [np.float32((20 * s + 20) / 255) for s in range(3)]
    assert [len(m["data"]["observation"]["video"]["front"]) for m in foreign.asked if m["endpoint"] == "get_action"] == [2, 1]


def test_the_wrapper_for_simulations_is_asked_where_it_is_named(load: Load) -> None:
    with replying(Foreign(chunk(), dialect="n1.6_sim")) as port:
        assert load(port, dialect="n1.6_sim").act({0: observation()})[0].values.shape == (4, 7)


def test_a_token_is_sent_from_the_variable_that_is_named(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROBOT_TOKEN", "s3cret")
    foreign = Foreign(token="s3cret")
    with replying(foreign) as port:
        policy = load(port, api_token_env="ROBOT_TOKEN")
        assert "s3cret" not in str(policy.spec.card)
        foreign.repeat(packed({"error": "token s3cret is not known here"}))
        with pytest.raises(BadReply, match=r"token \(the key\) is not known here"):
            policy.act({0: observation()})
        with pytest.raises(BadReply, match="answers ping with an error: Unauthorized: Invalid API token .option api_token_env=NAME"):
            load(port)


def test_the_servers_chunk_is_that_of_the_policy(load: Load) -> None:
    said = modality_answer(MODALITIES | {"action": Modality(steps=tuple(range(16)), keys=("translation", "rotation", "gripper"))}, "n1.6")
    with replying(Foreign(modalities=said)) as port:
        policy = load(port)
    assert (policy.spec.chunk_steps, policy.spec.execute_steps) == (16, 3)
    assert policy.spec.card["modalities"]["action"] == {"keys": ["translation", "rotation", "gripper"], "steps": list(range(16))}


# ------------------------------------------------------------------------------------------------------------------- what goes wrong
def lying(shape: str) -> bytes:
    """Returns actions whose file of numpy announces another shape than it holds."""
    npy = b"\x93NUMPY\x01\x00v\x00" + f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".ljust(117).encode() + b"\n" + bytes(12)
    lie = {"__ndarray_class__": True, "as_npy": npy}
    return bytes(msgpack.packb([{"translation": lie}, {}]))


PICKLED = bytes(msgpack.packb([{"translation": {"nd": True, "type": "|O", "kind": b"O", "shape": [1], "data": pickle.dumps([print])}}, {}]))


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        pytest.param(packed({"error": "CUDA out of memory"}), BadReply, "answers get_action with an error: CUDA out of memory", id="an error"),
        pytest.param(b"Traceback (most recent call last)", BadReply, "answers get_action with what cannot be read", id="text"),
        pytest.param(packed("Traceback"), BadReply, "is answered with str; a map of actions is wanted", id="text in msgpack"),
        pytest.param(packed(np.zeros((1, 4, 7))), BadReply, "is answered with ndarray", id="a bare array"),
        pytest.param(chunk(gripper=np.zeros((1, 4, 2))), BadReply, r"action 'gripper' has the shape \(1, 4, 2\)", id="wrong length"),
        pytest.param(
            packed([{k: np.zeros((1, 2, n)) for k, n in (("translation", 3), ("rotation", 3), ("gripper", 1))}, {}]),
            BadReply,
            "sent 2 actions, and 3 are executed",
            id="a short chunk",
        ),
        pytest.param(lying("(2684354560,)"), BadReply, "of float32, which are 10737418240 bytes, and brings 12", id="10 GB npy"),
        pytest.param(lying("(2,) + (open,)"), BadReply, "cannot be read", id="a header that is code"),
        pytest.param(b"\xc6\xff\xff\xff\xffabc", BadReply, "announces 4294967295 bytes", id="4 GB prefix"),
        pytest.param(PICKLED, BadReply, "nothing is unpickled", id="an array of pickles"),
        pytest.param(pickle.dumps({"action": 1}), BadReply, "cannot be read .*; servers of before September 2025 send pickles", id="a pickle"),
        pytest.param(None, PolicyUnreachable, "did not answer within 0.4 s; the option timeout=S or first_timeout=S", id="never answers"),
    ],
)
def test_what_is_no_answer_costs_the_episode_and_not_the_next_one(answer: bytes | None, error: type[Exception], words: str, load: Load) -> None:
    with contextlib.ExitStack() as stack:
        port = stack.enter_context(replying(Foreign(answer)))
        policy, began_s = load(port), time.monotonic()
        with pytest.raises(error, match=words):
            policy.act({0: observation()})
        assert time.monotonic() - began_s < 30
        if answer is None:  # one that hangs is started again
            stack.close()
            stack.enter_context(replying(Foreign(), port))
        policy.reset(context())
        assert policy.act({0: observation(level=50)})[0].values[0, 0] == np.float32(50 / 255)


def test_a_server_that_drops_the_connection_or_announces_10_gb_is_noticed_at_once(load: Load) -> None:
    with replying(Foreign()) as port:
        policy = load(port, first_timeout="60", timeout="60")

    def leaves(raw: RawServer, line: socket.socket) -> None:
        shake_hands(line)
        if raw.num_connections > 1:
            boast(line, 10 * 2**30)
            raw.is_over.wait(60)

    with RawServer(leaves) as raw:
        policy._server._connection._url = f"tcp://127.0.0.1:{raw.port}"  # type: ignore[attr-defined]
        for _ in range(2):
            began_s = time.monotonic()
            with pytest.raises(PolicyUnreachable, match="closed the connection .*: it went away, or its answer was larger than 64 MiB"):
                policy.act({0: observation()})
            assert time.monotonic() - began_s < 30


def test_actions_that_are_not_finite_are_found_by_the_desk(load: Load) -> None:
    with replying(Foreign(chunk(gripper=np.full((1, 4, 1), np.nan)))) as port:
        chunks = load(port).act({0: observation()})
    with pytest.raises(BadPolicyOutput, match="the policy sent nan in step 0, component 6"):
        check_chunks(chunks, [0], ACTION)


def test_a_server_that_is_not_up_is_one_line(load: Load) -> None:
    with socket.create_server(("127.0.0.1", 0)) as plug:
        port = plug.getsockname()[1]
    with pytest.raises(PolicyUnreachable, match=f"nobody takes a connection at tcp://127.0.0.1:{port}: start the server first") as caught:
        load(port)
    assert "\n" not in str(caught.value)


def test_a_server_that_announces_nothing_wants_a_profile() -> None:
    with replying(Foreign()) as port, pytest.raises(BadData, match=r"does not say what it reads and sends.*gr00t.*profile=NAME\|FILE.toml"):
        load_policy(f"gr00t:tcp://127.0.0.1:{port}", QUICK)


def test_a_server_that_reads_other_things_than_the_profile_is_refused_with_both_sides(load: Load) -> None:
    said = modality_answer(MODALITIES | {"video": Modality(steps=(0,), keys=("image",))}, "n1.6")
    with replying(Foreign(modalities=said)) as port:
        with pytest.raises(ConventionMismatch, match=r"video: the server reads image; the profile has front, wrist\n.*\[wire.gr00t\]"):
            load(port)


def test_modalities_that_come_as_a_pickle_are_not_read(load: Load) -> None:
    with replying(Foreign(modalities=pickle.dumps({"video": 1}))) as port:
        with pytest.raises(BadReply, match="answers get_modality_config with what cannot be read .*send pickles, which never are"):
            load(port)


@pytest.mark.parametrize(
    ("argument", "options", "error", "words"),
    [
        ("gr00t", {}, BadData, "gr00t is the address of a server too: write gr00t:tcp://host:5555"),
        ("gr00t:host:5555", {}, BadData, "'host:5555' is no address of ZeroMQ: write tcp://host:port"),
        ("gr00t:tcp://h:1", {"dialekt": "n1.6"}, UnknownName, "no option of policy 'gr00t' is called 'dialekt'. Did you mean dialect?"),
        ("gr00t:tcp://h:1", {"dialect": "n1.4"}, UnknownName, "no dialect of gr00t is called 'n1.4'. Did you mean"),
        ("gr00t:tcp://h:1", {"batch": "0"}, BadData, "batch of gr00t is the number of observations in one request, not '0'"),
        ("gr00t:tcp://h:1", {"api_token_env": "NO_SUCH_VARIABLE"}, BadData, "'NO_SUCH_VARIABLE' does not exist"),
    ],
)
def test_what_cannot_be_is_told_before_anything_is_contacted(argument: str, options: dict[str, str], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        load_policy(argument, options)


def test_an_episode_that_was_not_begun_is_told(load: Load) -> None:
    with replying(Foreign()) as port, pytest.raises(NotReset, match="slot 9 was asked for actions before it was told its episode"):
        load(port).act({0: observation(), 9: observation()})
