"""Confidence intervals of the numbers in a table: Wilson for rates, a stratified bootstrap for means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vlagym.envs.errors import BadData
from vlagym.envs.types import sha, sha_arrays, stream

RESAMPLES = 2000
"""Of a bootstrap: the ends of a 95 % interval then rest on 50 resamples each."""

DRAWN_UP_TO = 1000
"""Values of which a bootstrap distribution is drawn; with more it is computed from its moments."""

_MOST_SKEWED = 0.3
"""Skewness and excess of a bootstrap distribution up to which its moments give its quantiles to a hundredth of their width."""

_DRAWS_AT_ONCE = 2_000_000
"""Bounds the memory of a bootstrap to some 32 MB whatever the number of episodes."""


class Intervals(NamedTuple):
    """Ends of one interval for each entry of the input; NaN where there is nothing to say."""

    low: NDArray[np.float64]
    high: NDArray[np.float64]


class MeanInterval(NamedTuple):
    """A mean and the ends of its interval; None where there are too few values."""

    mean: float | None
    low: float | None
    high: float | None
    n: int


def wilson(successes: ArrayLike, trials: ArrayLike, confidence: float = 0.95) -> Intervals:
    """Returns Wilson's score interval of each rate, without continuity correction (Wilson 1927).

    Args:
      successes: Counts, any shape.
      trials: Counts of the same shape (or broadcast against it); 0 gives NaN.
      confidence: Between 0 and 1.

    Raises:
      BadData: If a count is negative or no whole number, more succeeded than were tried, or the confidence is not within (0, 1).
    """
    from scipy.special import ndtri

    check_confidence(confidence)
    k, n = np.broadcast_arrays(np.asarray(successes, np.float64), np.asarray(trials, np.float64))
    bad = (k < 0) | (k > n) | (k != np.floor(k)) | (n != np.floor(n))
    if bad.any():
        at = int(np.flatnonzero(bad.ravel())[0])
        raise BadData(f"{k.ravel()[at]:g} successes of {n.ravel()[at]:g} trials: both must be counts, and no more can succeed than were tried")
    z = float(ndtri(0.5 + confidence / 2))
    with np.errstate(divide="ignore", invalid="ignore"):
        p = k / n
        centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
        half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
        # At 0 and n successes one end is 0 or 1 exactly; rounding would leave it 1e-17 beside.
        low = np.where(k == 0, 0.0, centre - half)
        high = np.where(k == n, 1.0, centre + half)
    nothing = n == 0
    return Intervals(np.where(nothing, np.nan, low), np.where(nothing, np.nan, high))


def bootstrap_mean(
    values: ArrayLike, strata: Sequence[str], rng: np.random.Generator, *, confidence: float = 0.95, resamples: int = RESAMPLES
) -> MeanInterval:
    """Returns the mean over all values and its percentile bootstrap interval, stratified.

    Each stratum (a task) is resampled within itself, so that the interval does not hold the chance of drawing other tasks than the suite has.
    Strata of a single value cannot be resampled and are put together into one.

    Args:
      values: `(n,)` finite numbers.
      strata: `(n,)` name of the stratum of each.
      rng: Draws the resamples. `content_rng` gives one that depends on nothing but the values.

    Returns:
      The ends are None for fewer than two values.

    Raises:
      BadData: If a value is not finite, or there is not one stratum name a value.
    """
    check_confidence(confidence)
    x = np.asarray(values, np.float64)
    if x.ndim != 1 or len(strata) != x.size:
        raise BadData(f"{x.shape} values and {len(strata)} stratum names: there must be one name for each of (n,) values")
    if not np.isfinite(x).all():
        raise BadData(f"a mean is asked for over {x[~np.isfinite(x)][0]}; leave out the episodes to which the measure does not apply")
    if x.size == 0:
        return MeanInterval(None, None, None, 0)
    mean = float(x.mean())
    if x.size == 1:
        return MeanInterval(mean, None, None, 1)
    sums = np.zeros(resamples)
    for group in strata_of(x, strata):
        for start in range(0, resamples, max(1, _DRAWS_AT_ONCE // group.size)):
            block = slice(start, min(resamples, start + max(1, _DRAWS_AT_ONCE // group.size)))
            drawn = rng.integers(0, group.size, size=(block.stop - block.start, group.size))
            sums[block] += group[drawn].sum(axis=1)
    low, high = np.quantile(sums / x.size, [(1 - confidence) / 2, (1 + confidence) / 2])
    return MeanInterval(mean, float(low), float(high), int(x.size))


def mean_interval(values: ArrayLike, strata: Sequence[str], *key: str, confidence: float = 0.95) -> MeanInterval:
    """Returns the mean over all values and its stratified percentile bootstrap interval, the same in any order and on any machine.

    Up to DRAWN_UP_TO values the resamples are drawn (`bootstrap_mean` with `content_rng`). With more, the quantiles of the bootstrap distribution
    are computed from its first four cumulants, which are known without a draw (Cornish and Fisher 1938; Hall 1992, The bootstrap and Edgeworth
    expansion, section 2.5): nearer to them than 2,000 resamples come, and a thousand times faster. Where that distribution is too skewed for it,
    as with an event that a handful of thousands of episodes have, they are drawn all the same.

    Args:
      values: `(n,)` finite numbers.
      strata: `(n,)` name of the stratum of each.
      *key: Names the measure, so that two measures of equal values are resampled apart.
      confidence: Between 0 and 1.

    Raises:
      BadData: As `bootstrap_mean`.
    """
    x = np.asarray(values, np.float64)
    if x.size > DRAWN_UP_TO and x.ndim == 1 and len(strata) == x.size and np.isfinite(x).all():
        expanded = _expanded(x, strata, confidence)
        if expanded is not None:
            return expanded
    return bootstrap_mean(x, strata, content_rng(x, strata, *key), confidence=confidence)


def _expanded(x: NDArray[np.float64], strata: Sequence[str], confidence: float) -> MeanInterval | None:
    """Returns the interval by the expansion; None where the bootstrap distribution is too skewed for it."""
    from scipy.special import ndtri

    check_confidence(confidence)
    mean, cumulants = float(x.mean()), np.zeros(3)
    for group in strata_of(x, strata):
        centred = group - group.mean()
        second, third, fourth = (float((centred**power).mean()) for power in (2, 3, 4))
        cumulants += group.size * np.array([second, third, fourth - 3 * second**2])
    if cumulants[0] <= 1e-30 * max(1.0, mean**2) * x.size:
        return MeanInterval(mean, mean, mean, int(x.size))  # every resample is the same
    skewness, excess = cumulants[1] / cumulants[0] ** 1.5, cumulants[2] / cumulants[0] ** 2
    if max(abs(skewness), abs(excess)) > _MOST_SKEWED:
        return None
    z = ndtri(np.array([(1 - confidence) / 2, (1 + confidence) / 2]))
    bent = z + (z**2 - 1) * skewness / 6 + (z**3 - 3 * z) * excess / 24 - (2 * z**3 - 5 * z) * skewness**2 / 36
    low, high = mean + bent * np.sqrt(cumulants[0]) / x.size
    return MeanInterval(mean, float(low), float(high), int(x.size))


def content_rng(values: ArrayLike, strata: Sequence[str], *key: str) -> np.random.Generator:
    """Returns a generator seeded by the values themselves: the same numbers give the same interval, in any order and on any machine."""
    x = np.asarray(values, np.float64)
    order = np.lexsort((x, np.asarray(strata, dtype=str)))
    names = sha("\n".join(sorted(strata)).encode())
    return stream(int(sha_arrays(x[order])[:8], 16), "bootstrap", names, *key)


def strata_of(x: NDArray[np.float64], strata: Sequence[str]) -> list[NDArray[np.float64]]:
    """Returns the sorted values of each stratum in the order of their names, single values put together last."""
    names: NDArray[Any] = np.asarray(strata, dtype=str)
    groups = [np.sort(x[names == name]) for name in np.unique(names)]
    single = [g for g in groups if g.size == 1]
    return [g for g in groups if g.size > 1] + ([np.sort(np.concatenate(single))] if single else [])


def check_confidence(confidence: float) -> None:
    """Raises BadData unless the confidence lies within (0, 1)."""
    if not 0 < confidence < 1:
        raise BadData(f"the confidence is {confidence:g}; it must lie between 0 and 1, e.g. 0.95")
