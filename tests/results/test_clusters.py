"""Exact tests and bootstraps of what belongs together, against enumeration and against known spreads."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.stats import binomtest

from vlagym.envs.errors import BadData
from vlagym.envs.types import stream
from vlagym.results.clusters import exchange_p, resampled_totals, sign_flip_p


@pytest.mark.parametrize("sums", [[1, 1, 1, -1], [3, -1, 2, 0, 0], [2, 2, -2, 1, 1], [5], [-4, 3, 3, -1, 2, 2]])
def test_every_sign_is_tried(sums: list[int]) -> None:
    flipped = [abs(sum(s * x for s, x in zip(signs, sums, strict=True))) for signs in itertools.product((-1, 1), repeat=len(sums))]
    assert sign_flip_p(sums) == pytest.approx(sum(f >= abs(sum(sums)) for f in flipped) / len(flipped))


@pytest.mark.parametrize(("won", "lost"), [(0, 5), (3, 9), (40, 71), (0, 0), (6, 6)])
def test_of_single_pairs_it_is_the_sign_test(won: int, lost: int) -> None:
    expected = binomtest(won, won + lost).pvalue if won + lost else 1.0
    assert sign_flip_p([1] * won + [-1] * lost + [0] * 30) == pytest.approx(expected)


@pytest.mark.parametrize("clusters", [["10000"], ["0111", "1011", "10", "01"], ["111111", "111110", "011111"], ["1000", "10", "0110"]])
def test_every_label_of_the_twin_is_tried(clusters: list[str]) -> None:
    """Each word holds the outcomes of a twin and its variations; if nothing changes, any of them could have been the twin's."""

    def total(labels: tuple[int, ...]) -> int:
        return sum(word.count("1") - len(word) * int(word[i]) for word, i in zip(clusters, labels, strict=True))

    every = [total(labels) for labels in itertools.product(*(range(len(word)) for word in clusters))]
    found = exchange_p([(int(word[0]), word.count("1"), len(word)) for word in clusters])
    assert found == pytest.approx(sum(abs(t) >= abs(every[0]) for t in every) / len(every))


@pytest.mark.parametrize(("won", "lost"), [(0, 5), (3, 9), (0, 0)])
def test_of_twins_with_one_variation_each_it_is_the_sign_test(won: int, lost: int) -> None:
    expected = binomtest(won, won + lost).pvalue if won + lost else 1.0
    assert exchange_p([(0, 1, 2)] * won + [(1, 1, 2)] * lost + [(1, 2, 2)] * 9) == pytest.approx(expected)


def test_nothing_is_no_evidence() -> None:
    assert sign_flip_p([]) == 1.0 and exchange_p([]) == 1.0
    with pytest.raises(BadData, match="the twin counted in both"):
        exchange_p([(1, 0, 3)])
    with pytest.raises(BadData, match="whole numbers"):
        sign_flip_p([0.5])


def test_a_resample_spreads_as_its_stratum_does() -> None:
    """Two strata of two, {0, 1} and {0, 4}: the unbiased variance of a sum of m draws is m s², here 2 · 0.5 and 2 · 8."""
    drawn = resampled_totals([[0], [1], [0], [4]], ["a", "a", "b", "b"], stream(1, "test"), resamples=40_000)
    assert drawn is not None
    assert drawn.mean() == pytest.approx(5.0, abs=0.05)
    assert drawn.var() == pytest.approx(1.0 + 16.0, rel=0.03)


def test_single_units_are_drawn_among_themselves_or_stay() -> None:
    units, names = [[1.0], [1.0], [2.0], [7.0]], ["a", "a", "b", "c"]
    merged = resampled_totals(units, names, stream(1, "test"))
    assert merged is not None and set(merged[:, 0]) == {2.0 + 4.0, 2.0 + 14.0}, "one of the two single ones, weighted by two"
    assert resampled_totals(units, names, stream(1, "test"), merge_singles=False) is None


def test_where_nothing_differs_there_is_nothing_to_resample() -> None:
    assert resampled_totals([[1, 2], [1, 2], [3, 3], [3, 3]], ["a", "a", "b", "b"], stream(1, "test")) is None


def test_units_and_strata_must_agree() -> None:
    with pytest.raises(BadData, match="one name for each of"):
        resampled_totals(np.zeros((3, 1)), ["a"], stream(1, "test"))
