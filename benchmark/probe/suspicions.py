"""What may be wrong with a declaration: each is another declaration, or another reading of its numbers, that can be held against the expert too."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np

from vlagym.benchmark.probe.intents import Intents, ratio
from vlagym.envs.types import ActionComponent, ActionSpec, ImageComponent, StateComponent, StatePart
from vlagym.policies.base import Normalisation, PolicySpec
from vlagym.policies.conversions import grippers, rotations
from vlagym.policies.conversions.images import ORIENTATIONS

Orientation = Literal["upright", "rotated_180", "flipped_vertical", "mirrored"]

_OPPOSITE = {
    "gripper_closed_positive": "gripper_open_positive",
    "gripper_open_positive": "gripper_closed_positive",
    "gripper_closed_unit": "gripper_open_unit",
    "gripper_open_unit": "gripper_closed_unit",
}
_QUATERNIONS = {"quaternion_wxyz": "quaternion_xyzw", "quaternion_xyzw": "quaternion_wxyz"}
LARGE = 2.0
"""Numbers so many times too large or too small are said to be scaled; a policy that hesitates is not."""
LARGE_OF_STATISTICS = 1.3
"""The same where statistics say how large they are."""
_OTHER_RANGE = {
    True: "the range looks too wide, as if minimum and maximum stood where the 1st and 99th percentile belong (min/max for q99)",
    False: "the range looks too narrow, as if the 1st and 99th percentile stood where minimum and maximum belong (q99 for min/max)",
}
AXES = "xyz"
_OPENING_M = 0.08
"""Of the expert's hand (Franka Hand datasheet)."""


@dataclass(frozen=True, kw_only=True)
class Suspicion:
    """Something that may be wrong."""

    kind: str
    """One word: gripper, image, camera, state, frame, rotation, statistics, sign, axes, scale or absolute."""
    finding: str
    """What is said if it is so."""
    edit: Callable[[PolicySpec], PolicySpec] | None = None
    """The declaration that would be right; None: `read` says it."""
    read: Callable[[Intents], Intents] | None = None
    """What would be meant by what was said."""
    is_of_sight: bool = False
    """Whether the policy has to be asked again."""
    fits_as: str | None = None
    """The word that would be right, where there are others like it; None: there are none."""


def of_spec(policy: PolicySpec, own: dict[str, dict[str, Normalisation]]) -> Iterator[Suspicion]:
    """Yields what another declaration could say, the most frequent mistakes first.

    Args:
      policy: As it declares itself.
      own: Component -> kind -> statistics of what the expert does, in its declared unit.
    """
    yield from _of_grippers(policy)
    yield from _of_images(policy)
    yield from _of_states(policy)
    if policy.action is not None:
        yield from _of_actions(policy, policy.action, own)


def of_numbers(policy: PolicySpec, said: Intents, wanted: Intents) -> Iterator[Suspicion]:
    """Yields what is no matter of words: signs, axes, and sizes."""
    for name in (n for n in wanted.parts if n in ("translation", "rotation")):
        for i in range(3):
            signs = np.where(np.arange(3) == i, -1.0, 1.0)
            yield Suspicion(kind="sign", finding=f"action {name}: {AXES[i]} looks inverted", read=_times(name, signs))
        for i, j in itertools.combinations(range(3), 2):
            order = [j if k == i else i if k == j else k for k in range(3)]
            yield Suspicion(kind="axes", finding=f"action {name}: {AXES[i]} and {AXES[j]} look exchanged", read=_ordered(name, order))
    for name in (n for n in wanted.parts if n != "gripper"):
        times = ratio(said.parts[name], wanted.parts[name])
        by = policy.normalisation.get(name)
        large = LARGE if by is None else LARGE_OF_STATISTICS
        if np.isfinite(times) and times > 0 and not 1 / large < times < large:
            told = f"{times:.2g} times as large" if times > 1 else f"{1 / times:.2g} times as small"
            finding = f"action {name}: its numbers look scaled: what they are declared to mean is {told} as what the expert does"
            if by is not None:
                finding += f"; un-normalised by {by.kind}: {_OTHER_RANGE[times > 1]}"
            yield Suspicion(kind="scale", finding=finding, read=_times(name, np.array(1 / times)))


