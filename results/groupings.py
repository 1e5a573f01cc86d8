"""Into which groups a table parts the episodes of a policy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from vlagym.results.counted import plain_episodes

if TYPE_CHECKING:
    from vlagym.envs.types import EpisodeResult

GROUPINGS = ("task", "axis", "axis_name", "level", "robot", "base", "policy", "suite")
"""What `--by` takes. `axis` tells levels apart and `axis_name` does not; `level` is how the sentence says it. The policy and the suite are keys of
every row anyway."""


_OF_AXES = ("axis", "axis_name")


def parts_axes(by: Iterable[str]) -> bool:
    """Returns whether some groupings tell varied episodes apart, so that each row may count what it holds."""
    return not set(_OF_AXES).isdisjoint(by)


def counted_of(results: Sequence[EpisodeResult], by: Iterable[str]) -> list[EpisodeResult]:
    """Returns the episodes that a row counts: all of one that was asked for by its axes, else those of `plain_episodes`."""
    return list(results) if parts_axes(by) else plain_episodes(results)


def group_of(result: EpisodeResult, grouping: str) -> str:
    """Returns in which group of a grouping an episode is counted: "stack", "camera:3 + lighting:2", "none".

    Args:
      result: The episode.
      grouping: One of GROUPINGS, but for policy and suite, of which an episode knows nothing.
    """
    if grouping == "axis":
        return " + ".join(f"{axis}:{level}" for axis, level in sorted(result.axes.items())) or "none"
    if grouping == "axis_name":
        return " + ".join(sorted(result.axes)) or "none"
    if grouping == "level":
        return result.level or "unknown"
    return {"task": result.task, "robot": result.robot, "base": result.robot_base}[grouping]
