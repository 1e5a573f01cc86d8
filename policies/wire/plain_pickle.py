"""Pickles that hold plain data and a few named things, read without unpickling and written without the classes that they name.

Nothing here calls, imports or looks up what a pickle names: a name is a pair of strings, and whoever reads decides what little may be made of it.
"""

from __future__ import annotations

import io
import pickletools
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from vlagym.envs.errors import BadData
from vlagym.policies.foreign import told

MAX_OPCODES = 50_000
"""In one message, pickles within it included. A chunk of 100 actions of LeRobot has 6000."""
_CONSTANTS: Mapping[str, Any] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_VALUES = frozenset({"BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "SHORT_BINUNICODE", "BINUNICODE", "SHORT_BINBYTES", "BINBYTES"})
"""Opcodes whose argument is the value. The lexer gives no more bytes than are there."""
_TUPLES: Mapping[str, int] = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_SHOWN = 60


class Name(NamedTuple):
    """A thing that a pickle names: a class or a function of somebody's. It is never looked up."""

    module: str
    name: str

    def __str__(self) -> str:
        return told(f"{self.module}.{self.name}", _SHOWN)


@dataclass
class Record:
    """An object of a named class, with its attributes."""

    kind: Name
    fields: dict[str, Any] | None = None


class Budget:
    """What one message may cost, counted over all that is read of it."""

    def __init__(self, opcodes: int = MAX_OPCODES) -> None:
        self._left = opcodes

    def spend(self) -> None:
        """Raises BadData once there have been too many opcodes."""
        self._left -= 1
        if self._left < 0:
            raise BadData(f"a pickle has more than {MAX_OPCODES} opcodes")


Make = Callable[[Name, tuple[Any, ...]], Any]
"""(function, arguments) -> what stands for its result. Raises BadData for every function that it does not know."""


class _Mark:
    pass


_MARK = _Mark()


def read(stream: io.BytesIO, *, records: frozenset[Name], names: frozenset[Name], make: Make, budget: Budget) -> Any:
    """Returns what one pickle holds, and leaves the stream behind it.

    Understood are None, truth, whole numbers up to 255 bytes, floats, strings, bytes, tuples, lists, dicts whose keys are strings, the names and
    records that are allowed, and persistent ids, which are returned as `("persistent id", value)`. Nothing else: no other opcode, no other name.

    Args:
      stream: Holds the pickle.
      records: Classes of which there may be objects: they become `Record`.
      names: What else may be named.
      make: What is made where a named function is called.
      budget: What reading may cost.

    Raises:
      BadData: If there is anything else in it, or it is cut short.
    """
    machine = _Machine(records, names, make)
    try:
        for opcode, argument, _ in pickletools.genops(stream):
            budget.spend()
            if opcode.name == "STOP":
                return machine.result()
            machine.step(opcode.name, argument)
    except (ValueError, struct.error, UnicodeError) as error:
        raise BadData(f"a pickle is damaged: {told(error, _SHOWN)}") from error
    raise BadData("a pickle ends before its end")


class _Machine:
    """The stack and the memo of a pickle that is read."""

    def __init__(self, records: frozenset[Name], names: frozenset[Name], make: Make) -> None:
        self._records, self._names, self._make = records, names, make
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def result(self) -> Any:
        value = self._pop()
        if self._stack:
            raise BadData("a pickle leaves something behind")
        return value

    def step(self, opcode: str, argument: Any) -> None:
        if opcode in _VALUES:
            self._stack.append(argument)
        elif opcode in _CONSTANTS:
            self._stack.append(_CONSTANTS[opcode])
        elif opcode in _TUPLES:
            count = _TUPLES[opcode]
            self._stack.append(tuple(self._pop() for _ in range(count))[::-1])
        elif opcode in _STEPS:
            _STEPS[opcode](self, argument)
        elif opcode not in ("PROTO", "FRAME"):
            raise BadData(f"a pickle holds the opcode {opcode}, which plain data does not need: it is not executed")

    def _pop(self) -> Any:
        if not self._stack or self._stack[-1] is _MARK:
            raise BadData("a pickle takes from an empty stack")
        return self._stack.pop()

    def _since_mark(self) -> list[Any]:
        taken: list[Any] = []
        while self._stack:
            value = self._stack.pop()
            if value is _MARK:
                return taken[::-1]
            taken.append(value)
        raise BadData("a pickle goes back to a mark that it has not made")

    def _top(self, kind: type) -> Any:
        if not self._stack or type(self._stack[-1]) is not kind:
            raise BadData(f"a pickle fills a {kind.__name__} that is none")
        return self._stack[-1]

    def mark(self, _: Any) -> None:
        self._stack.append(_MARK)

    def tuple_(self, _: Any) -> None:
        self._stack.append(tuple(self._since_mark()))

    def empty_list(self, _: Any) -> None:
        self._stack.append([])

    def empty_dict(self, _: Any) -> None:
        self._stack.append({})

    def append(self, _: Any) -> None:
        value = self._pop()
        self._top(list).append(value)

    def appends(self, _: Any) -> None:
        values = self._since_mark()
        self._top(list).extend(values)

    def set_item(self, _: Any) -> None:
        value, key = self._pop(), self._pop()
        self._fill([key, value])

    def set_items(self, _: Any) -> None:
        self._fill(self._since_mark())

    def _fill(self, flat: Sequence[Any]) -> None:
        table = self._top(dict)
        if len(flat) % 2 or not all(type(key) is str for key in flat[::2]):
            raise BadData("a pickle holds a dict whose keys are no strings")
        table.update(zip(flat[::2], flat[1::2], strict=True))

    def memoize(self, index: Any) -> None:
        if not self._stack or self._stack[-1] is _MARK:
            raise BadData("a pickle remembers nothing")
        self._memo[len(self._memo) if index is None else index] = self._stack[-1]

    def get(self, index: Any) -> None:
        if index not in self._memo:
            raise BadData("a pickle refers to what it has not said")
        self._stack.append(self._memo[index])

    def global_(self, argument: Any) -> None:
        module, _, name = str(argument).partition(" ")
        self._named(module, name)

    def stack_global(self, _: Any) -> None:
        name, module = self._pop(), self._pop()
        self._named(module, name)

    def _named(self, module: Any, name: Any) -> None:
        if type(module) is not str or type(name) is not str:
            raise BadData("a pickle names something by what is no string")
        found = Name(module, name)
        if found not in self._records and found not in self._names:
            raise BadData(f"a pickle names {found}, which is not allowed")
        self._stack.append(found)

    def reduce(self, _: Any) -> None:
        arguments, function = self._pop(), self._pop()
        if type(function) is not Name or function in self._records or type(arguments) is not tuple:
            raise BadData("a pickle calls what is no function of those that are known")
        self._stack.append(self._make(function, arguments))

    def new_object(self, _: Any) -> None:
        arguments, kind = self._pop(), self._pop()
        if type(kind) is not Name or kind not in self._records or arguments != ():
            raise BadData("a pickle makes an object of what is no class of those that are known")
        self._stack.append(Record(kind))

    def build(self, _: Any) -> None:
        state = self._pop()
        record = self._top(Record)
        if type(state) is not dict or record.fields is not None:
            raise BadData("a pickle gives an object attributes that are none")
        record.fields = state

    def persistent_id(self, _: Any) -> None:
        self._stack.append(("persistent id", self._pop()))


_STEPS: Mapping[str, Callable[[_Machine, Any], None]] = {
    "MARK": _Machine.mark,
    "TUPLE": _Machine.tuple_,
    "EMPTY_LIST": _Machine.empty_list,
    "EMPTY_DICT": _Machine.empty_dict,
    "APPEND": _Machine.append,
    "APPENDS": _Machine.appends,
    "SETITEM": _Machine.set_item,
    "SETITEMS": _Machine.set_items,
    "MEMOIZE": _Machine.memoize,
    "BINPUT": _Machine.memoize,
    "LONG_BINPUT": _Machine.memoize,
    "BINGET": _Machine.get,
    "LONG_BINGET": _Machine.get,
    "GLOBAL": _Machine.global_,
    "STACK_GLOBAL": _Machine.stack_global,
    "REDUCE": _Machine.reduce,
    "NEWOBJ": _Machine.new_object,
    "BUILD": _Machine.build,
    "BINPERSID": _Machine.persistent_id,
}


# ------------------------------------------------------------------------------------------------------------------------ writing
def write(value: Any) -> bytes:
    """Returns the pickle (protocol 5) of plain data, numpy arrays and records; their classes need not exist here.

    An array becomes a call of `numpy.ndarray(shape, dtype, buffer)` over bytes that may be written to, which every release of numpy understands.

    Raises:
      BadData: For anything else.
    """
    out = io.BytesIO()
    out.write(b"\x80\x05")
    _write(out, value)
    out.write(b".")
    return out.getvalue()


def _write(out: io.BytesIO, value: Any) -> None:
    if value is None or isinstance(value, bool):
        out.write({None: b"N", True: b"\x88", False: b"\x89"}[value])
    elif isinstance(value, int):
        digits = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
        out.write(b"\x8a" + bytes([len(digits)]) + digits)
    elif isinstance(value, float):
        out.write(b"G" + struct.pack(">d", value))
    elif isinstance(value, str):
        text = value.encode()
        out.write(b"X" + struct.pack("<I", len(text)) + text)
    elif isinstance(value, (list, tuple)):
        out.write(b"](" if isinstance(value, list) else b"(")
        for one in value:
            _write(out, one)
        out.write(b"e" if isinstance(value, list) else b"t")
    elif isinstance(value, Mapping):
        out.write(b"}(")
        for key, one in value.items():
            _write(out, key)
            _write(out, one)
        out.write(b"u")
    elif isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        data = np.ascontiguousarray(value).tobytes()
        _write_name(out, Name("numpy", "ndarray"))
        out.write(b"(")
        _write(out, tuple(int(n) for n in value.shape))
        _write(out, value.dtype.str)
        out.write(b"\x96" + struct.pack("<Q", len(data)) + data + b"tR")
    elif isinstance(value, Record):
        _write_name(out, value.kind)
        out.write(b")\x81")
        _write(out, value.fields or {})
        out.write(b"b")
    else:
        raise BadData(f"{type(value).__name__} is not written into a pickle: plain data, arrays of numbers and records are")


def _write_name(out: io.BytesIO, name: Name) -> None:
    _write(out, name.module)
    _write(out, name.name)
    out.write(b"\x93")
