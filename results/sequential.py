"""Two policies on the same episodes, looked at as often as one likes: an interval of their difference that holds at every look together.

A betting confidence sequence (Waudby-Smith and Ramdas 2024, "Estimating means of bounded random variables by betting", JRSSB 86, 1-27). A pair
of outcomes gives x = 1 (only the first succeeded), -1 (only the second) or 0. Who believes that the mean difference is above m bets a fraction f
of the capital on every pair; the capital is multiplied by 1 + f (x - m) / (1 + m), which never falls below 0. If the mean is m, no way of betting
is expected to win: the capital is a martingale that begins at 1, and by Ville's inequality ever reaches 2/alpha with a probability of alpha/2 at
most, however many pairs are looked at. The capital here is the average over 256 gamblers whose fractions spread over (0, 1); it is a
martingale too, depends on the pairs through the counts of 1, 0 and -1 alone, and falls as m rises. The lower end of the interval is the m at which it
is 2/alpha; the upper end is the same from the other side. At m = 0 ties neither win nor lose: then this is a sign test of the discordant pairs
that may be stopped at any time.

Pairs must be draws of their own, in random order. Episodes of one scene (a twin and its variations) are not: they are put in as one value, the mean
of their differences, which lies within [-1, 1] and may be bet on in the same way.
"""

from __future__ import annotations

from collections import Counter
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

_PAIR = (1.0, 0.0, -1.0)
"""What a pair can give: only the first succeeded, both or neither, only the second."""

_HALVINGS = 44
"""Of the interval from -1 to 1 while an end is sought: its place is known to 1e-13."""

_CELLS_AT_ONCE = 4_000_000


class State(NamedTuple):
    """What is known after some pairs."""

    n: int
    """Pairs, or groups of them that were put in as one."""
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
    """n at that look."""


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
        self._counts: Counter[float] = Counter()
        self._decided: Decision | None = None
        self._decided_at: int | None = None

    def update(self, a: bool, b: bool) -> State:
        """Takes a pair: whether the first succeeded, and whether the second did, on one episode."""
        self.add(float(bool(a)) - float(bool(b)))
        return self.state

    def add(self, value: float) -> Decision | None:
        """Takes what was drawn at once: the difference of a pair, or the mean difference of pairs of one scene. Returns what is decided.

        Raises:
          BadData: If it lies outside of [-1, 1].
        """
        if not -1 <= value <= 1:
            raise BadData(f"a difference of two outcomes, or a mean of such, lies between -1 and 1; {value:g} does not")
        self._counts[float(value)] += 1
        if self._decided is None:
            found = int(decisions(*self._told(), alpha=self._alpha, difference=self._margin))
            if found != _UNDECIDED:
                self._decided, self._decided_at = _DECISIONS[found], self._n
        return self._decided

    @property
    def state(self) -> State:
        """What is known now."""
        counts, values = self._told()
        low, high = confidence_sequence(counts, values, alpha=self._alpha)
        mean = float(counts @ np.asarray(values)) / self._n if self._n else None
        return State(self._n, mean, float(low), float(high), self._decided, any_time_p(counts, values), self._decided_at)

    @property
    def _n(self) -> int:
        return sum(self._counts.values())

    def _told(self) -> tuple[NDArray[np.float64], tuple[float, ...]]:
        values = tuple(sorted({*self._counts, *_PAIR}, reverse=True))
        return np.array([self._counts[v] for v in values], np.float64), values


def decided_after(differences: ArrayLike, *, alpha: float = 0.05, difference: float | None = None) -> tuple[int, Decision] | None:
    """Returns after how many pairs, in the order given, the first decision falls and which; None where none does.

    Args:
      differences: `(n,)` of each pair 1, 0 or -1; or of each scene its mean.
      alpha: As `SequentialComparison`.
      difference: As `SequentialComparison`.
    """
    _check(alpha, difference)
    x = np.asarray(differences, np.float64)
    values = tuple(sorted({*x.tolist(), *_PAIR}, reverse=True))
    found = decisions(np.stack([np.cumsum(x == v) for v in values], axis=-1), values, alpha=alpha, difference=difference)
    at = np.flatnonzero(found != _UNDECIDED)
    return (int(at[0]) + 1, _DECISIONS[int(found[at[0]])]) if at.size else None


def state_after(differences: ArrayLike, *, alpha: float = 0.05, difference: float | None = None) -> State:
    """Returns the state of a `SequentialComparison` that was told all of these, one after another; of many it is much faster.

    Args:
      differences: As `decided_after`.
      alpha: As `SequentialComparison`.
      difference: As `SequentialComparison`.
    """
    x = np.asarray(differences, np.float64)
    fallen = decided_after(x, alpha=alpha, difference=difference)
    values, counts = np.unique(np.concatenate([x, _PAIR]), return_counts=True)
    counts = counts - np.isin(values, _PAIR)
    low, high = confidence_sequence(counts, values.tolist(), alpha=alpha)
    at, decided = (None, None) if fallen is None else fallen
    mean = float(x.mean()) if x.size else None
    return State(x.size, mean, float(low), float(high), decided, any_time_p(counts, values.tolist()), at)


