"""Two variations together and alone, on twins that succeeded."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from vlagym.results.compositions import compositions
from vlagym.results.pooling import Run

MakeRun = Callable[..., Run]
A, B = ("camera", 3), ("lighting", 2)


def test_the_compositional_gap_is_that_of_both_minus_the_product_given_the_twin(paired_run: MakeRun) -> None:
    run = paired_run(
        {
            (A,): " ".join(["ss"] * 8 + ["sf"] * 2 + ["ff"] * 5),
            (B,): " ".join(["ss"] * 5 + ["sf"] * 5 + ["fs"] * 5),
            (A, B): " ".join(["sf"] * 4 + ["ss"] * 2 + ["sf"] * 4 + ["ff"] * 5),
        }
    )
    (row,) = compositions([run]).rows
    assert (row.first, row.second) == (A, B)
    assert (row.alone_first.mean, row.alone_second.mean, row.both.mean) == (0.8, 0.5, 0.2), "the five twins that failed are in no rate"
    # Over two different twins: the product of 8 and 5 successes less the 5 twins that have both, of 100 less 10 pairs.
    assert row.gap.mean == pytest.approx(0.2 - (8 * 5 - 5) / 90) and row.gap.n == 10
    assert row.pooled == pytest.approx(0.2 - 0.8 * 0.5)
    assert row.gap.low is not None and row.gap.high is not None and row.gap.low < 0.2 - 35 / 90 < row.gap.high


def test_independent_causes_have_none(paired_run: MakeRun) -> None:
    """Of 400 twins each cause stops its half, and both a quarter."""
    words = {(A,): [k % 2 == 0 for k in range(400)], (B,): [k % 4 < 2 for k in range(400)], (A, B): [k % 4 == 0 for k in range(400)]}
    run = paired_run({variation: " ".join("ss" if ok else "sf" for ok in of) for variation, of in words.items()}, task=("stack", "pour", "push"))
    (row,) = compositions([run]).rows
    assert row.gap.mean == pytest.approx(0.0, abs=1e-4)
    # Given the twin, both = first and second: the variance of the mean of (1_both - P(first) 1_second - P(second) 1_first) is 1/16 / 400.
    assert row.gap.low == pytest.approx(-1.96 * 0.25 / 20, abs=0.004) and row.gap.high == pytest.approx(1.96 * 0.25 / 20, abs=0.004)


def test_an_axis_that_was_not_played_alone_at_the_level_is_told(paired_run: MakeRun) -> None:
    found = compositions([paired_run({(A,): "ss", (("lighting", 1),): "ss", (A, B): "ss"})])
    assert found.rows == []
    assert found.notes == ["hold on smoke: camera=3 + lighting=2 has no compositional gap, for lighting=2 was not played alone"]


def test_errors_and_missing_rates_make_no_number(paired_run: MakeRun) -> None:
    (row,) = compositions([paired_run({(A,): "ss ss", (B,): "se se", (A, B): "ss sf"})]).rows
    assert row.alone_second.n == 0 and row.gap.mean is None


def test_control_arms_are_no_composition(paired_run: MakeRun) -> None:
    found = compositions([paired_run({(A,): "ss", (("blank", 1),): "ss", (("blank", 1), A): "ss"})])
    assert (found.rows, found.notes) == ([], [])


def test_tasks_of_unlike_difficulty_are_no_synergy(paired_run: MakeRun) -> None:
    """One task of rates 0.9 and one of 0.1, the two causes independent in each: only the pooled rates seem to tell of one."""

    def succeeds(k: int, hard: bool, axis: int) -> bool:
        digit = k // 2 // (10 if axis else 1) % 10
        return digit == 0 if hard else digit != 0

    words: dict[tuple[tuple[str, int], ...], list[str]] = {variation: [] for variation in ((A,), (B,), (A, B))}
    for k in range(400):
        alone = [succeeds(k, k % 2 == 1, axis) for axis in (0, 1)]
        for variation, ok in zip(words, (*alone, all(alone)), strict=True):
            words[variation].append("ss" if ok else "sf")
    (row,) = compositions([paired_run({v: " ".join(of) for v, of in words.items()}, task=("easy", "hard"))]).rows
    assert row.pooled == pytest.approx(0.16)
    assert row.gap.mean == pytest.approx(0.0, abs=1e-3) and row.gap.low is not None and row.gap.high is not None
    assert row.gap.low < 0 < row.gap.high and row.gap.high < 0.05


def test_a_task_without_one_of_the_three_is_in_no_gap_and_told(paired_run: MakeRun) -> None:
    words = {(A,): "ss sf ss sf", (B,): "ss se ss se", (A, B): "ss sf ss sf"}
    found = compositions([paired_run(words, task=("stack", "pour"))])
    assert found.rows[0].gap.n == 2
    assert found.notes == [
        "hold on smoke: of camera=3 + lighting=2, pour have not been played in each of the three ways, or too seldom, with a twin that succeeded, "
        "and are not in its gap"
    ]
