"""What a column of numbers or the images of a camera are like: extremes, mean, spread and quantiles, tallied episode by episode.

Everything is counted in float64. Minimum, maximum, mean and standard deviation of a whole dataset are those of all its rows, not means of episodes;
so are the quantiles, for which a tally of numbers keeps every value, on the disk where they are many, and one of images how often each of the 256
levels occurs.
"""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.errors import MissingPackage

QUANTILES = {"q01": 0.01, "q10": 0.1, "q50": 0.5, "q90": 0.9, "q99": 0.99}
LEVELS = 256
"""Of a channel of an image."""
HELD_BYTES = 1 << 20
"""Of numbers that a tally holds in memory."""
_DIGIT_BITS = 16
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
    """Numbers of one feature, row by row. Beyond a few thousand rows they wait in a file that has no name, and memory does not grow."""

    def __init__(self, folder: Path | None = None) -> None:
        """Begins with none.

        Args:
          folder: On a disk that has room for all numbers; None: that of temporary files.
        """
        self._folder = folder
        self._waiting: list[NDArray[Any]] = []
        self._num_bytes = 0
        self._file: BinaryIO | None = None
        self._blocks: list[int] = []
        """Rows of each block of the file; in a block one number comes after the other."""

    def add(self, rows: NDArray[Any]) -> None:
        """Takes the rows of an episode: `(T, k)`, or `(T,)` where k is 1.

        Raises:
          OSError: If the disk is full.
        """
        own = rows.reshape(len(rows), -1).astype(np.float32 if rows.dtype == np.float32 else np.float64)
        self._waiting.append(own)
        self._num_bytes += own.nbytes
        if self._num_bytes > HELD_BYTES:
            self._put_down()

    def statistics(self) -> Statistics:
        """Returns what all rows are like; there must be one."""
        if self._file is None:
            return _of_rows(np.concatenate(self._waiting).astype(np.float64))
        self._put_down()
        found = [_of_pieces(partial(self._pieces, number), sum(self._blocks)) for number in range(self._width)]
        columns = {f.name: np.array([getattr(one, f.name)[0] for one in found]) for f in fields(Statistics) if f.name != "count"}
        return Statistics(**columns, count=sum(self._blocks))

    def _put_down(self) -> None:
        if not self._waiting:
            return
        rows = np.concatenate(self._waiting)
        self._width, self._dtype = rows.shape[1], rows.dtype
        if self._file is None:
            self._file = cast("BinaryIO", tempfile.TemporaryFile(dir=self._folder))
        self._file.seek(0, os.SEEK_END)
        self._file.write(np.ascontiguousarray(rows.T).tobytes())
        self._blocks.append(len(rows))
        self._waiting, self._num_bytes = [], 0

    def _pieces(self, number: int) -> Iterator[NDArray[Any]]:
        """Yields the values of one of the k numbers, a block at a time."""
        assert self._file is not None
        begin = 0
        for rows in self._blocks:
            size = rows * self._dtype.itemsize
            self._file.seek(begin + number * size)
            yield np.frombuffer(self._file.read(size), self._dtype)
            begin += size * self._width


def _of_rows(rows: NDArray[np.float64]) -> Statistics:
    quantiles = np.quantile(rows, list(QUANTILES.values()), axis=0)
    return Statistics(
        min=rows.min(axis=0),
        max=rows.max(axis=0),
        mean=rows.mean(axis=0),
        std=rows.std(axis=0),
        count=len(rows),
        **dict(zip(QUANTILES, quantiles, strict=True)),
    )


