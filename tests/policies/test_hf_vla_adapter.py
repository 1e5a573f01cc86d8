"""A vision-language model of transformers writes actions: with each decoder, constrained to actions or refused where it writes something else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tiny_vlm import write_model

from vlagym.benchmark.checks.policy import CONTRACT
from vlagym.envs.errors import BadData, BadReply, UnknownName
from vlagym.envs.types import Observation
from vlagym.policies.base import EpisodeContext, Policy
from vlagym.policies.loading import load_policy

pytest.importorskip("transformers", reason="transformers is not installed: pip install 'vlagym[hf]'")

LOW, HIGH = [-1.0] * 7, [1.0] * 7
CARD = f"""
profile = "vlagym"
prompt = "<image> what action {{instruction}}"
images = ["front"]
low = {LOW}
high = {HIGH}
lower = true
constrain = true
"""
TEXT = CARD + 'decoder = "bins_text"\nterminate = 0\n'
TOKENS = CARD + 'decoder = "act_tokens"\nbins = 8\nsteps = 2\n'
TAILS = CARD + 'decoder = "openvla_tail"\n'


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, int]:
    folder = tmp_path_factory.mktemp("tiny_llava")
    size = write_model(folder)
    assert (folder / "model.safetensors").stat().st_size < 400_000
    return f"hf_vla:{folder}", size


def load(model: tuple[str, int], card: str, path: Path, **options: str) -> Policy:
    (path / "card.toml").write_text(card)
    return load_policy(model[0], {"card": str(path / "card.toml"), **options})


def seen(policy: Policy, at: int = 0, instruction: str = "Put the RED block on the plate") -> Observation:
    images = {i.name: np.full((i.height, i.width, 3), (40, 200 * at, 90), np.uint8) for i in policy.spec.observation.images}
    return Observation(images=images, proprio={}, instruction=instruction, time_s=0.0)


def begin(policy: Policy, *slots: int) -> None:
    assert policy.spec.action is not None
    for slot in slots:
        policy.reset(EpisodeContext(slot=slot, instruction="", action=policy.spec.action, digest=f"{slot}"))


def test_text_of_bins_becomes_an_action(model: tuple[str, int], tmp_path: Path) -> None:
    policy = load(model, TEXT, tmp_path)
    begin(policy, 0)
    values = policy.act({0: seen(policy)})[0].values
    assert values.shape == (1, 7) and np.abs(values).max() <= 1
    bins = (values.astype(np.float64) + 1) / 2 * 255
    np.testing.assert_allclose(bins, np.round(bins), atol=1e-4)


def test_a_chunk_of_act_tokens_depends_on_picture_and_sentence(model: tuple[str, int], tmp_path: Path) -> None:
    policy = load(model, TOKENS, tmp_path)
    assert (policy.spec.chunk_steps, policy.spec.execute_steps) == (2, 2)
    begin(policy, 0)
    said = [policy.act({0: observation})[0].values for observation in (seen(policy), seen(policy, 1), seen(policy, 0, "open the drawer"))]
    assert said[0].shape == (2, 7)
    assert not np.array_equal(said[0], said[1]) and not np.array_equal(said[0], said[2])
    assert np.array_equal(policy.act({0: seen(policy)})[0].values, said[0])


def test_the_tail_of_a_vocabulary_becomes_an_action(model: tuple[str, int], tmp_path: Path) -> None:
    policy = load(model, TAILS + f"vocabulary = {model[1]}\n", tmp_path)
    begin(policy, 0)
    values = policy.act({0: seen(policy)})[0].values.astype(np.float64)
    middles = (np.linspace(-1, 1, 256)[:-1] + np.linspace(-1, 1, 256)[1:]) / 2
    assert values.shape == (1, 7) and np.abs(values[..., None] - middles).min(axis=-1).max() < 1e-6


def test_it_fulfils_the_contract_of_a_policy(model: tuple[str, int], tmp_path: Path) -> None:
    folder = Path(model[0].removeprefix("hf_vla:"))
    (folder / "vla.toml").write_text(TOKENS)
    assert list(CONTRACT.complaints(model[0])) == []
    assert load_policy(model[0]).spec.card["decoder"] == "act_tokens"


@pytest.mark.parametrize("card", [TEXT, TOKENS])
def test_what_a_model_writes_that_is_no_action_is_an_error(model: tuple[str, int], tmp_path: Path, card: str) -> None:
    policy = load(model, card.replace("constrain = true", "constrain = false"), tmp_path)
    begin(policy, 0)
    with pytest.raises(BadReply, match="the model wrote"):
        policy.act({0: seen(policy)})


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        (('"bins_text"', '"bins"'), BadData, "'bins'; it must be one of 'bins_text', 'openvla_tail', 'act_tokens'"),
        (("{instruction}", ""), BadData, 'does not hold "{instruction}"'),
        (('["front"]', '["frnt"]'), UnknownName, "called 'frnt'. Did you mean front"),
        ((f"low = {LOW}", "low = [-1.0]"), BadData, "there are 1 and 7"),
        ((f"low = {LOW}\nhigh = {HIGH}", "low = [-1.0]\nhigh = [1.0]"), BadData, "have 7: translation 3, rotation 3, gripper 1"),
        (("terminate = 0", "terminate = 8"), BadData, "a place from 0 to 7"),
        (("terminate = 0", "vocabulary = 9"), BadData, "vocabulary belongs to openvla_tail"),
        (('"bins_text"\nterminate = 0', '"act_tokens"'), BadData, "has 8 of the 256 tokens <act_0_0> to <act_0_255>"),
        (('profile = "vlagym"', ""), BadData, "does not guess"),
        (("lower = true", "lowered = true"), BadData, "unknown key 'lowered'"),
        (('profile = "vlagym"', 'profile = "octo"'), BadData, "wants the observations at the steps .-1, 0., and hf_vla is shown the present one"),
    ],
)
def test_a_card_that_does_not_fit_is_refused(
    model: tuple[str, int], tmp_path: Path, change: tuple[str, str], error: type[Exception], match: str
) -> None:
    with pytest.raises(error, match=match):
        load(model, TEXT.replace(*change), tmp_path)


def test_code_of_a_checkpoint_is_not_run_unless_it_is_trusted(model: tuple[str, int], tmp_path: Path) -> None:
    for path in Path(model[0].removeprefix("hf_vla:")).iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    config = tmp_path / "config.json"
    config.write_text(config.read_text().replace("{", '{"auto_map": {"AutoConfig": "evil.Config"},', 1))
    (tmp_path / "evil.py").write_text("raise SystemExit('it ran')")
    with pytest.raises(BadData, match=r"config.json says that Python code of the checkpoint is to be run.*trust_remote_code=true"):
        load((f"hf_vla:{tmp_path}", 0), TEXT, tmp_path)


def test_weights_that_are_missing_or_pickled_are_refused(model: tuple[str, int], tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    for path in Path(model[0].removeprefix("hf_vla:")).iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    weights = load_file(tmp_path / "model.safetensors")
    kept = {name: w for name, w in weights.items() if "linear_1" not in name}
    save_file(kept, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(BadData, match="lacks 2 weights, which would be random: .*linear_1"):
        load((f"hf_vla:{tmp_path}", 0), TEXT, tmp_path)
    (tmp_path / "model.safetensors").unlink()
    torch.save(weights, tmp_path / "pytorch_model.bin")
    with pytest.raises(BadData, match="does not load for hf_vla: .*safetensors"):
        load((f"hf_vla:{tmp_path}", 0), TEXT, tmp_path)


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda data: (10 * 2**30).to_bytes(8, "little") + data[8:], r"model.safetensors has \d+ bytes and announces a header of 10737418240"),
        (lambda data: data[:3], r"model.safetensors is 3 bytes long"),
        (lambda data: data[:8] + b"x" * (len(data) - 8), r"does not load for hf_vla: SafetensorError"),
        (lambda data: data[:-100], r"does not load for hf_vla: SafetensorError"),
    ],
)
def test_a_damaged_file_of_weights_is_one_line_and_takes_no_memory(
    model: tuple[str, int], tmp_path: Path, spoil: Callable[[bytes], bytes], complaint: str
) -> None:
    for path in Path(model[0].removeprefix("hf_vla:")).iterdir():
        data = path.read_bytes()
        (tmp_path / path.name).write_bytes(spoil(data) if path.suffix == ".safetensors" else data)
    with pytest.raises(BadData, match=complaint) as caught:
        load((f"hf_vla:{tmp_path}", 0), TEXT, tmp_path)
    assert "\n" not in str(caught.value)


def test_what_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="hf_vla:DIR"):
        load_policy("hf_vla")
    with pytest.raises(BadData, match=r"there is no card .*vla\.toml.*put a card vla.toml into its folder"):
        load_policy(f"hf_vla:{tmp_path}")
    (tmp_path / "vla.toml").write_text(TEXT)
    with pytest.raises(BadData, match="it has no config.json"):
        load_policy(f"hf_vla:{tmp_path}")
