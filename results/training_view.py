"""What a dataset tells trainers against what its format writes for the demonstrations that it holds.

A demonstration that was read back is stored once more, alone and with tiny images, and everything that a trainer finds there under a name of the
format is compared by that name: what is derived needs no second definition.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vlagym.results.demonstration import DatasetInfo, Demonstration, ImagePreprocessing, without_pictures
from vlagym.results.format import Format, TrainingView

_TINY = ImagePreprocessing(crop=16, size=16)
"""Of the images with which a demonstration is stored once more: they are not looked at, and every format takes them."""
_RELATIVE, _ABSOLUTE = 1e-6, 1e-6
"""By how much derived numbers may differ: the last digits of a sine are those of a machine's library."""
_MEMORY = "/dev/shm"  # noqa: S108 -- a folder of its own is made in it
"""Where files lie in memory, if the system has such a place: nobody waits for a disk."""
_SHOWN = 60
"""Letters of a text that a sentence shows."""


class Fault(NamedTuple):
    """Something that trainers would read that is not so."""

    what: str
    """Under which name."""
    how: str
    """In words."""


def faults_of(
    view: TrainingView,
    index: int,
    demonstration: Demonstration,
    info: DatasetInfo,
    format_: Format,
    images: Mapping[str, NDArray[np.uint8]] | None,
) -> Iterator[Fault]:
    """Yields where a dataset tells trainers of a demonstration what it is not.

    Args:
      view: Of the dataset.
      index: Of the demonstration.
      demonstration: As it was read back; whether that is true is for others to find out.
      info: Of the dataset.
      format_: Of the dataset.
      images: The stored images; None: what is said of them is not looked at.

    Raises:
      BadData: If the dataset is damaged, or its format does not hold such a demonstration.
      OSError: If the demonstration cannot be stored once more: it lies in the folder for temporary files meanwhile.
    """
    tiny = replace(info, images=dict.fromkeys(info.images, _TINY))
    with tempfile.TemporaryDirectory(prefix="vlagym-", dir=_MEMORY if os.access(_MEMORY, os.W_OK) else None) as folder:
        path = Path(folder) / f"again{format_.suffix}"
        with format_.write(path, tiny) as writer:
            writer.append(without_pictures(demonstration, tiny))
        assert format_.view is not None
        again = format_.view(path)
        yield from _between(view.common(), again.common(), view.is_older)
        yield from _between(view.episode(index), again.episode(0), view.is_older)
    yield from (Fault("statistics", how) for how in view.faults_of(index, images))


def _between(stored: Mapping[str, Any], wanted: Mapping[str, Any], is_older: bool) -> Iterator[Fault]:
    for name in sorted({*stored, *wanted}):
        if name not in stored:
            if not is_older:
                yield Fault(name, "the dataset lacks it")
        elif name not in wanted:
            yield Fault(name, "nothing of that name belongs to the demonstration")
        elif how := _unlike(stored[name], wanted[name]):
            yield Fault(name, how)


def _unlike(stored: Any, wanted: Any) -> str:
    """Returns in words where a value is not the one that it should be, "" where it is."""
    if not isinstance(stored, np.ndarray) or not isinstance(wanted, np.ndarray):
        return "" if stored == wanted else f"stored {_told(stored)}, and {_told(wanted)} follows from the demonstration"
    if stored.shape != wanted.shape or stored.dtype != wanted.dtype:
        told, should = (f"{array.dtype}{array.shape}" for array in (stored, wanted))
        return f"stored as {told}, and should be {should}"
    if stored.dtype.kind == "f":
        same = np.isclose(stored, wanted, rtol=_RELATIVE, atol=_ABSOLUTE, equal_nan=True)
    else:
        same = np.asarray(stored == wanted)
    if same.all():
        return ""
    at = tuple(int(i) for i in np.argwhere(~np.atleast_1d(same))[0])
    found, should = np.atleast_1d(stored)[at], np.atleast_1d(wanted)[at]
    where = f" in row {at[0]}" if stored.ndim else ""
    return f"first differs{where}: stored {_told(found)}, and {_told(should)} follows from the demonstration"


def _told(value: Any) -> str:
    text = f"{value:.6g}" if isinstance(value, float | np.floating) else repr(value.item() if isinstance(value, np.generic) else value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
