"""Compares what a policy declares with what the environment declares, part by part, and converts between the two where it knows how."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.errors import BadSpec, ConventionMismatch
from vlagym.envs.images import Shrink
from vlagym.envs.types import (
    ActionChunk,
    ActionComponent,
    ActionSpec,
    ImageComponent,
    Observation,
    ObservationSpec,
    StateComponent,
    to_plain,
)
from vlagym.policies.base import PolicySpec

GRIPPER_ENDS: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        "gripper_closed_positive": (-1.0, 1.0),
        "gripper_open_positive": (1.0, -1.0),
        "gripper_closed_unit": (0.0, 1.0),
        "gripper_open_unit": (1.0, 0.0),
    }
)
"""Convention of a gripper command -> the values that mean (fully open, fully closed). Between them it is linear."""

SCALABLE = frozenset({"delta_position", "delta_axis_angle", "joint_delta"})
"""Conventions whose values may be multiplied: a displacement, so that zero means the same on both sides."""

_ORIENTATIONS: Mapping[str, frozenset[Literal["rows", "columns"]]] = MappingProxyType(
    {
        "upright": frozenset(),
        "flipped_vertical": frozenset({"rows"}),
        "mirrored": frozenset({"columns"}),
        "rotated_180": frozenset({"rows", "columns"}),
    }
)
"""Orientation of an image -> what of the upright one is in reverse."""

_RATE_TOLERANCE_HZ = 1e-6


@dataclass(frozen=True, kw_only=True)
class ActionStep:
    """The conversion of one action component: environment = gain x policy + offset."""

    component: str
    name: Literal["identity", "scale", "gripper_ends"]
    gain: float = 1.0
    offset: float = 0.0


@dataclass(frozen=True, kw_only=True)
class ImageStep:
    """The conversion of one camera stream."""

    camera: str
    shrink: Shrink | None
    """None: as it was rendered."""
    flips: tuple[Literal["rows", "columns"], ...] = ()
    """What is put in reverse after that."""

    def apply(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Returns the image as the policy reads it."""
        out = image if self.shrink is None else self.shrink.apply(image)
        for flip in self.flips:
            out = out[::-1] if flip == "rows" else out[:, ::-1]
        return np.ascontiguousarray(out) if self.flips else out


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """All conversions between one policy and one environment. A value: it is compared, sent to workers and written into the run header."""

    policy: ActionSpec
    """What the policy sends."""
    environment: ActionSpec
    """What the environment takes."""
    actions: tuple[ActionStep, ...]
    """One for each component of the environment, in its order."""
    images: tuple[ImageStep, ...]
    state: tuple[str, ...]
    """Proprioception that the policy reads."""
    privileged: bool
    """Whether it is shown the true state."""

    @property
    def cameras(self) -> tuple[str, ...]:
        """Cameras that have to be rendered."""
        return tuple(i.camera for i in self.images)

    def show(self, observation: Observation) -> Observation:
        """Returns what the policy is shown of an observation: the declared streams, cropped, shrunk and turned, and nothing else."""
        return replace(
            observation,
            images={i.camera: i.apply(observation.images[i.camera]) for i in self.images},
            proprio={name: observation.proprio[name] for name in self.state},
            depth={},
            segmentation={},
            privileged=observation.privileged if self.privileged else None,
        )

    def drive(self, chunk: ActionChunk) -> NDArray[np.float32]:
        """Returns the chunk in the environment's convention: `(T, D)` float32, D components of the environment's spec."""
        values = np.asarray(chunk.values)
        slices = self.policy.slices()
        out = [step.gain * values[:, slices[step.component]].astype(np.float64) + step.offset for step in self.actions]
        return np.concatenate(out, axis=1).astype(np.float32)

    def describe(self) -> dict[str, Any]:
        """Returns the conversions as plain data for the run header; `identity` is said too, so that nothing is left to guess."""
        return {
            "actions": to_plain(self.actions),
            "images": to_plain(self.images),
            "state": list(self.state),
            "privileged": self.privileged,
        }


def agreed_action(policy: PolicySpec, environment: ActionSpec) -> ActionSpec:
    """Returns the action spec that the policy's chunks must have: its own, or the environment's where it declares none."""
    return environment if policy.action is None else policy.action


