"""Arrays travel in five encodings: written as the protocols' own encoders write them, read whichever it is, refused where they lie."""

from __future__ import annotations

import base64
import io
import json
import pickle
import struct
import tracemalloc
from typing import Any

import msgpack
import numpy as np
import pytest

from vlagym.envs.errors import BadData, UnknownName
from vlagym.envs.types import stream
from vlagym.policies.wire import structure
from vlagym.policies.wire.arrays import Dialect, from_json, numbers, pack, to_json, unpack

ARRAY = np.array([1.0, 5.0], np.float32)
# Captured from the original encoders, each with numpy 2.4 and this array.
CAPTURED: dict[Dialect, str] = {
    "vla_eval": "84ab5f5f6e6461727261795f5fc3a464617461c4080000803f0000a040a56474797065a33c6634a573686170659102",
    "openpi": "84c40b5f5f6e6461727261795f5fc3c40464617461c4080000803f0000a040c4056474797065a33c6634c40573686170659102",
    "gr00t": "82b15f5f6e6461727261795f636c6173735f5fc3a661735f6e7079c488934e554d5059010076007b276465736372273a20273c6634272c2027666f727472616e5f"
    "6f72646572273a2046616c73652c20277368617065273a2028322c292c207d2020202020202020202020202020202020202020202020202020202020202020202020202020202020202020"
    "202020202020202020202020202020200a0000803f0000a040",
}
MSGPACK_NUMPY = "85c4026e64c3c40474797065a33c6634c4046b696e64c400c40573686170659102c40464617461c4080000803f0000a040"
MSGPACK_NUMPY_SCALAR = "83c4026e64c2c40474797065a33c6634c40464617461c40400000040"
JSON_NUMPY = '{"__numpy__": "AACAPwAAoEA=", "dtype": "<f4", "shape": [2]}'
# Captured from a server of openpi: the first frame it sends, with the metadata {"reset_pose": [0, -1.5], "x": np.float32(2)}.
OPENPI_METADATA = (
    "82aa72657365745f706f73659200cbbff8000000000000a17883c40d5f5f6e7067656e657269635f5fc3c40464617461cb4000000000000000c4056474797065a33c6634"
)
DIALECTS: tuple[Dialect, ...] = ("vla_eval", "openpi", "gr00t")


@pytest.mark.parametrize("dialect", DIALECTS)
def test_an_array_is_written_byte_for_byte_as_the_original_encoder_does(dialect: Dialect) -> None:
    assert pack(ARRAY, dialect).hex() == CAPTURED[dialect]


def test_scalars_of_numpy_are_written_as_openpi_does() -> None:
    assert pack({"reset_pose": [0, -1.5], "x": np.float32(2)}, "openpi").hex() == OPENPI_METADATA
    assert pack(np.float32(2), "vla_eval") == pack(2.0, "vla_eval"), "they are plain numbers there"


def test_json_is_written_as_json_numpy_does() -> None:
    assert to_json(ARRAY) == JSON_NUMPY


@pytest.mark.parametrize("hexadecimal", [*CAPTURED.values(), MSGPACK_NUMPY], ids=[*CAPTURED, "msgpack_numpy"])
def test_every_encoding_is_read(hexadecimal: str) -> None:
    found = unpack(bytes.fromhex(hexadecimal))
    assert np.array_equal(found, ARRAY) and found.dtype == np.float32
    found[0] = 7.0  # it is the reader's own


def test_a_marker_may_be_written_as_the_number_one() -> None:
    assert np.array_equal(unpack(array_map(__ndarray__=1)), ARRAY)
    assert unpack(array_map(__ndarray__=False))[b"dtype"] == "<f4", "what is not marked is a map"


def test_scalars_are_read() -> None:
    assert unpack(bytes.fromhex(OPENPI_METADATA)) == {"reset_pose": [0, -1.5], "x": np.float32(2)}
    assert unpack(bytes.fromhex(MSGPACK_NUMPY_SCALAR)) == np.float32(2)
    assert np.array_equal(from_json(JSON_NUMPY), ARRAY) and from_json(to_json(np.float32(2))) == 2.0


@pytest.mark.parametrize("dialect", [*DIALECTS, "json"])
@pytest.mark.parametrize("dtype", ["|b1", "|u1", "<i2", "<u2", "<i8", "<f2", "<f4", "<f8", ">f4"])
@pytest.mark.parametrize("shape", [(), (0, 3), (5,), (4, 6, 3)], ids=str)
def test_what_is_written_is_read(dialect: Any, dtype: str, shape: tuple[int, ...]) -> None:
    array = np.asarray(stream(3, dialect, dtype).integers(0, 2, shape)).astype(dtype)
    message = {"nested": [{"array": array, "twice": array.T}], "text": "läuft", "flag": True, "none": None}
    found = from_json(to_json(message)) if dialect == "json" else unpack(pack(message, dialect))
    assert np.array_equal(found["nested"][0]["array"], array) and np.array_equal(found["nested"][0]["twice"], array.T)
    assert found["nested"][0]["array"].dtype == array.dtype.newbyteorder("=")
    assert (found["text"], found["flag"], found["none"]) == ("läuft", True, None)


