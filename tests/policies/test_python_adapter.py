"""A class of fifteen lines is a policy: it says its profile, is told what it declares, and its answers are checked."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

from vlagym.benchmark.checks.policy import CONTRACT
from vlagym.envs.errors import BadData, BadPolicyOutput, NotReset, PolicyRaised, UnknownName
from vlagym.envs.types import Observation
from vlagym.policies.base import EpisodeContext, Policy
from vlagym.policies.loading import load_policy
from vlagym.policies.profile import load_profile

CLASSES = '''
import asyncio
import numpy as np

class Mine:
    """Goes up, a little more with each call."""
    profile = "vlagym"
    chunk_steps = 2
    def __init__(self, checkpoint="none", speed="0.1"):
        self.checkpoint, self.speed = checkpoint, float(speed)
    def reset(self, instruction):
        self.calls = 0
    def act(self, observation):
        self.calls += 1
        assert observation["images"]["front"].flags.writeable
        up = self.speed * self.calls
        return [[0, 0, up, 0, 0, 0, len(observation["instruction"]) % 2], [0, 0, up, 0, 0, 0, -1]]

class Unsaid:
    def act(self, observation):
        return np.zeros(7)

class Answers:
    profile = "vlagym"
    def act(self, observation):
        return {"text": "go up", "none": None, "long": np.zeros(8), "nan": [np.nan] * 7, "ragged": [[1, 2], [3]], "many": np.zeros((3, 7)),
                "dict": {"actions": [0] * 7}, "one": np.zeros((1, 1, 7)), "large": [0, -1e39, *[0] * 5]}[observation["instruction"]]

class Tensors:
    profile = "vlagym"
    def act(self, observation):
        import torch
        grad = torch.zeros(7, requires_grad=True)
        return {"grad": grad, "bfloat16": torch.zeros(7, dtype=torch.bfloat16), "list": list(grad), "one": grad.detach()}[observation["instruction"]]

class Several(Unsaid):
    profile = ["libero"]

class NoAct:
    profile = "vlagym"

class Unknown(Unsaid):
    profile = "vlagim"

class Long(Mine):
    execute_steps = 3

class Broken(Answers):
    def __init__(self):
        raise ValueError("no weights\\nin the folder")

class Stumbles(Answers):
    def reset(self, instruction):
        if instruction == "cancelled":
            raise asyncio.CancelledError("late")
        if instruction == "reset":
            raise RuntimeError
        if instruction == "colours":
            raise ValueError("\\x1b[31mred \\ud83d")
    def act(self, observation):
        if observation["instruction"] == "deep":
            np.zeros(7).reshape(2, 2)  # raises within a library
        return observation["images"]["middle"]

def factory(argument, options):
    return {}[argument]
'''


def line_of(text: str) -> int:
    """Returns the line of the user's file that holds a text."""
    return next(number for number, line in enumerate(CLASSES.splitlines(), 1) if text in line)


@pytest.fixture(autouse=True)
def classes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "classes_of_mine.py").write_text(CLASSES)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "classes_of_mine", raising=False)


def begin(policy: Policy, slot: int = 0, instruction: str = "go") -> None:
    assert policy.spec.action is not None
    policy.reset(EpisodeContext(slot=slot, instruction=instruction, action=policy.spec.action, digest=f"{slot}"))


def seen(policy: Policy, instruction: str = "go") -> Observation:
    images = {i.name: np.zeros((i.height, i.width, 3), np.uint8) for i in policy.spec.observation.images}
    for image in images.values():
        image.flags.writeable = False
    state = {s.name: np.zeros(s.size, np.float32) for s in policy.spec.observation.state}
    return Observation(images=images, proprio=state, instruction=instruction, time_s=0.0)


def test_the_class_declares_a_profile_and_its_chunks() -> None:
    spec = load_policy("python:classes_of_mine:Mine").spec
    profile = load_profile("vlagym")
    assert (spec.action, spec.observation, spec.chunk_steps, spec.execute_steps) == (profile.action, profile.observation, 2, 2)
    assert spec.runs_in_worker and spec.card["class"] == "classes_of_mine:Mine" and spec.card["profile"] == "vlagym"


