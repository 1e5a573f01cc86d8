"""Messages of vla-eval are written as its own encoder writes them, and read with care.

The bytes below were captured from vla-eval 0.8.0: its client, its server and its packer.
"""

from __future__ import annotations

import io
import struct
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from vlagym.envs.errors import BadData, BadReply, UnknownName
from vlagym.envs.types import ActionComponent, ActionSpec, ImageComponent, Observation, ObservationSpec, StateComponent, StatePart
from vlagym.policies.wire import vla_eval as wire
from vlagym.policies.wire import vla_eval_specs as specs

ACTION = bytes.fromhex(
    "84a474797065a6616374696f6ea77061796c6f616481a7616374696f6e7384ab5f5f6e6461727261795f5fc3a464617461c4080000803f00000040a56474797065a33c6634"
    "a573686170659102a373657101a974696d657374616d70cb0000000000000000"
)
IMAGE = bytes.fromhex(
    "84a474797065ab6f62736572766174696f6ea77061796c6f616481a6696d6167657381a16184a95f5f696d6167655f5fc3a6666f726d6174a3706e67a464617461c444"
    "89504e470d0a1a0a0000000d4948445200000002000000020802000000fdd49a730000000b49444154789c6360400600000e0001a99173b10000000049454e44ae426082"
    "a5736861706593020203a373657101a974696d657374616d70cb0000000000000000"
)
PNG = IMAGE[IMAGE.index(b"\x89PNG") :][:68]
START = bytes.fromhex(
    "84a474797065ad657069736f64655f7374617274a77061796c6f616481a47461736b82a46e616d65a27430a57375697465a173a373657102a974696d657374616d70"
    "cb41dac0025ed33dfb"
)
SEVEN = bytes.fromhex(
    "84a474797065a6616374696f6ea77061796c6f616482a7616374696f6e7384ab5f5f6e6461727261795f5fc3a464617461c41c00000000cdcccc3dcdcc4c3e9a99993e"
    "cdcccc3e0000003f9a99193fa56474797065a33c6634a573686170659107a56578747261ab6b6570742d666f722d3164a373657103a974696d657374616d70"
    "cb41dac0025ed34edf"
)
READS = ObservationSpec(
    images=(ImageComponent(name="front", width=4, height=4), ImageComponent(name="wrist", width=4, height=4)),
    state=(StateComponent(name="ee_pos_base_m", size=3), StateComponent(name="gripper_opening_m", size=1)),
    rate_hz=20.0,
)
SEEN = Observation(
    images={"wrist": np.full((4, 4, 3), 7, np.uint8), "front": np.arange(48, dtype=np.uint8).reshape(4, 4, 3)},
    proprio={"ee_pos_base_m": np.array([1.0, 2.0, 3.0], np.float32), "gripper_opening_m": np.array([0.04], np.float32)},
    instruction="lift the cube",
    time_s=0.0,
)


def there_and_back(payload: dict[str, Any], images: wire.ImageFormat = "png") -> Any:
    return wire.unpack(wire.pack(wire.Message("observation", payload, 1, 0.0), images)).payload


# --------------------------------------------------------------------------------------------------------------------------- bytes
def test_messages_are_the_bytes_of_the_original() -> None:
    assert wire.pack(wire.Message("action", {"actions": np.array([1.0, 2.0], np.float32)}, 1, 0.0)) == ACTION
    start = wire.unpack(START)
    assert (start.type, start.seq, start.payload) == ("episode_start", 2, {"task": {"name": "t0", "suite": "s"}})
    assert wire.pack(start) == START
    seven = wire.unpack(SEVEN)
    assert wire.pack(seven) == SEVEN and seven.payload["extra"] == "kept-for-1d"
    assert np.allclose(wire.read_actions(seven.payload), np.arange(7)[None] / 10) and seven.seq == 3