def connect(policy: PolicySpec, action: ActionSpec, observation: ObservationSpec) -> Pipeline:
    """Returns the conversions between a policy and an environment.

    A policy that declares no action of its own (`hold`, `uniform`) takes the environment's components, and the environment's rate where it
    declares 0. What it is shown is what it declares, like anyone.

    Args:
      policy: What the policy declares.
      action: What the environment takes.
      observation: What the environment sends.

    Raises:
      BadSpec: If a policy asks for all of proprioception that has no reason to.
      ConventionMismatch: If any part differs in a way that no conversion is known for. The message holds both sides as a table and says
        what is wrong with each part that does not fit.
    """
    sends = agreed_action(policy, action)
    reads = policy.observation
    if policy.action is None and reads.rate_hz == 0:
        reads = replace(reads, rate_hz=observation.rate_hz)
    if policy.reads_all_state:
        if policy.action is not None or reads.state:
            raise BadSpec(
                f"policy {policy.name!r} asks for all of proprioception (reads_all_state) and declares what it sends or reads: "
                "declare the arrays that it reads in the observation's state"
            )
        reads = replace(reads, state=observation.state)
    if policy.action is None and policy.controls and action.name not in policy.controls:
        known = " or ".join(policy.controls)
        raise ConventionMismatch(f"policy {policy.name!r} acts in {known}; this episode is controlled by {action.name!r}: choose --control {known}")
    rows = [_rate("action rate", sends.rate_hz, action.rate_hz), _rate("observation rate", reads.rate_hz, observation.rate_hz)]
    action_steps: list[ActionStep] = []
    have = {c.name: c for c in sends.components}
    for theirs in action.components:
        step, row = _action(have.pop(theirs.name, None), theirs)
        action_steps.append(step)
        rows.append(row)
    for extra in have.values():
        known = ", ".join(c.name for c in action.components)
        rows.append(_Row(f"action {extra.name}", _say_action(extra), "-", f"the environment takes no such component; it takes {known}"))
    image_steps: list[ImageStep] = []
    streams = {i.name: i for i in observation.images}
    for image in reads.images:
        image_step, row = _image(image, streams)
        image_steps.append(image_step)
        rows.append(row)
    state = {s.name: s for s in observation.state}
    rows += [_state(s, state) for s in reads.state]
    if any(row.wrong for row in rows):
        raise ConventionMismatch(_message(policy.name, action.name, rows))
    return Pipeline(
        policy=sends,
        environment=action,
        actions=tuple(action_steps),
        images=tuple(image_steps),
        state=tuple(s.name for s in reads.state),
        privileged=policy.privileged,
    )


class _Row(NamedTuple):
    """One part of the comparison."""

    part: str
    policy: str
    environment: str
    wrong: str = ""
    """What does not fit, and what would; empty where it does."""


def _rate(part: str, policy_hz: float, environment_hz: float) -> _Row:
    same = math.isclose(policy_hz, environment_hz, abs_tol=_RATE_TOLERANCE_HZ)
    wrong = "" if same else f"{policy_hz:g} Hz is not {environment_hz:g} Hz, and resampling is not known"
    return _Row(part, f"{policy_hz:g} Hz", f"{environment_hz:g} Hz", wrong)


def _action(mine: ActionComponent | None, theirs: ActionComponent) -> tuple[ActionStep, _Row]:
    part, step = f"action {theirs.name}", ActionStep(component=theirs.name, name="identity")
    if mine is None:
        return step, _Row(part, "-", _say_action(theirs), "the policy does not send it")
    wrong = [
        f"{what} {a!r} is not {b!r}"
        for what, a, b in (("size", mine.size, theirs.size), ("frame", mine.frame, theirs.frame), ("unit", mine.unit, theirs.unit))
        if a != b
    ]
    are_grippers = mine.convention in GRIPPER_ENDS and theirs.convention in GRIPPER_ENDS
    if mine.convention != theirs.convention and not are_grippers:
        wrong.append(f"no conversion from {mine.convention!r} to {theirs.convention!r} is known")
    elif are_grippers:
        if mine.scale != theirs.scale:
            wrong.append(f"scale {mine.scale:g} is not {theirs.scale:g}")
        elif mine.convention != theirs.convention:
            (my_open, my_closed), (open_, closed) = GRIPPER_ENDS[mine.convention], GRIPPER_ENDS[theirs.convention]
            gain = (closed - open_) / (my_closed - my_open)
            step = ActionStep(component=theirs.name, name="gripper_ends", gain=gain, offset=open_ - gain * my_open)
    elif mine.scale != theirs.scale:
        if theirs.convention in SCALABLE:
            step = ActionStep(component=theirs.name, name="scale", gain=mine.scale / theirs.scale)
        else:
            wrong.append(f"scale {mine.scale:g} is not {theirs.scale:g}, and {theirs.convention!r} is no displacement that could be scaled")
    if not wrong:
        wrong += _range(step, mine, theirs)
    return step, _Row(part, _say_action(mine), _say_action(theirs), "; ".join(wrong))


