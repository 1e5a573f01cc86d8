"""Messages of LeRobot's asynchronous inference: protobuf of two fields, pickles of its own classes within, tensors of torch within those."""

from __future__ import annotations

import io
import math
import struct
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.errors import BadData, BadReply
from vlagym.envs.types import Observation, ObservationSpec
from vlagym.policies.wire.plain_pickle import Budget, Name, Record, read, write

READY, SETUP, OBSERVE, ACT = (f"/transport.AsyncInference/{call}" for call in ("Ready", "SendPolicyInstructions", "SendObservations", "GetActions"))
"""Paths of the service's calls."""
STATE, IMAGES = "observation.state", "observation.images."
CHUNK_BYTES = 2 * 2**20
"""Of one message of an observation: LeRobot cuts there, and its server takes 4 MiB."""
MAX_NUMBERS = 1_000_000
"""In all tensors of an answer."""
_BEGIN, _MIDDLE, _END = 1, 2, 3
_HELPERS = "lerobot.async_inference.helpers"
_TIMED_ACTION, _TENSOR = Name(_HELPERS, "TimedAction"), Name("torch._utils", "_rebuild_tensor_v2")
_STORAGE, _ORDERED = Name("torch.storage", "_load_from_bytes"), Name("collections", "OrderedDict")
_MAGIC, _LEGACY_VERSION = 0x1950A86A20F9469CFC6C, 1001
"""How torch's stream of a storage begins (torch/serialization.py)."""
_DTYPES: Mapping[Name, str] = {
    Name("torch", "FloatStorage"): "<f4",
    Name("torch", "DoubleStorage"): "<f8",
    Name("torch", "HalfStorage"): "<f2",
    Name("torch", "BFloat16Storage"): "<u2",
}
_BFLOAT16 = "<u2"


class Timed(NamedTuple):
    """An action of an answer."""

    timestep: int
    action: NDArray[np.float32]
    """`(D,)`"""


class Wiring(NamedTuple):
    """What of a profile goes where in LeRobot's observation."""

    images: Mapping[str, str]
    """Stream of the profile -> camera, by LeRobot's short name."""
    states: tuple[str, ...]
    """States of the profile which follow one another in observation.state."""


def wire(observation: ObservationSpec, keys: Mapping[str, str], where: str) -> Wiring:
    """Returns where the images and states of a profile go: to the keys that are said, else an image to `observation.images.NAME`.

    All states stand in observation.state, in the profile's order: LeRobot's protocol knows no other.

    Raises:
      BadData: If a key is none, is given twice, or to something that the profile does not read.
    """
    known = [*(i.name for i in observation.images), *(s.name for s in observation.state)]
    for name in keys:
        if name not in known:
            raise BadData(f"{where} names {name!r}, which the profile does not read; it reads {', '.join(known)}")
    images = {i.name: keys.get(i.name, IMAGES + i.name) for i in observation.images}
    for name, key in images.items():
        if not key.startswith(IMAGES) or len(key) == len(IMAGES):
            raise BadData(f"{where} sends the image {name!r} as {key!r}; an image of LeRobot's protocol is called {IMAGES}CAMERA")
    if len(set(images.values())) < len(images):
        raise BadData(f"{where} sends two images as one: {', '.join(images.values())}")
    for state in observation.state:
        if keys.get(state.name, STATE) != STATE:
            raise BadData(f"{where} sends the state {state.name!r} as {keys[state.name]!r}; LeRobot's protocol has {STATE} alone")
    if not observation.state:
        raise BadData("LeRobot's protocol always sends a state, and the profile reads none")
    return Wiring({name: key.removeprefix(IMAGES) for name, key in images.items()}, tuple(s.name for s in observation.state))


