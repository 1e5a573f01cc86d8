"""Folders of demonstrations with a NumPy archive each and a list of all of them in JSON: nothing in them is a pickle, and nothing is lost.

    index.json                what holds for all demonstrations, and a line about each
    episodes/000000.npz       its arrays, and in `about` the rest as JSON: digest, spec, sentence, success, stages, paraphrases, certificate, extra

`np.load(file)["actions"]` and `json.load(index)` are all that a reader needs.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.errors import BadData
from vlagym.envs.types import Certificate, EpisodeSpec, from_plain, to_plain
from vlagym.results.demonstration import DatasetInfo, Demonstration, Stage, check_demonstration
from vlagym.results.format import Format, Part
from vlagym.results.formats._episode_files_view import ABOUT, INDEX, View
from vlagym.results.formats._sidecar import Lazy, in_memory, read_arrays, within, write_arrays
from vlagym.results.formats._signs import said
from vlagym.results.formats._staging import FolderWriter, adopt, no_dataset, store_part

SCHEMA = 1
_GROUPS = ("proprio", "privileged", "commands")


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How a format of this kind calls its arrays."""

    name: str
    """Of the format."""
    says: str
    """What its arrays are, for whoever opens index.json."""
    images: str
    """Before the name of a camera, where its images are."""
    depth: str
    """Likewise where its depth is."""
    own: str = ""
    """Before the names of all other arrays of a demonstration."""
    derive: Callable[[Demonstration, DatasetInfo], Mapping[str, NDArray[Any]]] = lambda demonstration, info: {}
    """Further arrays, which are made of a demonstration and not read back. Raises BadData where it lacks what they are made of."""


def make_format(layout: Layout) -> Format:
    """Returns the format of a layout."""

    def store(path: Path, info: DatasetInfo, demonstration: Demonstration) -> Part:
        check_demonstration(demonstration, info)
        arrays = _pack(layout, demonstration) | dict(layout.derive(demonstration, info))

        def write(folder: Path) -> None:
            write_arrays(folder / "episode.npz", arrays)
            entry = {"digest": demonstration.digest, "episode_id": episode_id(demonstration), "num_steps": demonstration.num_steps}
            entry |= {"language_instruction": demonstration.instruction, "success": demonstration.is_success}
            (folder / "entry.json").write_text(_json(entry), encoding="utf-8")

        return store_part(path, demonstration.digest, write)

    def build(folder: Path, info: DatasetInfo, parts: Sequence[Part]) -> None:
        entries = []
        for number, part in enumerate(parts):
            file = f"episodes/{number:06d}.npz"
            entries.append({"file": file, **json.loads((part.path / "entry.json").read_bytes())})
            adopt(part.path / "episode.npz", folder / file)
        head = {"format": layout.name, "schema": SCHEMA, "about": layout.says, "dataset": to_plain(info)}
        (folder / INDEX).write_text(_json({**head, "episodes": entries}, indent=1), encoding="utf-8")

    def write(path: Path, info: DatasetInfo) -> FolderWriter:
        if info.frame_stride < 1:
            raise BadData(f"the frame stride is {info.frame_stride}; it must be 1 or more")
        return FolderWriter(path, info, store=store, build=build)

    def read(path: Path) -> Iterator[Demonstration]:
        with Reader(path, layout) as reader:
            for index in range(len(reader)):
                yield in_memory(reader[index])

    def recognises(path: Path) -> bool:
        return said(path / INDEX).get("format") == layout.name

    return Format(
        suffix="",
        write=write,
        open=lambda path: Reader(path, layout),
        read=read,
        store=store,
        recognises=recognises,
        known_by=(INDEX,),
        view=lambda path: View(path, (layout.images, layout.depth)),
    )


def episode_id(demonstration: Demonstration) -> str:
    """Returns what whoever recorded a demonstration called it; else its digest."""
    return str(demonstration.extra.get("episode_id") or demonstration.digest)


