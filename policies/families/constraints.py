"""Which token may come next, so that what a language model writes is an action whatever its weights say."""

from __future__ import annotations

import re
from typing import Any

from vlagym.envs.errors import BadData
from vlagym.policies.families.language_model import Allowed

_PREFIX = re.compile(r" ?(\d+( \d+)* ?)?")


def tail(*, count: int, vocabulary: int) -> Allowed:
    """Allows the last ids of a vocabulary."""
    ids = list(range(vocabulary - count, vocabulary))
    return lambda written: ids


def act_tokens(tokenizer: Any, *, size: int, count: int) -> Allowed:
    """Allows `<act_i_v>` in the order of the numbers of an action, again and again.

    Raises:
      BadData: If the vocabulary lacks such a token.
    """
    known: dict[str, int] = tokenizer.get_vocab()
    table = [[known[name] for v in range(count) if (name := f"<act_{i}_{v}>") in known] for i in range(size)]
    for i, ids in enumerate(table):
        if len(ids) != count:
            raise BadData(f"the vocabulary has {len(ids)} of the {count} tokens <act_{i}_0> to <act_{i}_{count - 1}>: bins or decoder are others")
    return lambda written: table[len(written) % size]


def bins_text(tokenizer: Any, *, numbers: int, count: int, end: int) -> Allowed:
    """Allows digits and spaces, as long as they begin so many whole numbers below `count`, and the end after the last of them.

    Args:
      tokenizer: Says what ids look like as text.
      numbers: How many there are to be.
      count: Bins.
      end: Id of the token that ends the text.

    Raises:
      BadData: If the vocabulary has no digits.
    """
    texts = {i: tokenizer.decode([i]) for i in sorted(tokenizer.get_vocab().values())}
    candidates = [i for i, text in texts.items() if text and set(text) <= set("0123456789 ") and i != end]
    if not any(texts[i].strip() for i in candidates):
        raise BadData("the vocabulary has no tokens of digits: text of bins cannot be written with it")

    def allowed(written: list[int]) -> list[int]:
        before = str(tokenizer.decode(written)) if written else ""
        nexts = [i for i in candidates if len(text := str(tokenizer.decode([*written, i]))) > len(before) and begins(text, numbers, count)]
        is_whole = len(before.split()) == numbers and begins(before, numbers, count)
        return [*nexts, end] if is_whole or not nexts else nexts

    return allowed


def begins(text: str, numbers: int, count: int) -> bool:
    """Returns whether a text can be gone on with to so many whole numbers below `count`, without leading zeros."""
    if not _PREFIX.fullmatch(text):
        return False
    words = text.split()
    if len(words) > numbers or (len(words) == numbers and text.endswith(" ")):
        return False
    return all(int(word) < count and word == str(int(word)) for word in words)
