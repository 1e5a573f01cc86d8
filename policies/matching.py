"""Compares rates and single components of actions: each comparison gives the conversion, or says what would fit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from vlagym.envs.errors import did_you_mean
from vlagym.envs.types import ActionComponent
from vlagym.policies.base import Normalisation, PolicySpec
from vlagym.policies.conversions import grippers, rotations, scales
from vlagym.policies.steps import HAND_ORIENTATION, ActionStep

IGNORED = "ignored"
"""Convention of a component that a policy sends and nobody hears."""

_FAR = 1.5
"""A policy whose displacements may be so many times the environment's is likely made for another station."""

_CONTROLS: Mapping[str, str] = MappingProxyType(
    {"position": "ee_pose", "joint_position": "joint_position", "joint_delta": "joint_delta", "joint_velocity": "joint_delta"}
)
"""Convention of a policy -> the control of an episode that takes it. Displacements of a hand are those of ee_delta."""


class Row(NamedTuple):
    """One part of the comparison."""

    part: str
    policy: str
    environment: str
    wrong: str = ""
    """What does not fit, and what would; empty where it does."""


class Terms(NamedTuple):
    """What the comparison of a single component depends on besides it."""

    policy: PolicySpec
    policy_hz: float
    """0 where the rates do not fit."""
    repeats: int
    arrays: Mapping[str, int]
    """Array that the environment sends -> its size."""


def control_of(component: ActionComponent) -> str | None:
    """Returns the control under which an environment takes something like that; None where every one does, or nobody knows."""
    convention = component.convention
    if convention == "delta_position" or rotations.delta_form(convention) is not None:
        return "ee_delta"
    return "ee_pose" if convention in rotations.SIZES else _CONTROLS.get(convention)


# ------------------------------------------------------------------------------------------------------------------------- rates
def rate(part: str, policy_hz: float, environment_hz: float) -> tuple[int, Row]:
    """Returns how many steps of the environment a step of the policy lasts."""
    repeats = scales.whole_ratio(environment_hz, policy_hz)
    row = Row(part, f"{policy_hz:g} Hz", f"{environment_hz:g} Hz")
    if repeats is not None:
        return repeats, row
    some = ", ".join(f"{environment_hz / n:g}" for n in (1, 2, 4))
    wrong = f"{policy_hz:g} Hz is not {environment_hz:g} Hz, nor does it divide it; what would fit is {some} Hz …"
    return 1, row._replace(wrong=f"{wrong} or an episode at another rate, which a rig sets (vlagym list rigs)")


# ----------------------------------------------------------------------------------------------------------------------- actions
def action(mine: ActionComponent | None, theirs: ActionComponent, terms: Terms) -> tuple[ActionStep, Row]:
    """Returns the conversion of one component of the environment."""
    part, step = f"action {theirs.name}", ActionStep(component=theirs.name, name="identity")
    if mine is None or mine.convention == IGNORED:
        wrong = "the policy does not send it" if mine is None else "the policy sends it to be ignored, and the environment needs it"
        return step, Row(part, "-" if mine is None else say_action(mine), say_action(theirs), wrong)
    row = Row(part, say_action(mine), say_action(theirs))
    if mine.convention in grippers.CONVENTIONS and theirs.convention in grippers.GRIPPER_ENDS:
        step, wrongs = _gripper(step, mine, theirs)
    elif mine.convention == theirs.convention:
        step, wrongs = _alike(step, mine, theirs)
    elif mine.convention == "joint_velocity" and theirs.convention == "joint_delta":
        step, wrongs = _velocity(step, mine, theirs, terms)
    elif _rotation_forms(mine, theirs) is not None:
        step, wrongs = _rotation(step, mine, theirs)
    else:
        wrongs = [*_unlike(mine, theirs, "size", "frame", "unit"), _no_conversion(mine, theirs)]
    if mine.frame != theirs.frame and (mine.frame, theirs.frame) == ("ee", "base") and _is_motion_of_a_hand(theirs):
        step, frame_wrongs = _from_hand(step, theirs, terms)
        wrongs = [w for w in wrongs if not w.startswith("frame ")] + frame_wrongs
    step, normalisation_wrongs = _unnormalised(step, mine.size, terms.policy.normalisation.get(mine.name))
    wrongs += normalisation_wrongs
    if not wrongs:
        step, wrongs = _bounded(step, mine, theirs, terms)
    return step, row._replace(wrong="; ".join(wrongs))


