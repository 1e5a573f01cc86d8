"""Gaps over the levels of each axis: the charts of a suite, their legend, and the table of their numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vlagym.results import gaps
from vlagym.results.gaps import Gap
from vlagym.results.site import charts
from vlagym.results.site.breakdown import axis_order
from vlagym.results.site.charts import Curve, Point
from vlagym.results.site.content import Entry, Suite
from vlagym.results.site.words import NONE, Cell, points

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
    if not suite.is_varied:
        return Levels(legend=(), panels=(), levels=(), lines=())
    entry_of = {(e.policy, e.pool.differs): e.index for e in suite.entries}
    of_entry: dict[int, Mapping[str, list[Gap]]] = {}
    for (policy, _, differs), of in gaps.curves(gaps.gaps([run for e in suite.entries for run in e.pool.runs], "level").rows).items():
        of_entry[entry_of[policy, differs]] = of
    axes = _graded(of_entry.values())
    known = tuple(sorted({level for of in of_entry.values() for axis in axes for level in _by_level(of.get(axis, ()))}))
    legend = tuple(
        Key(index=i, name=e.pool.label, key=charts.key(e.series, e.role), is_shown=i < SHOWN) for i, e in enumerate(suite.entries)
    )
    panels = []
    lines = []
    for axis in axes:
        own = [of_entry.get(e.index, {}).get(axis, []) for e in suite.entries]
        panels.append(Panel(axis=axis, svg=charts.levels(axis, [_curve(e, found) for e, found in zip(suite.entries, own, strict=True)])))
        for e, found in zip(suite.entries, own, strict=True):
            at = _by_level(found)
            lines.append(Line(axis=axis, entry=e, cells=tuple(_cell(at.get(level)) for level in known)))
    return Levels(legend=legend, panels=tuple(panels), levels=known, lines=tuple(lines))


def _graded(rows: Iterable[Mapping[str, Sequence[Gap]]]) -> tuple[str, ...]:
    """Returns the axes of which some row knows two levels."""
    return tuple(sorted({axis for of in rows for axis, found in of.items() if len(found) > 1}, key=axis_order))


def _by_level(found: Iterable[Gap]) -> dict[int, Gap]:
    return {g.levels[0]: g for g in found if g.levels is not None}


def _curve(entry: Entry, found: Iterable[Gap]) -> Curve:
    drawn = []
    for level, g in _by_level(found).items():
        gap, varied, twin = g.gap, g.varied.mean, g.twin.mean
        if gap.mean is not None and gap.low is not None and gap.high is not None and varied is not None and twin is not None:
            drawn.append(Point(level=level, gap=gap.mean, low=gap.low, high=gap.high, varied=varied, twin=twin, n=g.n))
    return Curve(name=entry.pool.label, series=entry.series, role=entry.role, points=tuple(drawn), is_shown=entry.index < SHOWN)


def _cell(found: Gap | None) -> Cell:
    return Cell(text=NONE) if found is None else points(found.gap.mean, found.gap.low, found.gap.high)
