"""Success over the levels of each axis: the charts of a suite, their legend, and the table of their numbers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vlagym.results.site import charts
from vlagym.results.site.breakdown import axis_order
from vlagym.results.site.charts import Curve, Point
from vlagym.results.site.content import Entry, Suite
from vlagym.results.site.words import NONE, Cell

if TYPE_CHECKING:
    from markupsafe import Markup

SHOWN = 6
"""Rows whose curves are drawn before anybody asked for others: more are a thicket."""


@dataclass(frozen=True, kw_only=True)
class Key:
    """A button of the legend."""

    index: int
    name: str
    key: Markup
    is_shown: bool


@dataclass(frozen=True, kw_only=True)
class Panel:
    """The chart of one axis."""

    axis: str
    svg: Markup


@dataclass(frozen=True, kw_only=True)
class Line:
    """One row of the table: an axis, a row of the leaderboard, a cell for each level."""

    axis: str
    entry: Entry
    cells: tuple[Cell, ...]


@dataclass(frozen=True, kw_only=True)
class Levels:
    """All of it, for one suite."""

    legend: tuple[Key, ...]
    panels: tuple[Panel, ...]
    levels: tuple[int, ...]
    lines: tuple[Line, ...]


def levels(suite: Suite) -> Levels:
    """Returns the charts of the axes that have more than one level; empty where there are none."""
    axes = _graded(suite.entries)
    known = tuple(sorted({level for e in suite.entries for axis, level in e.counts.by_level if axis in axes}))
    legend = tuple(
        Key(index=i, name=e.pool.label, key=charts.key(e.series, e.role), is_shown=i < SHOWN) for i, e in enumerate(suite.entries)
    )
    panels = tuple(Panel(axis=axis, svg=charts.levels(axis, [_curve(e, axis) for e in suite.entries])) for axis in axes)
    lines = tuple(Line(axis=axis, entry=e, cells=tuple(_cell(e, axis, level) for level in known)) for axis in axes for e in suite.entries)
    return Levels(legend=legend, panels=panels, levels=known, lines=lines)


def _graded(entries: Iterable[Entry]) -> tuple[str, ...]:
    """Returns the axes of which some row knows two levels besides the unvaried twins."""
    found: dict[str, set[int]] = {}
    for entry in entries:
        for axis, level in entry.counts.by_level:
            found.setdefault(axis, set()).add(level)
    return tuple(sorted((axis for axis, of in found.items() if len(of - {0}) > 1), key=axis_order))


def _curve(entry: Entry, axis: str) -> Curve:
    points = []
    for (name, level), rate in entry.counts.by_level.items():
        low, high = rate.ends
        if name == axis and rate.share is not None and low is not None and high is not None:
            points.append(Point(level=level, rate=rate.share, low=low, high=high, n=rate.n))
    return Curve(name=entry.pool.label, series=entry.series, role=entry.role, points=tuple(points), is_shown=entry.index < SHOWN)


def _cell(entry: Entry, axis: str, level: int) -> Cell:
    rate = entry.counts.by_level.get((axis, level))
    return Cell(text=NONE) if rate is None else rate.cell()
