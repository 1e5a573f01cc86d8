"""A dataset in another format: all of it is looked at before anything is written, one demonstration is in memory at a time, what is lost is told.
Films that the other format would encode as they are encoded already are cut out and joined.

    B.converting/conversion.json   from what, and how, this conversion was begun
                 B, B.parts        the dataset as its format writes it; it moves to its place when it is whole

A conversion that was interrupted or killed leaves nothing under the name of its dataset, and goes on when the command is given again.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from vlagym.envs import catalog
from vlagym.envs.errors import BadData
from vlagym.envs.types import canonical_json, sha, to_plain
from vlagym.results.datasets import format_of, open_dataset
from vlagym.results.demonstration import DatasetInfo, Demonstration, check_demonstration, without_pictures
from vlagym.results.format import DatasetReader, Format
from vlagym.results.formats import _vectors, _video
from vlagym.results.formats._held import sync_folder
from vlagym.results.formats._sidecar import in_memory
from vlagym.results.losses import ImageError, Loss, Losses, image_error

CONVERSIONS = "conversions"
"""Key of a dataset's provenance: a list with an entry for each conversion that it has been through, the first one first."""
_BEGUN = "conversion.json"


@dataclass(frozen=True, kw_only=True)
class ConversionOptions:
    """From what to what."""

    source: Path
    target: Path
    format: str
    """Name of the target's format."""
    source_format: str | None = None
    """None: the one that it has."""
    successes_only: bool = False
    """Whether demonstrations that failed are left out."""
    state: str | None = None
    """The state vector of formats that have one; None: that of the source, or `all` where that cannot be made of what was recorded elsewhere."""
    validation: float | None = None
    """Share of the demonstrations that are set apart for validation, in formats that have a place for that."""
    told: Mapping[str, Any] = field(default_factory=dict)
    """What else the provenance says of this conversion: the command, the versions of packages."""


class Converted(NamedTuple):
    """A demonstration that was stored."""

    digest: str
    num_bytes: int


