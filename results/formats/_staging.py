"""Demonstrations on their way into a folder dataset: a folder each, beside it, until all of them are built into it in one step.

    <dataset>.parts/info.json       what holds for all of them
                    taken.jsonl     the digests of those that were taken, in order; a line is on the disk before `take` returns
                    <digest>/       what `store_part` wrote of each
                    building/       the dataset, while `finish` makes it
                    finishing       which folder `building` is, once it is whole: a kill may come before or after it has its name

`store_part` runs in any process and needs no lock; one writer holds the lock on the folder. What was stored and not taken is cleared away.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from vlagym.envs.errors import BadData
from vlagym.envs.types import canonical_json, from_plain, to_plain
from vlagym.results.demonstration import DatasetInfo, Demonstration
from vlagym.results.format import NoDataset, Part
from vlagym.results.formats._digests import Digests
from vlagym.results.formats._held import hold, sync_folder

Build = Callable[[Path, DatasetInfo, Sequence[Part]], None]
"""Makes a dataset in an empty folder from its parts, which it leaves as they are (`adopt`)."""
Store = Callable[[Path, DatasetInfo, Demonstration], Part]

_NOT_COMPARED = ("provenance",)


class Staging:
    """The folder of a dataset's parts, held against every other process until it is finished or left."""

    def __init__(self, path: Path, info: DatasetInfo) -> None:
        """Begins, or goes on where a writer was left or killed.

        Args:
          path: Of the dataset, which does not exist yet.
          info: Of its demonstrations; that of an earlier writer must be equal to it, but for the provenance.

        Raises:
          BadData: If the dataset is whole already, something else lies there, another process writes it, it was begun with other information, its
            parts are damaged, or the folder cannot be made.
        """
        self._path, self._folder = path, folder_of(path)
        self._descriptor = hold(path, self._folder, "folder")
        self._journal: BinaryIO | None = None
        try:
            self._clear_what_was_finished()
            if path.exists():
                if not taken(path):
                    shutil.rmtree(self._folder)
                raise BadData(f"{path} exists already: a folder of demonstrations that is whole is not extended. Remove it, or choose another folder")
            self._info = self._same(info)
            self._parts = {digest: Part(digest, self._folder / digest) for digest in taken(path)}
            self._digests = Digests(self._parts)
            lost = [part.digest for part in self._parts.values() if not part.path.is_dir()]
            if lost:
                raise BadData(f"{self._folder} lacks {len(lost)} of the demonstrations that it lists, {lost[0]} first. Remove it and collect again")
            self._clear_what_was_not_taken()
            self._journal = _open_journal(self._folder / _JOURNAL)
        except BaseException as error:
            self._let_go()
            if isinstance(error, OSError):
                raise BadData(f"{self._folder} cannot be written: {error}") from error
            raise

    @property
    def info(self) -> DatasetInfo:
        """What holds for every demonstration, with the provenance of the first writer."""
        return self._info

    @property
    def parts(self) -> tuple[Part, ...]:
        """The demonstrations that were taken, in order."""
        return tuple(self._parts.values())

    @property
    def digests(self) -> Digests:
        """Their digests, in order."""
        return self._digests

    def take(self, part: Part) -> None:
        """Lists a demonstration that `store_part` has written; when this returns, a kill no longer loses it.

        Raises:
          BadData: If it is listed already, or the disk is full.
        """
        if self._journal is None:
            raise BadData(f"the writer of {self._path} was closed; demonstration {part.digest} comes too late")
        if part.digest in self._parts:
            raise BadData(f"{self._path} holds the demonstration {part.digest} already")
        try:
            at = self._folder / part.digest
            part.path.replace(at)
            sync_folder(self._folder)
            self._journal.write(canonical_json({"digest": part.digest}).encode() + b"\n")
            self._journal.flush()
            os.fsync(self._journal.fileno())
        except OSError as error:
            raise BadData(f"the demonstration {part.digest} cannot be listed in {self._folder}: {error}") from error
        self._parts[part.digest] = Part(part.digest, at)
        self._digests.add(part.digest)

    def finish(self, build: Build) -> None:
        """Makes the dataset of what was taken, gives it its name and removes the parts. Without any demonstration there is no dataset.

        Raises:
          BadData: If it cannot be built, or the disk is full; the parts are kept, and the next writer goes on with them.
        """
        if self._descriptor < 0:
            return
        building = self._folder / _BUILDING
        try:
            if self._parts:
                _remove(building)
                building.mkdir()
                build(building, self._info, self.parts)
                sync_tree(building)
                _write(self._folder / _FINISHING, str(building.stat().st_ino).encode())
                if self._path.exists():
                    raise BadData(f"{self._path} was made by somebody else in the meantime: move it away. The parts are kept in {self._folder}")
                building.rename(self._path)
                sync_folder(self._path.parent)
            (self._folder / _JOURNAL).unlink(missing_ok=True)  # first: without it the rest is rubbish, wherever a kill comes
            shutil.rmtree(self._folder)
        except OSError as error:
            raise BadData(f"{self._path} could not be finished: {error}. Its {len(self._parts)} demonstrations are kept in {self._folder}") from error
        finally:
            self._let_go()

    def leave(self) -> None:
        """Lets go of the folder. What was taken is kept for the next writer; a folder without a demonstration is removed. Harmless twice."""
        if self._descriptor < 0:
            return
        if not self._parts:
            shutil.rmtree(self._folder)
        self._let_go()

    def _let_go(self) -> None:
        if self._journal is not None:
            self._journal.close()
            self._journal = None
        os.close(self._descriptor)
        self._descriptor = -1

    def _same(self, info: DatasetInfo) -> DatasetInfo:
        """Returns the information that the folder was begun with, which is put down if there is none, or nothing was taken under it."""
        at = self._folder / _INFO
        if not at.exists() or not taken(self._path):
            _write(at, canonical_json(to_plain(info)).encode())
            return info
        before = _read_info(at)
        check_same(self._path, before, info)
        return before

    def _clear_what_was_finished(self) -> None:
        """Empties the folder if a kill came between the naming of the dataset and the removal of its parts."""
        finishing = self._folder / _FINISHING
        if finishing.exists() and self._path.exists() and finishing.read_text() == str(self._path.stat().st_ino):
            for entry in self._folder.iterdir():
                _remove(entry)

    def _clear_what_was_not_taken(self) -> None:
        kept = {_INFO, _JOURNAL, *self._parts}
        for entry in self._folder.iterdir():
            if entry.name not in kept:
                _remove(entry)


