"""Arrays in messages: the five encodings of the policy-serving protocols, written byte for byte as their own encoders do, and read with care."""

from __future__ import annotations

import base64
import binascii
import io
import json
import math
from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.errors import BadData, MissingPackage, unknown_name
from vlagym.policies.foreign import told
from vlagym.policies.wire import structure

Dialect = Literal["vla_eval", "openpi", "gr00t"]
"""How arrays stand in a msgpack message. vla_eval: a map with the keys `__ndarray__`, data, dtype and shape. openpi (also RoboArena, vLLM-Omni
and SGLang): the same, its keys byte strings. gr00t: a map with the keys `__ndarray_class__` and as_npy, which is a file of numpy."""

MAX_BYTES = 64 * 2**20
"""Of a message, unless told otherwise: three images of 1080p and all that goes with them have 20 MB."""
_MAX_DIMENSIONS = 16
_MAX_DTYPE_LETTERS = 16
_MAX_SIDE = 1 << 62
_KINDS = "biuf"
"""Kinds of numbers that travel: truth, integers and floats. No objects, which would be pickled, no strings, no structures."""


def pack(value: Any, dialect: Dialect) -> bytes:
    """Returns a value as a msgpack message.

    Args:
      value: Maps with string keys, lists, tuples, strings, bytes, numbers, None, and arrays and scalars of numpy within them.
      dialect: How arrays are written.

    Raises:
      BadData: If something in it cannot travel: an array of objects or strings, any other type.
      MissingPackage: Without msgpack.
    """
    if dialect not in get_args(Dialect):
        raise unknown_name("encoding of arrays", dialect, get_args(Dialect))
    try:
        packed: bytes = _msgpack().packb(value, default=_PACKERS[dialect])
    except (TypeError, ValueError, OverflowError) as error:
        raise BadData(f"a message cannot be written as msgpack: {error}") from error
    return packed


def unpack(data: bytes, *, max_bytes: int = MAX_BYTES) -> Any:
    """Returns what a msgpack message holds, whichever of the encodings its arrays have.

    Arrays are copies in the machine's byte order, which may be written to. Nothing is ever unpickled.

    Args:
      data: The message.
      max_bytes: A longer one is not looked at.

    Raises:
      BadData: If it is too long, no msgpack, or holds an array of objects, strings or structures, or one whose shape does not fit its data.
      MissingPackage: Without msgpack.
    """
    _check_size(len(data), max_bytes)
    msgpack = _msgpack()
    structure.check(data)
    try:
        return msgpack.unpackb(data, object_hook=_array_of)
    except BadData:
        raise
    except Exception as error:  # msgpack's own errors have no common base
        raise BadData(f"a message of {len(data)} bytes is no msgpack that can be read: {type(error).__name__}: {told(error)}") from error


def numbers(value: Any) -> NDArray[Any] | None:
    """Returns numbers, an array of them, or a list of either, however deep, as an array; None where anything else is among them.

    Numpy itself would make a number of a truth value that stands among numbers, and give each of a million empty texts the room of the longest.

    Raises:
      ValueError: If the lists have different lengths.
    """
    left = [value]
    while left:
        one = left.pop()
        if isinstance(one, (list, tuple)):
            left.extend(one)
        elif isinstance(one, (bool, np.bool_)) or not isinstance(one, (int, float, np.ndarray, np.generic)):
            return None
        elif isinstance(one, (np.ndarray, np.generic)) and one.dtype.kind not in "fiu":
            return None
    array = np.asarray(value)
    return array if array.dtype.kind in "fiu" else None  # integers beyond 64 bits are objects to numpy


def to_json(value: Any) -> str:
    """Returns a value as JSON, its arrays as json-numpy writes them: base64 of the data beside dtype and shape.

    Raises:
      BadData: If something in it cannot travel.
    """
    try:
        return json.dumps(value, default=_json_packed)
    except (TypeError, ValueError) as error:
        raise BadData(f"a message cannot be written as JSON: {error}") from error