@pytest.mark.parametrize("dialect", [*DIALECTS, "json"])
@pytest.mark.parametrize("array", [np.array([None, "x"], object), np.array(["a"]), np.array([1j]), np.zeros(2, "f4,i4")], ids=lambda a: a.dtype.kind)
def test_what_is_no_number_does_not_travel(dialect: Any, array: Any) -> None:
    with pytest.raises(BadData, match=r"does not travel: only truth values, integers and floats do"):
        to_json({"a": array}) if dialect == "json" else pack({"a": array}, dialect)


def test_other_things_are_refused_by_name() -> None:
    with pytest.raises(BadData, match=r"cannot be written as msgpack: set is neither plain data nor an array"):
        pack({"a": {1, 2}}, "openpi")
    with pytest.raises(UnknownName, match=r"no encoding of arrays is called 'open_pi'. Did you mean openpi"):
        pack({}, "open_pi")  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------------------------------------- malice
def array_map(**changes: Any) -> bytes:
    right: dict[bytes, Any] = {b"__ndarray__": True, b"data": ARRAY.tobytes(), b"dtype": "<f4", b"shape": [2]}
    packed: bytes = msgpack.packb(right | {key.encode(): value for key, value in changes.items()})
    return packed


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (array_map(shape=[2_500_000_000]), r"declares \(2500000000,\) of float32, which are 10000000000 bytes, and brings 8"),
        (array_map(shape=[3]), r"which are 12 bytes, and brings 8"),
        (array_map(shape=[-2]), r"the shape of an array is \[-2\]"),
        (array_map(shape=[2.0]), r"the shape of an array is \[2.0\]"),
        (array_map(shape="2"), r"the shape of an array is 2"),
        (array_map(shape=[1] * 40), r"at most 16 whole numbers"),
        (array_map(shape=[0, 2**62, 2**62], data=b""), r"which cannot be"),
        (array_map(dtype="|O"), r"holds object: only truth values, integers and floats are read, and nothing is unpickled"),
        (array_map(dtype="<U2"), r"holds <U2"),
        (array_map(dtype="(9999999999,)f4"), r"in a message"),
        (array_map(dtype="f4,f4"), r"only truth values"),
        (array_map(dtype="bfloat16"), r"'bfloat16' in a message, which numpy does not know"),
        (array_map(dtype=7), r"the dtype of an array is '7'"),
        (array_map(data="text"), r"the data of an array is str in a message; bytes are wanted"),
        (msgpack.packb({b"__npgeneric__": True, b"data": 300, b"dtype": "|u1"}), r"a number of a message is 300, which is no \|u1"),
        (msgpack.packb({b"nd": True, b"type": "|O", b"kind": b"O", b"shape": [1], b"data": pickle.dumps([print])}), r"nothing is unpickled"),
        (pickle.dumps({"actions": [1.0]}), r"holds the type|follow a msgpack message|announces"),
        (b"", r"ends before its last value"),
        (b"\xc1", r"the type 0xc1 at byte 0"),
        (b"\x81\xa1a", r"ends before its last value"),
        (b"\x01\x02", r"1 bytes follow a msgpack message"),
        (b"\xc6" + struct.pack(">I", 2**32 - 1) + b"x", r"announces 4294967295 bytes at byte 5, and 1 bytes are left"),
        (b"\xdd" + struct.pack(">I", 2**32 - 1) + b"x", r"announces 4294967295 values"),
        (b"\xdf" + struct.pack(">I", 2**31) + b"x", r"announces 4294967296 values"),
        (b"\x91" * 100 + b"\x01", r"more than 32 deep"),
        (msgpack.packb({1: 2}), r"int is not allowed for map key"),
        (msgpack.packb(msgpack.ExtType(5, b"x")), r"extensions are not read"),
        (b"\xa1\xff", r"UnicodeDecodeError"),
    ],
)
def test_a_message_that_lies_is_refused(data: bytes, complaint: str) -> None:
    with pytest.raises(BadData, match=complaint):
        unpack(data)


