"""How many episodes before any is played: for an interval of a given width, for a difference that shall be seen."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.errors import BadData
from vlagym.results.intervals import check_confidence
from vlagym.results.paired import tango

EPISODES_MAX = 1_000_000
"""A plan that needs more is refused rather than searched for."""

_STAYS = 12
"""The power of an exact test does not rise with every pair. A plan is the first number from which on it stays above the wanted for so many more."""


_RESOLUTION = 1e-4
"""Of a difference that is sought."""


class Plan(NamedTuple):
    """Episodes of each policy, and the power that they give."""

    n: int
    power: float


# ------------------------------------------------------------------------------------------------------------------------- widths
def width_of(n: float, rate: float = 0.5, confidence: float = 0.95) -> float:
    """Returns the width of Wilson's interval, end to end, of a rate that comes out as expected; at 0.5 it is widest.

    Args:
      n: Episodes.
      rate: The true rate; the count that is expected of it need not be whole.
      confidence: Between 0 and 1.

    Raises:
      BadData: If n is not positive, or the rate or the confidence is out of bounds.
    """
    from statsmodels.stats.proportion import proportion_confint

    check_confidence(confidence)
    _check_share("rate", rate)
    if not n > 0:
        raise BadData(f"an interval needs at least one episode, not {n:g}")
    low, high = proportion_confint(rate * n, n, alpha=1 - confidence, method="wilson")
    return float(high - low)


def episodes_for_width(width: float, rate: float = 0.5, confidence: float = 0.95) -> int:
    """Returns the episodes that a rate needs for an interval of `width`, end to end.

    Raises:
      BadData: If the width is not within (0, 1), or more than EPISODES_MAX are needed.
    """
    if not 0 < width < 1:
        raise BadData(f"the width is {width:g}; it must lie between 0 and 1: 0.1 is from 5 points below to 5 points above")
    return _smallest(lambda n: width_of(n, rate, confidence) <= width, f"an interval of width {width:g}")


def width_of_difference(n: float, discordance: float, difference: float = 0.0, confidence: float = 0.95) -> float:
    """Returns the width, end to end, of Tango's interval of a paired difference that comes out as expected.

    Args:
      n: Pairs.
      discordance: Share of pairs in which one succeeds and the other does not.
      difference: The true difference of the rates; at 0 the interval is widest.
      confidence: Between 0 and 1.

    Raises:
      BadData: If the discordance is no share, or less than the difference.
    """
    _check_discordance(discordance, difference)
    low, high = tango(n * (discordance + difference) / 2, n * (discordance - difference) / 2, n, confidence)
    return high - low


# ------------------------------------------------------------------------------------------------------------------------- power
def power_paired(n: int, difference: float, discordance: float, alpha: float = 0.05) -> float:
    """Returns the power of McNemar's exact two-sided test: exact, over all counts of discordant pairs.

    Args:
      n: Pairs.
      difference: The true difference of the rates, of either sign.
      discordance: Share of pairs in which one succeeds and the other does not.
      alpha: Of the test.

    Raises:
      BadData: If the discordance is no share, or less than the difference.
    """
    from scipy.stats import binom

    _check_alpha(alpha)
    _check_discordance(discordance, difference)
    if discordance == 0:
        return 0.0
    low, high = (int(v) for v in binom.interval(1 - 1e-12, n, discordance))
    counts = np.arange(max(low, 1), high + 1)
    # The largest k with P(K <= k) <= alpha/2 for K ~ Binomial(count, 1/2): the test rejects at it and below, and as far from the other end.
    k: NDArray[np.float64] = binom.ppf(alpha / 2, counts, 0.5)
    k = np.where(binom.cdf(k, counts, 0.5) <= alpha / 2, k, k - 1)
    share = (discordance + difference) / (2 * discordance)
    rejects = binom.cdf(k, counts, share) + binom.cdf(k, counts, 1 - share)
    return float(min(1.0, binom.pmf(counts, n, discordance) @ rejects))


def power_unpaired(n: int, difference: float, rate: float, alpha: float = 0.05) -> float:
    """Returns the power of the two-sided test of two rates on n episodes each that have nothing to do with each other (normal approximation).

    Args:
      n: Episodes of each policy.
      difference: The first rate minus the second.
      rate: The second rate.
      alpha: Of the test.

    Raises:
      BadData: If a rate is out of bounds.
    """
    from statsmodels.stats.proportion import power_proportions_2indep

    _check_alpha(alpha)
    _check_share("rate", rate)
    _check_share("rate of the other policy", rate + difference)
    return float(power_proportions_2indep(difference, rate, n, alpha=alpha, return_results=False))


def episodes_for_difference(
    difference: float, power: float = 0.8, *, discordance: float | None = None, rate: float = 0.5, alpha: float = 0.05
) -> Plan:
    """Returns the episodes of each policy that a difference of the rates needs to be seen.

    Args:
      difference: Of the rates.
      power: Chance that the test sees it.
      discordance: Of paired policies: the share of episodes in which one succeeds and the other does not; McNemar's exact test is planned then.
        None: the policies play other episodes, and the test of two independent rates is planned.
      rate: The lower of the two rates; it matters to independent rates only.
      alpha: Of the two-sided test.

    Raises:
      BadData: If a share is out of bounds, or more than EPISODES_MAX are needed.
    """
    if not 0 < abs(difference) <= 1:
        raise BadData(f"the difference is {difference:g}; it must lie between 0 and 1: 0.1 is ten points of success rate")
    if not 0 < power < 1:
        raise BadData(f"the power is {power:g}; it must lie between 0 and 1, e.g. 0.8")
    difference = abs(difference)

    def reached(n: int) -> float:
        return power_unpaired(n, difference, rate, alpha) if discordance is None else power_paired(n, difference, discordance, alpha)

    what = f"a difference of {difference:g} with power {power:g}"
    n = _smallest(lambda n: reached(n) >= power, what)
    while (below := [m for m in range(n, n + _STAYS) if reached(m) < power]) and discordance is not None:
        n = below[-1] + 1
    while n > 1 and reached(n - 1) >= power:
        n -= 1
    return Plan(n, reached(n))


def detectable_difference(n: int, power: float = 0.8, *, discordance: float, alpha: float = 0.05) -> float | None:
    """Returns the smallest difference that n pairs show with this power; None where even that of all discordant pairs is too small.

    Args:
      n: Pairs.
      power: Chance that McNemar's exact test sees it.
      discordance: Share of pairs in which one succeeds and the other does not.
      alpha: Of the two-sided test.

    Raises:
      BadData: If a share is out of bounds.
    """
    if power_paired(n, discordance, discordance, alpha) < power:
        return None
    low, high = 0.0, discordance
    while high - low > _RESOLUTION:
        middle = (low + high) / 2
        low, high = (low, middle) if power_paired(n, middle, discordance, alpha) >= power else (middle, high)
    return high


def discordance_of(rate_a: float, rate_b: float) -> float:
    """Returns the discordance of two rates whose episodes have nothing in common: the most that pairing can be expected to leave.

    What makes an episode hard is mostly hard for both policies; then fewer pairs are discordant, and fewer are needed.
    """
    _check_share("rate", rate_a)
    _check_share("rate", rate_b)
    return rate_a * (1 - rate_b) + rate_b * (1 - rate_a)


# ------------------------------------------------------------------------------------------------------------------------- search
def _smallest(is_enough: Callable[[int], bool], what: str) -> int:
    """Returns the smallest n that is enough, by doubling and halving."""
    high = 1
    while not is_enough(high):
        if high >= EPISODES_MAX:
            raise BadData(f"{what} needs more than {EPISODES_MAX:,} episodes: ask for less")
        high = min(2 * high, EPISODES_MAX)
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_enough(middle) else (middle, high)
    return high


def _check_share(what: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise BadData(f"the {what} is {value:g}; it must lie between 0 and 1")


def _check_alpha(alpha: float) -> None:
    if not 0 < alpha < 1:
        raise BadData(f"alpha is {alpha:g}; it must lie between 0 and 1, e.g. 0.05")


def _check_discordance(discordance: float, difference: float) -> None:
    _check_share("discordance", discordance)
    if abs(difference) > discordance:
        raise BadData(
            f"a difference of {abs(difference):g} needs a discordance of at least that, not {discordance:g}: "
            "wherever the rates differ, one succeeds and the other does not"
        )
