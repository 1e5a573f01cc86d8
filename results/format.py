"""What a dataset format is: a writer that appends demonstrations and a reader that gives them back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol

from vlagym.envs.errors import BadData
from vlagym.results.demonstration import DatasetInfo, Demonstration


class NoDataset(BadData):
    """There is no dataset where one was looked for."""


class DatasetWriter(Protocol):
    """Appends demonstrations to a dataset. Use it in a `with` statement."""

    @property
    def digests(self) -> tuple[str, ...]:
        """Digests of the demonstrations that are stored whole, in order; those need not be made again."""
        ...

    def append(self, demonstration: Demonstration) -> None:
        """Stores one demonstration; when this returns, a kill no longer loses it."""
        ...

    def close(self) -> None:
        """Finishes the files."""
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
