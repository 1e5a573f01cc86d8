"""What LeRobot's datasets of every version have in common: names of features, rows as a parquet table, and the part of one demonstration.

The part of a demonstration holds what does not depend on its place in the dataset:

    rows.parquet         state, action, next.reward, next.done, timestamp, frame_index, and images where they are single ones
    <feature>.mp4        where images are video
    histograms.npz       of the images, for their statistics
    episode.json         its sentence and its number of rows

Row t is what was seen before action t, and action t; its timestamp is t / fps.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.errors import BadData, MissingPackage
from vlagym.envs.types import ActionSpec
from vlagym.results.demonstration import DatasetInfo, Demonstration, check_demonstration
from vlagym.results.format import FIELDS, Part
from vlagym.results.formats import _jpeg, _sidecar, _video
from vlagym.results.formats._staging import store_part
from vlagym.results.formats._statistics import Histogram, Statistics
from vlagym.results.formats._vectors import vector

HOLDS = frozenset(FIELDS) - {"frame_stride"}
"""Of the fields of a demonstration: all but a frame stride, for LeRobot has an image for every row."""

COUNTERS = ("episode_index", "index", "task_index")
"""Columns that depend on the place of a demonstration in the dataset."""
_STATISTICS_NPZ = "histograms.npz"


@dataclass(frozen=True, kw_only=True)
class Flavour:
    """How a dataset of LeRobot calls its columns."""

    name: str
    """Of the format."""
    state: str
    action: str
    images: Literal["video", "image"]
    camera: str
    """Feature of a camera, with {camera} for its name."""
    cameras: tuple[tuple[str, str], ...] = ()
    """(camera, feature) of those that are called otherwise."""

    def feature(self, camera: str) -> str:
        """Returns the name of the feature that holds the images of a camera."""
        return dict(self.cameras).get(camera, self.camera.format(camera=camera))


def pyarrow() -> tuple[Any, Any]:
    """Returns pyarrow and pyarrow.parquet.

    Raises:
      MissingPackage: Without them.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as missing:
        raise MissingPackage("LeRobot's formats need: pip install 'vlagym[data]'") from missing
    return pyarrow, pyarrow.parquet


# ------------------------------------------------------------------------------------------------------------------ what is refused
def check_info(info: DatasetInfo, flavour: Flavour) -> None:
    """Raises BadData unless a dataset of this kind can be laid out."""
    if info.frame_stride != 1:
        raise BadData(f"{flavour.name} stores an image for every step; the frame stride is {info.frame_stride}, and must be 1")
    if info.action.rate_hz != round(info.action.rate_hz):
        raise BadData(f"{flavour.name} counts whole frames a second; the actions come at {info.action.rate_hz:g} Hz. Choose a whole rate")
    features: dict[str, str] = {}
    for camera in info.images:
        feature = flavour.feature(camera)
        if "/" in feature:
            raise BadData(f"{flavour.name} allows no / in the names of features; the camera is called {camera!r}")
        if feature in features:
            raise BadData(f"the cameras {features[feature]!r} and {camera!r} would both be stored as {feature}; rename one")
        features[feature] = camera
    if flavour.images == "video":
        _video.check_sizes(info, flavour.name)


# -------------------------------------------------------------------------------------------------------------------------- features
def fps_of(info: DatasetInfo) -> int:
    return round(info.action.rate_hz)


def features(info: DatasetInfo, flavour: Flavour, state_names: Sequence[str]) -> dict[str, Any]:
    """Returns the features of meta/info.json."""
    out: dict[str, Any] = {}
    for camera, how in info.images.items():
        height, width, channels = how.shape
        image: dict[str, Any] = {"dtype": flavour.images, "shape": [height, width, channels], "names": ["height", "width", "channels"]}
        if flavour.images == "video":
            image["info"] = dict(_video.feature_info(height, width, fps_of(info)))
        out[flavour.feature(camera)] = image
    out[flavour.state] = {"dtype": "float32", "shape": [len(state_names)], "names": list(state_names)}
    out[flavour.action] = {"dtype": "float32", "shape": [info.action.size], "names": action_names(info.action)}
    scalars = {"next.reward": "float32", "next.done": "bool", "timestamp": "float32", "frame_index": "int64"}
    for scalar, dtype in (scalars | dict.fromkeys(COUNTERS, "int64")).items():
        out[scalar] = {"dtype": dtype, "shape": [1], "names": None}
    return out


