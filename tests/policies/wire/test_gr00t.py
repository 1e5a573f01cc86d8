"""GR00T's messages are written as its own clients and servers do, and read in every dialect."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from served import ACTION, OBSERVATION, Echo, observation
from vlagym.envs.errors import BadData, BadReply, ConventionMismatch, UnknownName
from vlagym.envs.types import Observation
from vlagym.policies.base import PolicySpec
from vlagym.policies.profile import load_profile
from vlagym.policies.wire import arrays, gr00t
from vlagym.policies.wire.gr00t_modality import LANGUAGE, Dialect, Keys, Modality, Piece, keys_of, modality_answer, read_modalities

# Captured from Isaac-GR00T's own gr00t/eval/service.py (N1.5) and gr00t/policy/server_client.py (N1.6), stubs in the place of the models; the long
# ones as far as they were kept.
PING = "81a8656e64706f696e74a470696e67"
PONG = "82a6737461747573a26f6ba76d657373616765b15365727665722069732072756e6e696e67"
GET_MODALITY_CONFIG = "81a8656e64706f696e74b36765745f6d6f64616c6974795f636f6e666967"
MODALITIES_N16 = (
    "82a5766964656f82b85f5f4d6f64616c697479436f6e6669675f636c6173735f5fc3a761735f6a736f6e85ad64656c74615f696e64696365739100ad6d6f64616c6974795f6b"
    "65797392a5696d616765ab77726973745f696d616765b673696e5f636f735f656d62656464696e675f6b657973c0b76d65616e5f7374645f656d62656464696e675f6b657973"
    "c0ae616374696f6e5f636f6e66696773c0a6616374696f6e82b85f5f4d6f64616c697479436f6e6669675f636c6173735f5fc3a761735f6a736f6e85ad64656c74615f696e64"
    "69636573dc0010000102"
)
NPY_U1 = "934e554d5059010076007b276465736372273a20277c7531272c2027666f727472616e5f6f72646572273a2046616c73652c20277368617065273a20"
GET_ACTION_N15 = (
    "82a8656e64706f696e74aa6765745f616374696f6ea46461746183ab766964656f2e696d61676582b15f5f6e6461727261795f636c6173735f5fc3a661735f6e7079c48c"
    + NPY_U1
)
GET_ACTION_N16 = (
    "82a8656e64706f696e74aa6765745f616374696f6ea46461746182ab6f62736572766174696f6e83a5766964656f82a5696d61676582b15f5f6e6461727261795f636c6173735f5f"
    "c3a661735f6e7079c48c" + NPY_U1 + "28312c20312c20322c20322c2033292c207d"
)
ANSWER_N15 = (
    "82a8616374696f6e2e7882b15f5f6e6461727261795f636c6173735f5fc3a661735f6e7079c4c0934e554d5059010076007b276465736372273a20273c6634272c2027666f72"
    "7472616e5f6f72646572273a2046616c73652c20277368617065273a202831362c292c207d20"
)
ANSWER_N16 = (
    "9282a17882b15f5f6e6461727261795f636c6173735f5fc3a661735f6e7079c4c0934e554d5059010076007b276465736372273a20273c6634272c2027666f727472616e5f6f"
    "72646572273a2046616c73652c20277368617065273a2028312c2031362c2031292c207d"
)

SPEC = Echo().spec
KEYS = keys_of(SPEC, None, None, "the policy")
DIALECTS: tuple[Dialect, ...] = ("n1.5", "n1.6", "n1.6_sim", "n1.7")


def modalities(**changes: Modality | None) -> dict[str, Modality]:
    """Returns what a server says that fits SPEC, with changes."""
    usual = {
        "video": Modality(steps=(0,), keys=("front", "wrist")),
        "state": Modality(steps=(0,), keys=("ee_pos_base_m", "gripper_opening_m")),
        "action": Modality(steps=tuple(range(4)), keys=("translation", "rotation", "gripper")),
        "language": Modality(steps=(0,), keys=("annotation.task",)),
    }
    return {k: v for k, v in (usual | changes).items() if v is not None}


# ------------------------------------------------------------------------------------------------------------------------ bytes
def test_requests_without_data_are_those_of_the_original_byte_for_byte() -> None:
    assert arrays.pack(gr00t.call("ping"), "gr00t").hex() == PING
    assert arrays.pack(gr00t.call("get_modality_config"), "gr00t").hex() == GET_MODALITY_CONFIG


def test_a_token_stands_beside_the_endpoint() -> None:
    assert gr00t.call("ping", token="s3cret") == {"endpoint": "ping", "api_token": "s3cret"}


def described(as_json: dict[str, Any]) -> dict[str, Any]:
    return {"video": {"__ModalityConfig_class__": True, "as_json": as_json}}


@pytest.mark.parametrize(("dialect", "captured"), [("n1.5", GET_ACTION_N15), ("n1.6", GET_ACTION_N16)])
def test_a_request_for_actions_begins_as_that_of_the_original(dialect: Dialect, captured: str) -> None:
    video = {"front": "image"} if dialect == "n1.5" else {"front": "image", "wrist": "wrist_image"}
    keys = Keys(video=video, state={"s": (Piece("x", 1),)}, action=(Piece("x", 1),), language="task")
    images = {name: np.zeros((2, 2, 3), np.uint8) for name in video}
    seen = Observation(images=images, proprio={"s": np.zeros(1, np.float32)}, instruction="lift", time_s=0.0)
    said = arrays.pack(gr00t.call("get_action", gr00t.request([seen], keys, (0,), dialect)), "gr00t").hex()
    assert said.startswith(captured)


def test_what_a_server_of_n16_says_of_itself_begins_as_the_original() -> None:
    said = {"video": Modality(steps=(0,), keys=("image", "wrist_image")), "action": Modality(steps=tuple(range(16)), keys=("x",))}
    assert arrays.pack(modality_answer(said, "n1.6"), "gr00t").hex().startswith(MODALITIES_N16)


@pytest.mark.parametrize(("dialect", "captured"), [("n1.5", ANSWER_N15), ("n1.6", ANSWER_N16)])
def test_an_answer_begins_as_that_of_the_original(dialect: Dialect, captured: str) -> None:
    keys = replace(KEYS, action=(Piece("x", 1), Piece("arm", 7)))
    asked = gr00t.Asked((), is_batched=dialect == "n1.6")
    assert arrays.pack(gr00t.answer(np.zeros((1, 16, 8), np.float32), keys, asked, dialect), "gr00t").hex().startswith(captured)


# ------------------------------------------------------------------------------------------------------------------- modalities
@pytest.mark.parametrize("dialect", ["n1.5", "n1.6"])
def test_a_server_tells_by_its_modalities_which_release_it_is(dialect: Dialect) -> None:
    served = read_modalities(arrays.unpack(arrays.pack(modality_answer(modalities(), dialect), "gr00t")))
    assert served.dialect == dialect and served.modalities == modalities()


def test_the_envelope_of_n17_is_known_by_its_name() -> None:
    inner = {"delta_indices": [-15, 0], "modality_keys": ["image"]}
    served = read_modalities({"video": {"__ModalityConfig__": True, "as_json": inner}, "more": 3})
    assert served == ("n1.7", {"video": Modality(steps=(-15, 0), keys=("image",))})


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({}, "get_modality_config is answered with dict; a map of modalities is wanted"),
        ("text", "is answered with str"),
        ({"video": {"delta_indices": [0]}}, "is answered with video, of which none is a modality"),
        ({"video": {"__ModalityConfig_class__": True, "as_json": "{"}}, "holds what is no JSON"),
        (described({"delta_indices": [0] * 10**5, "modality_keys": ["a"]}), r"at most 1024 and 64 of them"),
        (described({"delta_indices": [0], "modality_keys": ["\x1b]0;x"]}), r"at most 128 letters\): \{.*\\x1b"),
        ({f"m{k}": described({"delta_indices": [0], "modality_keys": ["a"]})["video"] for k in range(100)}, r"more than 16 modalities"),
        ({"video": {"__ModalityConfig_class__": True, "as_json": {"delta_indices": "0"}}}, "says of 'video' neither delta_indices nor modality_keys"),
    ],
)
def test_a_description_that_is_none_is_told(answer: Any, words: str) -> None:
    with pytest.raises(BadReply, match=words):
        read_modalities(answer)


def test_without_a_table_things_have_the_servers_keys_of_the_same_names() -> None:
    keys = keys_of(SPEC, None, modalities(), "the profile")
    assert keys.video == {"front": "front", "wrist": "wrist"} and keys.language == "annotation.task"
    assert keys.action == (("translation", 3), ("rotation", 3), ("gripper", 1))


def test_a_table_cuts_vectors_into_the_servers_keys() -> None:
    table = {
        "front": "video.image",
        "wrist": "wrist_image",
        "ee_pos_base_m": "state.x:1,state.y:1,state.z:1",
        "gripper_opening_m": "gripper",
        "actions": "x:1,y:1,z:1,rotation:3,gripper:1",
        "instruction": "annotation.words",
    }
    theirs = modalities(
        video=Modality(steps=(0,), keys=("image", "wrist_image")),
        state=Modality(steps=(0,), keys=("x", "y", "z", "gripper")),
        action=Modality(steps=tuple(range(16)), keys=("x", "y", "z", "rotation", "gripper")),
    )
    keys = keys_of(SPEC, table, theirs, "[wire.gr00t]")
    sent = gr00t.request([observation(x=0.7)], keys, (0,), "n1.6")["observation"]
    assert {k: v.shape for k, v in sent["state"].items()} == {k: (1, 1, 1) for k in ("x", "y", "z", "gripper")}
    assert sent["state"]["x"].item() == np.float32(0.7) and sent["state"]["z"].item() == np.float32(0.3)
    assert list(sent["video"]) == ["image", "wrist_image"] and sent["language"] == {"annotation.words": [["lift the cube"]]}


@pytest.mark.parametrize("text", ["x:1,y:1", "x:1,y:2,z", "x:3,x:0", "x y z", "x:1,x:1,x:1", ":3"])
def test_pieces_that_do_not_add_up_are_refused(text: str) -> None:
    with pytest.raises(BadData, match=f"the profile cuts 'ee_pos_base_m', which has 3 numbers, into '{text}': write KEY:SIZE,KEY:SIZE"):
        keys_of(SPEC, {"ee_pos_base_m": text}, None, "the profile")


def test_a_table_that_names_something_else_is_refused() -> None:
    with pytest.raises(UnknownName, match="no part of an observation or action is called 'wirst'. Did you mean wrist"):
        keys_of(SPEC, {"wirst": "image"}, None, "the profile")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"video": Modality(steps=(0,), keys=("image",))}, "video: the server reads image; the profile has front, wrist"),
        ({"state": None}, "state: the server reads none; the profile has ee_pos_base_m, gripper_opening_m"),
        ({"action": Modality(steps=(0,), keys=("x", "y"))}, "action: the server sends x, y; the profile has translation, rotation, gripper"),
        ({"video": Modality(steps=(-15, 0), keys=("front", "wrist"))}, r"reads the observations \[-15, 0\]; the profile's history is \[0\]"),
    ],
)
def test_what_a_server_wants_otherwise_is_refused_with_both_sides(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ConventionMismatch, match=words):
        keys_of(SPEC, None, modalities(**changes), "[wire.gr00t] of profile 'mine'")


def test_a_history_that_the_server_does_not_read_is_refused() -> None:
    with pytest.raises(ConventionMismatch, match=r"the profile's history is \[-1, 0\]; the server reads the observations \[0\]"):
        keys_of(replace(SPEC, history=(-1, 0)), None, modalities(), "the profile")


# -------------------------------------------------------------------------------------------------------------------- questions
@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_request_is_read_back_as_it_was_written(dialect: Dialect) -> None:
    seen = [observation("lift the cube", x=0.1), observation("open the drawer", level=50, x=0.2)]
    data = arrays.unpack(arrays.pack(gr00t.request(seen, KEYS, (0,), dialect), "gr00t"))
    asked = gr00t.read_request(data, dialect, KEYS.language)
    assert asked.is_batched and [row.instruction for row in asked.rows] == ["lift the cube", "open the drawer"]
    for row, wanted in zip(asked.rows, seen, strict=True):
        assert all(np.array_equal(row.video[k], [v]) and row.video[k].dtype == np.uint8 for k, v in wanted.images.items())
        assert all(np.array_equal(row.state[k], [v]) and row.state[k].dtype == np.float32 for k, v in wanted.proprio.items())


def test_earlier_observations_are_sent_as_the_server_reads_them() -> None:
    spec = replace(SPEC, history=(-2, 0))
    theirs = modalities(video=Modality(steps=(-2, 0), keys=("front", "wrist")))
    keys = keys_of(spec, None, theirs, "the profile")
    seen = replace(observation(level=100), past=(observation(level=50),))
    sent = gr00t.request([seen], keys, spec.history, "n1.6")["observation"]
    assert sent["video"]["front"].shape == (1, 2, 12, 16, 3) and sent["video"]["front"].mean(axis=(0, 2, 3, 4)).tolist() == [50, 100]
    assert sent["state"]["ee_pos_base_m"].shape == (1, 1, 3), "the server reads the present state alone"


def test_n15_may_be_asked_without_a_batch() -> None:
    seen = observation()
    flat = {f"video.{k}": v[None] for k, v in seen.images.items()} | {f"state.{k}": v[None] for k, v in seen.proprio.items()}
    asked = gr00t.read_request(flat | {KEYS.language: ["lift"]}, "n1.5", KEYS.language)
    assert not asked.is_batched and asked.rows[0].instruction == "lift" and asked.rows[0].video["front"].shape == (1, 12, 16, 3)
    said = gr00t.answer(np.zeros((1, 4, 7), np.float32), KEYS, asked, "n1.5")
    assert {k: v.shape for k, v in said.items()} == {"action.translation": (4, 3), "action.rotation": (4, 3), "action.gripper": (4,)}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda o: o["video"].update(front=[1]), "video 'front' is no array"),
        (lambda o: o.update(video=[1]), "video 'video' is no array"),
        (lambda o: o["state"].update(ee_pos_base_m=np.zeros(3)), r"states \(B, T, D\), and these came: .*ee_pos_base_m \(3,\)"),
        (lambda o: o["state"].update(ee_pos_base_m=np.zeros((2, 1, 3))), "the parts of a batch have different lengths: 1, 2"),
        (lambda o: o.update(language={}), "there is no sentence under 'annotation.human.action.task_description'"),
        (lambda o: o.update(language={KEYS.language: [[3]]}), "are no sentences"),
    ],
)
def test_a_request_that_is_none_is_told(change: Any, words: str) -> None:
    data = gr00t.request([observation()], KEYS, (0,), "n1.6")
    change(data["observation"])
    with pytest.raises(BadData, match=words):
        gr00t.read_request(data, "n1.6", KEYS.language)


def test_data_of_another_dialect_is_told() -> None:
    with pytest.raises(BadData, match="get_action wants data with an observation"):
        gr00t.read_request(gr00t.request([observation()], KEYS, (0,), "n1.5"), "n1.6", KEYS.language)


# ---------------------------------------------------------------------------------------------------------------------- answers
@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("rows", [1, 3])
def test_an_answer_is_read_back_as_it_was_written(dialect: Dialect, rows: int) -> None:
    values = np.random.default_rng(0).normal(size=(rows, 4, 7)).astype(np.float32)
    said = gr00t.answer(values, KEYS, gr00t.Asked((), is_batched=True), dialect)
    found = gr00t.read_actions(arrays.unpack(arrays.pack(said, "gr00t")), KEYS, rows)
    assert np.array_equal(found, values)


@pytest.mark.parametrize("steps", [1, 4])
def test_dimensions_that_n15_squeezed_away_are_put_back(steps: int) -> None:
    values = np.random.default_rng(0).normal(size=(1, steps, 7)).astype(np.float32)
    said = gr00t.answer(values, KEYS, gr00t.Asked((), is_batched=False), "n1.5")
    assert np.array_equal(gr00t.read_actions(said, KEYS, 1), values)


def sends(**changes: Any) -> list[Any]:
    usual = {"translation": np.zeros((2, 4, 3)), "rotation": np.zeros((2, 4, 3)), "gripper": np.zeros((2, 4, 1))}
    return [{k: v for k, v in (usual | changes).items() if v is not None}, {}]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("text", "get_action is answered with str; a map of actions is wanted"),
        (None, "get_action is answered with NoneType"),
        ([[], {}], "a map of actions is wanted"),
        (sends(gripper=None), "is answered with translation, rotation; there is no gripper"),
        (sends(gripper="shut"), "action 'gripper' is str; an array of numbers is wanted"),
        (sends(gripper=np.zeros((2, 4, 2))), r"action 'gripper' has the shape \(2, 4, 2\); \(2, T, 1\)"),
        (sends(gripper=np.zeros((4, 2, 1))), "action 'gripper' has the shape"),
        (sends(gripper=np.zeros((2, 0, 1))), r"has the shape \(2, 0, 1\)"),
        (sends(gripper=np.zeros((2, 3, 1))), "hold different numbers of actions: translation 4, rotation 4, gripper 3"),
        (sends(gripper=np.zeros((2, 4, 1), bool)), "an array of numbers is wanted"),
    ],
)
def test_what_are_no_actions_is_told(answer: Any, words: str) -> None:
    with pytest.raises(BadReply, match=words):
        gr00t.read_actions(answer, KEYS, 2)


def test_an_error_is_told_with_its_end() -> None:
    with pytest.raises(BadReply, match=r"tcp://h:1 answers get_action with an error: Video key 'image' bad$"):
        gr00t.check_answer({"error": "Video key 'image' bad"}, "get_action", "tcp://h:1")
    with pytest.raises(BadReply, match="Unauthorized: Invalid API token .option api_token_env=NAME"):
        gr00t.check_answer({"error": "Unauthorized: Invalid API token"}, "ping", "tcp://h:1")
    with pytest.raises(BadReply, match="answers ping with an error: one without words"):
        gr00t.check_answer({"error": ""}, "ping", "tcp://h:1")
    assert gr00t.check_answer({"error": 1, "more": 2}, "x", "") == {"error": 1, "more": 2}


def test_spec_of_these_tests_is_that_of_the_double() -> None:
    assert isinstance(SPEC, PolicySpec) and SPEC.action == ACTION and SPEC.observation == OBSERVATION


# --------------------------------------------------------------------------------------------------------------------- profiles
def test_the_profile_of_libero_fits_what_its_checkpoints_say() -> None:
    """Keys and steps of the embodiment libero_panda: gr00t/configs/data/embodiment_configs.py of N1.6."""
    keys = ("x", "y", "z", "roll", "pitch", "yaw", "gripper")
    theirs = {
        "video": Modality(steps=(0,), keys=("image", "wrist_image")),
        "state": Modality(steps=(0,), keys=keys),
        "action": Modality(steps=tuple(range(16)), keys=keys),
        "language": Modality(steps=(0,), keys=(LANGUAGE,)),
    }
    profile = load_profile("libero_rlds")
    found = keys_of(profile.spec("gr00t", chunk_steps=16), profile.wire["gr00t"], theirs, "[wire.gr00t] of profile 'libero_rlds'")
    assert [piece.size for piece in found.action] == [1] * 7
    assert [piece for pieces in found.state.values() for piece in pieces] == [*((key, 1) for key in keys[:6]), ("gripper", 2)]
