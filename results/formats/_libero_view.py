"""What trainers read of a file in HDF5: every array and attribute of a demonstration, and what the file says of all of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.errors import BadData
from vlagym.results.demonstration import DatasetInfo
from vlagym.results.format import NotOurs
from vlagym.results.formats import _libero, _masks
from vlagym.results.formats._file import demo_names, open_file, reading

_OF_THE_FILE = ("total", "num_demos", "problem_info", "vlagym_schema", "about", "image_preprocessing", _masks.SHARE)
"""Attributes that depend on which demonstrations there are, how large their images are, or only explain the others."""


class View:
    """Of a file that vlagym wrote. It is opened each time that it is looked at."""

    def __init__(self, path: Path) -> None:
        """Reads what holds for all.

        Raises:
          NotOurs: If others wrote it.
          BadData: If it is damaged.
        """
        self._path = path
        with open_file(path, "r") as file, reading(str(path)):
            data = file["data"]
            if not _libero.is_ours(data):
                raise NotOurs(f"{path} was not written by vlagym")
            self._info: DatasetInfo = _libero.read_info(data, str(path))
            self._names = demo_names(data)
            self._schema = int(data.attrs["vlagym_schema"])
            self._common = {f"data.attrs/{key}": _plain(value) for key, value in data.attrs.items() if key not in _OF_THE_FILE}

    @property
    def is_older(self) -> bool:
        return self._schema < _libero.SCHEMA

    def common(self) -> Mapping[str, Any]:
        return self._common

    def episode(self, index: int) -> Mapping[str, Any]:
        pictures = {f"obs/{name(camera)}" for camera in self._info.images for name in (_libero.obs_name, _libero.depth_name)}
        found: dict[str, Any] = {}

        def look(name: str, thing: Any) -> None:
            found.update({f"{name}.attrs/{key}": _plain(value) for key, value in thing.attrs.items()})
            if hasattr(thing, "dtype") and name not in pictures:
                found[name] = np.asarray(thing[()])

        with open_file(self._path, "r") as file, reading(f"{self._path} {self._names[index]}"):
            group = file["data"][self._names[index]]
            look("", group)
            group.visititems(look)
        return found

    def faults_of(self, index: int, images: Mapping[str, NDArray[np.uint8]] | None) -> Iterator[str]:
        yield from ()

    def faults(self) -> Iterator[str]:
        with open_file(self._path, "r") as file, reading(str(self._path)):
            data = file["data"]
            demos = [data[name] for name in self._names]
            told = {name: int(data.attrs[name]) for name in ("total", "num_demos")}
            found = {"total": sum(int(d.attrs["num_samples"]) for d in demos), "num_demos": len(demos)}
            yield from (f"data says {name} {told[name]}, and its demonstrations are {found[name]}" for name in told if told[name] != found[name])
            sentences = {str(d.attrs["language_instruction"]) for d in demos}
            said = json.loads(str(data.attrs["problem_info"])).get("language_instruction")
            if said != (next(iter(sentences)) if len(sentences) == 1 else ""):
                yield f"problem_info says {said!r}, which is not the one sentence of all demonstrations"
            masks = {key: {bytes(name).decode() for name in file[f"mask/{key}"][()]} for key in file.get("mask", ())}
            strange = sorted(name for names in masks.values() for name in names - set(self._names))
            if strange:
                yield f"the masks name demonstrations that are not there: {', '.join(strange[:4])}{' …' if len(strange) > 4 else ''}"
            if {"train", "valid"} <= set(masks):
                train, valid = masks["train"], masks["valid"]
                if train & valid or (train | valid) != set(self._names):
                    yield "mask/train and mask/valid do not divide the demonstrations: some are on both sides, or on none"


def _plain(value: Any) -> Any:
    """Returns an attribute as a value that can be compared: arrays as they are, numbers and texts as Python's own, JSON as what it says."""
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value.item() if isinstance(value, np.generic) else value
