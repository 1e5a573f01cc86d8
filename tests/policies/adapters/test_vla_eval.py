"""A model server of vla-eval that fails, lies, falls silent or is another one than was said costs its episode, never a wrong action."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import served
from raw_server import RawServer
from raw_websocket import closed_port, frame, raw_websocket
from vla_eval_servers import Reply, Talk, greet, model_server, profile_file

from vlagym.envs.errors import BadData, BadPolicyOutput, BadReply, ConventionMismatch, NotReset, PolicyUnreachable, UnknownName
from vlagym.envs.types import Observation
from vlagym.policies.adapters.vla_eval import POLICY, VlaEval
from vlagym.policies.base import check_chunks

SEEN = Observation(
    images={"front": np.full((16, 16, 3), 9, np.uint8)}, proprio={"ee_pos_base_m": np.ones(3, np.float32)}, instruction="lift it", time_s=0.0
)
QUICK = {"timeout": "0.5", "first_timeout": "1.5", "connect_timeout": "20"}


def answers(talk: Talk, message: dict[str, Any]) -> None:
    talk.act(message)


@pytest.fixture
def profile(tmp_path: Path) -> str:
    return profile_file(tmp_path)


@pytest.fixture
def made() -> Iterator[Callable[..., VlaEval]]:
    """Returns a maker of policies, which are closed afterwards."""
    policies: list[VlaEval] = []

    def make(url: str, **options: str) -> VlaEval:
        policies.append(POLICY(url, options))
        return policies[-1]

    yield make
    for policy in policies:
        policy.close()


def play(policy: VlaEval, slot: int = 0, instruction: str = "lift it", calls: int = 1) -> Any:
    policy.reset(served.context(slot, instruction))
    return [policy.act({slot: SEEN})[slot].values for _ in range(calls)][-1]


# ------------------------------------------------------------------------------------------------------------------------- all is well
def test_an_episode_is_told_from_its_start_to_its_end(made: Callable[..., VlaEval], profile: str) -> None:
    with model_server(answers) as heard:
        policy = made(heard.url, profile=profile, suite="spatial")
        assert play(policy, calls=2).shape == (1, 7)
        play(policy, instruction="open it")
        policy.close()
        deadline = time.monotonic() + 10
        while len(heard.of("episode_end")) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
    kinds = [m["type"] for m in heard.messages]
    assert kinds == "hello episode_start observation observation episode_end episode_start observation episode_end".split()
    assert [m["seq"] for m in heard.messages] == list(range(1, 9)) and heard.num_connections == 1
    task = {"name": "lift it", "digest": "00ff" * 8, "suite": "spatial"}
    assert heard.of("episode_start")[0] == {"task": task, "mode": "sync"}
    end = heard.of("episode_end")[0]
    assert (end["metrics"], end["steps"]) == ({}, 2) and 0 <= end["elapsed_sec"] < 60
    assert heard.of("hello")[0]["protocol_version"] == 1


def test_an_observation_holds_images_sentence_and_state(made: Callable[..., VlaEval], profile: str) -> None:
    with model_server(answers) as heard:
        play(made(heard.url, profile=profile, images="array"))
    (payload,) = heard.of("observation")
    assert list(payload) == ["images", "task_description", "states"] and payload["task_description"] == "lift it"
    assert payload["images"]["front"]["shape"] == [16, 16, 3] and payload["states"]["dtype"] == "<f4"


def test_what_the_server_does_not_ask_for_is_not_sent_and_the_header_says_so(made: Callable[..., VlaEval], profile: str) -> None:
    with model_server(answers, hello={"observation_params": {"seed": 0}, "observation_spec": {}}) as heard:
        policy = made(heard.url, profile=profile)
        play(policy)
    assert list(heard.of("observation")[0]) == ["images", "task_description"]
    card = policy.spec.card
    assert card["sent"] == {"images": ["front"], "state": False, "format": "png"} and card["not_followed"] == {"seed": 0}
    assert card["server"]["model_server"] == "Double" and card["profile"] == "mine" and card["ignored"] == []


def test_chunks_come_whole_where_the_server_sends_them(made: Callable[..., VlaEval], tmp_path: Path) -> None:
    with model_server(lambda talk, m: talk.act(m, values=[[0.1 * i] * 7 for i in range(4)])) as heard:
        policy = made(heard.url, profile=profile_file(tmp_path, chunk_steps="4"), execute="2")
        assert play(policy).shape == (4, 7) and (policy.spec.chunk_steps, policy.spec.execute_steps) == (4, 2)


def test_every_slot_has_a_line_of_its_own_and_all_are_asked_before_any_is_waited_for(made: Callable[..., VlaEval], profile: str) -> None:
    waiting: list[Callable[[], None]] = []

    def when_all_have_asked(talk: Talk, message: dict[str, Any]) -> None:
        waiting.append(lambda: talk.act(message, values=[talk.number / 10] * 7))
        if len(waiting) == 3:
            for answer in waiting:
                answer()

    with model_server(when_all_have_asked) as heard:
        policy = made(heard.url, profile=profile, timeout="10", first_timeout="10")
        for slot in (0, 1, 5):
            policy.reset(served.context(slot, "lift it"))
        chunks = policy.act({slot: SEEN for slot in (0, 1, 5)})
    assert [round(float(chunks[slot].values[0, 0]), 1) for slot in (0, 1, 5)] == [0.0, 0.1, 0.2]


# ----------------------------------------------------------------------------------------------------------------------- what fails
def test_a_late_answer_to_an_earlier_question_is_dropped(made: Callable[..., VlaEval], profile: str) -> None:
    """After a failed start, vla-eval's own client takes every answer for that to the next question."""

    def refuse_once(talk: Talk, message: dict[str, Any]) -> None:
        if message["payload"]["task"]["name"] == "refuse":
            talk.say("error", {"error": "episode_start_failed: RuntimeError: no such task"}, message["seq"])

    with model_server(lambda talk, m: talk.act(m, values=[m["seq"] / 100] * 7), on_start=refuse_once) as heard:
        policy = made(heard.url, profile=profile)
        with pytest.raises(BadReply, match="tells of an error: episode_start_failed: RuntimeError: no such task"):
            play(policy, instruction="refuse")
        assert float(play(policy)[0, 0]) == pytest.approx(heard.messages[-1]["seq"] / 100)
        assert heard.num_connections == 1


