"""Checkpoints that LeRobot itself has written are loaded, answer as LeRobot's own evaluation would, and play episodes.

It runs where lerobot is, which needs an environment of its own:

    python3.11 -m venv lerobot
    lerobot/bin/pip install 'lerobot[smolvla]==0.4.4' 'pytest>=9' -e .
    lerobot/bin/python -m pytest tests/foreign/test_lerobot.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vlagym.envs.errors import BadData
from vlagym.envs.types import Observation, stream
from vlagym.policies.base import EpisodeContext, Policy
from vlagym.policies.loading import load_policy

lerobot = pytest.importorskip("lerobot", reason="lerobot is not installed here; the docstring says how to make an environment for it")
torch = pytest.importorskip("torch")

pytestmark = pytest.mark.foreign

OPTIONS = {"profile": "vlagym", "keys": "joint_pos_rad=observation.state,front=observation.images.front"}
STATE_MEAN, STATE_STD, ACTION_MEAN, ACTION_STD = 0.1, 0.5, 0.05, 0.2
PIXEL_MEAN, PIXEL_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def make(kind: str, folder: Path, **settings: Any) -> str:
    """Writes a checkpoint with random weights and known statistics, with LeRobot's own functions."""
    from lerobot.configs.types import FeatureType, PolicyFeature
    from lerobot.policies.factory import get_policy_class, make_policy_config, make_pre_post_processors

    config = make_policy_config(
        kind,
        input_features={
            "observation.images.front": PolicyFeature(FeatureType.VISUAL, (3, 256, 256)),
            "observation.state": PolicyFeature(FeatureType.STATE, (7,)),
        },
        output_features={"action": PolicyFeature(FeatureType.ACTION, (7,))},
        device="cpu",
        **settings,
    )
    torch.manual_seed(0)
    get_policy_class(kind)(config).save_pretrained(folder)
    pixel = {"mean": torch.tensor(PIXEL_MEAN).reshape(3, 1, 1), "std": torch.tensor(PIXEL_STD).reshape(3, 1, 1)}
    pixel |= {"min": torch.zeros(3, 1, 1), "max": torch.ones(3, 1, 1)}
    statistics = {"observation.images.front": pixel}
    for key, mean, std in (("observation.state", STATE_MEAN, STATE_STD), ("action", ACTION_MEAN, ACTION_STD)):
        numbers = {"mean": mean, "std": std, "min": mean - 2 * std, "max": mean + 2 * std}
        statistics[key] = {name: torch.full((7,), value) for name, value in numbers.items()}
    for processor in make_pre_post_processors(config, dataset_stats=statistics):
        processor.save_pretrained(folder)
    return f"lerobot:{folder}"


ACT = {"chunk_size": 4, "n_action_steps": 2, "dim_model": 32, "n_heads": 2, "dim_feedforward": 32, "n_encoder_layers": 1, "n_vae_encoder_layers": 1}


