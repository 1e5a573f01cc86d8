"""A demonstration as a value, and what a dataset file says about all of its demonstrations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.errors import BadData
from vlagym.envs.types import ActionSpec, EpisodeSpec


@dataclass(frozen=True, kw_only=True)
class ImagePreprocessing:
    """What was done to the frames of a camera before they were stored: a centre crop, then exact block means (`envs.images.Shrink`)."""

    crop: int
    """Side of the square that was cut out of the middle, in pixels."""
    size: int
    """Side of the stored image, in pixels."""


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


@dataclass(frozen=True, kw_only=True)
class Demonstration:
    """One recorded episode: row t is what was seen before action t, and action t."""

    spec: EpisodeSpec
    digest: str
    """Of the spec."""
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

    @property
    def num_steps(self) -> int:
        return int(self.actions.shape[0])


def check_demonstration(demonstration: Demonstration, info: DatasetInfo) -> None:
    """Checks that a demonstration is whole and fits the dataset.

    Raises:
      BadData: If an array has another number of rows, a camera is missing or of another size, an action is not finite or out of bounds, or the
        digest is not that of the spec.
    """
    d, steps, size = demonstration, demonstration.num_steps, info.action.size
    who = f"demonstration {d.digest}"
    if d.digest != d.spec.digest():
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
        side = info.images[camera].size
        if images.shape != (len(d.image_steps), side, side, 3) or images.dtype != np.uint8:
            shape = f"({len(d.image_steps)}, {side}, {side}, 3)"
            raise BadData(f"{who}: the images of {camera!r} have shape {images.shape} and dtype {images.dtype}; wanted {shape} uint8")
    for group, arrays in (("proprio", d.proprio), ("privileged", d.privileged)):
        for name, array in arrays.items():
            if array.ndim < 1 or array.shape[0] != steps:
                raise BadData(f"{who}: {group} {name!r} has shape {array.shape}; it must have {steps} rows")
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                raise BadData(f"{who}: {group} {name!r} holds NaN or infinity")
