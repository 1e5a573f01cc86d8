"""Films and strips of episodes: found beside a run, or rendered for the site, and copied into it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from vlagym.envs.errors import BadData
from vlagym.results.store import VIDEOS

FILMS = (".mp4", ".webm")
PICTURES = (".gif", ".png", ".jpg", ".jpeg", ".webp")

Kind = Literal["film", "picture"]


@dataclass(frozen=True, kw_only=True)
class Media:
    """Files that show episodes."""

    files: Mapping[tuple[Path, str], Path] = field(default_factory=dict)
    """(run folder, digest of the episode) -> a file of one of FILMS or PICTURES."""
    how: str = ""
    """How the files were made, in words that whoever makes them compares: a film that stands in a site and was made so need not be made again."""

    def of_run(self, run: Path) -> dict[str, Path]:
        """Returns digest -> file for one run folder: what was handed in, and what lies in its videos/ under the digest of an episode."""
        return {path.stem: path for path in _beside(run)} | self.made(run)

    def made(self, run: Path) -> dict[str, Path]:
        """Returns digest -> file of what was handed in for one run folder."""
        return {digest: path for (folder, digest), path in self.files.items() if folder.resolve() == run.resolve()}


def kind_of(path: Path | str) -> Kind:
    """Returns whether a file is played or looked at.

    Raises:
      BadData: If it is neither a film nor a picture.
    """
    suffix = Path(path).suffix.lower()
    if suffix in FILMS:
        return "film"
    if suffix in PICTURES:
        return "picture"
    raise BadData(f"{path} is neither a film ({', '.join(FILMS)}) nor a picture ({', '.join(PICTURES)}); a browser would not show it")


def copy(source: Path, folder: Path, digest: str) -> str:
    """Copies the film or strip of an episode into the site and returns its file name.

    Args:
      source: The file.
      folder: Where it goes; made where it lacks.
      digest: Of the episode: the name of the copy.

    Raises:
      BadData: If it is neither film nor picture, or empty.
    """
    kind_of(source)
    if not source.is_file() or source.stat().st_size == 0:
        raise BadData(f"{source} should show episode {digest} and is {'empty' if source.is_file() else 'not there'}. Render it again, or remove it")
    name = f"{digest}{source.suffix.lower()}"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, folder / name)
    return name


def _beside(run: Path) -> Sequence[Path]:
    """Returns what lies in the videos of a run, films last: where an episode has both, the film is shown."""
    folder = run / VIDEOS
    if not folder.is_dir():
        return ()
    shown = [p for p in folder.iterdir() if p.suffix.lower() in (*FILMS, *PICTURES) and p.is_file() and p.stat().st_size]
    return sorted(shown, key=lambda p: (p.suffix.lower() in FILMS, p.name))
