"""OpenVLA's and OFT's messages are written as their own clients do and read as their own servers answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from served import ACTION, OBSERVATION, observation
from vlagym.envs.errors import BadData, BadReply, UnknownName
from vlagym.envs.types import ImageComponent, Observation, ObservationSpec, StateComponent
from vlagym.policies.profile import load_profile
from vlagym.policies.wire import arrays, rest

# Captured from a client with json_numpy and OpenVLA's own vla-scripts/deploy.py, a stub in the place of the model.
OPENVLA_REQUEST = (
    b'{"image": {"__numpy__": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "dtype": "|u1", "shape": [4, 4, 3]}, '
    b'"instruction": "Pick Up the Cube", "unnorm_key": "bridge_orig"}'
)
OPENVLA_ANSWER = b'{"__numpy__":"AAAAAAAAAACamZmZmZm5P5qZmZmZmck/MzMzMzMz0z+amZmZmZnZPwAAAAAAAOA/MzMzMzMz4z8=","dtype":"<f8","shape":[7]}'
OPENVLA_ENCODED_ANSWER = (
    rb'"{\"__numpy__\": \"AAAAAAAAAACamZmZmZm5P5qZmZmZmck/MzMzMzMz0z+amZmZmZnZPwAAAAAAAOA/MzMzMzMz4z8=\", \"dtype\": \"<f8\", \"shape\": [7]}"'
)
# The beginning of what OFT's own deploy.py answers, as far as two actions.
OFT_ANSWER = (
    b'[{"__numpy__":"AAAAAAAAAAAAAAAAAADwPwAAAAAAAABAAAAAAAAACEAAAAAAAAAQQAAAAAAAABRAAAAAAAAAGEA=","dtype":"<f8","shape":[7]},'
    b'{"__numpy__":"AAAAAAAAHEAAAAAAAAAgQAAAAAAAACJAAAAAAAAAJEAAAAAAAAAmQAAAAAAAAChAAAAAAAAAKkA=","dtype":"<f8","shape":[7]}]'
)


def reads(*images: str, state: Mapping[str, int] | None = None) -> ObservationSpec:
    return ObservationSpec(
        images=tuple(ImageComponent(name=name, width=4, height=4) for name in images),
        state=tuple(StateComponent(name=name, size=size) for name, size in (state or {}).items()),
        rate_hz=20.0,
    )


def sent(dialect: rest.Vla, spec: ObservationSpec, table: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Returns the message of an observation of black images and states that count."""
    images = {i.name: np.full((4, 4, 3), n, np.uint8) for n, i in enumerate(spec.images)}
    numbers = iter(range(100))
    state = {s.name: np.array([next(numbers) for _ in range(s.size)], np.float32) for s in spec.state}
    seen = Observation(images=images, proprio=state, instruction="lift", time_s=0.0)
    return rest.request(seen, rest.layout(dialect, table, ACTION, spec))


def test_a_request_to_openvla_is_that_of_its_own_client_byte_for_byte() -> None:
    spec = reads("front")
    seen = Observation(images={"front": np.zeros((4, 4, 3), np.uint8)}, proprio={}, instruction="Pick Up the Cube", time_s=0.0)
    message = rest.request(seen, rest.layout("openvla", None, ACTION, spec), unnorm_key="bridge_orig")
    assert arrays.to_json(message).encode() == OPENVLA_REQUEST


def test_openvla_answers_with_one_action() -> None:
    found = rest.read_actions(arrays.from_json(OPENVLA_ANSWER), ACTION)
    assert found.dtype == np.float32 and np.allclose(found, [np.arange(7) / 10])


def test_an_answer_in_json_within_json_is_the_same() -> None:
    assert np.allclose(rest.read_actions(arrays.from_json(OPENVLA_ENCODED_ANSWER), ACTION), [np.arange(7) / 10])


def test_oft_answers_with_a_list_of_actions() -> None:
    assert np.array_equal(rest.read_actions(arrays.from_json(OFT_ANSWER), ACTION), np.arange(14).reshape(2, 7))


def test_what_our_servers_answer_is_what_the_originals_do() -> None:
    values = np.arange(14, dtype=np.float32).reshape(2, 7)
    many, one = rest.answer(values, "oft"), rest.answer(values, "openvla")
    assert [a.dtype for a in many] == [np.float64] * 2 and np.array_equal(many, values)
    assert arrays.to_json(many).replace(" ", "").encode() == OFT_ANSWER and np.array_equal(one, values[0])


def test_oft_is_sent_a_flat_map_with_one_state_vector_in_the_declared_order() -> None:
    message = sent("oft", reads("front", "wrist", state={"pos": 3, "opening": 1}))
    assert list(message) == ["full_image", "wrist_image", "state", "instruction"]
    assert (message["full_image"].max(), message["wrist_image"].max(), message["instruction"]) == (0, 1, "lift")
    assert message["state"].dtype == np.float32 and message["state"].tolist() == [0, 1, 2, 3]


def test_a_single_state_is_the_vector() -> None:
    assert sent("oft", reads("front", state={"state": 2}))["state"].tolist() == [0, 1]


def test_two_wrists_have_a_key_each() -> None:
    message = sent("oft", reads("high", "left_wrist", "right_wrist_image"))
    assert list(message) == ["full_image", "left_wrist_image", "right_wrist_image", "instruction"]


def test_a_second_image_of_no_wrist_among_several_has_no_key() -> None:
    with pytest.raises(BadData, match=r"OFT reads one image besides those of wrists, and the policy reads 'front' and 'side': name their keys"):
        rest.layout("oft", None, ACTION, reads("front", "side", "wrist"))


