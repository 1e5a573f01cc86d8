"""Single steps of the conversions between a policy and an environment, as values: one for each part that is sent or read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.images import Shrink
from vlagym.envs.types import StatePart
from vlagym.policies.base import Normalisation
from vlagym.policies.conversions import images

HAND_ORIENTATION = "ee_target_quat_base_wxyz"
"""Array of the orientation that a hand is asked for, in which displacements in the frame "ee" are said: the environment adds displacements to what
it asks for, not to where the hand has come. A robot with two hands has one for each side: "left_" before it."""


@dataclass(frozen=True, kw_only=True)
class ActionStep:
    """The conversion of one action component. Where no form says otherwise: environment = gain x policy + offset."""

    YOUNGER: ClassVar = ("form", "into", "hand", "normalisation", "clip", "low", "high")

    component: str
    name: Literal["identity", "scale", "joint_velocity", "gripper_ends", "gripper_binary", "gripper_relative", "rotation"]
    gain: float = 1.0
    offset: float = 0.0
    form: str | None = None
    """Form of a rotation as the policy says it."""
    into: str | None = None
    """And as the environment takes it."""
    hand: str | None = None
    """Array with the orientation in whose frame the policy says a displacement; None: it is said as the environment takes it."""
    normalisation: Normalisation | None = None
    """Undone first."""
    clip: bool = False
    """Done twice: what leaves the range that the policy declares is brought to it before anything is converted, number by number, as the environment
    that it was trained in clipped there; and last, what leaves `low` and `high` to them."""
    low: tuple[float, ...] = ()
    """Only where it clips: the least that each number may be, in the environment's convention and in one of its steps."""
    high: tuple[float, ...] = ()

    def words(self) -> Iterator[str]:
        """Yields what is done to the component but for its share of the policy's steps, in order; nothing where it passes as it is."""
        if self.normalisation is not None:
            yield f"un-normalise by {self.normalisation.kind}"
        if self.clip:
            yield "clip to what it declares"
        if self.form is not None:
            yield f"{self.form} to {self.into}"
        if self.name == "gripper_binary":
            yield "to the nearer end"
        if (self.gain, self.offset) != (1.0, 0.0):
            rest = f" {'-' if self.offset < 0 else '+'} {abs(self.offset):g}" if self.offset else ""
            yield f"{self.name}: x {self.gain:g}{rest}"
        if self.hand is not None:
            yield f"turn from the hand's frame into the base's by {self.hand}, which is turned along the chunk"


@dataclass(frozen=True, kw_only=True)
class ImageStep:
    """The conversion of one camera stream."""

    YOUNGER: ClassVar = ("name", "size", "fit", "filter", "centre_share", "values")

    camera: str
    shrink: Shrink | None
    """None: no block mean is taken of a crop."""
    flips: tuple[images.Flip, ...] = ()
    """What is put in reverse after that and after it was fitted."""
    name: str | None = None
    """What the policy calls it; None: as the camera."""
    size: tuple[int, int] | None = None
    """Width and height that it is fitted to; None: it has its size."""
    fit: Literal["exact", "stretch", "pad"] = "exact"
    filter: images.Filter = "area"
    centre_share: float | None = None
    values: images.Values = "uint8"

    @property
    def stream(self) -> str:
        """What the policy calls it."""
        return self.name or self.camera

    @property
    def is_resampled(self) -> bool:
        """Whether an image library decides about its pixels."""
        return self.size is not None

    def apply(self, image: NDArray[np.uint8]) -> NDArray[Any]:
        """Returns the image as the policy reads it."""
        out = image if self.shrink is None else self.shrink.apply(image)
        if self.size is not None:
            out = (images.padded if self.fit == "pad" else images.stretched)(out, *self.size, self.filter)
        if self.centre_share is not None:
            out = images.centre(out, self.centre_share)
        return images.valued(images.turned(out, self.flips), self.values)

    def words(self) -> Iterator[str]:
        """Yields what is done to the stream, in order; nothing where it passes as it is."""
        if self.name not in (None, self.camera):
            yield f"of camera {self.camera}"
        if self.shrink is not None:
            yield f"centre crop of {self.shrink.crop} pixels, block mean to {self.shrink.size}"
        if self.size is not None:
            yield f"{self.fit} to {self.size[0]} x {self.size[1]} by {self.filter}"
        if self.centre_share is not None:
            yield f"middle {self.centre_share:g} of the area, brought back to size"
        if self.flips:
            yield f"{' and '.join(self.flips)} in reverse"
        if self.values != "uint8":
            yield {"unit": "values from 0 to 1", "symmetric": "values from -1 to 1"}[self.values]


@dataclass(frozen=True, kw_only=True)
class StateStep:
    """A state of the policy that is more than an array of the environment under its own name."""

    name: str
    parts: tuple[StatePart, ...] = ()
    """None: the array of that name."""
    normalisation: Normalisation | None = None
    """Done last."""

    def words(self) -> Iterator[str]:
        """Yields what it is made of, in order."""
        for part in self.parts:
            turned = "" if part.turn_wxyz is None else " of another hand frame"
            scaled = "" if part.gain == 1.0 else f" x {part.gain:g}"
            yield f"{part.form}({part.array}){turned}{scaled}" + (" + offset" if part.offset else "")
        if self.normalisation is not None:
            yield f"normalise by {self.normalisation.kind}"
