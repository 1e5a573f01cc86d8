"""Where the card of a dataset lies: within a folder that vlagym wrote, where readers of its format do not look; beside everything else.

    <folder>/README.md                      the page, as the Hugging Face hub shows it
             vlagym/card/card.json, *.png   the rest; of RLDS below the folder of the version

    <file>.card/README.md, card.json, *.png

Folders that others made are not written to: to our readers a folder `vlagym` in them would mean that vlagym wrote them.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from vlagym.envs.errors import BadData
from vlagym.results.datacard.card import CARD_JSON
from vlagym.results.datacard.markdown import MARK
from vlagym.results.formats._episode_files_view import INDEX
from vlagym.results.formats._sidecar import FOLDER

PAGE = "README.md"
_CARD = "card"
_SUFFIX = ".card"
_NEW = ".new"
"""Behind the name of a folder while it is filled."""
_VERSION = re.compile(r"\d+\.\d+\.\d+")


class Place(NamedTuple):
    """Where a card is written."""

    page: Path
    folder: Path
    """Of card.json and the pictures; nothing else lies in it."""

    @property
    def pictures(self) -> str:
        """The folder, relative to the page; "" where the page lies in it."""
        found = Path(os.path.relpath(self.folder, self.page.parent)).as_posix()
        return "" if found == "." else found


def place_of(dataset: Path, out: Path | None = None) -> Place:
    """Returns where the card of a dataset belongs.

    Args:
      dataset: Its file or folder.
      out: A folder that was asked for instead.
    """
    if out is not None:
        return Place(out / PAGE, out)
    own = _own_folder(dataset) if dataset.is_dir() else None
    if own is None:
        beside = dataset.with_name(dataset.name + _SUFFIX)
        return Place(beside / PAGE, beside)
    folder = own / _CARD
    page = dataset / PAGE
    return Place(page if not page.exists() or is_ours(page) else folder / PAGE, folder)


def is_ours(page: Path) -> bool:
    """Returns whether a page is a data card that vlagym wrote: another one is not written over."""
    return page.is_file() and MARK in page.read_text(encoding="utf-8", errors="replace")


def size_of(dataset: Path, place: Place) -> tuple[int, int]:
    """Returns how many bytes a dataset has, and in how many files, its card left out."""
    if dataset.is_file():
        return dataset.stat().st_size, 1
    files = [f for f in dataset.rglob("*") if f.is_file() and f != place.page and place.folder not in f.parents]
    return sum(f.stat().st_size for f in files), len(files)


def put(place: Place, fill: Callable[[Path], str]) -> None:
    """Writes a card in the place of an earlier one, which stays until the new one is whole.

    Args:
      place: Where.
      fill: Fills an empty folder with card.json and the pictures, and returns the page.

    Raises:
      BadData: If something else lies there, or nothing can be written there.
    """
    folder = place.folder
    if folder.exists() and not (folder.is_dir() and ((folder / CARD_JSON).is_file() or not any(folder.iterdir()))):
        raise BadData(f"{folder} is there and holds no data card: choose another folder, with --out")
    new = folder.with_name(folder.name + _NEW)
    try:
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(parents=True)
        try:
            page = fill(new)
            if place.page.parent == folder:
                (new / PAGE).write_text(page, encoding="utf-8")
            shutil.rmtree(folder, ignore_errors=True)
            new.rename(folder)
        finally:
            shutil.rmtree(new, ignore_errors=True)
        if place.page.parent != folder:
            waiting = place.page.with_name(place.page.name + _NEW)
            waiting.write_text(page, encoding="utf-8")
            waiting.replace(place.page)
    except OSError as error:
        raise BadData(f"the card cannot be written to {folder}: {error}. Choose another folder, with --out") from error


def _own_folder(dataset: Path) -> Path | None:
    """Returns the folder `vlagym` of a folder that vlagym wrote; None of one that others made."""
    if (dataset / INDEX).is_file():
        return dataset / FOLDER
    versions = [p for p in dataset.iterdir() if _VERSION.fullmatch(p.name) and p.is_dir()]
    newest = sorted(versions, key=lambda p: tuple(map(int, p.name.split("."))))[-1:]
    return next((root / FOLDER for root in (dataset, *newest) if (root / FOLDER / "info.json").is_file()), None)
