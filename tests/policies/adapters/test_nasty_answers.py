"""What no server sends unless it is broken or means harm costs the episode, in one short printable line; the next one goes well."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import echo_profile
import msgpack
import numpy as np
import pytest
import served
from vla_eval_servers import Talk, model_server, profile_file
from zmq_server import replying

from vlagym.envs.errors import BadData, BadPolicyOutput, BadReply, ConventionMismatch
from vlagym.envs.types import Observation
from vlagym.policies.adapters.gr00t import POLICY as GR00T
from vlagym.policies.adapters.vla_eval import POLICY as VLA_EVAL
from vlagym.policies.base import check_chunks
from vlagym.policies.wire import arrays
from vlagym.policies.wire.gr00t_modality import LANGUAGE, Modality, modality_answer

LINE_MAX = 1000
TIMES = {"timeout": "5", "first_timeout": "5", "connect_timeout": "10"}


def file_of_numpy(header: str, data: bytes = b"") -> bytes:
    text = header.encode() + b" " * (63 - (len(header) + 10) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + data


def raw_array(**changes: Any) -> dict[str, Any]:
    return {"__ndarray__": True, "data": bytes(28), "dtype": "<f4", "shape": [7], **changes}


def npy(header: str, data: bytes = b"") -> dict[str, Any]:
    return {"__ndarray_class__": True, "as_npy": file_of_numpy(header, data)}


ACTIONS: dict[str, Any] = {
    "code in a header": npy("{'descr': '<f4', 'fortran_order': False, 'shape': (__import__('os').abort(),)}"),
    "objects": npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", b"\x80\x04N."),
    "negative": npy("{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 7)}", bytes(28)),
    "a header that is too deep": npy("{'descr': '<f4', 'fortran_order': False, 'shape': " + "-" * 9000 + "1}"),
    "exabytes": raw_array(shape=[2**62]),
    "a shape of truth": raw_array(shape=[True, 7]),
    "text": raw_array(dtype="<U7", shape=[1]),
    "an image": {"__image__": True, "format": "raw", "dtype": "|u1", "data": b"", "shape": [2**62] * 1000},
    "truth among numbers": [True, 1.5, 0, 0, 0, 0, 0],
    "one long text": ["x" * 10_000, *([""] * 100_000)],
    "lists of different lengths": [[0.0] * 7, [0.0] * 6],
    "nothing": None,
    "nobody's numbers": [float("nan")] * 7,
    "too many rows": raw_array(data=bytes(28 * 2000), shape=[2000, 7]),
}
FRAMES: dict[str, bytes] = {
    "deep": b"\x91" * 10_000 + b"\xc0",
    "a list of 4 billion": b"\xdd\xff\xff\xff\xff",
    "an extension": b"\xc7\x05\x01abcde",
    "a key of a megabyte": msgpack.packb({"k" * 1_000_000: 1}),
    "a key that is no text": msgpack.packb({1: 2}),
    "bad UTF-8": b"\x81\xa2\xff\xfe\x01",
    "an empty frame": b"",
    "a pickle": b"\x80\x04N.",
}


def fails(act: Callable[[], Any]) -> str:
    """Returns how the first question fails, after it was looked at."""
    began_s = time.monotonic()
    with pytest.raises((BadReply, BadPolicyOutput)) as caught:
        act()
    text = str(caught.value)
    assert len(text) < LINE_MAX and text.isprintable() and time.monotonic() - began_s < 10, text[:LINE_MAX]
    return text


@pytest.mark.parametrize("name", [*ACTIONS, *FRAMES, "an error in colours", "an error of a megabyte", "a type of a megabyte", "many errors"])
def test_vla_eval_survives(name: str, tmp_path: Path) -> None:
    asked: list[int] = []

    def answer(talk: Talk, message: dict[str, Any]) -> None:
        asked.append(message["seq"])
        if len(asked) > 1:
            talk.act(message)
        elif name in ACTIONS:
            talk.say("action", {"actions": ACTIONS[name]}, message["seq"])
        elif name in FRAMES:
            talk.send(FRAMES[name])
        elif name == "a type of a megabyte":
            talk.say("z" * 1_000_000, {}, message["seq"])
        else:
            text = "\x1b]0;pwn\x07\nTraceback:\n boom" if "colours" in name else "e" * 1_000_000
            for seq in range(message["seq"], message["seq"] + (100 if name == "many errors" else 1)):
                talk.say("error", {"error": text}, seq)

    seen = Observation(
        images={"front": np.zeros((16, 16, 3), np.uint8)}, proprio={"ee_pos_base_m": np.zeros(3, np.float32)}, instruction="lift it", time_s=0.0
    )
    with model_server(answer) as heard:
        policy = VLA_EVAL(heard.url, {"profile": profile_file(tmp_path), **TIMES})
        assert policy.spec.action is not None
        action = policy.spec.action
        policy.reset(served.context(0, "lift it"))
        fails(lambda: check_chunks(policy.act({0: seen}), [0], action))
        if name == "many errors":  # whatever else was sent unasked belongs to nobody, and closes the connection
            return
        policy.reset(served.context(0, "lift it"))
        assert policy.act({0: seen})[0].values.shape == (1, 7)
        policy.close()


def test_a_server_of_another_version_is_refused_with_its_version(tmp_path: Path) -> None:
    for version, words in ((2, r"it speaks version 2, and 1 is known here"), ("\x1b[31m" + "9" * 10**6, r"it speaks version .*\\x1b\[31m9+")):
        with model_server(lambda talk, message: None, hello={"protocol_version": version}) as heard:
            with pytest.raises(ConventionMismatch, match=words) as caught:
                VLA_EVAL(heard.url, {"profile": profile_file(tmp_path), **TIMES})
        assert len(str(caught.value)) < LINE_MAX and "\x1b" not in str(caught.value)
        with model_server(lambda talk, message: talk.act(message), hello={"protocol_version": version}) as heard:
            policy = VLA_EVAL(heard.url, {"profile": profile_file(tmp_path), "announced": "ignore", **TIMES})
            assert len(str(policy.spec.card)) < 2 * LINE_MAX and "speaks version" in str(policy.spec.card["ignored"])
            policy.close()


MODALITIES = {
    "video": Modality(steps=(0,), keys=("front", "wrist")),
    "state": Modality(steps=(0,), keys=("ee_pos_base_m", "gripper_opening_m")),
    "action": Modality(steps=(0, 1, 2, 3), keys=("translation", "rotation", "gripper")),
    "language": Modality(steps=(0,), keys=(LANGUAGE,)),
}
GOOD = {"translation": np.zeros((1, 4, 3), np.float32), "rotation": np.zeros((1, 4, 3), np.float32), "gripper": np.zeros((1, 4, 1), np.float32)}


@pytest.mark.parametrize("name", [*ACTIONS, *FRAMES, "an error in colours", "an error of a megabyte"])
def test_gr00t_survives(name: str, tmp_path: Path) -> None:
    asked: list[int] = []

    def reply(message: bytes) -> bytes:
        said = arrays.unpack(message)
        if said["endpoint"] == "get_modality_config":
            return arrays.pack(modality_answer(MODALITIES, "n1.6"), "gr00t")
        if said["endpoint"] != "get_action":
            return arrays.pack({"status": "ok"} if said["endpoint"] == "ping" else {"error": "Unknown endpoint"}, "gr00t")
        asked.append(1)
        if len(asked) > 1:
            return arrays.pack([GOOD, {}], "gr00t")
        if name in ACTIONS:
            good: bytes = arrays.pack([GOOD, {}], "gr00t")
            spoiled: bytes = msgpack.packb([{**msgpack.unpackb(good)[0], "translation": ACTIONS[name]}, {}])
            return spoiled
        if name in FRAMES:
            return FRAMES[name]
        return arrays.pack({"error": "\x1b]0;pwn\x07\nboom" if "colours" in name else "e" * 1_000_000}, "gr00t")

    with replying(reply) as port:
        policy = GR00T(f"tcp://127.0.0.1:{port}", {"profile": echo_profile.write(tmp_path), **TIMES})
        policy.reset(served.context())
        fails(lambda: check_chunks(policy.act({0: served.observation()}), [0], served.ACTION))
        assert policy.act({0: served.observation()})[0].values.shape == (4, 7)
        policy.close()


@pytest.mark.parametrize(
    "modalities", [b"\xdd\xff\xff\xff\xff", msgpack.packb({"k" * 1_000_000: 1}), msgpack.packb({"\x1b[31m": {"__ModalityConfig_class__": 1}})]
)
def test_what_gr00t_says_of_itself_is_told_in_one_line(modalities: bytes, tmp_path: Path) -> None:
    def reply(message: bytes) -> bytes:
        return modalities if arrays.unpack(message)["endpoint"] == "get_modality_config" else arrays.pack({"status": "ok"}, "gr00t")

    with replying(reply) as port, pytest.raises((BadReply, BadData)) as caught:
        GR00T(f"tcp://127.0.0.1:{port}", {"profile": echo_profile.write(tmp_path), **TIMES})
    assert len(str(caught.value)) < LINE_MAX and str(caught.value).isprintable()
