"""What happens to a sentence on its way: typing errors, fillers, false starts, letter case, punctuation, what a machine that listens has misheard."""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from vlagym import assets
from vlagym.envs.asset_files import read_table

FILE = "language/en/noise.toml"
Edit = Literal["filler", "case", "punctuation", "typing", "repair", "hearing"]

_TYPED = re.compile(r"[a-z]{4,}")
"""What typing errors are made in: no labels, no numbers, nothing that would no longer be recognised."""
_MARKS = ",?:;'"
_MAX_REPEATED = 3
_MAX_TIMES = {"case": 1, "punctuation": 1, "repair": 2}
"""What nobody does more often in one sentence."""


@dataclass(frozen=True, kw_only=True)
class NoiseWords:
    """Keys of noise.toml."""

    fillers: tuple[str, ...]
    repairs: tuple[str, ...]
    """Said before some words are said once more."""
    openings: tuple[str, ...]
    endings: tuple[str, ...]
    neighbours: Mapping[str, str]
    """Key to the keys beside it."""
    heard: Mapping[str, tuple[str, ...]]
    """Word to what is written down instead."""


@functools.cache
def noise_words() -> NoiseWords:
    """Returns the words that ship with vlagym.

    Raises:
      BadData: If the file cannot be read or has an unknown, missing or wrong key.
    """
    return read_table(assets.path(FILE), NoiseWords, FILE)


@dataclass(frozen=True)
class _Word:
    """A word, or several that were put in the place of one."""

    text: str
    is_edited: bool = False
    """Whether it stays as it is from now on."""


def garbled(
    text: str, num_edits: int, kinds: tuple[Edit, ...], known: Collection[str], rng: np.random.Generator, *, whole: Collection[str] = ()
) -> str:
    """Returns a sentence after a number of edits, each of one word or between two, no word edited twice.

    Args:
      text: The sentence.
      num_edits: How many edits. Where no kind finds a place any more, fewer are made.
      kinds: What may happen, each as often; letter case and punctuation at most once, a false start at most twice.
      known: Words in lower case that no edit may produce: what could be meant by another sentence.
      rng: Draws the kinds, the places and the words.
      whole: Names of several words that are not torn apart.
    """
    words = [_Word(word) for word in re.findall("".join(rf"\b{re.escape(name)}\b\S*|" for name in sorted(whole)) + r"\S+", text)]
    left = list(kinds)
    done: Counter[Edit] = Counter()
    while done.total() < num_edits and left:
        kind = left[int(rng.integers(len(left)))]
        edited = _EDITS[kind](words, known, rng)
        if edited is not None:
            words = edited
            done[kind] += 1
        if edited is None or done[kind] == _MAX_TIMES.get(kind):
            left = [other for other in left if other != kind]
    return " ".join(word.text for word in words)


def _fill(words: list[_Word], known: Collection[str], rng: np.random.Generator) -> list[_Word] | None:
    """Puts a filler between two words, or something before all."""
    places = [i for i in range(len(words)) if not words[i].is_edited and (i == 0 or not words[i - 1].is_edited)]
    if not places:
        return None
    place = places[int(rng.integers(len(places)))]
    noise = noise_words()
    return [*words[:place], _Word(_drawn(noise.openings if place == 0 else noise.fillers, rng), True), *words[place:]]


def _repair(words: list[_Word], known: Collection[str], rng: np.random.Generator) -> list[_Word] | None:
    """Says some words, breaks off, and says them again: "put the, I mean, put the red block" without its commas."""
    runs = [
        (start, length)
        for start in range(len(words))
        for length in range(1, min(_MAX_REPEATED, len(words) - start - 1) + 1)
        if not any(word.is_edited for word in words[max(start - 1, 0) : start + length])
    ]
    if not runs:
        return None
    start, length = runs[int(rng.integers(len(runs)))]
    again = words[start : start + length]
    said = " ".join([*(word.text.rstrip(_MARKS) for word in again), _drawn(noise_words().repairs, rng)])
    return [*words[:start], _Word(said, True), *words[start:]]


def _mistype(words: list[_Word], known: Collection[str], rng: np.random.Generator) -> list[_Word] | None:
    """Hits the key beside one, or leaves out, doubles or swaps letters of a word."""
    places = [i for i, word in enumerate(words) if not word.is_edited and _TYPED.fullmatch(word.text.rstrip(_MARKS))]
    for index in rng.permutation(len(places)):
        place = places[int(index)]
        text = words[place].text
        letters = len(text.rstrip(_MARKS))
        at = int(rng.integers(letters))
        nearby = noise_words().neighbours[text[at]]
        swapped = min(at, letters - 2)
        ways = (
            text[:at] + nearby[int(rng.integers(len(nearby)))] + text[at + 1 :],
            text[:at] + text[at + 1 :],
            text[:at] + text[at] + text[at:],
            text[:swapped] + text[swapped + 1] + text[swapped] + text[swapped + 2 :],
        )
        typed = ways[int(rng.integers(len(ways)))]
        if typed != text and typed.rstrip(_MARKS) not in known:
            return _with(words, place, typed)
    return None


def _mishear(words: list[_Word], known: Collection[str], rng: np.random.Generator) -> list[_Word] | None:
    """Writes down what sounds like a word."""
    heard = noise_words().heard
    choices = [
        (i, sound)
        for i, word in enumerate(words)
        if not word.is_edited
        for sound in heard.get(word.text.rstrip(_MARKS), ())
        if not any(part in known for part in sound.split())
    ]
    if not choices:
        return None
    place, sound = choices[int(rng.integers(len(choices)))]
    text = words[place].text
    return _with(words, place, sound + text[len(text.rstrip(_MARKS)) :])


def _recase(words: list[_Word], known: Collection[str], rng: np.random.Generator) -> list[_Word] | None:
    """Shouts the sentence or a word of it, or begins it, or each word of it, with a capital."""
    way = int(rng.integers(4))
    if way == 0:
        return [replace(word, text=word.text.upper()) for word in words]
    if way == 1:
        return [replace(word, text=word.text[:1].upper() + word.text[1:]) for word in words]
    if way == 2:
        return [replace(words[0], text=words[0].text[:1].upper() + words[0].text[1:]), *words[1:]] if words[0].text[:1].islower() else None
    place = int(rng.integers(len(words)))
    return _with(words, place, words[place].text.upper()) if words[place].text.islower() else None


def _repunctuate(words: list[_Word], known: Collection[str], rng: np.random.Generator) -> list[_Word] | None:
    """Takes away every mark, or puts some behind the sentence where there is none."""
    bare = [replace(word, text="".join(c for c in word.text if c not in _MARKS)) for word in words]
    if bare != words and all(word.text for word in bare):
        return bare
    return [*words[:-1], replace(words[-1], text=words[-1].text + _drawn(noise_words().endings, rng))]


_EDITS: Mapping[Edit, Callable[[list[_Word], Collection[str], np.random.Generator], list[_Word] | None]] = {
    "filler": _fill,
    "case": _recase,
    "punctuation": _repunctuate,
    "typing": _mistype,
    "repair": _repair,
    "hearing": _mishear,
}


def _with(words: list[_Word], place: int, text: str) -> list[_Word]:
    return [*words[:place], _Word(text, True), *words[place + 1 :]]


def _drawn(texts: tuple[str, ...], rng: np.random.Generator) -> str:
    return texts[int(rng.integers(len(texts)))]
