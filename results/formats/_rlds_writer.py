"""Demonstrations on their way into a folder of RLDS.

The part of a demonstration is its record, framed already, what features.json will say, and the sidecar; files of the dataset are parts, one after the
other.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from vlagym.envs.errors import BadData
from vlagym.results.demonstration import DatasetInfo, Demonstration, check_demonstration
from vlagym.results.format import Part
from vlagym.results.formats import _jpeg, _rlds_features, _sidecar, _tfrecord
from vlagym.results.formats._rlds_example import encode
from vlagym.results.formats._rlds_features import FEATURES, INFO, VERSION, Column, Feature
from vlagym.results.formats._rlds_schema import OBSERVATION, Schema
from vlagym.results.formats._rlds_sources import ACTIONS
from vlagym.results.formats._staging import FolderWriter, adopt, store_part

SHARD_BYTES = 128 << 20
"""A file is no larger, unless a single episode is: TFDS reads files side by side, and mixes them."""
OWN_ACTIONS = "actions"
"""Folder in that of the sidecar: actions that the schema has in another form."""
_RECORD, _COUNT, _ACTIONS_NPY = "record", "bytes.json", "actions.npy"
_NAME = re.compile(r"[a-z][a-z0-9_]*")


class Writer(FolderWriter):
    """A writer of a folder of RLDS: every part has the same features."""

    def __init__(self, path: Path, info: DatasetInfo, schema: Schema) -> None:
        """Begins, or goes on.

        Raises:
          BadData: As `Staging`; if the name of the folder is none of TFDS; or if the schema cannot hold such a dataset.
        """
        name = _name(path)
        check_info(info, schema)

        def put(at: Path, said: DatasetInfo, demonstration: Demonstration) -> Part:
            return store(at, said, demonstration, schema)

        def build(folder: Path, said: DatasetInfo, parts: Sequence[Part]) -> None:
            _build(folder, said, parts, name, schema.about)

        super().__init__(path, info, store=put, build=build)
        waiting = self._staging.parts
        self._features = (waiting[0].path / FEATURES).read_bytes() if waiting else b""

    def take(self, part: Part) -> None:
        """Lists what `store` has written.

        Raises:
          BadData: If it is stored already, its values are of another kind than those of the first one, or the disk is full.
        """
        features = (part.path / FEATURES).read_bytes()
        if self._features and features != self._features:
            raise BadData(f"demonstration {part.digest} {_difference(json.loads(self._features), json.loads(features))}: write it to another folder")
        super().take(part)
        self._features = features


def check_info(info: DatasetInfo, schema: Schema) -> None:
    """Raises BadData unless a dataset of this kind can be laid out."""
    if info.frame_stride != 1:
        raise BadData(f"{schema.name} stores an image for every step; the frame stride is {info.frame_stride}, and must be 1")
    keys: dict[str, str] = {}
    schema.check(info)
    for camera, (key, *_) in schema.image_keys(info).items():
        if key in keys:
            raise BadData(f"the cameras {keys[key]!r} and {camera!r} would both be stored as {key}; rename one")
        if "/" in key:
            raise BadData(f"{schema.name} allows no / in the names of cameras; one is called {camera!r}")
        keys[key] = camera


def store(path: Path, info: DatasetInfo, demonstration: Demonstration, schema: Schema) -> Part:
    """Writes a demonstration whole beside the dataset at `path`, for its writer to take.

    Raises:
      BadData: If it does not fit the dataset or the schema, or the disk is full.
      MissingPackage: Without Pillow.
    """
    check_demonstration(demonstration, info)
    columns = schema.columns(demonstration, info) + list(_pictures(demonstration, info, schema))
    record = _tfrecord.framed(encode({c.feature.path: c.values for c in columns}))
    # RLDS has a place for the depth of these cameras: no second copy lies beside it.
    kept = {camera: depth for camera, depth in demonstration.depth.items() if camera not in schema.depth_keys(info)}

    def write(folder: Path) -> None:
        with (folder / _RECORD).open("wb") as file:
            file.writelines(record)
        (folder / _COUNT).write_text(json.dumps(len(record[2])))
        (folder / FEATURES).write_text(json.dumps(_rlds_features.features_json([c.feature for c in columns]), indent=1))
        _sidecar.write_part(folder, replace(demonstration, depth=kept))
        if schema.action_source(info) != ACTIONS:
            np.save(folder / _ACTIONS_NPY, demonstration.actions, allow_pickle=False)

    return store_part(path, demonstration.digest, write)


def _pictures(d: Demonstration, info: DatasetInfo, schema: Schema) -> Iterator[Column]:
    for camera, keys in schema.image_keys(info).items():
        encoded = _jpeg.encode_jpeg(d.images[camera])
        for key in keys:
            feature = Feature(path=OBSERVATION + key, kind="image", dtype="uint8", shape=info.images[camera].shape, encoding="jpeg")
            yield Column(feature, encoded)
    for camera, key in schema.depth_keys(info).items():
        shape = (*info.images[camera].shape[:2], 1)
        feature = Feature(path=OBSERVATION + key, kind="image", dtype="uint16", shape=shape, encoding="png")
        yield Column(feature, _jpeg.encode_depth(d.depth[camera]))


def _build(folder: Path, info: DatasetInfo, parts: Sequence[Part], name: str, about: str) -> None:
    inside = folder / VERSION
    inside.mkdir()
    shards = _shards(parts)
    num_bytes = 0
    for number, shard in enumerate(shards):
        with (inside / _rlds_features.shard_name(name, number, len(shards))).open("wb") as file:
            for part in shard:
                with (part.path / _RECORD).open("rb") as record:
                    shutil.copyfileobj(record, file, 4 << 20)
                num_bytes += int(json.loads((part.path / _COUNT).read_text()))
    lengths = [len(shard) for shard in shards]
    (inside / INFO).write_text(json.dumps(_rlds_features.info_json(name, about, lengths, num_bytes), indent=1))
    adopt(parts[0].path / FEATURES, inside / FEATURES)
    _sidecar.join_parts(inside, info, parts)
    for part in parts:
        if (part.path / _ACTIONS_NPY).exists():
            adopt(part.path / _ACTIONS_NPY, inside / _sidecar.FOLDER / OWN_ACTIONS / f"{part.digest}.npy")


def _shards(parts: Sequence[Part]) -> list[list[Part]]:
    """Returns the parts of each file, in order."""
    shards: list[list[Part]] = []
    room = -1
    for part in parts:
        size = (part.path / _RECORD).stat().st_size
        if size > room:
            shards.append([])
            room = SHARD_BYTES
        shards[-1].append(part)
        room -= size
    return shards


def _name(path: Path) -> str:
    """Returns the name of a dataset: that of its folder."""
    name = path.absolute().name
    if not _NAME.fullmatch(name):
        raise BadData(
            f"a dataset of TFDS is called as its folder, in small letters, digits and underscores, and this folder {name!r}. Choose another, like "
            f"{re.sub('[^a-z0-9_]+', '_', name.lower()).strip('_') or 'demonstrations'!r}"
        )
    return name


def _difference(first: Any, now: Any, path: str = "") -> str:
    """Returns in words where the features of a demonstration are not those of the first."""
    if isinstance(first, dict) and isinstance(now, dict):
        for key in [*first, *(key for key in now if key not in first)]:
            if first.get(key) != now.get(key):
                inner = path if key in ("featuresDict", "features", "sequence", "feature") else f"{path}/{key}".lstrip("/")
                return _difference(first.get(key), now.get(key), inner)
    return f"has other values than the first one, at {path}: {json.dumps(now)} instead of {json.dumps(first)}"
