"""Whether a dataset of LeRobot says what a reader must know, and its rows are what it says: those of others are written by many hands."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.errors import BadData
from vlagym.results.formats._lerobot import column


def check_info(info: Mapping[str, Any], at: Path) -> None:
    """Raises BadData unless meta/info.json tells a rate, how many episodes there are, and of each feature what it is.

    Args:
      info: Its content.
      at: Where it lies, for errors.
    """
    fps, episodes = info["fps"], info.get("total_episodes")
    if isinstance(fps, bool) or not isinstance(fps, (int, float)) or not (math.isfinite(fps) and fps > 0):
        raise BadData(f"{at}: fps is {fps!r}; it must be how many rows a second has, a number above 0. Correct it")
    if not _is_count(episodes):
        raise BadData(f"{at}: total_episodes is {episodes!r}; it must be a number. Correct it")
    if episodes == 0:
        raise BadData(f"{at} tells of a dataset without episodes: there is nothing to read")
    for name, feature in info["features"].items():
        shape = feature.get("shape") if isinstance(feature, Mapping) else None
        if not isinstance(feature, Mapping) or not isinstance(feature.get("dtype"), str) or not isinstance(shape, list):
            raise BadData(f"{at}: the feature {name!r} has no dtype, or no shape. Correct it")
        is_film = feature["dtype"] in ("video", "image")
        if not all(map(_is_count, shape)) or (is_film and (len(shape) != 3 or 0 in shape)):
            raise BadData(f"{at}: the feature {name!r} has the shape {shape!r}, which is none{' of an image' if is_film else ''}. Correct it")


def check_episode(folder: Path, number: int, sentences: Any, num_rows: int) -> None:
    """Raises BadData unless an episode has rows, and what was asked for is a list of sentences.

    Args:
      folder: Of the dataset, for errors.
      number: Of the episode.
      sentences: Its tasks, as meta/ tells them.
      num_rows: Its length.
    """
    if num_rows < 0:
        what = "dataset_from_index or dataset_to_index is wrong"
        raise BadData(f"{folder}: by meta/episodes the rows of episode {number} end before they begin: {what}")
    if num_rows < 1:
        raise BadData(f"{folder}: episode {number} has {num_rows} rows, and no step is left. Remove it from the dataset")
    if not isinstance(sentences, list) or not all(isinstance(sentence, str) for sentence in sentences):
        told = f"the tasks of episode {number} are {str(sentences)[:100]!r}"
        raise BadData(f"{folder}: {told}; they must be a list of sentences. Correct them in meta/")


def numbers_of(array: Any, shape: Sequence[int], name: str, rows: Path) -> NDArray[Any]:
    """Returns a column of numbers, `(T,)` or `(T, k)`.

    Args:
      array: The column of a table.
      shape: Of a row, as meta/info.json tells it.
      name: Of the column, for errors.
      rows: Its file, for errors.

    Raises:
      BadData: If it holds something else, or rows of another width.
    """
    widths = {len(row) if row.is_valid else 0 for row in array} if "list" in str(array.type) else {1}
    if len(widths) > 1:
        raise BadData(f"{rows}: the rows of {name} have {' or '.join(map(str, sorted(widths)))} numbers; they must be vectors of one width")
    found = column(array)
    if found.dtype.kind not in "fiub":
        raise BadData(f"{rows}: {name} holds something else than numbers, or has rows without any")
    width = math.prod(found.shape[1:])
    if width != math.prod(shape):
        raise BadData(f"{rows}: {name} has {width} numbers a row, and meta/info.json says {math.prod(shape)}: one of them is wrong")
    return found


def finite_times(timestamps: NDArray[np.float64], rows: Path) -> NDArray[np.float64]:
    """Returns timestamps; raises BadData if one is none."""
    if not np.isfinite(timestamps).all():
        raise BadData(f"{rows}: timestamp holds NaN or infinity in row {int(np.flatnonzero(~np.isfinite(timestamps))[0])} of an episode")
    return timestamps


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