def test_a_table_of_the_profile_names_the_keys() -> None:
    table = {"front": "full_image", "side": "other_wrist", "pos": "state", "instruction": "task"}
    assert list(sent("oft", reads("front", "side", state={"pos": 3}), table)) == ["full_image", "other_wrist", "state", "task"]
    with pytest.raises(UnknownName, match="no part of an observation or action is called 'fornt'. Did you mean front"):
        sent("oft", reads("front"), {"fornt": "full_image"})


def test_a_profile_with_state_does_not_fit_openvla() -> None:
    with pytest.raises(BadData, match="OpenVLA reads one image and no state, and the policy declares 2 images and 2 states: take another profile"):
        rest.layout("openvla", None, ACTION, OBSERVATION)
    assert (rest.usual_dialect(OBSERVATION), rest.usual_dialect(reads("front"))) == ("oft", "openvla")


def test_images_of_floats_are_refused() -> None:
    spec = ObservationSpec(images=(ImageComponent(name="front", width=4, height=4, values="unit"),), state=(), rate_hz=5.0)
    with pytest.raises(BadData, match="reads the image 'front' as floats; servers of openvla take uint8 alone"):
        rest.layout("openvla", None, ACTION, spec)


def test_a_request_is_read_back_as_it_was_written() -> None:
    seen, layout = observation("open the drawer", x=0.7), rest.layout("oft", None, ACTION, OBSERVATION)
    images, state, said = rest.read_request(arrays.from_json(arrays.to_json(rest.request(seen, layout))), layout)
    assert said == "open the drawer" and all(np.array_equal(images[k], v) for k, v in seen.images.items())
    assert all(np.array_equal(state[k], v) and state[k].dtype == v.dtype for k, v in seen.proprio.items())


def test_a_state_vector_of_another_length_is_told_with_what_is_wanted() -> None:
    layout = rest.layout("oft", None, ACTION, OBSERVATION)
    with pytest.raises(BadData, match=r"state has the shape \(5,\); \(4,\) is wanted: ee_pos_base_m \(3\), gripper_opening_m \(1\)"):
        rest.read_request({"state": [0.0] * 5}, layout)
    with pytest.raises(BadData, match="state holds list; numbers are wanted"):
        rest.read_request({"state": ["a"]}, layout)
    with pytest.raises(BadData, match="a request is a map with an image and an instruction, not list"):
        rest.read_request([], layout)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        pytest.param(b'"error"', 'answers with the word "error": something failed inside it.*unnorm_key.*dialect', id="error"),
        pytest.param(rb'"\"error\""', 'answers with the word "error"', id="error within JSON"),
        pytest.param(b'"not json"', "answers with the text 'not json', not with actions", id="text"),
        pytest.param(b'{"detail": "no such key"}', "refuses the request: no such key", id="detail"),
        pytest.param(b"{}", "answers with dict '{}', not with actions", id="an empty map"),
        pytest.param(b"null", "answers with NoneType 'None', not with actions", id="nothing"),
        pytest.param(b"[]", r"actions of the shape \(0,\); ee_delta wants \(7,\) or \(T, 7\)", id="an empty list"),
        pytest.param(b"[1, 2, 3]", r"actions of the shape \(3,\)", id="wrong length"),
        pytest.param(b"[[1, 2, 3], [1, 2]]", "actions of different lengths; each is 7 numbers", id="ragged"),
        pytest.param(b"[[[1, 2, 3, 4, 5, 6, 7]]]", r"actions of the shape \(1, 1, 7\)", id="too deep"),
        pytest.param(b"[true, true, true, true, true, true, true]", "not with actions", id="truth"),
        pytest.param(b"[true, 1.5, 0, 0, 0, 0, 0]", r"answers with list '\[True, 1.5, 0, 0, 0, 0, 0\]', not with actions", id="truth among numbers"),
        pytest.param(b'{"detail": "\\u001b[31mred"}', r"refuses the request: \\x1b\[31mred$", id="colours"),
    ],
)
def test_what_are_no_actions_is_told(answer: bytes, words: str) -> None:
    with pytest.raises(BadReply, match=words):
        rest.read_actions(arrays.from_json(answer), ACTION)


@pytest.mark.parametrize("text", [b"[" + b"[]," * 600_000 + b"0]", "[" * 1_000_001, "[0" + ",0" * 1_000_001 + "]"])
def test_a_few_megabytes_that_would_become_gigabytes_of_lists_are_refused(text: str | bytes) -> None:
    with pytest.raises(BadData, match="a JSON message holds more than 1000000 values: numbers belong into arrays"):
        arrays.from_json(text)


def test_profiles_of_libero_are_sent_as_its_servers_read_them() -> None:
    """OFT's images, state and sentence: experiments/robot/openvla_utils.py; OpenVLA's: vla-scripts/deploy.py."""
    for name, dialect, wanted in (
        ("libero_rlds", "oft", {"image": "full_image", "wrist_image": "wrist_image", "state": "state"}),
        ("openvla_libero", "openvla", {"image": "image"}),
    ):
        profile = load_profile(name)
        assert rest.usual_dialect(profile.observation) == dialect
        found = rest.layout(rest.usual_dialect(profile.observation), profile.wire.get(dialect), profile.action, profile.observation)
        assert {**found.called.images, **found.called.state} == wanted and found.called.instruction == "instruction" and not found.joined