def _of_grippers(policy: PolicySpec) -> Iterator[Suspicion]:
    for c in policy.action.components if policy.action is not None else ():
        head = c.convention.removesuffix("_binary")
        if head in _OPPOSITE:
            other = c.convention.replace(head, _OPPOSITE[head])
            yield Suspicion(kind="gripper", finding=f"action {c.name}: looks inverted: declared {c.convention}, and it fits as {other}",
                            edit=_component(c.name, convention=other))  # fmt: skip
        elif c.convention == grippers.OPENING:
            yield Suspicion(kind="gripper", finding=f"action {c.name}: looks inverted: low and high of {c.convention} are the wrong way round",
                            edit=_component(c.name, low=c.high, high=c.low))  # fmt: skip
            declared = f"action {c.name}: its numbers look scaled: declared {c.low[0]:g} m closed and {c.high[0]:g} m open, and they fit as"
            if not 1 / 1.3 < abs(c.high[0] - c.low[0]) / _OPENING_M < 1.3:
                yield Suspicion(kind="gripper", finding=f"{declared} 0 and {_OPENING_M:g}", edit=_component(c.name, low=(0.0,), high=(_OPENING_M,)))
            share = _component(c.name, convention="gripper_open_unit", unit="fraction", low=(0.0,), high=(1.0,))
            yield Suspicion(kind="gripper", finding=f"{declared} gripper_open_unit, shares of its opening", edit=share)
        elif c.convention == grippers.RELATIVE:
            continue


def _of_images(policy: PolicySpec) -> Iterator[Suspicion]:
    images = policy.observation.images
    groups = [images] if len(images) == 1 else [images, *((i,) for i in images)]
    for group in groups:
        names = {i.name for i in group}
        for other in ORIENTATIONS:
            changed = tuple(replace(i, orientation=_turned(i.orientation, other)) if i.name in names else i for i in images)
            if changed != images:
                told = " and ".join(f"{i.name} is declared {i.orientation} and fits as {_turned(i.orientation, other)}" for i in group)
                how = {"mirrored": "mirrored", "flipped_vertical": "upside down", "rotated_180": "turned by half a turn"}[other]
                finding = f"image {', '.join(sorted(names))}: looks {how}: {told}"
                yield Suspicion(kind="image", finding=finding, edit=_images(changed), is_of_sight=True)
    for a, b in itertools.combinations(images, 2):
        sources = {a.name: b.source or b.name, b.name: a.source or a.name}
        changed = tuple(replace(i, source=sources[i.name]) if i.name in sources else i for i in images)
        told = f"cameras look exchanged: {a.name} fits as {sources[a.name]}, {b.name} as {sources[b.name]}"
        yield Suspicion(kind="camera", finding=f"image {a.name}, {b.name}: {told}", edit=_images(changed), is_of_sight=True)


def _turned(declared: str, by: str) -> Orientation:
    wanted = ORIENTATIONS[declared] ^ ORIENTATIONS[by]
    found: Orientation = next(name for name in get_args(Orientation) if ORIENTATIONS[name] == wanted)
    return found


def _of_states(policy: PolicySpec) -> Iterator[Suspicion]:
    forms = {form for s in policy.observation.state for form in _orientations(s)}
    for form in sorted(forms):
        others = [_QUATERNIONS[form]] if form in _QUATERNIONS else [f for f in ("axis_angle", "axis_angle_positive_w", "axis_angle_positive_x",
                  "euler_xyz", "euler_XYZ", "euler_zyx") if rotations.SIZES.get(form) == 3 and f != form]  # fmt: skip
        for other in others:
            changed = tuple(_as_form(s, form, other) for s in policy.observation.state)
            names = ", ".join(s.name for s, c in zip(policy.observation.state, changed, strict=True) if s != c)
            order = "the order of its quaternion looks wrong" if form in _QUATERNIONS else "the form of its rotation looks wrong"
            yield Suspicion(kind="state", finding=f"state {names}: {order}: declared {form}, and it fits as {other}",
                            edit=_states(changed), is_of_sight=True, fits_as=other)  # fmt: skip


