"""The episodes of a policy as data files that a page loads as scripts: an index of columns, and measures in chunks for when they are asked for."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vlagym.envs.types import EpisodeResult
from vlagym.results.aggregate import Column
from vlagym.results.failures import UNLABELLED
from vlagym.results.pooling import Run

CHUNK = 400
"""Episodes whose measures lie in one file: some 150 kB."""
_DIGITS = 6
"""Significant digits of a measure on a page; the run holds all of them."""

NO_SCORES = frozenset({"chance", "calls", "chunk_steps"})
"""Measures that describe a scene or a policy and are no scores: neither more nor less of them is better."""

OUTCOMES = ("success", "failure", "error")


@dataclass(frozen=True, kw_only=True)
class Listed:
    """One run among those whose episodes are listed."""

    run: Run
    row: int
    """Which row of the table it is counted in: twins are looked for there."""
    media: Mapping[str, str]
    """Digest -> address of its film or strip, as seen from the page."""


def files(policy: str, listed: Sequence[Listed], columns: Sequence[Column], others: Sequence[Mapping[str, str]]) -> Iterator[tuple[str, str]]:
    """Yields (file name, JavaScript) of the index and then of the chunks of a policy's episodes.

    The scripts call `vlagymData` with one value, which is JSON in ASCII: no character of a sentence can end a line or a string.

    Args:
      policy: Its name.
      listed: Its runs, in the order in which the page lists their episodes.
      columns: What is known of each measure.
      others: name and href of the same page of other policies whose runs hold the same episodes.
    """
    rows = [(number, one, result) for number, one in enumerate(listed) for result in one.run.results]
    index = _index(policy, rows, listed, others)
    names = list(dict.fromkeys(name for _, _, r in rows for name in r.measures))
    known = {c.name: c for c in columns}
    index["measures"] = [[n, known[n].unit if n in known else "", known[n].better if n in known and n not in NO_SCORES else ""] for n in names]
    yield "index.js", _script("index", index)
    for chunk, start in enumerate(range(0, len(rows), CHUNK)):
        details = [_detail(result, names) for _, _, result in rows[start : start + CHUNK]]
        yield f"details-{chunk}.js", _script("details", {"chunk": chunk, "rows": details})


def _index(
    policy: str, rows: Sequence[tuple[int, Listed, EpisodeResult]], listed: Sequence[Listed], others: Sequence[Mapping[str, str]]
) -> dict[str, Any]:
    at: dict[tuple[int, str], int] = {}
    for place, (_, one, result) in enumerate(rows):
        at.setdefault((one.row, result.digest), place)
    tasks, axes, modes, endings, sentences, media = _Words(), _Words(), _Words(), _Words(), _Words(), _Words()
    columns: dict[str, list[Any]] = {
        "digest": [r.digest for _, _, r in rows],
        "run": [number for number, _, _ in rows],
        "task": [tasks(r.task) for _, _, r in rows],
        "axes": [axes(" + ".join(f"{axis} {level}" for axis, level in sorted(r.axes.items()))) for _, _, r in rows],
        "outcome": [OUTCOMES.index(r.outcome) for _, _, r in rows],
        "mode": [modes(mode_of(r)) for _, _, r in rows],
        "ended": [endings(r.ended_by) for _, _, r in rows],
        "sentence": [sentences(r.instruction) for _, _, r in rows],
        "seed": [r.seed for _, _, r in rows],
        "steps": [r.steps for _, _, r in rows],
        "time": [round(r.time_s, 2) for _, _, r in rows],
        "twin": [at.get((one.row, r.base), -1) if r.base is not None else -1 for _, one, r in rows],
        "media": [media(one.media[r.digest]) if r.digest in one.media else -1 for _, one, r in rows],
    }
    return {
        "policy": policy,
        "chunk": CHUNK,
        "runs": [{"name": one.run.name, "suite": str(one.run.header.suite.get("name"))} for one in listed],
        "others": [dict(other) for other in others],
        "outcomes": list(OUTCOMES),
        "tasks": tasks.listed,
        "axes": axes.listed,
        "modes": modes.listed,
        "endings": endings.listed,
        "sentences": sentences.listed,
        "media": media.listed,
        "columns": columns,
    }


def mode_of(result: EpisodeResult) -> str:
    """Returns why an episode failed, in a word; empty for a success, the kind of the error for an error."""
    if result.outcome == "failure":
        return result.failure_mode or UNLABELLED
    return result.error.type if result.outcome == "error" and result.error is not None else ""


def _detail(result: EpisodeResult, names: Sequence[str]) -> list[Any]:
    """Returns [attempt, wall time in s, digest of the twin, warning, error, measures]. The traceback stays in the run: it names folders."""
    error = None if result.error is None else [result.error.type, result.error.message]
    values = [None if (v := result.measures.get(name)) is None else float(f"{v:.{_DIGITS}g}") for name in names]
    short = [int(v) if v is not None and v.is_integer() else v for v in values]
    return [result.attempt, round(result.wall_s, 3), result.base, result.warning, error, short]


def _script(kind: str, value: Mapping[str, Any]) -> str:
    return f"vlagymData({json.dumps(kind)},{json.dumps(value, separators=(',', ':'), ensure_ascii=True, allow_nan=False)});\n"


class _Words:
    """Numbers words in the order in which they come."""

    def __init__(self) -> None:
        self._at: dict[str, int] = {}

    def __call__(self, word: str) -> int:
        return self._at.setdefault(word, len(self._at))

    @property
    def listed(self) -> list[str]:
        return list(self._at)
