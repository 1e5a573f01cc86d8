"""A TorchScript file with a card is a policy: inputs in the card's order, layout and range, answers checked, memory apart for each slot."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from vlagym.benchmark.checks.policy import CONTRACT
from vlagym.envs.errors import BadData, BadPolicyOutput, UnknownName
from vlagym.envs.types import Observation
from vlagym.policies.base import EpisodeContext, Policy
from vlagym.policies.loading import load_policy

CARD = """
profile = "vlagym"
chunk_steps = 2
[[input]]
image = "wrist"
layout = "chw"
range = "unit"
[[input]]
state = "joint_pos_rad"
[[input]]
instruction = "text"
"""


class Network(torch.nn.Module):
    """Two actions from a picture, seven joints and a sentence; counts its calls."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: torch.Tensor
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, image: torch.Tensor, joints: torch.Tensor, text: list[str]) -> torch.Tensor:
        self.calls += 1
        first = torch.cat([image.float().mean(dim=[1, 2, 3]), joints[0, :5], self.calls * 0.1])
        return torch.stack([first, torch.full([7], 0.01 * len(text[0]))])[None]

    @torch.jit.export
    def reset(self) -> None:
        self.calls.zero_()


class Dictionary(torch.nn.Module):
    def forward(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"actions": torch.full([7], float(image[0, 0, 0, 2])), "values": torch.zeros(3)}


class Pair(torch.nn.Module):
    def forward(self, sentence: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.zeros(3), sentence.sum() / 1000 * torch.ones(1, 1, 7)


class Noise(torch.nn.Module):
    def forward(self, joints: torch.Tensor) -> torch.Tensor:
        return torch.rand(7)


def save(module: torch.nn.Module, path: Path, card: str) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        script: Any = torch.jit.script(module)
    script.save(str(path))
    path.with_suffix(".toml").write_text(card)
    return f"torchscript:{path}"


@pytest.fixture
def file(tmp_path: Path) -> str:
    return save(Network(), tmp_path / "policy.pt", CARD)


def begin(policy: Policy, *slots: int) -> None:
    assert policy.spec.action is not None
    for slot in slots:
        policy.reset(EpisodeContext(slot=slot, instruction="go", action=policy.spec.action, digest=f"{slot}"))


def seen(policy: Policy, instruction: str = "go", level: float = 0.5, **changes: Any) -> Observation:
    kinds = {"uint8": np.uint8, "unit": np.float32, "symmetric": np.float32}
    images: dict[str, Any] = {
        i.name: np.full((i.height, i.width, 3), (0.0, 0.25, level), kinds[i.values]) for i in policy.spec.observation.images
    }
    state = {s.name: (np.arange(s.size) / 10).astype(np.float32) for s in policy.spec.observation.state}
    return Observation(images=images, proprio=state, instruction=instruction, time_s=0.0, **changes)


def test_it_reads_what_the_card_names_and_nothing_else(file: str) -> None:
    spec = load_policy(file).spec
    assert [(i.name, i.values) for i in spec.observation.images] == [("wrist", "unit")]
    assert [s.name for s in spec.observation.state] == ["joint_pos_rad"] and (spec.chunk_steps, spec.execute_steps) == (2, 1)
    assert spec.card["file"] == "policy.pt" and len(spec.card["checkpoint"]) == 32 and "interpreter" in spec.card["about"]


def test_inputs_come_in_the_order_of_the_card(file: str) -> None:
    policy = load_policy(file)
    begin(policy, 0)
    values = policy.act({0: seen(policy)})[0].values
    assert values[0].tolist() == pytest.approx([0.25, 0.0, 0.1, 0.2, 0.3, 0.4, 0.1]) and values[1].tolist() == pytest.approx([0.02] * 7)


def test_a_module_that_remembers_does_so_for_each_slot_apart(file: str) -> None:
    policy = load_policy(file)
    begin(policy, 0, 1)
    policy.act({0: seen(policy)})
    answers = policy.act({0: seen(policy), 1: seen(policy)})
    assert [round(float(answers[slot].values[0, 6]), 3) for slot in (0, 1)] == [0.2, 0.1]
    begin(policy, 0)
    assert policy.act({0: seen(policy)})[0].values[0, 6] == pytest.approx(0.1)


def test_it_fulfils_the_contract_of_a_policy(file: str) -> None:
    assert list(CONTRACT.complaints(file)) == []


def test_actions_are_found_in_a_dictionary_and_pixels_lie_as_the_card_says(tmp_path: Path) -> None:
    card = 'profile = "vlagym"\noutput = "actions"\nchunk_steps = 1\n[[input]]\nimage = "front"\nlayout = "hwc"\nrange = "symmetric"\n'
    policy = load_policy(save(Dictionary(), tmp_path / "d.pt", card))
    begin(policy, 0)
    assert policy.act({0: seen(policy, level=-0.5)})[0].values.tolist() == [[-0.5] * 7]


def test_actions_are_found_in_a_tuple_and_sentences_come_as_bytes(tmp_path: Path) -> None:
    card = 'profile = "vlagym"\noutput = "1"\nchunk_steps = 1\n[[input]]\ninstruction = "bytes"\nlength = 6\n'
    policy = load_policy(save(Pair(), tmp_path / "p.pt", card))
    begin(policy, 0)
    assert policy.act({0: seen(policy, "Häh")})[0].values[0, 0] == pytest.approx(sum("Häh".encode()) / 1000)
    with pytest.raises(BadData, match="the sentence has 9 bytes and the card gives it 6"):
        policy.act({0: seen(policy, "pick it u")})


def test_draws_depend_on_the_episode_alone(tmp_path: Path) -> None:
    policy = load_policy(save(Noise(), tmp_path / "n.pt", 'profile = "vlagym"\nchunk_steps = 1\n[[input]]\nstate = "joint_pos_rad"\n'))
    torch.manual_seed(1)
    before = torch.get_rng_state()
    runs = []
    for slots in ((0,), (1, 0)):
        begin(policy, *slots)
        runs.append([policy.act({slot: seen(policy) for slot in slots})[0].values.tolist() for _ in range(2)])
    assert runs[0] == runs[1] and runs[0][0] != runs[0][1]
    assert torch.equal(torch.get_rng_state(), before)


def test_earlier_observations_stand_before_the_present_one(tmp_path: Path) -> None:
    class Oldest(torch.nn.Module):
        def forward(self, joints: torch.Tensor) -> torch.Tensor:
            return joints[0, 0]

    policy = load_policy(save(Oldest(), tmp_path / "o.pt", 'profile = "vlagym"\nchunk_steps = 1\n[[input]]\nstate = "joint_pos_rad"\n'))
    begin(policy, 0)
    first, second = seen(policy), seen(policy)
    first.proprio["joint_pos_rad"][:] = 9
    answer = policy.act({0: seen(policy, past=(first, second))})[0]
    assert answer.values.tolist() == [[9.0] * 7]


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        (("chunk_steps = 2", "chunk_steps = 0"), BadData, "chunk_steps is 0"),
        (("chunk_steps = 2", "chunks = 2"), BadData, "unknown key 'chunks'. Known: input, profile, chunk_steps"),
        (('"wrist"', '"writs"'), UnknownName, "image of the profile 'vlagym' is called 'writs'. Did you mean wrist"),
        (('"joint_pos_rad"', '"joints"'), UnknownName, "no state of the profile 'vlagym' is called 'joints'"),
        (('range = "unit"', 'range = "0-1"'), BadData, "'0-1'; it must be one of 'uint8', 'unit', 'symmetric'"),
        (('image = "wrist"', 'image = "wrist"\nstate = "joint_pos_rad"'), BadData, "input 1 is image and state"),
        (('instruction = "text"', 'instruction = "bytes"'), BadData, "input 3 takes the sentence as bytes and says no length"),
        (('instruction = "text"', 'instruction = "bytes"\nlength = 8'), BadData, r"a Tensor as 'text', which is a List\[str\]"),
        (('[[input]]\ninstruction = "text"', ""), BadData, "takes 3 arguments .*, and its card has 2 inputs"),
        (('profile = "vlagym"', ""), BadData, r"does not guess: .*as profile = \"NAME\""),
        (('profile = "vlagym"', 'profile = "mine.toml"'), BadData, r"mine\.toml"),
    ],
)
def test_a_card_that_does_not_fit_is_refused(file: str, change: tuple[str, str], error: type[Exception], match: str) -> None:
    Path(file.removeprefix("torchscript:")).with_suffix(".toml").write_text(CARD.replace(*change))
    with pytest.raises(error, match=match):
        load_policy(file)