def _alike(step: ActionStep, mine: ActionComponent, theirs: ActionComponent) -> tuple[ActionStep, list[str]]:
    wrongs = _unlike(mine, theirs, "size", "frame", "unit")
    if mine.scale != theirs.scale:
        if theirs.convention in scales.DISPLACEMENTS:
            return replace(step, name="scale", gain=mine.scale / theirs.scale), wrongs
        wrongs.append(f"scale {mine.scale:g} is not {theirs.scale:g}, and {theirs.convention!r} is no displacement that could be scaled")
    return step, wrongs


def _gripper(step: ActionStep, mine: ActionComponent, theirs: ActionComponent) -> tuple[ActionStep, list[str]]:
    unit = "m" if mine.convention == grippers.OPENING else theirs.unit
    wrongs = _unlike(replace(mine, unit=theirs.unit if mine.unit == unit else mine.unit), theirs, "size", "frame", "unit")
    if mine.size != 1 and mine.convention == grippers.RELATIVE:
        wrongs.append(f"a relative command is one number, not {mine.size}")
    if mine.scale != theirs.scale:
        wrongs.append(f"scale {mine.scale:g} is not {theirs.scale:g}")
    my_ends, ends = grippers.ends(mine), grippers.ends(theirs)
    assert ends is not None
    if my_ends is None:
        return replace(step, name="gripper_relative"), wrongs
    gain, offset = grippers.line(my_ends, ends)
    if grippers.is_binary(mine.convention):
        return replace(step, name="gripper_binary", gain=gain, offset=offset), wrongs
    if mine.convention != theirs.convention:
        step = replace(step, name="gripper_ends", gain=gain, offset=offset)
    return step, wrongs


def _velocity(step: ActionStep, mine: ActionComponent, theirs: ActionComponent, terms: Terms) -> tuple[ActionStep, list[str]]:
    wrongs = _unlike(mine, theirs, "size", "frame")
    if mine.unit != "rad/s":
        wrongs.append(f"unit {mine.unit!r} is not 'rad/s'")
    if not terms.policy_hz:
        return step, wrongs
    return replace(step, name="joint_velocity", gain=mine.scale / (terms.policy_hz * theirs.scale)), wrongs


def _rotation_forms(mine: ActionComponent, theirs: ActionComponent) -> tuple[str, str] | None:
    """Returns the two forms where both are orientations, or both displacements of one."""
    pair = rotations.delta_form(mine.convention), rotations.delta_form(theirs.convention)
    if pair[0] is not None and pair[1] is not None:
        return pair[0], pair[1]
    if mine.convention in rotations.SIZES and theirs.convention in rotations.SIZES:
        return mine.convention, theirs.convention
    return None


def _rotation(step: ActionStep, mine: ActionComponent, theirs: ActionComponent) -> tuple[ActionStep, list[str]]:
    forms = _rotation_forms(mine, theirs)
    assert forms is not None
    wrongs = _unlike(mine, theirs, "frame")
    for c, form in ((mine, forms[0]), (theirs, forms[1])):
        if c.size != rotations.SIZES[form]:
            wrongs.append(f"size {c.size} is not {rotations.SIZES[form]}, of which {c.convention} is made")
        if form in rotations.ANGLES and c.unit != "rad":
            wrongs.append(f"unit {c.unit!r} is not 'rad': say in scale how many rad 1 is")
        if form not in rotations.ANGLES and c.scale != 1.0:
            wrongs.append(f"scale {c.scale:g} is not 1, and {c.convention} is made of no angles that could be scaled")
    return replace(step, name="rotation", form=forms[0], into=forms[1]), wrongs


def _is_motion_of_a_hand(theirs: ActionComponent) -> bool:
    return theirs.convention in ("delta_position", "delta_axis_angle") and theirs.name.endswith(("translation", "rotation"))


def _from_hand(step: ActionStep, theirs: ActionComponent, terms: Terms) -> tuple[ActionStep, list[str]]:
    array = theirs.name.removesuffix("translation").removesuffix("rotation") + HAND_ORIENTATION
    if array not in terms.arrays:
        return step, [f"frame 'ee' is not {theirs.frame!r}, and what turns one into the other, the array {array}, is not sent"]
    return replace(step, hand=array), []


def _unnormalised(step: ActionStep, size: int, by: Normalisation | None) -> tuple[ActionStep, list[str]]:
    if by is not None and by.size != size:
        return step, [f"its normalisation is of {by.size} numbers, and it has {size}"]
    return replace(step, normalisation=by), []


