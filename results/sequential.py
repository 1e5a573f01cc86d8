"""Two policies on the same episodes, looked at as often as one likes: an interval of their difference that holds at every look together.

A betting confidence sequence (Waudby-Smith and Ramdas 2024, "Estimating means of bounded random variables by betting", JRSSB 86, 1-27). A pair
of outcomes gives x = 1 (only the first succeeded), -1 (only the second) or 0. Who believes that the mean difference is above m bets a fraction f
of the capital on every pair; the capital is multiplied by 1 + f (x - m) / (1 + m), which never falls below 0. If the mean is m, no way of betting
is expected to win: the capital is a martingale that begins at 1, and by Ville's inequality ever reaches 2/alpha with a probability of alpha/2 at
most, however many pairs are looked at. The capital here is the average over 256 gamblers whose fractions spread over (0, 1); it is a
martingale too, depends on the pairs through their three counts alone, and falls as m rises. The lower end of the interval is the m at which it
is 2/alpha; the upper end is the same from the other side. At m = 0 ties neither win nor lose: then this is a sign test of the discordant pairs
that may be stopped at any time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vlagym.envs.errors import BadData
from vlagym.results.intervals import Intervals

Decision = Literal["first", "second", "equivalent"]
"""first, second: that one succeeds more often. equivalent: the rates differ by less than what was said to matter."""

_GAMBLERS = 256
_FRACTIONS = 1.0 - np.sqrt(1.0 - (np.arange(_GAMBLERS) + 0.5) / _GAMBLERS)
"""Quantiles of the density 2 (1 - f): most gamblers are careful, for small differences are the ones that need many pairs. Of the densities tried
(uniform, Beta(1/2, 1/2), (1/2, 1), (1, 2), (1, 3), (1, 4)) this one needs the fewest pairs at a difference of 0.1 and a discordance of 0.3."""

_HALVINGS = 44
"""Of the interval from -1 to 1 while an end is sought: its place is known to 1e-13."""

_CELLS_AT_ONCE = 4_000_000


class State(NamedTuple):
    """What is known after some pairs."""

    n: int
    """Pairs."""
    difference: float | None
    """Rate of the first minus that of the second; None before the first pair."""
    low: float
    high: float
    """Ends of the interval, which holds the true difference at all looks together with a probability of at least 1 - alpha."""
    decided: Decision | None
    """What the first look that could tell has told; None: not decided."""
    p: float
    """Of "both succeed equally often", valid at any look."""
    decided_at: int | None
    """Pairs at that look."""


class SequentialComparison:
    """Counts pairs, and says after each what is known.

    After a decision nothing is gained from further pairs, and it stays; the interval goes on.
    """

    def __init__(self, *, alpha: float = 0.05, difference: float | None = None) -> None:
        """Begins without a pair.

        Args:
          alpha: Chance of any wrong statement, over all looks.
          difference: The smallest difference of two rates that matters; when the true one is known to be smaller than it, either way, the
            policies are equivalent. None: only a sign can be decided.

        Raises:
          BadData: If alpha or difference is not within (0, 1).
        """
        _check(alpha, difference)
        self._alpha, self._margin = alpha, difference
        self._counts = {1: 0, 0: 0, -1: 0}
        self._decided: Decision | None = None
        self._decided_at: int | None = None

    def update(self, a: bool, b: bool) -> State:
        """Takes a pair: whether the first succeeded, and whether the second did, on one episode."""
        self._counts[int(bool(a)) - int(bool(b))] += 1
        if self._decided is None:
            found = decisions(self._counts[1], self._counts[0], self._counts[-1], self._alpha, self._margin)
            if int(found) != _UNDECIDED:
                self._decided, self._decided_at = _DECISIONS[int(found)], self._n
        return self.state

    @property
    def state(self) -> State:
        """What is known now."""
        wins, ties, losses = self._counts[1], self._counts[0], self._counts[-1]
        low, high = confidence_sequence(wins, ties, losses, self._alpha)
        difference = (wins - losses) / self._n if self._n else None
        return State(self._n, difference, float(low), float(high), self._decided, any_time_p(wins, losses), self._decided_at)

    @property
    def _n(self) -> int:
        return sum(self._counts.values())


def decided_after(differences: Sequence[int], *, alpha: float = 0.05, difference: float | None = None) -> tuple[int, Decision] | None:
    """Returns after how many pairs, in the order given, the first decision falls and which; None where none does.

    Args:
      differences: `(n,)` of each pair 1, 0 or -1.
      alpha: As `SequentialComparison`.
      difference: As `SequentialComparison`.
    """
    _check(alpha, difference)
    x = np.asarray(differences, np.int64)
    found = decisions(np.cumsum(x == 1), np.cumsum(x == 0), np.cumsum(x == -1), alpha, difference)
    at = np.flatnonzero(found != _UNDECIDED)
    return (int(at[0]) + 1, _DECISIONS[int(found[at[0]])]) if at.size else None


_DECISIONS: tuple[Decision, ...] = ("first", "second", "equivalent")
_UNDECIDED = -1


def decisions(wins: ArrayLike, ties: ArrayLike, losses: ArrayLike, alpha: float, difference: float | None) -> NDArray[np.int64]:
    """Returns what the interval of some counts tells: 0 the first is better, 1 the second, 2 they are equivalent, -1 nothing yet.

    Args:
      wins: Pairs in which only the first succeeded; any shape.
      ties: In which both or neither did.
      losses: In which only the second did.
      alpha: As `SequentialComparison`.
      difference: As `SequentialComparison`.
    """
    w, t, s = np.broadcast_arrays(*(np.asarray(v, np.float64) for v in (wins, ties, losses)))
    enough = np.log(2 / alpha)
    found = np.full(w.shape, _UNDECIDED, np.int64)
    if difference is not None:
        is_small = (log_capital(w, t, s, -difference) >= enough) & (log_capital(s, t, w, -difference) >= enough)
        found[is_small] = 2
    found[log_capital(w, t, s, 0.0) >= enough] = 0  # a sign tells more than equivalence, where both are known
    found[log_capital(s, t, w, 0.0) >= enough] = 1
    return found


def confidence_sequence(wins: ArrayLike, ties: ArrayLike, losses: ArrayLike, alpha: float = 0.05) -> Intervals:
    """Returns the interval of the mean difference at some counts; (-1, 1) where there is no pair.

    Args:
      wins: Pairs in which only the first succeeded; any shape.
      ties: In which both or neither did.
      losses: In which only the second did.
      alpha: Chance that any interval of a sequence misses the true difference.

    Raises:
      BadData: If alpha is not within (0, 1).
    """
    _check(alpha, None)
    w, t, s = np.broadcast_arrays(*(np.asarray(v, np.float64) for v in (wins, ties, losses)))
    return Intervals(_low_end(w, t, s, alpha), -_low_end(s, t, w, alpha))


def any_time_p(wins: int, losses: int) -> float:
    """Returns the p value of "the first and the second win equally often" that stays valid however often it is looked at."""
    best = max(float(log_capital(wins, 0, losses, 0.0)), float(log_capital(losses, 0, wins, 0.0)))
    return float(min(1.0, 2.0 * np.exp(-best)))


def log_capital(wins: ArrayLike, ties: ArrayLike, losses: ArrayLike, mean: float | NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns the logarithm of what is left of 1 after betting that the mean difference is above `mean`.

    Args:
      wins: Pairs that gave 1; any shape.
      ties: That gave 0.
      losses: That gave -1.
      mean: Within (-1, 1); a number, or one for each of the counts.
    """
    w, t, s, m = np.broadcast_arrays(*(np.asarray(v, np.float64) for v in (wins, ties, losses, mean)))
    out = np.empty(w.size)
    flat = [v.reshape(-1, 1) for v in (w, t, s, m)]
    for start in range(0, w.size, _CELLS_AT_ONCE // _GAMBLERS):
        rows = slice(start, start + _CELLS_AT_ONCE // _GAMBLERS)
        wins_, ties_, losses_, mean_ = (v[rows] for v in flat)
        if np.isscalar(mean) or np.ndim(mean) == 0:
            mean_ = mean_[:1]  # the logarithms below are then taken once for all rows
        share = _FRACTIONS / (1 + mean_)
        logs = wins_ * np.log1p(share * (1 - mean_)) + ties_ * np.log1p(-share * mean_) + losses_ * np.log1p(-_FRACTIONS)
        top = logs.max(axis=1)
        out[rows] = top + np.log(np.exp(logs - top[:, None]).mean(axis=1))
    return out.reshape(w.shape)


def _low_end(wins: NDArray[np.float64], ties: NDArray[np.float64], losses: NDArray[np.float64], alpha: float) -> NDArray[np.float64]:
    """Returns the mean at which the capital is 2/alpha, by halving: above it there is less. -1 where no mean takes it so far."""
    enough = np.log(2 / alpha)
    low, high = np.full(wins.shape, -1.0), np.ones(wins.shape)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        is_rich = log_capital(wins, ties, losses, middle) >= enough
        low, high = np.where(is_rich, middle, low), np.where(is_rich, high, middle)
    return np.where(wins + ties == 0, -1.0, low)


def _check(alpha: float, difference: float | None) -> None:
    if not 0 < alpha < 1:
        raise BadData(f"alpha is {alpha:g}; it must lie between 0 and 1, e.g. 0.05")
    if difference is not None and not 0 < difference < 1:
        raise BadData(f"the difference that matters is {difference:g}; it must lie between 0 and 1: 0.1 is ten points of success rate")