def test_what_is_no_torchscript_is_refused_in_words(tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    path.with_suffix(".toml").write_text(CARD)
    with pytest.raises(BadData, match="there is no file"):
        load_policy(f"torchscript:{path}")
    torch.save({"weights": torch.zeros(3)}, path)
    with pytest.raises(BadData, match=r"is no TorchScript file: .*torch\.jit\.script"):
        load_policy(f"torchscript:{path}")
    with pytest.raises(BadData, match="torchscript:FILE"):
        load_policy("torchscript")
    with pytest.raises(BadData, match="there is no card .*write a card"):
        load_policy(f"torchscript:{path}", {"card": str(tmp_path / "other.toml")})


def test_a_wrong_answer_is_an_error_that_says_what_came(tmp_path: Path) -> None:
    card = 'profile = "vlagym"\nchunk_steps = 1\n[[input]]\nimage = "front"\n'
    for output, match in (("", "answered with a dict, not with a tensor"), ('output = "act"\n', "as 'act'; its answer has actions, values")):
        policy = load_policy(save(Dictionary(), tmp_path / "d.pt", output + card))
        begin(policy, 0)
        with pytest.raises(BadPolicyOutput, match=match):
            policy.act({0: seen(policy)})
    policy = load_policy(save(Dictionary(), tmp_path / "d.pt", 'output = "values"\n' + card))
    begin(policy, 0)
    with pytest.raises(BadPolicyOutput, match=r"the shape \(3,\)"):
        policy.act({0: seen(policy)})


def test_a_device_that_does_not_exist_is_refused(file: str) -> None:
    with pytest.raises(BadData, match="is cpu, cuda or cuda:<number>, not 'tpu'"):
        load_policy(file, {"device": "tpu"})
    if not torch.cuda.is_available():
        with pytest.raises(BadData, match="no 'cuda:7' here"):
            load_policy(file, {"device": "cuda:7"})
