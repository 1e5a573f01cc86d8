"""The statistics by which a checkpoint of OpenVLA un-normalises its actions, one set for each dataset that it was trained on."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.errors import BadData, unknown_name
from vlagym.envs.types import ActionSpec

FINE_TUNED = "dataset_statistics.json"
"""What a fine-tuned checkpoint holds beside config.json; it has precedence."""
FAR_APART = 3.0
"""Percentiles and a profile's range that differ by more than that are of other units, or of another robot."""
_SUFFIX = "_no_noops"
_PLACES = ("delta_position", "position")


def read_statistics(folder: Path, config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns dataset -> statistics: those of config.json ("norm_stats"), and those of a fine-tuning.

    Raises:
      BadData: If there are none, or a file does not hold them.
    """
    found: dict[str, Any] = dict(config.get("norm_stats") or {})
    path = folder / FINE_TUNED
    if path.is_file():
        try:
            found |= json.loads(path.read_text(encoding="utf-8"))
        except (ValueError, TypeError) as error:
            raise BadData(f"{path} holds no table of statistics: {error}") from error
    if not found:
        raise BadData(f"{folder} has no statistics to un-normalise actions with: neither norm_stats in config.json nor {FINE_TUNED}")
    return found


def choose(statistics: Mapping[str, Any], key: str | None, folder: Path) -> str:
    """Returns the dataset whose statistics count.

    Args:
      statistics: Of `read_statistics`.
      key: What was asked for. LIBERO's datasets were filtered before training: "libero_goal" finds "libero_goal_no_noops".
      folder: For messages.

    Raises:
      UnknownName: If there is no such dataset.
      BadData: If none was asked for and there are several: with the wrong ones every motion has the wrong size.
    """
    if key is None:
        if len(statistics) == 1:
            return next(iter(statistics))
        there = ", ".join(sorted(statistics))
        raise BadData(f"{folder} was trained on {len(statistics)} datasets: say --policy-option unnorm_key=NAME. There are: {there}")
    for name in (key, key + _SUFFIX):
        if name in statistics:
            return name
    raise unknown_name("dataset of the checkpoint", key, statistics, "It is the option unnorm_key.")


class Unnormaliser:
    """From -1 to 1 to physical units, by the first and the 99th percentile of a dataset."""

    def __init__(self, statistics: Mapping[str, Any], name: str) -> None:
        """Reads the statistics of a dataset.

        Raises:
          BadData: If they lack percentiles, or sizes differ.
        """
        try:
            action = statistics[name]["action"]
            self._low, self._high = (np.array(action[q], np.float64) for q in ("q01", "q99"))
            self._mask = np.array(action.get("mask", np.ones_like(self._low)), np.bool_)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise BadData(f"the statistics of {name!r} hold no q01 and q99 of the action: {type(error).__name__} {error}") from error
        if not self._low.shape == self._high.shape == self._mask.shape or self._low.ndim != 1:
            raise BadData(f"the statistics of {name!r} are of {self._low.shape}, {self._high.shape} and {self._mask.shape} numbers")

    @property
    def size(self) -> int:
        """Numbers of an action."""
        return len(self._low)

    def apply(self, unit: NDArray[np.float64]) -> NDArray[np.float64]:
        """Returns actions `(T, D)` in the dataset's units; what the mask leaves out passes as it is."""
        return np.where(self._mask, 0.5 * (unit + 1.0) * (self._high - self._low) + self._low, unit)

    def other_ranges(self, action: ActionSpec) -> Iterator[str]:
        """Yields where what the dataset's actions reach and what a profile declares differ by more than FAR_APART, each in a few words.

        Percentiles beyond a range count in every part. Those far within it count in displacements of place alone, or in any part where there are
        none: LIBERO's turns reach 0.1 to 0.4 of its 1 (q01, q99 of openvla's dataset_statistics), and its displacements 0.9.

        Args:
          action: What the profile declares, of as many numbers.
        """
        reach = np.where(self._mask, np.maximum(np.abs(self._low), np.abs(self._high)), 0.0)
        parts = [c for c in action.components if not c.convention.startswith(("gripper", "ignored"))]
        places = [c.name for c in parts if c.convention in _PLACES] or [c.name for c in parts]
        slices = action.slices()
        for c in parts:
            numbers, ends = reach[slices[c.name]], np.maximum(np.abs(c.low), np.abs(c.high))
            if not numbers.any():
                continue
            told = f"{c.name} reaches {numbers.max():.3g} there and {ends.max():g} in the profile"
            if (numbers > FAR_APART * ends).any() or (c.name in places and (FAR_APART * numbers < ends).all()):
                yield told
