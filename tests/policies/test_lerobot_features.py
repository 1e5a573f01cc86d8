"""Which image and state feeds which feature of a LeRobot checkpoint is decided by names, said by the user, or refused; nothing is guessed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vlagym.envs.errors import BadData
from vlagym.envs.types import ImageComponent, ObservationSpec, StateComponent
from vlagym.policies.families.lerobot_features import Feature, feed, parse_keys, refuse_foreign_steps
from vlagym.policies.loading import load_policy

FRONT, WRIST = (ImageComponent(name=name, width=64, height=48, fit="pad") for name in ("front", "wrist"))
STATE = StateComponent(name="state", size=8)
READS = ObservationSpec(images=(FRONT, WRIST), state=(STATE,), rate_hz=20.0)
ONE_EYE = ObservationSpec(images=(FRONT,), state=(STATE,), rate_hz=20.0)


def inputs(*cameras: str, state: int = 8, shape: tuple[int, ...] = (3, 48, 64)) -> dict[str, Feature]:
    return {**{f"observation.images.{c}": Feature("VISUAL", shape) for c in cameras}, "observation.state": Feature("STATE", (state,))}


def test_the_same_names_belong_together() -> None:
    feeding = feed(inputs("wrist", "front"), READS, {}, who="ACT")
    assert feeding.keys == {"front": "observation.images.front", "wrist": "observation.images.wrist", "state": "observation.state"}
    assert [(i.name, i.values) for i in feeding.observation.images] == [("front", "unit"), ("wrist", "unit")]


def test_a_single_image_needs_no_name_and_what_is_not_read_is_not_rendered() -> None:
    assert feed(inputs("top"), ONE_EYE, {}, who="ACT").keys["front"] == "observation.images.top"
    assert [i.name for i in feed(inputs("front"), READS, {}, who="ACT").observation.images] == ["front"]


def test_names_that_differ_are_said_by_the_user() -> None:
    keys = parse_keys("front=observation.images.cam_high, wrist = observation.images.cam_low")
    assert feed(inputs("cam_low", "cam_high"), READS, keys, who="ACT").keys["wrist"] == "observation.images.cam_low"


def test_an_image_comes_in_the_size_that_the_checkpoint_declares_where_the_profile_says_how() -> None:
    assert feed(inputs("front", shape=(3, 96, 96)), READS, {}, who="ACT").observation.images[0].width == 96
    exact = ObservationSpec(images=(ImageComponent(name="front", width=64, height=48),), state=(STATE,), rate_hz=20.0)
    with pytest.raises(BadData, match=r'in 96 x 96 and the profile\'s image \'front\' is 64 x 48: .*fit = "stretch" or fit = "pad"'):
        feed(inputs("front", shape=(3, 96, 96)), exact, {}, who="ACT")


@pytest.mark.parametrize(
    ("there", "keys", "match"),
    [
        (inputs("high", "low"), {}, "reads 'observation.images.high', and it is not said .*there: front, wrist.*keys=NAME=observation.images.high"),
        (inputs("front", state=7), {}, r"'observation.state' of shape \(7,\) and the profile's state 'state' has 8"),
        (inputs("front", shape=(1, 48, 64)), {}, r"of shape \(1, 48, 64\); an image is \(3, height, width\)"),
        (inputs("front"), {"frnt": "observation.images.front"}, "'frnt', which the profile does not have; it has front, wrist, state"),
        (inputs("front"), {"front": "observation.images.top"}, "'observation.images.top', which the checkpoint does not read"),
        ({**inputs("front"), "observation.environment_state": Feature("ENV", (3,))}, {}, "a feature of kind ENV: nothing here sends"),
        (inputs("front"), {"front": "observation.images.front", "wrist": "observation.images.front"}, "front and wrist are both sent"),
    ],
)
def test_what_is_not_clear_is_refused(there: dict[str, Feature], keys: dict[str, str], match: str) -> None:
    with pytest.raises(BadData, match=match):
        feed(there, READS, keys, who="ACT")


def test_cameras_that_the_checkpoint_fills_in_itself_are_not_asked_for() -> None:
    there = inputs("front", "empty_camera_0")
    feeding = feed(there, READS, {}, who="SmolVLA", may_be_absent=["observation.images.empty_camera_0"])
    assert "observation.images.empty_camera_0" not in feeding.keys.values()


@pytest.mark.parametrize("text", ["front", "front=", "=observation.state", "a=b,a=c"])
def test_keys_that_make_no_sense_are_refused(text: str) -> None:
    with pytest.raises(BadData, match="keys of lerobot"):
        parse_keys(text)


def test_a_processor_that_names_a_class_of_somebody_else_is_refused_before_it_is_built(tmp_path: Path) -> None:
    fine: dict[str, object] = {"steps": [{"registry_name": "device_processor", "config": {}}, {"class": "lerobot.processor.core.Step"}]}
    for name in ("policy_preprocessor.json", "policy_postprocessor.json"):
        (tmp_path / name).write_text(json.dumps(fine))
    refuse_foreign_steps(tmp_path)
    (tmp_path / "policy_postprocessor.json").write_text(json.dumps({"steps": [{"class": "subprocess.Popen", "config": {"args": ["true"]}}]}))
    with pytest.raises(BadData, match="names the class 'subprocess.Popen', .*trust_remote_code=true"):
        refuse_foreign_steps(tmp_path)
    (tmp_path / "policy_postprocessor.json").write_text("[]")
    with pytest.raises(BadData, match="is no processor of LeRobot"):
        refuse_foreign_steps(tmp_path)
    (tmp_path / "policy_postprocessor.json").unlink()
    with pytest.raises(BadData, match="migrate_policy_normalization"):
        refuse_foreign_steps(tmp_path)


def test_what_is_no_checkpoint_is_refused_before_lerobot_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="lerobot:DIR"):
        load_policy("lerobot")
    with pytest.raises(BadData, match=r"has no config.json. Name the folder that is called pretrained_model"):
        load_policy(f"lerobot:{tmp_path}", {"profile": "vlagym"})
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(BadData, match="does not guess: say --policy-option profile=NAME"):
        load_policy(f"lerobot:{tmp_path}")