def from_json(text: str | bytes, *, max_bytes: int = MAX_BYTES) -> Any:
    """Returns what a JSON message holds; arrays of json-numpy are copies that may be written to.

    Args:
      text: The message.
      max_bytes: A longer one is not looked at.

    Raises:
      BadData: If it is too long, no JSON, holds too many values, or an array that `unpack` would refuse.
    """
    _check_size(len(text), max_bytes)
    if _num_marks(text) > structure.MAX_ITEMS:  # a list that is empty takes 20 times as much memory as its letters
        raise BadData(f"a JSON message holds more than {structure.MAX_ITEMS} values: numbers belong into arrays")
    try:
        return json.loads(text, object_hook=_json_array_of)
    except RecursionError as error:
        raise BadData("maps and lists of a JSON message lie too deep in each other") from error
    except ValueError as error:
        raise BadData(f"a message of {len(text)} bytes is no JSON: {told(error)}") from error


# ------------------------------------------------------------------------------------------------------------------------- writing
def _vla_eval_packed(value: Any) -> Any:
    if isinstance(value, np.generic):
        return _numbers(np.asarray(value)).item()
    array = _numbers(value)
    return {"__ndarray__": True, "data": array.tobytes(), "dtype": array.dtype.str, "shape": list(array.shape)}


def _openpi_packed(value: Any) -> Any:
    if isinstance(value, np.generic):
        scalar = _numbers(np.asarray(value))
        return {b"__npgeneric__": True, b"data": scalar.item(), b"dtype": scalar.dtype.str}
    array = _numbers(value)
    return {b"__ndarray__": True, b"data": array.tobytes(), b"dtype": array.dtype.str, b"shape": list(array.shape)}


def _gr00t_packed(value: Any) -> Any:
    if isinstance(value, np.generic):
        return _numbers(np.asarray(value)).item()
    file = io.BytesIO()
    np.save(file, _numbers(value), allow_pickle=False)
    return {"__ndarray_class__": True, "as_npy": file.getvalue()}


def _json_packed(value: Any) -> Any:
    array = _numbers(np.asarray(value) if isinstance(value, np.generic) else value)
    return {"__numpy__": base64.b64encode(array.tobytes()).decode("ascii"), "dtype": array.dtype.str, "shape": list(array.shape)}


_PACKERS: Mapping[Dialect, Callable[[Any], Any]] = {"vla_eval": _vla_eval_packed, "openpi": _openpi_packed, "gr00t": _gr00t_packed}


def _numbers(value: Any) -> NDArray[Any]:
    """Returns an array as it travels: rows one after another, lowest byte first."""
    if not isinstance(value, np.ndarray):
        raise TypeError(f"{type(value).__name__} is neither plain data nor an array")
    if value.dtype.kind not in _KINDS:
        raise BadData(f"an array of {value.dtype} does not travel: only truth values, integers and floats do")
    return np.asarray(value, value.dtype.newbyteorder("<"), order="C")


# ------------------------------------------------------------------------------------------------------------------------- reading
def _array_of(found: dict[Any, Any]) -> Any:
    """Returns the array that a map stands for, or the map. Each key may be a string or a byte string."""

    def get(key: str) -> Any:
        return found[key] if key in found else found.get(key.encode())

    if _is_marked(get("__ndarray__")):
        return _from_bytes(get("data"), get("dtype"), get("shape"))
    if _is_marked(get("__npgeneric__")):
        return _scalar(get("data"), get("dtype"))
    if _is_marked(get("__ndarray_class__")):
        return _from_npy(get("as_npy"))
    if isinstance(get("nd"), bool) and get("type") is not None:  # PyPI's msgpack-numpy; its kind "O" is a pickle
        if get("nd"):
            return _from_bytes(get("data"), get("type"), get("shape"))
        return _from_bytes(get("data"), get("type"), ())[()]
    return found


def _is_marked(value: Any) -> bool:
    """Returns whether a marker is set; some encoders of other languages write 1 for true."""
    return value is True or (isinstance(value, int) and value == 1)


def _num_marks(text: str | bytes) -> int:
    """Returns a bound on the number of values in a JSON message that costs less than reading it."""
    if isinstance(text, bytes):
        return sum(text.count(mark) for mark in (b",", b"[", b"{"))
    return sum(text.count(mark) for mark in (",", "[", "{"))


