"""HDF5 in the layout of robomimic and LIBERO: one file, a group `data/demo_<i>` for each demonstration.

What their readers find: data (total, env_args, problem_info, num_demos, tag, macros_image_convention) and in each demo actions, rewards, dones, states,
robot_states, obs/{joint_states, ee_pos, ee_ori, ee_states, gripper_states, agentview_rgb (our `front`), eye_in_hand_rgb (our `wrist`), <camera>_rgb}.

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

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.errors import BadData, MissingPackage, VlagymError
from vlagym.envs.types import EpisodeSpec, canonical_json, from_plain, to_plain
from vlagym.results.demonstration import DatasetInfo, Demonstration, check_demonstration
from vlagym.results.format import Format

SCHEMA = 1
"""Of what vlagym adds to the layout."""

_OBS_NAMES = {"front": "agentview_rgb", "wrist": "eye_in_hand_rgb"}
"""What LIBERO calls our cameras; another camera is called <camera>_rgb."""

_NEEDED = {"joint_pos_rad": None, "ee_pos_base_m": 3, "ee_quat_base_wxyz": 4, "gripper_opening_m": 1}
"""Proprioception from which the keys of LIBERO are made: name -> width; None: any."""


def obs_name(camera: str) -> str:
    """Returns under which key of `obs` the images of a camera are stored."""
    return _OBS_NAMES.get(camera, f"{camera}_rgb")


# -------------------------------------------------------------------------------------------------------------------------- writing
class Writer:
    """Appends demonstrations to one file; each is on disk when `append` returns."""

    def __init__(self, path: Path, info: DatasetInfo) -> None:
        """Creates the file, or opens it to go on where it was left.

        Raises:
          BadData: If the file is no dataset, is damaged, is open elsewhere, or was made with other information.
        """
        _check_info(info)
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
        _check_proprio(demonstration)
        group = self._file["data"].create_group(f"demo_{len(self._digests)}")
        _write_demo(group, demonstration, self._info)
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
        for name, value in _info_attributes(self._info).items():
            data.attrs[name] = value
        self._digests: list[str] = []
        self._sentences: set[str] = set()
        self._total = 0
        self._count()
        self._file.flush()

    def _continue(self) -> None:
        data = self._file["data"]
        _check_same(self.path, _read_info(data, str(self.path)), self._info)
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


def _write_demo(group: Any, d: Demonstration, info: DatasetInfo) -> None:
    """Fills a group. Arrays are contiguous and not compressed: lzf takes five times as long to write and to read and saves a tenth."""
    steps, proprio = d.num_steps, d.proprio
    axis_angle = _axis_angle(proprio["ee_quat_base_wxyz"])
    # robosuite measures both fingers along one axis, so that the second is negative.
    fingers = np.concatenate([proprio["gripper_opening_m"] / 2, -proprio["gripper_opening_m"] / 2], axis=1)
    last = np.zeros(steps, np.uint8)
    last[-1] = 1
    group.attrs.update(
        {
            "num_samples": steps,
            "language_instruction": d.instruction,
            "digest": d.digest,
            "spec": d.spec.to_json(),
            "success": d.is_success,
            "seed": d.spec.seed,
            "task": d.spec.task,
            "fps": d.spec.control.rate_hz,
        }
    )
    group["actions"] = d.actions.astype(np.float64)
    group["executed_actions"] = d.executed_actions.astype(np.float64)
    group["dones"] = last
    group["rewards"] = last if d.is_success else np.zeros_like(last)
    # robosuite's quaternions are xyzw.
    group["robot_states"] = np.concatenate([fingers, proprio["ee_pos_base_m"], np.roll(proprio["ee_quat_base_wxyz"], -1, axis=1)], axis=1, dtype=np.float64)
    states = _states(d)
    group["states"] = np.concatenate(list(states.values()), axis=1)
    group.attrs["states_layout"] = json.dumps({name: part.shape[1] for name, part in states.items()})

    obs = group.create_group("obs")
    obs["joint_states"] = proprio["joint_pos_rad"].astype(np.float64)
    obs["ee_pos"] = proprio["ee_pos_base_m"].astype(np.float64)
    obs["ee_ori"] = axis_angle
    obs["ee_states"] = np.concatenate([proprio["ee_pos_base_m"], axis_angle], axis=1)
    obs["gripper_states"] = fingers.astype(np.float64)
    for camera, images in d.images.items():
        obs[obs_name(camera)] = images
    group["obs_index"] = d.image_steps.astype(np.int64)
    for name, array in proprio.items():
        obs[name] = array
    obs.attrs["proprio"] = json.dumps(list(proprio))
    privileged = group.create_group("privileged")
    for name, array in d.privileged.items():
        privileged[name] = array


def _states(d: Demonstration) -> dict[str, NDArray[np.float64]]:
    """Returns the parts of the flat state, each (T, k): time, then proprioception and privileged arrays in the order of their names."""
    time_s = np.arange(d.num_steps)[:, None] / d.spec.control.rate_hz
    parts = {"time_s": time_s} | {f"{g}/{n}": a for g, arrays in (("proprio", d.proprio), ("privileged", d.privileged)) for n, a in sorted(arrays.items())}
    return {name: np.asarray(array, np.float64).reshape(d.num_steps, -1) for name, array in parts.items()}


def _axis_angle(quat_wxyz: NDArray[np.float32]) -> NDArray[np.float64]:
    """Returns the rotation vectors `(T, 3)` of unit quaternions `(T, 4)`: axis times angle, the angle in [0, 2 pi) like robosuite's.

    The sign of the quaternion is kept, so that a hand that points down does not jump between pi and -pi.
    """
    quat = np.asarray(quat_wxyz, np.float64)
    w = np.clip(quat[:, :1], -1.0, 1.0)
    sine = np.sqrt(1.0 - w * w)
    return np.where(sine > 1e-9, quat[:, 1:] * 2.0 * np.arccos(w) / np.where(sine > 1e-9, sine, 1.0), 0.0)


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
            self._info = _read_info(self._file["data"], str(path))
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
            lazy = _LazyImages({camera: _loader(obs[obs_name(camera)], f"{where}, camera {camera!r}") for camera in self._info.images})
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
    from dataclasses import replace

    with Reader(path) as reader:
        for index in range(len(reader)):
            demonstration = reader[index]
            yield replace(demonstration, images=dict(demonstration.images))


# ------------------------------------------------------------------------------------------------------------- the group `data`
def _info_attributes(info: DatasetInfo) -> dict[str, Any]:
    env_args = {"env_name": "vlagym", "type": 2, "env_kwargs": {"control": info.action.name}}  # 2: a Gym environment, in robomimic's counting
    return {
        "env_args": json.dumps(env_args),
        "env_name": "vlagym",
        "tag": "libero-v1",
        "macros_image_convention": "opencv",
        "ee_frame": "base",
        "vlagym_schema": SCHEMA,
        "action_spec": canonical_json(to_plain(info.action)),
        "image_preprocessing": canonical_json(to_plain(info.images)),
        "frame_stride": info.frame_stride,
        "provenance": canonical_json(to_plain(info.provenance)),
    }


def _read_info(data: Any, where: str) -> DatasetInfo:
    schema = data.attrs.get("vlagym_schema")
    if schema is None:
        raise BadData(f"{where} was not written by vlagym: it has no action_spec and no episode specs")
    if int(schema) != SCHEMA:
        newer = " It was written by a newer vlagym: pip install --upgrade vlagym" if int(schema) > SCHEMA else ""
        raise BadData(f"{where} has schema {int(schema)}; this version of vlagym reads {SCHEMA}.{newer}")
    try:
        plain = {
            "action": json.loads(data.attrs["action_spec"]),
            "images": json.loads(data.attrs["image_preprocessing"]),
            "frame_stride": int(data.attrs["frame_stride"]),
            "provenance": json.loads(data.attrs["provenance"]),
        }
    except (KeyError, ValueError) as error:
        raise BadData(f"{where}: the attributes of 'data' are damaged: {error}") from error
    return from_plain(DatasetInfo, plain, where)


def _demo_names(data: Any) -> list[str]:
    """Returns the groups of whole demonstrations in the order of their numbers."""
    return sorted((n for n in data if data[n].attrs.get("complete", False)), key=lambda n: int(n.removeprefix("demo_")))


# --------------------------------------------------------------------------------------------------------------------------- checks
def _check_info(info: DatasetInfo) -> None:
    if info.frame_stride < 1:
        raise BadData(f"the frame stride is {info.frame_stride}; it must be 1 or more")
    keys: dict[str, str] = {}
    for camera in info.images:
        key = obs_name(camera)
        if key in keys:
            raise BadData(f"the cameras {keys[key]!r} and {camera!r} would both be stored as {key}; rename one")
        keys[key] = camera


def _check_same(path: Path, stored: DatasetInfo, wanted: DatasetInfo) -> None:
    for name in ("action", "images", "frame_stride"):
        before, now = to_plain(getattr(stored, name)), to_plain(getattr(wanted, name))
        if before != now:
            raise BadData(f"{path} was made with {name} {canonical_json(before)} and cannot be extended with {canonical_json(now)}. Choose another file")


def _check_proprio(d: Demonstration) -> None:
    taken = {"joint_states", "ee_pos", "ee_ori", "ee_states", "gripper_states", *map(obs_name, d.images)}
    for name in d.proprio:
        if name in taken:
            raise BadData(f"demonstration {d.digest} has proprioception {name!r}, which is a key of the layout; carry its unit and frame in the name")
    for name, width in _NEEDED.items():
        found = d.proprio.get(name)
        if found is None:
            raise BadData(f"demonstration {d.digest} lacks the proprioception {name!r}, of which the layout is made. It has: {', '.join(d.proprio)}")
        if found.ndim != 2 or (width is not None and found.shape[1] != width):
            raise BadData(f"demonstration {d.digest}: {name!r} has shape {found.shape}; the layout wants ({d.num_steps}, {width or 'joints'})")


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
