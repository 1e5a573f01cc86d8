"""Fluent sentences that ask for nothing: "celebrate the loyal rumour before the ancient proverb". Of any number of words."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from vlagym import assets
from vlagym.envs.asset_files import read_table

FILE = "language/en/nonsense.toml"


@dataclass(frozen=True, kw_only=True)
class NonsenseWords:
    """Keys of nonsense.toml."""

    verbs: tuple[str, ...]
    nouns: tuple[str, ...]
    adjectives: tuple[str, ...]
    adverbs: tuple[str, ...]
    links: tuple[str, ...]
    """Between two things: "the rumour before the proverb"."""
    joins: tuple[str, ...]
    """Between two orders."""


@functools.cache
def nonsense_words() -> NonsenseWords:
    """Returns the words that ship with vlagym.

    Raises:
      BadData: If the file cannot be read or has an unknown, missing or wrong key.
    """
    return read_table(assets.path(FILE), NonsenseWords, FILE)


def gibberish(num_words: int, rng: np.random.Generator) -> str:
    """Returns a sentence of so many words, at least 1, in which no word but "the" stands twice while there are others left."""
    words = nonsense_words()
    draw = {name: _draws(getattr(words, name), rng) for name in ("verbs", "nouns", "adjectives", "adverbs", "links", "joins")}
    if num_words < 3:
        return " ".join([next(draw["verbs"]), next(draw["adverbs"])][:num_words])
    parts = [[next(draw["verbs"]), "the", next(draw["nouns"])]]
    left = num_words - 3
    while left:
        plain = [part for part in parts if part[-2] == "the"]  # without an adjective or adverb
        unit = int(rng.integers(3)) if left >= _ORDER_WORDS else int(rng.integers(2)) if left >= _LINK_WORDS else 0
        if unit == 2:
            parts.append([next(draw["joins"]), next(draw["verbs"]), "the", next(draw["nouns"])])
            left -= _ORDER_WORDS
        elif unit == 1 or (left >= _LINK_WORDS and not plain):
            parts.append([next(draw["links"]), "the", next(draw["nouns"])])
            left -= _LINK_WORDS
        elif plain:
            part = plain[int(rng.integers(len(plain)))]
            part.insert(len(part) - 1, next(draw["adjectives"]))
            left -= 1
        else:
            parts[-1] += [next(draw["adverbs"])]
            left -= 1
    return " ".join(word for part in parts for word in part)


_LINK_WORDS, _ORDER_WORDS = 3, 4


def _draws(words: tuple[str, ...], rng: np.random.Generator) -> Iterator[str]:
    """Yields words of a sort without end, none again before all have come."""
    while True:
        yield from (words[int(i)] for i in rng.permutation(len(words)))