def npy(array: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


def test_a_file_of_numpy_within_a_message_is_neither_unpickled_nor_believed() -> None:
    def message(content: Any) -> bytes:
        packed: bytes = msgpack.packb({"__ndarray_class__": True, "as_npy": content})
        return packed

    whole = npy(np.zeros((2, 3), np.float32))
    header = whole[:-24].replace(b"(2, 3), }           ", b"(50000, 50000), }   ")
    for content, complaint in (
        (npy(np.array([{}], object), allow_pickle=True), "nothing is unpickled"),
        (header + whole[-24:], "10000000000 bytes, and brings 24"),
        (pickle.dumps([1]), "as_npy is no file of numpy"),
        (whole[:40], "as_npy is no file of numpy"),
        ("text", "as_npy is str"),
    ):
        with pytest.raises(BadData, match=complaint):
            unpack(message(content))
    column_first = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    assert np.array_equal(unpack(message(npy(column_first))), column_first)


def test_lists_that_announce_more_than_they_hold_cost_nothing() -> None:
    liar = (b"\xdd" + struct.pack(">I", 60_000)) * 30 + b"\x01" * 60_000
    tracemalloc.start()
    try:
        with pytest.raises(BadData, match="ends before its last value|announces"):
            unpack(liar)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


def test_numbers_beyond_counting_are_told_to_travel_as_arrays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(structure, "MAX_ITEMS", 10)
    with pytest.raises(BadData, match=r"more than 10 values: numbers belong into arrays"):
        unpack(msgpack.packb(list(range(10))))


def test_a_long_message_is_not_looked_at() -> None:
    message = pack({"a": np.zeros(1000, np.uint8)}, "openpi")
    with pytest.raises(BadData, match=r"a message has \d+ bytes, and 100 are allowed"):
        unpack(message, max_bytes=100)
    with pytest.raises(BadData, match=r"a message has \d+ bytes, and 10 are allowed"):
        from_json(to_json(ARRAY), max_bytes=10)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("nonsense", "is no JSON"),
        ("[" * 100_000, "too deep in each other"),
        (json.dumps({"__numpy__": "!!", "dtype": "<f4", "shape": [1]}), "is no base64"),
        (json.dumps({"__numpy__": None, "dtype": "<f4", "shape": [1]}), "is no base64"),
        (json.dumps({"__numpy__": base64.b64encode(pickle.dumps([1])).decode(), "dtype": "|O", "shape": [1]}), "nothing is unpickled"),
        (json.dumps({"__numpy__": "AACAPw==", "dtype": "<f4", "shape": [2_500_000_000]}), "10000000000 bytes, and brings 4"),
    ],
)
def test_json_that_lies_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(BadData, match=complaint):
        from_json(text)


def test_every_kind_of_msgpack_value_passes_the_look_at_its_structure() -> None:
    long_text, long_list, long_map = "x" * 70_000, list(range(70_000)), {str(i): i for i in range(70_000)}
    message = [None, True, -1, -200, 200, 70_000, 2**40, -(2**40), 1.5, "x" * 20, "x" * 40, "x" * 300, long_text, b"x", b"x" * 300, b"x" * 70_000]
    message += [[1] * 20, long_list, {"a": 1}, {str(i): i for i in range(20)}, long_map]  # type: ignore[list-item]
    assert unpack(msgpack.packb(message)) == message


@pytest.mark.parametrize("value", [[True, 1.5], [[0.0, 1.0], [0.0, np.True_]], (1, [2, [False]]), [np.zeros(2, bool), 1.0], True])
def test_a_truth_value_among_numbers_is_no_number(value: Any) -> None:
    assert numbers(value) is None


@pytest.mark.parametrize("value", [[0, 1.5], [[0.0, 1.0], [0.0, np.float32(1)]], np.ones(2, np.uint8), [], 1, [np.ones(2), [0, 1]]])
def test_numbers_are_numbers_however_deep_they_lie(value: Any) -> None:
    found = numbers(value)
    assert found is not None and np.array_equal(found, np.asarray(value))


@pytest.mark.parametrize("value", [None, "1", b"1", [1, "2"], {"a": 1}, [10**30], np.array(["1"]), ["x" * 10**5, *([""] * 10**6)]])
def test_nothing_else_is_a_number_and_costs_no_memory(value: Any) -> None:
    tracemalloc.start()
    assert numbers(value) is None
    assert tracemalloc.get_traced_memory()[1] < 32 * 2**20
    tracemalloc.stop()


def test_a_shape_that_no_array_has_is_told_in_part() -> None:
    with pytest.raises(BadData) as caught:
        from_json('{"__numpy__": "AAAA", "dtype": "<f4", "shape": [1' + "0" * 400 + "]}")
    assert "the shape of an array is" in str(caught.value) and len(str(caught.value)) < 300
