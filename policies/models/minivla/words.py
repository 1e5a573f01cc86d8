"""Sentences as bucket numbers: whole words and their parts, hashed, so that a word never seen before still has parts that were."""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vlagym.policies.models.minivla.config import TextConfig

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


class SentenceIds(NamedTuple):
    """Sentences as numbers, padded with 0 on the right."""

    words: NDArray[np.int64]
    """(B, L) bucket of each whole word."""
    grams: NDArray[np.int64]
    """(B, L, G) buckets of its parts."""


def split(sentence: str) -> list[str]:
    """Returns the words of a sentence in lower case, without punctuation."""
    return [w.replace("’", "'") for w in _WORD.findall(sentence.lower())]


def word_bucket(word: str, config: TextConfig) -> int:
    """Returns the bucket of a whole word, 1 … word_buckets - 1."""
    return _bucket("w:" + word, config.word_buckets)


@functools.lru_cache(maxsize=65536)
def gram_buckets(word: str, config: TextConfig) -> tuple[int, ...]:
    """Returns the buckets of the parts of a word between its boundary marks; never empty."""
    marked = f"<{word}>"
    sizes = range(min(config.gram_min, len(marked)), min(config.gram_max, len(marked)) + 1)
    parts = [marked[i : i + n] for n in sizes for i in range(len(marked) - n + 1)]
    return tuple(_bucket("g:" + part, config.gram_buckets) for part in parts)


def encode(sentences: Sequence[str], config: TextConfig) -> SentenceIds:
    """Returns sentences of any length, and words of any spelling, as bucket numbers.

    Args:
      sentences: B sentences; a blank one is a row of padding.
      config: Numbers of buckets, lengths of parts.

    Returns:
      Arrays with L = the most words of a sentence and G = the most parts of a word, both at least 1.
    """
    rows = [split(s) for s in sentences]
    length = max([1, *(len(row) for row in rows)])
    parts = max([1, *(len(gram_buckets(w, config)) for row in rows for w in row)])
    word_ids = np.zeros((len(rows), length), np.int64)
    gram_ids = np.zeros((len(rows), length, parts), np.int64)
    for i, row in enumerate(rows):
        for j, word in enumerate(row):
            grams = gram_buckets(word, config)
            word_ids[i, j] = word_bucket(word, config)
            gram_ids[i, j, : len(grams)] = grams
    return SentenceIds(word_ids, gram_ids)


@functools.lru_cache(maxsize=65536)
def _bucket(text: str, buckets: int) -> int:
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return 1 + int.from_bytes(digest, "little") % (buckets - 1)
