"""Answers of LeRobot's server are read without unpickling: what is no action is refused, nothing is called, and little memory is taken."""

from __future__ import annotations

import builtins
import os
import pickle
import struct
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lerobot_server as server
import numpy as np
import pytest

from vlagym.envs.errors import BadData, BadReply
from vlagym.envs.types import ImageComponent, Observation, ObservationSpec, StateComponent
from vlagym.policies.wire import lerobot_grpc as wire
from vlagym.policies.wire.plain_pickle import Name, Record, write

CHUNK = np.linspace(-1, 1, 21).reshape(3, 7).astype(np.float32)
READS = ObservationSpec(
    images=(ImageComponent(name="front", width=3, height=2),),
    state=(StateComponent(name="joints", size=2), StateComponent(name="gripper", size=1)),
    rate_hz=20.0,
)
SEEN = Observation(
    images={"front": np.arange(18, dtype=np.uint8).reshape(2, 3, 3)},
    proprio={"joints": np.array([0.1, 0.2], np.float32), "gripper": np.array([0.3], np.float32)},
    instruction="lift the cube",
    time_s=0.5,
)


def message(data: bytes) -> bytes:
    out, length = bytearray(b"\x0a"), len(data)
    while length > 127:
        out.append(length & 127 | 128)
        length >>= 7
    return bytes([*out, length]) + data


def actions(data: bytes) -> list[wire.Timed]:
    return wire.read_actions(message(data))


def test_a_chunk_is_read_as_torch_would_read_it() -> None:
    found = actions(server.answer(CHUNK, first=5))
    assert [one.timestep for one in found] == [5, 6, 7]
    assert np.array_equal(np.stack([one.action for one in found]), CHUNK)
    assert all(one.action.dtype == np.float32 and one.action.flags.writeable for one in found)


def test_the_bytes_that_torch_itself_writes_are_read() -> None:
    import torch

    def timed(action: Any) -> bytes:
        return server.timed_action(1, pickle.dumps(action, 4)[2:-1])

    rows = torch.arange(12.0).reshape(3, 4)
    for tensor in (rows[1], rows[:, 2], rows.double()[0], rows.half()[2], rows.bfloat16()[2]):
        (found,) = actions(b"\x80\x04](" + timed(tensor) + b"e.")
        assert np.array_equal(found.action, tensor.float().numpy())


def test_nothing_of_torch_or_lerobot_is_imported_or_left_behind() -> None:
    before = set(sys.modules)
    actions(server.answer(CHUNK, first=0))
    wire.instructions(READS, wire.wire(READS, {}, "keys"), policy_type="act", checkpoint="x", actions_per_chunk=3, device="cpu")
    assert not [name for name in set(sys.modules) - before if name.split(".")[0] in ("torch", "lerobot")]


