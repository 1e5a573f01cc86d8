"""Messages of the openpi family: what is asked is called as the server expects, what is answered is read in every form that is documented."""

from __future__ import annotations

from typing import Any

import msgpack
import numpy as np
import pytest

from vlagym.envs.errors import BadData, BadReply, UnknownName
from vlagym.envs.types import ActionComponent, ActionSpec, ImageComponent, Observation, ObservationSpec, StateComponent
from vlagym.policies.wire import names, openpi, openpi_metadata
from vlagym.policies.wire.arrays import pack, unpack
from vlagym.policies.wire.openpi import Dialect

# Captured between openpi's own client and server: an observation with two images of 2 x 2, eight numbers of state and the sentence.
REQUEST = (
    "84b16f62736572766174696f6e2f696d61676584c40b5f5f6e6461727261795f5fc3c40464617461c40c000000000000000000000000c4056474797065a37c7531c4057368617065"
    "93020203b76f62736572766174696f6e2f77726973745f696d61676584c40b5f5f6e6461727261795f5fc3c40464617461c40c000000000000000000000000c405647479706"
    "5a37c7531c405736861706593020203b16f62736572766174696f6e2f737461746584c40b5f5f6e6461727261795f5fc3c40464617461c4400000000000000000000000000000f03f"
    "000000000000004000000000000008400000000000001040000000000000144000000000000018400000000000001c40c4056474797065a33c6638c40573686170659108a6"
    "70726f6d7074b07069636b207570207468652063756265"
)
# The same server's answer, without the 560 bytes of its (10, 7) float64 in the middle.
REPLY_HEAD = "83a7616374696f6e7384c40b5f5f6e6461727261795f5fc3c40464617461c50230"
REPLY_TAIL = (
    "c4056474797065a33c6638c4057368617065920a07ad706f6c6963795f74696d696e6781a8696e6665725f6d73cb3ff8000000000000ad7365727665725f74696d696e67"
    "81a8696e6665725f6d73cb3fb96f86a1540000"
)
# Captured from RoboArena's own server: how its first frame begins; six keys.
ROBOARENA_HEAD = "86b0696d6167655f7265736f6c7574696f6e92cce0cce0b26e656564735f77726973745f63616d65"
ROBOARENA = {
    "image_resolution": [224, 224],
    "needs_wrist_camera": True,
    "n_external_cameras": 2,
    "needs_stereo_camera": False,
    "needs_session_id": True,
    "action_space": "joint_position",
}
NUMBERS: Any = np.float64  # as that client sent them; ours are float32
LIBERO_TABLE = {"front": "observation/image", "wrist": "observation/wrist_image", "state": "observation/state", "instruction": "prompt"}


def component(name: str, size: int, convention: str) -> ActionComponent:
    return ActionComponent(
        name=name, size=size, convention=convention, frame="base", unit="m", scale=1.0, low=(-1.0,) * size, high=(1.0,) * size
    )


ARM = ActionSpec(name="arm", components=(component("joints", 7, "joint_position"), component("gripper", 1, "gripper_closed_unit")), rate_hz=15.0)
SEVEN = ActionSpec(name="seven", components=(component("motion", 6, "delta"), component("gripper", 1, "gripper_closed_positive")), rate_hz=20.0)


def observation_spec(images: tuple[str, ...], state: dict[str, int], size: int = 224) -> ObservationSpec:
    return ObservationSpec(
        images=tuple(ImageComponent(name=name, width=size, height=size) for name in images),
        state=tuple(StateComponent(name=name, size=n) for name, n in state.items()),
        rate_hz=20.0,
    )


LIBERO = observation_spec(("front", "wrist"), {"state": 8}, size=2)
DROID = observation_spec(("front", "exterior_2", "wrist"), {"joint_position": 7, "gripper_position": 1})


def seen(spec: ObservationSpec) -> Observation:
    return Observation(
        images={i.name: np.zeros((i.height, i.width, 3), np.uint8) for i in spec.images},
        proprio={s.name: np.arange(s.size, dtype=NUMBERS) for s in spec.state},
        instruction="pick up the cube",
        time_s=0.0,
    )


def called(table: dict[str, str] | None, dialect: Dialect = "openpi", action: ActionSpec = SEVEN, spec: ObservationSpec = LIBERO) -> names.Names:
    return names.read_names(table, openpi.default_names(dialect, action, spec), action, spec, "[wire.x] of profile 'y'")


