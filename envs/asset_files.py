"""The files that describe assets: a variant over its design, keys checked by name, shape tables turned into shapes."""

from __future__ import annotations

import dataclasses
import functools
import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

from vlagym.envs.errors import BadData, unknown_name
from vlagym.envs.shapes.shape_tables import collision_pieces, visual_part
from vlagym.envs.shapes.parts import Part, Primitive
from vlagym.envs.types import from_plain

Split = Literal["seen", "unseen"]
T = TypeVar("T")


class Shapes(NamedTuple):
    """What of an asset is seen, and what is touched."""

    visual: tuple[Part, ...]
    collision: tuple[Primitive, ...]


class Identity(NamedTuple):
    """Where an asset lies, which says what it is: `<kind>/<id>/object.toml`."""

    kind: str
    id: str
    where: str
    """The last three parts of the path, for errors."""


def identity(path: Path) -> Identity:
    """Returns what the path of an asset's file says."""
    return Identity(kind=path.parent.parent.name, id=path.parent.name, where="/".join(path.parts[-3:]))


def read(path: Path, keys: type[T]) -> T:
    """Reads a variant's file over its design, if it names one: a file `<kind>/<design>.toml` with the keys that variants share.

    Args:
      path: `<kind>/<id>/object.toml` or the like. What stands in it wins over the design.
      keys: The dataclass of all keys that the two may hold together.

    Raises:
      BadData: If a file cannot be read, or a key is unknown, missing or wrong; with the file and the key.
    """
    table = _toml(path, keys)
    if table.get("design"):
        design = path.parent.parent / f"{table['design']}.toml"
        if not design.exists():
            there = [p.stem for p in design.parent.glob("*.toml")]
            hint = f"A design is a TOML file of the folder {design.parent.name}/."
            raise BadData(f"{identity(path).where}: {unknown_name('design', str(table['design']), there, hint)}")
        table = {**_toml(design, keys), **table}
    return from_plain(keys, table, identity(path).where)


def read_table(path: Path, keys: type[T], where: str) -> T:
    """Reads a TOML file that holds the keys of a dataclass and no others.

    Raises:
      BadData: If it cannot be read, or a key is unknown, missing or wrong; with the file, as `where` calls it, and the key.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadData(f"{where} cannot be read: {error}") from error
    return from_plain(keys, table, where)


def shapes(visual: Sequence[Any], collision: Sequence[Any], where: str, *, painted: bool = False) -> Shapes:
    """Returns the shapes that [[visual]] and [[collision]] tables describe.

    Equal tables give the very same objects, so that a renderer stores the mesh of all variants of a design once.

    Args:
      visual: Tables as the TOML reader gives them.
      collision: Tables as the TOML reader gives them.
      where: File and place, for the errors.
      painted: Whether the asset may have no [[collision]], as it is only painted on the table.

    Raises:
      BadData: If there is none of a sort, or a table is wrong.
    """
    if not visual or not (collision or painted):
        raise BadData(f"{where} needs at least one [[visual]] and one [[collision]] shape")
    try:
        return _shapes(json.dumps([visual, collision]))
    except BadData as error:
        raise BadData(f"{where}: {error}") from error


@functools.cache
def _shapes(tables: str) -> Shapes:
    visual, collision = json.loads(tables)
    return Shapes(
        visual=tuple(visual_part(table, f"visual[{i}]") for i, table in enumerate(visual)),
        collision=tuple(piece for i, table in enumerate(collision) for piece in collision_pieces(table, f"collision[{i}]")),
    )


def check_names(names: Sequence[str], unseen_names: Sequence[str], where: str) -> None:
    """Raises BadData unless there is a name, and no name stands twice."""
    if not names:
        raise BadData(f"{where}.names is empty; it needs at least one English noun")
    words = [*names, *unseen_names]
    twice = sorted({w for w in words if words.count(w) > 1})
    if twice:
        raise BadData(f"{where} has the name {twice[0]!r} twice; a word is either seen or unseen")


def _toml(path: Path, keys: type[Any]) -> Mapping[str, Any]:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadData(f"{identity(path).where} cannot be read: {error}") from error
    known = [f.name for f in dataclasses.fields(keys)]
    for key in table:
        if key not in known:
            raise BadData(f"{identity(path).where}: {unknown_name('key', key, known)}")
    return table