def _of_pieces(pieces: Callable[[], Iterator[NDArray[Any]]], count: int) -> Statistics:
    """Returns the same of one number whose values come in pieces, as often as they are asked for."""
    least, most, sums = math.inf, -math.inf, []
    for piece in pieces():
        least, most = min(least, float(piece.min())), max(most, float(piece.max()))
        sums.append(float(piece.sum(dtype=np.float64)))
    mean = math.fsum(sums) / count
    squares = math.fsum(float(((piece.astype(np.float64) - mean) ** 2).sum()) for piece in pieces())
    places = {name: q * (count - 1) for name, q in QUANTILES.items()}
    firsts = {name: math.floor(place) for name, place in places.items()}
    values = _ranked(pieces, {rank for first in firsts.values() for rank in (first, min(first + 1, count - 1))})
    quantiles = {}
    for name, first in firsts.items():
        low, high = values[first], values[min(first + 1, count - 1)]
        quantiles[name] = np.array([low + (high - low) * (places[name] - first)])
    return Statistics(
        min=np.array([least]), max=np.array([most]), mean=np.array([mean]), std=np.array([math.sqrt(squares / count)]), count=count, **quantiles
    )


def _ranked(pieces: Callable[[], Iterator[NDArray[Any]]], ranks: Collection[int]) -> dict[int, float]:
    """Returns the values that so many others are not above: digit by digit of their bits, of which 65,536 kinds are counted at a time."""
    places = {rank: (0, rank) for rank in ranks}
    """Rank -> the digits that are known of its value, and its rank among the values that have them."""
    dtype: np.dtype[Any] = np.dtype(np.float32)
    known_bits = 0
    while known_bits == 0 or known_bits < dtype.itemsize * 8:
        known = np.array(sorted({digits for digits, _ in places.values()}), np.uint64)
        counts = np.zeros((len(known), 1 << _DIGIT_BITS), np.int64)
        for piece in pieces():
            dtype = piece.dtype
            keys = _keys(piece)
            digits = keys >> np.uint64(dtype.itemsize * 8 - known_bits - _DIGIT_BITS)
            above = digits >> np.uint64(_DIGIT_BITS)
            at = np.minimum(np.searchsorted(known, above), len(known) - 1)
            fits = known[at] == above
            flat = at[fits] * (1 << _DIGIT_BITS) + (digits[fits] & np.uint64((1 << _DIGIT_BITS) - 1)).astype(np.int64)
            counts += np.bincount(flat, minlength=counts.size).reshape(counts.shape)
        ends = np.cumsum(counts, axis=1)
        for rank, (digits_of, within) in places.items():
            row = ends[int(np.searchsorted(known, np.uint64(digits_of)))]
            digit = int(np.searchsorted(row, within, side="right"))
            places[rank] = ((digits_of << _DIGIT_BITS) | digit, within - (int(row[digit - 1]) if digit else 0))
        known_bits += _DIGIT_BITS
    return {rank: _value(key, dtype) for rank, (key, _) in places.items()}


def _keys(values: NDArray[Any]) -> NDArray[np.uint64]:
    """Returns the bits of numbers as integers that are in the same order: of negative ones all are turned, of others the sign."""
    bits, width = values.view(f"u{values.itemsize}").astype(np.uint64), values.itemsize * 8
    sign = np.uint64(1 << (width - 1))
    every = np.uint64((1 << width) - 1)
    return np.where(bits & sign, ~bits & every, bits | sign)


def _value(key: int, dtype: np.dtype[Any]) -> float:
    width = dtype.itemsize * 8
    sign = 1 << (width - 1)
    bits = key ^ sign if key & sign else ~key & ((1 << width) - 1)
    return float(np.array(bits, f"u{dtype.itemsize}").view(dtype))


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


def tally(columns: Mapping[str, NDArray[Any]], into: dict[str, NumberTally], folder: Path | None = None) -> None:
    """Adds the columns of an episode to the tallies of their names, which are begun where there is none, with a file in `folder`."""
    for name, rows in columns.items():
        if name not in into:
            into[name] = NumberTally(folder)
        into[name].add(rows)


def added(histograms: Sequence[Histogram]) -> Histogram:
    """Returns the sum; there must be one."""
    total = histograms[0]
    for histogram in histograms[1:]:
        total = total + histogram
    return total
