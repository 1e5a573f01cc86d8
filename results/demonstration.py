"""A demonstration as a value, and what a dataset file says about all of its demonstrations."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.errors import BadData
from vlagym.envs.types import ActionSpec, Certificate, EpisodeSpec


@dataclass(frozen=True, kw_only=True)
class ImagePreprocessing:
    """What was done to the frames of a camera before they were stored: a centre crop, then exact block means (`envs.images.Shrink`)."""

    crop: int
    """Side of the square that was cut out of the middle, in pixels."""
    size: int
    """Side of the stored image, in pixels; its height where it is no square."""
    width: int | None = None
    """Of the stored image in pixels, where it is no square: recordings of others. None: as high as wide."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of a stored image: height, width, 3."""
        return (self.size, self.size if self.width is None else self.width, 3)


@dataclass(frozen=True, kw_only=True)
class DatasetInfo:
    """What holds for every demonstration of a file. A file is only ever extended with equal information."""

    action: ActionSpec
    images: Mapping[str, ImagePreprocessing]
    """Camera -> preprocessing; exactly these cameras are stored."""
    frame_stride: int = 1
    """An image is stored for every so many control steps: 0, k, 2k …"""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """How the file was made, as JSON values: the command, the noise, package versions. It is not compared when the file is extended."""
    robot: str = ""
    """Whose demonstrations these are; "" where nobody said, or they are of several."""
    state: str = "libero"
    """Which vector the formats that have one for the state store: of `vlagym.results.formats._vectors.STATES`."""
    depth: tuple[str, ...] = ()
    """Cameras whose depth is stored as well."""
    commands: Mapping[str, ActionSpec] = field(default_factory=dict)
    """Other action conventions in which each demonstration's motion is stored as well, by their names."""


class Stage(NamedTuple):
    """A stage of the plan, from one step to the next stage."""

    step: int
    """The first control step that belongs to it."""
    name: str
    """What the expert does in it: reach, grasp, lift …"""


