"""What came from outside, as it may stand in an error, a card or a log: short, on one line, printable, without what looks like a secret.

Servers and checkpoints say what they like: megabytes, colours and titles for the terminal, line breaks that look like another message, the key that
they were sent. Every text of theirs goes through `told` before a person or a file sees it, and every map of theirs that a card keeps through `kept`.
"""

from __future__ import annotations

import math
import re
import reprlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from vlagym.policies.sent_keys import cleaned, cleaned_bytes

TOLD_MAX = 300
"""Letters of a text that are told unless said otherwise."""
NAME_MAX = 60
"""Letters of a name that stands among others."""
KEPT_MAX = 8192
"""Letters of all that a card keeps of one description."""
_KEPT_TEXT, _KEPT_ITEMS, _KEPT_DEPTH = 300, 64, 6
_READ_AHEAD = 8
"""So many times the letters that are told are looked at: folding spaces makes a text shorter."""
_INTEGER_MAX = 1 << 63
_QUERY = re.compile(r"(?P<address>\b[A-Za-z][A-Za-z0-9+.\-]*://[^\s?#]*)(?P<query>[?#]\S*)")
_LOGIN = re.compile(r"(?P<scheme>\b[A-Za-z][A-Za-z0-9+.\-]*://)[^\s/?#]*@")
_MODEL = re.compile(r"[?&](model=[^&#]*)")
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_SECRET_WORDS = frozenset(
    "token secret secrets password passwd passphrase pwd credential credentials cookie cookies auth authorization bearer apikey".split()
)
_HARMLESS_KEYS = frozenset("unnorm image images state states action actions video camera language prompt observation joint modality".split())
"""What may stand before "key" in a name that speaks of no secret."""


def told(said: Any, letters: int = TOLD_MAX, *, keep: Literal["start", "end"] = "start") -> str:
    """Returns what was said as it can be shown: on one line, what cannot be printed escaped, never longer than that many letters (and a mark).

    "(the key)" stands in it for every key that is sent, which is looked for before anything is cut.

    Args:
      said: A text; bytes are read as UTF-8; of an error, its words; of anything else, what it looks like.
      letters: How many are told.
      keep: Which end of a longer text. A traceback says at its end what happened.
    """
    ahead = _READ_AHEAD * letters
    part = slice(-ahead, None) if keep == "end" else slice(ahead)
    if isinstance(said, (bytes, bytearray)):
        data = cleaned_bytes(bytes(said))
        text, is_cut = data[part].decode("utf-8", "replace"), len(data) > ahead
    else:
        whole = cleaned(said if isinstance(said, str) else _words(said) if isinstance(said, BaseException) else _SHORT.repr(said))
        text, is_cut = whole[part], len(whole) > ahead
    shown = "".join(letter if letter.isprintable() else _escaped(letter) for letter in " ".join(text.split()))
    if len(shown) <= letters and not is_cut:
        return shown
    return f"… {shown[-letters:]}" if keep == "end" else f"{shown[:letters]} …"


def told_names(names: Iterable[Any], most: int = 8, *, empty: str = "nothing") -> str:
    """Returns names in a row: the first of them, each shortened, and how many there are besides.

    Args:
      names: Texts, or whatever stands for names.
      most: How many are told.
      empty: What is said where there are none.
    """
    listed = list(names)
    shown = ", ".join(told(str(name) if isinstance(name, (str, int)) else name, NAME_MAX) for name in listed[:most])
    return f"{shown} and {len(listed) - most} more" if len(listed) > most else shown or empty


def kept(description: Mapping[Any, Any]) -> dict[str, Any]:
    """Returns what a card keeps of a description that the other side gave of itself: plain data that a file of JSON holds, bounded in every way.

    Fields whose names look like those of a secret are left out, and named under "left_out", as are those for which there is no room. Texts are as
    `told`, and addresses in them as `without_query`; an array is the word for what it is.
    """
    room = [KEPT_MAX]
    left_out: list[str] = []
    plain: dict[str, Any] = _kept(description, room, left_out, _KEPT_DEPTH)
    return plain | {"left_out": told_names(left_out)} if left_out else plain


