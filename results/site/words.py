"""Numbers and names as the pages write them, and as they sort them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from vlagym.envs.types import sha

NONE = "–"
"""Stands where there is no number."""

_FINEST = {"s": 5}
"""Most decimals of a unit, where other than 3: as in the tables of `results.leaderboard`."""
_LONGEST_SLUG = 40
LONGEST_NAME = 38
"""Characters of a name that stands beside others; longer ones are clipped, and shown whole where one points at them and on the policy's page."""
_ADVICE = re.compile(r"; --[^;]*| \(--[^()]*\)|\. Name the run[^.]*\.?|, named by --[^,;]*")


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A number with its interval, as a cell of a table."""

    text: str
    interval: str = ""
    """"55.1 – 68.4"; empty where there is none, or where it would claim more than is known: equal values resampled have no width."""
    n: str = ""
    """"n = 12" where the number is of fewer episodes than its row; empty otherwise."""
    sort: float | None = None
    low: float | None = None
    high: float | None = None


def cell(mean: float | None, low: float | None, high: float | None, unit: str = "share", *, n: int | None = None, of: int | None = None) -> Cell:
    """Returns a number as the pages write it.

    Args:
      mean: None or NaN where there is none.
      low: Lower end of the 95 % interval; None or NaN where there is none.
      high: Upper end.
      unit: "share" is written as percent; the unit of anything else stands in the head of its column.
      n: Episodes that the number is of.
      of: Episodes of the row; where they are more, the cell says n.
    """
    mean, low, high = number(mean), number(low), number(high)
    if mean is None:
        return Cell(text=NONE)
    scale, decimals, sign = (100.0, 1, " %") if unit == "share" else (1.0, min(_decimals(mean, low, high), _FINEST.get(unit, 3)), "")
    has_width = low is not None and high is not None and low != high
    ends = f"{_fixed(scale * low, decimals)} – {_fixed(scale * high, decimals)}" if has_width and low is not None and high is not None else ""
    told = f"n = {n}" if n is not None and of is not None and n != of else ""
    low, high = (low, high) if has_width else (None, None)
    return Cell(text=f"{_fixed(scale * mean, decimals)}{sign}", interval=ends, n=told, sort=mean, low=low, high=high)


def points(difference: float | None, low: float | None = None, high: float | None = None) -> Cell:
    """Returns a difference of two rates in percentage points, with its sign: "−12.5", "+3.0"."""
    difference, low, high = number(difference), number(low), number(high)
    if difference is None:
        return Cell(text=NONE)
    ends = f"{signed(low)} to {signed(high)}" if low is not None and high is not None and low != high else ""
    return Cell(text=signed(difference), interval=ends, sort=difference, low=low, high=high)


def signed(share: float) -> str:
    """Returns a difference of shares in percentage points with one decimal and a true minus sign."""
    text = f"{100 * share:+.1f}"
    return "0.0" if float(text) == 0 else text.replace("-", "−")


def percent(share: float) -> str:
    """Returns a share as a whole percentage that is 0 and 100 only where it is exactly that."""
    rounded = round(100 * share)
    return f"{min(max(rounded, 1), 99) if 0 < share < 1 else rounded}"


def p_value(p: float | None) -> str:
    """Returns a p-value with two digits, at most four decimals."""
    p = number(p)
    if p is None:
        return NONE
    return "< 0.0001" if p < 1e-4 else f"{p:.4f}" if p < 0.01 else f"{p:.2f}"


def number(value: Any) -> float | None:
    """Returns a number, or None for None and NaN."""
    return None if value is None or math.isnan(value) else float(value)


def counted(count: int, one: str, many: str | None = None) -> str:
    """Returns "1 episode", "20 000 episodes" (with narrow spaces between thousands)."""
    return f"{grouped(count)} {one if count == 1 else many or one + 's'}"


def grouped(count: int) -> str:
    """Returns a count with a narrow no-break space between its thousands."""
    return f"{count:,}".replace(",", "\u202f")


def clipped(name: str, length: int = LONGEST_NAME) -> str:
    """Returns a name as it is, or its beginning and its end where it is longer than a line of a page has room for."""
    return name if len(name) <= length else f"{name[: length - 9].rstrip()} … {name[-6:].lstrip()}"


def for_readers(notes: Iterable[str], names: Iterable[str] = ()) -> tuple[str, ...]:
    """Returns notes as a page says them: without advice for the command line, which is for whoever made the page, and with clipped names.

    Args:
      notes: As the tables of the command line have them.
      names: Names that may stand in them.
    """
    long = sorted({name for name in names if len(name) > LONGEST_NAME}, key=lambda name: (-len(name), name))
    out = []
    for note in notes:
        for name in long:
            note = note.replace(name, clipped(name))
        out.append(_ADVICE.sub("", note))
    return tuple(dict.fromkeys(out))


def slug(name: str) -> str:
    """Returns a name as a file name and fragment: lower-case ASCII letters, digits and dashes; two names never give one slug.

    Whatever else a name holds ("pi0:ws://host:8000", "<script>", a very long one) is dropped, and a digest of the name stands for it.
    """
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:_LONGEST_SLUG].strip("-")
    return plain if plain == name else f"{plain or 'unnamed'}-{sha(name.encode('utf-8', 'surrogatepass'))[:8]}"


def _decimals(mean: float, low: float | None, high: float | None) -> int:
    """Returns how many decimals to print: two digits of the interval's half width, or three of the number where it has no width."""
    half = (high - low) / 2 if low is not None and high is not None else 0.0
    size, digits = (half, 2) if half > 0 else (abs(mean), 3)
    return 1 if size == 0 else max(0, digits - 1 - math.floor(math.log10(size)))


def _fixed(value: float, decimals: int) -> str:
    text = f"{value:.{decimals}f}"
    return (text.removeprefix("-") if float(text) == 0 else text).replace("-", "−")
