"""What trainers read of a folder of archives: every array but images, what is said of each episode, and the lines of the index."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.errors import BadData
from vlagym.results.formats._sidecar import read_arrays, within

INDEX, ABOUT = "index.json", "about"


class View:
    """Of a folder that vlagym wrote."""

    def __init__(self, path: Path, pictures: tuple[str, ...]) -> None:
        """Reads the index.

        Args:
          path: The folder.
          pictures: What the names of images and depth begin with.

        Raises:
          BadData: If it is damaged.
        """
        self._path, self._pictures = path, pictures
        try:
            index = json.loads((path / INDEX).read_bytes())
            self._entries: list[dict[str, Any]] = [dict(entry) for entry in index.pop("episodes")]
            dataset = {key: value for key, value in index.pop("dataset").items() if key != "images"}
            self._common = {key: value for key, value in index.items() if key != "about"}
            self._common |= {f"dataset/{key}": value for key, value in dataset.items()}
            self._files = [within(path, str(entry.pop("file"))) for entry in self._entries]
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise BadData(f"{path / INDEX} is damaged: {error!r}") from error

    @property
    def is_older(self) -> bool:
        return False

    def common(self) -> Mapping[str, Any]:
        return self._common

    def episode(self, index: int) -> Mapping[str, Any]:
        at = self._files[index]
        arrays: dict[str, Any] = dict(read_arrays(at, lambda name: not name.startswith(self._pictures)))
        try:
            about = json.loads(str(arrays.pop(ABOUT)))
            return arrays | {f"{ABOUT}/{key}": value for key, value in about.items()} | {f"{INDEX}/{k}": v for k, v in self._entries[index].items()}
        except (ValueError, KeyError, AttributeError) as error:
            raise BadData(f"{at} is damaged: {error!r}") from error

    def faults_of(self, index: int, images: Mapping[str, NDArray[np.uint8]] | None) -> Iterator[str]:
        yield from ()

    def faults(self) -> Iterator[str]:
        yield from ()