def _range(step: ActionStep, mine: ActionComponent, theirs: ActionComponent) -> list[str]:
    """Returns a complaint if something that the policy may send would leave the environment's bounds."""
    ends = np.array([mine.low, mine.high], np.float64) * step.gain + step.offset
    low, high = ends.min(axis=0), ends.max(axis=0)
    if np.all(low >= np.array(theirs.low) - 1e-6) and np.all(high <= np.array(theirs.high) + 1e-6):
        return []
    after = "" if step.name == "identity" else f" after {step.name}"
    bounds = f"{min(theirs.low):g} to {max(theirs.high):g}"
    return [f"it may send {low.min():g} to {high.max():g}{after}, and the environment refuses what leaves {bounds}"]


def _image(wanted: ImageComponent, streams: Mapping[str, ImageComponent]) -> tuple[ImageStep, _Row]:
    part, mine, step = f"image {wanted.name}", _say_image(wanted), ImageStep(camera=wanted.name, shrink=None)
    if wanted.name not in streams:
        return step, _Row(part, mine, "-", f"no camera is called so; there are: {', '.join(streams) or 'none'}")
    there = streams[wanted.name]
    unknown = [o for o in (wanted.orientation, there.orientation) if o not in _ORIENTATIONS]
    if unknown:
        return step, _Row(part, mine, _say_image(there), f"no orientation is called {unknown[0]!r}; known are {', '.join(_ORIENTATIONS)}")
    flips = tuple(sorted(_ORIENTATIONS[wanted.orientation] ^ _ORIENTATIONS[there.orientation]))
    if wanted.crop is None:
        same = (wanted.width, wanted.height) == (there.width, there.height)
        wrong = "" if same else "another size; a policy that wants a centre crop and an area mean of it declares the crop"
        return replace(step, flips=flips), _Row(part, mine, _say_image(there), wrong)
    if wanted.width != wanted.height:
        return step, _Row(part, mine, _say_image(there), "a centre crop is square, and so is what it shrinks to")
    shrink = Shrink(crop=wanted.crop, size=wanted.width)
    try:
        shrink.check(there.width, there.height)
    except BadSpec as error:
        return step, _Row(part, mine, _say_image(there), str(error))
    return ImageStep(camera=wanted.name, shrink=shrink, flips=flips), _Row(part, mine, _say_image(there))


def _state(wanted: StateComponent, there: Mapping[str, StateComponent]) -> _Row:
    part = f"state {wanted.name}"
    if wanted.name not in there:
        return _Row(part, f"{wanted.size}", "-", f"the environment has none of that name; it has {', '.join(there) or 'none'}")
    size = there[wanted.name].size
    return _Row(part, f"{wanted.size}", f"{size}", "" if wanted.size == size else f"size {wanted.size} is not {size}")


def _say_action(c: ActionComponent) -> str:
    return f"{c.size} x {c.convention}, frame {c.frame}, 1 = {c.scale:g} {c.unit}, {min(c.low):g} to {max(c.high):g}"


def _say_image(i: ImageComponent) -> str:
    return f"{i.width} x {i.height}" + ("" if i.crop is None else f" of a centre crop of {i.crop}") + f", {i.orientation}"


def _message(policy: str, environment: str, rows: list[_Row]) -> str:
    head = _Row("", f"policy {policy}", f"environment {environment}")
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(3)]
    table = ["  ".join(cell.ljust(w) for cell, w in zip(row[:3], widths, strict=True)) + ("  <-" if row.wrong else "") for row in [head, *rows]]
    wrong = [f"- {row.part}: {row.wrong}" for row in rows if row.wrong]
    lines = [
        f"policy {policy!r} and the environment do not fit in {len(wrong)} of {len(rows)} parts, and no conversion is known:",
        *("  " + line.rstrip() for line in table),
        *wrong,
        "Declare in the policy's spec what it was trained with; where that is another convention, convert inside the policy.",
    ]
    return "\n".join(lines)