# -------------------------------------------------------------------------------------------------------------------------- reading
class Reader:
    """Reads demonstrations by their number; images and depth come from the disk when they are looked at."""

    def __init__(self, path: Path, layout: Layout) -> None:
        """Reads the index.

        Raises:
          NoDataset: If there is none.
          BadData: If it is damaged, of another format or schema.
        """
        index = path / INDEX
        if not index.is_file():
            raise no_dataset(path, INDEX)
        self.path, self._layout = path, layout
        try:
            plain = json.loads(index.read_bytes())
            format_, schema, entries = plain["format"], int(plain["schema"]), [(str(e["digest"]), str(e["file"])) for e in plain["episodes"]]
            dataset = plain["dataset"]
        except (ValueError, KeyError, TypeError) as error:
            raise BadData(f"{index} is damaged, or no index of demonstrations: {error!r}") from error
        if format_ != layout.name:
            raise BadData(f"{path} is a dataset of the format {format_}, not {layout.name}")
        if schema != SCHEMA:
            newer = " It was written by a newer vlagym: pip install --upgrade vlagym" if schema > SCHEMA else ""
            raise BadData(f"{index} has schema {schema}; this version of vlagym reads {SCHEMA}.{newer}")
        self._info = from_plain(DatasetInfo, dataset, str(index))
        self._digests = tuple(digest for digest, _ in entries)
        self._files = [within(path, file) for _, file in entries]

    @property
    def info(self) -> DatasetInfo:
        """What holds for every demonstration."""
        return self._info

    @property
    def digests(self) -> tuple[str, ...]:
        """One a demonstration, in order."""
        return self._digests

    @property
    def files(self) -> tuple[Path, ...]:
        """The archive of each demonstration, in order."""
        return tuple(self._files)

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: int) -> Demonstration:
        """Returns a demonstration.

        Raises:
          IndexError: If there is none of this number.
          BadData: If its file is missing or damaged.
        """
        return _unpack(self._layout, self._files[index], self._info)

    def close(self) -> None:
        """Does nothing: no file stays open."""

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


# -------------------------------------------------------------------------------------------------------------------------- archives
def _pack(layout: Layout, d: Demonstration) -> dict[str, NDArray[Any]]:
    about = {
        "digest": d.digest,
        "instruction": d.instruction,
        "is_success": d.is_success,
        "spec": None if d.spec is None else d.spec.to_json(),
        "stages": [list(stage) for stage in d.stages],
        "paraphrases": list(d.paraphrases),
        "certificate": None if d.certificate is None else to_plain(d.certificate),
        "extra": to_plain(d.extra),
        **{group: list(getattr(d, group)) for group in _GROUPS},  # in their order
    }
    own: dict[str, NDArray[Any]] = {"actions": d.actions, "executed_actions": d.executed_actions, "image_steps": d.image_steps}
    for group in _GROUPS:
        own |= {f"{group}/{name}": array for name, array in getattr(d, group).items()}
    if d.timestamps_s is not None:
        own["timestamps_s"] = d.timestamps_s
    arrays: dict[str, NDArray[Any]] = {ABOUT: np.array(_json(about))}
    arrays |= {layout.own + name: array for name, array in own.items()}
    arrays |= {layout.images + camera: images for camera, images in d.images.items()}
    return arrays | {layout.depth + camera: depth for camera, depth in d.depth.items()}


def _unpack(layout: Layout, at: Path, info: DatasetInfo) -> Demonstration:
    pictures = (layout.images, layout.depth)
    arrays = read_arrays(at, lambda name: name == ABOUT or (name.startswith(layout.own) and not name.startswith(pictures)))
    try:
        about = json.loads(str(arrays[ABOUT]))
        own = {name.removeprefix(layout.own): array for name, array in arrays.items()}
        groups = {group: {name: own[f"{group}/{name}"] for name in about[group]} for group in _GROUPS}
        return Demonstration(
            spec=None if about["spec"] is None else EpisodeSpec.from_json(about["spec"]),
            digest=str(about["digest"]),
            instruction=str(about["instruction"]),
            actions=own["actions"],
            executed_actions=own["executed_actions"],
            images=Lazy({camera: _loader(at, layout.images + camera) for camera in info.images}),
            image_steps=own["image_steps"],
            **groups,
            is_success=bool(about["is_success"]),
            depth=Lazy({camera: _loader(at, layout.depth + camera) for camera in info.depth}),
            stages=tuple(Stage(int(step), str(name)) for step, name in about["stages"]),
            paraphrases=tuple(map(str, about["paraphrases"])),
            certificate=None if about["certificate"] is None else from_plain(Certificate, about["certificate"], f"{at}, its certificate"),
            timestamps_s=own.get("timestamps_s"),
            extra=about["extra"],
        )
    except (ValueError, KeyError, TypeError) as error:
        raise BadData(f"{at} is damaged, or was not written by vlagym: {error!r}") from error


def _loader(at: Path, name: str) -> Callable[[], NDArray[Any]]:
    def load() -> NDArray[Any]:
        found = read_arrays(at, lambda other: other == name)
        if not found:
            raise BadData(f"{at} lacks the array {name!r}, which its index says it holds")
        return found[name]

    return load


def _json(plain: Any, indent: int | None = None) -> str:
    try:
        return json.dumps(plain, ensure_ascii=False, allow_nan=False, indent=indent)
    except (TypeError, ValueError) as error:
        raise BadData(f"what else is said of a demonstration (extra), or of the dataset (provenance), cannot be told in JSON: {error}") from error
