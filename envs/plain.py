"""Dataclasses as plain data and back, and what is made of their bytes: digests, and streams of random numbers named by a purpose."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import types
import typing
from collections.abc import Callable, Hashable, Mapping
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.errors import BadData


def sha(data: bytes) -> str:
    """Returns the first 32 hexadecimal digits of the SHA-256."""
    return hashlib.sha256(data).hexdigest()[:32]


def sha_arrays(*arrays: NDArray[Any]) -> str:
    """Returns the digest of arrays: of their dtypes, shapes and little-endian bytes."""
    h = hashlib.sha256()
    for array in arrays:
        a = np.ascontiguousarray(array)
        a = a.astype(a.dtype.newbyteorder("<"), copy=False)
        h.update(f"{a.dtype.str}{a.shape}".encode())
        h.update(a.tobytes())
    return h.hexdigest()[:32]


def canonical_json(value: Any) -> str:
    """Returns JSON with sorted keys and no spaces; refuses NaN and infinity."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def stream(seed: int, *key: str) -> np.random.Generator:
    """Returns the generator of one purpose, e.g. stream(7, "stack", "layout").

    Streams of different keys are independent, so that a further draw in one place does not shift another.
    """
    words = [int.from_bytes(hashlib.sha256(k.encode()).digest()[:4], "little") for k in key]
    return np.random.default_rng(np.random.SeedSequence(entropy=seed, spawn_key=words))


def to_plain(value: Any) -> Any:
    """Returns dataclasses as dicts, tuples as lists, numpy scalars as Python's, ready for JSON.

    A dataclass may name fields in a class variable `YOUNGER`: they are not written where they hold their defaults, so that what was written before
    they existed stays equal to what is written now.
    """
    kind: Any = type(value)
    if kind in _PLAIN:
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        younger = _younger(kind)
        if not younger:
            return {name: to_plain(getattr(value, name)) for name in _field_names(kind)}
        fields = ((name, getattr(value, name)) for name in _field_names(kind))
        return {name: to_plain(field) for name, field in fields if name not in younger or field != younger[name]}
    if isinstance(value, Mapping):
        return {str(k): to_plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(v) for v in value]
    if isinstance(value, np.generic):
        return value.item()
    return value


_PLAIN = frozenset((str, int, float, bool, types.NoneType))


@functools.cache
def _field_names(kind: type) -> tuple[str, ...]:
    return tuple(f.name for f in dataclasses.fields(kind))


@functools.cache
def _younger(kind: type) -> dict[str, Any]:
    """Returns the fields of a dataclass that are left out where they hold their defaults, and these."""
    names = getattr(kind, "YOUNGER", ())
    made = ((f.name, f.default if f.default_factory is dataclasses.MISSING else f.default_factory()) for f in dataclasses.fields(kind))
    return {name: default for name, default in made if name in names}


T = TypeVar("T")


def from_plain(kind: type[T], data: Any, where: str = "") -> T:
    """Returns the frozen dataclass `kind` from what `to_plain` made of it.

    Raises:
      BadData: With the path of the field that is missing, unknown or of another type.
    """
    wanted: Any = kind  # to mypy a type is not hashable
    try:
        result: T = _reader(wanted)(data)
    except _Misfit as misfit:
        raise BadData(f"{where or kind.__name__}{misfit.path}{misfit.text}") from None
    return result


