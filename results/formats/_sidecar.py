"""What a dataset format has no place for: a folder `vlagym` in the dataset, of which readers of the format know nothing.

    vlagym/info.json               the schema and the `DatasetInfo`
           episodes.jsonl          a line a demonstration, in the order of the dataset: digest, spec, success, stages, paraphrases, certificate, extra
           arrays/<digest>.npz     executed_actions, proprio/<name>, privileged/<name>, commands/<name>, depth/<camera>, timestamps_s

The format itself stores the actions, the images and the instruction. A dataset that others made has no such folder: `recorded_action` and
`content_digest` are for reading it all the same.
"""

from __future__ import annotations

import dataclasses
import json
import os
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.errors import BadData
from vlagym.envs.types import ActionComponent, ActionSpec, Certificate, EpisodeSpec, canonical_json, from_plain, sha_arrays, to_plain
from vlagym.results.demonstration import DIGEST, DatasetInfo, Demonstration, Stage
from vlagym.results.format import Part
from vlagym.results.formats import _deflate
from vlagym.results.formats._staging import adopt

FOLDER = "vlagym"
SCHEMA = 1
"""Of this folder."""
RECORDED = "recorded"
"""Name and convention of the actions of a dataset that does not say what its numbers mean."""

_GROUPS = ("proprio", "privileged", "commands", "depth")
_EPOCH = (1980, 1, 1, 0, 0, 0)
"""Of every entry of an archive."""


@dataclass(frozen=True, kw_only=True)
class Episode:
    """A line of episodes.jsonl."""

    digest: str
    num_steps: int
    spec: str | None
    """Its canonical JSON."""
    is_success: bool
    stages: tuple[tuple[int, str], ...]
    paraphrases: tuple[str, ...]
    certificate: Certificate | None
    extra: Mapping[str, Any]


# -------------------------------------------------------------------------------------------------------------------------- writing
def write_part(folder: Path, demonstration: Demonstration) -> None:
    """Writes what the format has no place for into the part of a demonstration."""
    d = demonstration
    episode = Episode(
        digest=d.digest,
        num_steps=d.num_steps,
        spec=None if d.spec is None else d.spec.to_json(),
        is_success=d.is_success,
        stages=tuple((stage.step, stage.name) for stage in d.stages),
        paraphrases=d.paraphrases,
        certificate=d.certificate,
        extra=d.extra,
    )
    (folder / FOLDER).mkdir(parents=True)
    (folder / FOLDER / "episode.json").write_text(_json(to_plain(episode), f"demonstration {d.digest}: extra"), encoding="utf-8")
    arrays: dict[str, NDArray[Any]] = {"executed_actions": d.executed_actions}
    for group in _GROUPS:
        arrays |= {f"{group}/{name}": array for name, array in getattr(d, group).items()}
    if d.timestamps_s is not None:
        arrays["timestamps_s"] = d.timestamps_s
    write_arrays(folder / FOLDER / "arrays.npz", arrays)


def join_parts(folder: Path, info: DatasetInfo, parts: Sequence[Part]) -> None:
    """Writes the folder `vlagym` of a dataset from those of its parts, whose files it adopts."""
    inside = folder / FOLDER
    (inside / "arrays").mkdir(parents=True)
    plain = {"schema": SCHEMA, "dataset": to_plain(info)}
    (inside / "info.json").write_text(_json(plain, "the dataset's information"), encoding="utf-8")
    with (inside / "episodes.jsonl").open("w", encoding="utf-8") as file:
        for part in parts:
            file.write((part.path / FOLDER / "episode.json").read_text(encoding="utf-8") + "\n")
            adopt(part.path / FOLDER / "arrays.npz", inside / "arrays" / f"{part.digest}.npz")


def part_episode(part: Part) -> Episode:
    """Returns the line of one part."""
    at = part.path / FOLDER / "episode.json"
    return _episode(at.read_bytes(), str(at))


