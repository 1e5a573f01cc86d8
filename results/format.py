"""What a dataset format is: a writer that appends demonstrations and a reader that gives them back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.errors import BadData
from vlagym.results.demonstration import DatasetInfo, Demonstration


class NoDataset(BadData):
    """There is no dataset where one was looked for."""


class NotOurs(BadData):
    """A dataset that vlagym did not write: what is derived in it follows the rules of others."""


FIELDS = (
    "spec",
    "executed_actions",
    "proprio",
    "privileged",
    "depth",
    "commands",
    "stages",
    "paraphrases",
    "certificate",
    "timestamps_s",
    "extra",
    "frame_stride",
)
"""What a demonstration may hold that not every format has a place for; "frame_stride": fewer images than steps."""


ABSENT: Mapping[str, Any] = {
    "spec": None,
    "proprio": {},
    "privileged": {},
    "depth": {},
    "commands": {},
    "stages": (),
    "paraphrases": (),
    "certificate": None,
    "timestamps_s": None,
    "extra": {},
}
"""What a demonstration is written with in a format that has no place for it; its executed actions are then its actions."""


class Part(NamedTuple):
    """A demonstration that lies whole on the disk beside its dataset, and waits to be listed in it."""

    digest: str
    path: Path


class DatasetWriter(Protocol):
    """Appends demonstrations to a dataset. Use it in a `with` statement.

    Until it is closed everything lies in `<dataset>.parts`; the dataset appears under its name only when it is whole. A `with` statement that is
    left by an exception keeps what was taken, for the next writer of the same dataset to go on with. A folder dataset that is whole is not extended.
    """

    @property
    def digests(self) -> Sequence[str]:
        """Digests of the demonstrations that are stored whole, in order; those need not be made again. What is `in` them is known at once."""
        ...

    def append(self, demonstration: Demonstration) -> None:
        """Stores one demonstration; when this returns, a kill no longer loses it."""
        ...

    def take(self, part: Part) -> None:
        """Lists what another process has stored with `Format.store`; when this returns, a kill no longer loses it."""
        ...

    def close(self) -> None:
        """Makes the dataset whole, and gives it its name."""
        ...

    def __enter__(self) -> DatasetWriter: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None: ...


class DatasetReader(Protocol):
    """Reads demonstrations by their number. Images come from the disk when they are looked at. Use it in a `with` statement."""

    @property
    def info(self) -> DatasetInfo: ...

    @property
    def digests(self) -> tuple[str, ...]: ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Demonstration: ...

    def close(self) -> None: ...

    def __enter__(self) -> DatasetReader: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None: ...


class TrainingView(Protocol):
    """What whoever trains reads of a dataset of ours, under the names of its format; images are left out."""

    @property
    def is_older(self) -> bool:
        """Whether it was written in an earlier schema, which lacks what was added since."""
        ...

    def common(self) -> Mapping[str, Any]:
        """Returns what the dataset says of all its demonstrations, by name, as far as it depends neither on which and how many they are, nor on the
        size of images: texts, numbers, arrays and JSON values."""
        ...

    def episode(self, index: int) -> Mapping[str, Any]:
        """Returns what it holds of one demonstration, likewise; equal wherever among others the demonstration stands."""
        ...

    def faults_of(self, index: int, images: Mapping[str, NDArray[np.uint8]] | None) -> Iterator[str]:
        """Yields where what is said of one demonstration is not what follows from what is stored of it: its statistics.

        Args:
          index: Of the demonstration.
          images: Camera -> `(T, h, w, 3)` as they are stored; None: they are not looked at.
        """
        ...

    def faults(self) -> Iterator[str]:
        """Yields where what is said of all demonstrations together is not what follows from what is stored: counts, statistics, divisions."""
        ...


def nowhere(path: Path) -> bool:
    """Recognises no dataset: those of the format are opened by its name."""
    return False


@dataclass(frozen=True, kw_only=True)
class Format:
    """`FORMAT` of a file in `results/formats`."""

    suffix: str
    """Of the file, with its dot; empty where a dataset is a folder."""
    write: Callable[[Path, DatasetInfo], DatasetWriter]
    """Creates the dataset, or opens it to go on where it was left."""
    open: Callable[[Path], DatasetReader]
    """Raises NoDataset where nothing has been stored."""
    read: Callable[[Path], Iterator[Demonstration]]
    """One demonstration after the other, each fully in memory."""
    store: Callable[[Path, DatasetInfo, Demonstration], Part]
    """Encodes a demonstration and writes it whole beside the dataset, in whichever process: the writer, in another, takes the part.

    Raises BadData for what does not fit the dataset or the format.
    """
    holds: frozenset[str] = frozenset(FIELDS)
    """Which of FIELDS it gives back as they were written."""
    images: Literal["exact", "jpeg", "h264"] = "exact"
    """How it stores images; what is not exact differs a little when it is read back."""
    recognises: Callable[[Path], bool] = nowhere
    """Tells at a glance whether what lies at a path is a dataset of this format, of ours or of others; it raises nothing."""
    known_by: tuple[str, ...] = ()
    """Patterns of the files within a folder of which one says what it is: a folder that has it is a dataset, be it damaged."""
    view: Callable[[Path], TrainingView] | None = None
    """Shows what trainers read of a dataset that vlagym wrote; None: they read what is read back, and nothing else.

    Raises NotOurs of a dataset of others, and BadData where it is damaged.
    """
    divide: Callable[[Path, float], tuple[int, int]] | None = None
    """Divides a dataset that is whole into demonstrations for training and this share for validation, and returns how many are on each side; None
    where the format has no place for that."""
