"""The structure of a msgpack message, looked at before anything is allocated for it."""

from __future__ import annotations

from collections.abc import Mapping

from vlagym.envs.errors import BadData

MAX_DEPTH = 32
"""Maps and lists within each other. The deepest message of a serving protocol that is known here has 6."""
MAX_ITEMS = 1_000_000
"""Values in a message, keys included. Three images of 256 x 256 written as nested lists have 600 000."""

_PLAIN: Mapping[int, int] = {
    **dict.fromkeys((0xC0, 0xC2, 0xC3), 0),  # nil, false, true
    **{0xCA: 4, 0xCB: 8},  # floats
    **{0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8, 0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8},  # integers
}
"""First byte of a value -> bytes that follow it."""
_TEXT: Mapping[int, int] = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4}
"""First byte of a byte string or a string -> bytes of the length that follows it."""
_LISTS: Mapping[int, int] = {0xDC: 2, 0xDD: 4}
_MAPS: Mapping[int, int] = {0xDE: 2, 0xDF: 4}
_EXTENSIONS = frozenset((0xC7, 0xC8, 0xC9, 0xD4, 0xD5, 0xD6, 0xD7, 0xD8))


def check(data: bytes) -> None:
    """Checks that a message is one whole msgpack value whose every length is covered by bytes that are there.

    A decoder allocates a list or a string as long as its header says. A few bytes that announce gigabytes, or lists within lists that announce
    millions each, are found here, where they cost nothing.

    Args:
      data: The message.

    Raises:
      BadData: If a length announces more than is left, the message ends too early or goes on after its end, maps and lists lie too deep in each
        other or hold too many values, or there is an extension type, which no serving protocol uses.
    """
    at, end, items = 0, len(data), 0
    awaited = [1]  # values that are still to come at each depth
    while awaited:
        if not awaited[-1]:
            awaited.pop()
            continue
        awaited[-1] -= 1
        items += 1
        if items > MAX_ITEMS:
            raise BadData(f"a msgpack message holds more than {MAX_ITEMS} values: numbers belong into arrays")
        if at >= end:
            raise BadData(f"a msgpack message of {end} bytes ends before its last value")
        head = data[at]
        at += 1
        if head < 0x80 or head >= 0xE0:  # small integers
            continue
        if head in _PLAIN:
            at += _PLAIN[head]
            continue
        if head in _EXTENSIONS or head == 0xC1:
            raise BadData(f"a msgpack message holds the type {head:#04x} at byte {at - 1}: extensions are not read")
        size, what, width = 0, "values", 1
        if 0xA0 <= head < 0xC0:
            size, what = head & 0x1F, "bytes"
        elif 0x80 <= head < 0x90:
            size, width = head & 0x0F, 2
        elif 0x90 <= head < 0xA0:
            size = head & 0x0F
        else:
            bytes_of_length = _TEXT.get(head) or _LISTS.get(head) or _MAPS[head]
            size = int.from_bytes(data[at : at + bytes_of_length], "big")
            at += bytes_of_length
            what, width = ("bytes" if head in _TEXT else "values"), (2 if head in _MAPS else 1)
        if size * width > end - at:
            raise BadData(f"a msgpack message announces {size * width} {what} at byte {at}, and {max(0, end - at)} bytes are left")
        if what == "bytes":
            at += size
            continue
        if len(awaited) > MAX_DEPTH:
            raise BadData(f"maps and lists of a msgpack message lie more than {MAX_DEPTH} deep in each other")
        awaited.append(size * width)
    if at != end:
        raise BadData(f"a msgpack message of {end} bytes ends before its last value" if at > end else f"{end - at} bytes follow a msgpack message")