# -------------------------------------------------------------------------------------------------------------------------- reading
class Sidecar:
    """The folder `vlagym` of a dataset. Depth comes from the disk when it is looked at."""

    def __init__(self, folder: Path) -> None:
        """Reads what is said of the dataset and of its demonstrations, without arrays.

        Args:
          folder: Of the dataset.

        Raises:
          BadData: If it is damaged, or of another schema.
        """
        self._folder = folder / FOLDER
        where = self._folder / "info.json"
        try:
            plain = json.loads(where.read_bytes())
            schema, dataset = int(plain["schema"]), plain["dataset"]
            lines = (self._folder / "episodes.jsonl").read_bytes().splitlines()
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BadData(f"{where.parent} is damaged: {error}. Without that folder the dataset is read like one that others made") from error
        if schema != SCHEMA:
            newer = " It was written by a newer vlagym: pip install --upgrade vlagym" if schema > SCHEMA else ""
            raise BadData(f"{where} has schema {schema}; this version of vlagym reads {SCHEMA}.{newer}")
        self.info = from_plain(DatasetInfo, dataset, str(where))
        self.episodes = tuple(_episode(line, f"{self._folder / 'episodes.jsonl'}, line {i}") for i, line in enumerate(lines, 1))

    @property
    def digests(self) -> tuple[str, ...]:
        """One a demonstration, in order."""
        return tuple(episode.digest for episode in self.episodes)

    def demonstration(
        self, index: int, *, instruction: str, actions: NDArray[np.float32], images: Mapping[str, NDArray[np.uint8]]
    ) -> Demonstration:
        """Returns a demonstration whole, from what the format stores itself and what lies here.

        Raises:
          BadData: If its arrays are missing, damaged, or of another length than its actions.
        """
        episode = self.episodes[index]
        at = self._folder / "arrays" / f"{episode.digest}.npz"
        arrays = read_arrays(at, lambda name: not name.startswith("depth/"))
        groups: dict[str, dict[str, NDArray[Any]]] = {group: {} for group in _GROUPS}
        for name, array in arrays.items():
            group, slash, rest = name.partition("/")
            if slash:
                groups[group][rest] = array
        if "executed_actions" not in arrays or len(arrays["executed_actions"]) != len(actions):
            raise BadData(f"{at} does not belong to the {len(actions)} actions that the dataset holds of {episode.digest}: it was changed")
        return Demonstration(
            spec=None if episode.spec is None else EpisodeSpec.from_json(episode.spec),
            digest=episode.digest,
            instruction=instruction,
            actions=actions,
            executed_actions=arrays["executed_actions"],
            images=images,
            image_steps=np.arange(0, len(actions), self.info.frame_stride, dtype=np.int64),
            proprio=groups["proprio"],
            privileged=groups["privileged"],
            is_success=episode.is_success,
            depth=Lazy({camera: _depth(at, camera) for camera in self.info.depth}),
            commands=groups["commands"],
            stages=tuple(Stage(step, name) for step, name in episode.stages),
            paraphrases=episode.paraphrases,
            certificate=episode.certificate,
            timestamps_s=arrays.get("timestamps_s"),
            extra=episode.extra,
        )


def sidecar_of(folder: Path) -> Sidecar | None:
    """Returns the folder `vlagym` of a dataset; None where there is none, because others made it.

    Raises:
      BadData: As `Sidecar`.
    """
    return Sidecar(folder) if (folder / FOLDER).exists() else None


class Lazy(Mapping[str, NDArray[Any]]):
    """Arrays that are read each time they are looked up."""

    def __init__(self, loaders: Mapping[str, Callable[[], NDArray[Any]]]) -> None:
        self._loaders = dict(loaders)

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self._loaders[name]()

    def __contains__(self, name: object) -> bool:
        return name in self._loaders  # a mapping's own would read the array

    def __iter__(self) -> Iterator[str]:
        return iter(self._loaders)

    def __len__(self) -> int:
        return len(self._loaders)


