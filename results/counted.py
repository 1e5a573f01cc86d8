"""Which episodes of a row its success counts: the unvaried ones, so that neither variations nor control sentences are mixed into a headline."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from vlagym.envs.types import EpisodeResult
from vlagym.results.intervals import MeanInterval, wilson

CONTROLS = ("blank", "shuffled", "wrong", "nonsense")
"""Axes that change what the sentence says, to see whether it is read: success under them is no merit, and enters no rate beside other episodes."""

_SHOWN = 3


def plain_episodes(results: Sequence[EpisodeResult]) -> list[EpisodeResult]:
    """Returns the episodes that a rate of success counts: the unvaried ones alone, where there are any.

    Of a row without unvaried episodes it counts all where they are varied alike, as in a run of nothing but blank sentences; else those that bear no
    control.
    """
    unvaried = [r for r in results if not r.axes]
    if unvaried or len({tuple(sorted(r.axes.items())) for r in results}) == 1:
        return unvaried or list(results)
    return [r for r in results if not is_control(r)]


def is_control(result: EpisodeResult) -> bool:
    """Returns whether the sentence of an episode is one of a control arm, whatever else is varied."""
    return not set(CONTROLS).isdisjoint(result.axes)


def variation_words(results: Iterable[EpisodeResult]) -> str:
    """Returns how some episodes are varied: "" for none, "camera=3 + lighting=2" where all are alike, else their variations and "unvaried"."""
    found = sorted({tuple(sorted(r.axes.items())) for r in results})
    if found in ([], [()]):
        return ""
    words = [" + ".join(f"{axis}={level}" for axis, level in variation) or "unvaried" for variation in found]
    more = f" and {len(words) - _SHOWN} more" if len(words) > _SHOWN else ""
    return ", ".join(words[:_SHOWN]) + more


def rate(successes: int, n: int) -> MeanInterval:
    """Returns a rate with its Wilson 95 % interval; None for all three where nothing was counted."""
    if n == 0:
        return MeanInterval(None, None, None, 0)
    low, high = wilson(successes, n)
    return MeanInterval(successes / n, float(low), float(high), n)


def low_first(value: float | None) -> float:
    """Returns a key by which rows without a rate come after those with one."""
    return -math.inf if value is None else value
