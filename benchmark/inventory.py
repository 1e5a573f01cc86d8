"""What the world is made of, for a person: tables and contact sheets of objects, furniture and arenas."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vlagym.benchmark import console

if TYPE_CHECKING:
    from vlagym.benchmark.contact_sheets import Picture

_OBJECT_COLUMNS, _FIXTURE_COLUMNS, _ARENA_COLUMNS = 12, 11, 9
_SCENE = ("place_on", 3)
"""Task and seed of the scene that is shown in every arena."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is shown, and how."""

    kinds: tuple[str, ...] = ()
    """Of objects or furniture; empty: all."""
    png: Path | None = None
    """Where the contact sheet is written; None: only the table is printed."""
    size_px: int | None = None
    """Both sides of a picture on it; None: what suits the sort."""
    is_small: bool = False
    """Whether it is written with 256 colours."""
    quality: str = "high"
    look: str = "auto"


def sorts() -> tuple[str, ...]:
    """Returns what can be shown."""
    return tuple(_SHOWN)


def show(sort: str, wanted: Wanted) -> None:
    """Prints the table of a sort, and writes its contact sheet if one is wanted.

    Raises:
      UnknownName: If there is no such sort or kind; with the near names.
      BadData: If a kind is asked for of what has none.
      NoRenderer: If the GL backend does not render here.
    """
    from vlagym.envs.errors import unknown_name

    if sort not in _SHOWN:
        raise unknown_name("sort of things", sort, _SHOWN)
    console.answer(_SHOWN[sort](wanted))


def _objects(wanted: Wanted) -> str:
    from vlagym.benchmark import contact_sheets
    from vlagym.envs.errors import unknown_name
    from vlagym.envs.objects import catalog

    known = {a.kind for a in catalog().values()}
    for kind in wanted.kinds:
        if kind not in known:
            raise unknown_name("kind of object", kind, known)
    found = [a for a in catalog().values() if not wanted.kinds or a.kind in wanted.kinds]
    if wanted.png is not None:
        _save(contact_sheets.object_portraits(wanted.kinds, wanted.size_px or 200), _OBJECT_COLUMNS, wanted, f"{len(found)} objects")
    found.sort(key=lambda a: (a.kind, a.id))
    rows = [[a.kind, a.id, a.split, a.colour or "", a.material or "", a.category, ", ".join(a.names), ", ".join(a.roles)] for a in found]
    return console.table(rows, ["kind", "object", "split", "colour", "material", "category", "names", "roles"])


def _fixtures(wanted: Wanted) -> str:
    from vlagym.benchmark import contact_sheets

    found = contact_sheets.fixtures_of(wanted.kinds)
    if wanted.png is not None:
        _save(contact_sheets.fixture_portraits(wanted.kinds, wanted.size_px or 200), _FIXTURE_COLUMNS, wanted, f"{len(found)} pieces of furniture")
    rows = [[a.kind, a.id, a.split, a.colour or "", ", ".join(a.names), ", ".join(j.name for j in a.joints)] for a in found]
    return console.table(rows, ["kind", "fixture", "split", "colour", "names", "joints"])


def _arenas(wanted: Wanted) -> str:
    from vlagym.benchmark.episode import WorldOptions
    from vlagym.benchmark.scene_pictures import arena_pictures
    from vlagym.benchmark.entry import sample_episode
    from vlagym.envs.arenas import arena, arena_names
    from vlagym.envs.catalogues import CORE
    from vlagym.envs.errors import BadData
    from vlagym.envs.split import arena_split

    if wanted.kinds:
        raise BadData(f"arenas have no kinds: leave out --kind {wanted.kinds[0]}")
    names = arena_names()
    if wanted.png is not None:
        task, seed = _SCENE
        spec = sample_episode(task, seed=seed, catalogue=CORE)
        options = WorldOptions(quality=wanted.quality, look=wanted.look)
        _save(arena_pictures(spec, options, wanted.size_px or 256), _ARENA_COLUMNS, wanted, f"{len(names)} arenas")
    rows = []
    for name in names:
        here = arena(name)
        rows.append([name, arena_split(name), f"{-here.floor.height_m:.2f}", here.table.shape, here.table.texture or "", len(here.item), here.about])
    return console.table(rows, ["arena", "split", "table_m", "shape", "texture", "furnishings", "about"])


_SHOWN: Mapping[str, Callable[[Wanted], str]] = {"arenas": _arenas, "fixtures": _fixtures, "objects": _objects}


def _save(pictures: Sequence[Picture], columns: int, wanted: Wanted, what: str) -> None:
    from vlagym.benchmark import contact_sheets

    assert wanted.png is not None
    contact_sheets.save(contact_sheets.sheet(pictures, columns=columns), wanted.png, is_small=wanted.is_small)
    console.note(f"{wanted.png}: {what}")