def in_memory(demonstration: Demonstration) -> Demonstration:
    """Returns a demonstration whose images and depth have been read."""
    return dataclasses.replace(demonstration, images=dict(demonstration.images), depth=dict(demonstration.depth))


def within(folder: Path, name: str) -> Path:
    """Returns a file of a dataset by the name that the dataset itself gives it.

    Raises:
      BadData: If the name leads out of the dataset. Links are followed: whoever made them has the folder.
    """
    if os.path.isabs(name) or os.path.normpath(name).split(os.sep)[0] == os.pardir or "\0" in name:
        raise BadData(f"{folder} names a file outside of itself: {name[:200]!r}")
    return folder / name


# ----------------------------------------------------------------------------------------------------------------- made by others
def recorded_action(low: Sequence[float], high: Sequence[float], rate_hz: float, *, names: Sequence[str] = ()) -> ActionSpec:
    """Returns the action spec of a dataset whose numbers nobody explains: one component, as wide as what was found.

    Args:
      low: The smallest value of each number.
      high: The largest.
      rate_hz: Rows a second.
      names: What the dataset calls the numbers; they become the names of components of one number each.
    """
    components = [
        ActionComponent(name=name, size=len(at), convention=RECORDED, frame="unknown", unit="unknown", scale=1.0, low=tuple(at), high=tuple(to))
        for name, at, to in (
            [(name, [a], [b]) for name, a, b in zip(names, map(float, low), map(float, high), strict=True)]
            if names and len(set(names)) == len(names)
            else [("action", list(map(float, low)), list(map(float, high)))]
        )
    ]
    return ActionSpec(name=RECORDED, components=tuple(components), rate_hz=float(rate_hz))


def content_digest(instruction: str, *arrays: NDArray[Any]) -> str:
    """Returns the digest of a demonstration without a spec: of its sentence and its arrays."""
    return sha_arrays(np.frombuffer(instruction.encode(), np.uint8), *arrays)


# -------------------------------------------------------------------------------------------------------------------------- arrays
def read_arrays(at: Path, wanted: Callable[[str], bool]) -> dict[str, NDArray[Any]]:
    """Returns the arrays of an archive whose names are wanted; nothing in it is executed.

    Raises:
      BadData: If it is missing or damaged.
    """
    try:
        with np.load(at, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files if wanted(name)}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise BadData(f"{at} cannot be read: {error}. It was removed or is damaged") from error


def write_arrays(at: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Writes what `np.load` reads; equal arrays give equal files.

    NumPy's own level of compression takes five to seven times as long, and saves a quarter of the bytes.
    """
    with zipfile.ZipFile(at, "w") as archive:
        for name, array in arrays.items():
            entry = zipfile.ZipInfo(f"{name}.npy", _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(entry, "w", force_zip64=True) as member:
                member._compressor = _deflate.raw()  # type: ignore[attr-defined]  # zipfile knows zlib alone, and has no other place to say so
                np.lib.format.write_array(member, np.asarray(array, order="C"), allow_pickle=False)


def _depth(at: Path, camera: str) -> Callable[[], NDArray[Any]]:
    def load() -> NDArray[Any]:
        found = read_arrays(at, lambda name: name == f"depth/{camera}")
        if not found:
            raise BadData(f"{at} lacks the depth of {camera!r}, which its dataset says it holds")
        return found[f"depth/{camera}"]

    return load


def _episode(line: bytes, where: str) -> Episode:
    try:
        plain = json.loads(line)
    except ValueError as error:
        raise BadData(f"{where} is damaged: {error}") from error
    found = from_plain(Episode, plain, where)
    if not DIGEST.fullmatch(found.digest):
        raise BadData(f"{where}: {found.digest[:100]!r} is no digest of a demonstration")
    return found


def _json(plain: Any, what: str) -> str:
    try:
        return canonical_json(plain)
    except (TypeError, ValueError) as error:
        raise BadData(f"{what} holds what JSON cannot: {error}") from error
