"""A server that speaks LeRobot's asynchronous inference as its source says: gRPC, pickles, one observation that waits. No line is our client's."""

from __future__ import annotations

import contextlib
import io
import pickle
import queue
import struct
from collections.abc import Callable, Iterator
from concurrent import futures
from dataclasses import dataclass, field
from typing import Any

Infer = Callable[[Any, int], bytes]
"""(TimedObservation, actions per chunk) -> pickle of the answer."""
HELPERS = "lerobot.async_inference.helpers"


class Anything:
    """An object of one of LeRobot's classes."""


class RemotePolicyConfig(Anything): ...


class TimedObservation(Anything): ...


class TimedAction(Anything): ...


CLASSES = {c.__name__: c for c in (RemotePolicyConfig, TimedObservation, TimedAction)}


class Unpickler(pickle._Unpickler):
    """LeRobot's server unpickles all; this one knows its classes, which are not installed here, and numpy."""

    def find_class(self, module: str, name: str) -> Any:
        if module == HELPERS:
            return CLASSES[name]
        assert module == "numpy", f"{module}.{name} is nothing that LeRobot needs"
        return super().find_class(module, name)


def unpickle(data: bytes) -> Any:
    return Unpickler(io.BytesIO(data)).load()


def legacy_storage(numbers: bytes, count: int, kind: str = "FloatStorage", key: str = "1") -> bytes:
    """Returns the stream that torch 2 writes of a storage when it is pickled (torch.save without zip)."""
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
    head = b"".join(pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, system))
    text = key.encode()
    mark = b"\x80\x02(X\x07\x00\x00\x00storagectorch\n" + kind.encode() + b"\nX" + struct.pack("<I", len(text)) + text
    mark += b"X\x03\x00\x00\x00cpuJ" + struct.pack("<i", count) + b"NtQ."
    return head + mark + pickle.dumps([key], 2) + struct.pack("<q", count) + numbers


def call(module: str, name: str, arguments: bytes) -> bytes:
    """Returns opcodes that call a function with the arguments that other opcodes push as a tuple."""
    return f"c{module}\n{name}\n".encode() + arguments + b"R"


def data(value: Any) -> bytes:
    """Returns opcodes that push plain data."""
    return pickle.dumps(value, 2)[2:-1].replace(b"q\x00", b"")


def tensor(stream: bytes, offset: int, size: tuple[int, ...], stride: tuple[int, ...]) -> bytes:
    storage = call("torch.storage", "_load_from_bytes", b"B" + struct.pack("<I", len(stream)) + stream + b"\x85")
    hooks = call("collections", "OrderedDict", b")")
    return call("torch._utils", "_rebuild_tensor_v2", b"(" + storage + data(offset) + data(size) + data(stride) + b"\x89" + hooks + b"t")


def timed_action(timestep: int, action: bytes) -> bytes:
    fields = data("timestamp") + data(float(timestep)) + data("timestep") + data(timestep) + data("action") + action
    return f"c{HELPERS}\nTimedAction\n)\x81}}(".encode("latin-1") + fields + b"ub"


def answer(rows: Any, first: int) -> bytes:
    """Returns the pickle of a chunk `(T, D)` of float32, whose rows are views of one storage."""
    steps, size = rows.shape
    stream = legacy_storage(rows.astype("<f4").tobytes(), rows.size)
    actions = [timed_action(first + k, tensor(stream, k * size, (size,), (1,))) for k in range(steps)]
    return b"\x80\x04](" + b"".join(actions) + b"e."


@dataclass
class Seen:
    """What a server has been told."""

    address: str = ""
    ready: int = 0
    configs: list[Any] = field(default_factory=list)
    observations: list[Any] = field(default_factory=list)
    chunks: list[int] = field(default_factory=list)
    """Messages of each observation."""


def _bytes_field(message: bytes, number: int) -> bytes:
    at, found = 0, b""

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(message):
        tag = varint()
        if tag & 7 == 0:
            varint()
            continue
        length = varint()
        if tag >> 3 == number:
            found = message[at : at + length]
        at += length
    return found


@contextlib.contextmanager
def serving(infer: Infer, *, wait_s: float = 0.3) -> Iterator[Seen]:
    """Serves; an exception of `infer` is answered with an empty message, as LeRobot does. So is who asks where no observation waits."""
    import grpc  # the pickles alone can be made without it

    seen, waiting = Seen(), queue.Queue[Any](maxsize=1)

    def ready(request: bytes, context: Any) -> bytes:
        seen.ready += 1
        with contextlib.suppress(queue.Empty):
            waiting.get_nowait()
        return b""

    def setup(request: bytes, context: Any) -> bytes:
        config = unpickle(_bytes_field(request, 1))
        if not isinstance(config, RemotePolicyConfig):
            raise TypeError("Policy specs must be a RemotePolicyConfig")
        if vars(config)["pretrained_name_or_path"] == "nowhere":
            raise FileNotFoundError("config.json not found in nowhere")
        seen.configs.append(config)
        return b""

    def observe(requests: Iterator[bytes], context: Any) -> bytes:
        whole, states = b"", []
        for request in requests:
            assert len(request) <= 4 * 2**20
            states.append(request[1])
            whole += _bytes_field(request, 2)
        assert states == ([3] if len(states) == 1 else [1, *[2] * (len(states) - 2), 3])
        found = unpickle(whole)
        seen.observations.append(found)
        seen.chunks.append(len(states))
        with contextlib.suppress(queue.Empty):
            waiting.get_nowait()
        waiting.put(found)
        return b""

    def actions(request: bytes, context: Any) -> bytes:
        try:
            found = waiting.get(timeout=wait_s)
            made = infer(found, vars(seen.configs[-1])["actions_per_chunk"])
        except Exception:
            return b""
        head, length = bytearray(), len(made)
        while length > 127:
            head.append(length & 127 | 128)
            length >>= 7
        return b"\x0a" + bytes([*head, length]) + made

    handlers = {
        "Ready": grpc.unary_unary_rpc_method_handler(ready),
        "SendPolicyInstructions": grpc.unary_unary_rpc_method_handler(setup),
        "SendObservations": grpc.stream_unary_rpc_method_handler(observe),
        "GetActions": grpc.unary_unary_rpc_method_handler(actions),
    }
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=4), options=[("grpc.max_send_message_length", -1)])
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("transport.AsyncInference", handlers),))
    seen.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield seen
    finally:
        server.stop(0).wait(5)