class Conversion:
    """A dataset on its way into another format. Use it in a `with` statement; look at it all, then iterate."""

    def __init__(self, options: ConversionOptions) -> None:
        """Opens the source; nothing is written.

        Raises:
          NoDataset: If there is no source, or it was not finished.
          BadData: If the source is damaged, the target exists or lies in the source, or the format has no place for what is asked for.
          UnknownName: If no format, or no state vector, is called so.
        """
        self._options, target = options, options.target
        self.source_format = options.source_format or format_of(options.source)
        self.format = options.format
        self._staging = target.with_name(f"{target.name}.converting")
        self._staged = self._staging / target.name
        if target.exists():
            raise BadData(f"{target} exists already: nothing is written over. Remove it, or choose another name")
        if target.resolve().is_relative_to(options.source.resolve()):
            raise BadData(f"{target} lies in the dataset that is converted, {options.source}: choose another place")
        self._from, self._to = _load(self.source_format), _load(self.format)
        if options.validation is not None:
            _check_validation(options.validation, self.format, self._to)
        if options.state is not None:
            catalog.require(list(_vectors.STATES), options.state, "state vector")
        self._losses = Losses(self._to, self.format)
        self._keeps_films = self._from.images == self._to.images != "exact"
        """Whether images are copied as they are encoded; known after `look`."""
        self._error: ImageError | None = None
        self._others: list[Loss] = []
        self._chosen: list[int] = []
        self._is_looked_at = False
        self.num_before = 0
        """Demonstrations that an interrupted conversion had stored; known once the first one is stored."""
        self._reader: DatasetReader = open_dataset(options.source, self.source_format)

    @property
    def num_source(self) -> int:
        """Demonstrations of the source."""
        return len(self._reader)

    @property
    def total(self) -> int:
        """Demonstrations that are converted; known after `look`."""
        return len(self._chosen)

    @property
    def losses(self) -> list[Loss]:
        """What the target does not hold; known after `look`."""
        return [*self._others, *self._losses.told(self._from, self._error)]

    def look(self) -> Iterator[int]:
        """Yields the number of each demonstration of the source when it was looked at, and tries one of each kind in the other format.

        Raises:
          BadData: If a demonstration is damaged, or lacks what the format needs: it is named, and nothing was written.
          MissingPackage: If the format needs a package that is not installed.
        """
        kinds: dict[tuple[Any, ...], int] = {}
        seen: set[str] = set()
        info, failed, twice = self._reader.info, 0, 0
        self._chosen = []
        for index in range(len(self._reader)):
            demonstration = self._reader[index]
            check_demonstration(without_pictures(demonstration, info), info)
            if self._options.successes_only and not demonstration.is_success:
                failed += 1
            elif demonstration.digest in seen:
                twice += 1
            else:
                seen.add(demonstration.digest)
                self._chosen.append(index)
                self._losses.count(demonstration)
                self._keeps_films = self._keeps_films and _can_keep(demonstration, info)
                kinds.setdefault(_kind(demonstration), index)
            yield index
        if not self._chosen:
            raise BadData(f"{self._options.source} holds no demonstration that succeeded: there is nothing to convert")
        self._others = [Loss("demonstrations", f"{failed} of {len(self._reader)} failed, and are left out")] if failed else []
        if twice:
            self._others.append(Loss("demonstrations", f"{twice} of {len(self._reader)} are there twice, and are stored once"))
        self._info = self._losses.info(self._with_state(info, list(kinds.values())))
        self._rehearse(list(kinds.values()))
        self._info = dataclasses.replace(self._info, provenance=self._provenance(info))
        self._is_looked_at = True

    def __iter__(self) -> Iterator[Converted]:
        """Stores what is not stored yet, and gives the dataset its name after the last one.

        Raises:
          BadData: If a demonstration is damaged, the disk is full, or a conversion of something else was begun there. What was stored is kept in
            `<target>.converting`, and the next conversion goes on with it.
        """
        for _ in () if self._is_looked_at else self.look():
            pass
        self._begin()
        wanted = tuple(self._reader.digests[index] for index in self._chosen)
        if not self._is_whole(wanted):
            with self._to.write(self._staged, self._info) as writer:
                self.num_before = len(writer.digests)
                for index, digest in zip(self._chosen, wanted, strict=True):
                    if digest in writer.digests:
                        continue
                    part = self._to.store(self._staged, self._info, self._losses.left(self._loaded(index)))
                    num_bytes = _size(part.path)
                    writer.take(part)
                    yield Converted(digest, num_bytes)
        self._finish()

    def close(self) -> None:
        """Closes the source."""
        self._reader.close()

    def __enter__(self) -> Conversion:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _loaded(self, index: int) -> Demonstration:
        """Returns a demonstration in memory, whose films are known as they are encoded where they are to be kept so."""
        d = self._reader[index]
        loaded = in_memory(d)
        return dataclasses.replace(loaded, images=_video.Films(loaded.images, _video.clips_of(d.images))) if self._keeps_films else loaded

    # ------------------------------------------------------------------------------------------------------------------ before writing
    def _with_state(self, info: DatasetInfo, kinds: Sequence[int]) -> DatasetInfo:
        """Returns the information with a state vector that can be made of the demonstrations, where any can."""
        if self._options.state is not None:
            return dataclasses.replace(info, state=self._options.state)
        try:
            for index in kinds:
                _vectors.vector(self._reader[index], info.state)
        except BadData:
            if any(self._reader[index].spec is not None for index in kinds) or info.state == "all":
                return info  # whichever format needs it says what is missing
            self._others.append(Loss("state", f"no vector {info.state!r} can be made of what was recorded; formats that store one store 'all' of it"))
            return dataclasses.replace(info, state="all")
        return info

    def _rehearse(self, kinds: Sequence[int]) -> None:
        """Stores the first demonstration, and a step of each other kind, in a folder that is removed again."""
        with tempfile.TemporaryDirectory(prefix="vlagym-convert-") as folder:
            at = Path(folder) / self._options.target.name
            first = self._losses.left(self._loaded(kinds[0]))
            with self._to.write(at, self._info) as writer:
                writer.append(first)
                for index in kinds[1:]:
                    writer.append(self._losses.left(_one_step(self._reader[index], self._info)))
            if self._to.images != "exact" and not self._keeps_films:
                with self._to.open(at) as reader:
                    self._error = image_error(first.images, reader[0].images)

    def _provenance(self, info: DatasetInfo) -> dict[str, Any]:
        told = {"from": self.source_format, "to": self.format, "demonstrations": self.total, "lost": [list(loss) for loss in self.losses]}
        return {**info.provenance, CONVERSIONS: [*info.provenance.get(CONVERSIONS, ()), {**told, **self._options.told}]}

    # ------------------------------------------------------------------------------------------------------------------------- writing
    def _begin(self) -> None:
        """Makes the folder of the conversion, or finds it.

        Raises:
          BadData: If another conversion was begun in it.
        """
        digests = [self._reader.digests[index] for index in self._chosen]
        without_provenance = dataclasses.replace(self._info, provenance={})
        info = sha(canonical_json(to_plain(without_provenance)).encode())
        mine = {"format": self.format, "info": info, "digests": sha("\n".join(digests).encode())}
        at = self._staging / _BEGUN
        if not at.exists():
            self._staging.mkdir(parents=True, exist_ok=True)
            writing = at.with_suffix(".new")
            writing.write_text(json.dumps(mine), encoding="utf-8")
            writing.replace(at)
        elif json.loads(at.read_bytes()) != mine:
            raise BadData(f"{self._staging} holds a conversion of another dataset, or with other options: go on with that one, or remove the folder")

    def _is_whole(self, wanted: tuple[str, ...]) -> bool:
        """Returns whether a kill came after the dataset was finished, and before it had its name."""
        if not self._staged.exists() or self._staged.with_name(f"{self._staged.name}.parts").exists():
            return False
        with self._to.open(self._staged) as reader:
            return reader.digests == wanted

    def _finish(self) -> None:
        if self._options.validation is not None and self._to.divide is not None:
            self._to.divide(self._staged, self._options.validation)
        if self._options.target.exists():
            raise BadData(f"{self._options.target} was made by somebody else in the meantime; the converted dataset is kept at {self._staged}")
        self._staged.rename(self._options.target)
        sync_folder(self._options.target.parent)
        shutil.rmtree(self._staging)


