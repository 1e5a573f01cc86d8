"""How a demonstration lies in an HDF5 group: the names, orders and signs of robomimic and LIBERO, and what they have no place for."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.errors import BadData
from vlagym.envs.types import Certificate, EpisodeSpec, canonical_json, from_plain, to_plain
from vlagym.results.demonstration import DatasetInfo, Demonstration, Stage
from vlagym.results.formats import _libero, _vectors
from vlagym.results.formats._file import reading
from vlagym.results.formats._sidecar import Lazy


# -------------------------------------------------------------------------------------------------------------------------- writing
def write_demo(group: Any, d: Demonstration, info: DatasetInfo) -> None:
    """Fills a group. Arrays are contiguous and not compressed: lzf takes five times as long to write and to read and saves a tenth."""
    last = np.zeros(d.num_steps, np.uint8)
    last[-1] = 1
    group.attrs.update(_attributes(d, info))
    group["actions"] = d.actions.astype(np.float64)
    group["executed_actions"] = d.executed_actions.astype(np.float64)
    group["dones"] = last
    group["rewards"] = last if d.is_success else np.zeros_like(last)
    if d.timestamps_s is not None:
        group["timestamps"] = d.timestamps_s.astype(np.float64)
    states = _states(d, info)
    group["states"] = np.concatenate(list(states.values()), axis=1)
    group.attrs["states_layout"] = json.dumps({name: part.shape[1] for name, part in states.items()})

    obs = group.create_group("obs")
    for key, array in _felt(d).items():
        (group if key == "robot_states" else obs)[key] = array
    if not _vectors.missing(d.proprio):
        obs.attrs["ee_frame"] = _vectors.hands(d)[0].frame
    for camera, images in d.images.items():
        obs[_libero.obs_name(camera)] = images
    for camera, depth in d.depth.items():
        obs[_libero.depth_name(camera)] = depth
    group["obs_index"] = d.image_steps.astype(np.int64)
    for name, array in d.proprio.items():
        obs[name] = array
    obs.attrs["proprio"] = json.dumps(list(d.proprio))
    for name, arrays in (("privileged", d.privileged), ("commands", d.commands)):
        inner = group.create_group(name)
        for key, array in arrays.items():
            inner[key] = array


def _attributes(d: Demonstration, info: DatasetInfo) -> dict[str, Any]:
    told = {"num_samples": d.num_steps, "fps": info.action.rate_hz, "digest": d.digest, "success": d.is_success}
    told["language_instruction"] = d.instruction
    if d.spec is None:
        told["spec"] = ""
    else:
        told |= {"spec": d.spec.to_json(), "seed": d.spec.seed, "task": d.spec.task}
    try:
        extra = canonical_json(to_plain(d.extra))
    except (TypeError, ValueError) as error:
        raise BadData(f"what else is said of demonstration {d.digest} (extra) cannot be told in JSON: {error}") from error
    return told | {
        "stages": json.dumps([list(stage) for stage in d.stages], ensure_ascii=False),
        "paraphrases": json.dumps(list(d.paraphrases), ensure_ascii=False),
        "certificate": "" if d.certificate is None else canonical_json(to_plain(d.certificate)),
        "extra": extra,
    }


def _felt(d: Demonstration) -> dict[str, NDArray[Any]]:
    """Returns what LIBERO's keys hold; of a recording that lacks their parts, those that can be made of it."""
    groups = _vectors.joint_groups(d.proprio, fingers=False)
    keys: dict[str, NDArray[Any]] = {}
    if groups:
        keys["joint_states"] = np.concatenate([d.proprio[name] for name in groups], axis=1).astype(np.float64)
    if _vectors.missing(d.proprio):
        return keys
    hands = _vectors.hands(d)
    fingers = _vectors.finger_positions(hands)
    positions = np.concatenate([hand.positions for hand in hands], axis=1)
    turns = np.concatenate([_vectors.axis_angles(hand.quats_wxyz) for hand in hands], axis=1)
    # robosuite's quaternions are xyzw.
    quats_xyzw = [np.roll(hand.quats_wxyz, -1, axis=1) for hand in hands]
    return keys | {
        "ee_pos": positions.astype(np.float64),
        "ee_ori": turns,
        "ee_states": np.concatenate([positions, turns], axis=1),
        "gripper_states": fingers.astype(np.float64),
        "robot_states": np.concatenate([fingers, positions, *quats_xyzw], axis=1, dtype=np.float64),
    }


