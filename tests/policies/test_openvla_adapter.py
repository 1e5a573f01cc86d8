"""OpenVLA's prompt, statistics and decoding: through `predict_action` of code that came with a checkpoint, and here where there is none.

The weights are random and the language model is a tiny LLaVA: what is tested is the interface as openvla's modeling_prismatic.py defines it, not
what a trained checkpoint does.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_vlm import write_model

from vlagym.envs.errors import BadData, BadReply, UnknownName
from vlagym.envs.types import Observation
from vlagym.policies.base import EpisodeContext, Policy
from vlagym.policies.families.openvla_statistics import Unnormaliser, choose, read_statistics
from vlagym.policies.loading import load_policy
from vlagym.policies.profile import load_profile

pytest.importorskip("transformers", reason="transformers is not installed: pip install 'vlagym[hf]'")

LIBERO: dict[str, Any] = {"q01": [-0.5] * 6 + [0.0], "q99": [0.9] * 6 + [1.0], "mask": [True] * 6 + [False]}
LIBERO_GOAL = [0.9375, 0.9107, 0.9375, 0.2036, 0.2636, 0.375]
BRIDGE_ORIG = [0.0287, 0.0417, 0.0402, 0.0816, 0.0929, 0.2067]
"""How far the percentiles of published checkpoints reach."""
BRIDGE: dict[str, Any] = {"q01": [-0.02] * 6 + [0.0], "q99": [0.02] * 6 + [1.0], "mask": [True] * 6 + [False]}
CODE = '''
import numpy as np
from transformers import LlavaForConditionalGeneration


class TinyVla(LlavaForConditionalGeneration):
    """Has the method of OpenVLAForActionPrediction: one un-normalised action, float64."""

    def predict_action(self, input_ids=None, unnorm_key=None, **kwargs):
        assert kwargs.pop("do_sample") is False and set(kwargs) == {"pixel_values", "attention_mask"}
        self.asked = (input_ids, kwargs["pixel_values"])
        stats = self.norm_stats[unnorm_key]["action"]
        return np.where(stats["mask"], 0.5 * (0.2 + 1) * (np.array(stats["q99"]) - stats["q01"]) + stats["q01"], 0.2)
'''


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """A checkpoint whose class is in transformers."""
    folder = tmp_path_factory.mktemp("tiny")
    size = write_model(folder)
    change(folder, norm_stats={"libero_goal_no_noops": {"action": LIBERO}, "bridge_orig": {"action": BRIDGE}}, pad_to_multiple_of=0)
    return folder, size


@pytest.fixture(scope="module")
def coded(plain: tuple[Path, int], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint that brings its own class, as published ones do."""
    folder = tmp_path_factory.mktemp("coded") / "openvla-v01-tiny"
    folder.mkdir()
    for path in plain[0].iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    change(folder, auto_map={"AutoModelForVision2Seq": "modeling_tiny.TinyVla"}, architectures=["TinyVla"])
    (folder / "modeling_tiny.py").write_text(CODE)
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")  # transformers calls them otherwise in classes that it does not know
    renamed = {name.removeprefix("language_model.") if "lm_head" in name else name: w for name, w in weights.items()}
    save_file(renamed, folder / "model.safetensors", {"format": "pt"})
    return folder


def change(folder: Path, **keys: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **keys}))


def load(folder: Path, **options: str) -> Policy:
    return load_policy(f"openvla:{folder}", {"profile": "openvla_libero", "unnorm_key": "libero_goal", **options})


def ask(policy: Any, instruction: str = "Put the RED block on the plate") -> Any:
    if "<image>" not in policy._prompt:
        policy._prompt = f"<image> {policy._prompt}"  # a LLaVA wants its images marked in the text, OpenVLA's Prismatic does not
    policy.reset(EpisodeContext(slot=0, instruction=instruction, action=policy.spec.action, digest="0"))
    images = {i.name: np.full((i.height, i.width, 3), 90, np.uint8) for i in policy.spec.observation.images}
    return policy.act({0: Observation(images=images, proprio={}, instruction=instruction, time_s=0.0)})[0].values


def test_code_of_a_checkpoint_runs_on_request_alone_and_the_header_says_so(coded: Path) -> None:
    with pytest.raises(BadData, match=r"Python code of the checkpoint is to be run.*trust_remote_code=true; the run header will say so"):
        load(coded)
    policy = load(coded, trust_remote_code="true")
    assert policy.spec.card["trust_remote_code"] is True and policy.spec.card["decoded_by"] == "its own predict_action"
    values = ask(policy)
    assert values.tolist() == [pytest.approx([0.6 * 1.4 - 0.5] * 6 + [0.2])]


def test_the_prompt_is_that_of_the_checkpoint(coded: Path, plain: tuple[Path, int]) -> None:
    prompts = [load(folder, trust_remote_code="true")._prompt for folder in (plain[0], coded)]  # type: ignore[attr-defined]
    assert prompts[0] == "In: What action should the robot take to {instruction}?\nOut:"
    assert prompts[1].startswith("A chat between a curious user") and prompts[1].endswith("robot take to {instruction}? ASSISTANT:")


def test_statistics_of_a_fine_tuning_have_precedence(coded: Path, tmp_path: Path) -> None:
    folder = tmp_path / "tuned"
    folder.mkdir()
    for path in coded.iterdir():
        if path.is_file():
            (folder / path.name).write_bytes(path.read_bytes())
    wider = {**LIBERO, "q99": [1.5] * 6 + [1.0]}
    (folder / "dataset_statistics.json").write_text(json.dumps({"libero_goal_no_noops": {"action": wider}}))
    assert ask(load(folder, trust_remote_code="true"))[0, 0] == pytest.approx(0.6 * 2.0 - 0.5)