def test_the_card_knows_the_file_in_which_the_class_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    found = []
    for name, speed in (("card_a", "0.1"), ("card_b", "0.1"), ("card_a", "0.2")):
        (tmp_path / f"{name}.py").write_text(CLASSES.replace('speed="0.1"', f'speed="{speed}"'), encoding="utf-8")
        sys.modules.pop(name, None)
        importlib.invalidate_caches()
        found.append(load_policy(f"python:{name}:Mine").spec.card["source"])
    assert len({*found}) == 3 and all(len(digest) == 32 for digest in found), "the file's name and what is in it"


def test_it_fulfils_the_contract_of_a_policy() -> None:
    assert list(CONTRACT.complaints("python:classes_of_mine:Mine")) == []


def test_each_slot_has_an_object_of_its_own_that_is_told_when_an_episode_begins() -> None:
    policy = load_policy("python:classes_of_mine:Mine")
    for slot in (0, 1):
        begin(policy, slot)
    policy.act({0: seen(policy)})
    both = policy.act({0: seen(policy), 1: seen(policy)})
    assert both[0].values[0].tolist() == pytest.approx([0, 0, 0.2, 0, 0, 0, 0]) and both[1].values[0, 2] == pytest.approx(0.1)
    begin(policy, 0)
    assert policy.act({0: seen(policy)})[0].values[0, 2] == pytest.approx(0.1)


def test_options_and_what_follows_a_further_colon_go_to_the_class() -> None:
    policy = load_policy("python:classes_of_mine:Mine:weights.pt", {"speed": "0.5", "execute": "1"})
    begin(policy)
    assert policy.act({0: seen(policy)})[0].values[0, 2] == pytest.approx(0.5) and policy.spec.execute_steps == 1


def test_an_option_that_the_class_does_not_take_is_refused_by_name() -> None:
    with pytest.raises(UnknownName, match="no option of policy 'python:classes_of_mine:Mine' is called 'sped'. Did you mean speed\\?"):
        load_policy("python:classes_of_mine:Mine", {"sped": "1"})


def test_what_came_by_place_is_no_option_any_more() -> None:
    with pytest.raises(UnknownName, match="is called 'checkpoint'. There are: execute, profile, speed"):
        load_policy("python:classes_of_mine:Mine:weights.pt", {"checkpoint": "other.pt"})


def test_without_a_profile_it_is_refused_with_the_list() -> None:
    with pytest.raises(BadData, match=r"does not guess: say --policy-option profile=NAME or in the class attribute `profile`. There are: .*vlagym"):
        load_policy("python:classes_of_mine:Unsaid")
    assert load_policy("python:classes_of_mine:Unsaid", {"profile": "vlagym"}).spec.chunk_steps == 1


