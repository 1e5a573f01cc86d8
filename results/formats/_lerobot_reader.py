"""Datasets of LeRobot read back as demonstrations, of any version that can say where the rows and images of an episode lie.

What vlagym wrote comes back whole. Of what others recorded there is what the dataset says: every feature below `observation` that is a vector is
proprioception under its own name, other numbers of a row are kept as privileged arrays, and what the actions mean nobody says. Whether an episode
succeeded is told by next.success, else by the last next.reward, else by the key `success` of meta/info.json; where none of them says it, it is asked.
"""

from __future__ import annotations

import functools
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.errors import BadData, MissingPackage
from vlagym.results.demonstration import DatasetInfo, Demonstration, ImagePreprocessing
from vlagym.results.formats import _vectors, _video
from vlagym.results.formats._lerobot import COUNTERS, pyarrow
from vlagym.results.formats._lerobot_checks import check_episode, check_info, finite_times, numbers_of
from vlagym.results.formats._sidecar import Lazy, content_digest, in_memory, recorded_action, sidecar_of, within
from vlagym.results.formats._staging import no_dataset

_ACTIONS = ("action", "actions")
_OBSERVATION = "observation."
_PREFIXES = ("observation.images.", "observation.image.", _OBSERVATION)
_OPENPI = {"image": "front", "wrist_image": "wrist"}
_SAID_ELSEWHERE = (*COUNTERS, "timestamp", "frame_index")
_SAME_TIME_S = 1e-3
"""Timestamps are float32: after a quarter of an hour they are 0.06 ms apart."""


class Place(NamedTuple):
    """Where an episode lies."""

    sentences: Sequence[str]
    rows: Path
    first_row: int
    """Within the file."""
    num_rows: int
    videos: Mapping[str, tuple[Path, float]]
    """Feature -> the file, and the time of the first frame within it, in s."""


@dataclass(frozen=True, kw_only=True)
class Index:
    """What meta/ says."""

    info: Mapping[str, Any]
    """meta/info.json"""
    places: Sequence[Place]
    """In the order of the episodes."""


