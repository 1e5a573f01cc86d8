"""What stands where a leaderboard is to be built: nothing, a leaderboard of ours, or the work of somebody else, which is left alone."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from vlagym.envs.errors import BadData
from vlagym.envs.types import EpisodeResult, canonical_json, sha, to_plain
from vlagym.results.site.media import FILMS, PICTURES
from vlagym.results.site.words import clipped, counted, slug
from vlagym.results.store import HEADER

MARK = "site.json"
"""Lies in every folder that `folder.build` made, and says so: only such a folder is replaced."""

_SCHEMA = 3
_SHOWN = 5


class Shown(NamedTuple):
    """What the mark says of a film or strip."""

    of: str
    """`key_of` the episode that it was made of."""
    how: str = ""
    """As `Media.how`; empty where nobody knows, as for what lay beside a run."""
    size: int | None = None
    """Of the file, in bytes; None in marks of older versions."""


@dataclass(frozen=True, kw_only=True)
class Standing:
    """The leaderboard that stands in a folder; empty where there is none."""

    path: Path
    policies: tuple[str, ...] = ()
    is_known: bool = True
    """Whether its mark says which policies it shows; those of older versions do not."""
    shows: Mapping[str, Shown] = field(default_factory=dict)
    """Film or strip, as a path within the folder -> what is known of it."""

    def of_run(self, results: Sequence[EpisodeResult], policy: str, run: str) -> dict[str, Path]:
        """Returns digest -> film or strip of those episodes of a run that are the ones that it was made of."""
        found: dict[str, Path] = {}
        place = f"media/{slug(policy)}/{slug(run)}"
        for result in results:
            for suffix in (*PICTURES, *FILMS):  # a film before a strip, as of a run
                name = f"{place}/{result.digest}{suffix}"
                if self._is_of(name, result):
                    found[result.digest] = self.path / name
        return found

    def made(self, result: EpisodeResult, policy: str, *, suffix: str, how: str) -> Path | None:
        """Returns the whole film or strip of an episode that was made in a certain way; None where there is none, so that it must be made.

        Args:
          result: The episode, as it was played.
          policy: Who played it.
          suffix: ".mp4" or another of FILMS and PICTURES.
          how: As `Media.how`.
        """
        place = f"media/{slug(policy)}"
        for path in sorted((self.path / place).glob(f"*/{result.digest}{suffix}")):
            name = f"{place}/{path.parent.name}/{path.name}"
            if self._is_of(name, result) and self.shows[name].how == how:
                return path
        return None

    def how(self, path: Path) -> str:
        """Returns how a film or strip that stands here was made; empty where nobody knows, or it does not stand here."""
        return self.shows[path.relative_to(self.path).as_posix()].how if self.holds(path) else ""

    def holds(self, path: Path) -> bool:
        """Returns whether a file is a film or strip that stands here."""
        return path.is_relative_to(self.path) and path.relative_to(self.path).as_posix() in self.shows

    def _is_of(self, name: str, result: EpisodeResult) -> bool:
        """Returns whether a film is of an episode as it was played, and is there whole."""
        shown, path = self.shows.get(name), self.path / name
        if shown is None or shown.of != key_of(result) or not path.is_file():
            return False
        size = path.stat().st_size
        return size > 0 and shown.size in (None, size)

    def lost(self, policies: Collection[str], *, kept: int) -> tuple[str, ...]:
        """Returns what is gone when a leaderboard of some policies stands here, in words.

        Args:
          policies: Those of the new one.
          kept: How many of its films and strips the new one has.
        """
        gone = [name for name in self.policies if name not in policies]
        told = [f"the policy {clipped(name)}" for name in gone]
        films = len(self.shows) - kept
        return (*told, *([f"{counted(films, 'film or strip', 'films and strips')}"] if films > 0 else []))


def read(out: Path) -> Standing:
    """Returns what stands in a folder."""
    mark = _mark(out)
    if mark is None:
        return Standing(path=out)
    policies, shows = mark.get("policies"), mark.get("shows")
    if not isinstance(policies, list) or not isinstance(shows, dict):
        return Standing(path=out, is_known=False)
    return Standing(path=out, policies=tuple(map(str, policies)), shows={name: _shown(of) for name, of in shows.items()})


def _shown(plain: object) -> Shown:
    """Returns what a mark says of a film; those of schema 2 say only whose it is."""
    if not isinstance(plain, dict):
        return Shown(str(plain))
    size = plain.get("bytes")
    return Shown(str(plain.get("of")), str(plain.get("how", "")), size if isinstance(size, int) else None)


def write(folder: Path, title: str, runs: Sequence[str], policies: Sequence[str], shows: Mapping[str, Shown]) -> None:
    """Marks a folder as a leaderboard of ours."""
    mark = {
        "made_by": "vlagym table --format html",
        "schema": _SCHEMA,
        "title": title,
        "runs": list(runs),
        "policies": list(policies),
        "shows": {name: {"of": shown.of, "how": shown.how, "bytes": shown.size} for name, shown in sorted(shows.items())},
    }
    (folder / MARK).write_text(json.dumps(mark, indent=2) + "\n", encoding="utf-8")


def key_of(result: EpisodeResult) -> str:
    """Returns what a film is of: one playing of an episode. Another attempt has another one; measures that are scored again change nothing."""
    certificate = None if result.certificate is None else to_plain(result.certificate)
    return sha(canonical_json([result.digest, certificate, result.steps, result.attempt, result.wall_s]).encode())[:16]


def check_place(out: Path, runs: Sequence[Path] = (), *, replace: bool = False) -> None:
    """Raises BadData unless a leaderboard of some runs may be put at a place: worth asking before anything is rendered for it.

    Args:
      out: The place.
      runs: The run folders; only the names of their policies are read.
      replace: Allows that policies which stand there are not among those of the runs.
    """
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise BadData(f"{out} exists and is no folder. A leaderboard is a folder: choose another with --out")
    if not out.is_dir() or not any(out.iterdir()):
        return
    if _mark(out) is None:
        raise BadData(f"{out} exists and is no leaderboard that vlagym made (it has no {MARK}); nothing was overwritten. Choose another with --out")
    stands = read(out)
    if replace:
        return
    if not stands.is_known:
        raise BadData(
            f"{out} is a leaderboard of an older vlagym, which does not say whom it shows; nothing was overwritten. Choose another --out, or drop it "
            "with --replace"
        )
    policies = {_policy_of(run) for run in runs}
    gone = [name for name in stands.policies if name not in policies]
    if gone:
        more = f" and {len(gone) - _SHOWN} more" if len(gone) > _SHOWN else ""
        raise BadData(
            f"{out} is a leaderboard that shows {', '.join(map(clipped, gone[:_SHOWN]))}{more}, and no run of theirs is named; nothing was "
            "overwritten. Name their runs too, choose another --out, or drop them with --replace"
        )


def _policy_of(run: Path) -> str | None:
    """Returns the policy of a run folder, as its header says; None where that cannot be read, which whoever reads the run tells."""
    header = _object(run / HEADER)
    policy = None if header is None else header.get("policy")
    return policy.get("name") if isinstance(policy, dict) else None


def _mark(folder: Path) -> dict[str, Any] | None:
    mark = _object(folder / MARK)
    return mark if mark is not None and str(mark.get("made_by", "")).startswith("vlagym table") else None


def _object(path: Path) -> dict[str, Any] | None:
    """Returns the JSON object in a file; None where there is none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None
