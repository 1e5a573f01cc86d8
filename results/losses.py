"""What a dataset loses on its way into another format: measured on what is there, told in sentences."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vlagym.results.demonstration import DatasetInfo, Demonstration
from vlagym.results.format import ABSENT, FIELDS, Format

_CODECS = {"exact": "as they are", "jpeg": "JPEG", "h264": "H.264"}
_MEANS = {
    "spec": "without it an episode cannot be simulated again, or verified",
    "executed_actions": "the labels stand for them, and no episode runs the same again",
    "certificate": "nobody can verify the episodes",
}
"""What follows from the loss of a field, where it is not plain."""


class Loss(NamedTuple):
    """What is not there any more."""

    what: str
    """A name of `vlagym.results.format.FIELDS`, or images, demonstrations, state."""
    how: str
    """A sentence without its full stop."""


class ImageError(NamedTuple):
    """By how much images differ from what they were."""

    mean: float
    """Of 255 levels."""
    psnr_db: float


class Losses:
    """Counts what demonstrations hold that a format has no place for."""

    def __init__(self, target: Format, name: str) -> None:
        """Begins with nothing.

        Args:
          target: The format.
          name: What it is called.
        """
        self._format, self._name = target, name
        self._without = [field for field in FIELDS if field not in target.holds and field != "frame_stride"]
        self._counts: Counter[str] = Counter()
        self._seen = 0

    def count(self, demonstration: Demonstration) -> None:
        """Takes note of a demonstration; its images and depth are not read."""
        self._seen += 1
        for field in self._without:
            if field == "executed_actions":
                self._counts[field] += not np.array_equal(demonstration.actions, demonstration.executed_actions)
            else:
                self._counts[field] += _is_there(getattr(demonstration, field))

    def info(self, info: DatasetInfo) -> DatasetInfo:
        """Returns what is left of a dataset's information."""
        changes: dict[str, Any] = {"depth": ()} if "depth" in self._without else {}
        changes |= {"commands": {}} if "commands" in self._without else {}
        return dataclasses.replace(info, **changes)

    def left(self, demonstration: Demonstration) -> Demonstration:
        """Returns what is left of a demonstration."""
        changes: dict[str, Any] = {field: ABSENT[field] for field in self._without if field in ABSENT}
        changes |= {"executed_actions": demonstration.actions} if "executed_actions" in self._without else {}
        return dataclasses.replace(demonstration, **changes)

    def told(self, before: Format, error: ImageError | None) -> list[Loss]:
        """Returns all of them.

        Args:
          before: The format that the images come from.
          error: Of the images of a demonstration; None where the format stores them exactly.
        """
        lost = [
            Loss(field, f"{self._name} has no place for it, and {count} of {self._seen} demonstrations have it{_consequence(field)}")
            for field, count in self._counts.items()
            if count
        ]
        if error is not None:
            again = "" if before.images == "exact" else f" once more: before they were {_CODECS[before.images]}"
            psnr = "" if math.isinf(error.psnr_db) else f", PSNR {error.psnr_db:.1f} dB"
            how = f"they are compressed as {_CODECS[self._format.images]}{again}"
            lost.append(Loss("images", f"{how}; in the first demonstration they differ by {error.mean:.2f} of 255 levels{psnr}"))
        return lost


def image_error(written: Mapping[str, NDArray[np.uint8]], found: Mapping[str, NDArray[np.uint8]]) -> ImageError:
    """Returns by how much images that were read back differ, over all cameras, frames and pixels.

    Args:
      written: Camera -> (T', h, w, 3).
      found: The same after a codec.
    """
    count, total, squares = 0, 0.0, 0.0
    for camera, images in written.items():
        for before, after in zip(images, found[camera], strict=True):  # frame by frame: no second copy of all of them
            difference = before.astype(np.int16) - after
            count += difference.size
            total += float(np.abs(difference).sum(dtype=np.int64))
            squares += float(np.square(difference, dtype=np.int32).sum(dtype=np.int64))
    mean_square = squares / max(1, count)
    return ImageError(total / max(1, count), math.inf if mean_square == 0 else 10.0 * math.log10(255.0**2 / mean_square))


def _is_there(value: Any) -> bool:
    return value is not None and (not hasattr(value, "__len__") or len(value) > 0)


def _consequence(field: str) -> str:
    return f"; {_MEANS[field]}" if field in _MEANS else ""
