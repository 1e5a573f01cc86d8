"""What a dataset of TFDS says of itself: features.json, the kind of each of its values, and dataset_info.json, its files.

An episode is one Example. Below `steps` a value has an entry for each step, all in one list; the names of nested values are joined by slashes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.errors import BadData
from vlagym.results.formats._rlds_example import Example, Values
from vlagym.results.formats._sidecar import within

FEATURES, INFO = "features.json", "dataset_info.json"
VERSION = "1.0.0"
_SHARD = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
_CLASSES = "tensorflow_datasets.core.features."
_STEPS = "steps/"


@dataclass(frozen=True, kw_only=True)
class Feature:
    """One value of an episode, or of each of its steps."""

    path: str
    """steps/observation/state"""
    kind: Literal["numbers", "text", "image"]
    dtype: str = "float32"
    shape: tuple[int, ...] = ()
    """Of one entry; -1 where it is not fixed."""
    encoding: str = ""
    """Of an image: jpeg or png."""

    @property
    def size(self) -> int:
        """How many numbers an entry has."""
        return int(np.prod(self.shape, dtype=np.int64))


@dataclass(frozen=True)
class Column:
    """A feature of an episode, and its values."""

    feature: Feature
    values: Values


def numbers(path: str, values: NDArray[Any], dtype: str) -> Column:
    """Returns a column of numbers: `(T, …)` below steps, else a scalar. Whatever their dtype, float32 or int64 is what is stored."""
    shape = values.shape[1:] if path.startswith(_STEPS) else values.shape
    flat: Values = values.astype(np.float32).reshape(-1) if dtype.startswith("float") else values.astype(np.int64).reshape(-1)
    return Column(Feature(path=path, kind="numbers", dtype=dtype, shape=shape), flat)


def texts(path: str, values: Sequence[str]) -> Column:
    """Returns a column of texts."""
    return Column(Feature(path=path, kind="text", dtype="string"), [value.encode() for value in values])


def read_numbers(example: Example, feature: Feature) -> NDArray[Any]:
    """Returns the numbers of a feature, `(T, …)`: T is 1 for what is said of the episode.

    Raises:
      KeyError: If there are none.
      ValueError: If they are damaged, or another number of them than their shape wants.
    """
    flat = example.numbers(feature.path)
    return flat.reshape(-1, *feature.shape).astype(np.dtype(feature.dtype) if feature.dtype != "bfloat16" else np.float32)


# ---------------------------------------------------------------------------------------------------------------------------- features
def features_json(features: Sequence[Feature]) -> dict[str, Any]:
    """Returns the content of features.json."""
    root: dict[str, Any] = {}
    for feature in features:
        *outer, last = feature.path.split("/")
        inner = root
        for name in outer:
            inner = inner.setdefault(name, {})
        inner[last] = _plain(feature)
    return _nested(root, "")


def read_features(at: Path) -> list[Feature]:
    """Returns the features of a dataset; those of a kind that no demonstration holds are left out.

    Raises:
      BadData: If the file is missing or damaged.
    """
    return list(_leaves(_json(at), "", at))


def _nested(tree: Mapping[str, Any], name: str) -> dict[str, Any]:
    inner = {key: value if "pythonClassName" in value else _nested(value, key) for key, value in tree.items()}
    features = {"pythonClassName": f"{_CLASSES}features_dict.FeaturesDict", "featuresDict": {"features": inner}}
    if name != "steps":
        return features
    return {"pythonClassName": f"{_CLASSES}dataset_feature.Dataset", "sequence": {"feature": features, "length": "-1"}}


def _plain(feature: Feature) -> dict[str, Any]:
    shape = {"dimensions": [str(n) for n in feature.shape]} if feature.shape else {}
    if feature.kind == "text":
        return {"pythonClassName": f"{_CLASSES}text_feature.Text", "text": {}}
    if feature.kind == "image":
        image = {"shape": shape, "dtype": feature.dtype, "encodingFormat": feature.encoding}
        return {"pythonClassName": f"{_CLASSES}image_feature.Image", "image": image}
    name = "tensor_feature.Tensor" if feature.shape else "scalar.Scalar"
    return {"pythonClassName": _CLASSES + name, "tensor": {"shape": shape, "dtype": feature.dtype, "encoding": "none"}}


def _leaves(plain: Any, path: str, at: Path) -> Iterator[Feature]:
    try:
        if "featuresDict" in plain:
            for name, inner in plain["featuresDict"]["features"].items():
                yield from _leaves(inner, f"{path}/{name}" if path else name, at)
        elif "sequence" in plain and path == "steps":
            yield from _leaves(plain["sequence"]["feature"], path, at)
        elif "text" in plain:
            yield Feature(path=path, kind="text", dtype="string")
        elif "image" in plain:
            image = plain["image"]
            yield Feature(
                path=path,
                kind="image",
                dtype=str(image.get("dtype") or "uint8"),
                shape=_shape(image),
                encoding=str(image.get("encodingFormat") or "png"),
            )
        elif "tensor" in plain and plain["tensor"].get("encoding", "none") == "none":
            tensor = plain["tensor"]
            kind: Literal["numbers", "text"] = "text" if tensor["dtype"] == "string" else "numbers"
            yield Feature(path=path, kind=kind, dtype=str(tensor["dtype"]), shape=_shape(tensor))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadData(f"{at} is damaged at {path or 'its root'}: {error!r}") from error


def _shape(plain: Mapping[str, Any]) -> tuple[int, ...]:
    return tuple(int(n) for n in (plain.get("shape") or {}).get("dimensions", ()))


# ------------------------------------------------------------------------------------------------------------------------------- files
@dataclass(frozen=True, kw_only=True)
class Files:
    """The files of a dataset, all splits."""

    name: str
    shards: tuple[tuple[Path, int], ...]
    """Of each the path, and how many episodes it holds."""
    splits: tuple[str, ...]
    """Of each shard."""


def shard_name(name: str, index: int, count: int) -> str:
    """Returns what TFDS calls a file of the split train."""
    return _filled(_SHARD, name, "train", "tfrecord", index, count)


def info_json(name: str, about: str, lengths: Sequence[int], num_bytes: int) -> dict[str, Any]:
    """Returns the content of dataset_info.json of a dataset with one split.

    Args:
      name: Of the dataset.
      about: What it is, in words.
      lengths: How many episodes each shard holds.
      num_bytes: Of all payloads.
    """
    split = {"name": "train", "shardLengths": [str(n) for n in lengths], "numBytes": str(num_bytes), "filepathTemplate": _SHARD}
    return {
        "name": name,
        "version": VERSION,
        "description": about,
        "fileFormat": "tfrecord",
        "releaseNotes": {VERSION: "As it was collected."},
        "splits": [split],
    }


def read_files(folder: Path) -> Files:
    """Returns the files of a dataset, as its dataset_info.json tells.

    Raises:
      BadData: If that is missing or damaged, or tells of files that are no TFRecords.
    """
    at = folder / INFO
    plain = _json(at)
    try:
        name, kind = str(plain["name"]), str(plain.get("fileFormat") or "tfrecord")
        if kind != "tfrecord":
            raise BadData(f"{folder} holds files of the format {kind}; TFRecord is what is read: write it once more with file_format='tfrecord'")
        shards, splits = [], []
        for split in plain["splits"]:
            lengths = [int(n) for n in split["shardLengths"]]
            template = str(split.get("filepathTemplate") or _SHARD)
            for index, length in enumerate(lengths):
                shards.append((within(folder, _filled(template, name, str(split["name"]), kind, index, len(lengths))), length))
                splits.append(str(split["name"]))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadData(f"{at} is damaged: {error!r}") from error
    return Files(name=name, shards=tuple(shards), splits=tuple(splits))


def _filled(template: str, name: str, split: str, kind: str, index: int, count: int) -> str:
    words = {"DATASET": name, "SPLIT": split, "FILEFORMAT": kind, "SHARD_INDEX": f"{index:05d}", "NUM_SHARDS": f"{count:05d}"}
    words["SHARD_X_OF_Y"] = f"{index:05d}-of-{count:05d}"
    for word, value in words.items():
        template = template.replace(f"{{{word}}}", value)
    return template


def _json(at: Path) -> dict[str, Any]:
    try:
        plain = json.loads(at.read_bytes())
    except (OSError, ValueError) as error:
        raise BadData(f"{at} cannot be read: {error}") from error
    if not isinstance(plain, dict):
        raise BadData(f"{at} is no JSON object")
    return plain