# ------------------------------------------------------------------------------------------------------------------------- asking
def test_a_request_is_byte_for_byte_that_of_openpis_own_client() -> None:
    message = openpi.request(seen(LIBERO), called(LIBERO_TABLE), "openpi", session=None, seed=3)
    assert pack(message, "openpi").hex() == REQUEST


def test_without_a_table_things_are_called_as_each_dialect_does() -> None:
    def keys(dialect: Dialect, spec: ObservationSpec) -> list[str]:
        return list(openpi.request(seen(spec), called(None, dialect, spec=spec), dialect, session="s", seed=3))

    assert keys("openpi", LIBERO) == ["observation/front", "observation/wrist", "observation/state", "prompt", "session_id"]
    droid = ["observation/exterior_image_0_left", "observation/exterior_image_1_left", "observation/wrist_image_left"]
    droid += ["observation/joint_position", "observation/gripper_position", "prompt", "endpoint", "session_id"]
    assert keys("roboarena", DROID) == droid
    assert keys("vllm_omni", DROID) == [*droid, "seed"]
    assert keys("sglang", LIBERO) == ["observation.images.front", "observation.images.wrist", "observation.state", "task", "session_id", "seed"]


def test_an_image_may_lie_in_a_map_and_have_its_channels_first() -> None:
    table = {"front": "images[cam_high] chw", "wrist": "images[cam_left_wrist]", "state": "state"}
    message = openpi.request(seen(LIBERO), called(table), "openpi", session=None)
    assert {name: image.shape for name, image in message["images"].items()} == {"cam_high": (3, 2, 2), "cam_left_wrist": (2, 2, 3)}
    assert list(message) == ["images", "state", "prompt"]
    assert names.find(message, "images[cam_high] chw").shape == (2, 2, 3)
    assert names.find(message, "images[cam_low]") is None and names.find(message, "state[x]") is None and names.find(message, "x") is None


@pytest.mark.parametrize(
    ("table", "kind", "complaint"),
    [
        (LIBERO_TABLE | {"frnt": "x"}, UnknownName, r"is called 'frnt'. Did you mean front\?.*It stands in \[wire.x\] of profile 'y'"),
        ({"front": "a"}, BadData, r"\[wire.x\] of profile 'y' does not say where wrist, state stands in a message"),
        (LIBERO_TABLE | {"state": "observation/image"}, BadData, r"gives the place 'observation/image' to two things"),
        (LIBERO_TABLE | {"state": "a b"}, BadData, r"holds the place 'a b': write a key, or one within a map as key\[inner\]"),
    ],
)
def test_a_table_that_cannot_be_is_refused(table: dict[str, str], kind: type[Exception], complaint: str) -> None:
    with pytest.raises(kind, match=complaint):
        called(table)


# ------------------------------------------------------------------------------------------------------------------------- answers
CHUNK = np.arange(70.0).reshape(10, 7)


def test_the_answer_of_openpis_own_server_is_read_and_written() -> None:
    whole = bytes.fromhex(REPLY_HEAD) + CHUNK.astype("<f8").tobytes() + bytes.fromhex(REPLY_TAIL)
    answer = unpack(whole)
    values = openpi.read_actions(answer, called(None), SEVEN)
    assert np.array_equal(values, CHUNK) and values.dtype == np.float32
    assert pack(answer, "openpi") == whole


@pytest.mark.parametrize(
    "answer",
    [
        {"actions": CHUNK, "state": np.zeros(8)},
        {"action": CHUNK.astype(np.float32)},
        {"actions": CHUNK[None]},
        {"actions": CHUNK.tolist()},
        CHUNK,
        CHUNK[None].tolist(),
        {"motion": CHUNK[:, :6], "gripper": CHUNK[:, 6:]},
        {"motion": CHUNK[None, :, :6], "gripper": CHUNK[:, 6], "more": 1},
        {"actions": {"gripper": CHUNK[:, 6:], "motion": CHUNK[:, :6]}},
    ],
    ids=["dict", "action", "batch", "lists", "bare", "bare lists", "parts", "squeezed parts", "parts within"],
)
def test_every_documented_form_of_an_answer_is_read(answer: Any) -> None:
    assert np.array_equal(openpi.read_actions(answer, called(None), SEVEN), CHUNK)