class Calls:
    """Pickles as a call of a function."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


def one(action: bytes) -> bytes:
    return b"\x80\x04](" + server.timed_action(0, action) + b"e."


def plain(count: int = 7, stated: int | None = None) -> bytes:
    return server.legacy_storage(bytes(4 * count), count if stated is None else stated)


SYSTEM = b"cposix\nsystem\n(X\x04\x00\x00\x00truetR"
TENSOR = server.tensor(plain(), 0, (7,), (1,))
DEEP = b"(" * 5_000 + b"t" * 5_000
BAD = {
    "os.system": pickle.dumps(Calls(os.system, "touch {}")),
    "eval": pickle.dumps(Calls(eval, "open('{}', 'w')")),
    "exec in protocol 0": pickle.dumps(Calls(exec, "open('{}', 'w')"), 0),
    "getattr of builtins": pickle.dumps(Calls(getattr, Calls(__import__, "os"), "system")),
    "call of what a call returned": pickle.dumps([Calls(Calls, Calls(os.system, "touch {}"))]),
    "import by a module's path": b"\x80\x04\x8c\x0dos.path.posix\x8c\x06system\x93.",
    "system in an action": one(SYSTEM),
    "system in the arguments of a tensor": one(b"ctorch._utils\n_rebuild_tensor_v2\n(" + SYSTEM + b"tR"),
    "system in a storage": one(server.tensor(b"\x80\x02" + SYSTEM + b".", 0, (7,), (1,))),
    "system as type of a storage": one(server.tensor(plain().replace(b"ctorch\nFloatStorage\n", b"cposix\nsystem\n"), 0, (7,), (1,))),
    "system as class of an object": b"\x80\x04cposix\nsystem\n)\x81.",
    "system as attributes": b"\x80\x04](" + b"clerobot.async_inference.helpers\nTimedAction\n)\x81" + SYSTEM + b"be.",
    "setstate of a class": b"\x80\x04clerobot.async_inference.helpers\nTimedAction\n}(X\x0c\x00\x00\x00__setstate__cbuiltins\neval\nub.",
    "attributes of a class": b"\x80\x04clerobot.async_inference.helpers\nTimedAction\n}(X\x01\x00\x00\x00aNub.",
    "attributes twice": b"\x80\x04](" + server.timed_action(0, TENSOR) + b"}be.",
    "name with dots": b"\x80\x04\x8c\x0ctorch._utils\x8c\x1a_rebuild_tensor_v2.__call__\x93.",
    "another rebuild of torch": b"\x80\x04ctorch._utils\n_rebuild_parameter\n.",
    "torch.load": b"\x80\x04ctorch\nload\n.",
    "numpy's objects": pickle.dumps(np.array([object], object)),
    "numpy": pickle.dumps(np.zeros(7)),
    "extension": b"\x80\x04\x82\x01.",
    "instance of protocol 0": b"(iposix\nsystem\n.",
    "object by mark": b"(cposix\nsystem\nX\x04\x00\x00\x00trueo.",
    "persistent id": b"\x80\x04](" + server.timed_action(0, b"X\x01\x00\x00\x00aQ") + b"e.",
    "4 GB of bytes": b"\x80\x04B\xff\xff\xff\xff.",
    "exabytes of bytes": b"\x80\x04\x8e" + struct.pack("<Q", 2**60) + b".",
    "exabytes to be filled": b"\x80\x05\x96" + struct.pack("<Q", 2**60) + b".",
    "a memo of billions": b"\x80\x04Nr\xff\xff\xff\x7f.",
    "a frame of exabytes": b"\x80\x04\x95" + struct.pack("<Q", 2**60) + b".",
    "a number of megabytes": b"\x80\x04\x8b" + struct.pack("<i", 2**20) + b"\x01" * 2**20 + b".",
    "digits without end": b"I" + b"9" * 100_000 + b"\n.",
    "tuples within tuples": b"\x80\x04" + DEEP + b".",
    "a dict by tuples": b"\x80\x04}" + b"(" * 3 + b"t" * 3 + b"Ns.",
    "opcodes without end": b"\x80\x04" + b"N" * 60_000 + b".",
    "a storage that is too short": one(server.tensor(plain(7, stated=8), 0, (7,), (1,))),
    "a storage that is too long": one(server.tensor(plain(7, stated=6), 0, (6,), (1,))),
    "a storage of a negative size": one(server.tensor(plain(7, stated=-1), 0, (7,), (1,))),
    "a storage of objects": one(server.tensor(server.legacy_storage(bytes(28), 7, kind="UntypedStorage"), 0, (7,), (1,))),
    "a storage that ends early": one(server.tensor(plain()[:-40], 0, (7,), (1,))),
    "bytes that are no storage": one(server.tensor(b"zip", 0, (7,), (1,))),
    "a tensor beyond its storage": one(server.tensor(plain(), 1, (7,), (1,))),
    "a tensor of long strides": one(server.tensor(plain(), 0, (7,), (1000,))),
    "a tensor before its storage": one(server.tensor(plain(), -1, (7,), (1,))),
    "a tensor of gigabytes": one(server.tensor(plain(), 0, (1000, 1000, 1000), (0, 0, 0))),
    "a tensor of negative strides": one(server.tensor(plain(), 6, (7,), (-1,))),
    "many tensors of one storage": b"\x80\x04](" + server.timed_action(0, server.tensor(plain(), 0, (900_000,), (0,))) * 3 + b"e.",
    "a matrix": one(server.tensor(plain(), 0, (1, 7), (7, 1))),
    "a list for a tensor": one(b"]"),
    "no list": pickle.dumps({"actions": [1.0]}),
    "an empty list": pickle.dumps([]),
    "numbers": pickle.dumps([1.0, 2.0]),
    "cut": server.answer(CHUNK, 0)[:-20],
    "a second pickle behind it": server.answer(CHUNK, 0) + pickle.dumps(Calls(os.system, "touch {}")),
    "nothing on the stack": b"\x80\x04.",
    "text": b"Traceback (most recent call last):",
}


@pytest.mark.parametrize("what", BAD)
def test_whatever_is_no_action_is_refused_and_does_nothing(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touched, data = tmp_path / "touched", BAD[what]
    for module, name in ((os, "system"), (builtins, "eval"), (builtins, "exec")):
        monkeypatch.setattr(module, name, lambda *_: touched.touch())
    tracemalloc.start()
    try:
        with pytest.raises(BadReply, match=r"the server sent what is no list of actions: "):
            actions(data)
        assert tracemalloc.get_traced_memory()[1] < 60e6 + 20 * len(data)
    finally:
        tracemalloc.stop()
    assert not touched.exists()


def test_a_message_that_is_none_is_refused() -> None:
    with pytest.raises(BadReply, match=r"sent no actions: its inference failed \(only its own log says why\)"):
        wire.read_actions(b"")
    with pytest.raises(BadReply, match=r"sent 2 bytes of actions and announces 3"):
        wire.read_actions(b"\x0a\x03ab")
    for data in (b"\x12\x01a", b"\x0a", b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f", b"<html>"):
        with pytest.raises(BadReply, match=r"is no message of LeRobot's protocol|announces"):
            wire.read_actions(data)


def test_an_observation_is_what_lerobot_reads() -> None:
    wiring = wire.wire(READS, {"front": "observation.images.top"}, "keys")
    parts = list(wire.observe(SEEN, wiring, 9))
    assert len(parts) == 1 and parts[0][:2] == b"\x08\x03"
    found = vars(server.unpickle(server._bytes_field(parts[0], 2)))
    assert (found["timestep"], found["must_go"], found["timestamp"]) == (9, True, 0.5)
    raw = found["observation"]
    assert raw["task"] == "lift the cube" and np.array_equal(raw["top"], SEEN.images["front"]) and raw["top"].flags.writeable
    assert [raw[f"state_{k}"] for k in range(3)] == [float(np.float32(v)) for v in (0.1, 0.2, 0.3)]


def test_a_large_observation_is_cut_as_lerobot_cuts_it() -> None:
    large = ObservationSpec(images=(ImageComponent(name="front", width=1024, height=1600),), state=READS.state, rate_hz=20.0)
    seen = Observation(images={"front": np.zeros((1600, 1024, 3), np.uint8)}, proprio=SEEN.proprio, instruction="x", time_s=0.0)
    parts = list(wire.observe(seen, wire.wire(large, {}, "keys"), 0))
    assert [part[1] for part in parts] == [1, 2, 3] and max(map(len, parts)) < 4 * 2**20
    whole = b"".join(server._bytes_field(part, 2) for part in parts)
    assert vars(server.unpickle(whole))["observation"]["front"].shape == (1600, 1024, 3)


def test_what_the_server_is_told_names_what_observations_hold() -> None:
    told = wire.instructions(READS, wire.wire(READS, {}, "keys"), policy_type="act", checkpoint="/c", actions_per_chunk=3, device="cpu")
    found = vars(server.unpickle(server._bytes_field(told, 1)))
    assert found["lerobot_features"]["observation.state"] == {"dtype": "float32", "shape": (3,), "names": ["state_0", "state_1", "state_2"]}
    assert found["lerobot_features"]["observation.images.front"]["shape"] == (2, 3, 3)
    assert (found["policy_type"], found["pretrained_name_or_path"], found["rename_map"]) == ("act", "/c", {})


@pytest.mark.parametrize(
    ("keys", "complaint"),
    [
        ({"wrist": "observation.images.w"}, r"keys names 'wrist', which the profile does not read; it reads front, joints, gripper"),
        ({"front": "front"}, r"sends the image 'front' as 'front'; an image of LeRobot's protocol is called observation.images.CAMERA"),
        ({"joints": "observation.joints"}, r"LeRobot's protocol has observation.state alone"),
    ],
)
def test_keys_that_the_protocol_does_not_have_are_refused(keys: dict[str, str], complaint: str) -> None:
    with pytest.raises(BadData, match=complaint):
        wire.wire(READS, keys, "keys")


@pytest.mark.parametrize("value", [None, True, -1, 255, 2**70, -(2**70), 0.5, "ä", [1, [2]], (), (1, "a"), {"a": {"b": None}}, [], {}])
def test_plain_data_is_pickled_as_it_is(value: Any) -> None:
    assert pickle.loads(write(value)) == value


def test_only_plain_data_is_pickled() -> None:
    for value in (object(), np.array([None]), {1, 2}, Record(Name("a", "b"), {"c": object()})):
        with pytest.raises(BadData, match=r"is not written into a pickle"):
            write(value)