def test_an_image_is_a_file_of_the_same_picture_in_the_same_envelope() -> None:
    black = wire.unpack(IMAGE).payload["images"]["a"]
    assert black.shape == (2, 2, 3) and black.dtype == np.uint8 and not black.any() and black.flags.writeable
    ours = wire.pack(wire.Message("observation", {"images": {"a": black}}, 1, 0.0))
    head, file = IMAGE.index(b"\x89PNG"), ours.index(b"\x89PNG")
    # Whoever compresses decides about the bytes of the file; what stands around it is exact but for the byte of its length.
    assert ours[: file - 1] == IMAGE[: head - 1] and ours[-33:] == IMAGE[-33:]


@pytest.mark.parametrize("images", ["png", "raw", "array"])
def test_images_arrive_as_they_were_sent(images: wire.ImageFormat) -> None:
    front = np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8)
    sent: dict[str, Any] = {"images": {"front": front[::-1], "rgba": np.zeros((4, 4, 4), np.uint8)}, "chw": front.transpose(2, 0, 1), "depth": np.ones((4, 4, 1))}
    came = there_and_back(sent, images)
    assert np.array_equal(came["images"]["front"], front[::-1]) and came["images"]["rgba"].shape == (4, 4, 4)
    assert np.array_equal(came["chw"], sent["chw"]) and np.array_equal(came["depth"], sent["depth"])


def test_a_jpeg_is_nearly_the_picture() -> None:
    ramp = np.add.outer(np.arange(32), np.arange(32)).astype(np.uint8)
    smooth = np.stack([ramp, 255 - 2 * ramp, ramp[::-1] * 3], axis=2)
    came = there_and_back({"images": {"a": smooth}}, "jpeg")["images"]["a"]
    assert came.shape == smooth.shape and 0 < np.abs(came.astype(int) - smooth).max() < 16
    with pytest.raises(BadData, match="an image of 4 channels cannot travel as jpeg; choose png"):
        there_and_back({"images": {"a": np.zeros((4, 4, 4), np.uint8)}}, "jpeg")


def test_one_channel_which_their_sender_cannot_send_travels_as_an_array() -> None:
    assert there_and_back({"mask": np.ones((4, 4, 1), np.uint8)})["mask"].shape == (4, 4, 1)


def test_an_unknown_format_of_images_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UnknownName, match="no format of images is called 'webp'. There are: array, jpeg, png, raw"):
        wire.check_format("webp")


# ---------------------------------------------------------------------------------------------------------------------- what is none
@pytest.mark.parametrize(
    ("payload", "message"),
    [
        ({"type": "action", "payload": {}, "seq": 1}, "is no message of vla-eval.*it is a map of type, payload, seq"),
        ({"reset_pose": [1.0]}, "it is a map of reset_pose"),
        ([1, 2], "it is list"),
        ({"type": "reward", "payload": {}, "seq": 1, "timestamp": 0.0}, "a message is of the type 'reward'; there are hello, observation"),
        ({"type": "action", "payload": 3, "seq": 1, "timestamp": 0.0}, "has payload, seq and timestamp of other types"),
        ({"type": "action", "payload": {}, "seq": "1", "timestamp": 0.0}, "has payload, seq and timestamp of other types"),
    ],
)
def test_what_is_no_message_is_refused(payload: Any, message: str) -> None:
    import msgpack

    with pytest.raises(BadReply, match=message):
        wire.unpack(msgpack.packb(payload))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("Traceback (most recent call last)", "a text came where messages are binary: 'Traceback"),
        (b"\xc1", "extensions are not read"),
        (b"\x80\x04\x95cos\nsystem\n.", "bytes follow a msgpack message"),
        (b"", "ends before its last value"),
    ],
)
def test_what_is_no_msgpack_is_refused(data: bytes | str, message: str) -> None:
    with pytest.raises(BadReply, match=message):
        wire.unpack(data)


def test_a_message_that_is_too_long_is_not_looked_at() -> None:
    with pytest.raises(BadReply, match=f"a message has {len(SEVEN)} bytes, and 100 are allowed"):
        wire.unpack(SEVEN, max_bytes=100)


