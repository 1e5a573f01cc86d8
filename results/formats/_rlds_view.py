"""What trainers read of a folder of RLDS: every value of an episode but its images, and what features.json and dataset_info.json say."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.errors import BadData
from vlagym.results.format import NotOurs
from vlagym.results.formats import _rlds_features, _sidecar
from vlagym.results.formats._rlds_features import FEATURES, INFO
from vlagym.results.formats._rlds_reader import records_of, version_of
from vlagym.results.formats._rlds_schema import OBSERVATION, Schema

_OF_THE_DATASET = ("name", "splits", "description", "releaseNotes")
"""What of dataset_info.json depends on which episodes there are and what the folder is called, or is for people."""


class View:
    """Of a folder that vlagym wrote."""

    def __init__(self, path: Path, schema: Schema) -> None:
        """Finds the episodes.

        Raises:
          NotOurs: If others wrote it.
          BadData: If it is damaged.
        """
        self._folder = version_of(path)
        sidecar = _sidecar.sidecar_of(self._folder)
        if sidecar is None:
            raise NotOurs(f"{path} was not written by vlagym")
        self._records = list(records_of(self._folder))
        self._keys = {camera: [OBSERVATION + key for key in keys] for camera, keys in schema.image_keys(sidecar.info).items()}
        self._depth = {camera: OBSERVATION + key for camera, key in schema.depth_keys(sidecar.info).items()}
        self._info = sidecar.info

    @property
    def is_older(self) -> bool:
        return False

    def common(self) -> Mapping[str, Any]:
        """Returns the features, and what is said of the dataset."""
        features = {f"{FEATURES}/{f.path}": replace(f, shape=()) if f.kind == "image" else f for f in self._features()}
        return features | {f"{INFO}/{key}": value for key, value in self._about().items() if key not in _OF_THE_DATASET}

    def episode(self, index: int) -> Mapping[str, Any]:
        record = self._records[index]
        example, pictures = record.example(), {*self._depth.values(), *(key for keys in self._keys.values() for key in keys)}
        try:
            found: dict[str, Any] = {name: example.values(name) for name in example.names if name not in pictures}
            steps = len(found["steps/is_first"])
            for key in sorted(pictures):
                found[f"{key}, how many"] = len(example.texts(key)) == steps
            for keys in self._keys.values():
                found |= {f"{key}, as {keys[0]}": example.texts(key) == example.texts(keys[0]) for key in keys[1:]}
        except (KeyError, ValueError) as error:
            raise BadData(f"{record.file}, record {record.number} is damaged: {error!r}") from error
        return found

    def faults_of(self, index: int, images: Mapping[str, NDArray[np.uint8]] | None) -> Iterator[str]:
        yield from ()

    def faults(self) -> Iterator[str]:
        shapes = {f.path: f.shape for f in self._features() if f.kind == "image"}
        for camera, keys in self._keys.items():
            for key in keys:
                if shapes.get(key) != self._info.images[camera].shape:
                    yield f"{FEATURES} says {shapes.get(key)} of {key}, and the images of {camera} are {self._info.images[camera].shape}"
        try:
            told = sum(int(split["numBytes"]) for split in self._about()["splits"])
        except (KeyError, TypeError, ValueError) as error:
            raise BadData(f"{self._folder / INFO} is damaged: {error!r}") from error
        if told != (found := sum(record.place.length for record in self._records)):
            yield f"{INFO} says numBytes {told}, and the records have {found}"

    def _features(self) -> list[_rlds_features.Feature]:
        return _rlds_features.read_features(self._folder / FEATURES)

    def _about(self) -> dict[str, Any]:
        try:
            told: dict[str, Any] = json.loads((self._folder / INFO).read_bytes())
        except (OSError, ValueError) as error:
            raise BadData(f"{self._folder / INFO} cannot be read: {error}") from error
        return told
