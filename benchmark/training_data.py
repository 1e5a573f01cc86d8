"""Datasets of any format as a model of ours reads them: images cut and shrunk as it wants them, and only episodes that succeeded."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, overload

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.errors import BadData
from vlagym.envs.images import Shrink
from vlagym.envs.types import ImageComponent
from vlagym.results.demonstration import Demonstration, ImagePreprocessing
from vlagym.results.format import DatasetReader

if TYPE_CHECKING:
    from vlagym.policies.train import DemonstrationLike


class TrainingData(Sequence["DemonstrationLike"]):
    """The successful demonstrations of several datasets, one after another. Each is read when it is asked for, its images when they are looked at."""

    def __init__(self, readers: Mapping[str, DatasetReader], images: Sequence[ImageComponent]) -> None:
        """Looks for what succeeded.

        Args:
          readers: The datasets by their names; they must stay open.
          images: What the model reads.

        Raises:
          BadData: If a dataset does not hold these images, nor larger ones of which they can be made.
        """
        self.left_out: dict[str, int] = {}
        """Name -> demonstrations that did not succeed, of the datasets that hold such."""
        self._at: list[tuple[DatasetReader, int, Mapping[str, Shrink]]] = []
        for name, reader in readers.items():
            shrinks = shrinks_for(name, reader, images)
            kept = [i for i in range(len(reader)) if reader[i].is_success]
            if len(kept) < len(reader):
                self.left_out[name] = len(reader) - len(kept)
            self._at += [(reader, i, shrinks) for i in kept]

    def __len__(self) -> int:
        return len(self._at)

    @overload
    def __getitem__(self, index: int) -> DemonstrationLike: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[DemonstrationLike]: ...
    def __getitem__(self, index: int | slice) -> DemonstrationLike | Sequence[DemonstrationLike]:
        if isinstance(index, slice):
            return [_seen(*at) for at in self._at[index]]
        return _seen(*self._at[index])


def shrinks_for(name: str, reader: DatasetReader, images: Sequence[ImageComponent]) -> dict[str, Shrink]:
    """Returns what is to be done to a dataset's images, camera by camera, so that they become what a model reads.

    Args:
      name: Of the dataset, for what is said.
      reader: The dataset.
      images: What the model reads.

    Raises:
      BadData: If it lacks a camera, or its images cannot be cut and shrunk to those that are wanted.
    """
    found: dict[str, Shrink] = {}
    own_size = reader.info.provenance.get("image_size")
    for wanted in images:
        there = reader.info.images.get(wanted.name)
        shrink = None if there is None or own_size is not None else shrink_to(there, wanted)
        if shrink is None:
            if there is None:
                has = f"no such images, but those of {', '.join(sorted(reader.info.images)) or 'no camera'}"
            elif own_size is not None:
                has = f"images that were rendered at {own_size}"
            else:
                has = f"a centre crop of {there.crop} shrunk to {there.shape[0]} x {there.shape[1]}"
            raise BadData(
                f"wanted of the camera {wanted.name!r} is {_told(wanted)}, or what that can be made of; {name} holds {has}. "
                f"Collect with: vlagym demo {' '.join(_as_options(i) for i in images)}, or with whole images, without --size and --image-size"
            )
        found[wanted.name] = shrink
    return found


def shrink_to(stored: ImagePreprocessing, wanted: ImageComponent) -> Shrink | None:
    """Returns how images that were stored become those that are wanted, of the same middle of the same rendered image; None if they cannot.

    Where whole images were stored it is exactly what would have been stored; where they were shrunk before, means are rounded twice, and may differ
    by one level.
    """
    if stored.width not in (None, stored.size) or wanted.width != wanted.height:
        return None
    crop = stored.crop if wanted.crop is None else wanted.crop
    side, rest = divmod(crop * stored.size, stored.crop)
    if rest or side > stored.size or (stored.size - side) % 2 or side % wanted.width:
        return None
    return Shrink(crop=side, size=wanted.width)


class _Shrunk(Mapping[str, NDArray[np.uint8]]):
    """The images of a demonstration, camera by camera, made when they are looked at."""

    def __init__(self, images: Mapping[str, NDArray[np.uint8]], shrinks: Mapping[str, Shrink]) -> None:
        self._images, self._shrinks = images, shrinks

    def __getitem__(self, camera: str) -> NDArray[np.uint8]:
        shrink, images = self._shrinks[camera], self._images[camera]
        if shrink.crop == shrink.size == images.shape[1]:
            return images
        out = np.empty((len(images), shrink.size, shrink.size, 3), np.uint8)
        for made, image in zip(out, images, strict=True):
            made[:] = shrink.apply(image)
        return out

    def __contains__(self, camera: object) -> bool:
        return camera in self._shrinks

    def __iter__(self) -> Iterator[str]:
        return iter(self._shrinks)

    def __len__(self) -> int:
        return len(self._shrinks)


def _seen(reader: DatasetReader, index: int, shrinks: Mapping[str, Shrink]) -> Demonstration:
    found = reader[index]
    return dataclasses.replace(found, images=_Shrunk(found.images, shrinks))


def _as_options(image: ImageComponent) -> str:
    crop = [] if image.crop is None else [f"--crop {image.name}={image.crop}"]
    return " ".join([*crop, f"--size {image.name}={image.width}"])


def _told(image: ImageComponent) -> str:
    what = "the whole image" if image.crop is None else f"a centre crop of {image.crop}"
    return f"{what} shrunk to {image.width}"
