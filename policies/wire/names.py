"""Where the parts of an observation and of an action stand in the messages of a protocol: a profile's table, or the protocol's own names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.errors import BadData, unknown_name
from vlagym.envs.types import ActionSpec, ObservationSpec

INSTRUCTION, ACTIONS, ACTION_PREFIX = "instruction", "actions", "action."
_PLACE = re.compile(r"(?P<key>[^\[\]\s]+)(\[(?P<inner>[^\[\]\s]+)\])?(?P<chw> chw)?")


@dataclass(frozen=True, kw_only=True)
class Names:
    """What is called how in a message.

    A place is a key (`observation/image`), a key within a map (`images[cam_high]`), and for images also one whose channels come first
    (`images[cam_high] chw`).
    """

    images: Mapping[str, str]
    """Stream of the policy -> place."""
    state: Mapping[str, str]
    """State of the policy -> place."""
    instruction: str
    """Place of the sentence."""
    actions: str
    """Key of the chunk in an answer."""
    parts: Mapping[str, str]
    """Component of the policy's action -> key, where an answer holds each component by itself."""


def read_names(table: Mapping[str, str] | None, default: Names, action: ActionSpec, observation: ObservationSpec, where: str) -> Names:
    """Returns the names of a profile's table; those of the protocol where there is no table.

    A table names every stream and state that the policy reads. It may name the sentence (`instruction`), the chunk (`actions`) and components of
    the action (`action.<component>`), which otherwise are called as the protocol does.

    Args:
      table: Our name -> place.
      default: The names of the protocol.
      action: What the policy sends.
      observation: What it reads.
      where: What the table is called in errors: "[wire.openpi] of profile 'libero'".

    Raises:
      UnknownName: If the table names something that the policy neither reads nor sends.
      BadData: If something that it reads has no place, a place that cannot be, or the place of something else.
    """
    if table is None:
        return _checked(default, where)
    images, state = [i.name for i in observation.images], [s.name for s in observation.state]
    parts = {f"{ACTION_PREFIX}{c.name}": c.name for c in action.components}
    known = [*images, *state, INSTRUCTION, ACTIONS, *parts]
    for name in table:
        if name not in known:
            raise unknown_name("part of an observation or action", name, known, f"It stands in {where}.")
    missing = [name for name in (*images, *state) if name not in table]
    if missing:
        raise BadData(f"{where} does not say where {', '.join(missing)} stands in a message")
    return _checked(
        Names(
            images={name: table[name] for name in images},
            state={name: table[name] for name in state},
            instruction=table.get(INSTRUCTION, default.instruction),
            actions=table.get(ACTIONS, default.actions),
            parts={component: table.get(name, default.parts[component]) for name, component in parts.items()},
        ),
        where,
    )


def _checked(names: Names, where: str) -> Names:
    places = [*names.images.values(), *names.state.values(), names.instruction]
    for place in places:
        if _PLACE.fullmatch(place) is None:
            raise BadData(f"{where} holds the place {place!r}: write a key, or one within a map as key[inner], and ' chw' after that of an image")
    twice = [place for place in places if places.count(place) > 1]
    if twice:
        raise BadData(f"{where} gives the place {twice[0]!r} to two things")
    return names


def put(message: dict[str, Any], place: str, value: Any) -> None:
    """Writes a value to its place in a message; an image with its channels first where the place says so."""
    key, inner, is_chw = _split(place)
    out = np.ascontiguousarray(np.moveaxis(value, -1, 0)) if is_chw else value
    if inner is None:
        message[key] = out
    else:
        message.setdefault(key, {})[inner] = out


def find(message: Mapping[str, Any], place: str) -> Any:
    """Returns what stands at a place of a message, None where nothing does; an image with its channels last."""
    key, inner, is_chw = _split(place)
    value = message.get(key)
    if inner is not None:
        value = value.get(inner) if isinstance(value, Mapping) else None
    if is_chw and isinstance(value, np.ndarray) and value.ndim == 3:
        turned: NDArray[Any] = np.moveaxis(value, 0, -1)
        return turned
    return value


def _split(place: str) -> tuple[str, str | None, bool]:
    found = _PLACE.fullmatch(place)
    assert found is not None, place
    return found["key"], found["inner"], found["chw"] is not None
