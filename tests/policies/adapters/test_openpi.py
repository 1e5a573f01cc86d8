"""A policy behind an openpi server acts; one that goes wrong costs an episode, says why, and is asked again in the next."""

from __future__ import annotations

import pickle
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import openpi_servers as servers
import pytest
from raw_websocket import closed_port, frame, goodbye, raw_websocket, sends
from vla_eval_servers import model_server

from vlagym.envs.errors import BadData, BadPolicyOutput, BadReply, ConventionMismatch, NotReset, PolicyUnreachable, UnknownName, VlagymError
from vlagym.envs.types import ActionChunk, Observation
from vlagym.policies.base import EpisodeContext, Policy, check_chunks
from vlagym.policies.connections import websocket
from vlagym.policies.loading import load_policy
from vlagym.policies.profile import load_profile

PROFILE = """
name = "seven"
chunk_steps = 10
execute_steps = 5

[action]
name = "seven"
rate_hz = 20.0

[[action.components]]
name = "motion"
size = 6
convention = "delta_position"
frame = "base"
unit = "m"
scale = 1.0
low = [-1, -1, -1, -1, -1, -1]
high = [1, 1, 1, 1, 1, 1]

[[action.components]]
name = "gripper"
size = 1
convention = "gripper_closed_positive"
frame = "joint"
unit = "fraction"
scale = 1.0
low = [-1]
high = [1]

[[observation.images]]
name = "front"
width = 6
height = 4

[[observation.images]]
name = "wrist"
width = 6
height = 4

[[observation.state]]
name = "state"
size = 8

[wire.openpi]
front = "observation/image"
wrist = "observation/wrist_image"
state = "observation/state"
"""
CHUNK = np.linspace(-1, 1, 70).reshape(10, 7).astype(np.float32)
LIMITS = {"timeout": "20", "first_timeout": "20", "connect_timeout": "10"}
CONFIG = {"image_resolution": [4, 6], "needs_wrist_camera": True, "n_external_cameras": 1, "needs_stereo_camera": False, "needs_session_id": True}
SEEN = Observation(
    images={"front": np.full((4, 6, 3), 1, np.uint8), "wrist": np.full((4, 6, 3), 2, np.uint8)},
    proprio={"state": np.arange(8, dtype=np.float32)},
    instruction="stack the red block on the blue one",
    time_s=0.0,
)


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits long for a goodbye."""
    monkeypatch.setattr(websocket, "_CLOSE_TIMEOUT_S", 0.05)
    monkeypatch.setattr(websocket, "_LOOK_S", 0.05)


@pytest.fixture
def load(tmp_path: Path) -> Iterator[Callable[..., Policy]]:
    """Returns a loader of the policy at an address, with the profile above; what it loads is closed at the end."""
    (tmp_path / "seven.toml").write_text(PROFILE)
    loaded: list[Policy] = []

    def make(url: str, **options: str) -> Policy:
        said = {"profile": str(tmp_path / "seven.toml"), **LIMITS, **options}
        loaded.append(load_policy(f"openpi:{url}", {name: text for name, text in said.items() if text}))
        return loaded[-1]

    yield make
    for policy in loaded:
        policy.close()


def answer(message: Any) -> dict[str, Any]:
    return {"actions": CHUNK}


def begin(policy: Policy, slot: int = 0, digest: str = "0a" * 16) -> None:
    assert policy.spec.action is not None
    policy.reset(EpisodeContext(slot=slot, instruction=SEEN.instruction, action=policy.spec.action, digest=digest))


def play(policy: Policy, slot: int = 0) -> ActionChunk:
    """Begins an episode and returns the first chunk, checked as the runner does."""
    begin(policy, slot)
    chunks = policy.act({slot: SEEN})
    assert policy.spec.action is not None
    check_chunks(chunks, [slot], policy.spec.action)
    return chunks[slot]


# ------------------------------------------------------------------------------------------------------------------- what goes well
def test_openpi_is_asked_with_the_names_of_the_profile(load: Callable[..., Policy]) -> None:
    with servers.openpi(answer, {"reset_pose": [0, -1.5], "odd": np.float32(np.nan)}) as server:
        policy = load(server.url, execute="7")
        assert np.array_equal(play(policy).values, CHUNK)
        assert list(server.requests[0]) == ["observation/image", "observation/wrist_image", "observation/state", "prompt"]
        assert np.array_equal(server.requests[0]["observation/wrist_image"], SEEN.images["wrist"])
        assert server.requests[0]["prompt"] == SEEN.instruction
    spec = policy.spec
    assert (spec.chunk_steps, spec.execute_steps, spec.runs_in_worker, spec.profile) == (10, 7, True, "seven")
    assert spec.card == {"url": server.url, "dialect": "openpi", "profile": "seven", "server": {"reset_pose": [0, -1.5], "odd": "nan"}}


def test_roboarena_is_told_of_episodes(load: Callable[..., Policy]) -> None:
    with servers.roboarena(answer, CONFIG) as server:
        policy = load(server.url)
        for digest in ("0a" * 16, "0b" * 16):
            begin(policy, digest=digest)
            policy.act({0: SEEN})
        assert server.resets == ["0a" * 16, "0b" * 16] and server.connections == 1
        wanted = ["observation/exterior_image_0_left", "observation/wrist_image_left", "observation/state", "prompt"]
        assert [list(request) for request in server.requests] == [wanted, wanted]


def test_roboarena_is_told_the_session_only_if_it_wants_it(load: Callable[..., Policy]) -> None:
    with servers.roboarena(answer, CONFIG | {"needs_session_id": False}) as server:
        play(load(server.url))
        assert "session_id" not in server.requests[0]


def test_vllm_omni_is_asked_again_after_it_has_cut_an_idle_connection(load: Callable[..., Policy]) -> None:
    parts = {"motion": CHUNK[None, :, :6], "gripper": CHUNK[None, :, 6:]}
    with servers.vllm_omni(lambda message: parts, CONFIG | {"action_horizon": 8}, idle_s=0.1) as server:
        policy = load(server.url)
        assert policy.spec.chunk_steps == 8 and policy.spec.card["dialect"] == "vllm_omni"
        assert np.array_equal(play(policy).values, CHUNK)
        time.sleep(0.6)
        assert np.array_equal(policy.act({0: SEEN})[0].values, CHUNK)
        assert server.connections == 2 and server.resets == ["0a" * 16] * 2, "it is told again which episode it is"
        assert [request["seed"] for request in server.requests] == [0x0A0A0A0A, 0x0A0A0A0B], "its noise is the episode's"


def test_sglang_is_asked_in_its_own_words(load: Callable[..., Policy]) -> None:
    said = {"input": {"image_keys": ["front", "wrist"], "state_dim": 8}, "output": {"action_horizon": 10, "action_dim": 7}}
    with servers.sglang(lambda message: CHUNK, said) as server:
        policy = load(server.url)
        assert np.array_equal(play(policy).values, CHUNK) and policy.spec.card["dialect"] == "sglang"
        assert list(server.requests[0]) == ["observation.images.front", "observation.images.wrist", "observation.state", "task", "seed"]


def test_a_dialect_that_is_said_is_not_guessed(load: Callable[..., Policy]) -> None:
    with servers.openpi(lambda message: CHUNK, {"n_external_cameras": 1}) as server:
        policy = load(server.url, dialect="openpi")
        assert np.array_equal(play(policy).values, CHUNK) and "endpoint" not in server.requests[0]


def test_each_slot_has_a_connection_of_its_own(load: Callable[..., Policy]) -> None:
    with servers.roboarena(lambda message: CHUNK * float(message["observation/state"][0]), CONFIG) as server:
        policy = load(server.url)
        for slot in (0, 3):
            begin(policy, slot)
        chunks = policy.act({slot: replace(SEEN, proprio={"state": np.full(8, x, np.float32)}) for slot, x in ((0, 1.0), (3, 0.5))})
        assert np.array_equal(chunks[0].values, CHUNK) and np.array_equal(chunks[3].values, CHUNK * np.float32(0.5))
        assert server.connections == 2
        begin(policy, 0)
        assert server.connections == 2, "a slot keeps its own"


def test_a_key_comes_from_a_variable_and_goes_into_a_header(load: Callable[..., Policy], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROBOT_KEY", "s3cret")
    with servers.openpi(answer) as server:
        assert "s3cret" not in str(load(server.url, api_key_env="ROBOT_KEY").spec)
        load(server.url, api_key_env="ROBOT_KEY", api_key_scheme="Bearer")
        load(server.url)
        assert server.authorization == ["Api-Key s3cret", "Bearer s3cret", None]
    with servers.vllm_omni(answer, CONFIG) as server:
        load(server.url, api_key_env="ROBOT_KEY")
        assert server.authorization == ["Bearer s3cret"]
    with pytest.raises(BadData, match=r"'NO_SUCH_KEY' does not exist"):
        load(server.url, api_key_env="NO_SUCH_KEY")


# -------------------------------------------------------------------------------------------------------------------- what is refused
def test_without_a_profile_nothing_is_guessed(load: Callable[..., Policy]) -> None:
    complaint = r"does not say what it reads and sends.*--policy-option profile=NAME\|FILE.toml. There are: .*libero"
    with servers.openpi(answer) as server, pytest.raises(BadData, match=complaint):
        load(server.url, profile="")


def test_a_server_that_announces_a_profile_needs_none(load: Callable[..., Policy], tmp_path: Path) -> None:
    profile = load_profile(str(tmp_path / "seven.toml"))
    with servers.openpi(answer, {"vlagym": profile.to_plain()}) as server:
        policy = load(server.url, profile="")
        assert np.array_equal(play(policy).values, CHUNK)
        assert policy.spec.action == profile.action and policy.spec.observation == profile.observation
        assert server.requests[0]["session_id"] == "0a" * 16, "a server of ours is told which episode it is"
        with pytest.raises(ConventionMismatch, match=r"announces the profile 'seven', and the profile 'libero' that was named says otherwise: action"):
            load(server.url, profile="libero")
    with servers.openpi(answer, {"vlagym": {"name": "half"}}) as server, pytest.raises(BadReply, match=r"announces what is no profile"):
        load(server.url, profile="")


def test_what_server_and_profile_say_must_fit(load: Callable[..., Policy]) -> None:
    config = CONFIG | {"n_external_cameras": 2, "action_space": "joint_velocity"}
    with servers.roboarena(answer, config) as server, pytest.raises(ConventionMismatch) as told:
        load(server.url)
    assert "and the profile 'seven' do not fit:\n- the server wants the image 'observation/exterior_image_1_left'" in str(told.value)
    assert "- the server acts in the space 'joint_velocity', and the profile in delta_position, gripper_closed_positive" in str(told.value)


@pytest.mark.parametrize(
    ("text", "options", "kind", "complaint"),
    [
        ("openpi", {}, BadData, r"write openpi:ws://host:8000"),
        ("openpi:host:8000", {}, BadData, r"is no address of a WebSocket server"),
        ("openpi:ws://me:secret@host:8000", {}, BadData, r"holds no name and no key.*: see the option api_key_env"),
        ("openpi:ws://host", {"no_such_option": "1"}, UnknownName, r"no option of policy 'openpi' is called 'no_such_option'. There are: "),
        ("openpi:ws://host", {"dialect": "open_pi"}, UnknownName, r"no dialect of openpi is called 'open_pi'. Did you mean openpi\?"),
        ("openpi:ws://host", {"execute": "0"}, BadData, r"execute of openpi is the number of actions"),
        ("openpi:ws://host", {"timeout": "soon"}, BadData, r"timeout of openpi is a number of seconds"),
        ("openpi:ws://host", {"api_key_scheme": "Basic"}, BadData, r"api_key_scheme of openpi is Api-Key or Bearer, not 'Basic'"),
    ],
)
def test_options_that_make_no_sense_are_refused_before_anybody_is_contacted(text: str, options: dict[str, str], kind: Any, complaint: str) -> None:
    with pytest.raises(kind, match=complaint):
        load_policy(text, options)


def test_a_profile_with_a_history_cannot_be_asked_by_this_protocol(load: Callable[..., Policy], tmp_path: Path) -> None:
    (tmp_path / "seven.toml").write_text("history = [-1, 0]\n" + PROFILE)
    with servers.openpi(answer) as server, pytest.raises(BadData, match=r"sends one observation at a time, and the profile 'seven' wants"):
        load(server.url)


def test_a_server_that_is_not_up_is_one_line(load: Callable[..., Policy]) -> None:
    with pytest.raises(PolicyUnreachable, match=r"^nobody answers at ws://127.0.0.1:\d+ \(Connection refused\): is the server up, [^\n]*$"):
        load(closed_port())


def test_who_was_never_told_its_episode_gets_no_action(load: Callable[..., Policy]) -> None:
    with servers.openpi(answer) as server, pytest.raises(NotReset, match="slot 4 was asked for actions before"):
        load(server.url).act({4: SEEN})


# ------------------------------------------------------------------------------------------------------------------- what goes wrong
def spoiled(how: str) -> Callable[[dict[str, Any]], Any]:
    """Returns what a server answers: something wrong the first time, something right ever after."""
    count = iter(range(1000))
    bad = {
        "nan": {"actions": np.where(np.arange(70).reshape(10, 7) == 8, np.nan, CHUNK)},
        "six": {"actions": CHUNK[:, :6]},
        "short": {"actions": CHUNK[:3]},
        "none": {"actions": np.zeros((0, 7))},
        "text": {"actions": "go left"},
        "empty": {},
        "error": {"error": "CUDA out of memory"},
    }

    def infer(message: dict[str, Any]) -> Any:
        if next(count) > 0:
            return {"actions": CHUNK}
        if how == "raises":
            raise RuntimeError("no such checkpoint")
        return bad[how]

    return infer


@pytest.mark.parametrize(
    ("how", "kind", "complaint"),
    [
        ("raises", BadReply, r"the server answers with an error: (?s:.*)RuntimeError: no such checkpoint"),
        ("error", BadReply, r"the server answers with an error: CUDA out of memory"),
        ("nan", BadPolicyOutput, r"sent nan in step 1, component 1 of its chunk"),
        ("six", BadReply, r"'actions' has the shape \(10, 6\); \(T, 7\)"),
        ("short", BadReply, r"sent 3 actions, and 5 are executed of each chunk \(option execute=N\)"),
        ("none", BadReply, r"'actions' has the shape \(0, 7\)"),
        ("text", BadReply, r"'actions' holds 'go left'; numbers are wanted"),
        ("empty", BadReply, r"the answer holds 'server_timing', and no actions: 'actions', or 'motion', 'gripper' is wanted"),
    ],
)
def test_an_answer_that_is_none_costs_an_episode(load: Callable[..., Policy], how: str, kind: type[VlagymError], complaint: str) -> None:
    with servers.openpi(spoiled(how)) as server:
        policy = load(server.url)
        with pytest.raises(kind, match=complaint):
            play(policy)
        assert np.array_equal(play(policy).values, CHUNK)


def test_errors_of_the_other_dialects_are_told(load: Callable[..., Policy]) -> None:
    spoilt: list[Any] = [server(spoiled("raises"), CONFIG) for server in (servers.vllm_omni, servers.roboarena, servers.sglang)]
    for serving in spoilt:
        with serving as server:
            policy = load(server.url)
            with pytest.raises(BadReply, match=r"answers with an error: (?s:.*)no such checkpoint"):
                play(policy)
            begin(policy)
            assert server.connections == 2, "a connection over which an error came is made anew"


def test_a_model_that_compiles_has_time_for_its_first_answer(load: Callable[..., Policy]) -> None:
    def slow(message: Any) -> Any:
        time.sleep(0.5)
        return {"actions": CHUNK}

    with servers.openpi(slow) as server:
        policy = load(server.url, timeout="0.4")
        play(policy)
        with pytest.raises(PolicyUnreachable, match=r"has not answered within 0.4 s \(option timeout=S\)"):
            policy.act({0: SEEN})


HUGE = 10 * 2**30
METADATA = frame(b"\x80")


@pytest.mark.parametrize(
    ("reply", "kind", "complaint"),
    [
        (frame(b"Traceback\nKeyError: 'observation/state'", opcode=1) + goodbye(1011, "x"), BadReply, r"answers with an error: Traceback KeyError"),
        (frame(pickle.dumps({"actions": CHUNK})), BadReply, r"sent what is no answer: "),
        (frame(servers.pack({"actions": CHUNK})[:-9]), BadReply, r"sent what is no answer: "),
        (frame(b"x", announced=HUGE), BadReply, r"announced a message that is larger than 64 MiB \(option max_mib=N\)"),
        (frame(b"\xc6\xff\xff\xff\xff"), BadReply, r"announces 4294967295 bytes"),
        (frame(b"\x90"), BadReply, r"the answer has the shape \(0,\)"),
        (b"", PolicyUnreachable, r"dropped the connection without a word"),
        (goodbye(1001, "shutting down"), PolicyUnreachable, r"closed the connection with code 1001 \(shutting down\)"),
        (frame(b"half", announced=100), PolicyUnreachable, r"dropped the connection without a word"),
    ],
    ids=["traceback", "pickle", "cut", "10GB", "4GB", "list", "drops", "leaves", "half"],
)
def test_a_reply_that_goes_wrong_costs_an_episode(load: Callable[..., Policy], reply: bytes, kind: type[VlagymError], complaint: str) -> None:
    is_spoiled = threading.Event()

    def act(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(METADATA)
        connection.recv(2**16)
        if is_spoiled.is_set():
            connection.sendall(frame(servers.pack({"actions": CHUNK})))
            over.wait(20)
        else:
            is_spoiled.set()
            connection.sendall(reply)

    with raw_websocket(act) as url:
        policy = load(url)
        began_s = time.monotonic()
        with pytest.raises(kind, match=complaint):
            play(policy)
        assert time.monotonic() - began_s < 5
        assert np.array_equal(play(policy).values, CHUNK)


def test_a_server_that_is_busy_with_others_is_waited_for_and_told_of(load: Callable[..., Policy], caplog: pytest.LogCaptureFixture) -> None:
    def act(connection: socket.socket, over: threading.Event) -> None:
        time.sleep(0.6)
        sends(METADATA)(connection, over)

    with raw_websocket(act, delay_s=0.2) as url:
        load(url, connect_timeout="0.1")
    assert f"{url} has taken the connection and says nothing yet: it answers somebody else, or is no server of openpi's kind" in caplog.text


def test_a_server_that_never_answers_is_given_up(load: Callable[..., Policy]) -> None:
    with raw_websocket(sends(METADATA)) as url:
        policy = load(url, first_timeout="0.6")
        with pytest.raises(PolicyUnreachable, match=r"has not answered within 0.6 s \(option first_timeout=S\)"):
            play(policy)
        policy.close()
    with raw_websocket(sends()) as url:
        with pytest.raises(PolicyUnreachable, match=r"has not answered within 0.6 s \(option first_timeout=S\)"):
            load(url, first_timeout="0.6")


def test_a_server_that_is_not_busy_and_says_nothing_is_not_waited_for(load: Callable[..., Policy]) -> None:
    began_s = time.monotonic()
    with model_server(lambda talk, message: None) as heard, pytest.raises(BadReply, match=r"says nothing within 0.4 s .*it is not busy.*vla_eval:ws://"):
        load(heard.url, first_timeout="600", connect_timeout="0.4")
    assert time.monotonic() - began_s < 20


@pytest.mark.parametrize(
    ("first", "complaint"), [(frame(b"busy", opcode=1), r"this one holds busy"), (frame(b"\x90"), r"this one holds list, which is no map")]
)
def test_a_first_frame_that_is_none_is_told(load: Callable[..., Policy], first: bytes, complaint: str) -> None:
    with raw_websocket(sends(first)) as url, pytest.raises(BadReply, match=complaint):
        load(url)


def test_a_memory_that_is_lost_in_mid_episode_ends_it(load: Callable[..., Policy]) -> None:
    lost = threading.Event()

    def act(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(frame(servers.pack(CONFIG)))
        for reply in (frame(b"reset successful", opcode=1), frame(servers.pack(CHUNK))):
            connection.recv(2**16)
            connection.sendall(reply)
        if lost.is_set():
            over.wait(20)
        lost.set()

    with raw_websocket(act) as url:
        policy = load(url)
        play(policy)
        time.sleep(0.5)
        with pytest.raises(PolicyUnreachable, match=r"was lost in mid-episode, and with it what the policy remembers"):
            policy.act({0: SEEN})
        assert np.array_equal(play(policy).values, CHUNK)


def test_another_server_at_the_same_address_is_found_out(load: Callable[..., Policy], tmp_path: Path) -> None:
    plain = load_profile(str(tmp_path / "seven.toml")).to_plain()
    announced = iter([plain, plain | {"chunk_steps": 20}])

    def act(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(frame(servers.pack({"vlagym": next(announced)})))

    with raw_websocket(act) as url:
        policy = load(url)
        time.sleep(0.5)
        with pytest.raises(BadReply, match=r"is another one than before: what it says of itself has changed"):
            begin(policy)
