"""What a player's page sends: how the robot is to move, and orders about the episode. Whatever else arrives is refused."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

from vlagym.envs.errors import VlagymError
from vlagym.policies.foreign import told

Order = Literal["start", "again", "another", "give_up", "pause", "resume", "save", "discard", "finish"]
Device = Literal["none", "keyboard", "gamepad", "buttons", "program"]

NUM_AXES = 6
_MOST_HANDS = 2
_WORD_MAX = 40
_TOLD_MAX = 24


class BadMessage(VlagymError):
    """What arrived is no message of a player's page."""


@dataclass(frozen=True, kw_only=True)
class Input:
    """How the robot is to move, from now until the next input. A whole state each time: none depends on an earlier one."""

    episode: int
    """For which try of an episode it is meant; what comes late from the last one moves nothing."""
    axes: tuple[float, ...]
    """(6,) each from -1 to 1: forward, left, up, and turns about these (rolls to the right, tilts down, turns to the left)."""
    limb: str
    """What moves: of `vlagym.benchmark.teleoperation.steering.limbs`."""
    closed: tuple[bool, ...]
    """Of each hand, whether it is to close."""
    is_fast: bool
    view: str
    """A camera, in whose picture "forward" leads away from the eye; "": as the robot looks."""
    device: Device
    large: int
    """Number of the camera that the page shows large."""
    seen: int
    """Number of the last pictures that the page has shown."""


@dataclass(frozen=True, kw_only=True)
class Ordered:
    """An order, and the try of an episode in which it was given."""

    order: Order
    episode: int


def parse(text: str | bytes) -> Input | Ordered:
    """Reads a message.

    Raises:
      BadMessage: If it is none; says what is wrong with it.
    """
    if isinstance(text, bytes):
        raise BadMessage("the message is binary; it must be JSON")
    try:
        data = json.loads(text)
    except ValueError as error:
        raise BadMessage(f"the message is no JSON: {told(error, _TOLD_MAX)}") from error
    if not isinstance(data, dict):
        raise BadMessage("the message is JSON, but no object")
    kind = data.pop("type", None)
    if kind not in ("input", "order"):
        raise BadMessage(f"the type of the message is {told(kind, _TOLD_MAX)}; it must be input or order")
    wanted = ("episode", "axes", "limb", "closed", "fast", "view", "device", "large", "seen") if kind == "input" else ("order", "episode")
    if set(data) != set(wanted):
        raise BadMessage(f"{kind} has the keys {told(sorted(data), _TOLD_MAX)}; it must have: {', '.join(wanted)}")
    episode = _count(data, "episode")
    if kind == "order":
        return Ordered(order=_word(data, "order", get_args(Order)), episode=episode)
    axes, closed = data["axes"], data["closed"]
    if not (isinstance(axes, list) and len(axes) == NUM_AXES and all(_is_share(a) for a in axes)):
        raise BadMessage(f"axes are {told(axes, _TOLD_MAX)}; they must be {NUM_AXES} numbers from -1 to 1")
    if not (isinstance(closed, list) and 1 <= len(closed) <= _MOST_HANDS and all(isinstance(c, bool) for c in closed)):
        raise BadMessage(f"closed is {told(closed, _TOLD_MAX)}; it must be true or false for each hand")
    if not isinstance(data["fast"], bool):
        raise BadMessage(f"fast is {told(data['fast'], _TOLD_MAX)}; it must be true or false")
    for key in ("limb", "view"):
        if not isinstance(data[key], str) or len(data[key]) > _WORD_MAX:
            raise BadMessage(f"{key} is {told(data[key], _TOLD_MAX)}; it must be a word")
    return Input(
        episode=episode,
        axes=tuple(float(a) for a in axes),
        limb=data["limb"],
        closed=tuple(closed),
        is_fast=data["fast"],
        view=data["view"],
        device=_word(data, "device", get_args(Device)),
        large=_count(data, "large"),
        seen=_count(data, "seen"),
    )


def _is_share(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and -1.0 <= value <= 1.0


def _count(data: dict[str, Any], key: str) -> int:
    value = data[key]
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**53:
        raise BadMessage(f"{key} is {told(value, _TOLD_MAX)}; it must be a whole number, 0 or more")
    return value


def _word(data: dict[str, Any], key: str, known: tuple[str, ...]) -> Any:
    if data[key] not in known:
        raise BadMessage(f"{key} is {told(data[key], _TOLD_MAX)}; it must be one of: {', '.join(known)}")
    return data[key]