def test_an_error_that_is_told_costs_the_episode_and_keeps_the_connection(made: Callable[..., VlaEval], profile: str) -> None:
    def err_on_first(talk: Talk, message: dict[str, Any]) -> None:
        if message["seq"] == 3:
            talk.say("error", {"error": "observation_failed: ValueError: bad obs"}, 3)
        else:
            talk.act(message)

    with model_server(err_on_first) as heard:
        policy = made(heard.url, profile=profile)
        with pytest.raises(BadReply, match=f"{heard.url} tells of an error: observation_failed: ValueError: bad obs"):
            play(policy)
        assert play(policy).shape == (1, 7) and heard.num_connections == 1


@pytest.mark.parametrize("seq", [0, 99, -1])
def test_an_answer_with_another_sequence_number_is_refused(made: Callable[..., VlaEval], profile: str, seq: int) -> None:
    with model_server(lambda talk, m: talk.act(m, seq=seq if talk.number == 0 else None)) as heard:
        policy = made(heard.url, profile=profile)
        with pytest.raises(BadReply, match=f"sent 'action' with seq {seq}, and was asked with 3; the connection was closed"):
            play(policy)
        assert play(policy).shape == (1, 7) and heard.num_connections == 2


def drop(talk: Talk, message: dict[str, Any]) -> None:
    talk.drop()


def stay_silent(talk: Talk, message: dict[str, Any]) -> None:
    return None


def send_text(talk: Talk, message: dict[str, Any]) -> None:
    talk.send("Traceback (most recent call last):\n  ...\nRuntimeError: CUDA out of memory")


def send_pickle(talk: Talk, message: dict[str, Any]) -> None:
    talk.send(b"\x80\x04\x95\x1d\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94\x93\x94\x8c\x04true\x94\x85\x94R\x94.")


def say_hello_again(talk: Talk, message: dict[str, Any]) -> None:
    greet(talk, message)


@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        (drop, PolicyUnreachable, "dropped the connection without a word"),
        (stay_silent, PolicyUnreachable, r"has not answered within 1.5 s \(option first_timeout=S\)"),
        (send_text, BadReply, "a text came where messages are binary: 'Traceback.*CUDA out of memory"),
        (send_pickle, BadReply, "extensions are not read|bytes follow|ends before"),
        (say_hello_again, BadReply, "answers an observation with 'hello'"),
        (lambda talk, m: talk.say("action", {"reward": 1.0}, m["seq"]), BadReply, "the answer has no 'actions'; it has reward"),
        (lambda talk, m: talk.say("action", {"actions": "none"}, m["seq"]), BadReply, "are .* numbers are wanted"),
    ],
)
def test_what_goes_wrong_in_an_episode_costs_it_and_the_next_one_works(
    made: Callable[..., VlaEval], profile: str, bad: Reply, error: type[Exception], message: str
) -> None:
    first = True

    def bad_at_first(talk: Talk, m: dict[str, Any]) -> None:
        nonlocal first
        was_first, first = first, False
        (bad if was_first else answers)(talk, m)

    with model_server(bad_at_first) as heard:
        policy = made(heard.url, profile=profile, **QUICK)
        with pytest.raises(error, match=message):
            play(policy)
        assert play(policy).shape == (1, 7)


