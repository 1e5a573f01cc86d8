"""Numbers over tasks that one easy or hopeless task does not carry: interquartile mean, optimality gap, probability of improvement.

The terms and definitions are those of Agarwal et al. 2021 ("Deep reinforcement learning at the edge of the statistical precipice"), with the
mean of a task's episodes as its score.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vlagym.envs.errors import BadData
from vlagym.results.intervals import RESAMPLES, MeanInterval, check_confidence

Statistic = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""Scores `(..., T)` of T tasks -> `(...)`."""


def iqm(scores: ArrayLike) -> NDArray[np.float64]:
    """Returns the interquartile mean over the last axis: of the middle half, without the lowest and the highest quarter of the tasks.

    As `scipy.stats.trim_mean(scores, 0.25)`: a quarter is rounded down, so that of fewer than four tasks none is left out.

    Raises:
      BadData: If there is no score, or one is not finite.
    """
    x = np.sort(_scores(scores), axis=-1)
    cut = x.shape[-1] // 4
    middle: NDArray[np.float64] = x[..., cut : x.shape[-1] - cut].mean(axis=-1)
    return middle


def optimality_gap(scores: ArrayLike, target: float = 1.0) -> NDArray[np.float64]:
    """Returns by how much the tasks fall short of a target on average; what is above it makes up for nothing.

    Raises:
      BadData: As `iqm`.
    """
    gap: NDArray[np.float64] = np.maximum(target - _scores(scores), 0.0).mean(axis=-1)
    return gap


def probability_of_improvement(first: Mapping[str, ArrayLike], second: Mapping[str, ArrayLike]) -> float:
    """Returns the chance that an episode of the first goes better than one of the second on a task drawn at random; a tie counts half.

    The mean over tasks of Mann and Whitney's U over its largest value. The episodes are not paired: for pairs there is `paired.mcnemar`.

    Args:
      first: Task -> `(n,)` values of its episodes, more is better.
      second: The same tasks; their numbers of episodes may be others.

    Raises:
      BadData: If the tasks differ, or one has no episode.
    """
    if set(first) != set(second) or not first:
        only = sorted(set(first) ^ set(second))
        raise BadData(f"both must have episodes of the same tasks; only one has: {', '.join(only) or 'none; there are no tasks'}")
    from scipy.stats import mannwhitneyu

    chances = []
    for task in sorted(first):
        x, y = _scores(first[task]), _scores(second[task])
        chances.append(float(mannwhitneyu(x, y, method="asymptotic").statistic) / (x.size * y.size))
    return float(np.mean(chances))


def over_tasks(
    values: ArrayLike,
    tasks: Sequence[str],
    rng: np.random.Generator,
    statistic: Statistic = iqm,
    *,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
) -> MeanInterval:
    """Returns a statistic of the tasks' means and its stratified bootstrap interval: the episodes of each task are resampled within it.

    Args:
      values: `(n,)` finite numbers, one an episode.
      tasks: `(n,)` the task of each.
      rng: Draws the resamples. `intervals.content_rng` gives one that depends on nothing but the values.
      statistic: `iqm`, `optimality_gap`, or any that takes scores `(..., T)`.

    Returns:
      n counts episodes. The ends are None where no task varies within itself.

    Raises:
      BadData: If a value is not finite, or there is not one task a value.
    """
    check_confidence(confidence)
    x = np.asarray(values, np.float64)
    if x.ndim != 1 or len(tasks) != x.size:
        raise BadData(f"{x.shape} values and {len(tasks)} tasks: there must be one task for each of (n,) values")
    if x.size == 0:
        return MeanInterval(None, None, None, 0)
    _scores(x)
    names: NDArray[Any] = np.asarray(tasks, dtype=str)
    groups = [np.unique(x[names == name], return_counts=True) for name in np.unique(names)]
    means = np.array([np.average(found, weights=counts) for found, counts in groups])
    estimate = float(statistic(means))
    if all(found.size == 1 for found, _ in groups):
        return MeanInterval(estimate, None, None, int(x.size))
    drawn = np.empty((resamples, len(groups)))
    for column, (found, counts) in enumerate(groups):
        n = int(counts.sum())
        drawn[:, column] = rng.multinomial(n, counts / n, size=resamples) @ found / n
    low, high = np.quantile(statistic(drawn), [(1 - confidence) / 2, (1 + confidence) / 2])
    return MeanInterval(estimate, float(low), float(high), int(x.size))


def _scores(scores: ArrayLike) -> NDArray[np.float64]:
    x = np.asarray(scores, np.float64)
    if x.ndim == 0 or x.size == 0:
        raise BadData("there is no score to take a mean of; leave out what has no episode")
    if not np.isfinite(x).all():
        raise BadData(f"a score is {x[~np.isfinite(x)][0]}; leave out the episodes to which the measure does not apply")
    return x
