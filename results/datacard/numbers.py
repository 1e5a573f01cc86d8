"""What one number of a dataset is like over all its rows: extremes, mean, spread, quantiles and a histogram, in memory that does not grow.

Minimum, maximum, mean and standard deviation are exact. For quantiles values are counted in at most BINS bins, whose width is a power of two and is
doubled whenever the range no longer fits: the bins depend on the values alone, not on their order or on who came with how many. Each bin knows
its smallest and its largest value, so that quantiles of numbers that have few values (a gripper) are exact, and others are as close as a bin is wide,
less than a thousandth of the range.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.errors import BadData

BINS = 4096
"""The most bins of a number; the range takes at least half of them, unless its values are too near to each other to be told apart."""
_FOLD = 8192
"""Values that wait before they are counted: sorting many at once is cheap."""
_MANTISSA = 52
_FINEST = -1000
"""Of the exponents of a bin's width."""


@dataclass(frozen=True, kw_only=True)
class NumberSummary:
    """One number of an action or a state, over all rows."""

    name: str
    """Of the component or array, and which of its numbers it is: "translation.x"."""
    unit: str
    """Of the value, or what 1.0 means: "0.05 m"; "" where nobody says."""
    count: int
    min: float
    max: float
    mean: float
    std: float
    """Of the population: divided by the count."""
    q01: float
    q99: float


class NumberTally:
    """The values of one number, counted as they come."""

    def __init__(self) -> None:
        """Begins with none."""
        self._waiting: list[NDArray[np.float64]] = []
        self._num_waiting = 0
        self._count, self._mean, self._squares = 0, 0.0, 0.0
        self._exponent = _FINEST
        self._at = np.zeros(0, np.int64)
        self._counts = np.zeros(0, np.int64)
        self._lows = np.zeros(0)
        self._highs = np.zeros(0)

    def add(self, values: NDArray[np.floating[Any]]) -> None:
        """Takes the values `(T,)` of an episode.

        Raises:
          BadData: If one of them is NaN or infinite.
        """
        if not np.isfinite(values).all():
            raise BadData(f"a column of numbers holds {values[~np.isfinite(values)][0]}, of which there is no mean")
        self._waiting.append(np.array(values, np.float64))
        self._num_waiting += len(values)
        if self._num_waiting >= _FOLD:
            self._fold()

    @property
    def count(self) -> int:
        """Values so far."""
        return self._count + self._num_waiting

    def summary(self, name: str, unit: str) -> NumberSummary:
        """Returns what all values are like; there must be one."""
        self._fold()
        return NumberSummary(
            name=name,
            unit=unit,
            count=self._count,
            min=float(self._lows[0]),
            max=float(self._highs[-1]),
            mean=self._mean,
            std=math.sqrt(max(0.0, self._squares / self._count)),
            q01=self.quantile(0.01),
            q99=self.quantile(0.99),
        )

    def quantile(self, q: float) -> float:
        """Returns a quantile as `numpy.quantile` defines it: between the two values that are nearest to its place."""
        self._fold()
        place = q * (self._count - 1)
        first = int(math.floor(place))
        low, high = self._ranked(first), self._ranked(min(first + 1, self._count - 1))
        return low + (high - low) * (place - first)

    def histogram(self, edges: NDArray[np.float64]) -> NDArray[np.int64]:
        """Returns how many values lie between ascending edges, `(len(edges) - 1,)`; a bin counts where its middle is, the last edge included."""
        self._fold()
        middles = (self._lows + self._highs) / 2
        at = np.clip(np.searchsorted(edges, middles, side="right") - 1, 0, len(edges) - 2)
        inside = (middles >= edges[0]) & (middles <= edges[-1])
        return np.bincount(at[inside], weights=self._counts[inside], minlength=len(edges) - 1).astype(np.int64)

    def _ranked(self, rank: int) -> float:
        """Returns the value that `rank` others are not above; within a bin values are taken to be evenly spread."""
        ends = np.cumsum(self._counts)
        at = int(np.searchsorted(ends, rank, side="right"))
        count, low, high = int(self._counts[at]), float(self._lows[at]), float(self._highs[at])
        return low if count == 1 else low + (high - low) * (rank - (int(ends[at]) - count)) / (count - 1)

    def _fold(self) -> None:
        if not self._num_waiting:
            return
        values = np.sort(np.concatenate(self._waiting))
        self._waiting, self._num_waiting = [], 0
        self._add_moments(values)
        low, high = float(values[0]), float(values[-1])
        if len(self._at):
            low, high = min(low, float(self._lows[0])), max(high, float(self._highs[-1]))
        exponent = _exponent(low, high)
        if len(self._at) and exponent > self._exponent:
            self._at = self._at >> min(62, exponent - self._exponent)
        self._exponent = exponent
        ones = np.ones(len(values), np.int64)
        at = np.concatenate([self._at, np.floor(np.ldexp(values, -exponent)).astype(np.int64)])
        counts, lows, highs = (np.concatenate(pair) for pair in ((self._counts, ones), (self._lows, values), (self._highs, values)))
        order = np.argsort(at, kind="stable")
        starts = np.flatnonzero(np.diff(at[order], prepend=at[order[0]] - 1))
        self._at = at[order][starts]
        self._counts = np.add.reduceat(counts[order], starts)
        self._lows = np.minimum.reduceat(lows[order], starts)
        self._highs = np.maximum.reduceat(highs[order], starts)

    def _add_moments(self, values: NDArray[np.float64]) -> None:
        """Joins the mean and the squares of two parts: Chan, Golub and LeVeque 1979."""
        count, mean = len(values), float(values.mean())
        squares = float(((values - mean) ** 2).sum())
        total, apart = self._count + count, mean - self._mean
        self._squares += squares + apart**2 * self._count * count / total
        self._mean += apart * count / total
        self._count = total


def _exponent(low: float, high: float) -> int:
    """Returns the smallest exponent of 2 at which the range takes no more than BINS bins and their numbers are exact."""
    exact = math.frexp(max(abs(low), abs(high)))[1] - _MANTISSA
    exponent = max(_FINEST, exact, math.frexp(high - low)[1] - math.frexp(BINS)[1] - 1)
    while math.floor(math.ldexp(high, -exponent)) - math.floor(math.ldexp(low, -exponent)) >= BINS:
        exponent += 1
    return exponent
