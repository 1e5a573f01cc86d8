"""A chunk is played in part, in whole, or as a mean over overlapping ones."""

from __future__ import annotations

import numpy as np
import pytest

from vlagym.envs.errors import BadData, NotReset, UnknownName
from vlagym.envs.types import ObservationSpec
from vlagym.policies.base import PolicySpec
from vlagym.policies.chunking import ChunkPlayer, Chunking, declared, parse


def chunk(*values: float) -> np.ndarray:
    return np.array([[v] for v in values], np.float32)


def play(player: ChunkPlayer, chunks: list[np.ndarray], steps: int) -> list[float]:
    out = []
    for _ in range(steps):
        if player.is_waiting:
            player.put(chunks.pop(0))
        out.append(float(player.take()[0]))
    return out


def test_receding_plays_a_part_and_asks_again() -> None:
    player = ChunkPlayer(Chunking(mode="receding", execute_steps=2))
    assert play(player, [chunk(1, 2, 3), chunk(10, 20, 30)], 4) == [1, 2, 10, 20]


def test_a_chunk_that_is_shorter_than_what_is_executed_is_played_to_its_end() -> None:
    player = ChunkPlayer(Chunking(mode="receding", execute_steps=5))
    assert play(player, [chunk(1, 2), chunk(3, 4)], 4) == [1, 2, 3, 4]


def test_whole_plays_all_of_it() -> None:
    player = ChunkPlayer(Chunking(mode="whole"))
    assert play(player, [chunk(1, 2, 3), chunk(4)], 4) == [1, 2, 3, 4]


def test_ensemble_is_the_mean_of_what_all_chunks_say_of_a_step() -> None:
    player = ChunkPlayer(Chunking(mode="ensemble", decay=0.0))
    # Step 1 is spoken of by the first chunk (2) and the second (4); step 2 by the first (3), the second (6) and the third (9).
    assert play(player, [chunk(1, 2, 3), chunk(4, 6), chunk(9)], 3) == [1, 3, 6]


def test_ensemble_trusts_older_chunks_more_the_larger_the_decay() -> None:
    player = ChunkPlayer(Chunking(mode="ensemble", decay=np.log(3.0)))
    assert play(player, [chunk(0, 1), chunk(5)], 2) == [0, pytest.approx((3 * 1 + 1 * 5) / 4)]


def test_an_action_does_not_share_memory_with_its_chunk() -> None:
    player, values = ChunkPlayer(Chunking(mode="whole")), chunk(1, 2)
    player.put(values)
    player.take()[0] = 9
    assert values[0, 0] == 1


def test_taking_before_putting_is_refused() -> None:
    with pytest.raises(NotReset, match="step 0 has no chunk yet"):
        ChunkPlayer(Chunking(mode="whole")).take()


@pytest.mark.parametrize("values", [np.zeros((0, 7)), np.zeros(7)])
def test_a_chunk_must_hold_at_least_one_action(values: np.ndarray) -> None:
    with pytest.raises(BadData, match=r"a chunk is \(T, D\) with T > 0"):
        ChunkPlayer(Chunking(mode="whole")).put(values)


@pytest.mark.parametrize("text", ["receding:8", "whole", "ensemble:0.01", "ensemble:0"])
def test_what_is_parsed_prints_as_it_was_written(text: str) -> None:
    assert str(parse(text)) == text


def test_a_policy_says_how_its_chunks_are_played() -> None:
    spec = PolicySpec(name="p", action=None, observation=ObservationSpec(images=(), state=(), rate_hz=20.0), chunk_steps=16, execute_steps=8)
    assert declared(spec) == Chunking(mode="receding", execute_steps=8)


def test_an_unknown_way_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UnknownName, match=r"no way to play a chunk is called 'recede'. Did you mean receding\?"):
        parse("recede:3")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("receding", "write receding:STEPS"),
        ("receding:x", "write receding:STEPS"),
        ("receding:0", "at least 1 step, not 0"),
        ("whole:3", "'whole', which takes none"),
        ("ensemble:-1", "0 or more, not -1"),
    ],
)
def test_a_wrong_number_is_refused(text: str, message: str) -> None:
    with pytest.raises(BadData, match=message):
        parse(text)