def _orientations(s: StateComponent) -> Iterator[str]:
    if not s.parts and s.name.endswith("_wxyz"):
        yield "quaternion_wxyz"
    for part in s.parts:
        if part.form in rotations.SIZES:
            yield part.form
        elif part.form == "as_is" and part.array.endswith("_wxyz"):
            yield "quaternion_wxyz"


def _as_form(s: StateComponent, form: str, other: str) -> StateComponent:
    if not s.parts and s.name.endswith("_wxyz") and form == "quaternion_wxyz":
        return replace(s, parts=(StatePart(array=s.name, form=other, size=s.size),))
    is_meant = [p.form == form or (p.form == "as_is" and p.array.endswith("_wxyz") and form == "quaternion_wxyz") for p in s.parts]
    return replace(s, parts=tuple(replace(p, form=other) if is_so else p for p, is_so in zip(s.parts, is_meant, strict=True)))


def _of_actions(policy: PolicySpec, action: ActionSpec, own: dict[str, dict[str, Normalisation]]) -> Iterator[Suspicion]:
    motions = [c for c in action.components if c.convention == "delta_position" or rotations.delta_form(c.convention) is not None]
    frames = {c.frame for c in motions}
    if len(frames) == 1 and frames <= {"ee", "base"}:
        other = "base" if frames == {"ee"} else "ee"
        names = {c.name for c in motions}
        told = f"action {', '.join(c.name for c in motions)}: declared in the frame {frames.pop()!r}, and fits in {other!r}"
        yield Suspicion(kind="frame", finding=told,
                        edit=lambda p: _changed(p, lambda c: replace(c, frame=other) if c.name in names else c))  # fmt: skip
    for c in motions:
        form = rotations.delta_form(c.convention)
        for another in rotations.SIZES if form is not None else ():
            if another != form and rotations.SIZES[another] == c.size and not another.startswith("axis_angle_"):
                told = f"action {c.name}: the form of its rotation looks wrong: declared {c.convention}, and it fits as delta_{another}"
                yield Suspicion(kind="rotation", finding=told, edit=_component(c.name, convention=f"delta_{another}"), fits_as=f"delta_{another}")
    for name, by in policy.normalisation.items():
        for kind, statistics in own.get(name, {}).items():
            if kind != by.kind and any(c.name == name for c in action.components):
                told = f"action {name}: un-normalised by {by.kind}, and its numbers fit as {kind}"
                told += f": the ranges of the expert's own motions, taken as {kind}, explain what the policy says"
                yield Suspicion(kind="statistics", finding=told, edit=_statistics(name, statistics))


# ---------------------------------------------------------------------------------------------------------------- how each changes
def _component(name: str, **changes: object) -> Callable[[PolicySpec], PolicySpec]:
    return lambda p: _changed(p, lambda c: replace(c, **changes) if c.name == name else c)  # type: ignore[arg-type]


def _changed(policy: PolicySpec, change: Callable[[ActionComponent], ActionComponent]) -> PolicySpec:
    assert policy.action is not None
    return replace(policy, action=replace(policy.action, components=tuple(change(c) for c in policy.action.components)), clip=True)


def _images(images: tuple[ImageComponent, ...]) -> Callable[[PolicySpec], PolicySpec]:
    return lambda p: replace(p, observation=replace(p.observation, images=images))


def _states(states: tuple[StateComponent, ...]) -> Callable[[PolicySpec], PolicySpec]:
    return lambda p: replace(p, observation=replace(p.observation, state=states))


def _statistics(name: str, by: Normalisation) -> Callable[[PolicySpec], PolicySpec]:
    return lambda p: replace(p, normalisation={**p.normalisation, name: by}, clip=True)


def _times(name: str, factor: np.ndarray) -> Callable[[Intents], Intents]:
    return lambda said: said.replaced(name, said.parts[name] * factor)


def _ordered(name: str, order: list[int]) -> Callable[[Intents], Intents]:
    return lambda said: said.replaced(name, said.parts[name][:, order])