def _load(name: str) -> Format:
    found: Format = catalog.load("format", name)
    return found


def _check_validation(share: float, name: str, target: Format) -> None:
    if target.divide is None:
        able = ", ".join(known for known in catalog.names("format") if _load(known).divide is not None)
        raise BadData(f"the format {name} has no place for which demonstrations are for validation; {able} has")
    if not 0.0 < share < 1.0:
        raise BadData(f"the share of demonstrations for validation is {share:g}; it must lie between 0 and 1")


def _one_step(demonstration: Demonstration, info: DatasetInfo) -> Demonstration:
    """Returns the first step of a demonstration, with black images: a format refuses it where it would refuse the whole."""
    d = demonstration

    def first(arrays: Mapping[str, Any]) -> dict[str, Any]:
        return {name: array[:1] for name, array in arrays.items()}

    short = dataclasses.replace(
        d,
        actions=d.actions[:1],
        executed_actions=d.executed_actions[:1],
        image_steps=d.image_steps[:1],
        proprio=first(d.proprio),
        privileged=first(d.privileged),
        commands=first(d.commands),
        stages=d.stages[:1],
        timestamps_s=None if d.timestamps_s is None else d.timestamps_s[:1],
    )
    return without_pictures(short, info)


def _can_keep(demonstration: Demonstration, info: DatasetInfo) -> bool:
    """Returns whether the images of every camera are encoded as they would be again."""
    clips, fps = _video.clips_of(demonstration.images), info.action.rate_hz
    return all(camera in clips and _video.can_copy(clips[camera], how.shape, round(fps)) for camera, how in info.images.items())


def _kind(d: Demonstration) -> tuple[Any, ...]:
    """Returns what formats go by when they refuse a demonstration: its arrays, their widths, and whose they are."""
    arrays = [(group, name, a.shape[1:], a.dtype.str) for group in ("proprio", "commands") for name, a in sorted(getattr(d, group).items())]
    return (d.spec is None, "" if d.spec is None else d.spec.robot, *arrays)


def _size(path: Path) -> int:
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) if path.is_dir() else path.stat().st_size

