"""Intervals: against scipy, against the arithmetic, and against the order in which values come."""

from __future__ import annotations

import numpy as np
import pytest

from vlagym.benchmark.statistics import bootstrap_mean, content_rng, wilson
from vlagym.envs.errors import BadData


@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
def test_wilson_agrees_with_scipy(confidence: float) -> None:
    from scipy.stats import binomtest

    trials = np.array([1, 1, 10, 10, 10, 30, 100, 200])
    successes = np.array([0, 1, 0, 3, 10, 29, 62, 124])
    low, high = wilson(successes, trials, confidence)
    for k, n, a, b in zip(successes, trials, low, high, strict=True):
        expected = binomtest(int(k), int(n)).proportion_ci(confidence, "wilson")
        assert (a, b) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_wilson_of_124_in_200_is_the_known_interval() -> None:
    low, high = wilson(124, 200)
    assert (round(float(low), 3), round(float(high), 3)) == (0.551, 0.684)


def test_wilson_of_nothing_says_nothing() -> None:
    low, high = wilson([0, 0], [0, 5])
    assert np.isnan(low[0]) and np.isnan(high[0])
    assert low[1] == 0 and 0 < high[1] < 1


@pytest.mark.parametrize(("k", "n"), [(3, 2), (-1, 2), (0.5, 2)])
def test_impossible_counts_are_refused(k: float, n: float) -> None:
    with pytest.raises(BadData, match=f"{k:g} successes of {n:g} trials: both must be counts"):
        wilson(k, n)
    with pytest.raises(BadData, match="the confidence is 95; it must lie between 0 and 1, e.g. 0.95"):
        wilson(1, 2, confidence=95)


def test_the_bootstrap_covers_the_mean_of_normal_values_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(200):
        values = rng.normal(3.0, 2.0, size=60)
        interval = bootstrap_mean(values, ["a"] * 60, content_rng(values, ["a"] * 60), resamples=400)
        assert interval.low is not None and interval.high is not None
        covered += interval.low <= 3.0 <= interval.high
    assert 180 <= covered <= 198


def test_differences_between_tasks_are_not_sampling_error() -> None:
    rng = np.random.default_rng(1)
    values = np.concatenate([rng.normal(0, 1, 50), rng.normal(100, 1, 50)])
    by_task = bootstrap_mean(values, ["a"] * 50 + ["b"] * 50, rng)
    pooled = bootstrap_mean(values, ["a"] * 100, rng)
    assert by_task.low is not None and by_task.high is not None and pooled.low is not None and pooled.high is not None
    assert by_task.high - by_task.low < 0.5 < 10 < pooled.high - pooled.low


def test_tasks_of_one_episode_each_are_put_together() -> None:
    interval = bootstrap_mean([0.0, 1.0, 2.0, 3.0], ["a", "b", "c", "d"], np.random.default_rng(0))
    assert interval.low is not None and interval.high is not None
    assert interval.low < 1.5 < interval.high


def test_the_order_of_the_values_does_not_matter() -> None:
    rng = np.random.default_rng(2)
    values, tasks = rng.normal(size=40), np.array(["a", "b"] * 20)
    order = rng.permutation(40)
    first = bootstrap_mean(values, list(tasks), content_rng(values, list(tasks), "steps"))
    again = bootstrap_mean(values[order], list(tasks[order]), content_rng(values[order], list(tasks[order]), "steps"))
    assert first.low == again.low and first.high == again.high and first.mean == pytest.approx(again.mean, abs=1e-12)


def test_other_values_and_other_measures_draw_otherwise() -> None:
    draws = {float(content_rng(v, ["a", "a"], key).random()) for v in ([0.0, 1.0], [0.0, 2.0]) for key in ("steps", "drops")}
    assert len(draws) == 4


def test_few_values_have_no_interval() -> None:
    rng = np.random.default_rng(0)
    assert bootstrap_mean([], [], rng) == (None, None, None, 0)
    assert bootstrap_mean([2.0], ["a"], rng) == (2.0, None, None, 1)
    assert bootstrap_mean([2.0, 2.0], ["a", "a"], rng) == (2.0, 2.0, 2.0, 2)


def test_many_values_fit_into_memory() -> None:
    values = np.arange(5000) % 7
    interval = bootstrap_mean(values, ["a"] * 5000, np.random.default_rng(0), resamples=1000)
    assert interval.low is not None and interval.high is not None
    assert interval.low < values.mean() < interval.high


def test_values_that_do_not_apply_must_be_left_out() -> None:
    with pytest.raises(BadData, match="a mean is asked for over nan; leave out the episodes to which the measure does not apply"):
        bootstrap_mean([1.0, np.nan], ["a", "a"], np.random.default_rng(0))
    with pytest.raises(BadData, match="there must be one name for each"):
        bootstrap_mean([1.0], ["a", "a"], np.random.default_rng(0))
