"""Gaps over the levels of each axis: the charts of a suite, their legend, and the table of their numbers."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vlagym.results import gaps
from vlagym.results.gaps import Gap
from vlagym.results.site import charts
from vlagym.results.site.breakdown import axis_order
from vlagym.results.site.charts import Curve, Point
from vlagym.results.site.content import Entry, Suite
from vlagym.results.site.words import NONE, Cell, counted, grouped, percent, points

if TYPE_CHECKING:
    from markupsafe import Markup

SHOWN = 3
"""Rows whose curves are drawn before anybody asked for others: policies before ceiling and floors."""
FEW = 2
"""Up to so many curves have bands; more would cover one another, and have whiskers."""


@dataclass(frozen=True, kw_only=True)
class Key:
    """A button of the legend."""

    index: int
    name: str
    key: Markup
    is_shown: bool


@dataclass(frozen=True, kw_only=True)
class Under:
    """What stands below a chart for one of its curves: from where it starts."""

    index: int
    name: str
    key: Markup
    is_shown: bool
    twins: str
    """Success of the unvaried twins: one rate, or the least and the largest of the levels."""
    pairs: str
    """Pairs of each level, likewise."""


@dataclass(frozen=True, kw_only=True)
class Panel:
    """The chart of one axis."""

    axis: str
    svg: Markup
    under: tuple[Under, ...]


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
    is_few: bool
    """Whether so few curves are shown at first that they have bands."""


def levels(suite: Suite) -> Levels:
    """Returns the charts of the axes that have more than one level; empty where there are none."""
    if not suite.is_varied:
        return Levels(legend=(), panels=(), levels=(), lines=(), is_few=True)
    entry_of = {(e.policy, e.pool.differs): e.index for e in suite.entries}
    of_entry: dict[int, Mapping[str, list[Gap]]] = {}
    for (policy, _, differs), of in gaps.curves(gaps.gaps([run for e in suite.entries for run in e.pool.runs], "level").rows).items():
        of_entry[entry_of[policy, differs]] = of
    axes = _graded(of_entry.values())
    known = tuple(sorted({level for of in of_entry.values() for axis in axes for level in _by_level(of.get(axis, ()))}))
    places = _places([e for e in suite.entries if any(of_entry.get(e.index, {}).get(axis) for axis in axes)])
    legend = tuple(
        Key(index=e.index, name=e.label, key=charts.key(e.series, e.role), is_shown=places.get(e.index, SHOWN) < SHOWN) for e in suite.entries
    )
    panels = []
    lines = []
    for axis in axes:
        own = [of_entry.get(e.index, {}).get(axis, []) for e in suite.entries]
        drawn = [_curve(e, found, places.get(e.index, SHOWN)) for e, found in zip(suite.entries, own, strict=True)]
        under = tuple(_under(curve, e) for curve, e in zip(drawn, suite.entries, strict=True) if curve.points)
        panels.append(Panel(axis=axis, svg=charts.levels(axis, drawn), under=under))
        for e, found in zip(suite.entries, own, strict=True):
            at = _by_level(found)
            lines.append(Line(axis=axis, entry=e, cells=tuple(_cell(at.get(level)) for level in known)))
    return Levels(legend=legend, panels=tuple(panels), levels=known, lines=tuple(lines), is_few=len(places) <= FEW)


def _places(entries: Sequence[Entry]) -> dict[int, int]:
    """Returns index -> place of rows: policies first, then the ceiling, then the floors. The first SHOWN are drawn."""
    roles = ("", "ceiling", "floor")
    return {e.index: place for place, e in enumerate(sorted(entries, key=lambda e: (roles.index(e.role), e.index)))}


def _graded(rows: Iterable[Mapping[str, Sequence[Gap]]]) -> tuple[str, ...]:
    """Returns the axes of which some row knows two levels."""
    return tuple(sorted({axis for of in rows for axis, found in of.items() if len(found) > 1}, key=axis_order))


def _by_level(found: Iterable[Gap]) -> dict[int, Gap]:
    return {g.levels[0]: g for g in found if g.levels is not None}


def _curve(entry: Entry, found: Iterable[Gap], place: int) -> Curve:
    drawn = []
    for level, g in _by_level(found).items():
        gap, varied, twin = g.gap, g.varied.mean, g.twin.mean
        if gap.mean is not None and gap.low is not None and gap.high is not None and varied is not None and twin is not None:
            drawn.append(Point(level=level, gap=gap.mean, low=gap.low, high=gap.high, varied=varied, twin=twin, n=g.n))
    return Curve(name=entry.label, series=entry.series, role=entry.role, points=tuple(drawn), place=place, is_shown=place < SHOWN)


def _under(curve: Curve, entry: Entry) -> Under:
    twins, pairs = [percent(p.twin) for p in curve.points], [p.n for p in curve.points]
    return Under(
        index=entry.index,
        name=curve.name,
        key=charts.key(curve.series, curve.role),
        is_shown=curve.is_shown,
        twins=_span(sorted(set(twins), key=int)),
        pairs=_span([grouped(n) for n in sorted(set(pairs))]),
    )


def _span(values: Sequence[str]) -> str:
    return values[0] if len(values) == 1 else f"{values[0]} to {values[-1]}"


def _cell(found: Gap | None) -> Cell:
    if found is None or found.twin.mean is None:
        return Cell(text=NONE)
    gap = points(found.gap.mean, found.gap.low, found.gap.high)
    return dataclasses.replace(gap, n=f"twins {percent(found.twin.mean)} %, {counted(found.n, 'pair')}")
