"""Tables of tasks and axes whose cells are coloured: the numbers stand in them, the colours are classes of the style sheet."""

from __future__ import annotations

from dataclasses import dataclass

from vlagym.results.site.breakdown import UNVARIED, Spot, axis_order
from vlagym.results.site.content import Entry, Suite
from vlagym.results.site.words import NONE, counted, grouped, percent, signed

STEPS = 10
"""The scale from 0 to 100 % has a colour for each tenth."""
SHIFTS = 5
"""The scale of differences has so many colours to either side of none."""


@dataclass(frozen=True, kw_only=True)
class Square:
    """A cell."""

    rate: str
    """Whole percent."""
    gap: str
    """Percentage points to the twins; a dash where there are none."""
    step: int
    """0 .. STEPS"""
    shift: int
    """-SHIFTS .. SHIFTS"""
    told: str
    """The counts behind it."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One task."""

    task: str
    spots: tuple[Square | None, ...]
    """None where there is no episode."""


@dataclass(frozen=True, kw_only=True)
class Map:
    """Tasks × axes of one row of the table."""

    entry: Entry
    axes: tuple[str, ...]
    rows: tuple[Row, ...]


def maps(suite: Suite) -> tuple[Map, ...]:
    """Returns a map for each row of a suite, all with the same tasks and axes."""
    axes = sorted({axis for e in suite.entries for axis in e.counts.by_axis}, key=axis_order)
    out = []
    for entry in suite.entries:
        at = entry.counts.by_task_and_axis
        rows = tuple(Row(task=t, spots=tuple(_square(at.get((t, axis)), axis) for axis in axes)) for t in suite.tasks)
        out.append(Map(entry=entry, axes=tuple(axis or "unvaried" for axis in axes), rows=rows))
    return tuple(out)


def tasks(suite: Suite) -> tuple[Row, ...]:
    """Returns the rates of a suite without axes: a row for each task, a column for each row of the table."""
    return tuple(
        Row(task=t, spots=tuple(_square(e.counts.by_task_and_axis.get((t, UNVARIED)), UNVARIED) for e in suite.entries)) for t in suite.tasks
    )


def step(share: float) -> int:
    """Returns the colour of a share: 0 only for none and STEPS only for all."""
    return min(max(round(share * STEPS), 1), STEPS - 1) if 0 < share < 1 else round(share * STEPS)


def _square(spot: Spot | None, axis: str) -> Square | None:
    if spot is None:
        return None
    share, errors = spot.rate.share, f"; {counted(spot.rate.errors, 'error')}" if spot.rate.errors else ""
    if share is None:
        return Square(rate=NONE, gap=NONE, step=0, shift=0, told=f"only errors: {spot.rate.errors}")
    told = f"{grouped(spot.rate.successes)} of {grouped(spot.rate.n)}{errors}"
    gap = None if axis == UNVARIED else spot.paired.gap
    if gap is None:
        return Square(rate=percent(share), gap=NONE, step=step(share), shift=0, told=told)
    twins = f"; of {counted(spot.paired.n, 'pair')} {spot.paired.varied} varied, {spot.paired.twin} unvaried"
    shift = 0 if gap == 0 else max(1, round(abs(gap) * SHIFTS)) * (1 if gap > 0 else -1)
    return Square(rate=percent(share), gap=signed(gap).split(".")[0] if abs(gap) >= 0.01 else "0", step=step(share), shift=shift, told=told + twins)