def _json_array_of(found: dict[str, Any]) -> Any:
    if "__numpy__" not in found:
        return found
    try:
        data = base64.b64decode(found["__numpy__"], validate=True)
    except (binascii.Error, TypeError, ValueError) as error:
        raise BadData(f"an array of a message is no base64: {error}") from error
    return _from_bytes(data, found.get("dtype"), found.get("shape"))[()]


def _from_bytes(data: Any, dtype: Any, shape: Any) -> NDArray[Any]:
    kind = _dtype(dtype)
    sizes = _shape(shape)
    if not isinstance(data, bytes):
        raise BadData(f"the data of an array is {type(data).__name__} in a message; bytes are wanted")
    return _filled(data, kind, sizes, "C")


def _from_npy(data: Any) -> NDArray[Any]:
    if not isinstance(data, bytes):
        raise BadData(f"as_npy is {type(data).__name__} in a message; the bytes of a file of numpy are wanted")
    file = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(file)
        readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        if version not in readers:
            raise BadData(f"as_npy is a file of numpy of the version {version}; 1.0 and 2.0 are read")
        shape, is_fortran, dtype = readers[version](file)
    except ValueError as error:
        raise BadData(f"as_npy is no file of numpy: {told(error)}") from error
    return _filled(data[file.tell() :], _allowed(dtype), _shape(shape), "F" if is_fortran else "C")


def _filled(data: bytes, dtype: np.dtype[Any], shape: tuple[int, ...], order: Literal["C", "F"]) -> NDArray[Any]:
    """Returns a copy of the data as an array; nothing is allocated unless the data is as long as the shape says."""
    wanted = math.prod(shape) * dtype.itemsize
    if wanted != len(data):
        raise BadData(f"an array of a message declares {shape} of {dtype}, which are {wanted} bytes, and brings {len(data)}")
    try:
        return np.frombuffer(data, dtype).reshape(shape, order=order).astype(dtype.newbyteorder("="), order="C")
    except ValueError as error:
        raise BadData(f"an array of a message declares the shape {shape}, which cannot be: {error}") from error


def _scalar(value: Any, dtype: Any) -> Any:
    if not isinstance(value, (bool, int, float)):
        raise BadData(f"a number of a message is {type(value).__name__}")
    try:
        return np.asarray(value, _dtype(dtype).newbyteorder("="))[()]
    except OverflowError as error:
        raise BadData(f"a number of a message is {told(value, 40)}, which is no {told(dtype, 40)}: {told(error)}") from error


def _dtype(said: Any) -> np.dtype[Any]:
    text = said.decode("ascii", "replace") if isinstance(said, bytes) else said
    if not isinstance(text, str) or len(text) > _MAX_DTYPE_LETTERS:
        raise BadData(f"the dtype of an array is {told(said, 40)!r} in a message; one like '<f4' is wanted")
    try:
        return _allowed(np.dtype(text))
    except (TypeError, ValueError, SyntaxError) as error:
        raise BadData(f"the dtype of an array is {text!r} in a message, which numpy does not know: {told(error)}") from error


def _allowed(dtype: np.dtype[Any]) -> np.dtype[Any]:
    if dtype.kind not in _KINDS or dtype.hasobject:
        kind = told(str(dtype), 80)
        raise BadData(f"an array of a message holds {kind}: only truth values, integers and floats are read, and nothing is unpickled")
    return dtype


def _shape(said: Any) -> tuple[int, ...]:
    is_list = isinstance(said, (list, tuple)) and len(said) <= _MAX_DIMENSIONS
    if not is_list or not all(isinstance(n, int) and not isinstance(n, bool) and 0 <= n <= _MAX_SIDE for n in said):
        raise BadData(f"the shape of an array is {told(said, 60)} in a message; a list of at most {_MAX_DIMENSIONS} whole numbers is wanted")
    return tuple(said)


def _check_size(size: int, max_bytes: int) -> None:
    if size > max_bytes:
        raise BadData(f"a message has {size} bytes, and {max_bytes} are allowed")


def _msgpack() -> Any:
    try:
        import msgpack
    except ImportError as missing:
        raise MissingPackage("messages of this protocol are msgpack: pip install msgpack") from missing
    return msgpack
