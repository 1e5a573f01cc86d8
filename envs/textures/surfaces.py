"""Surfaces: procedural pictures of wood, stone, tiles, cloth and the like, read from assets/surfaces.toml. Equal on every machine."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlagym import assets
from vlagym.envs.textures import patterns
from vlagym.envs.errors import BadData, unknown_name
from vlagym.envs.types import from_plain

_FILE = "surfaces.toml"
_SIDES = (64, 128, 256, 512)


@dataclass(frozen=True, kw_only=True)
class _Keys:
    """Keys of a [surface] table that every pattern takes; the others are the pattern's own."""

    pattern: str
    pixels: int = 256
    """Width and height of the picture."""


def surface_names() -> list[str]:
    """Returns the names of all surfaces, sorted."""
    return sorted(_tables())


@functools.cache
def surface(name: str) -> NDArray[np.uint8]:
    """Returns the picture of a surface: `(H, W, 3)` uint8 RGB, row 0 on top, read-only. Most join seamlessly with copies of themselves.

    Raises:
      UnknownName: If there is no such surface, or its pattern does not exist; with the near names.
      BadData: If its table has a missing, unknown or wrong key.
    """
    tables = _tables()
    if name not in tables:
        raise unknown_name("texture", name, tables, f"A texture is a table [{name}] in assets/{_FILE}.")
    return draw(tables[name], f"{_FILE} [{name}]")


def draw(table: Mapping[str, Any], where: str) -> NDArray[np.uint8]:
    """Returns the picture that a table describes.

    Args:
      table: `pattern`, `pixels`, and the keys of the pattern.
      where: File and place, for the errors.

    Raises:
      UnknownName: If the pattern does not exist.
      BadData: If a key is missing, unknown or wrong.
    """
    own = {key: value for key, value in table.items() if key in _Keys.__dataclass_fields__}
    keys = from_plain(_Keys, own, where)
    if keys.pixels not in _SIDES:
        raise BadData(f"{where}.pixels is {keys.pixels}; it must be one of {', '.join(map(str, _SIDES))}")
    if keys.pattern not in patterns.PATTERNS:
        raise unknown_name("pattern", keys.pattern, patterns.PATTERNS, f"It is asked for in {where}.")
    pattern: type[patterns.Pattern] = patterns.PATTERNS[keys.pattern]
    options = from_plain(pattern, {key: value for key, value in table.items() if key not in own}, where)
    render: Callable[[int], NDArray[np.float64]] = options.render
    picture: NDArray[np.uint8] = np.clip(render(keys.pixels), 0, 255).round().astype(np.uint8)
    picture.flags.writeable = False
    return picture


@functools.cache
def _tables() -> Mapping[str, Mapping[str, Any]]:
    try:
        tables = tomllib.loads(assets.path(_FILE).read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise BadData(f"assets/{_FILE} is not TOML: {error}") from error
    for name, table in tables.items():
        if not isinstance(table, dict):
            raise BadData(f"assets/{_FILE}: {name} must be a table [{name}] with a pattern")
    return tables