def instructions(
    observation: ObservationSpec, wiring: Wiring, *, policy_type: str, checkpoint: str, actions_per_chunk: int, device: str
) -> bytes:
    """Returns the message by which the server is told which checkpoint it loads, and what observations will hold."""
    size = sum(s.size for s in observation.state)
    features: dict[str, Any] = {STATE: {"dtype": "float32", "shape": (size,), "names": _state_names(size)}}
    for image in observation.images:
        shape = (image.height, image.width, 3)
        features[IMAGES + wiring.images[image.name]] = {"dtype": "video", "shape": shape, "names": ["height", "width", "channels"]}
    config = {
        "policy_type": policy_type,
        "pretrained_name_or_path": checkpoint,
        "lerobot_features": features,
        "actions_per_chunk": actions_per_chunk,
        "device": device,
        "rename_map": {},
    }
    return _field(1, write(Record(Name(_HELPERS, "RemotePolicyConfig"), config)))


def observe(observation: Observation, wiring: Wiring, timestep: int) -> Iterator[bytes]:
    """Yields the messages of one observation; it always asks for an answer.

    Args:
      observation: What the policy is shown.
      wiring: What goes where.
      timestep: A number that was never used before: a server drops what it has answered already.
    """
    state = np.concatenate([np.asarray(observation.proprio[name], np.float64) for name in wiring.states])
    raw: dict[str, Any] = dict(zip(_state_names(len(state)), (float(v) for v in state), strict=True))
    raw |= {camera: observation.images[name] for name, camera in wiring.images.items()}
    raw["task"] = observation.instruction
    fields = {"timestamp": float(observation.time_s), "timestep": timestep, "observation": raw, "must_go": True}
    data = write(Record(Name(_HELPERS, "TimedObservation"), fields))
    for at in range(0, len(data), CHUNK_BYTES):
        is_last = at + CHUNK_BYTES >= len(data)
        place = _END if is_last else _MIDDLE if at else _BEGIN
        yield b"\x08" + bytes([place]) + _field(2, data[at : at + CHUNK_BYTES])


def read_actions(message: bytes) -> list[Timed]:
    """Returns the actions of an answer. It is not unpickled: see `vlagym.policies.wire.plain_pickle`.

    Raises:
      BadReply: If it holds none, or anything else.
    """
    data = _first_field(message)
    if not data:
        raise BadReply(
            "the server sent no actions: its inference failed (only its own log says why), or another client asks it at the same time, whose "
            "observation has replaced ours"
        )
    try:
        found = _Actions().read(data)
    except BadData as error:
        raise BadReply(f"the server sent what is no list of actions: {error}") from error
    return found