def test_after_the_first_answer_there_is_less_time(made: Callable[..., VlaEval], profile: str) -> None:
    def slow_then_silent(talk: Talk, message: dict[str, Any]) -> None:
        if message["seq"] == 3:
            time.sleep(0.5)
            talk.act(message)

    with model_server(slow_then_silent) as heard:
        policy = made(heard.url, profile=profile, timeout="0.2", first_timeout="10")
        with pytest.raises(PolicyUnreachable, match=r"has not answered within 0.2 s \(option timeout=S\)"):
            play(policy, calls=2)


def test_a_server_that_is_up_again_is_found_by_the_next_episode(made: Callable[..., VlaEval], profile: str) -> None:
    def closes_after_an_answer(talk: Talk, message: dict[str, Any]) -> None:
        talk.act(message)
        talk.drop()

    with model_server(closes_after_an_answer) as heard:
        policy = made(heard.url, profile=profile)
        for _ in range(3):
            play(policy)
            time.sleep(0.05)
        assert heard.num_connections == 3


def test_a_server_that_has_gone_costs_every_episode(made: Callable[..., VlaEval], profile: str) -> None:
    with model_server(answers) as heard:
        policy = made(heard.url, profile=profile, **QUICK)
        play(policy)
        url = heard.url
    for _ in range(2):
        with pytest.raises(PolicyUnreachable, match=f"nobody answers at {url}|dropped the connection|closed the connection"):
            play(policy)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([0.0] * 6, r"a chunk of shape \(1, 6\); mine wants \(T, 7\)"),
        ([0.0, 0.0, float("nan"), 0.0, 0.0, 0.0, 0.0], "sent nan in step 0, component 2"),
    ],
)
def test_chunks_of_another_size_and_of_no_numbers_are_refused_by_who_asked(
    made: Callable[..., VlaEval], profile: str, values: list[float], message: str
) -> None:
    with model_server(lambda talk, m: talk.act(m, values=values)) as heard:
        policy = made(heard.url, profile=profile)
        policy.reset(served.context())
        chunks = policy.act({0: SEEN})
        assert policy.spec.action is not None
        with pytest.raises(BadPolicyOutput, match=message):
            check_chunks(chunks, [0], policy.spec.action)


def test_a_message_that_announces_ten_gigabytes_is_not_read(made: Callable[..., VlaEval], profile: str) -> None:
    import msgpack

    def lie(connection: Any, over: Any) -> None:
        hello = {"harness_version": "0.8.0", "protocol_version": 1, "model_server": "Liar", "capabilities": {}}
        connection.recv(1 << 16)
        connection.sendall(frame(msgpack.packb({"type": "hello", "payload": hello, "seq": 1, "timestamp": 0.0})))
        connection.recv(1 << 16)
        connection.sendall(frame(b"", announced=10 * 2**30))
        over.wait(10)

    with raw_websocket(lie) as url:
        policy = made(url, profile=profile, timeout="5", first_timeout="5")
        with pytest.raises(BadReply, match=r"announced a message that is larger than 64 MiB \(option max_mib=N\); it was not read"):
            play(policy)


# ------------------------------------------------------------------------------------------------------------------ before it begins
def test_a_server_that_is_not_up_is_one_line(profile: str) -> None:
    url = closed_port()
    with pytest.raises(PolicyUnreachable, match=rf"nobody answers at {url} \(Connection refused\): is the server up"):
        POLICY(url, {"profile": profile})


def test_a_server_that_never_greets_is_one_line(profile: str) -> None:
    with model_server(answers, on_hello=stay_silent) as heard:
        message = r"has not answered within 0.3 s \(option timeout=S\): a model server of vla-eval answers a hello"
        with pytest.raises(PolicyUnreachable, match=message):
            POLICY(heard.url, {"profile": profile, "timeout": "0.3", "connect_timeout": "0.2"})


def test_a_server_of_openpi_is_recognised(profile: str) -> None:
    import msgpack

    def push_metadata(talk: Talk, message: dict[str, Any]) -> None:
        talk.send(msgpack.packb({"reset_pose": [1.0]}))

    with model_server(answers, on_hello=push_metadata) as heard:
        with pytest.raises(BadReply, match="it is a map of reset_pose. Is it a model server of vla-eval.* openpi:ws://"):
            POLICY(heard.url, {"profile": profile})