class FolderWriter:
    """A writer of a folder dataset. Use it in a `with` statement: left by an exception it keeps what was taken, for the next writer to go on with."""

    def __init__(self, path: Path, info: DatasetInfo, *, store: Store, build: Build) -> None:
        """Begins, or goes on.

        Args:
          path: Of the dataset.
          info: Of its demonstrations.
          store: Of the format.
          build: Makes the dataset of its parts.

        Raises:
          BadData: As `Staging`.
        """
        self._path, self._store, self._build = path, store, build
        self._staging = Staging(path, info)

    @property
    def digests(self) -> Digests:
        """Digests of the demonstrations that are stored whole, in order."""
        return self._staging.digests

    def append(self, demonstration: Demonstration) -> None:
        """Stores one demonstration.

        Raises:
          BadData: If it does not fit the dataset or the format, or is stored already.
        """
        if demonstration.digest in self.digests:
            raise BadData(f"{self._path} holds the demonstration {demonstration.digest} already")
        self.take(self._store(self._path, self._staging.info, demonstration))

    def take(self, part: Part) -> None:
        """Lists what the format's `store` has written, in whichever process.

        Raises:
          BadData: If it is stored already, or the disk is full.
        """
        self._staging.take(part)

    def close(self) -> None:
        """Makes the dataset whole and gives it its name; without any demonstration there is none. Harmless when it was closed before.

        Raises:
          BadData: If the disk is full, or a part is damaged; what was taken is kept beside, and the next writer goes on with it.
        """
        self._staging.finish(self._build)

    def __enter__(self) -> FolderWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is None:
            self.close()
        else:
            self._staging.leave()


def store_part(path: Path, digest: str, write: Callable[[Path], None]) -> Part:
    """Writes the part of one demonstration beside a dataset; when this returns it is on the disk, and waits to be taken.

    Args:
      path: Of the dataset.
      digest: Of the demonstration.
      write: Is given an empty folder, and fills it.

    Raises:
      BadData: If the disk is full, or the folder cannot be written; nothing half-written stays.
    """
    folder = folder_of(path)
    waiting, writing = folder / f"{digest}.waiting", folder / f"{digest}.{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _remove(writing)
        writing.mkdir()
        try:
            write(writing)
            sync_tree(writing)
            _remove(waiting)
            writing.rename(waiting)
        finally:
            _remove(writing)
    except OSError as error:
        raise BadData(f"the demonstration {digest} cannot be stored in {folder}: {error}") from error
    return Part(digest, waiting)


