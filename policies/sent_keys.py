"""Keys that this process has read in order to send them: no text that is shown or stored holds one, for some servers repeat what they were sent."""

from __future__ import annotations

import json
import re
import threading
from urllib.parse import quote, quote_plus

LENGTH_MIN = 4
"""Letters of a key at least: a shorter one could not be told from a word, and half of every text would be taken for it."""
LENGTH_ALONE = 12
"""Letters of a key from which on it is looked for within words too. Shorter ones are mostly no secrets ("test", "EMPTY"), and parts of others."""
INSTEAD = "(the key)"
"""What stands in a text where a key stood."""

_known: tuple[tuple[str, re.Pattern[str], re.Pattern[bytes]], ...] = ()
"""Every way in which a key that is sent could be written, and what finds it in texts and in bytes. The longest is first, for one may begin
another. Replaced as a whole, so that threads that read it need no lock."""
_adding = threading.Lock()


def remember(key: str) -> None:
    """Lets `cleaned` know a key, for as long as this process lives. Whoever reads a key in order to send it calls this before anything is sent.

    Args:
      key: As it is sent. As it would stand within JSON, in an address or in what Python shows of a text, it is known too.
    """
    global _known
    if len(key) < LENGTH_MIN:
        return
    in_json = (json.dumps(key)[1:-1], json.dumps(key, ensure_ascii=False)[1:-1])
    in_addresses = (quote(key, errors="replace"), quote(key, safe="", errors="replace"), quote_plus(key, errors="replace"))
    ways = {key, repr(key)[1:-1], *in_json, *in_addresses}
    with _adding:
        every = {way: (way, *_patterns(way, len(key) < LENGTH_ALONE)) for way in ways} | {known[0]: known for known in _known}
        _known = tuple(every[way] for way in sorted(every, key=lambda way: (-len(way), way)))


def cleaned(text: str) -> str:
    """Returns a text in which "(the key)" stands for every key that is sent. Clean before you cut, or half of a key may be left."""
    for _, pattern, _ in _known:
        text = pattern.sub(INSTEAD, text)
    return text


def cleaned_bytes(data: bytes) -> bytes:
    """Returns what `cleaned` does of bytes that are read as UTF-8."""
    for _, _, pattern in _known:
        data = pattern.sub(INSTEAD.encode(), data)
    return data


def _patterns(way: str, is_word: bool) -> tuple[re.Pattern[str], re.Pattern[bytes]]:
    """Returns what finds a key in texts and in bytes, alone or as a part of words too."""
    edge = r"(?<![A-Za-z0-9]){}(?![A-Za-z0-9])" if is_word else "{}"
    text = re.compile(edge.format(re.escape(way)))
    return text, re.compile(edge.encode().replace(b"{}", re.escape(way.encode("utf-8", "surrogateescape"))))
