"""`tf.train.Example` in bytes: names, each with a list of byte strings, of float32 or of int64; written and read without TensorFlow.

The messages (tensorflow/core/example/{example,feature}.proto), with the numbers of their fields:
Example {1: Features}, Features {1: map of name -> Feature}, Feature {1: BytesList, 2: FloatList, 3: Int64List}, each list {1: its values}.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = Sequence[bytes] | NDArray[np.float32] | NDArray[np.int64]
"""Byte strings, or a flat array of numbers."""

_VARINT, _FIXED_64, _BYTES, _FIXED_32 = 0, 1, 2, 5
"""Wire types of protocol buffers."""
_LISTS = {"bytes": 1, "float": 2, "int": 3}


# -------------------------------------------------------------------------------------------------------------------------- writing
def encode(features: Mapping[str, Values]) -> list[bytes]:
    """Returns an Example in pieces, in the order of the names."""
    entries: list[bytes] = []
    for name in sorted(features):
        entries += _message(1, [*_message(1, [name.encode()]), *_message(2, _feature(features[name]))])
    return _message(1, entries)


def _feature(values: Values) -> list[bytes]:
    if not isinstance(values, np.ndarray):
        return _message(_LISTS["bytes"], [piece for value in values for piece in _message(1, [value])])
    if values.dtype == np.float32:
        return _message(_LISTS["float"], _message(1, [values.astype("<f4").tobytes()]))
    return _message(_LISTS["int"], _message(1, [_varints(values.astype(np.int64))]))


def _message(number: int, pieces: Sequence[bytes]) -> list[bytes]:
    """Returns a field that holds some bytes."""
    return [_varint(number << 3 | _BYTES) + _varint(sum(map(len, pieces))), *pieces]


def _varints(values: NDArray[np.int64]) -> bytes:
    if ((values >= 0) & (values < 0x80)).all():  # flags, mostly
        return values.astype(np.uint8).tobytes()
    return b"".join(_varint(value & 0xFFFFFFFFFFFFFFFF) for value in values.tolist())


def _varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


# -------------------------------------------------------------------------------------------------------------------------- reading
class Example:
    """An Example whose values are read when they are looked up."""

    def __init__(self, data: bytes) -> None:
        """Looks at the names.

        Raises:
          ValueError: If the bytes are no Example.
        """
        self._features: dict[str, memoryview] = {}
        for features in _messages(memoryview(data), 1):
            for entry in _messages(features, 1):
                (name,), values = _messages(entry, 1), _messages(entry, 2)
                self._features[bytes(name).decode()] = values[-1] if values else memoryview(b"")

    def __contains__(self, name: str) -> bool:
        return name in self._features

    @property
    def names(self) -> tuple[str, ...]:
        """Of all features."""
        return tuple(self._features)

    def values(self, name: str) -> list[bytes] | NDArray[Any]:
        """Returns what a feature holds: byte strings, or a flat array of numbers.

        Raises:
          KeyError: If there is nothing of this name.
          ValueError: If it is damaged.
        """
        return self.texts(name) if self._list(name)[0] == _LISTS["bytes"] else self.numbers(name)

    def texts(self, name: str) -> list[bytes]:
        """Returns byte strings.

        Raises:
          KeyError: If there is nothing of this name.
          ValueError: If it is damaged, or holds numbers.
        """
        kind, values = self._list(name)
        if kind not in (None, _LISTS["bytes"]):
            raise ValueError(f"{name} holds numbers")
        return [bytes(value) for value in _messages(values, 1)]

    def numbers(self, name: str) -> NDArray[Any]:
        """Returns a flat array of float32 or int64.

        Raises:
          KeyError: If there is nothing of this name.
          ValueError: If it is damaged, or holds byte strings.
        """
        kind, values = self._list(name)
        found: list[NDArray[Any]] = [np.zeros(0, np.float32 if kind == _LISTS["float"] else np.int64)]
        for number, value in _fields(values):
            if number != 1:
                continue
            if kind == _LISTS["float"]:
                found.append(np.frombuffer(value if isinstance(value, memoryview) else struct.pack("<I", value), "<f4"))
            elif kind == _LISTS["int"]:
                found.append(_read_varints(value) if isinstance(value, memoryview) else np.array([_signed(value)], np.int64))
            else:
                raise ValueError(f"{name} holds byte strings")
        return np.concatenate(found)

    def _list(self, name: str) -> tuple[int | None, memoryview]:
        """Returns which of the lists a feature has, and its message; an empty one may have none."""
        for number, values in _fields(self._features[name]):
            if isinstance(values, memoryview):
                return number, values
        return None, memoryview(b"")


def _messages(view: memoryview, number: int) -> list[memoryview]:
    """Returns the fields of a number that have a length."""
    return [value for n, value in _fields(view) if n == number and isinstance(value, memoryview)]


def _fields(view: memoryview) -> Iterator[tuple[int, memoryview | int]]:
    """Yields the fields of a message: a view of what has a length, else a number.

    Raises:
      ValueError: If it is cut off, or no message.
    """
    at, size = 0, len(view)
    while at < size:
        key, at = _read_varint(view, at)
        number, wire = key >> 3, key & 7
        if wire == _VARINT:
            value, at = _read_varint(view, at)
            yield number, value
            continue
        if wire == _BYTES:
            length, at = _read_varint(view, at)
        elif wire in (_FIXED_32, _FIXED_64):
            length = 4 if wire == _FIXED_32 else 8
        else:
            raise ValueError(f"a field has the wire type {wire}")
        if at + length > size:
            raise ValueError(f"a field of {length} bytes is cut off after {size - at}")
        found = view[at : at + length]
        yield number, found if wire == _BYTES else int.from_bytes(found, "little")
        at += length


def _read_varint(view: memoryview, at: int) -> tuple[int, int]:
    """Returns a number, and where the next thing begins."""
    value = shift = 0
    while at < len(view) and shift < 70:
        byte = view[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise ValueError("a number is cut off")


def _read_varints(view: memoryview) -> NDArray[np.int64]:
    flat = np.frombuffer(view, np.uint8)
    if (flat < 0x80).all():
        return flat.astype(np.int64)
    values, at = [], 0
    while at < len(view):
        value, at = _read_varint(view, at)
        values.append(_signed(value))
    return np.array(values, np.int64)


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value
