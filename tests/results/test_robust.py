"""Numbers over tasks: against scipy and by hand."""

from __future__ import annotations

import numpy as np
import pytest

from vlagym.benchmark.statistics import content_rng, iqm, optimality_gap, over_tasks, probability_of_improvement
from vlagym.envs.errors import BadData


def test_the_interquartile_mean_agrees_with_scipys_trimmed_mean() -> None:
    from scipy.stats import trim_mean

    for size in range(1, 24):
        x = np.random.default_rng(size).normal(size=(3, size))
        assert iqm(x) == pytest.approx(trim_mean(x, 0.25, axis=-1), abs=1e-12)


def test_one_hopeless_and_one_easy_task_do_not_move_it() -> None:
    assert iqm([0.0, 0.5, 0.6, 1.0]) == pytest.approx(0.55) == iqm([0.5, 0.5, 0.6, 0.6])


def test_the_optimality_gap_does_not_make_up_for_a_shortfall() -> None:
    assert optimality_gap([0.5, 1.0, 1.5]) == pytest.approx(0.5 / 3)
    assert optimality_gap([0.2, 0.4], target=0.5) == pytest.approx(0.2)


def test_the_probability_of_improvement_by_hand_and_by_scipy() -> None:
    from scipy.stats import mannwhitneyu

    assert probability_of_improvement({"t": [1, 1, 0]}, {"t": [0, 1]}) == pytest.approx((2 * 1 + 2 * 0.5 + 0.5) / 6)
    rng = np.random.default_rng(0)
    first, second = ({t: rng.normal(size=12) for t in "ab"} for _ in range(2))
    expected = np.mean([mannwhitneyu(first[t], second[t], method="exact").statistic / 144 for t in "ab"])
    assert probability_of_improvement(first, second) == pytest.approx(expected)
    assert probability_of_improvement(first, first) == pytest.approx(0.5)


def test_the_interval_over_tasks_resamples_each_task_within_itself() -> None:
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.random(50) < p for p in (0.1, 0.5, 0.6, 0.9)]).astype(float)
    tasks = [name for name in "abcd" for _ in range(50)]
    found = over_tasks(values, tasks, content_rng(values, tasks, "iqm"))
    assert found.low is not None and found.mean is not None and found.high is not None
    assert found.low < found.mean < found.high and found.mean == pytest.approx(values[50:150].mean())
    # Two tasks of 50 episodes: the spread of their mean is that of 100 episodes, not that of four different tasks.
    assert found.high - found.low == pytest.approx(2 * 1.96 * np.sqrt(0.245 / 100), rel=0.15)


def test_the_order_of_the_episodes_does_not_matter() -> None:
    rng = np.random.default_rng(1)
    values, tasks = (rng.random(60) < 0.5).astype(float), np.array(["a", "b", "c"] * 20)
    order = rng.permutation(60)
    first = over_tasks(values, list(tasks), np.random.default_rng(0), optimality_gap)
    again = over_tasks(values[order], list(tasks[order]), np.random.default_rng(0), optimality_gap)
    assert first == pytest.approx(again)


def test_tasks_without_any_spread_have_no_interval() -> None:
    assert over_tasks([1.0, 1.0, 0.0, 0.0], ["a", "a", "b", "b"], np.random.default_rng(0)) == (0.5, None, None, 4)
    assert over_tasks([], [], np.random.default_rng(0)) == (None, None, None, 0)


def test_what_has_no_mean_is_refused() -> None:
    with pytest.raises(BadData, match="there is no score"):
        iqm([])
    with pytest.raises(BadData, match="a score is nan"):
        iqm([0.5, float("nan")])
    with pytest.raises(BadData, match="only one has: stack"):
        probability_of_improvement({"stack": [1.0], "push": [1.0]}, {"push": [0.0]})
    with pytest.raises(BadData, match="one task for each"):
        over_tasks([1.0], ["a", "b"], np.random.default_rng(0))
