"""The yield of a collection, from the list that the collector keeps beside its dataset."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from vlagym.benchmark.collecting.options import SUCCESS
from vlagym.envs.errors import BadData
from vlagym.results.datacard.card import TaskYield, Yield
from vlagym.results.datacard.columns import of_most

SUFFIX = ".attempts.jsonl"
"""Behind the name of the dataset: `vlagym.benchmark.collecting.ledger`."""
_LONGEST = 160
"""Characters of a reason; the rest says nothing that is counted."""


def list_beside(path: Path) -> Path:
    """Returns where the list of a dataset lies, if there is one."""
    return path.with_name(path.name + SUFFIX)


def read_yield(path: Path, stored: Iterable[str]) -> Yield | None:
    """Returns what became of the tries of a dataset; None where no list of them lies beside it, or the list is of another dataset.

    Args:
      path: Of the dataset.
      stored: Digests of its demonstrations.

    Raises:
      BadData: If the list is damaged.
    """
    at = list_beside(path)
    if not at.is_file():
        return None
    data = at.read_bytes()
    try:
        lines = [json.loads(line) for line in data[: data.rfind(b"\n") + 1].splitlines()][1:]
        tried = list({(line["entry"], line["seed"]): line for line in lines}.values())  # the last line of a seed counts
        return _yield(tried) if {line["digest"] for line in tried if line["kept"]} == set(stored) else None
    except (ValueError, KeyError, TypeError) as error:
        raise BadData(f"{at} is damaged: {error!r}. Without it the card is made, and says nothing of the yield") from error


def _yield(tried: Sequence[Mapping[str, Any]]) -> Yield | None:
    if not tried:
        return None
    tasks = []
    for task in sorted({str(line["task"]) for line in tried}):
        of_task = [line for line in tried if line["task"] == task]
        lost = Counter(" ".join(str(line["how"]).split())[:_LONGEST] for line in of_task if not line["kept"])
        ended = [line["how"] for line in of_task if line["kept"]]
        failures = sum(how != SUCCESS for how in ended)
        tasks.append(TaskYield(task=task, tried=len(of_task), kept=len(ended), lost=of_most(lost), kept_failures=failures))
    kept = [line for line in tried if line["kept"]]
    times = {"play": [_time(line, 0) for line in tried], "render": [_time(line, 1) for line in kept], "store": [_time(line, 2) for line in kept]}
    means = {f"{name}_s": round(sum(of) / len(of), 4) if of else 0.0 for name, of in times.items()}
    return Yield(tasks=tuple(tasks), **means)


def _time(line: Mapping[str, Any], at: int) -> float:
    return float(line.get("times_s", (0.0, 0.0, 0.0))[at])