@pytest.mark.parametrize(
    ("text", "error", "match"),
    [
        ("python", BadData, "python:module:Class"),
        ("python:classes_of_mine", BadData, "python:module:Class"),
        ("python:classes_of_mine:NoAct", BadData, r"makes NoAct, which has no method act\(observation\)"),
        ("python:classes_of_mine:Unknown", UnknownName, "'vlagim'. Did you mean vlagym"),
        ("python:classes_of_mine:Several", BadData, r"the class attribute `profile` of .*Several is \['libero'\]; it must be a text"),
        ("python:classes_of_mine:Long", BadData, "sends chunks of 2 actions; 3 of them cannot be executed"),
        ("python:classes_of_mine:Mein", UnknownName, "Did you mean Mine"),
        ("python:classes_of_mine:np", BadData, "is module, not a class"),
        ("python:no_such_module:Mine", UnknownName, "no module 'no_such_module' is importable"),
        ("python:classes_of_mine:NoAct:text", BadData, "cannot be called so: too many positional arguments"),
    ],
)
def test_what_is_no_such_class_is_refused(text: str, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        load_policy(text)


@pytest.mark.parametrize(
    ("answer", "match"),
    [
        ("text", "answered with the text 'go up'"),
        ("none", "returned None from act"),
        ("long", r"answered with the shape \(8,\); the profile's actions have 7 numbers"),
        ("nan", "answered with nan in step 0, number 0"),
        ("ragged", "something ragged"),
        ("many", "answered with 3 actions and declares chunk_steps = 1"),
        ("dict", "answered with a dict"),
        ("large", r"answered with -1e\+39 in step 0, number 1: more than float32 holds"),
    ],
)
def test_an_answer_that_is_no_chunk_is_an_error_that_says_what_came(answer: str, match: str) -> None:
    policy = load_policy("python:classes_of_mine:Answers")
    begin(policy, instruction=answer)
    with pytest.raises(BadPolicyOutput, match=match):
        policy.act({0: seen(policy, answer)})
    assert policy.act({0: seen(policy, "one")})[0].values.shape == (1, 7)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("answer", "match"),
    [
        ("grad", r"a Tensor that NumPy reads no numbers of \(RuntimeError: Can't call numpy\(\) on Tensor that requires grad.*\)\. Of a"),
        ("bfloat16", r"a Tensor that NumPy reads no numbers of \(TypeError: .*BFloat16\)\. .* return tensor.detach\(\).float\(\).cpu\(\).numpy\(\)"),
        ("list", r"answered with a list that NumPy reads no numbers of .* Of a tensor return"),
    ],
)
def test_a_tensor_that_is_no_array_is_told_with_what_to_write(answer: str, match: str) -> None:
    pytest.importorskip("torch")
    policy = load_policy("python:classes_of_mine:Tensors")
    begin(policy, instruction=answer)
    with pytest.raises(BadPolicyOutput, match=rf"^python:classes_of_mine:Tensors .*{match}"):
        policy.act({0: seen(policy, answer)})
    assert policy.act({0: seen(policy, "one")})[0].values.shape == (1, 7)


def test_a_slot_whose_episode_was_not_begun_is_refused() -> None:
    policy = load_policy("python:classes_of_mine:Mine")
    with pytest.raises(NotReset, match="slot 3"):
        policy.act({3: seen(policy)})


def test_a_constructor_that_raises_is_told_with_its_file_and_line() -> None:
    where = rf"classes_of_mine.py, line {line_of('raise ValueError')}"
    with pytest.raises(BadData, match=rf"^classes_of_mine:Broken cannot be made: ValueError: no weights in the folder \({where}\)$"):
        load_policy("python:classes_of_mine:Broken")


@pytest.mark.parametrize(
    ("instruction", "message", "line"),
    [
        ("go", "act of python:classes_of_mine:Stumbles raised KeyError: 'middle'", "middle"),
        ("deep", "act of python:classes_of_mine:Stumbles raised ValueError: cannot reshape array of size 7", "reshape"),
        ("reset", "reset of python:classes_of_mine:Stumbles raised RuntimeError", "raise RuntimeError"),
        ("cancelled", "reset of python:classes_of_mine:Stumbles raised CancelledError: late", "CancelledError"),
        ("colours", r"reset of python:classes_of_mine:Stumbles raised ValueError: \\x1b\[31mred \\ud83d", "x1b"),
    ],
)
def test_what_the_class_raises_is_told_with_its_file_and_line(instruction: str, message: str, line: str) -> None:
    policy = load_policy("python:classes_of_mine:Stumbles")
    with pytest.raises(PolicyRaised, match=rf"^{message}.* \(classes_of_mine.py, line {line_of(line)}\)$"):
        begin(policy, instruction=instruction)
        policy.act({0: seen(policy, instruction)})


def test_an_outsiders_factory_that_raises_is_told_with_its_file_and_line() -> None:
    where = rf"classes_of_mine.py, line {line_of('{}[argument]')}"
    with pytest.raises(BadData, match=rf"^classes_of_mine:factory builds no policy: KeyError: 'x' \({where}\)$"):
        load_policy("classes_of_mine:factory:x")
