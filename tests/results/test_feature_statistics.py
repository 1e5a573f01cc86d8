"""Statistics of features are those of all rows and pixels, however they were dealt out to episodes."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from vlagym.envs.types import stream
from vlagym.results.formats import _statistics
from vlagym.results.formats._statistics import QUANTILES, Histogram, NumberTally, added


def test_rows_of_several_episodes_count_alike() -> None:
    rows = stream(0, "rows").normal(1e3, 1e-3, (30, 4))  # single precision would lose the spread
    tally = NumberTally()
    for part in np.split(rows, [3, 4, 20]):
        tally.add(part)
    found = tally.statistics()
    assert found.count == 30
    for name, value in found.arrays().items():
        wanted = np.quantile(rows, QUANTILES[name], axis=0) if name in QUANTILES else getattr(rows, name)(axis=0)
        np.testing.assert_allclose(value, wanted, rtol=1e-13, err_msg=name)
    np.testing.assert_allclose(found.std, rows.std(axis=0), rtol=1e-9)


def test_a_column_of_flags_is_one_number_a_row() -> None:
    tally = NumberTally()
    tally.add(np.array([True, False, True, True]))
    assert tally.statistics().mean.tolist() == [0.75] and tally.statistics().count == 4


@pytest.mark.parametrize("shape", [(6, 8), (5, 7)])
def test_images_of_several_episodes_count_alike(shape: tuple[int, int]) -> None:
    """Of an odd number of pixels too."""
    rng = stream(0, "images")
    episodes = [rng.integers(0, 250, (count, *shape, 3), np.uint8) // 3 * 3 + 1 for count in (5, 1, 3)]
    found = added([Histogram.of(images) for images in episodes]).statistics()
    pixels = np.concatenate(episodes).reshape(-1, 3) / 255
    assert found.count == 9
    for name, value in found.arrays().items():
        wanted = np.quantile(pixels, QUANTILES[name], axis=0) if name in QUANTILES else getattr(pixels, name)(axis=0)
        np.testing.assert_allclose(value, wanted, atol=1e-12, err_msg=name)


def test_bright_images_do_not_overflow() -> None:
    """Squares of bytes do, in some writers, which then report no spread."""
    images = np.zeros((2, 4, 4, 3), np.uint8)
    images[1] = 255
    found = Histogram.of(images).statistics()
    assert found.mean.tolist() == [0.5] * 3 and found.std.tolist() == [0.5] * 3


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.bool_])
def test_numbers_that_wait_on_the_disk_count_as_those_in_memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, dtype: type) -> None:
    """Negative ones, equal ones and flags too; the quantiles are exact, and nothing is left lying about."""
    rows = stream(0, "many").normal(0.0, 1e3, (5000, 3))
    rows[:, 0] = np.sign(rows[:, 0])
    rows[:10, 1] = 0.0
    episodes: list[NDArray[Any]] = np.array_split(rows.astype(dtype), 37)
    held, waiting = NumberTally(), NumberTally(tmp_path)
    for episode in episodes:
        held.add(episode)
    monkeypatch.setattr(_statistics, "HELD_BYTES", 5000)
    for episode in episodes:
        waiting.add(episode)
    assert list(tmp_path.iterdir()) == []
    found, wanted = waiting.statistics(), held.statistics()
    assert found.count == wanted.count == 5000
    for name, value in wanted.arrays().items():
        np.testing.assert_allclose(found.arrays()[name], value, rtol=1e-12, atol=1e-12, err_msg=name)


def test_memory_does_not_grow_with_the_number_of_rows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(_statistics, "HELD_BYTES", 1 << 16)

    def peak_bytes(episodes: int) -> int:
        tracemalloc.start()
        tally = NumberTally(tmp_path)
        for number in range(episodes):
            tally.add(stream(number, "rows").normal(size=(150, 8)).astype(np.float32))
        tally.statistics()
        try:
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    few, many = peak_bytes(50), peak_bytes(500)
    assert many < few + 500_000, (few, many)  # the rows of the further 450 take 2.2 MB
