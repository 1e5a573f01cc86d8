"""Holm's adjustment and the letters of a table: against statsmodels, published displays, and what letters mean."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from vlagym.benchmark.statistics import holm, letters
from vlagym.envs.errors import BadData, UnknownName


def test_holm_of_the_worked_example() -> None:
    """Holm's steps by hand: 0.01 x 4, then 0.02 x 3 and 0.03 x 2 make 0.06 each, and 0.04 may not fall below them."""
    assert holm([0.01, 0.04, 0.03, 0.02]) == pytest.approx([0.04, 0.06, 0.06, 0.06])


def test_holm_never_falls_below_the_raw_values_and_never_rises_above_one() -> None:
    p = np.random.default_rng(0).uniform(0, 1, 30)
    adjusted = holm(p)
    assert (np.array(adjusted) >= p).all() and max(adjusted) <= 1
    assert (np.argsort(adjusted, kind="stable")[:1] == np.argsort(p)[:1]).all()
    assert holm([]) == [] and holm([0.2]) == [0.2]


@pytest.mark.parametrize("bad", [[0.1, float("nan")], [1.2], [-0.1]])
def test_what_is_no_p_value_is_refused(bad: list[float]) -> None:
    with pytest.raises(BadData, match="leave out comparisons that could not be made"):
        holm(bad)


def test_letters_of_the_example_of_multcompview() -> None:
    """multcompView, multcompLetters: B and C differ, A from neither."""
    assert letters(["A", "B", "C"], [("B", "C")]) == {"A": "ab", "B": "a", "C": "b"}


def test_letters_of_the_feeds_of_chickwts() -> None:
    """R's chickwts by pairwise Wilcoxon tests as the R package cld shows it: a, b, bc, ac, c, a for these six."""
    feeds = ["casein", "horsebean", "linseed", "meatmeal", "soybean", "sunflower"]
    shown = dict(zip(feeds, ["a", "b", "bc", "ac", "c", "a"], strict=True))
    differ = [(x, y) for x, y in itertools.combinations(feeds, 2) if not set(shown[x]) & set(shown[y])]
    assert letters(feeds, differ) == shown


def test_nobody_differs_and_everybody_differs() -> None:
    names = ["best", "middle", "worst"]
    assert letters(names, []) == {"best": "a", "middle": "a", "worst": "a"}
    assert letters(names, itertools.combinations(names, 2)) == {"best": "a", "middle": "b", "worst": "c"}
    assert letters([], []) == {} and letters(["alone"], []) == {"alone": "a"}


@pytest.mark.parametrize("seed", range(40))
def test_two_names_share_a_letter_exactly_if_they_do_not_differ(seed: int) -> None:
    rng = np.random.default_rng(seed)
    names = [f"p{i}" for i in range(int(rng.integers(2, 9)))]
    differ = {pair for pair in itertools.combinations(names, 2) if rng.random() < rng.uniform(0.1, 0.9)}
    shown = letters(names, differ)
    for x, y in itertools.combinations(names, 2):
        assert bool(set(shown[x]) & set(shown[y])) == ((x, y) not in differ)
    assert all(shown.values()) and shown[names[0]].startswith("a")
    # No letter can be taken from anybody without losing a connection.
    for name in names:
        for letter in shown[name]:
            fewer = {**shown, name: shown[name].replace(letter, "")}
            kept = all(set(fewer[name]) & set(fewer[y]) for y in names if y != name and tuple(sorted((name, y))) not in differ)
            assert not (kept and fewer[name]), (shown, name, letter)


def test_after_z_come_numbers() -> None:
    names = [f"p{i:02d}" for i in range(28)]
    shown = letters(names, itertools.combinations(names, 2))
    assert (shown["p25"], shown["p26"], shown["p27"]) == ("z", "a2", "b2")


def test_names_that_are_not_there_are_refused() -> None:
    with pytest.raises(UnknownName, match="no row is called 'minvla'. Did you mean minivla"):
        letters(["minivla", "hold"], [("minvla", "hold")])
    with pytest.raises(BadData, match="'hold' cannot differ from itself"):
        letters(["minivla", "hold"], [("hold", "hold")])
    with pytest.raises(BadData, match="letters are for names that differ"):
        letters(["hold", "hold"], [])