def read_info(folder: Path, versions: Sequence[str], other: str) -> dict[str, Any]:
    """Returns meta/info.json.

    Args:
      folder: Of the dataset.
      versions: Of the layout, that can be read.
      other: What to say of another one.

    Raises:
      NoDataset: If there is none.
      BadData: If it is damaged, or of another version.
    """
    at = folder / "meta" / "info.json"
    if not at.is_file():
        raise no_dataset(folder, "meta/info.json")
    try:
        info: dict[str, Any] = json.loads(at.read_bytes())
        version, _, _ = info["codebase_version"], info["features"]["timestamp"], info["fps"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadData(f"{at} is damaged, or of no dataset of LeRobot: {error!r}") from error
    if version not in versions:
        raise BadData(f"{folder} is a dataset of LeRobot's layout {version}; this format reads {', '.join(versions)}. {other}")
    check_info(info, at)
    return info


_FIELD = re.compile(r"\{(\w+)(?::0?(\d{1,2})d)?\}")


def file_of(folder: Path, template: str, **values: int | str) -> Path:
    """Returns the file of a dataset that one of its templates names: data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet.

    Raises:
      BadData: If it is no such template, names a value that is not there, or leads out of the folder.
    """
    if "{" in _FIELD.sub("", template) or "}" in _FIELD.sub("", template):
        raise BadData(f"{folder}: {template[:200]!r} in meta/info.json is no template of a file's name")
    try:
        return within(folder, template.format(**values))
    except (KeyError, ValueError) as error:
        raise BadData(f"{folder}: {template[:200]!r} in meta/info.json cannot be filled with {', '.join(values)}: {error!r}") from error


class Reader:
    """Reads demonstrations by their number. Nothing is kept open: images are read each time they are looked at."""

    def __init__(self, path: Path, index: Callable[[Path], Index]) -> None:
        """Opens a dataset.

        Args:
          path: Its folder.
          index: Reads meta/ of this version of the layout.

        Raises:
          NoDataset: If there is none, or it was not finished.
          BadData: If it is damaged or of another version.
          MissingPackage: Without pyarrow.
        """
        self.path = path
        self._index = index(path)
        for number, place in enumerate(self._index.places):
            check_episode(path, number, place.sentences, place.num_rows)
        self._features: dict[str, Any] = dict(self._index.info["features"])
        self._action = next((name for name in _ACTIONS if name in self._features), "")
        if not self._action:
            raise BadData(f"{path} has no feature {' or '.join(_ACTIONS)}. It has: {', '.join(self._features)}")
        self._cameras = {camera_of(name): name for name, feature in self._features.items() if _is_picture(feature)}
        self._sidecar = sidecar_of(path)
        if self._sidecar is not None and len(self._sidecar.episodes) != len(self):
            told = len(self._sidecar.episodes)
            raise BadData(f"{path} holds {len(self)} episodes, its folder vlagym tells of {told}: it was changed. Without it, it is read")

    @functools.cached_property
    def info(self) -> DatasetInfo:
        """What holds for every demonstration; of what others recorded, the bounds of the actions are the extremes of all rows."""
        return self._foreign_info() if self._sidecar is None else self._sidecar.info

    @functools.cached_property
    def digests(self) -> tuple[str, ...]:
        """One a demonstration, in order; of what others recorded, of the sentence and all numbers of its rows."""
        return tuple(self._foreign_digest(i) for i in range(len(self))) if self._sidecar is None else self._sidecar.digests

    def __len__(self) -> int:
        return len(self._index.places)

    def __getitem__(self, index: int) -> Demonstration:
        """Returns a demonstration.

        Raises:
          IndexError: If there is none of this number.
          BadData: If a file of it is missing or damaged, or it has no sentence.
        """
        index = range(len(self))[index]
        place = self._index.places[index]
        if not place.sentences or not place.sentences[0].strip():
            raise BadData(f"{self.path}: episode {index} has no task, and with it no sentence that says what was to be done")
        names = [self._action] if self._sidecar is not None else self._vectors()
        columns = {name: self._numbers(place, name, array) for name, array in zip(names, rows_of(place, names).columns, strict=True)}
        actions = _float32(columns.pop(self._action))
        images = Lazy({camera: functools.partial(self._images, place, feature) for camera, feature in self._cameras.items()})
        if self._sidecar is not None:
            films = _video.Films(images, self._clips(place))
            return self._sidecar.demonstration(index, instruction=place.sentences[0], actions=actions, images=films)
        return self._foreign(index, actions, columns, images)

    def close(self) -> None:
        """Does nothing: no file is kept open."""

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _clips(self, place: Place) -> dict[str, _video.Clip]:
        """Returns where the images of each camera lie, of those that are stored as video."""
        fps, rows = float(self._index.info["fps"]), place.num_rows
        return {camera: _video.Clip(*place.videos[name], rows, fps) for camera, name in self._cameras.items() if name in place.videos}

    def _images(self, place: Place, feature: str) -> NDArray[np.uint8]:
        if feature in place.videos:
            at, start_s = place.videos[feature]
            return _video.decode(at, start_s, place.num_rows, float(self._index.info["fps"]))
        where = f"{place.rows}, {feature}"
        pictures = [_picture(cell, where) for cell in rows_of(place, [feature]).column(0).to_pylist()]
        if len(sizes := {picture.shape for picture in pictures}) > 1:
            raise BadData(f"{where}: the images have different sizes: {', '.join(f'{w} x {h}' for h, w, _ in sorted(sizes))}")
        return np.stack(pictures)

    def _numbers(self, place: Place, name: str, array: Any) -> NDArray[Any]:
        return numbers_of(array, self._features[name]["shape"], name, place.rows)

    # ------------------------------------------------------------------------------------------------------------ recorded by others
    def _vectors(self) -> list[str]:
        """Returns the action, and the features that are a number or a vector a row."""
        kinds = ("float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "bool")
        others = [n for n, f in self._features.items() if f["dtype"] in kinds and len(f["shape"]) == 1 and n not in (self._action, *_SAID_ELSEWHERE)]
        return [self._action, *others, "timestamp"]

    def _foreign(self, number: int, actions: NDArray[np.float32], columns: dict[str, NDArray[Any]], images: Lazy) -> Demonstration:
        place = self._index.places[number]
        fps, steps = float(self._index.info["fps"]), place.num_rows
        timestamps = finite_times(columns.pop("timestamp").astype(np.float64).reshape(steps), place.rows)
        felt = {n: rows for n, rows in columns.items() if n.startswith(_OBSERVATION) or n == "state"}
        return Demonstration(
            spec=None,
            digest=content_digest(place.sentences[0], actions, *columns.values()),
            instruction=place.sentences[0],
            actions=actions,
            executed_actions=actions,
            images=images,
            image_steps=np.arange(steps, dtype=np.int64),
            proprio={name.removeprefix(_OBSERVATION): _float32(rows) for name, rows in felt.items()},
            privileged={name: rows for name, rows in columns.items() if name not in felt},
            is_success=self._is_success(number, columns),
            timestamps_s=None if np.abs(timestamps - np.arange(steps) / fps).max() < _SAME_TIME_S else timestamps,
            extra=self._foreign_extra(place, felt),
        )

    def _foreign_extra(self, place: Place, felt: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
        """Returns the tasks of an episode that has several, and what the numbers of its proprioception are called."""
        told = {name.removeprefix(_OBSERVATION): _names(self._features[name].get("names")) for name in felt}
        named = {name: names for name, names in told.items() if names}
        tasks = {"tasks": list(place.sentences)} if len(place.sentences) > 1 else {}
        return tasks | ({_vectors.NAMES: named} if named else {})

    def _is_success(self, number: int, columns: Mapping[str, NDArray[Any]]) -> bool:
        """Returns whether an episode succeeded, as its columns say it, or the user for them."""
        if "next.success" in columns:
            return bool(columns["next.success"].any())
        if "next.reward" in columns:
            return bool(np.ravel(columns["next.reward"])[-1] > 0)
        said = self._index.info.get("success")
        if isinstance(said, list) and len(said) == len(self):
            said = said[number]
        if isinstance(said, bool):
            return said
        raise BadData(
            f"{self.path}: episode {number} does not say whether it succeeded: it has neither a column next.success nor next.reward. Say it in "
            'meta/info.json: "success": true or false of all episodes, or a list with one of them for each'
        )

    def _foreign_digest(self, index: int) -> str:
        return self[index].digest

    def _foreign_info(self) -> DatasetInfo:
        info = self._index.info
        actions = (_float32(self._numbers(place, self._action, rows_of(place, [self._action]).column(0))) for place in self._index.places)
        extremes = [(rows.min(axis=0), rows.max(axis=0)) for rows in actions]
        low, high = np.min([low for low, _ in extremes], axis=0), np.max([high for _, high in extremes], axis=0)
        names = _names(self._features[self._action].get("names"))
        left_out = [name for name in self._features if name not in (*self._vectors(), *_SAID_ELSEWHERE, *self._cameras.values())]
        return DatasetInfo(
            action=recorded_action(low.tolist(), high.tolist(), float(info["fps"]), names=names if len(names) == len(low) else ()),
            images={camera: _preprocessing(self._features[feature]) for camera, feature in self._cameras.items()},
            provenance={"codebase_version": info["codebase_version"], "features_left_out": left_out},
            robot=str(info.get("robot_type") or ""),
            state="all",  # their state is one vector, and nobody says what it is made of
        )


def read(path: Path, index: Callable[[Path], Index]) -> Iterator[Demonstration]:
    """Yields the demonstrations of a dataset, one after the other, each fully in memory.

    Raises:
      BadData: As `Reader`.
    """
    with Reader(path, index) as reader:
        for i in range(len(reader)):
            yield in_memory(reader[i])


def camera_of(feature: str) -> str:
    """Returns what we call the camera of a feature."""
    for prefix in _PREFIXES:
        if feature.startswith(prefix):
            return feature.removeprefix(prefix)
    return _OPENPI.get(feature, feature.removesuffix("_image"))


def read_table(at: Path, columns: Sequence[str] | None = None) -> Any:
    """Returns a parquet file.

    Raises:
      BadData: If it is missing or damaged.
    """
    pa, parquet = pyarrow()
    try:
        return parquet.read_table(at, columns=None if columns is None else list(columns))
    except (OSError, pa.ArrowException) as error:
        raise BadData(f"{at} cannot be read: {error}. It was removed, or was never closed") from error


def read_lines(at: Path) -> list[dict[str, Any]]:
    """Returns the values of a file of JSON lines.

    Raises:
      BadData: If it is missing or damaged.
    """
    try:
        return [json.loads(line) for line in at.read_bytes().splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise BadData(f"{at} cannot be read: {error}") from error


def rows_of(place: Place, names: Sequence[str]) -> Any:
    """Returns some columns of an episode, in this order; only the row groups that it touches are read."""
    pa, parquet = pyarrow()
    try:
        with parquet.ParquetFile(place.rows) as file:
            ends = np.cumsum([file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)])
            starts = np.concatenate([[0], ends[:-1]])
            groups = np.flatnonzero((starts < place.first_row + place.num_rows) & (ends > place.first_row))
            if not len(groups) or place.first_row + place.num_rows > ends[-1]:
                raise BadData(f"{place.rows} has {ends[-1]} rows; an episode should end at row {place.first_row + place.num_rows}")
            table = file.read_row_groups(groups.tolist(), columns=list(names))
            return table.slice(place.first_row - int(starts[groups[0]]), place.num_rows).select(list(names))
    except (OSError, KeyError, pa.ArrowException) as error:
        raise BadData(f"{place.rows} cannot be read: {error}. It was removed, was never closed, or lacks a column") from error


def _picture(cell: Any, where: str) -> NDArray[np.uint8]:
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError as missing:
        raise MissingPackage("single images need: pip install 'vlagym[data]'") from missing
    if not isinstance(cell, Mapping) or not cell.get("bytes"):
        raise BadData(f"{where}: an image lies in no file that belongs to the dataset")
    try:
        return np.asarray(Image.open(io.BytesIO(cell["bytes"])).convert("RGB"))
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:  # Pillow calls a broken PNG a SyntaxError
        raise BadData(f"{where}: an image is damaged: {error}") from error


def _is_picture(feature: Mapping[str, Any]) -> bool:
    told = feature.get("info") or feature.get("video_info") or {}
    return feature["dtype"] in ("video", "image") and not told.get("video.is_depth_map", False)


def _preprocessing(feature: Mapping[str, Any]) -> ImagePreprocessing:
    shape, names = [int(n) for n in feature["shape"]], feature.get("names") or []
    height, width = (shape[1], shape[2]) if str(names[:1]).startswith("['channel") or (shape[0] == 3 and shape[2] != 3) else (shape[0], shape[1])
    return ImagePreprocessing(crop=min(height, width), size=height, width=None if width == height else width)


def _names(told: Any) -> list[str]:
    """Returns the names of numbers, which some datasets put into a table of lists."""
    if isinstance(told, Mapping):
        return [name for inner in told.values() for name in _names(inner)]
    if isinstance(told, list):
        return [name for inner in told for name in _names(inner)]
    return [str(told)] if told is not None else []


def _float32(rows: NDArray[Any]) -> NDArray[np.float32]:
    return np.ascontiguousarray(rows.reshape(len(rows), -1), dtype=np.float32)
