"""The list beside a dataset that is being collected: what everything in it depends on, then a line for each seed that was tried."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from vlagym.benchmark.collecting.options import PARAPHRASES, Attempt, DemoOptions
from vlagym.envs.errors import BadData
from vlagym.envs.types import to_plain
from vlagym.policies.foreign import without_query

_LATER: Mapping[str, Any] = {
    "image_size": None,
    "depth": False,
    "state": "libero",
    "commands": True,
    "paraphrases": PARAPHRASES,
    "keep_failures": False,
    "filter_noops": False,
    "even_sentences": False,
}
"""Options that lists of earlier versions do not name, and what they are by default; only others are written."""


def fingerprint(options: DemoOptions, split_digest: str) -> dict[str, Any]:
    """Returns all that the content of an attempt depends on; the first line of the list."""
    return {
        "policy": without_query(options.policy),
        "noise": to_plain(options.noise),
        "images": to_plain(options.images),
        "frame_stride": options.frame_stride,
        "quality": options.quality,
        "look": options.look,
        "split_digest": split_digest,
        "entries": [{**to_plain(e), "episodes": None} for e in options.entries],
        **{name: getattr(options, name) for name, usual in _LATER.items() if getattr(options, name) != usual},
    }


def read_list(path: Path, options: DemoOptions, split_digest: str) -> list[Attempt]:
    """Returns the attempts that were made before; a line that a kill cut off does not count and is cut away.

    Entries may have been added since, and such left out of which nothing was kept; the attempts bear the numbers that theirs have now.

    Raises:
      BadData: If the dataset is there and the list is not, or the list belongs to other options and something was kept under them, or is damaged.
    """
    if not path.exists():
        if options.out.exists():
            raise BadData(f"{options.out} exists, and the list of what was tried for it, {path.name}, does not: write to another file")
        return []
    data = path.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    if whole != data:
        path.write_bytes(whole)
    try:
        lines = [json.loads(line) for line in whole.splitlines()]
        head = lines[0] if lines else {}
        listed = [Attempt(**{**line, "times_s": tuple(line.get("times_s", (0.0, 0.0, 0.0)))}) for line in lines[1:]]
    except (ValueError, TypeError) as error:
        raise BadData(f"{path}, the list of what was tried, is damaged: {error}. Write to another file") from error
    if not lines:
        return []
    now = json.loads(json.dumps(fingerprint(options, split_digest)))
    both = {**_LATER, **head}, {**_LATER, **now}
    different = [key for key in both[1] if key != "entries" and both[0].get(key) != both[1][key]]
    if different and not options.out.exists() and not any(attempt.kept for attempt in listed):
        return []  # nothing came of it: another list begins
    if different:
        told = "; ".join(f"{key} was {json.dumps(both[0].get(key))} and is {json.dumps(both[1][key])}" for key in different[:2])
        raise BadData(f"{options.out} was begun with other options: {told}. Give the same ones to go on with it, or write to another file")
    return _renumbered(listed, head["entries"], now["entries"], options.out)


def begin_list(path: Path, options: DemoOptions, split_digest: str, listed: Sequence[Attempt]) -> None:
    """Writes the head of a new list. That of an earlier collection is written anew where other entries or, if nothing was kept, other options are
    asked for now.

    Args:
      path: Of the list.
      options: Of the collection.
      split_digest: Of the split that they stand under.
      listed: What `read_list` returned.
    """
    head = fingerprint(options, split_digest)
    if path.exists() and path.stat().st_size:
        with path.open(encoding="utf-8") as lines:
            if json.loads(lines.readline()) == json.loads(json.dumps(head)):
                return
    beside = path.with_name(f"{path.name}.new")
    with beside.open("w", encoding="utf-8") as lines:
        write_line(lines, head)
        for attempt in listed:
            write_line(lines, attempt)
        os.fsync(lines.fileno())
    beside.replace(path)


def _renumbered(listed: Sequence[Attempt], before: Sequence[Any], now: Sequence[Any], out: Path) -> list[Attempt]:
    """Returns the attempts of the entries that are asked for now, with the numbers that these have now."""
    places = {number: now.index(entry) for number, entry in enumerate(before) if entry in now}
    lost = [a for a in listed if a.entry not in places and a.kept]
    if lost:
        tasks = ", ".join(dict.fromkeys(a.task for a in lost))
        raise BadData(
            f"{out} was begun with other options: {len(lost)} demonstrations of {tasks} are stored, of entries that are not asked for now. Give the "
            "same ones to go on with it, or write to another file"
        )
    return [replace(a, entry=places[a.entry]) for a in listed if a.entry in places]


def write_line(lines: IO[str], value: Mapping[str, Any] | Attempt) -> None:
    """Adds a line to the open list.

    Raises:
      BadData: If there is no room for it.
    """
    try:
        lines.write(json.dumps(to_plain(value)) + "\n")
        lines.flush()
    except OSError as error:
        told = f"the list of what was tried, {lines.name}, cannot be written: {error.strerror}"
        raise BadData(f"{told}. What was collected is kept: make room, and the same command goes on with it") from error
