"""A policy behind LeRobot's asynchronous inference acts, once its server is said to be trusted; one that goes wrong costs an episode and says why."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vlagym.envs.errors import BadData, BadReply, NotReset, PolicyTimeout, PolicyUnreachable, VlagymError
from vlagym.envs.types import ActionChunk, Observation
from vlagym.policies.base import EpisodeContext, Policy, check_chunks
from vlagym.policies.loading import load_policy

pytest.importorskip("grpc", reason="grpcio is not installed here: pip install 'vlagym[grpc]'")
import lerobot_server as server  # noqa: E402

PROFILE = """
name = "seven"
chunk_steps = 4
execute_steps = 2

[action]
name = "seven"
rate_hz = 20.0

[[action.components]]
name = "motion"
size = 7
convention = "delta_position"
frame = "base"
unit = "m"
scale = 1.0
low = [-9, -9, -9, -9, -9, -9, -9]
high = [9, 9, 9, 9, 9, 9, 9]

[[observation.images]]
name = "front"
width = 6
height = 4

[[observation.state]]
name = "joints"
size = 2

[wire.lerobot]
front = "observation.images.top"
"""
SAID = {"trust_pickle": "true", "type": "act", "checkpoint": "/models/act", "timeout": "20", "first_timeout": "20", "connect_timeout": "5"}


@pytest.fixture
def load(tmp_path: Path) -> Iterator[Callable[..., Policy]]:
    (tmp_path / "seven.toml").write_text(PROFILE)
    loaded: list[Policy] = []

    def make(address: str, **options: str) -> Policy:
        said = {"profile": str(tmp_path / "seven.toml"), **SAID, **options}
        loaded.append(load_policy(f"lerobot_grpc:{address}", {name: text for name, text in said.items() if text}))
        return loaded[-1]

    yield make
    for policy in loaded:
        policy.close()


def seen(x: float = 0.5, words: str = "lift the cube") -> Observation:
    return Observation(
        images={"front": np.full((4, 6, 3), 40, np.uint8)}, proprio={"joints": np.array([x, 0.25], np.float32)}, instruction=words, time_s=0.0
    )


def begin(policy: Policy, slot: int = 0) -> None:
    assert policy.spec.action is not None
    policy.reset(EpisodeContext(slot=slot, instruction="lift the cube", action=policy.spec.action, digest="00ff" * 8))


def play(policy: Policy, observation: Observation | None = None) -> ActionChunk:
    begin(policy)
    return policy.act({0: observation or seen()})[0]


def infer(timed: Any, steps: int) -> bytes:
    """Tells what the server has read: image, state, length of the sentence."""
    raw = vars(timed)["observation"]
    row = [raw["top"].mean() / 255, raw["state_0"], raw["state_1"], len(raw["task"]) / 100, 0, 0, 1]
    rows = np.array([row] * steps, np.float32)
    rows[:, 4] = np.arange(steps)
    return server.answer(rows, vars(timed)["timestep"])


def test_each_slot_gets_the_answer_to_what_it_sees(load: Callable[..., Policy]) -> None:
    with server.serving(infer) as there:
        policy = load(there.address)
        begin(policy, 0)
        begin(policy, 3)
        for _ in range(2):
            chunks = policy.act({0: seen(0.5), 3: seen(0.75, "stack")})
            check_chunks(chunks, [0, 3], chunks[0].spec)
            assert np.allclose(chunks[0].values[:, :5], [[40 / 255, 0.5, 0.25, 0.13, k] for k in range(4)], atol=1e-6)
            assert np.allclose(chunks[3].values[0, 1:4], [0.75, 0.25, 0.05])
    assert there.ready == 3 and len(there.configs) == 1
    assert vars(there.configs[0])["actions_per_chunk"] == 4 and vars(there.configs[0])["pretrained_name_or_path"] == "/models/act"
    assert all(vars(o)["must_go"] for o in there.observations)
    assert policy.spec.card["trust_pickle"] is True and not policy.spec.runs_in_worker


def test_pickles_are_off_unless_the_server_is_trusted(load: Callable[..., Policy]) -> None:
    for said in ("", "false"):
        with pytest.raises(BadData, match=r"off unless you say --policy-option trust_pickle=true\. LeRobot's protocol is Python pickles"):
            load("127.0.0.1:1", trust_pickle=said)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"type": ""}, r"say --policy-option type=TYPE, one of act, smolvla"),
        ({"type": "diffusion"}, r"is shown several observations, and LeRobot's server keeps none between its calls"),
        ({"checkpoint": ""}, r"say --policy-option checkpoint=DIR"),
        ({"profile": ""}, r"a guess would be a silent 0 %: give lerobot_grpc --policy-option profile=NAME"),
        ({"chunk": "0"}, r"chunk of lerobot_grpc is a number of actions, not '0'"),
        ({"execute": "9"}, r"9 actions of each chunk are to be executed, and a chunk"),
        ({"keys": "front=x"}, r"keys of lerobot_grpc sends the image 'front' as 'x'"),
        ({"max_mb": "1"}, r"no option of policy 'lerobot_grpc' is called 'max_mb'"),
    ],
)
def test_what_is_missing_or_cannot_be_is_said_before_anybody_is_asked(load: Callable[..., Policy], options: dict[str, str], complaint: str) -> None:
    with pytest.raises(VlagymError, match=complaint):
        load("127.0.0.1:1", **options)


def test_an_address_that_is_none_is_refused(load: Callable[..., Policy]) -> None:
    for address in ("grpc://host:80", "host", "host:x", "host:0"):
        with pytest.raises(BadData, match=r"is no address of a gRPC server: write host:port"):
            load(address)


def test_a_server_that_is_not_there_is_told_in_one_line(load: Callable[..., Policy]) -> None:
    with pytest.raises(PolicyUnreachable, match=r"nobody speaks gRPC at 127.0.0.1:1 within 0.3 s"):
        load("127.0.0.1:1", connect_timeout="0.3")


def test_a_checkpoint_that_the_server_cannot_load_is_told(load: Callable[..., Policy]) -> None:
    complaint = r"SendPolicyInstructions with the error UNKNOWN: .*config.json not found in nowhere"
    with server.serving(infer) as there, pytest.raises(BadReply, match=complaint):
        load(there.address, checkpoint="nowhere")


@pytest.mark.parametrize(
    ("how", "complaint"),
    [
        ("raises", r"sent no actions: its inference failed"),
        ("another", r"answers the observation 8; 1 was asked for"),
        ("short", r"the server sent 1 actions; 4 were asked for, and 2 are executed"),
        ("narrow", r"actions of 6 numbers, and the profile's have 7"),
        ("evil", r"a pickle names posix.system, which is not allowed"),
        ("large", r"sent more than 1 MiB \(option max_mib=N\)"),
    ],
)
def test_an_answer_that_goes_wrong_costs_an_episode(load: Callable[..., Policy], how: str, complaint: str) -> None:
    rows, calls = np.zeros((4, 7), np.float32), []

    def spoil(timed: Any, steps: int) -> bytes:
        calls.append(how)
        if len(calls) > 1:
            return infer(timed, steps)
        first = vars(timed)["timestep"]
        answers: dict[str, Callable[[], bytes]] = {
            "another": lambda: server.answer(rows, first + 7),
            "short": lambda: server.answer(rows[:1], first),
            "narrow": lambda: server.answer(rows[:, :6], first),
            "evil": lambda: b"\x80\x04cposix\nsystem\n(X\x04\x00\x00\x00truetR.",
            "large": lambda: bytes(2**21),
        }
        return answers[how]()

    with server.serving(spoil) as there:
        policy = load(there.address, max_mib="1")
        with pytest.raises(BadReply, match=complaint):
            play(policy)
        assert play(policy).values.shape == (4, 7)
        assert len(there.configs) == 2, "a connection over which an error came is made anew, and the server told again"


def test_a_server_that_takes_too_long_is_given_up(load: Callable[..., Policy]) -> None:
    def slow(timed: Any, steps: int) -> bytes:
        time.sleep(0.8)
        return infer(timed, steps)

    with server.serving(slow) as there:
        policy = load(there.address, first_timeout="0.3", timeout="0.3")
        with pytest.raises(PolicyTimeout, match=r"has not answered /transport.AsyncInference/GetActions within 0.3 s \(option first_timeout=S\)"):
            play(policy)


def test_a_server_that_goes_away_is_told_and_found_again_nowhere(load: Callable[..., Policy]) -> None:
    with server.serving(infer) as there:
        policy = load(there.address, connect_timeout="0.3")
        play(policy)
    with pytest.raises(PolicyUnreachable):
        play(policy)
    with pytest.raises(PolicyUnreachable, match=r"nobody speaks gRPC at"):
        begin(policy)


def test_an_episode_that_was_not_begun_is_not_answered(load: Callable[..., Policy]) -> None:
    with server.serving(infer) as there, pytest.raises(NotReset, match=r"slot 2 was asked for actions before it was told its episode"):
        load(there.address).act({2: seen()})