class _Misfit(Exception):
    """A value that does not fit its type. Each reader that it passes on its way out puts before the path where in its own value that was."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text, self.path = text, ""


_Read = Callable[[Any], Any]


@functools.cache
def _reader(kind: Any) -> _Read:
    """Returns the function that reads one type. It is put together once: a table of 20,000 episodes reads each field as often."""
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return lambda data: data
    if origin is Literal:
        return functools.partial(_read_word, frozenset(args), args)
    if origin in (types.UnionType, typing.Union):
        return functools.partial(_read_optional, type(None) in args, _reader(next(a for a in args if a is not type(None))))
    if origin is tuple and len(args) == 2 and args[1] is Ellipsis:
        return functools.partial(_read_list, _reader(args[0]))
    if origin is tuple:
        return functools.partial(_read_tuple, tuple(map(_reader, args)))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return functools.partial(_read_table, _reader(args[1]))
    if dataclasses.is_dataclass(kind):
        return functools.partial(_read_dataclass, kind)
    if kind is float:
        return _read_float
    if isinstance(kind, type):
        return functools.partial(_read_instance, kind)
    raise TypeError(f"fields of type {kind!r} cannot be read back")


def _read_word(words: frozenset[Any], listed: tuple[Any, ...], data: Any) -> Any:
    if not isinstance(data, Hashable) or data not in words:
        raise _Misfit(f" is {data!r}; it must be one of {', '.join(map(repr, listed))}")
    return data


def _read_optional(may_be_missing: bool, read: _Read, data: Any) -> Any:
    if data is not None:
        return read(data)
    if not may_be_missing:
        raise _Misfit(" is missing a value")
    return None


def _read_list(read: _Read, data: Any) -> tuple[Any, ...]:
    if not isinstance(data, (list, tuple)):
        raise _Misfit(f" must be a list, not {type(data).__name__}")
    out: list[Any] = []
    try:
        for value in data:
            out.append(read(value))
    except _Misfit as misfit:
        misfit.path = f"[{len(out)}]{misfit.path}"
        raise
    return tuple(out)


def _read_tuple(reads: tuple[_Read, ...], data: Any) -> tuple[Any, ...]:
    if not isinstance(data, (list, tuple)):
        raise _Misfit(f" must be a list, not {type(data).__name__}")
    if len(reads) != len(data):
        raise _Misfit(f" must have {len(reads)} entries, not {len(data)}")
    out: list[Any] = []
    try:
        for read, value in zip(reads, data, strict=True):
            out.append(read(value))
    except _Misfit as misfit:
        misfit.path = f"[{len(out)}]{misfit.path}"
        raise
    return tuple(out)


def _read_table(read: _Read, data: Any) -> dict[str, Any]:
    if not isinstance(data, Mapping):
        raise _Misfit(f" must be a table, not {type(data).__name__}")
    out: dict[str, Any] = {}
    key = ""
    try:
        for key, value in data.items():
            out[str(key)] = read(value)
    except _Misfit as misfit:
        misfit.path = f".{key}{misfit.path}"
        raise
    return out


@functools.cache
def _fields(kind: type) -> dict[str, tuple[_Read, bool]]:
    """Returns how each field of a dataclass is read, and whether it must be there."""
    hints = typing.get_type_hints(kind)
    missing = dataclasses.MISSING
    return {f.name: (_reader(hints[f.name]), f.default is missing and f.default_factory is missing) for f in dataclasses.fields(kind)}


def _read_dataclass(kind: Any, data: Any) -> Any:
    if not isinstance(data, Mapping):
        raise _Misfit(f" must be a table, not {type(data).__name__}")
    fields = _fields(kind)
    if not data.keys() <= fields.keys():
        raise _Misfit(f" has an unknown key {min(set(data) - set(fields))!r}. Known: {', '.join(fields)}")
    values: dict[str, Any] = {}
    name = ""
    try:
        for name, (read, is_needed) in fields.items():
            if name in data:
                values[name] = read(data[name])
            elif is_needed:
                break
        else:
            return kind(**values)
    except _Misfit as misfit:
        misfit.path = f".{name}{misfit.path}"
        raise
    raise _Misfit(f" lacks the key {name!r}")


def _read_float(data: Any) -> float:
    if type(data) is float:
        return data
    if isinstance(data, bool) or not isinstance(data, (int, float)):
        raise _Misfit(f" must be a number, not {data!r}")
    return float(data)


def _read_instance(kind: type, data: Any) -> Any:
    if not isinstance(data, kind) or (kind is int and isinstance(data, bool)):
        raise _Misfit(f" must be {kind.__name__}, not {data!r}")
    return data
