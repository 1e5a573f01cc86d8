"""The one module that prints: answers to stdout, chatter and progress to stderr, and how a command line is parsed."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from collections.abc import Sequence
from types import TracebackType
from typing import NoReturn, TextIO

_STYLES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}
_BAR_CELLS = 24
_REDRAW_S = 0.1
_PLAIN_LINE_S = 5.0
"""Off a terminal, a line at most this often: a log of an hour stays readable."""


class _OneLineParser(argparse.ArgumentParser):
    """Answers a wrong command line with one line instead of the usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (see: {self.prog} --help)\n")


def parser(prog: str, description: str, example: str) -> argparse.ArgumentParser:
    """Returns the parser of a command. A wrong command line is answered with one line on stderr and exit status 2.

    Args:
      prog: What is typed to reach the command: "vlagym run".
      description: What the command does, in a sentence.
      example: A line, or several, that can be pasted into a shell as they stand.
    """
    epilog = "example:\n" + "\n".join(f"  {line}" for line in example.strip().splitlines())
    return _OneLineParser(prog=prog, description=description, epilog=epilog, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)


def answer(text: str) -> None:
    """Prints what was asked for to stdout."""
    print(text, flush=True)


def note(text: str) -> None:
    """Prints what helps to follow along to stderr; a progress bar that is being drawn moves below it."""
    for bar in _bars:
        bar._erase()
    print(text, file=sys.stderr, flush=True)
    for bar in _bars:
        bar._draw()


def has_colour(out: TextIO) -> bool:
    """Returns whether colour is welcome: on a terminal that is not dumb, unless NO_COLOR is set to anything."""
    return out.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def paint(text: str, style: str, out: TextIO | None = None) -> str:
    """Returns the text in a style where colour is welcome, else as it is.

    Args:
      text: Any text without escapes of its own.
      style: bold | dim | red | green | yellow | cyan.
      out: Where it will be printed; None means stdout.
    """
    return f"\033[{_STYLES[style]}m{text}\033[0m" if has_colour(out or sys.stdout) else text


def table(rows: Sequence[Sequence[object]], columns: Sequence[str]) -> str:
    """Returns rows below their column names as aligned plain text. Columns of numbers are flush right, None is an empty cell.

    Args:
      rows: Each with as many cells as there are columns.
      columns: Column names.

    Raises:
      ValueError: If a row has another number of cells.
    """
    for row in rows:
        if len(row) != len(columns):
            raise ValueError(f"a row has {len(row)} cells for {len(columns)} columns ({', '.join(columns)}): {list(row)!r}")
    text = [["" if cell is None else str(cell) for cell in row] for row in rows]
    widths = [max(len(line[i]) for line in [list(columns), *text]) for i in range(len(columns))]
    is_number = [_is_number_column([row[i] for row in rows]) for i in range(len(columns))]

    def line(cells: Sequence[str]) -> str:
        return "  ".join(c.rjust(w) if right else c.ljust(w) for c, w, right in zip(cells, widths, is_number, strict=True)).rstrip()

    return "\n".join([paint(line(columns), "bold"), *map(line, text)])


def _is_number_column(cells: Sequence[object]) -> bool:
    present = [c for c in cells if c is not None]
    return bool(present) and all(isinstance(c, (int, float)) and not isinstance(c, bool) for c in present)


class Progress:
    """A bar with rate and time left on stderr; where stderr is no terminal, a plain line every few seconds and one at the end.

    with Progress(30, "smoke") as progress:
        for episode in episodes:
            progress.advance(note=episode.outcome)
    """

    def __init__(self, total: int | None, label: str, unit: str = "ep", done: int = 0) -> None:
        """Prepares a bar; nothing is printed before it is entered.

        Args:
          total: How many there are; None where nobody knows.
          label: What is being counted.
          unit: Of one.
          done: How many were finished before, by a run that is now resumed. They do not enter the rate.
        """
        self._total, self._label, self._unit = total, label, unit
        self._done, self._done_before = done, done
        self._note = ""
        self._width = 0
        self._is_terminal = sys.stderr.isatty()
        self._began_s = self._drawn_s = time.monotonic()

    def __enter__(self) -> Progress:
        self._began_s = self._drawn_s = time.monotonic()
        _bars.append(self)
        self._draw()
        return self

    def advance(self, n: int = 1, note: str = "") -> None:
        """Counts `n` more as done. A note stays beside the bar until the next one."""
        self._done += n
        self._note = note or self._note
        wait_s = _REDRAW_S if self._is_terminal else _PLAIN_LINE_S
        if time.monotonic() - self._drawn_s < wait_s:
            return
        self._draw()
        if not self._is_terminal:
            self._say()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        _bars.remove(self)
        self._erase()
        self._say()

    def _draw(self) -> None:
        if not self._is_terminal:
            return
        line = self._line(with_bar=True)[: shutil.get_terminal_size().columns - 1]
        sys.stderr.write("\r" + line.ljust(self._width))
        sys.stderr.flush()
        self._width, self._drawn_s = len(line), time.monotonic()

    def _erase(self) -> None:
        if self._is_terminal:
            sys.stderr.write("\r" + " " * self._width + "\r")
            sys.stderr.flush()

    def _say(self) -> None:
        print(self._line(with_bar=False), file=sys.stderr, flush=True)
        self._drawn_s = time.monotonic()

    def _line(self, *, with_bar: bool) -> str:
        spent_s = max(time.monotonic() - self._began_s, 1e-9)
        rate = (self._done - self._done_before) / spent_s
        parts = [f"{self._label}:"]
        if self._total is None:
            parts.append(f"{self._done} {self._unit}")
        else:
            if with_bar:
                full = round(_BAR_CELLS * min(1.0, self._done / max(self._total, 1)))
                parts.append("█" * full + "░" * (_BAR_CELLS - full) if _writes_blocks() else "#" * full + "." * (_BAR_CELLS - full))
            parts.append(f"{self._done}/{self._total} {self._unit}")
        parts.append(f"{_duration(spent_s)} spent")
        if rate > 0:
            parts.append(f"{rate:.3g} {self._unit}/s" if rate >= 1 else f"{1 / rate:.3g} s/{self._unit}")
            if self._total is not None and self._done < self._total:
                parts.append(f"{_duration((self._total - self._done) / rate)} left")
        if self._note:
            parts.append(f"({self._note})")
        return " ".join(parts[:2]) + "  " + "  ".join(parts[2:])


_bars: list[Progress] = []
"""Bars that are being drawn: stderr is one, so what is drawn on it is kept in one place."""


def _writes_blocks() -> bool:
    return (sys.stderr.encoding or "").lower().replace("-", "").startswith("utf")


def _duration(seconds: float) -> str:
    """Returns 7 s, 3:05 or 2:03:05."""
    s = round(seconds)
    if s < 60:
        return f"{s} s"
    return f"{s // 60}:{s % 60:02d}" if s < 3600 else f"{s // 3600}:{s // 60 % 60:02d}:{s % 60:02d}"