def test_a_single_action_is_a_chunk_of_one() -> None:
    assert openpi.read_actions({"actions": CHUNK[0]}, called(None), SEVEN).shape == (1, 7)


def test_parts_are_called_as_the_table_says() -> None:
    table = LIBERO_TABLE | {"action.motion": "eef", "actions": "chunk"}
    assert np.array_equal(openpi.read_actions({"eef": CHUNK[:, :6], "gripper": CHUNK[:, 6:]}, called(table), SEVEN), CHUNK)
    assert np.array_equal(openpi.read_actions({"chunk": CHUNK}, called(table), SEVEN), CHUNK)


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        ("Traceback …\nKeyError: 'observation/state'\n", r"answers with an error: Traceback … KeyError: 'observation/state'"),
        ("x" * 2000 + "ValueError: bad", r"answers with an error: … x+ValueError: bad"),
        ({"error": "Traceback: boom"}, r"answers with an error: Traceback: boom"),
        ({"type": "error", "message": "no such model"}, r"answers with an error: no such model"),
        ({"actions": CHUNK[:, :6]}, r"'actions' has the shape \(10, 6\); \(T, 7\) with T from 1 to 1024 is wanted"),
        ({"actions": np.zeros((0, 7))}, r"has the shape \(0, 7\)"),
        ({"actions": np.zeros((2000, 7))}, r"has the shape \(2000, 7\)"),
        ({"actions": np.zeros((2, 10, 7))}, r"has the shape \(2, 10, 7\)"),
        ({"actions": "left"}, r"'actions' holds 'left'; numbers are wanted"),
        ({"actions": None}, r"'actions' holds NoneType None; numbers are wanted"),
        ({"actions": [[1.0], [1.0, 2.0]]}, r"'actions' holds no array"),
        ({"motion": CHUNK[:, :6]}, r"the answer holds 'motion', and no actions: 'actions', or 'motion', 'gripper' is wanted"),
        ({}, r"the answer holds nothing, and no actions"),
        ({"motion": CHUNK[:, :6], "gripper": CHUNK[:3, 6:]}, r"different numbers of steps: 10, 3"),
        (None, r"the answer holds NoneType None"),
        (b"raw", r"the answer holds bytes of 3; numbers are wanted"),
        ({"actions": [[True, 1.5, 0, 0, 0, 0, 0]]}, r"'actions' holds list \[\[True, 1.5, 0, 0, 0, 0, 0\]\]; numbers are wanted"),
        ({"k" * 5_000_000: 1}, r"the answer holds 'k+ …, and no actions"),
        ({"actions": ["x" * 10_000, *([""] * 900_000)]}, r"'actions' holds list \['x+"),
        ({"error": "\x1b]0;pwn\x07"}, r"answers with an error: \\x1b\]0;pwn\\x07$"),
        (np.array([True]), r"the answer holds ndarray of \(1,\)"),
    ],
)
def test_what_is_no_chunk_is_refused(answer: Any, complaint: str) -> None:
    with pytest.raises(BadReply, match=complaint):
        openpi.read_actions(answer, called(None), SEVEN)


@pytest.mark.parametrize("answer", ["reset successful", "reset successful\n", {"status": "reset successful"}])
def test_a_reset_is_confirmed_in_two_ways(answer: Any) -> None:
    openpi.check_reset(answer)


@pytest.mark.parametrize("answer", ["KeyError: 'endpoint'", {"status": "failed"}, {}, None, CHUNK])
def test_anything_else_confirms_no_reset(answer: Any) -> None:
    with pytest.raises(BadReply, match=r"answers a reset with .*, not with 'reset successful'"):
        openpi.check_reset(answer)


# ----------------------------------------------------------------------------------------------------------------------- metadata
@pytest.mark.parametrize(
    ("metadata", "path", "dialect"),
    [
        ({}, "/", "openpi"),
        ({"reset_pose": [0, -1.5]}, "", "openpi"),
        ({"vlagym": {}}, "/v1/realtime/robot/openpi", "openpi"),
        (ROBOARENA, "/", "roboarena"),
        (ROBOARENA, "/v1/realtime/robot/openpi", "vllm_omni"),
        (ROBOARENA | {"action_horizon": 24}, "/", "vllm_omni"),
        ({"embodiment_tag": "gr1"}, "/", "vllm_omni"),
        ({"object": "action.metadata"}, "/openpi/policy", "sglang"),
    ],
)
def test_the_first_frame_tells_the_dialect(metadata: dict[str, Any], path: str, dialect: str) -> None:
    assert openpi.dialect_of(metadata, path) == dialect


