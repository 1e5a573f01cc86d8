"""HDF5 files that others wrote in the layout of robomimic or LIBERO, read as demonstrations.

What differs from ours is turned on the way, and said in the provenance under these words:
  image_convention  "opengl" in the attribute macros_image_convention means that row 0 is the bottom of the picture, as OpenGL hands it out and LIBERO
                    stores it: the rows are turned round, and nothing else (turning by 180 degrees would mirror the picture). "opencv" is upright.
                    robomimic says nothing and turns images before it stores them; its keys end in _image. Another file that says nothing is refused.
  alignment         LIBERO stores what was seen after each action. Where the positions of the joints are those of the next row's `states`, row t is
                    given the action t + 1, and the first action is dropped, for nothing was seen before it.
Poses are in the frame of the world, as robosuite has them: ee_pos_world_m.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.errors import BadData
from vlagym.envs.types import ActionSpec
from vlagym.results.demonstration import DatasetInfo, Demonstration, ImagePreprocessing
from vlagym.results.formats import _libero_env, _vectors
from vlagym.results.formats._file import reading
from vlagym.results.formats._libero_demo import loader
from vlagym.results.formats._sidecar import Lazy, content_digest, recorded_action

_CAMERAS = {"agentview": "front", "eye_in_hand": "wrist", "robot0_eye_in_hand": "wrist"}
"""What we call the cameras of LIBERO and robosuite; another keeps its name."""
_ARRAYS = {
    "joint_states": "joint_pos_rad",
    "robot0_joint_pos": "joint_pos_rad",
    "robot0_joint_vel": "joint_vel_rad_s",
    "ee_pos": "ee_pos_world_m",
    "robot0_eef_pos": "ee_pos_world_m",
    "ee_ori": "ee_quat_world_wxyz",
    "robot0_eef_quat": "ee_quat_world_wxyz",
    "gripper_states": "gripper_opening_m",
    "robot0_gripper_qpos": "gripper_opening_m",
}
"""Key of obs -> our name for the same; another keeps its name."""
_TURNS: Mapping[str, Callable[[NDArray[Any]], NDArray[Any]]] = {
    "ee_ori": _vectors.quats_wxyz,  # axis times angle
    "robot0_eef_quat": lambda xyzw: np.roll(xyzw, 1, axis=1),
    "gripper_states": lambda fingers: fingers[:, :1] - fingers[:, 1:],
    "robot0_gripper_qpos": lambda fingers: fingers[:, :1] - fingers[:, 1:],
}
_TWICE = ("ee_states",)
"""ee_pos and ee_ori once more."""
_STATES_TIME = 1
"""`states` of robosuite is time, then the positions of all joints, the robot's own first."""
_ALIGNED_RAD = 1e-3
"""By how much positions of joints may differ that are the same: they pass through float32."""


@dataclass(frozen=True, kw_only=True)
class _Camera:
    key: str
    shape: tuple[int, int, int]
    depth: str | None


