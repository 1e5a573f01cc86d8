"""HDF5 in the layout of robomimic and LIBERO: one file, a group `data/demo_<i>` for each demonstration.

What their readers find: data (attributes total, env_args, problem_info, num_demos, tag, macros_image_convention) and in each demo actions, rewards,
dones, states, robot_states, obs/{joint_states, ee_pos, ee_ori, ee_states, gripper_states, agentview_rgb (our `front`), eye_in_hand_rgb (our `wrist`),
<camera>_rgb}.

Besides, obs holds every array of proprioception under our name for it, privileged what no policy may see, and executed_actions what was sent to
the robot where noise was added to the label. What differs from files of LIBERO's own, and is said in attributes of `data`:
  images are upright, RGB, row 0 on top (macros_image_convention "opencv"): they must not be flipped or turned;
  row t holds what was seen before action t;
  one file may hold many sentences: each demo has the attribute language_instruction;
  positions are in the frame of the robot's base (ee_frame);
  `states` is no MuJoCo state: states_layout names its parts; an episode is repeated from the attribute spec and executed_actions;
  with frame_stride k > 1 the images have one row for each k-th step, and obs_index says which: only readers that know it can use them.
A demo whose attribute `complete` is missing was cut off by a kill; it is not read, and is removed when the file is next extended.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.errors import BadData, MissingPackage, VlagymError
from vlagym.envs.types import EpisodeSpec
from vlagym.results.demonstration import DatasetInfo, Demonstration, check_demonstration
from vlagym.results.format import Format
from vlagym.results.formats import _libero


# -------------------------------------------------------------------------------------------------------------------------- writing
class Writer:
    """Appends demonstrations to one file; each is on disk when `append` returns."""

    def __init__(self, path: Path, info: DatasetInfo) -> None:
        """Creates the file, or opens it to go on where it was left.

        Raises:
          BadData: If the file is no dataset, is damaged, is open elsewhere, or was made with other information.
        """
        _libero.check_info(info)
        self.path = path
        self._info = info
        exists = path.exists()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = _open(path, "r+" if exists else "w")
        try:
            if exists and "data" in self._file:
                self._continue()
            else:
                self._begin()
        except BaseException:
            self._file.close()
            raise

    @property
    def digests(self) -> tuple[str, ...]:
        """Digests of the demonstrations that are stored whole, in order."""
        return tuple(self._digests)

    def append(self, demonstration: Demonstration) -> None:
        """Stores one demonstration.

        Raises:
          BadData: If it does not fit the dataset, is stored already, or lacks proprioception that the layout needs.
        """
        check_demonstration(demonstration, self._info)
        if demonstration.digest in self._digests:
            raise BadData(f"{self.path} holds the demonstration {demonstration.digest} already")
        _libero.check_proprio(demonstration)
        group = self._file["data"].create_group(f"demo_{len(self._digests)}")
        _libero.write_demo(group, demonstration)
        self._file.flush()
        group.attrs["complete"] = True
        self._digests.append(demonstration.digest)
        self._sentences.add(demonstration.instruction)
        self._total += demonstration.num_steps
        self._count()
        self._file.flush()

    def close(self) -> None:
        """Closes the file. Harmless when it was closed before."""
        if self._file:
            self._file.close()

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _begin(self) -> None:
        data = self._file.create_group("data")
        for name, value in _libero.info_attributes(self._info).items():
            data.attrs[name] = value
        self._digests: list[str] = []
        self._sentences: set[str] = set()
        self._total = 0
        self._count()
        self._file.flush()

    def _continue(self) -> None:
        data = self._file["data"]
        _libero.check_same(str(self.path), _libero.read_info(data, str(self.path)), self._info)
        for name in [n for n in data if not data[n].attrs.get("complete", False)]:
            del data[name]
        names = _demo_names(data)
        for index, name in enumerate(names):
            if name != f"demo_{index}":
                data.move(name, f"demo_{index}")
        demos = [data[f"demo_{i}"] for i in range(len(names))]
        self._digests = [str(d.attrs["digest"]) for d in demos]
        self._sentences = {str(d.attrs["language_instruction"]) for d in demos}
        self._total = sum(int(d.attrs["num_samples"]) for d in demos)
        self._count()
        self._file.flush()

    def _count(self) -> None:
        """Writes what the file says of its number of demonstrations."""
        data = self._file["data"]
        data.attrs["total"] = self._total
        data.attrs["num_demos"] = len(self._digests)
        sentence = next(iter(self._sentences)) if len(self._sentences) == 1 else ""
        data.attrs["problem_info"] = json.dumps({"problem_name": "vlagym", "domain_name": "vlagym", "language_instruction": sentence})


# -------------------------------------------------------------------------------------------------------------------------- reading
class Reader:
    """Reads demonstrations by their number; images come from the disk when they are looked at, and then the file must still be open."""

    def __init__(self, path: Path) -> None:
        """Opens the file for reading.

        Raises:
          BadData: If it is missing, damaged, no dataset of ours, or of another schema.
        """
        if not path.is_file():
            raise BadData(f"there is no dataset at {path}. Make one with vlagym demo")
        self.path = path
        self._file = _open(path, "r")
        try:
            if "data" not in self._file:
                raise BadData(f"{path} has no group 'data': it is no robomimic dataset")
            self._info = _libero.read_info(self._file["data"], str(path))
            self._names = _demo_names(self._file["data"])
            self._digests = tuple(str(self._file["data"][n].attrs["digest"]) for n in self._names)
        except BaseException:
            self._file.close()
            raise

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
        group = self._file["data"][self._names[index]]
        where = f"{self.path} {self._names[index]}"
        try:
            obs = group["obs"]
            lazy = _LazyImages({camera: _loader(obs[_libero.obs_name(camera)], f"{where}, camera {camera!r}") for camera in self._info.images})
            return Demonstration(
                spec=EpisodeSpec.from_json(str(group.attrs["spec"])),
                digest=str(group.attrs["digest"]),
                instruction=str(group.attrs["language_instruction"]),
                actions=group["actions"][()].astype(np.float32),
                executed_actions=group["executed_actions"][()].astype(np.float32),
                images=lazy,
                image_steps=group["obs_index"][()],
                proprio={name: obs[name][()] for name in json.loads(obs.attrs["proprio"])},
                privileged={name: array[()] for name, array in group["privileged"].items()},
                is_success=bool(group.attrs["success"]),
            )
        except KeyError as error:
            raise BadData(f"{where} lacks {error}; it was not written by vlagym, or was changed") from error
        except OSError as error:
            raise BadData(f"{where} is damaged: {error}") from error

    def close(self) -> None:
        """Closes the file. Harmless when it was closed before."""
        if self._file:
            self._file.close()

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


class _LazyImages(Mapping[str, NDArray[np.uint8]]):
    """Images of the cameras, read each time they are looked up."""

    def __init__(self, loaders: Mapping[str, Callable[[], NDArray[np.uint8]]]) -> None:
        self._loaders = dict(loaders)

    def __getitem__(self, camera: str) -> NDArray[np.uint8]:
        return self._loaders[camera]()

    def __iter__(self) -> Iterator[str]:
        return iter(self._loaders)

    def __len__(self) -> int:
        return len(self._loaders)


def _loader(dataset: Any, where: str) -> Callable[[], NDArray[np.uint8]]:
    def load() -> NDArray[np.uint8]:
        if not dataset:
            raise BadData(f"{where}: the images can no longer be read, for the file was closed. Look at them while it is open, or use read()")
        images: NDArray[np.uint8] = dataset[()]
        return images

    return load


def read(path: Path) -> Iterator[Demonstration]:
    """Yields the demonstrations of a file, one after the other, each fully in memory.

    Raises:
      BadData: As `Reader`.
    """
    with Reader(path) as reader:
        for index in range(len(reader)):
            demonstration = reader[index]
            yield dataclasses.replace(demonstration, images=dict(demonstration.images))


def _demo_names(data: Any) -> list[str]:
    """Returns the groups of whole demonstrations in the order of their numbers."""
    return sorted((n for n in data if data[n].attrs.get("complete", False)), key=lambda n: int(n.removeprefix("demo_")))


def _open(path: Path, mode: str) -> Any:
    try:
        import h5py
    except ImportError as missing:
        raise MissingPackage("the format hdf5 needs: pip install h5py") from missing
    try:
        return h5py.File(path, mode)
    except BlockingIOError as error:
        raise _in_use(path) from error
    except OSError as error:
        if "lock" in str(error):
            raise _in_use(path) from error
        raise BadData(f"{path} cannot be opened as HDF5: {error}. If a kill damaged it, remove it and collect its demonstrations again") from error


def _in_use(path: Path) -> VlagymError:
    return BadData(f"{path} is open in another process. Wait for it to end, or choose another file")


FORMAT = Format(suffix=".hdf5", write=Writer, open=Reader, read=read)