class _Actions:
    """Reads one answer."""

    def __init__(self) -> None:
        self._budget, self._numbers = Budget(), 0

    def read(self, data: bytes) -> list[Timed]:
        names = frozenset({_TENSOR, _STORAGE, _ORDERED})
        stream = io.BytesIO(data)
        found = read(stream, records=frozenset({_TIMED_ACTION}), names=names, make=self._make, budget=self._budget)
        if stream.tell() != len(data):
            raise BadData(f"{len(data) - stream.tell()} bytes follow its pickle")
        if type(found) is not list or not found:
            raise BadData(f"it is {type(found).__name__} of {len(found) if isinstance(found, list) else 1}")
        return [self._timed(one) for one in found]

    def _timed(self, one: Any) -> Timed:
        fields = one.fields if isinstance(one, Record) else None
        if fields is None or set(fields) != {"timestamp", "timestep", "action"}:
            raise BadData("an action is no TimedAction")
        timestep, action = fields["timestep"], fields["action"]
        if type(timestep) is not int or not isinstance(action, np.ndarray) or action.ndim != 1:
            raise BadData("a TimedAction holds no timestep, or no vector")
        return Timed(timestep, action)

    def _make(self, function: Name, arguments: tuple[Any, ...]) -> Any:
        if function == _ORDERED and arguments == ():
            return {}
        if function == _STORAGE and len(arguments) == 1 and type(arguments[0]) is bytes:
            return self._storage(arguments[0])
        if function == _TENSOR and len(arguments) == 6:
            return self._tensor(*arguments)
        raise BadData(f"a pickle calls {function} with arguments that it does not take")

    def _storage(self, data: bytes) -> _Storage:
        """Returns the numbers of a storage: four pickles, a length, and the numbers, which are not copied."""
        stream = io.BytesIO(data)

        def part(names: frozenset[Name] = frozenset()) -> Any:
            return read(stream, records=frozenset(), names=names, make=_makes_nothing, budget=self._budget)

        magic, version, system = part(), part(), part()
        if magic != _MAGIC or version != _LEGACY_VERSION or type(system) is not dict or system.get("little_endian") is not True:
            raise BadData("a storage does not begin as torch's do, or is of a big-endian machine")
        mark, keys = part(frozenset(_DTYPES)), part()
        is_id = type(mark) is tuple and len(mark) == 2 and mark[0] == "persistent id"
        if not is_id or type(mark[1]) is not tuple or len(mark[1]) != 6 or mark[1][0] != "storage":
            raise BadData("a storage does not say what it is")
        _, kind, key, _, count, view = mark[1]
        if type(kind) is not Name or kind not in _DTYPES or type(key) is not str or view is not None or keys != [key]:
            raise BadData("a storage is of a type that is not read, or a view of another one")
        dtype = np.dtype(_DTYPES[kind])
        at, left = stream.tell() + 8, len(data) - stream.tell() - 8
        if type(count) is not int or left < 0 or count < 0 or count * dtype.itemsize != left or data[at - 8 : at] != struct.pack("<q", count):
            raise BadData("a storage has another size than it says")
        return _Storage(np.frombuffer(data, dtype, count, at))

    def _tensor(self, storage: Any, offset: Any, size: Any, stride: Any, requires_grad: Any, hooks: Any) -> NDArray[np.float32]:
        if not isinstance(storage, _Storage) or type(size) is not tuple or type(stride) is not tuple or len(size) != len(stride) or hooks != {}:
            raise BadData("a tensor is made of other things than torch's are")
        if not all(type(n) is int and 0 <= n <= MAX_NUMBERS for n in (offset, *size, *stride)) or len(size) > 4:
            raise BadData("a tensor has a size that cannot be")
        self._numbers += math.prod(size)
        if self._numbers > MAX_NUMBERS:
            raise BadData(f"the tensors of an answer hold more than {MAX_NUMBERS} numbers")
        last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
        if 0 in size:
            return np.zeros(size, np.float32)
        if last >= len(storage.numbers):
            raise BadData("a tensor reaches beyond its storage")
        steps = tuple(step * storage.numbers.itemsize for step in stride)
        values = np.lib.stride_tricks.as_strided(storage.numbers[offset:], size, steps, writeable=False)
        if storage.numbers.dtype.str == _BFLOAT16:
            return (values.astype(np.uint32) << 16).view(np.float32)
        with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is refused as such
            return np.array(values, np.float32)


class _Storage(NamedTuple):
    numbers: NDArray[Any]


def _makes_nothing(function: Name, _: tuple[Any, ...]) -> Any:
    raise BadData(f"a storage calls {function}")


def _state_names(size: int) -> list[str]:
    return [f"state_{k}" for k in range(size)]


def _field(number: int, data: bytes) -> bytes:
    """Returns a protobuf field of bytes."""
    return bytes([number << 3 | 2]) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _first_field(message: bytes) -> bytes:
    """Returns the bytes of the only field of a protobuf message, which is its first; nothing where there is none."""
    if not message:
        return b""
    length, shift, at = 0, 0, 1
    while True:
        if message[0] != 0x0A or at >= min(len(message), 6):
            raise BadReply("the server sent what is no message of LeRobot's protocol")
        byte = message[at]
        length |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            break
    if length != len(message) - at:
        raise BadReply(f"the server sent {len(message) - at} bytes of actions and announces {length}")
    return message[at:]
