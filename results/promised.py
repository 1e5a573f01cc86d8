"""Which episodes the suite of a header holds, as far as its entries say it: their task, their robot, and how they are varied."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from vlagym.envs.types import EpisodeResult, RunHeader


class Promised(NamedTuple):
    """What one entry of a suite holds."""

    task: str
    robot: str | None
    """None for the one that the task names first."""
    variations: frozenset[frozenset[tuple[str, int]]] | None
    """Every set of (axis, level) that its episodes bear; None where the entry does not say it, or in words of another version."""

    def holds(self, result: EpisodeResult) -> bool:
        """Returns whether an episode can be one of the entry's: its seed is not looked at."""
        is_robot = self.robot is None or result.robot in _names(self.robot)
        return result.task in _names(self.task) and is_robot and (self.variations is None or frozenset(result.axes.items()) in self.variations)


def promised(header: RunHeader) -> tuple[Promised, ...]:
    """Returns what each entry of a header's suite holds; nothing where the header does not name the tasks of all its entries."""
    entries = header.suite.get("entry")
    if not isinstance(entries, Sequence) or not all(isinstance(e, Mapping) and isinstance(e.get("task"), str) for e in entries):
        return ()
    return tuple(_entry(entry) for entry in entries)


def _entry(entry: Mapping[str, Any]) -> Promised:
    robot = entry.get("robot", "default")
    return Promised(entry["task"], robot if isinstance(robot, str) and robot != "default" else None, _variations(entry))


def _variations(entry: Mapping[str, Any]) -> frozenset[frozenset[tuple[str, int]]] | None:
    axes, vary = entry.get("axes"), entry.get("vary", [])
    if not isinstance(axes, Sequence) or not isinstance(vary, Sequence) or not all(isinstance(text, str) for text in (*axes, *vary)):
        return None
    try:
        always = [(name, int(level) if equals else 1) for name, equals, level in (text.partition("=") for text in axes)]
        found = {frozenset(always)}
        for text in vary:
            parts = [_levels(part) for part in text.split("+")]
            found |= {frozenset((*always, *one)) for one in itertools.product(*parts)}
    except ValueError:
        return None
    return frozenset(found)


def _levels(part: str) -> list[tuple[str, int]]:
    """Returns the levels of "camera=1..5" or "friction=1,3", each with its axis.

    Raises:
      ValueError: If it is written otherwise.
    """
    name, equals, levels = part.strip().partition("=")
    first, dots, last = levels.partition("..")
    if not equals:
        return [(name, 1)]
    return [(name, level) for level in (range(int(first), int(last) + 1) if dots else map(int, levels.split(",")))]


def _names(word: str) -> tuple[str, str]:
    """Returns what a task or robot may be called in a result: an outsider's is written package.module:ATTRIBUTE, and called like its module."""
    return word, word.partition(":")[0].rpartition(".")[2]
