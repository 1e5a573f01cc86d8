"""English word forms: plurals, -ing forms, lists."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence

from vlagym.envs.language.phrases import language

NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight")
ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth")


@functools.cache
def plural(noun: str) -> str:
    """Returns the plural of a noun; of "block with the hole" and the like that of its head."""
    words = language().words
    if noun in words.plurals:
        return words.plurals[noun]
    head, link, rest = _split_head(noun)
    if link:
        return f"{plural(head)}{link}{rest}"
    front, space, last = noun.rpartition(" ")
    if last in words.always_plural:
        return noun
    if last in words.plurals:
        return f"{front}{space}{words.plurals[last]}"
    if re.search(r"(s|x|z|ch|sh)$", last):
        return f"{noun}es"
    if re.search(r"[^aeiou]y$", last):
        return f"{noun[:-1]}ies"
    return f"{noun}s"


def is_always_plural(noun: str) -> bool:
    """Returns whether one such thing is spoken of in the plural: scissors."""
    return _split_head(noun)[0].rpartition(" ")[2] in language().words.always_plural


def head(noun: str) -> str:
    """Returns the last word of what a noun names: "can" of "soda can", "block" of "block with the hole"."""
    return _split_head(noun)[0].rpartition(" ")[2]


def gerund(request: str) -> str:
    """Returns an order with its first verb in the -ing form: "opening the drawer"."""
    verb, _, rest = request.partition(" ")
    return f"{language().verbs[verb]} {rest}".rstrip()


def order(request: str) -> str | None:
    """Returns the order that `gerund` was made of; None if it begins with no known -ing form."""
    first, _, rest = request.partition(" ")
    verb = next((v for v, ing in language().verbs.items() if ing == first), None)
    return f"{verb} {rest}".rstrip() if verb else None


def listed(words: Sequence[str]) -> str:
    """Returns "a", "a and b", "a, b and c"."""
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1]


def _split_head(noun: str) -> tuple[str, str, str]:
    found = re.fullmatch(r"(.+?)( (?:with|of|at|in|for) )(.+)", noun)
    return (found[1], found[2], found[3]) if found else (noun, "", "")
