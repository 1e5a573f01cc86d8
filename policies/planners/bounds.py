"""What a program of a model may use up, what it may ask for, and how it is told that it must not."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any

from vlagym.envs.errors import VlagymError


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """What a program may use up."""

    source: int = 8_000
    """Characters of the program."""
    depth: int = 40
    """Constructs within each other."""
    steps: int = 10_000
    """Statements and expressions that are evaluated."""
    items: int = 1_000
    """Of a list."""
    text: int = 2_000
    """Characters of a word."""
    magnitude: float = 1e12
    """Of a number."""
    calls: int = 60
    """Of the functions that it is given."""


class BadProgram(VlagymError):
    """A program that is no program of this language, or that did what it must not. The message says in which line."""

    def __init__(self, line: int, what: str) -> None:
        super().__init__(f"line {line}: {what}")
        self.line, self.what = line, what


@dataclass(frozen=True, kw_only=True)
class Request:
    """A program calls one of the functions that it was given, and waits for what comes of it."""

    function: str
    args: tuple[Any, ...]
    named: Mapping[str, Any]
    line: int


class Handle:
    """What a function may give to a program that is no number and no word. A program can hand it on, and compare it with None."""


Run = Generator[Request, Any, Any]

BUILTINS = ("len", "max", "min", "range", "sorted")
"""Functions that every program may call."""