@pytest.mark.parametrize(
    ("kind", "seq", "message"),
    [("hello", 7, "answers a hello of seq 1 with 'hello' of seq 7, which holds error"), ("error", 1, "answers a hello of seq 1 with 'error' no")],
)
def test_a_greeting_that_is_none_is_refused(profile: str, kind: str, seq: int, message: str) -> None:
    with model_server(answers, on_hello=lambda talk, m: talk.say(kind, {"error": "no"}, seq)) as heard:
        with pytest.raises(BadReply, match=message):
            POLICY(heard.url, {"profile": profile})


def test_a_server_that_contradicts_the_profile_is_refused_with_every_part(profile: str) -> None:
    spec = {
        "gripper": {"name": "gripper", "dims": 1, "format": "binary_close_negative"},
        "rotation": {"name": "rotation", "dims": 3, "format": "euler_xyz"},
    }
    with model_server(answers, hello={"action_spec": spec, "protocol_version": 2}) as heard:
        with pytest.raises(ConventionMismatch) as caught:
            POLICY(heard.url, {"profile": profile})
        assert str(caught.value) == (
            f"the server at {heard.url} and the profile 'mine' do not fit:\n"
            "- action gripper: it sends 'binary_close_negative', and the profile declares 'gripper_closed_positive', "
            "which is 'binary_close_positive'\n"
            "- action rotation: it sends 'euler_xyz', and the profile declares 'delta_axis_angle', which is 'axis_angle'\n"
            "- protocol: it speaks version 2, and 1 is known here\n"
            "Choose the profile of what it was trained with; where the server is wrong about itself, add --policy-option announced=ignore"
        )
        policy = POLICY(heard.url, {"profile": profile, "announced": "ignore"})
        policy.close()
        assert len(policy.spec.card["ignored"]) == 3, "the run header says what was ignored"


def test_a_server_that_says_nothing_of_itself_needs_a_profile() -> None:
    with model_server(answers) as heard:
        with pytest.raises(BadData, match=f"{heard.url} does not say what it reads and sends.*profile=NAME.*There are: .*libero"):
            POLICY(heard.url, {})


def test_a_server_that_is_another_one_after_a_while_is_refused(made: Callable[..., VlaEval], profile: str) -> None:
    def change(talk: Talk, message: dict[str, Any]) -> None:
        greet(talk, message, model_server=f"Number {talk.number}")

    with model_server(drop, on_hello=change) as heard:
        policy = made(heard.url, profile=profile)
        with pytest.raises(PolicyUnreachable):
            play(policy)
        with pytest.raises(BadReply, match="is another one than before: its hello has changed; begin a run of its own for it"):
            play(policy)


@pytest.mark.parametrize(
    ("argument", "options", "error", "message"),
    [
        (None, {}, BadData, "vla_eval needs the address of a server: vla_eval:ws://host:8000"),
        ("localhost:8000", {}, BadData, "is no address of a WebSocket server: write ws://host:port/path"),
        ("ws://h:1", {"profil": "x"}, UnknownName, "no option of policy 'vla_eval' is called 'profil'. Did you mean profile?"),
        ("ws://h:1", {"images": "gif"}, UnknownName, "no format of images is called 'gif'"),
        ("ws://h:1", {"announced": "yes"}, UnknownName, "no way to treat what a server announces is called 'yes'. There are: compare, ignore"),
        ("ws://h:1", {"execute": "0"}, BadData, "execute of vla_eval is the number of actions of a chunk that are executed, not '0'"),
        ("ws://h:1", {"timeout": "soon"}, BadData, "timeout of vla_eval is a number of seconds above 0, not 'soon'"),
    ],
)
def test_what_makes_no_sense_is_refused(argument: str | None, options: dict[str, str], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        POLICY(argument, options)


def test_an_episode_that_was_not_begun_is_not_asked_about(made: Callable[..., VlaEval], profile: str) -> None:
    with model_server(answers) as heard:
        policy = made(heard.url, profile=profile)
        with pytest.raises(NotReset, match="slot 3 was asked for actions before it was told its episode"):
            policy.act({3: SEEN})


def test_a_port_that_says_nothing_is_given_up_soon_and_told_of_before(profile: str, caplog: pytest.LogCaptureFixture) -> None:
    def silent(server: RawServer, line: socket.socket) -> None:
        server.is_over.wait(20)

    began_s = time.monotonic()
    with caplog.at_level("WARNING"), RawServer(silent) as server:
        with pytest.raises(PolicyUnreachable, match=r"took no WebSocket within 0.6 s \(option connect_timeout=S\): is it the right port\?"):
            POLICY(f"ws://127.0.0.1:{server.port}", {"profile": profile, "connect_timeout": "0.6"})
    assert time.monotonic() - began_s < 10
    assert "opens no WebSocket yet: is it the right port? It has up to 0.6 s (option connect_timeout=S)" in caplog.text