@dataclass(frozen=True, kw_only=True)
class Demonstration:
    """One recorded episode: row t is what was seen before action t, and action t."""

    spec: EpisodeSpec | None
    """The episode, which can be simulated again; None for a recording of others, or of a user's own loop."""
    digest: str
    """Of the spec; without one, of what was recorded."""
    instruction: str
    actions: NDArray[np.float32]
    """(T, D) the clean labels, in the convention of the dataset's action spec."""
    executed_actions: NDArray[np.float32]
    """(T, D) what was sent to the robot; differs from the labels where noise was added."""
    images: Mapping[str, NDArray[np.uint8]]
    """Camera -> (T', h, w, 3), RGB, row 0 on top."""
    image_steps: NDArray[np.int64]
    """(T',) the control steps at which the images were rendered, ascending."""
    proprio: Mapping[str, NDArray[np.float32]]
    """Name -> (T, k), before the action."""
    privileged: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    """Name -> (T, …) true state before the action, for auxiliary losses and replay; no policy may read it when it is evaluated."""
    is_success: bool = True
    depth: Mapping[str, NDArray[np.uint16]] = field(default_factory=dict)
    """Camera -> (T', h, w), in millimetres along the optical axis, 0 where nothing was hit; as large as its images."""
    commands: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    """Name of another action convention -> (T, D): the same motion, told in it."""
    stages: tuple[Stage, ...] = ()
    """By their first step, ascending; the first begins at 0. () where nobody said."""
    paraphrases: tuple[str, ...] = ()
    """Other sentences that ask for the very same of the same scene."""
    certificate: Certificate | None = None
    """Of the simulation in which it was recorded; who repeats the executed actions comes to the same."""
    timestamps_s: NDArray[np.float64] | None = None
    """(T,) of the observations, where they are not t / rate_hz: recordings of real time."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """What else is said of it, as JSON values."""

    @property
    def num_steps(self) -> int:
        return int(self.actions.shape[0])

    @property
    def episode(self) -> EpisodeSpec:
        """The spec of a demonstration that vlagym made.

        Raises:
          BadData: If it was recorded elsewhere, and has none.
        """
        if self.spec is None:
            raise BadData(f"demonstration {self.digest} was not recorded in vlagym: it names no episode that could be simulated")
        return self.spec


DIGEST = re.compile(r"[0-9A-Za-z_-]{1,128}")
_NAME = re.compile(r"(?=.{1,128}$)\w[\w .-]*(/\w[\w .-]*)*")
"""Digests and names become parts of paths, and come from datasets of others."""


def check_demonstration(demonstration: Demonstration, info: DatasetInfo) -> None:
    """Checks that a demonstration is whole and fits the dataset.

    Raises:
      BadData: If an array has another number of rows, a camera is missing or of another size, an action is not finite or out of bounds, or the
        digest is not that of the spec, or a name could lead out of the folder of a dataset.
    """
    d, steps, size = demonstration, demonstration.num_steps, info.action.size
    if not DIGEST.fullmatch(d.digest):
        raise BadData(f"{d.digest[:100]!r} is no digest of a demonstration: letters and digits, 128 at most")
    for name in (*d.images, *d.proprio, *d.privileged, *d.commands):
        if not _NAME.fullmatch(name):
            raise BadData(f"demonstration {d.digest}: {name[:100]!r} is no name of a camera or an array: letters, digits, and . _ - / within it")
    who = f"demonstration {d.digest}"
    if d.spec is not None and d.digest != d.spec.digest():
        raise BadData(f"{who}: its spec has the digest {d.spec.digest()}")
    if not d.instruction.strip():
        raise BadData(f"{who} has no instruction; a demonstration without a sentence teaches nothing about language")
    if steps == 0:
        raise BadData(f"{who} has no actions")
    for name, actions in (("actions", d.actions), ("executed_actions", d.executed_actions)):
        if actions.shape != (steps, size):
            raise BadData(f"{who}: {name} has shape {actions.shape}; {info.action.name} wants ({steps}, {size})")
        if not np.isfinite(actions).all():
            step, index = (int(i) for i in np.argwhere(~np.isfinite(actions))[0])
            raise BadData(f"{who}: {name} holds {actions[step, index]} in step {step}, component {index}")
        outside = (actions < info.action.low - 1e-6) | (actions > info.action.high + 1e-6)
        if outside.any():
            step, index = (int(i) for i in np.argwhere(outside)[0])
            value = actions[step, index]
            raise BadData(f"{who}: {name} holds {value:.6g} in step {step}, component {index}, outside the bounds of {info.action.name}")
    if not np.array_equal(d.image_steps, np.arange(0, steps, info.frame_stride)):
        wanted = f"0, {info.frame_stride}, {2 * info.frame_stride} …" if info.frame_stride > 1 else "every step"
        found = f"{d.image_steps.tolist()[:6]} … for {steps} steps"
        raise BadData(f"{who}: image_steps is {found}; the frame stride {info.frame_stride} wants {wanted}")
    if set(d.images) != set(info.images):
        raise BadData(f"{who} has the cameras {', '.join(sorted(d.images)) or 'none'}; the dataset has {', '.join(sorted(info.images)) or 'none'}")
    for camera, images in d.images.items():
        wanted_shape = (len(d.image_steps), *info.images[camera].shape)
        if images.shape != wanted_shape or images.dtype != np.uint8:
            raise BadData(f"{who}: the images of {camera!r} have shape {images.shape} and dtype {images.dtype}; wanted {wanted_shape} uint8")
    if set(d.depth) != set(info.depth):
        raise BadData(f"{who} has the depth of {_told(d.depth)}; the dataset has that of {_told(info.depth)}")
    for camera, depth in d.depth.items():
        if camera not in info.images:
            raise BadData(f"{who} has the depth of {camera!r}, whose images are not stored")
        flat = (len(d.image_steps), *info.images[camera].shape[:2])
        if depth.shape != flat or depth.dtype != np.uint16:
            raise BadData(f"{who}: the depth of {camera!r} has shape {depth.shape} and dtype {depth.dtype}; wanted {flat} uint16")
    if set(d.commands) != set(info.commands):
        raise BadData(f"{who} has the commands {_told(d.commands)}; the dataset has {_told(info.commands)}")
    for name, rows in d.commands.items():
        if rows.shape != (steps, info.commands[name].size) or not np.isfinite(rows).all():
            raise BadData(f"{who}: the commands {name} must be finite, with shape ({steps}, {info.commands[name].size}); theirs is {rows.shape}")
    begins = [stage.step for stage in d.stages]
    if begins and (begins[0] != 0 or begins != sorted(set(begins)) or begins[-1] >= steps):
        raise BadData(f"{who}: the stages {[tuple(s) for s in d.stages]} must begin at 0, ascend, and end before step {steps}")
    if d.timestamps_s is not None and not _are_times(d.timestamps_s, steps):
        raise BadData(f"{who}: timestamps_s must have {steps} finite rows that ascend")
    for group, arrays in (("proprio", d.proprio), ("privileged", d.privileged)):
        for name, array in arrays.items():
            if array.ndim < 1 or array.shape[0] != steps:
                raise BadData(f"{who}: {group} {name!r} has shape {array.shape}; it must have {steps} rows")
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                raise BadData(f"{who}: {group} {name!r} holds NaN or infinity")


def without_pictures(demonstration: Demonstration, info: DatasetInfo) -> Demonstration:
    """Returns a demonstration whose images and depth are black, and take no memory: what else is wrong with it can be looked at."""
    frames = len(demonstration.image_steps)
    images = {c: np.broadcast_to(np.uint8(0), (frames, *how.shape)) for c, how in info.images.items()}
    depth = {c: np.broadcast_to(np.uint16(0), (frames, *info.images[c].shape[:2])) for c in info.depth}
    return replace(demonstration, images=images, depth=depth)


def _told(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"


def _are_times(times_s: NDArray[np.float64], steps: int) -> bool:
    return times_s.shape == (steps,) and bool(np.isfinite(times_s).all()) and bool((np.diff(times_s) > 0).all())