def _states(d: Demonstration, info: DatasetInfo) -> dict[str, NDArray[np.float64]]:
    """Returns the parts of the flat state, each (T, k): time, then proprioception and privileged arrays in the order of their names."""
    time_s = np.arange(d.num_steps) / info.action.rate_hz if d.timestamps_s is None else d.timestamps_s
    parts: dict[str, NDArray[Any]] = {"time_s": time_s}
    for group, arrays in (("proprio", d.proprio), ("privileged", d.privileged)):
        parts |= {f"{group}/{name}": array for name, array in sorted(arrays.items())}
    # Not reshape(steps, -1): the width of an array without entries cannot be told so.
    return {name: np.asarray(array, np.float64).reshape(d.num_steps, math.prod(array.shape[1:])) for name, array in parts.items()}


# -------------------------------------------------------------------------------------------------------------------------- reading
def read_demo(group: Any, info: DatasetInfo, where: str) -> Demonstration:
    """Returns what `write_demo` wrote, in this version or the one before. Images and depth are read when they are looked at.

    Args:
      group: Of the demonstration; it must stay open for as long as images are looked at.
      info: Of the dataset.
      where: Its name, for errors.

    Raises:
      BadData: If it lacks something, or something in it is damaged.
    """
    with reading(where):
        obs, attributes = group["obs"], group.attrs
        spec = str(attributes["spec"])
        told = _json(attributes, ("stages", "paraphrases", "certificate", "extra"), where)
        certificate = told.get("certificate")
        return Demonstration(
            spec=EpisodeSpec.from_json(spec) if spec else None,
            digest=str(attributes["digest"]),
            instruction=str(attributes["language_instruction"]),
            actions=group["actions"][()].astype(np.float32),
            executed_actions=group["executed_actions"][()].astype(np.float32),
            images=Lazy({c: loader(obs[_libero.obs_name(c)], f"{where}, camera {c!r}") for c in info.images}),
            image_steps=group["obs_index"][()],
            proprio={name: obs[name][()] for name in json.loads(obs.attrs["proprio"])},
            privileged={name: array[()] for name, array in group["privileged"].items()},
            is_success=bool(attributes["success"]),
            depth=Lazy({c: loader(obs[_libero.depth_name(c)], f"{where}, depth of {c!r}") for c in info.depth}),
            commands={name: group["commands"][name][()] for name in info.commands},
            stages=tuple(Stage(int(step), str(name)) for step, name in told.get("stages", ())),
            paraphrases=tuple(map(str, told.get("paraphrases", ()))),
            certificate=from_plain(Certificate, certificate, f"{where}, its certificate") if certificate else None,
            timestamps_s=group["timestamps"][()] if "timestamps" in group else None,
            extra=told.get("extra", {}),
        )


def loader(dataset: Any, where: str, turn: Callable[[NDArray[Any]], NDArray[Any]] | None = None) -> Callable[[], NDArray[Any]]:
    """Returns a function that reads an array of an open file.

    Args:
      dataset: The array in the file.
      where: Its name, for errors.
      turn: Applied to what was read.
    """

    def load() -> NDArray[Any]:
        if not dataset:
            raise BadData(f"{where}: the images can no longer be read, for the file was closed. Look at them while it is open, or use read()")
        with reading(where):
            array: NDArray[Any] = dataset[()]
        return array if turn is None else turn(array)

    return load


def _json(attributes: Mapping[str, Any], names: tuple[str, ...], where: str) -> dict[str, Any]:
    """Returns what some attributes say; those that are missing or empty, as in files of schema 1, are left out."""
    found: dict[str, Any] = {}
    for name in names:
        text = attributes.get(name, "")
        try:
            found |= {name: json.loads(str(text))} if text else {}
        except ValueError as error:
            raise BadData(f"{where}: its attribute {name} is damaged: {error}") from error
    return found