def action_names(action: ActionSpec) -> list[str]:
    """Returns a name for each number of an action: that of its component, and which of its numbers it is."""
    names: list[str] = []
    for component in action.components:
        axes = "xyz" if component.size == 3 and component.frame != "joint" else [str(i) for i in range(component.size)]
        names += [component.name] if component.size == 1 else [f"{component.name}.{axis}" for axis in axes]
    return names


def schema(table_features: Mapping[str, Any]) -> Any:
    """Returns the arrow schema of the rows, with what the library `datasets` reads off it; video is not in it.

    The names of types in that are those of datasets 3, `Sequence` and `Image`, which 4 reads as well; it does not work the other way round.
    """
    pa, _ = pyarrow()
    fields: list[Any] = []
    told: dict[str, Any] = {}
    for name, feature in table_features.items():
        kind, size = feature["dtype"], feature["shape"][0]
        if kind == "video":
            continue
        if kind == "image":
            fields.append(pa.field(name, pa.struct([("bytes", pa.binary()), ("path", pa.string())])))
            told[name] = {"_type": "Image"}
            continue
        value: dict[str, Any] = {"dtype": kind, "_type": "Value"}
        scalar = pa.type_for_alias(kind)
        fields.append(pa.field(name, scalar if size == 1 else pa.list_(scalar, size)))
        told[name] = value if size == 1 else {"feature": value, "length": size, "_type": "Sequence"}
    metadata = {"huggingface": json.dumps({"info": {"features": told}})}
    return pa.schema(fields, metadata=metadata)


# ------------------------------------------------------------------------------------------------------------- the part of one
def store(flavour: Flavour, path: Path, info: DatasetInfo, demonstration: Demonstration) -> Part:
    """Encodes a demonstration and writes it whole beside the dataset.

    Raises:
      BadData: If it does not fit the dataset or the format, or the disk is full.
      MissingPackage: Without pyarrow, PyAV or Pillow.
    """
    check_info(info, flavour)
    check_demonstration(demonstration, info)
    return store_part(path, demonstration.digest, lambda folder: _write_part(folder, flavour, info, demonstration))


def _write_part(folder: Path, flavour: Flavour, info: DatasetInfo, d: Demonstration) -> None:
    pa, parquet = pyarrow()
    steps, fps = d.num_steps, fps_of(info)
    state = vector(d, info.state)
    last = np.zeros(steps, bool)
    last[-1] = True
    columns: dict[str, Any] = {}
    histograms: dict[str, NDArray[np.int64]] = {}
    clips = _video.clips_of(d.images)
    for camera in info.images:
        images, feature = d.images[camera], flavour.feature(camera)
        histograms[feature] = Histogram.of(images).levels
        if flavour.images == "video":
            if camera in clips:
                _video.copy(folder / f"{feature}.mp4", clips[camera], fps)
            else:
                _video.encode(folder / f"{feature}.mp4", images, fps)
        else:
            columns[feature] = [{"bytes": png, "path": f"frame-{i:06d}.png"} for i, png in enumerate(_jpeg.encode_png(images))]
    columns |= {
        flavour.state: state.values,
        flavour.action: d.actions,
        "next.reward": (last & d.is_success).astype(np.float32),
        "next.done": last,
        "timestamp": (np.arange(steps) / fps).astype(np.float32),
        "frame_index": np.arange(steps),
    }
    table_features = {name: f for name, f in features(info, flavour, state.names).items() if name in columns}
    parquet.write_table(pa.table(_arrays(columns, schema(table_features))), folder / "rows.parquet", compression="snappy")
    np.savez(folder / _STATISTICS_NPZ, **histograms)  # type: ignore[arg-type]  # numpy's stubs read the names as an option
    told = {"instruction": d.instruction, "num_rows": steps, "state_names": list(state.names)}
    (folder / "episode.json").write_text(json.dumps(told, ensure_ascii=False), encoding="utf-8")
    _sidecar.write_part(folder, d)


