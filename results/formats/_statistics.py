"""What a column of numbers or the images of a camera are like: extremes, mean, spread and quantiles, tallied episode by episode.

Everything is counted in float64. Minimum, maximum, mean and standard deviation of a whole dataset are those of all its rows, not means of episodes;
so are the quantiles, for which a tally of numbers keeps every value and a tally of images how often each of the 256 levels occurs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.errors import MissingPackage

QUANTILES = {"q01": 0.01, "q10": 0.1, "q50": 0.5, "q90": 0.9, "q99": 0.99}
LEVELS = 256
"""Of a channel of an image."""
_IMAGES_AT_ONCE = 8
"""One below the other as one image; they are copied meanwhile."""


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """Of one feature: `(k,)` float64 each, k numbers a row or 3 channels."""

    min: NDArray[np.float64]
    max: NDArray[np.float64]
    mean: NDArray[np.float64]
    std: NDArray[np.float64]
    """Of the population: divided by the count."""
    q01: NDArray[np.float64]
    q10: NDArray[np.float64]
    q50: NDArray[np.float64]
    q90: NDArray[np.float64]
    q99: NDArray[np.float64]
    count: int
    """Rows, or images."""

    def arrays(self) -> dict[str, NDArray[np.float64]]:
        """Returns everything but the count, by its name."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name != "count"}


class NumberTally:
    """Numbers of one feature, row by row."""

    def __init__(self) -> None:
        self._rows: list[NDArray[Any]] = []

    def add(self, rows: NDArray[Any]) -> None:
        """Takes the rows of an episode: `(T, k)`, or `(T,)` where k is 1."""
        self._rows.append(rows.reshape(len(rows), -1).copy())

    def statistics(self) -> Statistics:
        """Returns what all rows are like; there must be one."""
        rows = np.concatenate(self._rows).astype(np.float64)
        quantiles = np.quantile(rows, list(QUANTILES.values()), axis=0)
        return Statistics(
            min=rows.min(axis=0),
            max=rows.max(axis=0),
            mean=rows.mean(axis=0),
            std=rows.std(axis=0),
            count=len(rows),
            **dict(zip(QUANTILES, quantiles, strict=True)),
        )


@dataclass(frozen=True)
class Histogram:
    """How often each level occurs in the images of a camera. Histograms of episodes are added up."""

    levels: NDArray[np.int64]
    """(3, 256), one row a channel"""
    images: int

    @staticmethod
    def of(images: NDArray[np.uint8]) -> Histogram:
        """Returns the histogram of `(T, h, w, 3)`; every pixel counts.

        Raises:
          MissingPackage: Without Pillow, which takes half the time of `numpy.bincount`.
        """
        try:
            from PIL import Image
        except ImportError as missing:
            raise MissingPackage("statistics of images need: pip install 'vlagym[data]'") from missing
        levels = np.zeros(3 * LEVELS, np.int64)
        for first in range(0, len(images), _IMAGES_AT_ONCE):
            some = np.ascontiguousarray(images[first : first + _IMAGES_AT_ONCE])
            levels += Image.fromarray(some.reshape(-1, *some.shape[2:])).histogram()
        return Histogram(levels.reshape(3, LEVELS), len(images))

    def __add__(self, other: Histogram) -> Histogram:
        return Histogram(self.levels + other.levels, self.images + other.images)

    def statistics(self) -> Statistics:
        """Returns what the images are like, on a scale from 0 to 1; the count is that of the images."""
        scale = np.arange(LEVELS) / (LEVELS - 1)
        pixels = self.levels.sum(axis=1)
        below = np.cumsum(self.levels, axis=1)
        mean = self.levels @ scale / pixels
        variance = (self.levels * (scale - mean[:, None]) ** 2).sum(axis=1) / pixels
        quantiles = {name: _quantiles(below, pixels, q, scale) for name, q in QUANTILES.items()}
        used = self.levels > 0
        return Statistics(
            min=scale[used.argmax(axis=1)],
            max=scale[LEVELS - 1 - used[:, ::-1].argmax(axis=1)],
            mean=mean,
            std=np.sqrt(variance),
            count=self.images,
            **quantiles,
        )


def _quantiles(below: NDArray[np.int64], pixels: NDArray[np.int64], q: float, scale: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns a quantile of each channel, as `numpy.quantile` finds it in all pixels: between the two values nearest to its place."""
    found = []
    for counts, total in zip(below, pixels, strict=True):
        place = q * (total - 1)
        first = int(np.floor(place))
        low, high = (scale[np.searchsorted(counts, min(at, total - 1), side="right")] for at in (first, first + 1))
        found.append(low + (high - low) * (place - first))
    return np.array(found)


def tally(columns: Mapping[str, NDArray[Any]], into: dict[str, NumberTally]) -> None:
    """Adds the columns of an episode to the tallies of their names, which are begun where there is none."""
    for name, rows in columns.items():
        into.setdefault(name, NumberTally()).add(rows)


def added(histograms: Sequence[Histogram]) -> Histogram:
    """Returns the sum; there must be one."""
    total = histograms[0]
    for histogram in histograms[1:]:
        total = total + histogram
    return total
