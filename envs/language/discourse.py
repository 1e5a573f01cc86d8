"""What a sentence has said so far, and what it may therefore not say any more: another noun, another view, a circle, a second relation."""

from __future__ import annotations

import re
from typing import Literal

from vlagym.envs.language.classes import GENERIC
from vlagym.envs.language.noun_phrases import Reading

Frame = Literal["table", "viewer"]
"""Whose left and right a sentence speaks of."""

_SIDES = r"to the left of|to the right of|in front of|behind|(?:near|far) side of|(?:left|right)-hand side of"
_RELATION = re.compile(rf"\b(?:{_SIDES}|next to|close beside|beside|between|above|below|(?:nearest to|closest to|farthest from) the (?!robot\b))\b")
_DIRECTED = re.compile(rf"\b(?:{_SIDES}|left|right|leftmost|rightmost|front|back|from the left|from the right)\b")
_VIEWER = re.compile(r"\bmy (?:left|right)\b| as I see it\b| as seen from my side\b")
_POSTMODIFIER = re.compile(
    r"(?<!that is)(?<!that are) (?=(?:to the (?:left|right) of|in front of|behind|next to|beside|between|above|below|nearest to|closest to"
    r"|farthest from|lying on|on the|on my|on your|in the|at the) )"
)


class Discourse:
    """What one sentence has said so far."""

    def __init__(self, frame: Frame | None = None) -> None:
        """Begins a sentence; `frame`: whose left and right its templates speak of."""
        self._frame = frame
        self._nouns: dict[str, str] = {}
        self._leans: set[tuple[str, str]] = set()
        self._is_related = False

    def begin_clause(self, text: str) -> None:
        """Begins a clause, made of a template or of a piece of one."""
        self._is_related = bool(_RELATION.search(text))

    def noun_of(self, name: str) -> str | None:
        """Returns what the sentence has called a thing; None if it did not speak of it."""
        return self._nouns.get(name)

    def allows(self, text: str, reading: Reading, landmarks: tuple[str, ...], *, is_directed: bool) -> bool:
        """Returns whether a phrase can follow what was said.

        Args:
          text: The phrase.
          reading: What it stands for.
          landmarks: Things that it leans on.
          is_directed: Whether it is of a style that speaks of sides; a "left drawer" is called so wherever one sits.
        """
        if self._is_related and _RELATION.search(text):
            return False
        if is_directed and self._frame is not None and frame_of(text) not in (None, self._frame):
            return False
        if any((landmark, name) in self._leans for landmark in landmarks for name in reading.names):
            return False
        return reading.noun in GENERIC or all(self._nouns.get(name, reading.noun) == reading.noun for name in reading.names)

    def add(self, text: str, reading: Reading, landmarks: tuple[tuple[str, str], ...], *, is_directed: bool) -> None:
        """Remembers a phrase; `landmarks`: names and nouns of the things that it leans on."""
        self._is_related = self._is_related or bool(_RELATION.search(text))
        if is_directed:
            self._frame = self._frame or frame_of(text)
        if reading.noun not in GENERIC:
            self._nouns.update(dict.fromkeys(reading.names, reading.noun))
        for landmark, noun in landmarks:
            self._nouns.setdefault(landmark, noun)
            self._leans.update((name, landmark) for name in reading.names)


def frame_of(text: str) -> Frame | None:
    """Returns whose left and right a phrase speaks of; None if it speaks of no side."""
    return "viewer" if _VIEWER.search(text) else "table" if _DIRECTED.search(text) else None


def spelled_out(text: str, is_plural: bool) -> str:
    """Returns a phrase that no following place can be taken for a part of: "the ball that is to the right of the basket"."""
    return _POSTMODIFIER.sub(f" that {'are' if is_plural else 'is'} ", text, count=1)
