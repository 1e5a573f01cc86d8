"""What a model said, as it can be kept in a transcript and sent back with the next request: text that UTF-8 holds, numbers of JSON, bounded.

A model's nonsense is the model's failure and no error of the episode. So nothing that it says may be too large to be kept, or impossible to write.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from vlagym.policies.foreign import told

TEXT_MAX = 65_536
"""Characters of an answer's text that are read; several times what `max_tokens` usually allows."""
ARGUMENTS_MAX = 8_000
"""Characters of the arguments of a call."""
CALLS_MAX = 32
"""Calls of one answer."""
OTHERS_MAX = 65_536
"""Characters of all else that stands in a message (what some models reasoned, for one)."""
_DEPTH_MAX = 16
"""Lists and maps within each other."""
_NO_ROOM_MAX = 8
"""Fields for which there was no room that are named."""
_DIGITS_MAX = 18
"""Of a whole number: any reader of JSON can hold it."""


def loads(text: str | bytes) -> Any:
    """Reads JSON; numbers that are not finite, and whole ones of more than 18 digits, are None, and half a character of UTF-16 is U+FFFD.

    Raises:
      ValueError: If it is no JSON.
      RecursionError: If it is too deep.
    """
    return plain(json.loads(text, parse_constant=lambda _: None, parse_float=_finite, parse_int=_integer))


def plain(value: Any, depth: int = _DEPTH_MAX) -> Any:
    """Returns a value of JSON whose texts are `well_formed`; what lies deeper than so many lists and maps is None."""
    if isinstance(value, str):
        return well_formed(value)
    if isinstance(value, (dict, list)) and depth == 0:
        return None
    if isinstance(value, dict):
        return {well_formed(key): plain(inner, depth - 1) for key, inner in value.items()}
    return [plain(inner, depth - 1) for inner in value] if isinstance(value, list) else value


def well_formed(text: str) -> str:
    """Returns a text that can be written as UTF-8."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def cut(text: str, most: int) -> str:
    """Returns no more than the first so many characters; what was left out is said."""
    return text if len(text) <= most else f"{text[:most]} (… {len(text) - most} more characters)"


def bounded(fields: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Returns the fields of a message as long as there is room for them, and for what there was none, each in a few words.

    A text is cut, anything else left out. Room is counted in characters.
    """
    room, out, no_room = OTHERS_MAX, {}, []
    for key, value in fields.items():
        is_text = isinstance(value, str)
        size = len(value) if is_text else len(json.dumps(value, ensure_ascii=False))
        left = room - len(key)
        if size > left:
            no_room.append(f"{told(key)} of {size} characters was " + (f"cut after {left}" if is_text and left > 0 else "left out"))
        if size <= left or (is_text and left > 0):
            out[key], room = cut(value, left) if is_text else value, max(0, left - size)
    if len(no_room) > _NO_ROOM_MAX:
        no_room[_NO_ROOM_MAX:] = [f"{len(no_room) - _NO_ROOM_MAX} more fields were left out"]
    return out, no_room


def _finite(text: str) -> float | None:
    value = float(text)
    return value if math.isfinite(value) else None


def _integer(text: str) -> int | None:
    return int(text) if len(text) <= _DIGITS_MAX else None
