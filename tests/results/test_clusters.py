"""Exact tests and bootstraps of what belongs together, against enumeration and against known spreads."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.stats import binomtest

from vlagym.envs.errors import BadData
from vlagym.envs.types import stream
from vlagym.results.clusters import resampled_totals, sign_flip_p


@pytest.mark.parametrize("sums", [[1, 1, 1, -1], [3, -1, 2, 0, 0], [2, 2, -2, 1, 1], [5], [-4, 3, 3, -1, 2, 2]])
def test_every_sign_is_tried(sums: list[int]) -> None:
    flipped = [abs(sum(s * x for s, x in zip(signs, sums, strict=True))) for signs in itertools.product((-1, 1), repeat=len(sums))]
    assert sign_flip_p(sums) == pytest.approx(sum(f >= abs(sum(sums)) for f in flipped) / len(flipped))


@pytest.mark.parametrize(("won", "lost"), [(0, 5), (3, 9), (40, 71), (0, 0), (6, 6)])
def test_of_single_pairs_it_is_the_sign_test(won: int, lost: int) -> None:
    expected = binomtest(won, won + lost).pvalue if won + lost else 1.0
    assert sign_flip_p([1] * won + [-1] * lost + [0] * 30) == pytest.approx(expected)


def test_nothing_is_no_evidence() -> None:
    assert sign_flip_p([]) == 1.0
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
