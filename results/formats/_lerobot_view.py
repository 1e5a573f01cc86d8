"""What trainers read of a folder of LeRobot: every column but images, the tasks that they number, the statistics, and what meta/ says."""

from __future__ import annotations

import copy
import functools
import json
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.errors import BadData
from vlagym.results.format import NotOurs
from vlagym.results.formats import _lerobot_reader, _video
from vlagym.results.formats._lerobot import column, numbers, plain_statistics, pyarrow
from vlagym.results.formats._lerobot_reader import Index, camera_of
from vlagym.results.formats._sidecar import sidecar_of
from vlagym.results.formats._statistics import QUANTILES, Histogram, NumberTally, Statistics, tally

_INFO = "meta/info.json"
_OF_THE_DATASET = ("total_episodes", "total_frames", "total_tasks", "total_videos", "total_chunks", "splits", "features")
_DERIVED = ("min", "max", "mean", "std", *QUANTILES)
_CLOSE = 1e-6
"""Share of the range, or of the value, by which statistics of equal numbers may differ from machine to machine."""
_CODED: Mapping[str, tuple[float, float]] = {"mean": (0.03, 0.03), "std": (0.15, 0.05)}
"""By how much those of the stored images may be less, and more: they were counted before a codec changed these, which smooths what is mottled."""
_LEVEL = 1 / 255
"""Of images: between two of them a quantile is interpolated."""
_STATS = "stats/"
_SAME_TIME_S = 1e-6
"""Times within a video are whole numbers of frames by their rate, in float64."""


class _Row(NamedTuple):
    """Of meta/episodes."""

    values: Mapping[str, Any]
    lies: Mapping[str, int]
    """Where: the numbers of its chunk and its file."""


