"""Two arms on the same episodes: McNemar's exact test, an interval of the difference of two paired rates, a paired bootstrap."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vlagym.envs.errors import BadData
from vlagym.results.intervals import RESAMPLES, MeanInterval, check_confidence, strata_of


class PairedTest(NamedTuple):
    """What McNemar's test says of some pairs."""

    statistic: float
    """The smaller of the two discordant counts."""
    p: float
    """Two-sided and exact; 1 where no pair is discordant."""
    n: int
    """Pairs."""
    b01: int
    """Pairs in which only the second succeeded."""
    b10: int
    """Pairs in which only the first succeeded."""


class Pairs(NamedTuple):
    """How some pairs came out."""

    both: int
    first_only: int
    second_only: int
    neither: int

    @property
    def n(self) -> int:
        return sum(self)

    @property
    def difference(self) -> float | None:
        """The first rate minus the second; None without pairs."""
        return (self.first_only - self.second_only) / self.n if self.n else None

    @property
    def discordance(self) -> float | None:
        """The share of pairs in which one succeeded and the other did not; None without pairs."""
        return (self.first_only + self.second_only) / self.n if self.n else None


def count_pairs(a: Sequence[bool] | NDArray[np.bool_], b: Sequence[bool] | NDArray[np.bool_]) -> Pairs:
    """Returns how the pairs came out.

    Args:
      a: `(n,)` whether the first arm succeeded, by episode.
      b: `(n,)` whether the second did, in the same order.

    Raises:
      BadData: If there is not one of each for every pair, or one is neither true nor false.
    """
    first, second = _outcomes(a), _outcomes(b)
    if first.size != second.size:
        raise BadData(f"{first.size} outcomes of the first and {second.size} of the second: pairs need one of each")
    counts = (first & second, first & ~second, ~first & second, ~first & ~second)
    return Pairs(*(int(np.count_nonzero(c)) for c in counts))


def mcnemar(a: Sequence[bool] | NDArray[np.bool_], b: Sequence[bool] | NDArray[np.bool_]) -> PairedTest:
    """Returns McNemar's exact test of "both arms succeed equally often" (McNemar 1947): of the discordant pairs, each arm wins half.

    Args:
      a: `(n,)` whether the first arm succeeded.
      b: `(n,)` whether the second did, on the same episodes in the same order.

    Raises:
      BadData: As `count_pairs`.
    """
    pairs = count_pairs(a, b)
    p = mcnemar_p(pairs.first_only, pairs.second_only)
    return PairedTest(float(min(pairs.first_only, pairs.second_only)), p, pairs.n, pairs.second_only, pairs.first_only)


def mcnemar_p(first_only: int, second_only: int) -> float:
    """Returns the two-sided exact p of McNemar's test from its discordant counts."""
    from scipy.stats import binomtest

    discordant = first_only + second_only
    return 1.0 if discordant == 0 else float(binomtest(first_only, discordant, 0.5).pvalue)


def paired_rate_interval(
    a: Sequence[bool] | NDArray[np.bool_], b: Sequence[bool] | NDArray[np.bool_], confidence: float = 0.95
) -> MeanInterval:
    """Returns the first rate minus the second, and Tango's score interval of it (Tango 1998, Statistics in Medicine 17, 891-908).

    It inverts the score test, so it neither leaves [-1, 1] nor loses its width where no pair is discordant: n equal pairs give
    [-z²/(n + z²), z²/(n + z²)]. It reads the pairs alone and ignores the tasks they come from; where tasks differ in their difference it is a
    little wider than a stratified one.

    Args:
      a: `(n,)` whether the first arm succeeded.
      b: `(n,)` whether the second did, on the same episodes in the same order.
      confidence: Between 0 and 1.

    Returns:
      None throughout where there are no pairs.

    Raises:
      BadData: As `count_pairs`, or if the confidence is not within (0, 1).
    """
    pairs = count_pairs(a, b)
    if pairs.n == 0:
        return MeanInterval(None, None, None, 0)
    low, high = tango(pairs.first_only, pairs.second_only, pairs.n, confidence)
    return MeanInterval(pairs.difference, low, high, pairs.n)


