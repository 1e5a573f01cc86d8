"""The list beside a dataset that is being collected: what everything in it depends on, then a line for each seed that was tried."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

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

    Raises:
      BadData: If the dataset is there and the list is not, or the list belongs to other options.
    """
    if not path.exists():
        if options.out.exists():
            raise BadData(f"{options.out} exists, and the list of what was tried for it, {path.name}, does not: write to another file")
        return []
    data = path.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    if whole != data:
        path.write_bytes(whole)
    lines = [json.loads(line) for line in whole.splitlines()]
    if not lines:
        return []
    head, now = lines[0], json.loads(json.dumps(fingerprint(options, split_digest)))
    both = {**_LATER, **head}, {**_LATER, **now}
    different = [key for key in both[1] if both[0].get(key) != both[1][key]]
    if different:
        told = "; ".join(f"{key} was {json.dumps(both[0].get(key))} and is {json.dumps(both[1][key])}" for key in different[:2])
        raise BadData(f"{options.out} was begun with other options: {told}. Give the same ones to go on with it, or write to another file")
    return [Attempt(**{**line, "times_s": tuple(line.get("times_s", (0.0, 0.0, 0.0)))}) for line in lines[1:]]


def write_line(lines: Any, value: Mapping[str, Any]) -> None:
    """Adds a line to the open list."""
    lines.write(json.dumps(value) + "\n")
    lines.flush()