def _png(width: int, height: int) -> bytes:
    """Returns the head of a PNG that announces a picture of that size, and nothing of the picture."""
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ({"format": "png", "data": b"GIF89a", "shape": [2, 2, 3]}, "is no png that can be read"),
        ({"format": "png", "data": _png(100_000, 100_000), "shape": [100_000, 100_000, 3]}, "(at most .* pixels are unpacked|DecompressionBomb)"),
        ({"format": "png", "data": _png(8000, 8000), "shape": [8000, 8000, 3]}, "is 8000 x 8000; at most 33554432 pixels are unpacked"),
        ({"format": "png", "data": PNG, "shape": [2, 3, 3]}, r"declares \[2, 3, 3\] uint8 and is \[2, 2, 3\] uint8"),
        ({"format": "raw", "data": b"abc", "dtype": "|u1", "shape": [2, 2, 3]}, r"a raw image declares \[2, 2, 3\] of '\|u1' and brings 3 bytes"),
        ({"format": "raw", "data": b"abc", "dtype": "|u1", "shape": [10**9, 10**9, 10**9]}, "brings 3 bytes"),
        ({"format": "raw", "data": b"abcdefgh", "dtype": "|O", "shape": [1]}, "uint8 is wanted"),
        ({"format": "npy", "data": b"abc", "shape": [1]}, "has the format 'npy'; png, jpeg and raw are read"),
        ({"format": "png", "shape": [2, 2, 3]}, "has no data or no shape"),
    ],
)
def test_images_that_lie_are_refused_before_they_take_memory(image: dict[str, Any], message: str) -> None:
    import msgpack

    raw = {"type": "observation", "payload": {"images": {"a": {"__image__": True, **image}}}, "seq": 1, "timestamp": 0.0}
    with pytest.raises(BadReply, match=message):
        wire.unpack(msgpack.packb(raw))


def test_a_jpeg_that_calls_itself_png_is_refused() -> None:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(np.zeros((2, 2, 3), np.uint8)).save(file, format="JPEG")
    import msgpack

    image = {"__image__": True, "format": "png", "data": file.getvalue(), "shape": [2, 2, 3]}
    with pytest.raises(BadReply, match="is no png that can be read"):
        wire.unpack(msgpack.packb({"type": "observation", "payload": {"a": image}, "seq": 1, "timestamp": 0.0}))


# ---------------------------------------------------------------------------------------------------------------------- observations
def test_an_observation_names_streams_in_the_order_of_the_profile_and_puts_state_together() -> None:
    payload = wire.observation_payload(SEEN, READS, None)
    assert list(payload) == ["images", "task_description", "states"] and list(payload["images"]) == ["front", "wrist"]
    assert payload["states"].dtype == np.float32 and np.allclose(payload["states"], [1, 2, 3, 0.04])
    assert wire.read_images(payload, READS)["wrist"].max() == 7
    state = wire.read_state(payload, READS)
    assert np.array_equal(state["ee_pos_base_m"], [1, 2, 3]) and state["gripper_opening_m"].shape == (1,)


def test_what_a_server_does_not_ask_for_is_not_sent() -> None:
    payload = wire.observation_payload(SEEN, READS, None, num_images=1, has_state=False)
    assert list(payload) == ["images", "task_description"] and list(payload["images"]) == ["front"]


def test_a_profile_says_what_things_are_called() -> None:
    table = {"front": "images[agentview]", "wrist": "images[eye]", "ee_pos_base_m": "states", "gripper_opening_m": "gripper", "instruction": "prompt"}
    action = specs_action("gripper_closed_positive")
    called = wire.read_table(table, action, READS, "[wire.vla_eval] of profile 'mine'")
    payload = wire.observation_payload(SEEN, READS, called)
    assert list(payload) == ["images", "prompt", "states", "gripper"] and list(payload["images"]) == ["agentview", "eye"]
    assert payload["states"].shape == (3,) and payload["gripper"].shape == (1,)
    with pytest.raises(UnknownName, match="no part of an observation or action is called 'fornt'.*It stands in \\[wire.vla_eval\\]"):
        wire.read_table({"fornt": "images[a]"}, action, READS, "[wire.vla_eval] of profile 'mine'")