def test_the_first_frame_of_roboarena_is_written_as_its_own_server_does() -> None:
    assert pack(ROBOARENA, "openpi").hex().startswith(ROBOARENA_HEAD) and msgpack.unpackb(pack(ROBOARENA, "openpi")) == ROBOARENA


def test_an_unknown_dialect_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UnknownName, match=r"no dialect of openpi is called 'robo_arena'. Did you mean roboarena\?"):
        openpi.check_dialect("robo_arena")


def told(metadata: dict[str, Any], dialect: Dialect, action: ActionSpec = ARM, spec: ObservationSpec = DROID) -> str:
    return "\n".join(openpi_metadata.complaints(metadata, dialect, called(None, dialect, action, spec), action, spec))


def test_a_profile_that_fits_what_the_server_says_of_itself_is_not_complained_about() -> None:
    assert told(ROBOARENA, "roboarena") == ""
    assert told(ROBOARENA | {"action_dim": 8, "action_horizon": 24}, "vllm_omni") == ""
    assert told({"action_keys": ["joints", "gripper", "eef_9d"], "action_dim": 17}, "vllm_omni") == ""
    assert told(sglang(), "sglang", SEVEN, LIBERO) == ""
    assert told({"anything": 1}, "openpi") == ""


def sglang(**changes: Any) -> dict[str, Any]:
    reads = {"image_keys": ["observation.images.front", "wrist"], "image_size": [224, 224], "state_dim": 8}
    sends = {"action_horizon": 10, "action_dim": 7, "padded_action_dim": 32}
    return {
        "object": "action.metadata",
        "input": reads | {k: v for k, v in changes.items() if k in reads},
        "output": sends | {k: v for k, v in changes.items() if k in sends},
    }


@pytest.mark.parametrize(
    ("metadata", "dialect", "complaint"),
    [
        (ROBOARENA | {"n_external_cameras": 3}, "roboarena", "the server wants the image 'observation/exterior_image_2_left', and the profile sends"),
        (ROBOARENA | {"needs_stereo_camera": True}, "roboarena", "the server wants the image 'observation/exterior_image_0_right'"),
        (ROBOARENA | {"image_resolution": [180, 320]}, "roboarena", "the server wants images of 320 x 180, and 'front' of the profile has 224 x 224"),
        (ROBOARENA | {"action_space": "joint_velocity"}, "roboarena", "the server acts in the space 'joint_velocity', and the profile in joint"),
        (ROBOARENA | {"action_space": "torque"}, "roboarena", "the space 'torque', which is not known here; known are joint_position, "),
        (ROBOARENA | {"action_dim": 7}, "vllm_omni", "the server sends 7 numbers an action, and the profile has 8"),
        ({"action_keys": ["eef_9d", "gripper"]}, "vllm_omni", "the server sends the actions eef_9d, gripper, and the profile wants joints"),
        (sglang(image_keys=["top"]), "sglang", "the server wants the image 'top', and the profile sends observation.images."),
        (sglang(state_dim=14), "sglang", "the server wants a state of 14 numbers, and the profile sends 8"),
        (sglang(action_dim=14), "sglang", "the server sends 14 numbers an action, and the profile has 8"),
        (sglang(), "sglang", "the server wants one state at 'observation.state', and the profile sends observation.joint_position, "),
    ],
)
def test_a_profile_that_does_not_fit_is_told_in_what(metadata: dict[str, Any], dialect: Dialect, complaint: str) -> None:
    assert complaint in told(metadata, dialect)


def test_the_length_of_a_chunk_is_read_where_it_is_said() -> None:
    assert openpi_metadata.horizon({"action_horizon": 24}) == 24 and openpi_metadata.horizon(sglang()) == 10
    with pytest.raises(BadReply, match="its chunks have 1025 actions; at most 1024 are read"):
        openpi_metadata.horizon({"action_horizon": 1025})
    assert openpi_metadata.horizon({}) is None and openpi_metadata.horizon({"action_horizon": "many"}) is None