@pytest.fixture(scope="module")
def act(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make("act", tmp_path_factory.mktemp("act"), pretrained_backbone_weights=None, **ACT)


@pytest.fixture(scope="module")
def diffusion(tmp_path_factory: pytest.TempPathFactory) -> str:
    small = {"down_dims": (32, 64), "diffusion_step_embed_dim": 16, "spatial_softmax_num_keypoints": 4, "num_inference_steps": 2}
    folder = tmp_path_factory.mktemp("diffusion")
    return make("diffusion", folder, n_obs_steps=2, horizon=8, n_action_steps=4, crop_shape=None, **small)


@pytest.fixture(scope="module")
def smolvla(tmp_path_factory: pytest.TempPathFactory) -> str:
    backbone = tmp_path_factory.mktemp("backbone")
    write_smolvlm(backbone)
    small = {"num_vlm_layers": 2, "num_steps": 2, "resize_imgs_with_padding": (64, 64), "expert_width_multiplier": 0.5}
    folder = tmp_path_factory.mktemp("smolvla")
    return make("smolvla", folder, vlm_model_name=str(backbone), load_vlm_weights=False, chunk_size=4, n_action_steps=4, **small)


def write_smolvlm(folder: Path) -> None:
    """Writes the configuration and processor of a vision-language model of the family that SmolVLA is built on, a few layers thin."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    hf: Any = pytest.importorskip("transformers")
    special = ["<pad>", "<unk>", "<s>", "</s>", "<image>", "<fake_token_around_image>", "<global-img>", "<end_of_utterance>"]
    words = ["put", "the", "on", "red", "green", "blue", "block", "mug", "plate", "stack", "open", "drawer", "\n"]
    vocabulary = {word: i for i, word in enumerate([*special, *words])}
    raw = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    names = ("image_token", "fake_image_token", "global_image_token", "end_of_utterance_token")
    tokenizer = hf.PreTrainedTokenizerFast(
        tokenizer_object=raw,
        pad_token="<pad>",
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
        extra_special_tokens=dict(zip(names, special[4:], strict=True)),
    )
    text = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16}
    vision = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 64, "patch_size": 16}
    hf.SmolVLMConfig(
        text_config={"model_type": "llama", "vocab_size": len(vocabulary), "pad_token_id": 0, **text},
        vision_config=vision,
        image_token_id=vocabulary["<image>"],
        pad_token_id=0,
        scale_factor=2,
    ).save_pretrained(folder)
    images, films = hf.SmolVLMImageProcessor(), hf.SmolVLMVideoProcessor()
    hf.SmolVLMProcessor(image_processor=images, tokenizer=tokenizer, video_processor=films).save_pretrained(folder)


def seen(policy: Policy, at: int, instruction: str = "put the red block on the plate") -> Observation:
    rng = stream(at, "observation")
    images: Any = {i.name: rng.random((i.height, i.width, 3), np.float32) for i in policy.spec.observation.images}
    state = {s.name: rng.normal(size=s.size).astype(np.float32) for s in policy.spec.observation.state}
    return Observation(images=images, proprio=state, instruction=instruction, time_s=at / 20)


def begin(policy: Policy, *slots: int) -> None:
    assert policy.spec.action is not None
    for slot in slots:
        policy.reset(EpisodeContext(slot=slot, instruction="put the red block on the plate", action=policy.spec.action, digest=f"episode {slot}"))


def answers(policy: Policy, slot: int, moments: range) -> list[list[Any]]:
    return [policy.act({slot: seen(policy, at)})[slot].values.tolist() for at in moments]


def batch_of(observation: Observation) -> dict[str, Any]:
    image = torch.from_numpy(observation.images["front"].transpose(2, 0, 1).copy())
    return {"observation.images.front": image[None], "observation.state": torch.from_numpy(observation.proprio["joint_pos_rad"])[None]}


def test_act_is_asked_for_chunks_in_physical_units(act: str) -> None:
    from lerobot.policies.act.modeling_act import ACTPolicy

    policy = load_policy(act, OPTIONS)
    assert (policy.spec.chunk_steps, policy.spec.execute_steps) == (4, 2) and policy.spec.card["asked_for"] == "chunks"
    assert [(i.name, i.values) for i in policy.spec.observation.images] == [("front", "unit")]
    begin(policy, 0)
    observation = seen(policy, 0)
    chunk = policy.act({0: observation})[0].values
    bare = ACTPolicy.from_pretrained(act.removeprefix("lerobot:"))
    batch = batch_of(observation)  # normalised and un-normalised by hand
    mean, std = (torch.tensor(numbers).reshape(1, 3, 1, 1) for numbers in (PIXEL_MEAN, PIXEL_STD))
    batch["observation.images.front"] = (batch["observation.images.front"] - mean) / std
    batch["observation.state"] = (batch["observation.state"] - STATE_MEAN) / STATE_STD
    expected = bare.predict_action_chunk(batch)[0].numpy() * ACTION_STD + ACTION_MEAN
    np.testing.assert_allclose(chunk, expected, atol=2e-5)


@pytest.mark.parametrize("kind", ["act", "diffusion"])
def test_it_answers_as_lerobots_own_loop_does(kind: str, request: pytest.FixtureRequest) -> None:
    from lerobot.configs.policies import PreTrainedConfig
    from lerobot.policies.factory import get_policy_class, make_pre_post_processors

    text: str = request.getfixturevalue(kind)
    policy = load_policy(text, OPTIONS)
    begin(policy, 0)
    steps = policy.spec.execute_steps
    ours = [row for at in range(0, 6, steps) for row in policy.act({0: seen(policy, at)})[0].values[:steps]]
    folder = text.removeprefix("lerobot:")
    config = PreTrainedConfig.from_pretrained(folder)
    original = get_policy_class(config.type).from_pretrained(folder)
    before, after = make_pre_post_processors(original.config, pretrained_path=folder)
    original.reset()
    theirs = []
    slot: Any = _Seeds()
    for at in range(6):
        if at % steps == 0:
            torch.manual_seed(slot.next_seed())
        batch = {**batch_of(seen(policy, at)), "task": ["put the red block on the plate"]}
        theirs.append(after(original.select_action(before(batch)))[0].numpy())
    np.testing.assert_allclose(np.array(ours), np.array(theirs), atol=2e-5)


class _Seeds:
    """Draws as the episode of slot 0 does."""

    def __init__(self) -> None:
        from vlagym.policies.families.slots import Slot

        self._slot: Slot[None] = Slot(instruction="", digest="episode 0", memory=None)

    def next_seed(self) -> int:
        return self._slot.next_seed()


def test_a_damaged_file_of_weights_is_one_line(act: str, tmp_path: Path) -> None:
    folder = Path(act.removeprefix("lerobot:"))
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    whole = (tmp_path / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes((10 * 2**30).to_bytes(8, "little") + whole[8:])
    with pytest.raises(BadData, match=r"model.safetensors has \d+ bytes and announces a header of 10737418240: it is damaged"):
        load_policy(f"lerobot:{tmp_path}", OPTIONS)
    (tmp_path / "model.safetensors").write_bytes(whole[:-100])
    with pytest.raises(BadData, match="does not load as a checkpoint of LeRobot: SafetensorError"):
        load_policy(f"lerobot:{tmp_path}", OPTIONS)


@pytest.mark.parametrize("kind", ["act", "diffusion", "smolvla"])
def test_a_slot_is_answered_as_if_it_were_alone(kind: str, request: pytest.FixtureRequest) -> None:
    policy = load_policy(request.getfixturevalue(kind), OPTIONS)
    begin(policy, 0)
    alone = answers(policy, 0, range(3))
    begin(policy, 0, 1)
    together = [policy.act({1: seen(policy, at + 9), 0: seen(policy, at)})[0].values.tolist() for at in range(3)]
    assert together == alone
    begin(policy, 0)
    assert answers(policy, 0, range(3)) == alone


def test_the_sentence_reaches_the_model(smolvla: str) -> None:
    policy = load_policy(smolvla, OPTIONS)
    said = []
    for sentence in ("put the red block on the plate", "open the drawer"):
        begin(policy, 0)
        said.append(policy.act({0: seen(policy, 0, sentence)})[0].values)
    assert said[0].shape == (4, 7) and not np.allclose(said[0], said[1])


def test_a_temporal_ensemble_of_the_checkpoint_is_its_own(tmp_path: Path) -> None:
    text = make("act", tmp_path, pretrained_backbone_weights=None, temporal_ensemble_coeff=0.01, **{**ACT, "n_action_steps": 1})
    policy = load_policy(text, OPTIONS)
    assert policy.spec.chunk_steps == 1 and policy.spec.card["asked_for"] == "single actions"
    begin(policy, 0)
    alone = answers(policy, 0, range(3))
    begin(policy, 0, 1)
    assert [policy.act({1: seen(policy, at + 9), 0: seen(policy, at)})[0].values.tolist() for at in range(3)] == alone
    with pytest.raises(BadData, match="leave the option execute out"):
        load_policy(text, {**OPTIONS, "execute": "2"})


def test_weights_that_are_missing_are_no_random_ones(act: str, tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    folder = Path(act.removeprefix("lerobot:"))
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    weights = load_file(tmp_path / "model.safetensors")
    save_file({name: w for name, w in weights.items() if "action_head" not in name}, tmp_path / "model.safetensors")
    with pytest.raises(BadData, match="does not load as a checkpoint of LeRobot: .*action_head"):
        load_policy(f"lerobot:{tmp_path}", OPTIONS)


@pytest.mark.parametrize("kind", ["act", "diffusion", "smolvla"])
def test_it_plays_episodes(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    from vlagym.benchmark import cli

    text: str = request.getfixturevalue(kind)
    words = [word for key, value in OPTIONS.items() for word in ("--policy-option", f"{key}={value}")]
    out = tmp_path / "run"
    status = cli.main(["run", "--policy", text, *words, "--suite", "smoke", "--episodes", "1", "--executor", "serial", "--out", str(out)])
    lines = [json.loads(line) for line in (out / "episodes.jsonl").read_text().splitlines()]
    assert status == 0 and len(lines) == 3 and all(line["outcome"] != "error" for line in lines), lines
    card = json.loads((out / "header.json").read_text())["policy"]["card"]
    assert card["type"] == kind and card["profile"] == "vlagym"