def test_the_picture_is_what_the_profile_says(plain: tuple[Path, int]) -> None:
    (image,) = load(plain[0]).spec.observation.images
    assert (image.width, image.orientation, image.filter, image.centre_share, image.values) == (224, "mirrored", "lanczos3", 0.9, "uint8")
    (image,) = load(plain[0], profile="bridge_widowx", unnorm_key="bridge_orig", center_crop="true").spec.observation.images
    assert image.centre_share == 0.9


def test_a_checkpoint_without_code_is_decoded_here(plain: tuple[Path, int], monkeypatch: pytest.MonkeyPatch) -> None:
    folder, size = plain
    policy: Any = load(folder)
    assert policy.spec.card["decoded_by"] == "vlagym" and policy.spec.card["unnorm_key"] == "libero_goal_no_noops"
    with pytest.raises(BadReply, match=f"which is no action: actions are ids {size - 256} to {size - 1}"):
        ask(policy)
    written = [size - 1, size - 256, size - 128, size - 1, size - 1, size - 1, size - 256]
    monkeypatch.setattr(policy._model.model, "generate", lambda input_ids, **_: _continued(input_ids, written))
    lowest, highest = -1 + 1 / 255, 1 - 1 / 255
    unit = np.array([lowest, highest, 0.0, lowest, lowest, lowest, highest])
    expected = np.where(LIBERO["mask"], 0.5 * (unit + 1) * 1.4 - 0.5, unit)
    assert ask(policy).tolist() == [pytest.approx(expected.tolist(), abs=1e-6)]


def _continued(ids: Any, written: list[int]) -> Any:
    import torch

    return torch.cat([ids, torch.tensor([written])], dim=1)


def test_a_dataset_is_chosen_where_there_are_several() -> None:
    statistics = {"libero_goal_no_noops": 1, "bridge_orig": 2}
    assert choose(statistics, "bridge_orig", Path("x")) == "bridge_orig"
    assert choose(statistics, "libero_goal", Path("x")) == "libero_goal_no_noops"
    assert choose({"bridge_orig": 2}, None, Path("x")) == "bridge_orig"
    with pytest.raises(BadData, match="trained on 2 datasets: say --policy-option unnorm_key=NAME. There are: bridge_orig, libero_goal_no_noops"):
        choose(statistics, None, Path("x"))
    with pytest.raises(UnknownName, match="no dataset of the checkpoint is called 'bridge'. Did you mean bridge_orig"):
        choose(statistics, "bridge", Path("x"))


def test_statistics_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="neither norm_stats in config.json nor dataset_statistics.json"):
        read_statistics(tmp_path, {})
    (tmp_path / "dataset_statistics.json").write_text("[1]")
    with pytest.raises(BadData, match="holds no table of statistics"):
        read_statistics(tmp_path, {})
    with pytest.raises(BadData, match="hold no q01 and q99"):
        Unnormaliser({"a": {"action": {"mean": [1]}}}, "a")
    with pytest.raises(BadData, match="numbers"):
        Unnormaliser({"a": {"action": {"q01": [1], "q99": [1, 2]}}}, "a")


@pytest.mark.parametrize(
    ("profile", "reach", "unlike"),
    [
        ("openvla_libero", LIBERO_GOAL, []),
        ("bridge_widowx", BRIDGE_ORIG, []),
        ("openvla_libero", BRIDGE_ORIG, ["translation reaches 0.0417 there and 1 in the profile"]),
        ("bridge_widowx", LIBERO_GOAL, ["translation reaches 0.938 there and 0.05 in the profile"]),
        ("bridge_widowx", [*BRIDGE_ORIG[:3], *[0.8] * 3], ["rotation reaches 0.8 there and 0.25 in the profile"]),
        ("bridge_widowx", [0.0] * 6, []),
    ],
)  # fmt: skip
def test_statistics_of_other_units_than_the_profiles_are_told(profile: str, reach: list[float], unlike: list[str]) -> None:
    action = {"q01": [-r for r in reach] + [0.0], "q99": [*reach, 1.0], "mask": [True] * 6 + [False]}
    assert list(Unnormaliser({"some": {"action": action}}, "some").other_ranges(load_profile(profile).action)) == unlike


def test_a_dataset_of_another_robot_is_refused_unless_it_is_insisted_on(plain: tuple[Path, int]) -> None:
    told = "translation reaches 0.02 there and 1 in the profile"
    with pytest.raises(BadData, match=f"'bridge_orig' .* are of other units than the profile 'openvla_libero'.*{told}.*any_range=true if they do"):
        load(plain[0], unnorm_key="bridge_orig")
    assert load(plain[0], unnorm_key="bridge_orig", any_range="true").spec.card["any_range"] == [told]
    assert "any_range" not in load(plain[0], any_range="true").spec.card, "there was nothing to insist on"


def test_what_does_not_fit_the_profile_is_refused(plain: tuple[Path, int], tmp_path: Path) -> None:
    with pytest.raises(BadData, match="reads one image and the profile has 2: say --policy-option image=NAME, one of front, wrist"):
        load(plain[0], profile="vlagym")
    with pytest.raises(BadData, match="sends actions of 7 numbers .*; those of the profile 'rt1_google' have 13"):
        load(plain[0], profile="rt1_google")
    with pytest.raises(BadData, match="openvla:DIR"):
        load_policy("openvla")
    with pytest.raises(BadData, match="no config.json"):
        load(tmp_path)