def _bounded(step: ActionStep, mine: ActionComponent, theirs: ActionComponent, terms: Terms) -> tuple[ActionStep, list[str]]:
    """Lets the step clip, if it may; else complains where something that the policy may send would leave the environment's bounds."""
    if terms.policy.clip and step.name not in ("gripper_binary", "gripper_relative"):
        return replace(step, clip=True, low=theirs.low, high=theirs.high), []
    low, high = _range(step, mine, theirs)
    if theirs.convention in scales.DISPLACEMENTS:
        low, high = low / terms.repeats, high / terms.repeats
    if np.all(low >= np.array(theirs.low) - 1e-6) and np.all(high <= np.array(theirs.high) + 1e-6):
        return step, []
    after = "" if step.name == "identity" else f" after {step.name}"
    wanted = f"{min(theirs.low):g} to {max(theirs.high):g}"
    told = f"it may send {low.min():g} to {high.max():g}{after}, and the environment refuses what leaves {wanted}"
    if theirs.convention in scales.DISPLACEMENTS and np.abs([low, high]).max() > _FAR * max(map(abs, (*theirs.low, *theirs.high))):
        own, here = np.abs([low, high]).max() * theirs.scale, max(map(abs, (*theirs.low, *theirs.high))) * theirs.scale
        told = f"{told}: up to {own:.3g} {theirs.unit} a step, and here a step is {here:.3g} {theirs.unit} at most; if it uses that range, clipping"
        advice = "it belongs where steps are as large (another rig, or none); if it seldom does, say clip = true"
        return step, [f"{told} would cut what it does, and {advice}"]
    return step, [f"{told}; where it may be clipped to that, say clip = true"]


def _range(step: ActionStep, mine: ActionComponent, theirs: ActionComponent) -> tuple[np.ndarray, np.ndarray]:
    """Returns the least and the largest that each number can be, in the environment's convention; of rotations and other frames what is safe."""
    ends = np.array([mine.low, mine.high], np.float64)
    if step.name == "gripper_relative":
        closing = grippers.ends(theirs)
        assert closing is not None
        return np.array([min(closing)]), np.array([max(closing)])
    if step.name == "gripper_binary":
        ends = np.array([theirs.low, theirs.high], np.float64)
    elif step.form is not None:
        most = np.abs(ends * mine.scale).max(axis=0).sum() if step.form in rotations.ANGLES else np.inf
        most = min(most, np.pi) if step.into == "axis_angle" else 1.0
        ends = np.array([[-most] * theirs.size, [most] * theirs.size]) / theirs.scale
    else:
        ends = ends * step.gain + step.offset
    if step.hand is not None:
        longest = np.linalg.norm(np.abs(ends).max(axis=0))
        ends = np.array([[-longest] * theirs.size, [longest] * theirs.size])
    return ends.min(axis=0), ends.max(axis=0)


def _unlike(mine: ActionComponent, theirs: ActionComponent, *fields: str) -> list[str]:
    pairs = ((what, getattr(mine, what), getattr(theirs, what)) for what in fields)
    return [f"{what} {a!r} is not {b!r}" for what, a, b in pairs if a != b]


def _no_conversion(mine: ActionComponent, theirs: ActionComponent) -> str:
    told = f"no conversion from {mine.convention!r} to {theirs.convention!r} is known"
    wanted, there = control_of(mine), control_of(theirs)
    if wanted is not None and there is not None and wanted != there:
        return f"{told}; an episode that is controlled by {wanted} takes it: choose --control {wanted}"
    known = list(_known_to_become(theirs))
    return f"{told}{did_you_mean(mine.convention, known)}; what is known to become {theirs.convention} is {', '.join(known)}"


def _known_to_become(theirs: ActionComponent) -> Iterator[str]:
    if theirs.convention in grippers.GRIPPER_ENDS:
        yield from grippers.CONVENTIONS
    elif rotations.delta_form(theirs.convention) is not None:
        yield from (f"delta_{form}" for form in rotations.SIZES)
    elif theirs.convention in rotations.SIZES:
        yield from rotations.SIZES
    else:
        yield theirs.convention
        if theirs.convention == "joint_delta":
            yield "joint_velocity"


# ---------------------------------------------------------------------------------------------------------------------- in words
def say_action(c: ActionComponent) -> str:
    """Returns a component in one line."""
    ranges = [f"{low:g} to {high:g}" for low, high in zip(c.low, c.high, strict=False)]
    bounds = ", ".join(ranges[:1] if len(set(ranges)) == 1 else ranges) or "no bounds"
    return f"{c.size} x {c.convention}, frame {c.frame}, 1 = {c.scale:g} {c.unit}, {bounds}"
