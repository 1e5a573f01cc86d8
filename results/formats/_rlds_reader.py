"""A folder of RLDS, read by number: one that vlagym wrote, or one of the same schema that others made."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.errors import BadData
from vlagym.results.demonstration import DatasetInfo, Demonstration
from vlagym.results.formats import _jpeg, _rlds_features, _sidecar, _tfrecord
from vlagym.results.formats._rlds_example import Example
from vlagym.results.formats._rlds_features import FEATURES, INFO, VERSION
from vlagym.results.formats._rlds_others import Others
from vlagym.results.formats._rlds_schema import ACTION, INSTRUCTION, OBSERVATION, Schema
from vlagym.results.formats._rlds_sources import ACTIONS
from vlagym.results.formats._rlds_writer import OWN_ACTIONS
from vlagym.results.formats._sidecar import Lazy
from vlagym.results.formats._staging import no_dataset


@dataclass(frozen=True)
class Record:
    """Where an episode lies."""

    file: Path
    place: _tfrecord.Place
    number: int
    """In its file."""

    def example(self) -> Example:
        """Reads it.

        Raises:
          BadData: If it is damaged.
        """
        where = f"{self.file}, record {self.number}"
        try:
            with self.file.open("rb") as file:
                return Example(_tfrecord.payload(file, self.place, where))
        except (OSError, ValueError, KeyError) as error:
            raise BadData(f"{where} cannot be read: {error}") from error


class Reader:
    """Reads demonstrations by their number; images and depth come from the disk when they are looked at."""

    def __init__(self, path: Path, schema: Schema) -> None:
        """Finds the episodes, of every split.

        Args:
          path: The folder of the dataset, or that of one of its versions; of several versions the newest is read.
          schema: Which its steps must have.

        Raises:
          NoDataset: If there is none.
          BadData: If it is damaged, or of another schema.
        """
        self._folder, self._schema = version_of(path), schema
        features = {f.path: f for f in _rlds_features.read_features(self._folder / FEATURES)}
        self._records = list(records_of(self._folder))
        self._sidecar = _sidecar.sidecar_of(self._folder)
        if not schema.fits(features):
            others = ", ".join(sorted(features)) or "nothing"
            raise BadData(f"{path} has not the schema of {schema.name}: its episodes hold {others}. Schemas that are read: rlds, rlds_droid")
        self._others: Others | None = None
        if self._sidecar is None:
            self._others = Others(schema, features, (record.example() for record in self._records), str(path))
            self._info, self._digests = self._others.info, self._others.digests
            self._images, self._depth = self._others.images, self._others.depth
        else:
            self._info, self._digests = self._sidecar.info, self._sidecar.digests
            if len(self._digests) != len(self._records):
                raise BadData(
                    f"{path} holds {len(self._records)} episodes, and its folder {_sidecar.FOLDER} tells of {len(self._digests)}: it was changed. "
                    "Without that folder it is read like one that others made"
                )
            self._images = {camera: OBSERVATION + keys[0] for camera, keys in schema.image_keys(self._info).items()}
            self._depth = {camera: OBSERVATION + key for camera, key in schema.depth_keys(self._info).items()}

    @property
    def info(self) -> DatasetInfo:
        """What holds for every demonstration."""
        return self._info

    @property
    def digests(self) -> tuple[str, ...]:
        """One a demonstration, in order."""
        return self._digests

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: int) -> Demonstration:
        """Returns a demonstration.

        Raises:
          IndexError: If there is none of this number.
          BadData: If its record is damaged.
        """
        record = self._records[index]
        example = record.example()
        images: Mapping[str, NDArray[np.uint8]] = Lazy({c: _images(record, path, _jpeg.decode) for c, path in self._images.items()})
        depth: Mapping[str, NDArray[np.uint16]] = Lazy({c: _images(record, path, _jpeg.decode_depth) for c, path in self._depth.items()})
        where = f"{record.file}, record {record.number}"
        try:
            if self._others is not None:
                return self._others.demonstration(index, example, images, depth)
            assert self._sidecar is not None, "there is a sidecar, or the dataset is of others"
            actions = self._actions(index, example)
            told = self._sidecar.demonstration(index, instruction=example.texts(INSTRUCTION)[0].decode(), actions=actions, images=images)
        except (KeyError, ValueError, IndexError) as error:
            raise BadData(f"{where} is not as {FEATURES} says: {error!r}") from error
        return replace(told, depth=Lazy({c: _look(depth if c in self._depth else told.depth, c) for c in self._info.depth}))

    def _actions(self, index: int, example: Example) -> NDArray[np.float32]:
        if self._schema.action_source(self._info) == ACTIONS:
            return example.numbers(ACTION).astype(np.float32).reshape(-1, self._info.action.size)
        at = self._folder / _sidecar.FOLDER / OWN_ACTIONS / f"{self._digests[index]}.npy"
        try:
            found: NDArray[np.float32] = np.load(at, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise BadData(f"{at} cannot be read: {error}. It was removed or is damaged") from error
        return found

    def close(self) -> None:
        """Does nothing: no file stays open."""

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def has_schema(path: Path, schema: Schema) -> bool:
    """Returns whether a folder is a dataset of RLDS whose steps have a schema."""
    try:
        return schema.fits({f.path: f for f in _rlds_features.read_features(version_of(path) / FEATURES)})
    except BadData:
        return False


def _look(arrays: Mapping[str, NDArray[Any]], name: str) -> Callable[[], NDArray[Any]]:
    return lambda: arrays[name]


def _images(record: Record, path: str, decode: Callable[[Sequence[bytes], str], NDArray[Any]]) -> Callable[[], NDArray[Any]]:
    where = f"{record.file}, record {record.number}, {path}"

    def load() -> NDArray[Any]:
        try:
            encoded = record.example().texts(path)
        except (KeyError, ValueError) as error:
            raise BadData(f"{where} is not as {FEATURES} says: {error!r}") from error
        if not encoded:
            raise BadData(f"{where} holds no images")
        return decode(encoded, where)

    return load


def version_of(path: Path) -> Path:
    """Returns the folder in which a dataset lies.

    Raises:
      NoDataset: If there is none.
    """
    if (path / INFO).is_file():
        return path
    found = [p for p in path.glob("*/") if re.fullmatch(r"\d+\.\d+\.\d+", p.name) and (p / INFO).is_file()] if path.is_dir() else []
    if not found:
        raise no_dataset(path, f"{VERSION}/{INFO}")
    return max(found, key=lambda p: tuple(map(int, p.name.split("."))))


def records_of(folder: Path) -> Iterator[Record]:
    """Yields where each episode lies of a dataset that lies in a folder.

    Raises:
      BadData: If a file is missing or damaged, or holds another number of them than is told.
    """
    for file, length in _rlds_features.read_files(folder).shards:
        places = _tfrecord.places(file)
        if len(places) != length:
            raise BadData(f"{file} holds {len(places)} episodes, and {INFO} says {length}: it was changed, or not copied whole")
        yield from (Record(file, place, number) for number, place in enumerate(places))