def without_query(text: str) -> str:
    """Returns a text whose addresses end before their query, for keys stand in queries, and which hold no user and no password.

    Of a query only `model=NAME` is left, which is an argument of `chat` and is never sent as a query. `openpi:ws://host:8000/?api_key=k` becomes
    `openpi:ws://host:8000/`.
    """
    return _LOGIN.sub(lambda found: found["scheme"], _QUERY.sub(_without, text))


def has_query(text: str) -> bool:
    """Returns whether `without_query` takes something away."""
    return without_query(text) != text


def looks_secret(name: str) -> bool:
    """Returns whether a field of that name could hold a key, a token or a password."""
    words = [word.lower() for word in _WORDS.findall(name)]
    if any(word in _SECRET_WORDS for word in words):
        return True
    return bool(words) and words[-1] == "key" and not (len(words) > 1 and words[-2] in _HARMLESS_KEYS)


def _without(found: re.Match[str]) -> str:
    models = [] if found["query"].startswith("#") else _MODEL.findall(found["query"].partition("#")[0])
    return found["address"] + (f"?{models[0]}" if models else "")


def _escaped(letter: str) -> str:
    return letter.encode("unicode_escape").decode("ascii")


def _words(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as failure:  # of an error of theirs, whose __str__ is theirs too
        return f"(no words: its __str__ raised {type(failure).__name__})"


class _Short(reprlib.Repr):
    """What things look like, shortened; keys are taken out of texts before these are."""

    def repr_str(self, x: str, level: int) -> str:
        return super().repr_str(cleaned(x), level)

    def repr_bytes(self, x: bytes, level: int) -> str:
        return self.repr_instance(cleaned_bytes(x), level)

    def repr_instance(self, x: object, level: int) -> str:
        try:
            shown = cleaned(repr(x))
        except Exception:  # of a class of theirs
            return f"<{type(x).__name__}>"
        half = self.maxother // 2
        return shown if len(shown) <= self.maxother else f"{shown[:half]}...{shown[-half:]}"


def _short() -> _Short:
    made = _Short()
    made.maxlevel, made.maxdict, made.maxlist, made.maxtuple = 3, 8, 16, 16
    made.maxstring = made.maxlong = made.maxother = TOLD_MAX
    return made


_SHORT = _short()


def _kept(value: Any, room: list[int], left_out: list[str], depth: int) -> Any:
    """Returns a value as a card keeps it; `room` counts the letters that are left."""
    if isinstance(value, Mapping):
        return _kept_map(value, room, left_out, depth)
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes, bytearray)):
        if depth == 0:
            return _counted(f"({type(value).__name__} of {len(value)})", room)
        items: list[Any] = []
        for inner in value[:_KEPT_ITEMS]:
            if room[0] <= 0:
                break
            items.append(_kept(inner, room, left_out, depth - 1))
        return items if len(items) == len(value) else [*items, f"(and {len(value) - len(items)} more)"]
    value = value.item() if isinstance(value, np.generic) else value
    if value is None or isinstance(value, bool):
        return _counted(value, room)
    if isinstance(value, int) and abs(value) < _INTEGER_MAX:
        return _counted(value, room)
    if isinstance(value, float) and math.isfinite(value):
        return _counted(value, room)
    if isinstance(value, (str, int, float)):
        text = told(value if isinstance(value, str) else repr(value), _KEPT_TEXT)
        return _counted(without_query(text), room)
    return _counted(f"({type(value).__name__})", room)


def _kept_map(value: Mapping[Any, Any], room: list[int], left_out: list[str], depth: int) -> Any:
    if depth == 0:
        return _counted(f"(map of {len(value)})", room)
    plain: dict[str, Any] = {}
    for key, inner in value.items():
        name = told(str(key) if isinstance(key, (str, int)) else key, NAME_MAX)
        if len(plain) >= _KEPT_ITEMS or room[0] <= 0 or looks_secret(name):
            left_out.append(name)
            continue
        room[0] -= len(name)
        plain[name] = _kept(inner, room, left_out, depth - 1)
    return plain


def _counted(value: Any, room: list[int]) -> Any:
    room[0] -= len(str(value))
    return value
