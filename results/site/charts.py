"""Charts as SVG inside the page: shapes carry classes and no colours, so that the style sheet's themes and dark mode reach them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from vlagym.results.site.words import signed

if TYPE_CHECKING:
    from markupsafe import Markup

SERIES = 8
"""Colours that the style sheet has for series; what comes after them begins again with another shape of its marks."""

_WHISKER_PX = (132, 18)
_PANEL_PX = (280, 190)
_LEFT, _RIGHT, _TOP, _BOTTOM = 34.0, 10.0, 10.0, 24.0
_MARK_PX = 3.2
_ASIDE_PX = (0.0, 4.0, -4.0, 7.5, -7.5)
"""How far a curve stands beside its levels, by its place."""

_Scale = Callable[[float], float]


@dataclass(frozen=True, kw_only=True)
class Point:
    """The gap at one level of an axis."""

    level: int
    gap: float
    """Success of the varied episodes less that of their own twins, from -1 to 1."""
    low: float
    high: float
    varied: float
    twin: float
    n: int
    """Pairs."""


@dataclass(frozen=True, kw_only=True)
class Curve:
    """The gaps of one row of the table over the levels of an axis."""

    name: str
    series: int | None
    """Which colour and mark; None: a bound, in grey."""
    role: str
    """"floor" and "ceiling" have lines of their own."""
    points: tuple[Point, ...]
    """By level."""
    place: int = 0
    """Curves of different places stand a little beside one another, so that whiskers do not hide whiskers; 0 stands on its levels."""
    is_shown: bool = True
    """Whether it is drawn before anybody asked; the buttons of the legend show the others."""


def whisker(mean: float | None, low: float | None, high: float | None, *, role: str = "") -> Markup:
    """Returns a rate between 0 and 1 as a dot on a line, its interval as a thin whisker. Numbers beside it say the same: it is hidden from readers.

    Args:
      mean: None leaves the line empty.
      low: None draws no whisker.
      high: Upper end.
      role: Class of the mark: "floor" and "ceiling" are drawn hollow.
    """
    return _strip(mean, low, high, span=(0.0, 1.0), marks=[_Mark(t, "tick") for t in (0.0, 0.5, 1.0)], role=role)


def difference(mean: float | None, low: float | None, high: float | None) -> Markup:
    """Returns a difference of two rates, from -1 to 1, as a dot and a whisker about a line at 0.

    Args:
      mean: None leaves the line empty.
      low: None draws no whisker.
      high: Upper end.
    """
    return _strip(mean, low, high, span=(-1.0, 1.0), marks=[_Mark(-1.0, "tick"), _Mark(0.0, "zero"), _Mark(1.0, "tick")])


class _Mark(NamedTuple):
    at: float
    kind: str


def _strip(
    mean: float | None, low: float | None, high: float | None, *, span: tuple[float, float], marks: Sequence[_Mark], role: str = ""
) -> Markup:
    """Returns a number line with marks on it, a whisker and a dot."""
    from markupsafe import Markup

    width, height = _WHISKER_PX
    middle = height / 2

    def x(value: float) -> float:
        return 4 + (value - span[0]) / (span[1] - span[0]) * (width - 8)

    parts = [_line(x(span[0]), middle, x(span[1]), middle, "rail")]
    parts += [_line(x(m.at), middle - (6 if m.kind == "zero" else 3), x(m.at), middle + (6 if m.kind == "zero" else 3), m.kind) for m in marks]
    if low is not None and high is not None:
        parts.append(_line(x(low), middle, x(high), middle, "range"))
    if mean is not None:
        parts.append(f'<circle cx="{_px(x(mean))}" cy="{_px(middle)}" r="3.5" class="dot {role}"/>')
    return Markup(f'<svg class="whisker" viewBox="0 0 {width} {height}" width="{width}" height="{height}" aria-hidden="true">{"".join(parts)}</svg>')


def key(series: int | None, role: str) -> Markup:
    """Returns the key of a series for a legend: a piece of its line with its mark."""
    from markupsafe import Markup

    body = f"{_line(1, 7, 25, 7, f'curve {_colour(series, role)}')}{_mark(13, 7, series, role)}"
    return Markup(f'<svg class="key" viewBox="0 0 26 14" width="26" height="14" aria-hidden="true">{body}</svg>')


def levels(axis: str, curves: Sequence[Curve]) -> Markup:
    """Returns the gaps over the levels of an axis, about a line at 0, each with its 95 % interval: as a band and as whiskers.

    The style sheet shows bands where few curves are shown, and whiskers where more are.

    Rates themselves are not drawn: levels may be played on different scenes, which are not equally hard.

    Args:
      axis: Its name, for those who do not see the chart.
      curves: All of them may be empty.
    """
    from markupsafe import Markup, escape

    width, height = _PANEL_PX
    found = sorted({p.level for c in curves for p in c.points}) or [1]
    first, last = found[0], max(found[-1], found[0] + 1)

    def x(level: float) -> float:
        return _LEFT + 8 + (level - first) / (last - first) * (width - _LEFT - _RIGHT - 16)

    def y(gap: float) -> float:
        return _TOP + (1 - gap) / 2 * (height - _TOP - _BOTTOM)

    parts = []
    for gap in (-1.0, -0.5, 0.0, 0.5, 1.0):
        parts.append(_line(_LEFT, y(gap), width - _RIGHT, y(gap), "gridline" if gap else "zero"))
        if gap in (-1.0, 0.0, 1.0):
            parts.append(f'<text x="{_px(_LEFT - 7)}" y="{_px(y(gap) + 3.5)}" class="tick-y">{signed(gap).partition(".")[0]}</text>')
    parts += [f'<text x="{_px(x(level))}" y="{height - 7}" class="tick-x">{level}</text>' for level in found]
    for i, curve in enumerate(curves):
        hidden = "" if curve.is_shown else ' class="off"'
        drawn = "".join(_curve(curve, _moved(x, _ASIDE_PX[curve.place % len(_ASIDE_PX)]), y))
        parts.append(f'<g data-curve="{i}"{hidden}>{drawn}</g>')
    label = escape(f"Gap to the unvaried twins over the levels of {axis}, in points; the table below the charts holds the numbers")
    return Markup(f'<svg class="panel" viewBox="0 0 {width} {height}" role="img" aria-label="{label}">{"".join(parts)}</svg>')


def _curve(curve: Curve, x: _Scale, y: _Scale) -> list[str]:
    """Returns the band, the line, the whiskers and the marks of a curve; each mark says its numbers when one points at it."""
    from markupsafe import escape

    colour = _colour(curve.series, curve.role)
    upper = [(x(p.level), y(p.high)) for p in curve.points]
    lower = [(x(p.level), y(p.low)) for p in reversed(curve.points)]
    parts = []
    if len(curve.points) > 1:
        parts.append(f'<polygon points="{_points([*upper, *lower])}" class="band {colour}"/>')
        parts.append(f'<polyline points="{_points([(x(p.level), y(p.gap)) for p in curve.points])}" class="curve {colour}"/>')
    for p in curve.points:
        parts.append(_line(x(p.level), y(p.low), x(p.level), y(p.high), f"curve {'' if len(curve.points) == 1 else 'end '}{colour}"))
    for p in curve.points:
        told = f"{curve.name}, level {p.level}: {signed(p.gap)} points [{signed(p.low)}, {signed(p.high)}], "
        told += f"{100 * p.varied:.1f} % against {100 * p.twin:.1f} % of the twins, {p.n} pairs"
        parts.append(f"<g><title>{escape(told)}</title>{_mark(x(p.level), y(p.gap), curve.series, curve.role)}</g>")
    return parts


def _moved(scale: _Scale, by: float) -> _Scale:
    return lambda value: scale(value) + by


def _colour(series: int | None, role: str) -> str:
    return f"bound {role}" if series is None else f"s{series % SERIES}"


def _mark(x: float, y: float, series: int | None, role: str) -> str:
    """Returns a mark whose shape tells series apart where colours do not."""
    colour, r = f"mark {_colour(series, role)}", _MARK_PX if series is not None else 0.6 * _MARK_PX
    shape = 0 if series is None else (series + series // SERIES) % 4
    if shape == 0:
        return f'<circle cx="{_px(x)}" cy="{_px(y)}" r="{_px(r)}" class="{colour}"/>'
    if shape == 1:
        return f'<rect x="{_px(x - r + 0.4)}" y="{_px(y - r + 0.4)}" width="{_px(2 * r - 0.8)}" height="{_px(2 * r - 0.8)}" class="{colour}"/>'
    corners = [(x, y - r - 0.6), (x + r + 0.3, y + r - 0.5), (x - r - 0.3, y + r - 0.5)]
    if shape == 3:
        corners = [(x, y - r - 0.8), (x + r + 0.8, y), (x, y + r + 0.8), (x - r - 0.8, y)]
    return f'<polygon points="{_points(corners)}" class="{colour}"/>'


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line x1="{_px(x1)}" y1="{_px(y1)}" x2="{_px(x2)}" y2="{_px(y2)}" class="{kind}"/>'


def _points(corners: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{_px(x)},{_px(y)}" for x, y in corners)


def _px(value: float) -> str:
    """Returns a coordinate with at most one decimal."""
    return f"{value:.1f}".removesuffix(".0")
