"""Demonstrations on their way into a dataset file: a small file each, beside it, until all of them are joined.

HDF5 keeps its index in memory while a file is open, and a kill can leave a file that nobody can open again. A dataset is therefore never changed
where it lies. `demos.hdf5.parts/` holds one closed file for each new demonstration; once the writer is closed, and not before, joining copies the
dataset and its parts into a new file that takes the dataset's name in one step. Wherever a kill comes, what was stored is in one of the two, and what
stands under the dataset's name is whole.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from vlagym.envs.errors import BadData
from vlagym.results.demonstration import DatasetInfo, Demonstration
from vlagym.results.formats import _libero, _libero_demo, _masks
from vlagym.results.formats._file import demo_names, image, open_file, reading
from vlagym.results.formats._held import hold

_SPARE_BYTES = 1 << 20
"""What joining may need beyond the sizes of what is joined: for the file's own index."""


class Parts:
    """The folder of a dataset's parts, held against every other process until it is closed."""

    def __init__(self, path: Path) -> None:
        """Takes the folder, and makes it where there is none.

        Raises:
          BadData: If another process holds it.
        """
        self._path, self._folder = path, folder_of(path)
        self._descriptor = hold(path, self._folder, "file")
        waiting = self.files
        self._next = int(waiting[-1].stem) + 1 if waiting else 0

    @property
    def files(self) -> list[Path]:
        """The parts that wait to be joined, in order; each is a dataset of one demonstration."""
        return files_of(self._path)

    def forget(self, part: Path) -> None:
        """Removes a part whose demonstration the dataset holds already: a kill came after they were joined."""
        part.unlink()

    def take(self, waiting: Path) -> None:
        """Gives a part that was written its place among the others."""
        waiting.replace(self._folder / f"{self._next:06d}.hdf5")
        self._next += 1

    def join(self) -> None:
        """Moves all parts into the dataset; where there are none, nothing happens.

        Raises:
          BadData: If a part or the dataset is damaged, or the disk is full.
        """
        parts = self.files
        if not parts:
            return
        sources = [p for p in (self._path,) if p.exists()] + parts
        joining = self._folder / "joining"
        _check_room(sources, self._folder)
        try:
            with open_file(joining, "w") as file:
                data = file.create_group("data")
                digests: set[str] = set()
                for source in sources:
                    _copy(source, file, digests)
                _count(data)
                if _masks.SHARE in data.attrs:
                    _masks.put_masks(file)
            _replace(joining, self._path)
        except (OSError, RuntimeError) as error:
            raise BadData(f"the parts of {self._path} could not be joined: {error}. They are kept in {self._folder}") from error
        for part in parts:
            part.unlink()
        self._next = 0

    def rewrite(self, change: Callable[[Any], None]) -> None:
        """Changes the dataset as a whole: in a copy, which takes its name in one step.

        Args:
          change: Is given the open copy.

        Raises:
          BadData: If the dataset is damaged, or the disk is full; it is then as it was.
        """
        joining = self._folder / "joining"
        _check_room([self._path], self._folder)
        try:
            shutil.copyfile(self._path, joining)
            with open_file(joining, "r+") as file, reading(str(self._path)):
                change(file)
            _replace(joining, self._path)
        except (OSError, RuntimeError) as error:
            raise BadData(f"{self._path} could not be changed: {error}. It is as it was") from error
        finally:
            joining.unlink(missing_ok=True)

    def close(self) -> None:
        """Lets go of the folder, and removes it if no part is left in it. Harmless when it was closed before."""
        if self._descriptor < 0:
            return
        if not self.files:
            shutil.rmtree(self._folder)
        os.close(self._descriptor)
        self._descriptor = -1


def write_part(path: Path, demonstration: Demonstration, info: DatasetInfo) -> Path:
    """Writes a demonstration into a file of its own beside a dataset, in any process; when this returns it is on the disk, and waits to be taken.

    Raises:
      BadData: If the disk is full, or the folder cannot be written; nothing half-written stays.
    """
    folder = folder_of(path)
    waiting = folder / f"{demonstration.digest}.waiting"
    writing = waiting.with_suffix(f".{os.getpid()}")

    def fill(file: Any) -> None:
        data = file.create_group("data")
        data.attrs.update(_libero.info_attributes(info))
        group = data.create_group("demo_0")
        _libero_demo.write_demo(group, demonstration, info)
        group.attrs["complete"] = True

    pixels = sum(array.nbytes for array in demonstration.images.values()) + sum(array.nbytes for array in demonstration.depth.values())
    made = image(fill, pixels + _SPARE_BYTES)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        writing.write_bytes(made)
        _replace(writing, waiting)
    except OSError as error:
        writing.unlink(missing_ok=True)
        raise BadData(f"demonstration {demonstration.digest} cannot be stored in {folder}: {error}") from error
    return waiting


def folder_of(path: Path) -> Path:
    """Returns where the parts of a dataset lie."""
    return path.with_name(path.name + ".parts")


def files_of(path: Path) -> list[Path]:
    """Returns the parts that wait beside a dataset, in order."""
    return sorted(folder_of(path).glob("*.hdf5"))


def check_idle(path: Path) -> None:
    """Raises BadData if another process is writing the dataset."""
    if folder_of(path).is_dir():
        Parts(path).close()


def _copy(source: Path, target: Any, digests: set[str]) -> None:
    """Copies the whole demonstrations of a file to the end of another, except those that it holds already."""
    with open_file(source, "r") as file, reading(str(source)):
        data = file["data"]
        if not _libero.is_ours(data):
            raise BadData(f"{source} was not written by vlagym, and is not extended. Write to another file")
        if not digests and not len(target["data"].attrs):
            target["data"].attrs.update(dict(data.attrs))
        for name in demo_names(data):
            digest = str(data[name].attrs["digest"])
            if digest not in digests:
                file.copy(data[name], target["data"], name=f"demo_{len(digests)}")
                digests.add(digest)


def _count(data: Any) -> None:
    """Writes what the file says of its number of demonstrations."""
    demos = [data[name] for name in demo_names(data)]
    sentences = {str(d.attrs["language_instruction"]) for d in demos}
    sentence = sentences.pop() if len(sentences) == 1 else ""
    data.attrs["total"] = sum(int(d.attrs["num_samples"]) for d in demos)
    data.attrs["num_demos"] = len(demos)
    data.attrs["vlagym_schema"] = _libero.SCHEMA  # what was written in a version before is read as part of this one
    data.attrs["problem_info"] = json.dumps({"problem_name": "vlagym", "domain_name": "vlagym", "language_instruction": sentence})


def _check_room(sources: Sequence[Path], folder: Path) -> None:
    """Raises BadData unless a file as large as all sources together can be written beside them: HDF5 does not survive a full disk."""
    wanted, free = sum(source.stat().st_size for source in sources), shutil.disk_usage(folder).free
    if wanted + _SPARE_BYTES > free:
        raise BadData(
            f"the demonstrations of {folder.name.removesuffix('.parts')} need {wanted / 1e6:,.0f} MB to be joined, and the disk has "
            f"{free / 1e6:,.0f} MB left. Make room and give the command again; they are kept in {folder}"
        )


def _replace(written: Path, path: Path) -> None:
    """Gives a closed file its name, once all of it is on the disk."""
    with written.open("rb") as file:
        os.fsync(file.fileno())
    written.replace(path)
