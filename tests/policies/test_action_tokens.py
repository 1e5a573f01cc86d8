"""Tokens become numbers as each family means them, and what is no action is an error that shows what was written."""

from __future__ import annotations

import numpy as np
import pytest

from vlagym.envs.errors import BadData, BadReply
from vlagym.policies.families.action_tokens import Bins, read_tail, read_text, read_tokens
from vlagym.policies.families.constraints import begins

BINS = Bins(low=(-1.0, 0.0), high=(1.0, 10.0))


def test_the_lowest_and_the_highest_bin_are_the_ends_where_they_are_said_to_be() -> None:
    assert BINS.values(np.array([[0, 255], [255, 0]])).tolist() == [[-1, 10], [1, 0]]
    assert BINS.values(np.array([[51, 51]])).tolist() == pytest.approx(np.array([[-0.6, 2.0]]))


def test_edges_have_a_bin_less_whose_middle_counts() -> None:
    edges = Bins(low=(-1.0,), high=(1.0,), spacing="edges")
    found = edges.values(np.array([[0], [127], [254], [255]]))[:, 0]
    assert found.tolist() == pytest.approx([-1 + 1 / 255, 0.0, 1 - 1 / 255, 1 - 1 / 255])


@pytest.mark.parametrize("spacing", ["ends", "edges"])
def test_what_was_cut_up_comes_back_within_half_a_bin(spacing: str) -> None:
    bins = Bins(low=(-0.05, -0.25), high=(0.05, 0.25), spacing="ends" if spacing == "ends" else "edges")
    values = np.random.default_rng(0).uniform(bins.low, bins.high, (500, 2))
    unit = (values - bins.low) / (np.array(bins.high) - bins.low)
    if spacing == "ends":
        cut = np.round(unit * 255).astype(int)
    else:
        cut = np.digitize(unit * 2 - 1, np.linspace(-1, 1, 256)) - 1  # as OpenVLA's tokenizer cuts, counted from 0
    half = (np.array(bins.high) - bins.low) / 255 / 2
    assert (np.abs(bins.values(cut) - values) <= half + 1e-12).all()


def test_eight_integers_of_rt2_lose_the_one_that_terminates() -> None:
    seven = Bins(low=(0.0,) * 7, high=(255.0,) * 7)
    said = read_text("1 128 91 241 5 101 127 217", seven, steps=1, terminate=0)
    assert said.tolist() == [[128, 91, 241, 5, 101, 127, 217]]
    assert read_text(" 128 91 241 5 101 127 0 ", seven, steps=1, terminate=None)[0, -1] == 0
    assert read_text("1 2 9 3 4 8", Bins(low=(0.0, 0.0), high=(255.0, 255.0)), steps=2, terminate=2).tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("move the arm up", "wrote 'move the arm up', which is no action: 1 x 2 whole numbers from 0 to 255 were expected"),
        ("", "which is no action"),
        ("12", "wrote 1 numbers, '12'"),
        ("1 2 3", "wrote 3 numbers"),
        ("1 256", "wrote the bin 256, and there are 256, from 0"),
        ("1 -2", "which is no action"),
        ("1.5 2", "which is no action"),
        ("12 13 done", "which is no action"),
    ],
)
def test_text_that_is_no_action_is_shown(text: str, match: str) -> None:
    with pytest.raises(BadReply, match=match):
        read_text(text, BINS, steps=1, terminate=None)


def test_tokens_of_their_own_come_in_order() -> None:
    assert read_tokens("ok <act_0_0><act_1_255> <act_0_255><act_1_0></s>", BINS, steps=2).tolist() == [[-1, 10], [1, 0]]
    for wrong in ("<act_1_3><act_0_3>", "<act_0_3>", "<act_0_3><act_1_3><act_0_1>", "nothing"):
        with pytest.raises(BadReply, match=r"an action is <act_0_v> to <act_1_v> in this order, 1 times"):
            read_tokens(wrong, BINS, steps=1)
    with pytest.raises(BadReply, match="the bin 300"):
        read_tokens("<act_0_3><act_1_300>", BINS, steps=1)


def test_the_last_ids_of_a_vocabulary_count_downwards() -> None:
    bins = Bins(low=(0.0, 0.0), high=(255.0, 255.0))
    assert read_tail([31999, 31744, 2], bins, steps=1, vocabulary=32000).tolist() == [[0, 255]]
    with pytest.raises(BadReply, match="token 31743, which is no action: actions are ids 31744 to 31999"):
        read_tail([31999, 31743], bins, steps=1, vocabulary=32000)
    with pytest.raises(BadReply, match="token 32000"):
        read_tail([32000, 31999], bins, steps=1, vocabulary=32000)
    with pytest.raises(BadReply, match="wrote 1 tokens; 1 actions of 2 numbers take 2"):
        read_tail([31999], bins, steps=1, vocabulary=32000)


def test_ids_of_openvla_mean_what_its_own_arithmetic_says() -> None:
    """Its tokenizer writes `vocabulary - digitize(value)`, and reads the middle of the bin."""
    bins = Bins(low=(-1.0,) * 7, high=(1.0,) * 7, spacing="edges")
    values = np.random.default_rng(1).uniform(-1, 1, 7)
    edges = np.linspace(-1, 1, 256)
    digits = np.digitize(values, edges)
    middles = (edges[:-1] + edges[1:]) / 2
    assert read_tail((32000 - digits).tolist(), bins, steps=1, vocabulary=32000)[0].tolist() == pytest.approx(middles[digits - 1])


@pytest.mark.parametrize(
    ("low", "high", "count", "match"),
    [
        ((), (), 256, "at least one"),
        ((0.0,), (1.0, 2.0), 256, "there are 1 and 2"),
        ((1.0,), (1.0,), 256, "lies below"),
        ((0.0,), (float("inf"),), 256, "lies below"),
        ((0.0,), (1.0,), 1, "at least 2 bins"),
    ],
)
def test_bins_that_cannot_be_are_refused(low: tuple[float, ...], high: tuple[float, ...], count: int, match: str) -> None:
    with pytest.raises(BadData, match=match):
        Bins(low=low, high=high, count=count)


@pytest.mark.parametrize("text", ["", " ", "1", "12 ", "12 0", "12 255", " 9"])
def test_beginnings_of_two_numbers(text: str) -> None:
    assert begins(text, 2, 256)


@pytest.mark.parametrize("text", ["1 2 ", "1 2 3", "256", "1  2", "01", "x", "1\n"])
def test_what_two_numbers_do_not_begin_with(text: str) -> None:
    assert not begins(text, 2, 256)
