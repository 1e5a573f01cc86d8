"""A table of words, ready to be read: Markdown that is aligned in a terminal, LaTeX with booktabs, CSV, JSON."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vlagym.envs.errors import BadData, unknown_name

if TYPE_CHECKING:
    from vlagym.results.intervals import MeanInterval

NOTHING = "–"
"""What stands in a cell without a number."""

LONGEST_NAME = 48
"""Most letters of a name in a table that is read; longer ones would pad every row to their width."""


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """One table as text, and the records behind it as numbers."""

    name: str
    """Its key where several are in one JSON: "table", "gaps"."""
    title: str
    """A line above it, where it does not stand alone."""
    head: tuple[str, ...]
    body: tuple[tuple[str, ...], ...]
    """Each row with as many cells as the head has."""
    is_number: tuple[bool, ...]
    """Which columns are flush right."""
    legend: tuple[str, ...]
    """What the columns mean."""
    notes: tuple[str, ...]
    """What a reader must know of these numbers."""
    records: tuple[Mapping[str, Any], ...]
    """One a row, for machines: texts, numbers, None, and tables of these."""
    csv_extra: tuple[Mapping[str, str], ...] = ()
    """Further columns of CSV, one table a row: what the records have no place for."""


def render(sheets: Sequence[Sheet], format_name: str) -> str:
    """Returns some sheets as one text.

    Args:
      sheets: At least one. Markdown and LaTeX put them below each other. JSON is the list of records of a single sheet, and an object of such
        lists where there are several. CSV holds one sheet.
      format_name: One of FORMATS.

    Raises:
      UnknownName: For another format.
      BadData: If several sheets are to be one CSV.
    """
    if format_name not in FORMATS:
        raise unknown_name("table format", format_name, FORMATS)
    return FORMATS[format_name](sheets)


def _markdown(sheets: Sequence[Sheet]) -> str:
    parts = []
    for sheet in sheets:
        title = f"**{sheet.title}**\n\n" if len(sheets) > 1 else ""
        parts.append(title + _aligned(clipped(sheet)))
    return "\n".join(parts)


def clipped(sheet: Sheet) -> Sheet:
    """Returns the sheet with names of at most LONGEST_NAME letters, in cells, heading and notes; its legend tells the whole ones."""
    texts = [*sheet.head, *(cell for row in sheet.body for cell, is_number in zip(row, sheet.is_number, strict=True) if not is_number)]
    long = dict.fromkeys(text for text in texts if len(text) > LONGEST_NAME)
    short: dict[str, str] = {}
    for text in long:
        start, again = text[: LONGEST_NAME - 1] + "…", 1
        name = start
        while name in short.values():
            again += 1
            name = f"{start}{again}"
        short[text] = name
    if not short:
        return sheet

    def told(text: str) -> str:
        for whole in sorted(short, key=len, reverse=True):
            text = text.replace(whole, short[whole])
        return text

    return dataclasses.replace(
        sheet,
        head=tuple(short.get(text, text) for text in sheet.head),
        body=tuple(tuple(short.get(cell, cell) for cell in row) for row in sheet.body),
        legend=(*sheet.legend, *(" ".join(f"{name} is {whole}".split()) for whole, name in short.items())),
        notes=tuple(map(told, sheet.notes)),
    )


def _aligned(sheet: Sheet) -> str:
    lines = [list(sheet.head), *([cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in sheet.body)]
    widths = [max(3, *(len(line[i]) for line in lines)) for i in range(len(sheet.head))]  # Markdown wants rules of three dashes

    def aligned(line: Sequence[str]) -> str:
        cells = (cell.rjust(width) if right else cell.ljust(width) for cell, width, right in zip(line, widths, sheet.is_number, strict=True))
        return f"| {' | '.join(cells)} |"

    rule = (("-" * (width - 1) + ":") if right else "-" * width for width, right in zip(widths, sheet.is_number, strict=True))
    text = [aligned(lines[0]), f"| {' | '.join(rule)} |", *map(aligned, lines[1:])]
    # A list needs a blank line before it, or Markdown reads it as part of the paragraph above.
    return "\n".join([*text, "", *sheet.legend, *(f"- {note}" for note in sheet.notes)]) + "\n"


_LATEX = str.maketrans(
    {c: f"\\{c}" for c in "&%$#_{}"}
    | {"·": r"$\cdot$", "…": r"\dots{}"}
    | {"~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\\": r"\textbackslash{}", "<": r"$<$", ">": r"$>$", "–": "--", "\n": " "}
)


_FIRST_STRANGE = 0x180
"""Up to here, the end of Latin Extended-A, pdflatex has a glyph for every letter."""


def _latex(sheets: Sequence[Sheet]) -> str:
    parts = []
    for sheet in map(clipped, sheets):
        lines = [" & ".join(_in_latex(cell) for cell in line) + r" \\" for line in (sheet.head, *sheet.body)]
        lines = [f"{{}}{line}" if line.startswith(("[", "*")) else line for line in lines]  # after \\ these would be its argument
        form = "".join("r" if right else "l" for right in sheet.is_number)
        title = (sheet.title,) if len(sheets) > 1 else ()
        comments = ["% " + " ".join(text.splitlines()) for text in (*title, *sheet.legend, *sheet.notes)]
        begin, end = rf"\begin{{tabular}}{{{form}}}", r"\end{tabular}"
        parts.append("\n".join([*comments, begin, r"\toprule", lines[0], r"\midrule", *lines[1:], r"\bottomrule", end]) + "\n")
    return "\n".join(parts)


def _in_latex(text: str) -> str:
    """Returns a cell as LaTeX reads it; letters that its fonts do not have are written as their number, "U+1F916"."""
    return "".join(c if ord(c) < _FIRST_STRANGE or c in "·…–" else f"U+{ord(c):04X}" for c in text).translate(_LATEX)


def _csv(sheets: Sequence[Sheet]) -> str:
    if len(sheets) != 1:
        raise BadData(f"a CSV file holds one table, and {len(sheets)} are asked for: {', '.join(s.name for s in sheets)}. Ask for one at a time")
    rows = [{**_flat(record), **extra} for record, extra in zip(sheets[0].records, sheets[0].csv_extra or [{}] * len(sheets[0].records), strict=True)]
    names = list(dict.fromkeys(name for row in rows for name in row))
    out = io.StringIO()
    writer = csv.DictWriter(out, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows([{name: "" if value is None else value for name, value in row.items()} for row in rows])
    return out.getvalue()


def _flat(record: Mapping[str, Any]) -> dict[str, Any]:
    """Returns tables within a record as columns of their own, `gap` for the mean in {"gap": {"mean": …, "low": …}} and `gap_low` beside it."""
    out: dict[str, Any] = {}
    for key, value in record.items():
        if isinstance(value, Mapping):
            out.update({key if inner == "mean" else f"{key}_{inner}": v for inner, v in _flat(value).items()})
        elif isinstance(value, (list, tuple)):
            out[key] = " ".join(map(str, value))
        else:
            out[key] = value
    return out


def _json(sheets: Sequence[Sheet]) -> str:
    found: Any = {sheet.name: list(sheet.records) for sheet in sheets} if len(sheets) > 1 else list(sheets[0].records)
    return json.dumps(found, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


FORMATS: dict[str, Callable[[Sequence[Sheet]], str]] = {"md": _markdown, "csv": _csv, "json": _json, "tex": _latex}
"""Formats of text."""


# ------------------------------------------------------------------------------------------------------------------------- cells
def percent(interval: MeanInterval, decimals: int = 1) -> str:
    """Returns "62.0 % [55.1, 68.4]"; the rate alone where its interval has no width."""
    return _scaled(interval, decimals, " %")


def points(interval: MeanInterval, decimals: int = 1) -> str:
    """Returns a difference of rates in percentage points, "-20.1 [-24.8, -15.4]", with the sign of a gain written out."""
    text = _scaled(interval, decimals, "")
    return f"+{text}" if interval.mean is not None and round(100 * interval.mean, decimals) > 0 else text


def p_text(p: float | None) -> str:
    """Returns a p value as it is printed: "< 0.001", "0.012", "1"."""
    if p is None:
        return NOTHING
    if p < 0.001:
        return "< 0.001"
    return f"{p:.3f}" if p < 0.9995 else "1"


def interval_record(interval: MeanInterval) -> dict[str, float | int | None]:
    """Returns an interval as a record holds it."""
    return {"mean": interval.mean, "low": interval.low, "high": interval.high, "n": interval.n}


def fixed(value: float, decimals: int) -> str:
    """Returns a number with so many decimals, and never a zero with a sign."""
    text = f"{value:.{decimals}f}"
    return text.removeprefix("-") if float(text) == 0 else text


def _scaled(interval: MeanInterval, decimals: int, sign: str) -> str:
    if interval.mean is None or math.isnan(interval.mean):
        return NOTHING
    text = f"{fixed(100 * interval.mean, decimals)}{sign}"
    if interval.low is None or interval.high is None or interval.low == interval.high:
        return text
    return f"{text} [{fixed(100 * interval.low, decimals)}, {fixed(100 * interval.high, decimals)}]"
