"""The table of policies as text: Markdown that reads well in a terminal, CSV, JSON, LaTeX."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from vlagym.envs.errors import unknown_name
from vlagym.results.aggregate import VARIED, Column, Table
from vlagym.results.remarks import few_remark
from vlagym.results.sheet import FORMATS, NOTHING, Sheet, fixed
from vlagym.results.sheet import render as render_sheets
from vlagym.results.spl import OF

_LEGEND = (
    "n: episodes that ended in success or failure; errors are in no mean.",
    "[low, high]: 95 % interval, Wilson for rates, bootstrap within each task for means. (n = …): the measure applies to so many only.",
)
_LETTERS = (
    "letters: rows that share one are not told apart by their success on the episodes in common (McNemar, a scene and its variations as one piece of "
    "evidence, Holm, 5 %); this is no rank."
)
_SPL = (
    "spl_time, spl_path: over the expert's successes alone, which is why their n is smaller: how short an episode can be that it failed nobody knows."
)

FLOORS = ("hold", "uniform")
"""Policies that look at nothing: one stands still, one draws its actions. Every other one must clear them."""


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
    return render_sheets([sheet(table, show)], format_name)


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


def sheet(table: Table, show: Sequence[str] | None = None, title: str = "Success and measures") -> Sheet:
    """Returns the table as a person reads it.

    Args:
      table: What `aggregate` made.
      show: Measures that are shown; default: the headline measures that apply to some row.
      title: Stands above it where it is one of several.

    Raises:
      UnknownName: For a measure that the table does not have.
    """
    head, body, is_number = _cells(table, show)
    return Sheet(
        name="table",
        title=title,
        head=tuple(head),
        body=tuple(map(tuple, body)),
        is_number=tuple(is_number),
        legend=(
            *_LEGEND,
            *((_SPL,) if set(head) & set(OF) else ()),
            *((_LETTERS,) if any(table.letters) else ()),
            *floor_legend(table.frame["policy"]),
        ),
        notes=(*table.notes, *few_remark(map(int, table.frame["n"]), "episodes")),
        records=tuple(rows(table)),
        csv_extra=tuple({"letters": letters} for letters in table.letters),
    )


def floor_legend(policies: Iterable[str]) -> tuple[str, ...]:
    """Returns the line that says which of some policies are the floor of the table; nothing where none is."""
    known = set(policies)
    found = [name for name in FLOORS if name in known]
    if not found:
        return ()
    if len(found) == 1:
        return (f"{found[0]} is the floor: it looks at nothing, and what it reaches is reached by chance.",)
    return (f"{' and '.join(found)} are the floor: they look at nothing, and what they reach is reached by chance.",)


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
    with_letters = ["letters"] if any(table.letters) else []
    success = "success (unvaried)" if table.leaves_out and VARIED not in table.keys else "success"
    head = [*table.keys, "n", "errors", success, *with_letters, *(c.name for c in shown)]
    body = []
    for i, row in enumerate(rows(table)):
        rate = _interval(row["success"], row["success_low"], row["success_high"], "share")
        cells = [*(str(row[key]) for key in (*table.keys, "n", "errors")), rate, *([table.letters[i]] if with_letters else [])]
        body.append([*cells, *(_measure(row[c.name], c, row["n"]) for c in shown)])
    return head, body, [False] * len(table.keys) + [True] * 3 + [False] * len(with_letters) + [True] * len(shown)


def _measure(value: dict[str, Any], column: Column, n: int) -> str:
    text = _interval(value["mean"], value["low"], value["high"], column.unit)
    return text if value["n"] in (0, n) else f"{text} (n = {value['n']})"


def _interval(mean: float | None, low: float | None, high: float | None, unit: str) -> str:
    """Returns e.g. "62.0 % [55.1, 68.4]" for a share and "5.61 [5.40, 5.83]" for anything else, whose name says its unit.

    Resampling equal values gives an interval without width, which would claim more than is known: then the mean stands alone.
    """
    if mean is None:
        return NOTHING
    if unit == "share":
        scale, decimals, sign = 100.0, 1, " %"
    else:
        scale, decimals, sign = 1.0, min(_decimals(mean, low, high), _FINEST.get(unit, 3)), ""
    text = f"{fixed(scale * mean, decimals)}{sign}"
    return text if low is None or high is None or low == high else f"{text} [{fixed(scale * low, decimals)}, {fixed(scale * high, decimals)}]"


_FINEST = {"s": 5}
"""Most decimals of a unit, where other than 3: a tenth of a millimetre says nothing, ten microseconds of a policy's latency do."""


def _decimals(mean: float, low: float | None, high: float | None) -> int:
    """Returns how many decimals to print: two digits of the interval's half width, or three of the number where it has no width."""
    half = (high - low) / 2 if low is not None and high is not None else 0.0
    size, digits = (half, 2) if half > 0 else (abs(mean), 3)
    return 1 if size == 0 else max(0, digits - 1 - math.floor(math.log10(size)))


def _number(value: Any) -> float | None:
    return None if value is None or math.isnan(value) else float(value)
