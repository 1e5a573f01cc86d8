"""What a policy declares that cannot be, whatever the environment: numbers that mean nothing, ranges without a width, one name for two things.

`connect` and profiles ask here, so that a declaration is refused by the same words wherever it was written.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence

from vlagym.envs.errors import BadData, BadSpec
from vlagym.envs.types import ActionComponent, ImageComponent, StateComponent, StatePart, from_plain, to_plain
from vlagym.policies.base import Normalisation, PolicySpec
from vlagym.policies.conversions import grippers

SLOWEST_HZ = 0.1
"""A policy acts at least so often: of what is slower, one step lasts longer than a good part of an episode, for which it sees nothing."""
FASTEST_HZ = 1000.0
HISTORY_MAX = 64
"""A policy looks back at most so many of its steps; every observation until then is kept in memory, images included."""
OPENING_MAX_M = 0.25
"""Parallel grippers open 0.07 to 0.2 m; what is declared to open farther is a share, or was said in other units."""
_IGNORED = "ignored"
_QUATERNION_MIN = 1e-3


def contradictions(policy: PolicySpec) -> list[str]:
    """Returns what cannot be, each as the end of a sentence that begins with what declares it: "declares action 'gripper' with the scale nan"."""
    try:
        from_plain(PolicySpec, to_plain(policy), "spec")
    except (BadData, BadSpec) as error:
        return [f"declares what cannot be read: {error}"]
    components = () if policy.action is None else policy.action.components
    observation = policy.observation
    found = [line for c in components for line in _component(c)]
    found += [line for image in observation.images for line in _image(image)]
    found += [line for state in observation.state for line in _state(state)]
    return [*found, *_names(policy), *_steps(policy), *_rates(policy), *_statistics(policy), *_rest(policy)]


# ------------------------------------------------------------------------------------------------------------------------- actions
def _component(c: ActionComponent) -> Iterator[str]:
    about = f"declares action {c.name!r} with"
    if c.size < 1:
        yield f"{about} the size {c.size}: it must be at least 1"
    if not (math.isfinite(c.scale) and c.scale > 0):
        yield f"{about} the scale {c.scale:g}: what 1 is, in its unit, must be a finite number above 0"
    if (len(c.low), len(c.high)) != (c.size, c.size):
        yield f"{about} {c.size} numbers, and {len(c.low)} of low and {len(c.high)} of high"
    elif not all(map(math.isfinite, (*c.low, *c.high))):
        yield (
            f"{about} the range {_range(c)}, which is not finite: declare what it sends at most, and clip = true where that is more than the "
            "environment takes"
        )
    elif c.convention != _IGNORED:
        yield from _ends(c, about)


def _ends(c: ActionComponent, about: str) -> Iterator[str]:
    ends = grippers.ends(c)
    if c.convention == grippers.OPENING:
        if c.low == c.high:
            yield f"{about} the range {_range(c)}: its low is its high, and they must be the openings that are closed and fully open"
        elif max(map(abs, (*c.low, *c.high))) > OPENING_MAX_M:
            yield (
                f"{about} the range {_range(c)}: {c.convention} is an opening in m, and no hand opens farther than {OPENING_MAX_M:g} m; say in low "
                "and high at how many m it is closed and fully open, or, if it sends the share that it is open, gripper_open_unit"
            )
    elif ends is not None:
        least, most = sorted(ends)
        if any(abs(low - least) > 1e-6 for low in c.low) or any(abs(high - most) > 1e-6 for high in c.high):
            yield f"{about} the range {_range(c)}: of {c.convention} it is {least:g} to {most:g}, and only then can it open and close"
    elif c.convention == grippers.RELATIVE and not all(low < 0 < high for low, high in zip(c.low, c.high, strict=True)):
        yield f"{about} the range {_range(c)}: of {c.convention} it must go from below 0, or it never opens, to above 0, or it never closes"
    else:
        above = [i for i, (low, high) in enumerate(zip(c.low, c.high, strict=True)) if low > high]
        if above:
            yield f"{about} the range {_range(c)}: at index {above[0]}, low is {c.low[above[0]]:g} and must not be above {c.high[above[0]]:g}"
        elif c.low == c.high:
            yield f"{about} the range {_range(c)}: low is high in all of it, so that whatever it sends is the same"


def _range(c: ActionComponent) -> str:
    low, high = (_numbers(side) for side in (c.low, c.high))
    return f"{low} to {high}"


def _numbers(values: Sequence[float]) -> str:
    """Returns numbers in words: one where all are the same."""
    told = [f"{value:g}" for value in values]
    return told[0] if len(set(told)) == 1 else f"({', '.join(told)})"


# -------------------------------------------------------------------------------------------------------------------- observations
def _image(image: ImageComponent) -> Iterator[str]:
    for side in ("width", "height", "crop"):
        pixels = getattr(image, side)
        if pixels is not None and pixels < 1:
            yield f"declares image {image.name!r} with the {side} {pixels}: it must be at least 1"
    if image.centre_share is not None and not 0 < image.centre_share <= 1:
        yield f"declares image {image.name!r} with the centre_share {image.centre_share:g}: it is a share of the area, more than 0 and at most 1"


def _state(state: StateComponent) -> Iterator[str]:
    if state.size < 1:
        yield f"declares state {state.name!r} with the size {state.size}: it must be at least 1"
    for index, part in enumerate(state.parts):
        yield from (f"declares state {state.name!r} with, in part {index} ({part.array or part.form}), {wrong}" for wrong in _part(part))


def _part(part: StatePart) -> Iterator[str]:
    if part.size < 1:
        yield f"the size {part.size}: it must be at least 1"
    if not (math.isfinite(part.gain) and part.gain != 0):
        yield f"the gain {part.gain:g}: it must be a finite number other than 0"
    if not all(map(math.isfinite, part.offset)):
        yield f"the offset {_numbers(part.offset)}: it must be finite"
    if part.turn_wxyz is not None and not (math.isfinite(length := math.hypot(*part.turn_wxyz)) and length >= _QUATERNION_MIN):
        yield f"the turn_wxyz {_numbers(part.turn_wxyz)}: it must be a quaternion, finite and other than 0"


# ------------------------------------------------------------------------------------------------------------------------ all of it
def _names(policy: PolicySpec) -> Iterator[str]:
    components = () if policy.action is None else policy.action.components
    parts = [("component", c.name) for c in components]
    parts += [("image", i.name) for i in policy.observation.images] + [("state", s.name) for s in policy.observation.state]
    for part in dict.fromkeys(parts):
        kind, name = part
        if parts.count(part) > 1:
            yield f"has {'two' if parts.count(part) == 2 else parts.count(part)} parts of one name: {kind} {name!r}"
        if not name.strip():
            yield f"has a part without a name: {kind} {name!r}"


def _steps(policy: PolicySpec) -> Iterator[str]:
    if not 1 <= policy.execute_steps <= policy.chunk_steps:
        yield f"executes {policy.execute_steps} of {policy.chunk_steps} actions; it must be 1 to chunk_steps"
    history = policy.history
    if not history or history[-1] != 0 or any(a >= b for a, b in zip(history, history[1:], strict=False)):
        yield f"declares the history {history}: it rises to 0, the present step, as in (-1, 0)"
    elif history[0] < -HISTORY_MAX:
        yield f"declares the history {history}: it may look back {HISTORY_MAX} of its steps, and not {-history[0]}"
    conventions = [] if policy.action is None else [c.convention for c in policy.action.components]
    if policy.sticky_steps < 0 or (policy.sticky_steps and grippers.RELATIVE not in conventions):
        yield f"holds gripper commands for {policy.sticky_steps} steps and sends none of the convention {grippers.RELATIVE}"


def _rates(policy: PolicySpec) -> Iterator[str]:
    allowed = f"{SLOWEST_HZ:g} to {FASTEST_HZ:g} Hz"
    if policy.action is not None and not SLOWEST_HZ <= policy.action.rate_hz <= FASTEST_HZ:
        yield f"acts at {policy.action.rate_hz:g} Hz; the rate must be {allowed}"
    reads = policy.observation.rate_hz
    if not (SLOWEST_HZ <= reads <= FASTEST_HZ or (policy.action is None and reads == 0)):
        yield f"reads at {reads:g} Hz; the rate must be {allowed}" + (", or 0 for the environment's" if policy.action is None else "")


def _statistics(policy: PolicySpec) -> Iterator[str]:
    acts = [] if policy.action is None else [c.name for c in policy.action.components]
    reads = [s.name for s in policy.observation.state]
    for name, by in policy.normalisation.items():
        if (name in acts) == (name in reads):
            what = "both of an action and of a state; name one of them otherwise" if name in acts else "neither of its action nor of its state"
            yield f"has statistics of {name!r}, which is the name {what}. It has: {', '.join(dict.fromkeys([*acts, *reads])) or 'none'}"
        elif name in acts and not _has_width(by):
            which = "all of its standard deviations are 0" if by.kind == "mean_std" else "all of its first numbers are its second ones"
            yield f"has statistics of the action {name!r} by which whatever it sends is the same: {which}"


def _has_width(by: Normalisation) -> bool:
    """Returns whether any number that is sent still counts. Single ones that never varied are usual in statistics of data."""
    mask = by.mask or (True,) * by.size
    return any(not m or (b > 0 if by.kind == "mean_std" else b > a) for a, b, m in zip(by.first, by.second, mask, strict=True))


def _rest(policy: PolicySpec) -> Iterator[str]:
    if policy.reads_all_state and (policy.action is not None or policy.observation.state):
        yield (
            "asks for all of proprioception (reads_all_state) and declares what it sends or reads: "
            "declare the arrays that it reads in the observation's state"
        )
    try:
        json.dumps(to_plain(policy.card), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        yield f"has a card that cannot be written as JSON ({error}): it must hold words, finite numbers, lists and tables of them"