@pytest.mark.parametrize(
    ("sent", "taken"),
    [
        (["wrist", "front", "side"], "by name"),
        (["agentview", "robot0_eye_in_hand"], "by position"),
        (["agentview", "wrist"], "by position"),
        (["wrist", "agentview"], ""),
        (["agentview"], ""),
        (["a", "b", "c"], ""),
    ],
)
def test_images_are_taken_by_name_or_by_position_and_never_by_a_guess(sent: list[str], taken: str) -> None:
    payload = {"images": {name: index for index, name in enumerate(sent)}}
    if not taken:
        with pytest.raises(BadData, match=f"the policy reads the images front, wrist, in this order; what came is {', '.join(sent)}"):
            wire.read_images(payload, READS)
        return
    assert wire.read_images(payload, READS) == ({"front": 1, "wrist": 0} if taken == "by name" else {"front": 0, "wrist": 1})


def test_state_of_another_size_is_refused_with_the_layout() -> None:
    layout = r"ee_pos_base_m\[3\], gripper_opening_m\[1\]"
    with pytest.raises(BadData, match=rf"states is \(8,\) float64; the policy reads \(4,\) numbers, which are {layout}"):
        wire.read_state({"state": np.zeros(8)}, READS)
    with pytest.raises(BadData, match=rf"the policy reads states: \(4,\) numbers, which are {layout}; none were sent"):
        wire.read_state({}, READS)


@pytest.mark.parametrize(("said", "shape"), [([0.0] * 7, (1, 7)), (np.zeros((5, 7)), (5, 7)), (np.zeros(7, np.float64), (1, 7))])
def test_actions_are_one_or_several(said: Any, shape: tuple[int, int]) -> None:
    read = wire.read_actions({"action": said})
    assert read.shape == shape and read.dtype == np.float32


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        ({"reward": 1}, "the answer has no 'actions'; it has reward"),
        ({"actions": "none"}, r"the actions of the answer are str none; \(D,\) or \(T, D\) numbers are wanted"),
        ({"actions": np.zeros((1, 5, 7))}, r"are \(1, 5, 7\) float64; \(D,\) or \(T, D\) numbers are wanted"),
        ({"actions": [[1.0], [1.0, 2.0]]}, "the actions of the answer are no array"),
        ({"actions": {"a": [1.0]}}, "are dict {'a': \\[1.0\\]}; "),
        ({"actions": [True, 1.5, 0.0]}, r"are list \[True, 1.5, 0.0\]; "),
        ({"actions": np.zeros((2000, 7))}, r"are \(2000, 7\) float64; .* with T from 1 to 1024"),
        ({"k" * 5_000_000: 1}, r"it has k{60} …$"),
    ],
)
def test_answers_without_actions_are_refused(payload: dict[str, Any], message: str) -> None:
    with pytest.raises(BadReply, match=message):
        wire.read_actions(payload)


# ---------------------------------------------------------------------------------------------------------------------------- specs
def specs_action(gripper: str, rotation: str = "delta_axis_angle", position: str = "delta_position", size: int = 3) -> ActionSpec:
    def part(name: str, size: int, convention: str) -> ActionComponent:
        return ActionComponent(
            name=name, size=size, convention=convention, frame="base", unit="m", scale=1.0, low=(-1.0,) * size, high=(1.0,) * size
        )

    components = (part("translation", 3, position), part("rotation", size, rotation), part("gripper", 1, gripper))
    return ActionSpec(name="mine", components=components, rate_hz=20.0)


def state_of(form: str, size: int, gripper: int = 2) -> ObservationSpec:
    parts = (
        StatePart(array="ee_pos_base_m", form="as_is", size=3),
        StatePart(array="ee_quat_base_wxyz", form=form, size=size),
        StatePart(array="gripper_opening_m", form="two_finger_joints" if gripper == 2 else "as_is", size=gripper),
    )
    state = StateComponent(name="state", size=3 + size + gripper, parts=parts)
    return ObservationSpec(images=READS.images, state=(state,), rate_hz=20.0)