class Others:
    """The demonstrations of a file that vlagym did not write."""

    def __init__(self, data: Any, path: Path) -> None:
        """Looks at what the file says of itself, and at the small arrays of each demonstration.

        Args:
          data: Its group `data`.
          path: Of the file, for errors and for the sentence that LIBERO spells in its name.

        Raises:
          BadData: If it is of another layout, or does not say what one must know: which way up its images are, how many rows a second has, what was
            asked for, whether it was achieved. The error tells how to add it.
        """
        self._data, self._path = data, path
        self.names = sorted((n for n in data if re.fullmatch(r"demo_\d+", n)), key=lambda n: int(n.removeprefix("demo_")))
        if not self.names:
            raise BadData(f"{path} holds no demonstrations: its group 'data' has no group demo_0, demo_1 …, as robomimic and LIBERO name them")
        for name in self.names:
            self._check_groups(name)
        self._env = _libero_env.read_env_args(data.attrs, path)
        self._cameras = {name: _cameras(data[name]) for name in self.names}
        first = self._cameras[self.names[0]]
        for name, cameras in self._cameras.items():
            if {c: (v.shape, v.depth) for c, v in cameras.items()} != {c: (v.shape, v.depth) for c, v in first.items()}:
                raise BadData(f"{path}: the cameras of {name} differ from those of {self.names[0]}, by their names, sizes or depth")
        self._convention = self._image_convention(first)
        self._alignment = self._find_alignment()
        for name in self.names:
            self._check_rows(name)
        self.info = DatasetInfo(
            action=self._action(),
            images={camera: ImagePreprocessing(crop=c.shape[0], size=c.shape[0], width=c.shape[1]) for camera, c in first.items()},
            robot=_libero_env.robot_of(self._env),
            depth=tuple(camera for camera, c in first.items() if c.depth),
            provenance={
                "made by": f"others: {self._env.get('env_name') or 'they do not say whom'}",
                "image_convention": self._convention,
                "alignment": self._alignment,
                "env_args": self._env,
            },
        )
        self._digest_of = {name: self._digest(name) for name in self.names}
        self.digests = tuple(self._digest_of.values())

    def demonstration(self, group: Any, where: str) -> Demonstration:
        """Returns a demonstration; its images are read when they are looked at, and turned upright."""
        with reading(where):
            name = group.name.rsplit("/", 1)[-1]
            rows, actions = self._rows(group)
            obs = group["obs"]
            cameras = self._cameras[name]
            return Demonstration(
                spec=None,
                digest=self._digest_of[name],
                instruction=self._instruction(group),
                actions=actions,
                executed_actions=actions,
                images=Lazy({c: loader(obs[v.key], f"{where}, camera {c!r}", self._upright(rows)) for c, v in cameras.items()}),
                image_steps=np.arange(len(actions), dtype=np.int64),
                proprio={ours: array[rows] for ours, array in self._proprio(group).items()},
                privileged={"states": group["states"][()][rows]} if _is_numbers(group.get("states")) else {},
                is_success=self._is_success(group),
                depth=Lazy({c: loader(obs[v.depth], f"{where}, depth of {c!r}", self._upright(rows)) for c, v in cameras.items() if v.depth}),
                timestamps_s=np.asarray(group["timestamps"][()], np.float64)[rows] if "timestamps" in group else None,
                extra={"file": self._path.name, "demo": name, "not_read": self._not_read(group)},
            )

    # --------------------------------------------------------------------------------------------------------------- what is refused
    def _check_groups(self, name: str) -> None:
        """Raises BadData unless a demonstration has the group and the array that none can do without."""
        group = self._data[name]
        if not _is_group(group) or not _is_group(group.get("obs")):
            raise BadData(f"{self._path}: {name} has no group obs, which holds what was seen. {self._remove(name)}")
        if not _is_numbers(group.get("actions")):
            raise BadData(f"{self._path}: {name} has no array of numbers called actions. {self._remove(name)}")

    def _check_rows(self, name: str) -> None:
        """Raises BadData unless a demonstration has a step, and what was seen at each."""
        group, is_after = self._data[name], self._alignment.startswith("seen after")
        obs, steps = group["obs"], len(group["actions"])
        if steps < 1 + is_after:
            told = ", and the first action is dropped, for nothing was seen before it" if is_after else ""
            raise BadData(f"{self._path}: {name} has {steps} actions{told}: no step is left. {self._remove(name)}")
        beside = {key: group[key] for key in ("states", "timestamps") if _is_numbers(group.get(key))}
        for key, array in ({f"obs/{c.key}": obs[c.key] for c in self._cameras[name].values()} | beside).items():
            if (rows := len(array)) != steps:
                raise BadData(f"{self._path}: {name} has {steps} actions, and {rows} rows of {key}; they must be equally many. {self._remove(name)}")

    def _remove(self, name: str) -> str:
        return f"Mend it, or remove it: del h5py.File({self._path.name!r}, 'a')['data/{name}']"

    # ------------------------------------------------------------------------------------------------------- what holds for the file
    def _image_convention(self, cameras: Mapping[str, _Camera]) -> str:
        said = self._data.attrs.get("macros_image_convention")
        if said is not None:
            if str(said) not in ("opengl", "opencv"):
                raise BadData(f"{self._path}: macros_image_convention is {str(said)!r}; known are opengl (row 0 at the bottom) and opencv (upright)")
            return str(said)
        if all(c.key.endswith("_image") for c in cameras.values()):
            return "opencv"
        raise BadData(
            f"{self._path} does not say which way up its images are. Look at one; then set the attribute: h5py.File({self._path.name!r}, 'a')"
            "['data'].attrs['macros_image_convention'] = 'opengl' (row 0 at the bottom, as LIBERO's own files and those made from them) or 'opencv' "
            "(upright)"
        )

    def _find_alignment(self) -> str:
        """Returns which action a row belongs to, as the file's own numbers show it."""
        group = self._data[self.names[0]]
        joints, states = group["obs"].get("joint_states"), group.get("states")
        if not (_is_numbers(joints) and _is_numbers(states)) or len(joints) != len(states) or len(joints) < 3:
            return "not known: taken as seen before the action"
        seen, width = joints[()], joints.shape[1]
        true = states[()][:, _STATES_TIME : _STATES_TIME + width]
        if true.shape != seen.shape:
            return "not known: taken as seen before the action"
        before, after = np.abs(seen - true).max(), np.abs(seen[:-1] - true[1:]).max()
        if after < _ALIGNED_RAD and after < before:
            return "seen after the action: moved by one row"
        return "seen before the action" if before < _ALIGNED_RAD else "not known: taken as seen before the action"

    def _action(self) -> ActionSpec:
        rows = [self._data[name]["actions"] for name in self.names]
        sizes = sorted({shape.shape[1:] for shape in rows})
        if len(sizes) != 1 or len(sizes[0]) != 1 or not sizes[0][0]:
            raise BadData(f"{self._path}: the actions of its demonstrations have the shapes {sizes}; they must be vectors of one size")
        low = np.min([array[()].min(axis=0) for array in rows], axis=0)
        high = np.max([array[()].max(axis=0) for array in rows], axis=0)
        rate_hz = self._rate_hz()
        components = _libero_env.osc_components_of(self._env, np.minimum(low, -1.0), np.maximum(high, 1.0))
        if components is None:
            return recorded_action(low, high, rate_hz)
        return ActionSpec(name="osc_pose", components=components, rate_hz=rate_hz)

    def _rate_hz(self) -> float:
        first = self.names[0]
        told = (
            ("control_freq in the attribute env_args of its group 'data'", _libero_env.kwargs_of(self._env).get("control_freq")),
            ("the attribute fps of its group 'data'", self._data.attrs.get("fps")),
            (f"the attribute fps of {first}", self._data[first].attrs.get("fps")),
        )
        for where, said in told:
            if said is not None:
                wrong = f"{self._path}: {where} is {said!r}; it must be how many rows a second has, a number above 0. Correct it"
                return _libero_env.above_zero(said, wrong)
        stamps = self._data[first].get("timestamps")
        if _is_numbers(stamps) and len(stamps) > 1:
            period_s = float(np.median(np.diff(np.asarray(stamps[()], np.float64))))
            wrong = f"{self._path}: the timestamps of {first} do not ascend. Correct or remove them, and set the attribute fps of the group 'data'"
            return round(1.0 / _libero_env.above_zero(period_s, wrong), 6)
        raise BadData(
            f"{self._path} does not say how many rows a second has. Set the attribute: h5py.File({self._path.name!r}, 'a')['data'].attrs['fps'] = 20"
        )

    # ---------------------------------------------------------------------------------------------------------- what holds for a demo
    def _rows(self, group: Any) -> tuple[slice, NDArray[np.float32]]:
        """Returns which rows of what was seen are taken, and the action of each."""
        actions = np.asarray(group["actions"][()], np.float32)
        if not self._alignment.startswith("seen after"):
            return slice(None), actions
        return slice(0, len(actions) - 1), actions[1:]

    def _proprio(self, group: Any) -> dict[str, NDArray[np.float32]]:
        obs, found = group["obs"], {}
        for key in obs:
            array = obs[key]
            if _is_numbers(array) and array.ndim <= 2 and len(array) == len(group["actions"]) and key not in _TWICE:
                rows = np.asarray(array[()], np.float64).reshape(len(array), -1)
                ours = _ARRAYS.get(key, key)
                found[ours if ours not in found else key] = np.asarray(_TURNS[key](rows) if key in _TURNS else rows, np.float32)
        return found

    def _not_read(self, group: Any) -> list[str]:
        """Returns the keys that a demonstration has no place for: depth of unknown unit, next observations, words, rows of another number."""
        obs, cameras = group["obs"], self._cameras[group.name.rsplit("/", 1)[-1]].values()
        taken = {c.key for c in cameras} | {c.depth for c in cameras} | set(_TWICE)
        steps = len(group["actions"])
        left = [k for k in obs if k not in taken and not (_is_numbers(obs[k]) and obs[k].ndim <= 2 and len(obs[k]) == steps)]
        return [f"obs/{key}" for key in left] + (["next_obs"] if "next_obs" in group else [])

    def _instruction(self, group: Any) -> str:
        told = group.attrs.get("language_instruction")
        if told is None:
            told = _libero_env.read_json(self._data.attrs, "problem_info", self._path).get("language_instruction")
        if isinstance(told, list):  # of words, or of letters
            told = ("" if all(len(str(word)) == 1 for word in told) else " ").join(map(str, told))
        sentence = str(told).strip().strip('"').strip() if told else _spelled(self._path)
        if not sentence:
            raise BadData(
                f"{self._path} does not say what was asked for. Set the attribute: h5py.File({self._path.name!r}, 'a')['data']"
                '.attrs[\'problem_info\'] = \'{"language_instruction": "lift the cube"}\', or name the file as LIBERO does: lift_the_cube_demo.hdf5'
            )
        return sentence

    def _is_success(self, group: Any) -> bool:
        name = group.name.rsplit("/", 1)[-1]
        said = np.asarray(group.attrs.get("success", group["rewards"][-1:] if _is_numbers(group.get("rewards")) else ())).ravel()
        if said.dtype.kind not in "fiub":
            raise BadData(f"{self._path}: the attribute success of {name} is {group.attrs['success']!r}; it must be True or False. Correct it")
        if len(said):
            return bool((said > 0).any())
        raise BadData(
            f"{self._path} {name} does not say whether it succeeded: it has neither rewards nor the attribute success. "
            "Set success = True or False on its group"
        )

    def _upright(self, rows: slice) -> Callable[[NDArray[Any]], NDArray[Any]]:
        """Returns what is done to the images of a camera: (T, h, w, 3), or to its depth, (T, h, w) or (T, h, w, 1)."""
        turned = slice(None, None, -1) if self._convention == "opengl" else slice(None)

        def turn(images: NDArray[Any]) -> NDArray[Any]:
            upright = images[rows, turned]
            return np.ascontiguousarray(upright[..., 0] if upright.ndim == 4 and upright.shape[-1] == 1 else upright)

        return turn

    def _digest(self, name: str) -> str:
        group = self._data[name]
        felt = self._proprio(group)
        return content_digest(self._instruction(group), np.asarray(group["actions"][()], np.float32), *(felt[key] for key in sorted(felt)))


