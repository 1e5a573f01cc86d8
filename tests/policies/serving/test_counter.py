"""The counter of a server: many clients and one policy, whose answers do not depend on who else asks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import served

from vlagym.envs.errors import BadData, BadPolicyOutput, VlagymError
from vlagym.envs.types import ImageComponent
from vlagym.policies.adapters import hold
from vlagym.policies.serving.counter import Counter, Earlier, servable

Opened = Callable[..., tuple[Counter, served.Echo]]


@pytest.fixture
def opened() -> Iterator[Opened]:
    """Returns a maker of counters and the policies behind them."""
    made: list[Counter] = []

    def make(policy: served.Echo | None = None, **options: Any) -> tuple[Counter, served.Echo]:
        policy = policy or served.Echo()
        made.append(Counter(policy, **options))
        return made[-1], policy

    yield make
    for counter in made:
        counter.close()


def ask(counter: Counter, client: str, instruction: str = "lift the cube", level: int = 100, x: float = 0.1) -> Any:
    return counter.answer(client, served.frames(level), served.state(x), instruction).values


def test_an_answer_is_what_the_policy_says_of_the_same_observation(opened: Opened) -> None:
    counter, policy = opened()
    counter.begin("a", digest="00ff" * 8)
    alone = served.Echo()
    alone.reset(served.context())
    assert np.array_equal(ask(counter, "a"), alone.act({0: served.observation()})[0].values)
    assert policy.begun == [(0, "lift the cube", "00ff" * 8)]


def test_an_episode_begins_with_a_new_client_a_new_sentence_and_a_word(opened: Opened) -> None:
    counter, policy = opened()
    for instruction in ("one", "one", "two"):
        ask(counter, "a", instruction)
    counter.begin("a")
    ask(counter, "a", "two")
    ask(counter, "b", "two")
    assert [(slot, sentence) for slot, sentence, _ in policy.begun] == [(0, "one"), (0, "two"), (0, "two"), (1, "two")]


def test_a_sentence_that_is_known_at_the_start_begins_the_episode_at_once(opened: Opened) -> None:
    counter, policy = opened()
    counter.begin("a", "one")
    assert [s for _, s, _ in policy.begun] == ["one"]
    ask(counter, "a", "one")
    assert len(policy.begun) == 1
    with pytest.raises(ValueError, match="I will not begin"):
        counter.begin("a", "refuse")


def test_what_the_policy_draws_follows_from_the_sentence_where_the_client_knows_no_digest(opened: Opened) -> None:
    counter, policy = opened()
    for client in "abc":
        ask(counter, client, "two" if client == "c" else "one")
    digests = [digest for _, _, digest in policy.begun]
    assert digests[0] == digests[1] != digests[2] and all(len(d) == 32 for d in digests)


def test_the_slot_of_a_client_that_leaves_is_given_to_the_next(opened: Opened) -> None:
    counter, policy = opened()
    for client in "ab":
        ask(counter, client)
    counter.leave("a")
    ask(counter, "c")
    assert [slot for slot, *_ in policy.begun] == [0, 1, 0]


def test_clients_who_wait_are_answered_in_one_call_and_as_if_they_were_alone(opened: Opened) -> None:
    counter, policy = opened(served.Echo(slow_s=0.02))
    rounds, clients = 3, [f"client {i}" for i in range(5)]

    def episode(client: str) -> list[Any]:
        level = 50 + 10 * clients.index(client)
        return [ask(counter, client, level=level) for _ in range(rounds)]

    with ThreadPoolExecutor(len(clients)) as pool:
        together = list(pool.map(episode, clients))
    assert max(policy.batches) > 1 and sum(policy.batches) == rounds * len(clients)
    assert len(policy.threads) == 1 and threading.get_ident() not in policy.threads
    for client, answers in zip(clients, together, strict=True):
        other, _ = opened()
        assert all(np.array_equal(a, ask(other, client, level=50 + 10 * clients.index(client))) for a in answers)


def test_a_call_takes_no_more_clients_than_it_may(opened: Opened) -> None:
    counter, policy = opened(served.Echo(slow_s=0.01), max_batch_size=2)
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda client: ask(counter, client), "abcdef"))
    assert max(policy.batches) <= 2


def test_a_call_waits_for_further_clients_if_it_is_told_to(opened: Opened) -> None:
    counter, policy = opened(max_batch_size=2, max_wait_time=20.0)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda client: ask(counter, client), "ab"))
    assert policy.batches == [2]


def test_a_bad_chunk_costs_its_client_alone(opened: Opened) -> None:
    counter, policy = opened(max_batch_size=2, max_wait_time=20.0)
    with ThreadPoolExecutor(2) as pool:
        good, bad = pool.submit(ask, counter, "a"), pool.submit(ask, counter, "b", "nan")
        with pytest.raises(BadPolicyOutput, match="the policy sent nan in step 1, component 2 of its chunk"):
            bad.result(20)
        assert good.result(20).shape == (4, 7)
    assert policy.batches == [2]


def test_after_a_call_for_several_raised_each_of_them_is_asked_alone(opened: Opened) -> None:
    counter, policy = opened(max_batch_size=2, max_wait_time=0.5)
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(ask, counter, "a"), pool.submit(ask, counter, "b", "raise")]
        assert all(isinstance(one.exception(20), ValueError) for one in both)
        assert policy.batches == [2]
        both = [pool.submit(ask, counter, "a"), pool.submit(ask, counter, "b", "raise")]
        assert both[0].exception(20) is None and isinstance(both[1].exception(20), ValueError)
    assert policy.batches == [2, 1, 1]
    assert [s for _, s, _ in policy.begun].count("lift the cube") == 2, "what raised is begun again"


def test_a_policy_that_calls_exit_does_not_end_the_server(opened: Opened) -> None:
    policy = served.Echo()

    def leave(observations: Any) -> Any:
        raise SystemExit(3)

    policy.act = leave  # type: ignore[method-assign]
    counter, _ = opened(policy)
    for _ in range(2):
        with pytest.raises(VlagymError, match=r"the policy called sys.exit\(3\)"):
            ask(counter, "a")


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ({}, "the policy reads the image 'front', which was not sent; there are: wrist"),
        ({"front": np.zeros((16, 12, 3), np.uint8)}, r"the image 'front' is \(16, 12, 3\) uint8; the policy reads \(12, 16, 3\) uint8, upright"),
        ({"front": np.zeros((12, 16, 3), np.float32)}, r"is \(12, 16, 3\) float32; the policy reads \(12, 16, 3\) uint8"),
        ({"front": np.zeros((1, 12, 16, 3), np.uint8)}, r"is \(1, 12, 16, 3\) uint8"),
    ],
)
def test_images_that_the_policy_does_not_read_are_refused(opened: Opened, images: dict[str, Any], message: str) -> None:
    counter, policy = opened()
    sent = {name: image for name, image in served.frames().items() if name != "front"} | images
    with pytest.raises(BadData, match=message):
        counter.answer("a", sent, served.state(), "go")
    assert not policy.begun


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"gripper_opening_m": None}, "the policy reads the state 'gripper_opening_m', which was not sent; there are: ee_pos_base_m"),
        ({"ee_pos_base_m": np.zeros(4)}, r"the state 'ee_pos_base_m' is \(4,\) float64; the policy reads \(3,\) float32"),
        ({"ee_pos_base_m": np.array([0.0, np.nan, 0.0])}, "the state 'ee_pos_base_m' holds nan at index 1"),
        ({"ee_pos_base_m": np.array(["a", "b", "c"])}, r"is \(3,\) <U1"),
    ],
)
def test_state_that_the_policy_does_not_read_is_refused(opened: Opened, change: dict[str, Any], message: str) -> None:
    counter, _ = opened()
    sent = {name: value for name, value in (served.state() | change).items() if value is not None}
    with pytest.raises(BadData, match=message):
        counter.answer("a", served.frames(), sent, "go")


@pytest.mark.parametrize("instruction", ["", None, 7])
def test_an_observation_without_a_sentence_is_refused(opened: Opened, instruction: Any) -> None:
    counter, _ = opened()
    with pytest.raises(BadData, match="the policy is told what to do in a sentence, and there is none"):
        counter.answer("a", served.frames(), served.state(), instruction)


def test_what_the_policy_does_not_read_is_not_looked_at(opened: Opened) -> None:
    counter, _ = opened()
    counter.answer("a", served.frames() | {"depth": object()}, served.state() | {"mood": "good"}, "go")


def test_images_from_0_to_1_are_taken_where_the_policy_reads_those(opened: Opened) -> None:
    policy = served.Echo()
    images = (ImageComponent(name="front", width=16, height=12, values="unit"), policy.spec.observation.images[1])
    policy.spec = replace(policy.spec, observation=replace(policy.spec.observation, images=images))
    counter, _ = opened(policy)
    counter.answer("a", served.frames() | {"front": np.zeros((12, 16, 3))}, served.state(), "go")
    with pytest.raises(BadData, match="the policy reads .* float32 from 0 to 1, upright"):
        ask(counter, "a")


def test_a_policy_with_a_history_is_shown_as_much_as_it_wants(opened: Opened) -> None:
    policy = served.Echo(history=(-1, 0))
    seen: list[int] = []
    act = policy.act

    def look(observations: Any) -> Any:
        seen.append(len(observations[0].past))
        return act(observations)

    policy.act = look  # type: ignore[method-assign]
    counter, _ = opened(policy)
    before = Earlier(served.frames(10), served.state())
    counter.answer("a", served.frames(), served.state(), "go", past=[before])
    assert seen == [1]
    with pytest.raises(BadData, match="the policy reads 1 earlier observations besides the present one, and 0 were sent"):
        ask(counter, "a")


def test_policies_that_no_client_could_ask_are_not_served() -> None:
    with pytest.raises(BadData, match="policy 'echo' reads the true state of the simulation, which no client could send: it is not served"):
        Counter(served.Echo(privileged=True))
    with pytest.raises(BadData, match="policy 'hold' sends whatever actions an environment has: .* it is not served"):
        servable(hold.Hold().spec)


def test_a_counter_that_is_closed_turns_clients_away() -> None:
    counter = Counter(served.Echo())
    counter.close()
    counter.close()
    with pytest.raises(VlagymError, match="the server is shutting down"):
        ask(counter, "a")