LIBERO = {
    "position": {"name": "position", "dims": 3, "format": "delta_xyz", "range": [-1, 1]},
    "rotation": {"name": "rotation", "dims": 3, "format": "axis_angle", "range": [-3.15, 3.15]},
    "gripper": {"name": "gripper", "dims": 1, "format": "binary_close_positive", "range": [-1, 1]},
}
"""What OpenVLA-OFT's server of vla-eval 0.8.0 says that it sends, as captured."""
OFT = {
    "action_spec": LIBERO,
    "observation_params": {"env_seed": 0, "quat_no_antipodal": True, "send_wrist_image": True, "send_state": True},
    "observation_spec": {
        "image": {"name": "image", "dims": 0, "format": "rgb_hwc_uint8"},
        "wrist_image": {"name": "image", "dims": 0, "format": "rgb_hwc_uint8"},
        "state": {"name": "state", "dims": 8, "format": "eef_pos3_axisangle3_gripper2"},
        "language": {"name": "language", "dims": 0, "format": "language"},
    },
}
GOOD = (specs_action("gripper_closed_positive"), state_of("axis_angle_positive_w", 3))


def test_a_server_that_fits_gets_what_it_asks_for() -> None:
    wishes, complaints = specs.compared(OFT, *GOOD)
    assert not complaints and wishes == specs.Wishes(2, True, {"env_seed": 0}, ())
    wishes, complaints = specs.compared({"action_spec": LIBERO, "observation_params": {"seed": 0}}, *GOOD)
    assert not complaints and (wishes.num_images, wishes.has_state) == (1, False)


def test_a_server_that_says_nothing_gets_all_that_the_profile_declares() -> None:
    wishes, complaints = specs.compared({}, *GOOD)
    assert not complaints and (wishes.num_images, wishes.has_state) == (2, True)
    assert wishes.unsaid == ("action translation", "action rotation", "action gripper", "observations")


@pytest.mark.parametrize(
    ("gripper", "word", "fits"),
    [
        ("gripper_closed_positive", "binary_close_positive", True),
        ("gripper_closed_positive_binary", "binary_close_positive", True),
        ("gripper_open_positive", "binary_close_positive", False),
        ("gripper_open_positive", "binary_close_negative", True),
        ("gripper_open_unit", "continuous_01", True),
        ("gripper_open_unit", "binary_close_01", False),
        ("gripper_closed_unit", "binary_close_01", True),
        ("gripper_closed_positive", "continuous_01", False),
        ("gripper_closing_relative", "binary_close_positive", False),
        ("gripper_opening_m", "raw", True),
    ],
)
def test_a_gripper_of_another_sign_or_range_is_named(gripper: str, word: str, fits: bool) -> None:
    said = {"action_spec": {"gripper": {"name": "gripper", "dims": 1, "format": word}}}
    complaints = specs.compared(said, specs_action(gripper), GOOD[1])[1]
    assert bool(complaints) != fits
    if not fits:
        assert complaints[0].startswith(f"action gripper: it sends {word!r}, and the profile declares {gripper!r}")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rotation": {"dims": 3, "format": "euler_xyz"}}, "action rotation: it sends 'euler_xyz', and the profile declares 'delta_axis_angle'"),
        ({"rotation": {"dims": 6, "format": "axis_angle"}}, "action rotation: it sends 6 numbers, and the profile declares 3"),
        ({"position": {"dims": 3, "format": "absolute_xyz"}}, "action position: it sends 'absolute_xyz', and the profile declares 'delta_position'"),
        ({"base_motion": {"dims": 4, "format": "base_velocity3_torso1"}}, "action base_motion: .*declares no such component; it has translation"),
        ({"actions": {"dims": 14, "format": "raw"}}, "actions: it sends 14 numbers, and the profile declares 7"),
        ({"actions": {"dims": 7, "format": "absolute_joint_positions"}}, "actions: it sends the format 'absolute_joint_positions'"),
    ],
)
def test_actions_of_another_convention_are_named(change: dict[str, Any], message: str) -> None:
    import re

    (complaint,) = specs.compared({**OFT, "action_spec": {**LIBERO, **change}}, *GOOD)[1]
    assert re.match(message, complaint)


