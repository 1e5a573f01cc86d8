"""What a dataset of LeRobot says of all its demonstrations together: its tasks, and the statistics of each feature."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlagym.results.formats._lerobot import Stored, numbers, plain_statistics
from vlagym.results.formats._statistics import Histogram, NumberTally, tally


class Totals:
    """Counts demonstrations in the order in which they are written."""

    def __init__(self) -> None:
        self.tasks: dict[str, int] = {}
        """Sentence -> task_index, in the order in which they are met."""
        self.num_episodes = 0
        self.num_rows = 0
        self._numbers: dict[str, NumberTally] = {}
        self._images: dict[str, Histogram] = {}

    def counters(self, stored: Stored) -> dict[str, NDArray[np.int64]]:
        """Returns the columns that say where the next demonstration stands."""
        steps = stored.num_rows
        task = self.tasks.setdefault(stored.instruction, len(self.tasks))
        return {
            "episode_index": np.full(steps, self.num_episodes),
            "index": np.arange(self.num_rows, self.num_rows + steps),
            "task_index": np.full(steps, task),
        }

    def add(self, stored: Stored, table: Any) -> dict[str, dict[str, Any]]:
        """Counts a demonstration, whose rows are those of a table, and returns its own statistics: feature -> name -> values."""
        columns, histograms = numbers(table), stored.histograms()
        own: dict[str, NumberTally] = {}
        tally(columns, own)
        tally(columns, self._numbers, stored.part.path.parent)  # where there is room for a whole dataset
        for feature, histogram in histograms.items():
            self._images[feature] = self._images[feature] + histogram if feature in self._images else histogram
        self.num_episodes += 1
        self.num_rows += stored.num_rows
        return _plain(own, histograms)

    def statistics(self) -> dict[str, dict[str, Any]]:
        """Returns those of all demonstrations together: feature -> name -> values."""
        return _plain(self._numbers, self._images)


def _plain(tallies: Mapping[str, NumberTally], histograms: Mapping[str, Histogram]) -> dict[str, dict[str, Any]]:
    of_images = {name: plain_statistics(histogram.statistics(), is_image=True) for name, histogram in histograms.items()}
    return of_images | {name: plain_statistics(tallied.statistics(), is_image=False) for name, tallied in tallies.items()}
