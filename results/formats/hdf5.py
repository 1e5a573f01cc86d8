"""HDF5 in the layout of robomimic and LIBERO: one file, a group `data/demo_<i>` for each demonstration.

What their readers find: data (attributes total, env_args, problem_info, num_demos, tag, macros_image_convention) and in each demo actions, rewards,
dones, states, robot_states, obs/{joint_states, ee_pos, ee_ori, ee_states, gripper_states, agentview_rgb (our `front`), eye_in_hand_rgb (our `wrist`),
<camera>_rgb, agentview_depth and so on (uint16, mm)}; `write_masks` adds mask/train and mask/valid.

Besides, obs holds every array of proprioception under our name for it, commands the motion in other conventions, privileged what no policy may see,
timestamps the seconds of a recording in real time, and executed_actions what was sent to the robot where noise was added to the label; attributes of
the demo hold its spec, certificate, stages, paraphrases and what else is said, as JSON. What differs from files of LIBERO's own, and is said in
attributes of `data`:
  images are upright, RGB, row 0 on top (macros_image_convention "opencv"): they must not be flipped or turned;
  row t holds what was seen before action t;
  one file may hold many sentences: each demo has the attribute language_instruction;
  positions are in the frame of the robot's base (ee_frame);
  `states` is no MuJoCo state: states_layout names its parts; an episode is repeated from the attribute spec and executed_actions;
  with frame_stride k > 1 the images have one row for each k-th step, and obs_index says which: only readers that know it can use them;
  there is no next_obs, which would double the file: ask robomimic for none (hdf5_use_swmr False, load_next_obs False).
A demo whose attribute `complete` is missing was cut off by a kill; it is not read, and is removed when the file is next extended.

Files that others wrote in the layout of LIBERO or robomimic are read as well: see `_libero_others`. They are not extended.

While demonstrations are being collected they lie beside the file, one each, in `<name>.hdf5.parts/`; they are joined when the writer is closed. Where
it was killed, or left by an error, they wait there for the next one; a file that was whole before stays as it is until then.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from vlagym.envs.errors import BadData
from vlagym.results.demonstration import DatasetInfo, Demonstration, check_demonstration
from vlagym.results.format import Format, NoDataset, Part
from vlagym.results.formats import _libero, _masks
from vlagym.results.formats._digests import Digests
from vlagym.results.formats._file import demo_names, open_file, reading
from vlagym.results.formats._libero_demo import read_demo
from vlagym.results.formats._libero_others import Others
from vlagym.results.formats._libero_view import View
from vlagym.results.formats._parts import Parts, check_idle, files_of, folder_of, write_part
from vlagym.results.formats._signs import is_hdf5


# -------------------------------------------------------------------------------------------------------------------------- writing
class Writer:
    """Appends demonstrations to a dataset. Each is on the disk when `append` returns, and in the file when the writer is closed."""

    def __init__(self, path: Path, info: DatasetInfo) -> None:
        """Begins a dataset, extends one that is whole, or goes on where a writer was left or killed.

        Raises:
          BadData: If the file is no dataset, is damaged, is open elsewhere, or was made with other information.
        """
        _libero.check_info(info)
        self.path = path
        self._info = info
        self._digests = Digests()
        self._parts = Parts(path)
        try:
            if path.exists():
                self._go_on_with(path)
            for part in self._parts.files:
                if self._go_on_with(part) == 0:
                    self._parts.forget(part)
        except BaseException:
            self._parts.close()
            raise
        self._is_open = True

    def _go_on_with(self, stored: Path) -> int:
        """Counts the demonstrations of a file in, and returns how many of them are new."""
        with Reader(stored) as before:
            if not before.is_ours:
                raise BadData(f"{stored} was not written by vlagym, and is not extended. Write to another file")
            _libero.check_same(str(self.path), before.info, self._info)
            found = [digest for digest in before.digests if digest not in self._digests]
        for digest in found:
            self._digests.add(digest)
        return len(found)

    @property
    def digests(self) -> Digests:
        """Digests of the demonstrations that are stored whole, in order."""
        return self._digests

    def append(self, demonstration: Demonstration) -> None:
        """Stores one demonstration.

        Raises:
          BadData: If it does not fit the dataset, is stored already, or lacks proprioception that the layout needs.
        """
        if demonstration.digest in self._digests:
            raise BadData(f"{self.path} holds the demonstration {demonstration.digest} already")
        self.take(store(self.path, self._info, demonstration))

    def take(self, part: Part) -> None:
        """Lists a demonstration that `store` has written.

        Raises:
          BadData: If it is stored already.
        """
        if part.digest in self._digests:
            raise BadData(f"{self.path} holds the demonstration {part.digest} already")
        self._parts.take(part.path)
        self._digests.add(part.digest)

    def close(self) -> None:
        """Puts everything into the one file. Harmless when it was closed before.

        Raises:
          BadData: If the disk is full; what was stored is kept beside the file, for the next writer to go on with.
        """
        if not self._is_open:
            return
        self._is_open = False
        try:
            self._parts.join()  # without a demonstration there is no dataset
        finally:
            self._parts.close()

    def leave(self) -> None:
        """Lets go of the dataset, which stays as it was. What was stored is kept for the next writer. Harmless when it was closed before."""
        self._is_open = False
        self._parts.close()

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is None:
            self.close()
        else:
            self.leave()


def store(path: Path, info: DatasetInfo, demonstration: Demonstration) -> Part:
    """Writes a demonstration whole beside the dataset at `path`, for its writer to take.

    Raises:
      BadData: If it does not fit the dataset, or lacks proprioception that the layout needs.
    """
    check_demonstration(demonstration, info)
    _libero.check_proprio(demonstration)
    return Part(demonstration.digest, write_part(path, demonstration, info))


# -------------------------------------------------------------------------------------------------------------------------- reading
class Reader:
    """Reads demonstrations by their number; images come from the disk when they are looked at, and then the file must still be open."""

    def __init__(self, path: Path) -> None:
        """Opens the file for reading. What a killed writer left beside it is no part of it until the next one is closed.

        Args:
          path: The file.

        Raises:
          NoDataset: If there is none, or it was not finished.
          BadData: If it is damaged, no dataset of ours, of another schema, or being written for the first time.
        """
        if not path.is_file():
            raise _no_dataset(path)
        self.path = path
        self._file = open_file(path, "r")
        try:
            with reading(str(path)):
                if "data" not in self._file or not hasattr(self._file["data"], "keys"):
                    raise BadData(f"{path} has no group 'data': it is no robomimic dataset")
                data = self._file["data"]
                if _libero.is_ours(data):
                    info = _libero.read_info(data, str(path))
                    self._info = info
                    self._names = demo_names(data)
                    _check_count(data, path)
                    self._digests = tuple(str(data[n].attrs["digest"]) for n in self._names)
                    self._make: Callable[[Any, str], Demonstration] = lambda group, where: read_demo(group, info, where)
                else:
                    others = Others(data, path)
                    self._info, self._names, self._digests, self._make = others.info, others.names, others.digests, others.demonstration
        except BaseException:
            self._file.close()
            raise

    @property
    def is_ours(self) -> bool:
        """Whether vlagym wrote it."""
        return _libero.is_ours(self._file["data"])

    @property
    def info(self) -> DatasetInfo:
        """What holds for every demonstration."""
        return self._info

    @property
    def digests(self) -> tuple[str, ...]:
        """One a demonstration, in order."""
        return self._digests

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, index: int) -> Demonstration:
        """Returns a demonstration.

        Raises:
          IndexError: If there is none of this number.
          BadData: If it does not hold what the layout asks for.
        """
        name = self._names[index]
        with reading(f"{self.path} {name}"):
            group = self._file["data"][name]
        return self._make(group, f"{self.path} {name}")

    def close(self) -> None:
        """Closes the file. Harmless when it was closed before."""
        if self._file:
            self._file.close()

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def _no_dataset(path: Path) -> NoDataset:
    check_idle(path)
    if waiting := len(files_of(path)):
        where = folder_of(path).name
        return NoDataset(f"the dataset at {path} was not finished: {waiting} demonstrations wait in {where}. Repeat the command that began it")
    return NoDataset(f"there is no dataset at {path}. Make one with vlagym demo")


def _check_count(data: Any, path: Path) -> None:
    """Raises BadData if demonstrations were removed from a file of ours: it says how many groups it had when it was written."""
    told, there = int(data.attrs.get("num_demos", 0)), len(data)
    if there < told:
        raise BadData(f"{path} says that it holds {told} demonstrations, and there are {there}: it was changed")


def read(path: Path) -> Iterator[Demonstration]:
    """Yields the demonstrations of a file, one after the other, each fully in memory.

    Raises:
      BadData: As `Reader`.
    """
    with Reader(path) as reader:
        for index in range(len(reader)):
            demonstration = reader[index]
            yield dataclasses.replace(demonstration, images=dict(demonstration.images), depth=dict(demonstration.depth))


# --------------------------------------------------------------------------------------------------------------------- validation
def write_masks(path: Path, valid_share: float) -> tuple[int, int]:
    """Divides the demonstrations of a file into those for training and those for validation.

    It goes by their digests: the same demonstration falls on the same side in every file, and stays there when the file is extended.

    Args:
      path: Of a file that vlagym wrote.
      valid_share: Of the demonstrations that are for validation, above 0 and below 1; in the mean, but at least one on each side.

    Returns:
      How many are for training, and how many for validation.

    Raises:
      NoDataset: If there is no file.
      BadData: If the share is none, the file has fewer than two demonstrations that vlagym wrote, or another process holds it.
    """
    if not 0.0 < valid_share < 1.0:
        raise BadData(f"the share of demonstrations for validation is {valid_share:g}; it must lie between 0 and 1")
    if not path.is_file():
        raise _no_dataset(path)
    counts = (0, 0)

    def change(file: Any) -> None:
        nonlocal counts
        file["data"].attrs[_masks.SHARE] = valid_share
        counts = _masks.put_masks(file)

    parts = Parts(path)
    try:
        parts.rewrite(change)
    finally:
        parts.close()
    return counts


FORMAT = Format(
    suffix=".hdf5",
    write=Writer,
    open=Reader,
    read=read,
    store=store,
    recognises=is_hdf5,
    view=View,
    divide=write_masks,
)