@pytest.mark.parametrize(
    ("observation", "message"),
    [
        (state_of("euler_xyz", 3), "state: it reads 'eef_pos3_axisangle3_gripper2', and the profile declares 'eef_pos3_euler3_gripper2'"),
        (state_of("quaternion_xyzw", 4, 1), "state: it reads 'eef_pos3_axisangle3_gripper2', and the profile declares 'eef_pos3_quat4_gripper1'"),
        (state_of("axis_angle", 3), "state: it reads an axis-angle of up to 2 pi, by robosuite's formula, and the profile declares 'axis_angle'"),
        (replace(GOOD[1], state=()), "state: it reads state, and the profile declares none"),
        (replace(GOOD[1], images=GOOD[1].images[:1]), "images: it reads 2, and the profile declares 1"),
        (READS, "state: it reads 8 numbers, and the profile declares 4"),
    ],
)
def test_observations_of_another_convention_are_named(observation: ObservationSpec, message: str) -> None:
    assert specs.compared(OFT, GOOD[0], observation)[1] == [message]


@pytest.mark.parametrize(
    ("params", "complaint"),
    [
        ({"send_video_history": True}, "send_video_history: it asks for send_video_history=True, which is not known here"),
        ({"send_video_history": False}, None),
        ({"absolute_action": True}, "action position: it sends absolute ones, and the profile declares the other"),
        (
            {"quat_no_antipodal": False, "send_state": True},
            "state: it reads an axis-angle of at most pi, and the profile declares 'axis_angle_positive_w'",
        ),
        ({"max_episode_steps": 300, "success_mode": "accumulate", "deterministic_episodes": False}, None),
    ],
)
def test_what_a_server_asks_for_is_obeyed_refused_or_means_nothing_here(params: dict[str, Any], complaint: str | None) -> None:
    assert specs.compared({"observation_params": params}, *GOOD)[1] == ([] if complaint is None else [complaint])


def test_floats_as_images_do_not_fit_this_protocol() -> None:
    images = (ImageComponent(name="front", width=4, height=4, values="unit"),)
    (complaint,) = specs.compared({}, GOOD[0], replace(READS, images=images))[1]
    assert complaint == "image front: the profile declares values that are unit, and this protocol carries uint8"


def test_what_we_say_of_ourselves_is_what_we_would_accept() -> None:
    for action, observation in (GOOD, (specs_action("gripper_open_unit", "delta_euler_xyz"), READS), (specs_action("gripper_opening_m"), READS)):
        said = {
            "action_spec": specs.action_spec(action),
            "observation_spec": specs.observation_spec(observation),
            "observation_params": specs.observation_params(observation),
        }
        wishes, complaints = specs.compared(said, action, observation)
        assert not complaints and (wishes.num_images, wishes.has_state) == (2, True)
    assert specs.action_spec(GOOD[0])["rotation"] == {"name": "rotation", "dims": 3, "format": "axis_angle", "range": [-1.0, 1.0]}
    assert specs.action_spec(specs_action("gripper_opening_m")) == {"actions": {"name": "actions", "dims": 7, "format": "raw"}}
    assert specs.state_format(GOOD[1].state) == "eef_pos3_axisangle3_gripper2" and specs.state_format(READS.state) == "raw"
    assert specs.state_format((StateComponent(name="joint_pos_rad", size=7),)) == "joint_positions"


def test_garbage_in_a_hello_is_no_crash() -> None:
    said = {"action_spec": 3, "observation_spec": {"image": None, "x": {"format": 7}}, "observation_params": [1]}
    assert specs.compared(said, *GOOD)[1] == ["observation image: it reads the format 'raw', which has no meaning here"] + [
        "observation x: it reads the format 'raw', which has no meaning here"
    ]


def test_a_hello_that_describes_what_no_policy_has_is_refused_or_told_in_part() -> None:
    with pytest.raises(BadReply, match="its hello describes 1000 parts as action_spec; at most 64 are read"):
        specs.compared({"action_spec": {f"a{k}": {} for k in range(1000)}}, *GOOD)
    said = {"observation_spec": {"x" * 5_000_000: {"format": "\x1b[31m" + "y" * 5_000_000}}}
    (complaint,) = specs.compared(said, *GOOD)[1]
    assert len(complaint) < 300 and complaint.isprintable()