def no_dataset(path: Path, what: str = "") -> NoDataset:
    """Returns the error for a dataset that is not there, and says where it was left unfinished.

    Args:
      path: Where it was looked for.
      what: What was looked for in it, where the folder is there: "meta/info.json".
    """
    if not path.exists() and (waiting := taken(path)):
        where = folder_of(path).name
        return NoDataset(f"the dataset at {path} was not finished: {len(waiting)} demonstrations wait in {where}. Repeat the command that began it")
    lacks = f" ({path} has no {what})" if what and path.exists() else ""
    return NoDataset(f"there is no dataset at {path}{lacks}. Make one with vlagym demo")


def taken(path: Path) -> tuple[str, ...]:
    """Returns the digests of the demonstrations that wait beside a dataset that was not finished, in order.

    Raises:
      BadData: If their list is damaged; a line that a kill cut off does not count.
    """
    at = folder_of(path) / _JOURNAL
    if not at.exists():
        return ()
    data = at.read_bytes()
    try:
        return tuple(str(json.loads(line)["digest"]) for line in data[: data.rfind(b"\n") + 1].splitlines())
    except (ValueError, KeyError, TypeError) as error:
        raise BadData(f"{at} is damaged: {error}. Remove {at.parent} and collect its demonstrations again") from error


def check_same(path: Path, stored: DatasetInfo, wanted: DatasetInfo) -> None:
    """Raises BadData, naming the difference, unless a dataset with the information `stored` may hold demonstrations of `wanted`."""
    before, now = to_plain(stored), to_plain(wanted)
    for name in before:
        if name not in _NOT_COMPARED and before[name] != now[name]:
            was, is_now = canonical_json(before[name]), canonical_json(now[name])
            raise BadData(f"{path} was made with {name} {was} and cannot be extended with {is_now}. Choose another folder")


def folder_of(path: Path) -> Path:
    """Returns where the parts of a dataset lie."""
    return path.with_name(path.name + ".parts")


def adopt(source: Path, target: Path) -> None:
    """Puts a file of a part into the dataset without copying its bytes, where the file system can; the part stays as it is."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:  # no links here; a full disk is met again by the copy
        shutil.copyfile(source, target)


def sync_tree(folder: Path) -> None:
    """Returns when all files of a folder are on the disk.

    All are begun before the first is waited for: the seven files of a demonstration of LeRobot then take 13 ms in place of 23 (medians, ext4).
    """
    tree = list(os.walk(folder))
    files = [os.path.join(parent, name) for parent, _, names in tree for name in names]
    for file in files if hasattr(os, "posix_fadvise") else ():
        with _opened(file) as descriptor:
            # Pages that were not written yet are not dropped: the system begins to write them.
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    for file in files:
        with _opened(file) as descriptor:
            os.fsync(descriptor)
    for parent, _, _ in tree:
        sync_folder(Path(parent))


@contextlib.contextmanager
def _opened(file: str) -> Iterator[int]:
    descriptor = os.open(file, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


_INFO, _JOURNAL, _BUILDING, _FINISHING = "info.json", "taken.jsonl", "building", "finishing"


def _open_journal(at: Path) -> BinaryIO:
    """Opens the list for further lines, without what a kill left of the last one."""
    file = at.open("ab")
    data = at.read_bytes()
    file.truncate(data.rfind(b"\n") + 1)
    return file


def _read_info(at: Path) -> DatasetInfo:
    try:
        plain = json.loads(at.read_bytes())
    except ValueError as error:
        raise BadData(f"{at} is damaged: {error}. Remove {at.parent} and collect its demonstrations again") from error
    return from_plain(DatasetInfo, plain, str(at))


def _write(at: Path, data: bytes) -> None:
    """Writes a small file in one step."""
    beside = at.with_name(f"{at.name}.{os.getpid()}")
    beside.write_bytes(data)
    with beside.open("rb") as file:
        os.fsync(file.fileno())
    beside.replace(at)
    sync_folder(at.parent)


def _remove(entry: Path) -> None:
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry)
    else:
        entry.unlink(missing_ok=True)
