"""Catalogues: named parts of the assets, so that a suite can hold on to the world that it was made for while the world grows."""

from __future__ import annotations

import functools
import tomllib
from dataclasses import dataclass

from vlagym import assets
from vlagym.envs.errors import BadData, unknown_name
from vlagym.envs.fixtures import fixtures
from vlagym.envs.objects import catalog
from vlagym.envs.types import from_plain

FULL = "full"
"""The catalogue that holds everything."""
CORE = "core"
"""The small world of the shipped checkpoint. It is older than the split of places, and its things start anywhere."""


@dataclass(frozen=True, kw_only=True)
class Catalogue:
    """Ids of objects and furniture."""

    objects: frozenset[str]
    fixtures: frozenset[str]


@dataclass(frozen=True, kw_only=True)
class _Keys:
    """Keys of assets/catalogues/<name>.toml."""

    objects: tuple[str, ...]
    fixtures: tuple[str, ...]


def catalogue_names() -> list[str]:
    """Returns the names of all catalogues, sorted."""
    return sorted([FULL, *(p.stem for p in assets.path("catalogues").glob("*.toml"))])


@functools.cache
def catalogue_of(name: str) -> Catalogue:
    """Returns a catalogue: "full" or a file of assets/catalogues.

    Raises:
      UnknownName: For another name, or if its file lists an object or a fixture that does not exist.
      BadData: If its file cannot be read or has other keys.
    """
    if name == FULL:
        return Catalogue(objects=frozenset(catalog()), fixtures=frozenset(fixtures()))
    if name not in catalogue_names():
        raise unknown_name("catalogue", name, catalogue_names())
    where = f"assets/catalogues/{name}.toml"
    try:
        table = tomllib.loads(assets.path(f"catalogues/{name}.toml").read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadData(f"{where} cannot be read: {error}") from error
    raw = from_plain(_Keys, table, where)
    for kind, ids, known in (("object", raw.objects, catalog()), ("fixture", raw.fixtures, fixtures())):
        for identifier in ids:
            if identifier not in known:
                raise unknown_name(kind, identifier, known, f"It stands in {where}.")
    return Catalogue(objects=frozenset(raw.objects), fixtures=frozenset(raw.fixtures))