def tango(first_only: float, second_only: float, n: float, confidence: float = 0.95) -> tuple[float, float]:
    """Returns the ends of Tango's score interval from the counts, which may be the expected ones of a plan and need not be whole.

    Raises:
      BadData: If the counts are no counts of n pairs, or the confidence is not within (0, 1).
    """
    from scipy.optimize import brentq
    from scipy.special import ndtri

    check_confidence(confidence)
    if not (n > 0 and first_only >= 0 and second_only >= 0 and first_only + second_only <= n * (1 + 1e-12)):
        raise BadData(f"{first_only:g} and {second_only:g} discordant of {n:g} pairs: counts are 0 or more, and together no more than the pairs")
    z = float(ndtri(0.5 + confidence / 2))
    found = (first_only - second_only) / n

    def score(difference: float) -> float:
        """Falls from above z to below -z as the assumed difference rises through the interval."""
        shift = first_only - second_only - n * difference
        b = -first_only - second_only + (2 * n - first_only + second_only) * difference
        c = -second_only * difference * (1 - difference)
        lost = max(0.0, (math.sqrt(max(0.0, b * b - 8 * n * c)) - b) / (4 * n))  # P(only the second), most likely under the difference
        spread = n * (2 * lost + difference * (1 - difference))
        return shift / math.sqrt(spread) if spread > 0 else math.copysign(math.inf, shift) if shift else 0.0

    def end(target: float, inside: float, outside: float) -> float:
        if abs(score(outside)) <= z:
            return outside
        return float(brentq(lambda d: max(-1e6, min(1e6, score(d))) - target, inside, outside, xtol=1e-12))

    low = -1.0 if found == -1 else end(z, found, -1.0)
    high = 1.0 if found == 1 else end(-z, found, 1.0)
    return low, high


def paired_bootstrap(
    differences: ArrayLike, strata: Sequence[str], rng: np.random.Generator, *, confidence: float = 0.95, resamples: int = RESAMPLES
) -> MeanInterval:
    """Returns the mean of paired differences and its percentile bootstrap interval; pairs are resampled whole, within their stratum.

    The same as `intervals.bootstrap_mean` of the differences, drawn as counts of the values that occur: fast where these are few, as the -1, 0
    and 1 of two outcomes are. Where nothing within any stratum varies there is nothing to resample and an interval without width would claim
    more than is known: the ends are None then. `paired_rate_interval` still gives one for outcomes.

    Args:
      differences: `(n,)` finite numbers: of each pair, the first minus the second.
      strata: `(n,)` name of the stratum of each, its task.
      rng: Draws the resamples. `intervals.content_rng` gives one that depends on nothing but the differences.

    Raises:
      BadData: As `bootstrap_mean`.
    """
    check_confidence(confidence)
    x = np.asarray(differences, np.float64)
    if x.ndim != 1 or len(strata) != x.size:
        raise BadData(f"{x.shape} differences and {len(strata)} stratum names: there must be one name for each of (n,) differences")
    if not np.isfinite(x).all():
        raise BadData(f"a mean difference is asked for over {x[~np.isfinite(x)][0]}; leave out the pairs to which the measure does not apply")
    if x.size == 0:
        return MeanInterval(None, None, None, 0)
    groups = [np.unique(g, return_counts=True) for g in strata_of(x, strata)]
    mean = float(x.mean())
    if all(values.size == 1 for values, _ in groups):
        return MeanInterval(mean, None, None, int(x.size))
    sums = np.zeros(resamples)
    for values, counts in groups:
        n = int(counts.sum())
        at_once = max(1, _CELLS_AT_ONCE // values.size)
        for start in range(0, resamples, at_once):
            block = slice(start, min(resamples, start + at_once))
            sums[block] += rng.multinomial(n, counts / n, size=block.stop - block.start) @ values
    low, high = np.quantile(sums / x.size, [(1 - confidence) / 2, (1 + confidence) / 2])
    return MeanInterval(mean, float(low), float(high), int(x.size))


_CELLS_AT_ONCE = 2_000_000


def _outcomes(values: Sequence[bool] | NDArray[np.bool_]) -> NDArray[np.bool_]:
    x = np.asarray(values)
    if x.ndim != 1 or not (x.size == 0 or np.isin(x, (0, 1)).all()):
        raise BadData("paired outcomes are a list of true and false, one a pair; leave out pairs in which one ended in an error, and say how many")
    return x.astype(bool)
