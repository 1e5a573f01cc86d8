"""The room on the disk: told from the first demonstrations how much a collection takes, before it runs out."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from vlagym.envs.errors import BadData, VlagymError

SPARE_BYTES = 64 << 20
"""Always left free."""
_KNOWN_AFTER = 4
"""Demonstrations from which the size of the others is told."""
_COPIES = 2
"""A dataset is built beside its parts, which are removed once it is whole."""


class CannotStore(VlagymError):
    """A demonstration that fits the dataset could not be written: the disk is full, or may not be written to. No other could be either."""


FreeBytes = Callable[[Path], int]


def free_bytes(folder: Path) -> int:
    """Returns how much may still be written into a folder."""
    return shutil.disk_usage(folder).free


def make_folder(folder: Path) -> None:
    """Makes the folder in which a dataset is to lie, where there is none.

    Raises:
      BadData: If it cannot be made, or not be written into.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadData(f"the folder {folder} cannot be made: {error.strerror}. Choose another --out") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise BadData(f"the folder {folder} may not be written into. Choose another --out, or change its rights")


class Room:
    """Watches the disk of one collection.

    Args:
      out: The dataset, whose folder exists.
      total: Demonstrations that it may come to.
      free: Tells how many bytes are free in a folder.
      before: Bytes of each demonstration that an earlier process stored of it.
    """

    def __init__(self, out: Path, total: int, free: FreeBytes = free_bytes, before: Sequence[int] = ()) -> None:
        self._out, self._total, self._free = out, total, free
        self._sizes = list(before)
        self.needed_bytes: int | None = None
        """What the rest of the collection takes, the copy for building included; None before it is known."""

    def check(self, left: float) -> None:
        """Looks at the disk before anything is played.

        Args:
          left: How many demonstrations are expected.

        Raises:
          BadData: If there is hardly any room left, or, where some were stored before, not enough for the others.
        """
        self._compare(SPARE_BYTES, "to begin with")
        self._foresee(left)

    def take(self, num_bytes: int, left: float) -> None:
        """Takes note of a demonstration that was stored.

        Args:
          num_bytes: Its size.
          left: How many more are expected.

        Raises:
          BadData: If there is not enough room for the others, or to build the dataset of those that there are.
        """
        self._sizes.append(num_bytes)
        self._foresee(left)

    def _foresee(self, left: float) -> None:
        if len(self._sizes) < min(_KNOWN_AFTER, self._total) or not self._sizes:
            return
        stored = sum(self._sizes)
        mean = stored / len(self._sizes)
        self.needed_bytes = round(_COPIES * mean * max(0.0, left) + (_COPIES - 1) * stored)
        self._compare(self.needed_bytes + SPARE_BYTES, f"for {left:.0f} more of about {mean / 1e6:.2f} MB, and to build the dataset beside its parts")

    def _compare(self, needed: int, what: str) -> None:
        free = self._free(self._out.parent)
        if free < needed:
            raise BadData(
                f"{self._out.parent} has {free / 1e9:.2f} GB free, and {needed / 1e9:.2f} GB are needed {what}. What was collected is kept: make "
                "room, and the same command goes on with it"
            )