def _arrays(columns: Mapping[str, Any], wanted: Any) -> dict[str, Any]:
    """Returns columns as arrow arrays of the types of a schema."""
    pa, _ = pyarrow()
    out = {}
    for field in wanted:
        column = columns[field.name]
        if pa.types.is_fixed_size_list(field.type):
            flat = pa.array(np.ascontiguousarray(column).reshape(-1), field.type.value_type)
            out[field.name] = pa.FixedSizeListArray.from_arrays(flat, field.type.list_size)
        elif isinstance(column, np.ndarray):
            out[field.name] = pa.array(column.reshape(-1), field.type)
        else:
            out[field.name] = pa.array(column, field.type)
    return out


@dataclass(frozen=True, kw_only=True)
class Stored:
    """The part of a demonstration, as the builder of a dataset reads it."""

    part: Part
    instruction: str
    num_rows: int
    state_names: tuple[str, ...]

    @staticmethod
    def of(part: Part) -> Stored:
        """Reads what is said of a part.

        Raises:
          BadData: If it is damaged.
        """
        try:
            told = json.loads((part.path / "episode.json").read_bytes())
            return Stored(
                part=part, instruction=str(told["instruction"]), num_rows=int(told["num_rows"]), state_names=tuple(map(str, told["state_names"]))
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BadData(f"{part.path} is damaged: {error}. Remove {part.path.parent} and collect its demonstrations again") from error

    def video(self, feature: str) -> Path:
        """Returns the video of a feature."""
        return self.part.path / f"{feature}.mp4"

    def table(self, wanted: Any, counters: Mapping[str, NDArray[np.int64]]) -> Any:
        """Returns the rows with the columns that say where they stand in the dataset.

        Args:
          wanted: The schema of the dataset's rows.
          counters: Column -> (T,)
        """
        pa, parquet = pyarrow()
        try:
            rows = parquet.read_table(self.part.path / "rows.parquet")
        except (OSError, pa.ArrowException) as error:
            raise BadData(f"{self.part.path} is damaged: {error}. Remove it and collect the demonstration again") from error
        columns = {name: pa.array(values, pa.int64()) for name, values in counters.items()}
        return pa.table([columns[f.name] if f.name in columns else rows.column(f.name) for f in wanted], schema=wanted)

    def histograms(self) -> dict[str, Histogram]:
        """Returns the histogram of the images of each feature."""
        arrays = _sidecar.read_arrays(self.part.path / _STATISTICS_NPZ, lambda _: True)
        return {name: Histogram(levels, self.num_rows) for name, levels in arrays.items()}


def stored_parts(parts: Sequence[Part]) -> list[Stored]:
    """Returns what is said of all parts.

    Raises:
      BadData: If one is damaged, or their states are told by other names: of robots of several kinds.
    """
    found = [Stored.of(part) for part in parts]
    for stored in found:
        if stored.state_names != found[0].state_names:
            raise BadData(
                f"the state of demonstration {stored.part.digest} is {', '.join(stored.state_names)}, that of {found[0].part.digest} "
                f"{', '.join(found[0].state_names)}; one dataset of LeRobot holds one kind. Collect them apart, or choose the format hdf5"
            )
    return found


# ------------------------------------------------------------------------------------------------------------------------ statistics
def column(array: Any) -> NDArray[Any]:
    """Returns a column of a table as `(T,)` or `(T, k)`."""
    pa, _ = pyarrow()
    chunk = array.combine_chunks()
    if pa.types.is_list(chunk.type) or pa.types.is_fixed_size_list(chunk.type) or pa.types.is_large_list(chunk.type):
        values: NDArray[Any] = chunk.flatten().to_numpy(zero_copy_only=False)
        return values.reshape(len(chunk), -1)
    flat: NDArray[Any] = chunk.to_numpy(zero_copy_only=False)
    return flat


def numbers(table: Any) -> dict[str, NDArray[Any]]:
    """Returns the columns of a table that hold numbers."""
    pa, _ = pyarrow()
    return {f.name: column(table.column(f.name)) for f in table.schema if not pa.types.is_struct(f.type)}


def plain_statistics(found: Statistics, *, is_image: bool) -> dict[str, Any]:
    """Returns statistics as LeRobot writes them: lists, for images one of (3, 1, 1), and the count as a list of one."""
    out: dict[str, Any] = {}
    for name, values in found.arrays().items():
        out[name] = [[[float(value)]] for value in values] if is_image else [float(value) for value in values]
    return out | {"count": [found.count]}