def _cameras(group: Any) -> dict[str, _Camera]:
    """Returns our name of each camera of a demonstration, and where its images and its depth lie."""
    obs, found = group["obs"], {}
    for key in obs:
        array = obs[key]
        if _is_numbers(array) and array.ndim == 4 and array.dtype == np.uint8 and array.shape[-1] == 3:
            own = re.sub(r"_(rgb|image)$", "", key)
            depth = f"{own}_depth"
            # Of depth in other numbers nobody knows the unit.
            is_mm = depth in obs and obs[depth].dtype == np.uint16 and obs[depth].shape[:3] == array.shape[:3]
            ours = _CAMERAS.get(own, own)
            found[ours if ours not in found else own] = _Camera(key=key, shape=tuple(array.shape[1:]), depth=depth if is_mm else None)
    return found


def _spelled(path: Path) -> str:
    """Returns the sentence that LIBERO spells in the name of a file, without the scene before it; "" for another name."""
    name = path.stem
    if not name.endswith("_demo"):
        return ""
    words = name.removesuffix("_demo").split("_")
    scenes = [i for i, word in enumerate(words) if "SCENE" in word]
    return " ".join(words[scenes[-1] + 1 :] if scenes else words)


def _is_numbers(array: Any) -> bool:
    """Tells whether something is an array of numbers or truth values, and no group and no text."""
    return hasattr(array, "dtype") and array.dtype.kind in "fiub" and array.ndim >= 1


def _is_group(entry: Any) -> bool:
    return hasattr(entry, "keys")