_DECISIONS: tuple[Decision, ...] = ("first", "second", "equivalent")
_UNDECIDED = -1


def decisions(
    counts: ArrayLike, values: Sequence[float] = _PAIR, *, alpha: float = 0.05, difference: float | None = None
) -> NDArray[np.int64]:
    """Returns what the interval of some counts tells: 0 the first is better, 1 the second, 2 they are equivalent, -1 nothing yet.

    Args:
      counts: `(..., V)` how often each value was met.
      values: `(V,)` within [-1, 1]; by default 1, 0 and -1: wins of the first, ties, wins of the second.
      alpha: As `SequentialComparison`.
      difference: As `SequentialComparison`.
    """
    met, back = np.asarray(counts, np.float64), [-v for v in values]
    enough = np.log(2 / alpha)
    found = np.full(met.shape[:-1], _UNDECIDED, np.int64)
    if difference is not None:
        is_small = (log_capital(met, values, -difference) >= enough) & (log_capital(met, back, -difference) >= enough)
        found[is_small] = 2
    found[log_capital(met, values, 0.0) >= enough] = 0  # a sign tells more than equivalence, where both are known
    found[log_capital(met, back, 0.0) >= enough] = 1
    return found


def confidence_sequence(counts: ArrayLike, values: Sequence[float] = _PAIR, *, alpha: float = 0.05) -> Intervals:
    """Returns the interval of the mean difference at some counts; (-1, 1) where nothing was counted.

    Args:
      counts: `(..., V)` how often each value was met.
      values: `(V,)` within [-1, 1]; by default 1, 0 and -1: wins of the first, ties, wins of the second.
      alpha: Chance that any interval of a sequence misses the true difference.

    Raises:
      BadData: If alpha is not within (0, 1).
    """
    _check(alpha, None)
    met = np.asarray(counts, np.float64)
    return Intervals(_low_end(met, values, alpha), -_low_end(met, [-v for v in values], alpha))


def any_time_p(counts: ArrayLike, values: Sequence[float] = _PAIR) -> float:
    """Returns the p value of "the mean difference is zero" that stays valid however often it is looked at; counts `(V,)`."""
    best = max(float(log_capital(counts, v, 0.0)) for v in (values, [-v for v in values]))
    return float(min(1.0, 2.0 * np.exp(-best)))


def log_capital(counts: ArrayLike, values: Sequence[float], mean: float | NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns the logarithm of what is left of 1 after betting that the mean difference is above `mean`.

    Args:
      counts: `(..., V)` how often each value was met.
      values: `(V,)` within [-1, 1].
      mean: Within (-1, 1); a number, or `(...)` one for each of the counts.
    """
    met, x = np.asarray(counts, np.float64), np.asarray(values, np.float64)
    rows, means = met.reshape(-1, x.size), np.broadcast_to(np.asarray(mean, np.float64), met.shape[:-1]).reshape(-1, 1, 1)
    out = np.empty(len(rows))
    at_once = max(1, _CELLS_AT_ONCE // _GAMBLERS)
    for start in range(0, len(rows), at_once):
        part = slice(start, start + at_once)
        m = means[part] if np.ndim(mean) else means[:1]  # one mean: the logarithms are taken once for all rows
        won = np.log1p(_FRACTIONS * (x[:, None] - m) / (1 + m))
        logs = rows[part] @ won[0] if len(won) == 1 else np.einsum("rv,rvg->rg", rows[part], won)
        top = logs.max(axis=1)
        out[part] = top + np.log(np.exp(logs - top[:, None]).mean(axis=1))
    return out.reshape(met.shape[:-1])


def _low_end(counts: NDArray[np.float64], values: Sequence[float], alpha: float) -> NDArray[np.float64]:
    """Returns the mean at which the capital is 2/alpha, by halving: above it there is less. -1 where no mean takes it so far."""
    enough = np.log(2 / alpha)
    low, high = np.full(counts.shape[:-1], -1.0), np.ones(counts.shape[:-1])
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        is_rich = log_capital(counts, values, middle) >= enough
        low, high = np.where(is_rich, middle, low), np.where(is_rich, high, middle)
    is_least = np.asarray(values) <= -1
    return np.where(counts[..., ~is_least].sum(axis=-1) == 0, -1.0, low)


def _check(alpha: float, difference: float | None) -> None:
    if not 0 < alpha < 1:
        raise BadData(f"alpha is {alpha:g}; it must lie between 0 and 1, e.g. 0.05")
    if difference is not None and not 0 < difference < 1:
        raise BadData(f"the difference that matters is {difference:g}; it must lie between 0 and 1: 0.1 is ten points of success rate")