class View:
    """Of a folder that vlagym wrote."""

    def __init__(self, path: Path, index: Callable[[Path], Index]) -> None:
        """Reads meta/.

        Args:
          path: The folder.
          index: Reads meta/ of this version of the layout.

        Raises:
          NotOurs: If others wrote it.
          BadData: If it is damaged.
        """
        sidecar = sidecar_of(path)
        if sidecar is None:
            raise NotOurs(f"{path} was not written by vlagym")
        self._path, self._dataset = path, sidecar.info
        found = index(path)
        self._info, self._places = found.info, found.places
        self._starts = np.concatenate([[0], np.cumsum([place.num_rows for place in found.places])])
        self._features: dict[str, Any] = dict(self._info["features"])
        self._pictures = {name for name, feature in self._features.items() if feature["dtype"] in ("video", "image")}
        self._videos = {name for name in self._pictures if self._features[name]["dtype"] == "video"}
        self._tasks = _tasks(path)

    @property
    def is_older(self) -> bool:
        return False

    def common(self) -> Mapping[str, Any]:
        told: dict[str, Any] = {f"{_INFO}/{key}": value for key, value in self._info.items() if key not in _OF_THE_DATASET}
        for name, feature in self._features.items():
            plain = copy.deepcopy(feature)
            if name in self._pictures:
                plain.pop("shape", None)
                for key in ("video.height", "video.width"):
                    plain.get("info", {}).pop(key, None)
            told[f"{_INFO}/{name}"] = plain
        at = self._path / "meta" / "modality.json"
        if at.is_file():
            told["meta/modality.json"] = _json(at)
        return told | {f"the columns of {self._places[0].rows.parent.parent.name}": _columns(self._places[0].rows)}

    def episode(self, index: int) -> Mapping[str, Any]:
        """Returns the columns; of those that number, what they stand for."""
        found: dict[str, Any] = self._rows(index)
        tasks = found.pop("task_index", np.zeros(0, np.int64))
        found["task_index"] = sorted({self._tasks.get(int(number), f"no task has the number {number}") for number in tasks})
        for name, first in (("episode_index", index), ("index", self._starts[index])):
            if name in found:
                found[name] = found[name] - first
        return found | {"tasks": list(self._places[index].sentences)}

    def faults_of(self, index: int, images: Mapping[str, NDArray[np.uint8]] | None) -> Iterator[str]:
        told, who = self._statistics(index), f"episode {index}"
        yield from _between(told, _of_numbers(self._rows(index)), who)
        for camera, frames in (images or {}).items():
            feature = next(name for name in self._pictures if camera_of(name) == camera)
            found = plain_statistics(Histogram.of(frames).statistics(), is_image=True)
            yield from _of_images(told, {feature: found}, who)

    def faults(self) -> Iterator[str]:
        episodes, frames = len(self._places), int(self._starts[-1])
        sentences = {sentence for place in self._places for sentence in place.sentences}
        wanted = {"total_episodes": episodes, "total_frames": frames, "total_tasks": len(self._tasks), "splits": {"train": f"0:{episodes}"}}
        derived = {"total_videos": episodes * len(self._videos), "total_chunks": -(-episodes // int(self._info["chunks_size"]))}
        for key, value in (wanted | {name: value for name, value in derived.items() if name in self._info}).items():
            if self._info.get(key) != value:
                yield f"{_INFO} says {key} {self._info.get(key)}, and it is {value}"
        if set(self._tasks.values()) != sentences or len(self._tasks) != len(sentences):
            yield "the tasks in meta/ are not the sentences of the episodes"
        for name in sorted(self._pictures):
            shape, how = list(self._features[name]["shape"]), self._dataset.images.get(camera_of(name))
            if how is None or shape != list(how.shape):
                yield f"{_INFO} says that images of {name} have the shape {shape}, and they have {None if how is None else list(how.shape)}"
        yield from self._faults_of_places()
        tallies: dict[str, NumberTally] = {}
        images = _Images()
        for at in dict.fromkeys(place.rows for place in self._places):
            for columns in _pieces(at, self._pictures):
                tally(columns, tallies)
        for told in self._all_statistics():
            images.add({name: values for name, values in told.items() if name in self._pictures})
        whole = _json(self._path / "meta" / "stats.json")
        yield from _between(whole, {name: plain_statistics(found.statistics(), is_image=False) for name, found in tallies.items()}, "meta/stats.json")
        yield from images.faults(whole)

    def _faults_of_places(self) -> Iterator[str]:
        """Yields where meta/ finds the frames of an episode elsewhere than right after those before it, or says otherwise of its rows."""
        frames: Counter[Path] = Counter()
        fps = float(self._info["fps"])
        for index, place in enumerate(self._places):
            for name, (at, start_s) in sorted(place.videos.items()):
                if not abs(start_s - frames[at] / fps) <= _SAME_TIME_S:
                    begins = f"{frames[at]} frames at {fps:g} Hz lie before it"
                    yield f"episode {index}: {name} is said to begin at {start_s:.9g} s of {at.name}, and {begins}: {frames[at] / fps:.9g} s"
                frames[at] += place.num_rows
        for at, count in frames.items():
            if at.is_file() and (found := _video.num_frames(at)) != count:  # one that is missing is told by whoever reads the images
                yield f"{at.relative_to(self._path)} holds {found} frames, and its episodes have {count} rows"
        for index, row in enumerate(self._rows_of_episodes()):
            yield from self._faults_of_row(index, row)

    def _faults_of_row(self, index: int, row: _Row) -> Iterator[str]:
        place, told = self._places[index], row.values
        ends = {"dataset_from_index": self._starts[index], "dataset_to_index": self._starts[index + 1]}
        wanted: dict[str, float] = {"episode_index": index, "length": place.num_rows, **ends}
        wanted |= {f"meta/episodes/{key}": number for key, number in row.lies.items()}
        for name, (_, start_s) in place.videos.items():
            wanted[f"videos/{name}/to_timestamp"] = start_s + place.num_rows / float(self._info["fps"])
        for key, value in wanted.items():
            said = told.get(key)
            if not isinstance(said, int | float) or not abs(said - value) <= _SAME_TIME_S:
                yield f"episode {index}: {key} is told as {said}, and it is {value:.9g}"

    def _rows(self, index: int) -> dict[str, NDArray[Any]]:
        place = self._places[index]
        names = [name for name in _columns(place.rows)["names"] if name not in self._pictures]
        return numbers(_lerobot_reader.rows_of(place, names))

    def _statistics(self, index: int) -> dict[str, dict[str, Any]]:
        """Returns what meta/ says of an episode: feature -> name -> values."""
        at = self._path / "meta" / "episodes_stats.jsonl"
        try:
            if at.is_file():
                line = json.loads(_line(at, index))
                if int(line["episode_index"]) != index:
                    raise BadData(f"{at}, line {index + 1}, is of the episode {line['episode_index']}")
                return dict(line["stats"])
            return _unfolded(_episode_row(self._path, index))
        except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
            raise BadData(f"{self._path / 'meta'}: the statistics of episode {index} are damaged: {error!r}") from error


    def _all_statistics(self) -> Iterator[dict[str, dict[str, Any]]]:
        """Yields what meta/ says of each episode, one after another."""
        at = self._path / "meta" / "episodes_stats.jsonl"
        try:
            if at.is_file():
                with at.open("rb") as lines:
                    yield from (dict(json.loads(line)["stats"]) for line in lines)
                return
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BadData(f"{at} is damaged: {error!r}") from error
        yield from (_unfolded(row.values) for row in self._rows_of_episodes())

    def _rows_of_episodes(self) -> Iterator[_Row]:
        """Yields the rows of meta/episodes, one after another; none of a version that has none."""
        for at in sorted((self._path / "meta" / "episodes").glob("*/*.parquet")):
            try:
                lies = {key: int(part.rpartition("-")[2]) for key, part in (("chunk_index", at.parent.name), ("file_index", at.stem))}
                for group in range(len(_groups(at, at.stat().st_mtime_ns))):
                    yield from (_Row(row, lies) for row in _group(at, group, at.stat().st_mtime_ns))
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise BadData(f"{at} is damaged: {error!r}") from error


class _Images:
    """The statistics of images of all episodes, put together from those of each: all but their quantiles, which lie between theirs."""

    def __init__(self) -> None:
        self._found: dict[str, dict[str, NDArray[np.float64]]] = {}

    def add(self, told: Mapping[str, Mapping[str, Any]]) -> None:
        for feature, values in told.items():
            own = {name: np.asarray(values[name], np.float64).reshape(-1) for name in (*_DERIVED, "count")}
            sums = {"count": own["count"], "mean": own["mean"] * own["count"], "squares": (own["std"] ** 2 + own["mean"] ** 2) * own["count"]}
            ends = {f"least {name}": own[name] for name in ("min", *QUANTILES)} | {f"most {name}": own[name] for name in ("max", *QUANTILES)}
            before = self._found.get(feature)
            if before is not None:
                sums = {name: value + before[name] for name, value in sums.items()}
                ends = {name: (np.minimum if name.startswith("least") else np.maximum)(value, before[name]) for name, value in ends.items()}
            self._found[feature] = sums | ends

    def faults(self, told: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
        for feature, found in self._found.items():
            mean = found["mean"] / found["count"]
            std = np.sqrt(np.maximum(0.0, found["squares"] / found["count"] - mean**2))
            wanted = {"min": found["least min"], "max": found["most max"], "mean": mean, "std": std, "count": found["count"]}
            for name, value in wanted.items():
                said = np.asarray(told.get(feature, {}).get(name, ()), np.float64).reshape(-1)
                if said.shape != value.shape or not np.allclose(said, value, rtol=_CLOSE, atol=_CLOSE * 10):
                    yield f"meta/stats.json says of {feature} {name} {_short(said)}, and by the statistics of its episodes it is {_short(value)}"
            for name in QUANTILES:
                said = np.asarray(told.get(feature, {}).get(name, ()), np.float64).reshape(-1)
                least, most = found[f"least {name}"], found[f"most {name}"]
                if said.shape != least.shape or (said < least - _LEVEL).any() or (said > most + _LEVEL).any():
                    span = f"from {_short(least)} to {_short(most)}"
                    yield f"meta/stats.json says of {feature} {name} {_short(said)}, and those of its episodes lie {span}"


def _of_numbers(columns: Mapping[str, NDArray[Any]]) -> dict[str, dict[str, Any]]:
    found: dict[str, NumberTally] = {}
    tally(columns, found)
    return {name: plain_statistics(one.statistics(), is_image=False) for name, one in found.items()}


def _between(told: Mapping[str, Mapping[str, Any]], found: Mapping[str, Mapping[str, Any]], who: str) -> Iterator[str]:
    for feature, values in found.items():
        spread = np.asarray(values["max"], np.float64) - np.asarray(values["min"], np.float64)
        for name, value in values.items():
            said, is_so = np.asarray(told.get(feature, {}).get(name, ()), np.float64).reshape(-1), np.asarray(value, np.float64).reshape(-1)
            close = said.shape == is_so.shape and bool((np.abs(said - is_so) <= _CLOSE * (1.0 + np.abs(is_so) + spread.max())).all())
            if not close:
                yield f"{who}: {name} of {feature} is told as {_short(said)}, and of the rows it is {_short(is_so)}"
                break


def _of_images(told: Mapping[str, Mapping[str, Any]], found: Mapping[str, Mapping[str, Any]], who: str) -> Iterator[str]:
    for feature, values in found.items():
        for name, (less, more) in _CODED.items():
            said, is_so = (np.asarray(one, np.float64).reshape(-1) for one in (told.get(feature, {}).get(name, ()), values[name]))
            if said.shape != is_so.shape or ((is_so < said - less) | (is_so > said + more)).any():
                yield f"{who}: {name} of {feature} is told as {_short(said)}, and that of the images is {_short(is_so)}"
                break


def _short(values: NDArray[Any]) -> str:
    told = ", ".join(f"{value:.4g}" for value in values[:4].tolist())
    return f"{told} …" if len(values) > 4 else told or "nothing"


# ------------------------------------------------------------------------------------------------------------------------------ meta/
def _tasks(path: Path) -> dict[int, str]:
    """Returns number -> sentence.

    Raises:
      BadData: If they are missing or damaged.
    """
    at = path / "meta" / "tasks.jsonl"
    try:
        if at.is_file():
            return {int(line["task_index"]): str(line["task"]) for line in _lerobot_reader.read_lines(at)}
        at = path / "meta" / "tasks.parquet"
        table = _lerobot_reader.read_table(at, None)
        (sentences,) = (name for name in table.column_names if name != "task_index")
        return dict(zip(map(int, table.column("task_index").to_pylist()), table.column(sentences).to_pylist(), strict=True))
    except (KeyError, ValueError, TypeError) as error:
        raise BadData(f"{at} is damaged: {error!r}") from error


def _columns(at: Path) -> dict[str, Any]:
    """Returns the names and types of the columns of a parquet file, and what the library `datasets` reads of them."""
    pa, parquet = pyarrow()
    try:
        schema = parquet.read_schema(at)
    except (OSError, pa.ArrowException) as error:
        raise BadData(f"{at} cannot be read: {error}") from error
    told = json.loads((schema.metadata or {}).get(b"huggingface", b"null"))
    return {"names": list(schema.names), "types": [str(kind) for kind in schema.types], "datasets": told}


def _pieces(at: Path, left_out: Collection[str]) -> Iterator[dict[str, NDArray[Any]]]:
    """Yields the columns of a parquet file that hold numbers, some thousand rows at a time."""
    pa, parquet = pyarrow()
    try:
        with parquet.ParquetFile(at) as file:
            names = [name for name in file.schema_arrow.names if name not in left_out]
            for batch in file.iter_batches(columns=names):
                yield numbers(pa.Table.from_batches([batch]))
    except (OSError, pa.ArrowException) as error:
        raise BadData(f"{at} cannot be read: {error}") from error


def _line(at: Path, number: int) -> bytes:
    with at.open("rb") as file:
        file.seek(_lines(at, at.stat().st_mtime_ns)[number])
        return file.readline()


@functools.lru_cache(maxsize=2)
def _lines(at: Path, changed_ns: int) -> NDArray[np.int64]:
    """Returns where each line of a file begins."""
    with at.open("rb") as file:
        return np.cumsum([0, *map(len, file)], dtype=np.int64)[:-1]


def _episode_row(path: Path, index: int) -> Mapping[str, Any]:
    """Returns what meta/episodes says of an episode."""
    for at in sorted((path / "meta" / "episodes").glob("*/*.parquet")):
        changed_ns = at.stat().st_mtime_ns
        for group, (first, last) in enumerate(_groups(at, changed_ns)):
            if first <= index <= last:
                for row in _group(at, group, changed_ns):
                    if row["episode_index"] == index:
                        return row
    raise BadData(f"{path / 'meta' / 'episodes'} says nothing of episode {index}")


@functools.lru_cache(maxsize=64)
def _groups(at: Path, changed_ns: int) -> Sequence[tuple[int, int]]:
    """Returns the first and the last episode of each row group of a file."""
    pa, parquet = pyarrow()
    with parquet.ParquetFile(at) as file:
        groups = [column(file.read_row_group(group, columns=["episode_index"]).column(0)) for group in range(file.num_row_groups)]
    return [(int(group.min()), int(group.max())) for group in groups]


@functools.lru_cache(maxsize=1)
def _group(at: Path, group: int, changed_ns: int) -> Sequence[Mapping[str, Any]]:
    pa, parquet = pyarrow()
    with parquet.ParquetFile(at) as file:
        rows: list[Mapping[str, Any]] = file.read_row_group(group).to_pylist()
    return rows


def _unfolded(row: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for key, value in row.items():
        if key.startswith(_STATS):
            feature, _, name = key.removeprefix(_STATS).rpartition("/")
            found.setdefault(feature, {})[name] = value
    return found


def _json(at: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(at.read_bytes())
    except (OSError, ValueError) as error:
        raise BadData(f"{at} cannot be read: {error}") from error
    return found
