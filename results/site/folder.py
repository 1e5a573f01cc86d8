"""The folder of a leaderboard: built beside its place, then put there whole; a folder of anybody else is left alone."""

from __future__ import annotations

import dataclasses
import itertools
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vlagym.envs.errors import BadData
from vlagym.results import leaderboard
from vlagym.results.aggregate import Column
from vlagym.results.pooling import Run
from vlagym.results.salvage import read_run
from vlagym.results.site import episodes, pages, standing
from vlagym.results.site.content import Content, Policy, gather
from vlagym.results.site.media import Media, copy
from vlagym.results.site.standing import Standing
from vlagym.results.site.words import clipped, slug


@dataclass(frozen=True, kw_only=True)
class Site:
    """A leaderboard on disk."""

    path: Path
    """Its folder."""
    index: Path
    """The page to open."""
    pages: int
    episodes: int
    media: int
    """Films and strips."""
    kept: int
    """How many of them stood in the site that was replaced: made of the same episodes, as they were played in the same runs."""
    complaints: tuple[str, ...]
    """What could not be read of the runs; the page says it too."""
    removed: tuple[str, ...]
    """What stood there and does not any more, in words."""


def build(
    runs: Sequence[Path],
    out: Path,
    *,
    title: str = "Leaderboard",
    columns: Sequence[Column],
    media: Media | None = None,
    replace: bool = False,
) -> Site:
    """Writes the HTML leaderboard of some runs into a folder.

    The folder opens from disk and from any static host, and asks for nothing outside itself. Equal runs give equal files. It is built beside its
    place under another name and then moved there, so that a reader sees the old one or the new one; a failure leaves the old one.

    Args:
      runs: Run folders, each of them once. What is damaged is shown as far as it can be read, and the page says so.
      out: The folder. Where it exists, it must be empty or be the work of this function, and is then replaced: films and strips that were made of
        episodes that are still there stay.
      title: Of the whole.
      columns: What is known of each measure.
      media: Films and strips of episodes besides those in the videos/ of the runs.
      replace: Allows that policies which stand in `out` are not among the runs, and are gone afterwards.

    Returns:
      What was written.

    Raises:
      BadData: If `out` is anything else than described, a policy that stands there would be lost without `replace`, no run can be read, a run is
        named twice, or a film is not one.
      MissingPackage: If Jinja2 is not installed.
    """
    standing.check_place(out, runs, replace=replace)
    before = standing.read(out)
    loaded, complaints = _read(runs)
    content = gather([run for _, run in loaded], columns, title=title, complaints=complaints)
    building = out.with_name(f".{out.name}.{os.getpid()}.new")
    building.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(building, ignore_errors=True)
    try:
        counts = _write(building, content, {run.name: path for path, run in loaded}, media or Media(), before)
        _replace(out, building)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return Site(
        path=out,
        index=out / "index.html",
        pages=counts["pages"],
        episodes=content.episodes,
        media=counts["media"],
        kept=counts["kept"],
        complaints=content.complaints,
        removed=before.lost([policy.name for policy in content.policies], kept=counts["kept"] + counts["again"]),
    )


# ----------------------------------------------------------------------------------------------------------------------- the runs
def _read(runs: Sequence[Path]) -> tuple[list[tuple[Path, Run]], list[str]]:
    """Returns what can be read of the runs, under names that tell them apart, and what cannot."""
    loaded: list[tuple[Path, Run]] = []
    complaints: list[str] = []
    seen: set[Path] = set()
    for path in runs:
        if path.resolve() in seen:
            raise BadData(f"{path} is named twice; name each run once")
        seen.add(path.resolve())
        run, damage = read_run(path)
        complaints += [text.replace(str(path), path.resolve().name) for text in damage]  # a page for everybody names no folder of this machine
        if run is None:
            continue
        names = {other.name for _, other in loaded}
        if run.name in names:  # of another folder
            run = dataclasses.replace(run, name=next(n for i in itertools.count(2) if (n := f"{run.name} ({i})") not in names))
        loaded.append((path, run))
    if not loaded:
        told = f": {'; '.join(complaints)}" if complaints else ""
        raise BadData(f"a leaderboard needs at least one run that can be read{told}")
    return loaded, complaints


# ---------------------------------------------------------------------------------------------------------------------- the files
def _write(folder: Path, content: Content, paths: Mapping[str, Path], media: Media, before: Standing) -> dict[str, int]:
    """Writes all files and returns how many pages and media there are; of the media, how many are taken over, how many made again."""
    counts = {"pages": 0, "media": 0, "kept": 0, "again": 0}
    shows: dict[str, standing.Shown] = {}
    for name in pages.STATIC:
        _put(folder / name, (pages.FOLDER / name).read_text(encoding="utf-8"))
    for name, html in pages.render(content):
        _put(folder / name, html)
        counts["pages"] += 1
    for suite in content.suites:
        _put(folder / "data" / f"{suite.slug}.csv", leaderboard.render(suite.table, "csv"))
        _put(folder / "data" / f"{suite.slug}.json", leaderboard.render(suite.table, "json"))
    for policy in content.policies:
        listed = []
        for row, entry in enumerate(policy.entries):
            for run in entry.pool.runs:
                place = f"media/{policy.slug}/{slug(run.name)}"
                made, old = media.made(paths[run.name]), before.of_run(run.results, policy.name, run.name)
                found = old | media.of_run(paths[run.name])
                shown = _copied(run, found, folder / place)
                kept = {digest for digest in shown if before.holds(found[digest])}
                counts["media"] += len(shown)
                counts["kept"] += len(kept)
                counts["again"] += len(shown.keys() & old.keys() - kept)
                for result in run.results:
                    if result.digest in shown:
                        name, path = f"{place}/{shown[result.digest]}", found[result.digest]
                        how = before.how(path) if result.digest in kept else media.how if result.digest in made else ""
                        shows[name] = standing.Shown(standing.key_of(result), how, (folder / name).stat().st_size)
                listed.append(episodes.Listed(run=run, row=row, media={digest: f"../{place}/{name}" for digest, name in shown.items()}))
        for name, script in episodes.files(policy.name, listed, content.columns, _others(content, policy)):
            _put(folder / "data" / policy.slug / name, script)
    standing.write(folder, content.title, sorted(paths), [policy.name for policy in content.policies], shows)
    return counts


def _copied(run: Run, found: Mapping[str, Path], folder: Path) -> dict[str, str]:
    """Copies what shows the episodes of a run and returns digest -> file name."""
    return {r.digest: copy(found[r.digest], folder, r.digest) for r in run.results if r.digest in found}


def _others(content: Content, policy: Policy) -> list[dict[str, str]]:
    """Returns the policies that have played episodes of the same suites."""
    suites = {str(run.header.suite.get("digest")) for run in policy.runs}
    rivals = [p for p in content.policies if p is not policy and suites & {str(run.header.suite.get("digest")) for run in p.runs}]
    return [{"name": clipped(p.name), "href": f"{p.slug}.html"} for p in rivals]


def _put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")


# ---------------------------------------------------------------------------------------------------------------------- the place
def _replace(out: Path, building: Path) -> None:
    """Puts what was built in the place of what is there."""
    if not out.exists():
        os.rename(building, out)
        return
    old = out.with_name(f".{out.name}.{os.getpid()}.old")
    os.rename(out, old)
    try:
        os.rename(building, out)
    except OSError:
        os.rename(old, out)
        raise
    shutil.rmtree(old)
