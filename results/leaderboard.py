"""A table as text: Markdown that reads well in a terminal, CSV, JSON, LaTeX."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from typing import Any

from vlagym.envs.errors import unknown_name
from vlagym.results.aggregate import Column, Table

_LEGEND = (
    "n: episodes that ended in success or failure; errors are in no mean.",
    "[low, high]: 95 % interval, Wilson for rates, bootstrap within each task for means. (n = …): the measure applies to so many only.",
)


def render(table: Table, format_name: str = "md", show: Sequence[str] | None = None) -> str:
    """Returns the table as text.

    Args:
      table: What `aggregate` made.
      format_name: One of FORMATS.
      show: Measures that Markdown and LaTeX show; default: the headline measures that apply to some row. CSV and JSON hold all.

    Raises:
      UnknownName: For another format, or a measure that the table does not have.
    """
    if format_name not in FORMATS:
        raise unknown_name("table format", format_name, FORMATS)
    return FORMATS[format_name](table, show)


def rows(table: Table) -> list[dict[str, Any]]:
    """Returns the rows as the JSON of `vlagym table --format json` holds them; None where there is no number."""
    out = []
    for record in table.frame.to_dict("records"):
        row: dict[str, Any] = {str(key): record[key] for key in (*table.keys, "n", "errors")}
        row |= {key: _number(record[key]) for key in ("success", "success_low", "success_high")}
        for column in table.columns:
            low, high = _number(record[f"{column.name}_low"]), _number(record[f"{column.name}_high"])
            row[column.name] = {"mean": _number(record[column.name]), "low": low, "high": high, "n": int(record[f"{column.name}_n"])}
        out.append(row)
    return out


def _json(table: Table, show: Sequence[str] | None) -> str:
    return json.dumps(rows(table), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _csv(table: Table, show: Sequence[str] | None) -> str:
    return str(table.frame.to_csv(index=False))


def _markdown(table: Table, show: Sequence[str] | None) -> str:
    head, body, is_number = _cells(table, show)
    lines = [head, *([cell.replace("|", "\\|") for cell in row] for row in body)]
    widths = [max(3, *(len(line[i]) for line in lines)) for i in range(len(head))]  # Markdown wants rules of three dashes

    def aligned(line: Sequence[str]) -> str:
        cells = (cell.rjust(width) if right else cell.ljust(width) for cell, width, right in zip(line, widths, is_number, strict=True))
        return f"| {' | '.join(cells)} |"

    rule = (("-" * (width - 1) + ":") if right else "-" * width for width, right in zip(widths, is_number, strict=True))
    text = [aligned(head), f"| {' | '.join(rule)} |", *map(aligned, lines[1:]), "", *_LEGEND, *(f"- {note}" for note in table.notes)]
    return "\n".join(text) + "\n"


def _latex(table: Table, show: Sequence[str] | None) -> str:
    head, body, is_number = _cells(table, show)
    escape = str.maketrans({c: f"\\{c}" for c in "&%$#_{}"} | {"~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\\": r"\textbackslash{}"})
    lines = [" & ".join(cell.translate(escape) for cell in line) + r" \\" for line in (head, *body)]
    form = "".join("r" if right else "l" for right in is_number)
    notes = [f"% {note}" for note in (*_LEGEND, *table.notes)]
    begin, end = rf"\begin{{tabular}}{{{form}}}", r"\end{tabular}"
    return "\n".join([*notes, begin, r"\toprule", lines[0], r"\midrule", *lines[1:], r"\bottomrule", end]) + "\n"


FORMATS: dict[str, Callable[[Table, Sequence[str] | None], str]] = {"md": _markdown, "csv": _csv, "json": _json, "tex": _latex}
"""What `vlagym table --format` takes."""


# ------------------------------------------------------------------------------------------------------------------------- cells
def _cells(table: Table, show: Sequence[str] | None) -> tuple[list[str], list[list[str]], list[bool]]:
    """Returns the head, the body, and which of the columns hold numbers."""
    known = {c.name: c for c in table.columns}
    if show is None:
        shown = [c for c in table.columns if c.headline and (table.frame[f"{c.name}_n"] > 0).any()]
    else:
        for name in show:
            if name not in known and name != "success":
                raise unknown_name("measure", name, known)
        shown = [known[name] for name in show if name != "success"]
    head = [*table.keys, "n", "errors", "success", *(c.name for c in shown)]
    body = []
    for row in rows(table):
        success = _interval(row["success"], row["success_low"], row["success_high"], "share")
        body.append([*(str(row[key]) for key in (*table.keys, "n", "errors")), success, *(_measure(row[c.name], c, row["n"]) for c in shown)])
    return head, body, [False] * len(table.keys) + [True] * (3 + len(shown))


def _measure(value: dict[str, Any], column: Column, n: int) -> str:
    text = _interval(value["mean"], value["low"], value["high"], column.unit)
    return text if value["n"] in (0, n) else f"{text} (n = {value['n']})"


def _interval(mean: float | None, low: float | None, high: float | None, unit: str) -> str:
    """Returns e.g. "62.0 % [55.1, 68.4]" for a share and "5.61 [5.40, 5.83]" for anything else, whose name says its unit.

    Resampling equal values gives an interval without width, which would claim more than is known: then the mean stands alone.
    """
    if mean is None:
        return "–"
    if unit == "share":
        scale, decimals, sign = 100.0, 1, " %"
    else:
        scale, decimals, sign = 1.0, min(_decimals(mean, low, high), _FINEST.get(unit, 3)), ""
    text = f"{_fixed(scale * mean, decimals)}{sign}"
    return text if low is None or high is None or low == high else f"{text} [{_fixed(scale * low, decimals)}, {_fixed(scale * high, decimals)}]"


_FINEST = {"s": 5}
"""Most decimals of a unit, where other than 3: a tenth of a millimetre says nothing, ten microseconds of a policy's latency do."""


def _decimals(mean: float, low: float | None, high: float | None) -> int:
    """Returns how many decimals to print: two digits of the interval's half width, or three of the number where it has no width."""
    half = (high - low) / 2 if low is not None and high is not None else 0.0
    size, digits = (half, 2) if half > 0 else (abs(mean), 3)
    return 1 if size == 0 else max(0, digits - 1 - math.floor(math.log10(size)))


def _fixed(value: float, decimals: int) -> str:
    text = f"{value:.{decimals}f}"
    return text.removeprefix("-") if float(text) == 0 else text


def _number(value: Any) -> float | None:
    return None if value is None or math.isnan(value) else float(value)
