"""How large a profile may be. A server may announce one, and images, vectors and histories of that size are made before it has sent anything."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from vlagym.envs.errors import BadData
from vlagym.policies.foreign import NAME_MAX, told

SIDE_MAX = 4096
"""Pixels of a side of an image."""
PIXELS_MAX = 1 << 26
"""Of all images that an observation holds, those of its history included: 192 MiB."""
IMAGES_MAX, STATES_MAX, COMPONENTS_MAX, PARTS_MAX = 16, 64, 64, 64
STATE_MAX, ACTION_MAX = 4096, 256
"""Numbers of a state, of a component of the action."""
STEPS_MAX = 1024
"""Actions of a chunk; steps that a command is held."""
HISTORY_MAX = 65
"""Observations that it is shown at once."""
_VALUES_MAX, _LETTERS_MAX, _DEPTH_MAX = 20_000, 4000, 12
"""Of all that it says, and of each text. The largest that ships with vlagym has some 500 values."""


def check_bounds(data: Any, where: str) -> None:
    """Checks a profile while it is plain data, before anything is made of it. Types are not looked at here.

    Args:
      data: Tables, as `Profile.from_plain` takes them.
      where: What it is called in errors.

    Raises:
      BadData: If it says too much, or declares something that is too large; or if a text of it cannot be printed.
    """
    _check_volume(data, where)
    for path, found, most in _sizes(data):
        if isinstance(found, int) and found > most:
            raise BadData(f"{where}.{path} is {told(found, NAME_MAX)}, and {most} is the most that is allowed")
    observation = _table(data, "observation")
    pixels = sum(_whole(image, "width") * _whole(image, "height") for image in _rows(observation, "images"))
    moments = max(1, len(_rows(data, "history")))
    if pixels * moments > PIXELS_MAX:
        raise BadData(f"{where} reads {pixels} pixels in each of {moments} observations; at most {PIXELS_MAX} are held in all")


def _check_volume(data: Any, where: str) -> None:
    left: list[tuple[Any, int]] = [(data, 0)]
    values = 0
    while left:
        one, depth = left.pop()
        values += 1
        if values > _VALUES_MAX or depth > _DEPTH_MAX:
            raise BadData(f"{where} says more than a profile does: at most {_VALUES_MAX} values, {_DEPTH_MAX} deep in each other")
        texts = [one] if isinstance(one, str) else [str(key) for key in one] if isinstance(one, Mapping) and len(one) <= _VALUES_MAX else []
        for text in texts:
            if len(text) > _LETTERS_MAX or not text.replace("\n", " ").isprintable():
                found = f"{where} holds a text of {len(text)} letters, {told(text, NAME_MAX)!r}"
                raise BadData(f"{found}; at most {_LETTERS_MAX} that can be printed are allowed")
        inner = list(one.values()) if isinstance(one, Mapping) else one if isinstance(one, (list, tuple)) else ()
        if len(inner) > _VALUES_MAX:
            raise BadData(f"{where} says more than a profile does: a list of {len(inner)} values; at most {_VALUES_MAX} are allowed in all")
        left += [(value, depth + 1) for value in inner]


def _sizes(data: Any) -> Iterator[tuple[str, Any, int]]:
    """Yields the path of each size, what it is, and the most that is allowed."""
    action, observation = _table(data, "action"), _table(data, "observation")
    images, states, components = _rows(observation, "images"), _rows(observation, "state"), _rows(action, "components")
    yield "observation.images.length", len(images), IMAGES_MAX
    yield "observation.state.length", len(states), STATES_MAX
    yield "action.components.length", len(components), COMPONENTS_MAX
    yield "history.length", len(_rows(data, "history")), HISTORY_MAX
    for name in ("chunk_steps", "execute_steps", "sticky_steps"):
        yield name, _get(data, name), STEPS_MAX
    for index, image in enumerate(images):
        for side in ("width", "height", "crop"):
            yield f"observation.images[{index}].{side}", _get(image, side), SIDE_MAX
    for index, state in enumerate(states):
        at = f"observation.state[{index}]"
        yield f"{at}.size", _get(state, "size"), STATE_MAX
        yield f"{at}.parts.length", len(_rows(state, "parts")), PARTS_MAX
        for inner, part in enumerate(_rows(state, "parts")):
            yield f"{at}.parts[{inner}].size", _get(part, "size"), STATE_MAX
    for index, component in enumerate(components):
        yield f"action.components[{index}].size", _get(component, "size"), ACTION_MAX


def _get(data: Any, name: str) -> Any:
    return data.get(name) if isinstance(data, Mapping) else None


def _table(data: Any, name: str) -> Mapping[str, Any]:
    found = _get(data, name)
    return found if isinstance(found, Mapping) else {}


def _rows(data: Any, name: str) -> Sequence[Any]:
    found = _get(data, name)
    return found if isinstance(found, (list, tuple)) else ()


def _whole(data: Any, name: str) -> int:
    found = _get(data, name)
    return max(0, found) if isinstance(found, int) else 0
