"""Octo is asked as its own examples do it: a window of observations with a mask, a task of sentences, one dataset's statistics, a key a call.

Octo itself is not there (it wants jax, flax and tensorflow of 2023): the model is a double with the interface of octo/model/octo_model.py.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from vlagym.envs.errors import BadData, BadPolicyOutput, MissingPackage, UnknownName
from vlagym.envs.types import Observation
from vlagym.policies.base import EpisodeContext, Policy
from vlagym.policies.loading import load_policy


class Model:
    """Answers with what it was asked, put into numbers."""

    mask_name, window, horizon = "timestep_pad_mask", 2, 4

    def __init__(self) -> None:
        statistics = {"mean": np.zeros(7), "std": np.ones(7)}
        self.dataset_statistics: Any = {"bridge_dataset": {"action": statistics}, "fractal20220817_data": {"action": statistics}}
        self.example_batch = {
            "observation": {
                "image_primary": np.zeros((1, self.window, 256, 256, 3), np.uint8),
                "image_wrist": np.zeros((1, self.window, 128, 128, 3), np.uint8),
                self.mask_name: np.ones((1, self.window), bool),
                "pad_mask_dict": {},
            }
        }
        self.asked: list[dict[str, Any]] = []

    @classmethod
    def load_pretrained(cls, folder: str) -> Model:
        return cls()

    def create_tasks(self, texts: list[str]) -> dict[str, Any]:
        return {"language_instruction": texts}

    def sample_actions(self, observations: dict[str, Any], task: dict[str, Any], *, unnormalization_statistics: Any, rng: int, **more: Any) -> Any:
        self.asked.append({"observations": observations, "task": task, "rng": rng, **more})
        draws = np.random.default_rng(rng).normal(unnormalization_statistics["mean"], unnormalization_statistics["std"], (1, self.horizon, 7))
        return draws + observations["image_primary"].mean()


class OldModel(Model):
    mask_name = "pad_mask"


class FineTuned(Model):
    def __init__(self) -> None:
        super().__init__()
        self.dataset_statistics = self.dataset_statistics["bridge_dataset"]


class OtherHorizon(Model):
    horizon = 50


def install(monkeypatch: pytest.MonkeyPatch, model: type[Model]) -> None:
    """Puts modules in place of octo and jax."""
    modules = {name: ModuleType(name) for name in ("jax", "octo", "octo.model", "octo.model.octo_model", "octo.data", "octo.data.utils")}
    modules["octo.data.utils.data_utils"] = ModuleType("data_utils")
    modules["octo.data.utils.data_utils"].NormalizationType = type("NormalizationType", (), {"BOUNDS": "bounds"})  # type: ignore[attr-defined]
    modules["octo.model.octo_model"].OctoModel = model  # type: ignore[attr-defined]
    modules["jax"].random = type("random", (), {"PRNGKey": staticmethod(lambda seed: seed)})  # type: ignore[attr-defined]
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)


def load(folder: Path, **options: str) -> Any:
    return load_policy(f"octo:{folder}", {"profile": "octo", "dataset": "bridge_dataset", **options})


def moment(time_s: float, level: int = 0) -> Observation:
    return Observation(images={"image_primary": np.full((256, 256, 3), level, np.uint8)}, proprio={}, instruction="go", time_s=time_s)


def begin(policy: Policy, *slots: int) -> None:
    assert policy.spec.action is not None
    for slot in slots:
        policy.reset(EpisodeContext(slot=slot, instruction="Lift it", action=policy.spec.action, digest=f"{slot}"))


def with_past(now: Observation, *past: Observation) -> Observation:
    return Observation(images=now.images, proprio={}, instruction=now.instruction, time_s=now.time_s, past=past)


def test_the_window_is_masked_where_the_episode_is_younger(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    install(monkeypatch, Model)
    policy = load(tmp_path)
    assert (policy.spec.chunk_steps, policy.spec.execute_steps, policy.spec.history) == (4, 4, (-1, 0))
    begin(policy, 0)
    first = moment(0.0, 7)
    chunk = policy.act({0: with_past(first, first)})[0]
    later = policy.act({0: with_past(moment(0.2, 9), first)})[0]
    asked = policy._model.asked
    assert chunk.values.shape == (4, 7) and not np.array_equal(chunk.values, later.values)
    assert [a["observations"]["timestep_pad_mask"].tolist() for a in asked] == [[[False, True]], [[True, True]]]
    assert asked[1]["observations"]["image_primary"][0, :, 0, 0, 0].tolist() == [7, 9] and asked[0]["task"] == {"language_instruction": ["Lift it"]}
    assert asked[0]["rng"] != asked[1]["rng"] and "normalization_type" not in asked[0]


def test_draws_depend_on_the_episode_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    install(monkeypatch, Model)
    policy, seen = load(tmp_path), with_past(moment(0.0), moment(0.0))
    begin(policy, 0)
    alone = policy.act({0: seen})[0].values
    begin(policy, 1, 0)
    assert np.array_equal(policy.act({1: seen, 0: seen})[0].values, alone)


def test_version_1_0_calls_its_mask_otherwise_and_bounds_are_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    install(monkeypatch, OldModel)
    policy = load(tmp_path, normalization="bounds", execute="1")
    begin(policy, 0)
    policy.act({0: with_past(moment(0.0), moment(0.0))})
    assert "pad_mask" in policy._model.asked[0]["observations"] and policy._model.asked[0]["normalization_type"] == "bounds"
    assert policy.spec.execute_steps == 1 and policy.spec.card["normalization"] == "bounds"


def test_datasets_are_named_where_there_are_several_and_only_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    install(monkeypatch, Model)
    with pytest.raises(BadData, match="trained on 2 datasets: say --policy-option dataset=NAME. There are: bridge_dataset, fractal20220817_data"):
        load_policy(f"octo:{tmp_path}", {"profile": "octo"})
    with pytest.raises(UnknownName, match="'bridge'. Did you mean bridge_dataset"):
        load(tmp_path, dataset="bridge")
    install(monkeypatch, FineTuned)
    with pytest.raises(BadData, match="leave the option dataset out"):
        load(tmp_path)
    assert load_policy(f"octo:{tmp_path}", {"profile": "octo"}).spec.card["dataset"] == "of the fine-tuning"


def test_what_does_not_fit_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    install(monkeypatch, Model)
    with pytest.raises(BadData, match=r"does not read 'image' of \(224, 224, 3\).*it reads image_primary \(256, 256, 3\)"):
        load(tmp_path, profile="openvla_libero")
    with pytest.raises(BadData, match="octo:DIR wants a checkpoint that lies here"):
        load(tmp_path / "absent")
    with pytest.raises(UnknownName, match="no normalization is called 'q99'"):
        load(tmp_path, normalization="q99")
    with pytest.raises(BadData, match="octo:DIR"):
        load_policy("octo")
    install(monkeypatch, OtherHorizon)
    policy = load(tmp_path)
    begin(policy, 0)
    with pytest.raises(BadPolicyOutput, match="answered with 50 actions and declares chunk_steps = 4"):
        policy.act({0: with_past(moment(0.0), moment(0.0))})


def test_without_octo_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "jax", None)
    with pytest.raises(MissingPackage, match=r"octo:DIR needs Octo, in an environment of its own .*pip install"):
        load(tmp_path)
