"""A minivla checkpoint acts: it listens, answers each slot as if alone, and refuses what it cannot read."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from vlagym.envs.errors import BadData, NotReset, UnknownName
from vlagym.envs.types import Observation, stream
from vlagym.envs.proprioception import state_components
from vlagym.policies import checkpoint
from vlagym.policies.base import EpisodeContext, Policy, check_chunks
from vlagym.policies.loading import load_policy
from vlagym.policies.models.minivla import card, proprio
from vlagym.policies.models.minivla.card import Card, Statistics
from vlagym.policies.models.minivla.config import MiniVlaConfig
from vlagym.policies.models.minivla.policy import GPU_ROWS, MiniVlaPolicy

SENTENCES = ("stack the red block on the blue one", "put the green mug in the bowl", "open the drawer", "")
Observe = Callable[..., Observation]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, recorded: Callable[[int], list[Any]]) -> Path:
    """A checkpoint with random weights, none of them zero."""
    config, path = MiniVlaConfig(), tmp_path_factory.mktemp("checkpoint")
    statistics = Statistics(
        pos_mean_base_m=((0.5, 0.0, 0.0),) * 2, proprio_mean=(0.0,) * proprio.SIZE, proprio_spread=tuple(proprio.FLOOR.tolist())
    )
    network = card.build(config, statistics, seed=5)
    rng = torch.Generator().manual_seed(5)
    weights = {name: p.detach() + 0.05 * torch.randn(p.shape, generator=rng) for name, p in network.named_parameters()}
    action = recorded(1)[0].episode.control
    observation = card.observation_spec(config, action.rate_hz)
    about = Card(config=config, action=action, observation=observation, statistics=statistics, training={"steps": 0})
    card.save(path, about, weights)
    return path


@pytest.fixture
def policy(folder: Path) -> Policy:
    return load_policy(f"minivla:{folder}")


@pytest.fixture
def shown(recorded: Callable[[int], list[Any]], observe: Observe) -> list[Observation]:
    """An observation for each sentence, all different."""
    rng = stream(0, "images")
    out = []
    for slot, demonstration in enumerate(recorded(len(SENTENCES))):
        images = {camera: rng.integers(0, 256, image[0].shape, np.uint8) for camera, image in demonstration.images.items()}
        out.append(observe(demonstration, slot, images=images))
    return out


def begin(policy: Policy, slots: dict[int, str]) -> None:
    for slot, sentence in slots.items():
        assert policy.spec.action is not None
        policy.reset(EpisodeContext(slot=slot, instruction=sentence, action=policy.spec.action, digest=f"{slot}"))


def test_it_declares_what_it_reads_and_sends(policy: Policy) -> None:
    spec = policy.spec
    assert spec.name == "minivla" and spec.action is not None and spec.action.name == "ee_delta" and not spec.privileged
    assert [(i.name, i.width, i.crop) for i in spec.observation.images] == [("front", 96, 192), ("wrist", 64, 256)]
    assert (spec.chunk_steps, spec.execute_steps) == (16, 8)
    assert spec.card["checkpoint"] and spec.card["parameters"] == 2_415_281
    json.dumps(dict(spec.card))


def test_it_reads_only_state_that_the_robot_has() -> None:
    from vlagym.envs.robots.panda import ROBOT

    assert set(proprio.COMPONENTS) <= set(state_components(ROBOT))


def test_the_checkpoint_is_small_enough_to_ship(folder: Path) -> None:
    assert sum(p.stat().st_size for p in folder.iterdir()) < 15_000_000


def test_it_answers_with_chunks_within_bounds_and_a_gripper_that_is_open_or_closed(policy: Policy, shown: list[Observation]) -> None:
    begin(policy, dict(enumerate(SENTENCES)))
    answers = policy.act(dict(enumerate(shown)))
    assert policy.spec.action is not None
    check_chunks(answers, range(len(SENTENCES)), policy.spec.action)
    for chunk in answers.values():
        assert chunk.values.dtype == np.float32 and chunk.values.shape == (16, 7)
        assert all((policy.spec.action.check(action) == action).all() for action in chunk.values)
        assert set(chunk.values[:, -1].tolist()) <= {-1.0, 1.0}


def test_the_answer_for_a_slot_does_not_depend_on_who_is_asked_with_it(policy: Policy, shown: list[Observation]) -> None:
    begin(policy, dict(enumerate(SENTENCES)))
    alone = {slot: policy.act({slot: observation})[slot].values for slot, observation in enumerate(shown)}
    for slots in ([0, 1, 2, 3], [3, 2, 1, 0], [1, 3], [2, 0]):
        answers = policy.act({slot: shown[slot] for slot in slots})
        assert all(np.array_equal(answers[slot].values, alone[slot]) for slot in slots)


def test_the_answer_does_not_depend_on_the_slot_or_on_the_threads_of_the_process(folder: Path, shown: list[Observation]) -> None:
    answers = []
    before = torch.get_num_threads()
    try:
        for threads, slot in ((1, 0), (2, 7)):
            torch.set_num_threads(threads)
            policy = load_policy(f"minivla:{folder}")
            begin(policy, {slot: SENTENCES[0]})
            answers.append(policy.act({slot: shown[0]})[slot].values)
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert np.array_equal(answers[0], answers[1])


def test_filled_up_batches_answer_what_single_ones_do(folder: Path, shown: list[Observation], monkeypatch: pytest.MonkeyPatch) -> None:
    """The way a GPU is asked, tried on a CPU: the same answers but for rounding."""
    many, single = (MiniVlaPolicy(card.load(folder)) for _ in range(2))
    slots = range(GPU_ROWS + 2)
    for policy in (many, single):
        begin(policy, {slot: SENTENCES[slot % 4] for slot in slots})
    monkeypatch.setattr(many, "_is_batched", True)
    observations = {slot: shown[slot % 4] for slot in slots}
    wanted, found = single.act(observations), many.act(observations)
    assert list(found) == list(slots)
    assert all(np.allclose(found[slot].values, wanted[slot].values, atol=1e-4) for slot in slots)


def test_a_new_sentence_in_a_slot_replaces_the_old_one(policy: Policy, shown: list[Observation]) -> None:
    begin(policy, {0: SENTENCES[0]})
    first = policy.act({0: shown[0]})[0].values
    begin(policy, {0: SENTENCES[1]})
    second = policy.act({0: shown[0]})[0].values
    begin(policy, {0: SENTENCES[0]})
    assert not np.allclose(first, second)
    assert np.array_equal(policy.act({0: shown[0]})[0].values, first)


def test_answers_do_not_share_memory(policy: Policy, shown: list[Observation]) -> None:
    begin(policy, {0: SENTENCES[0]})
    first = policy.act({0: shown[0]})[0].values
    kept = first.copy()
    policy.act({0: shown[1]})[0].values[:] = 9
    assert np.array_equal(first, kept)


def test_a_slot_that_was_never_told_its_sentence_is_refused(policy: Policy, shown: list[Observation]) -> None:
    begin(policy, {0: SENTENCES[0]})
    with pytest.raises(NotReset, match="slot 4 was asked for actions before it was told its sentence"):
        policy.act({4: shown[0]})


def test_an_image_of_another_size_is_refused(policy: Policy, shown: list[Observation]) -> None:
    import dataclasses

    begin(policy, {0: SENTENCES[0]})
    large = dataclasses.replace(shown[0], images={**shown[0].images, "front": np.zeros((256, 256, 3), np.uint8)})
    with pytest.raises(BadData, match=r"wants the image 'front' as \(96, 96, 3\) uint8; the observation has \(256, 256, 3\) uint8"):
        policy.act({0: large})
    with pytest.raises(BadData, match="wants the image 'wrist' .*the observation has no such image"):
        policy.act({0: dataclasses.replace(shown[0], images={"front": shown[0].images["front"]})})


def test_the_number_of_executed_actions_can_be_said(folder: Path) -> None:
    assert load_policy(f"minivla:{folder}", {"execute": "12"}).spec.execute_steps == 12
    with pytest.raises(BadData, match="predicts 16 actions at once; it cannot execute 17"):
        load_policy(f"minivla:{folder}", {"execute": "17"})
    with pytest.raises(BadData, match="execute is the number of actions.*not 'all'"):
        load_policy(f"minivla:{folder}", {"execute": "all"})


def test_unknown_options_and_devices_are_refused(folder: Path) -> None:
    with pytest.raises(UnknownName, match="is called 'temperature'. There are: device, execute"):
        load_policy(f"minivla:{folder}", {"temperature": "1"})
    with pytest.raises(BadData, match="the device of minivla is cpu, cuda or cuda:<number>, not 'tpu'"):
        load_policy(f"minivla:{folder}", {"device": "tpu"})
    if not torch.cuda.is_available():
        with pytest.raises(BadData, match="there is no 'cuda' here: torch .* sees no CUDA; say device=cpu"):
            load_policy(f"minivla:{folder}", {"device": "cuda"})


def test_a_folder_without_a_checkpoint_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"is no checkpoint: it has no card.json") as error:
        load_policy(f"minivla:{tmp_path}")
    assert "\n" not in str(error.value)


def test_without_a_shipped_checkpoint_it_says_how_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    from vlagym.policies.adapters import minivla

    monkeypatch.setattr(minivla, "SHIPPED", "checkpoints/none_of_this_name")
    with pytest.raises(BadData, match=r"ships no minivla checkpoint \(no asset is .*\). Train one \(vlagym train --help\) and name it: minivla:DIR"):
        load_policy("minivla")


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("config", "trunk_width"), 256, r"does not fit the architecture of its card: it act.weight is \(112, 512\), not \(112, 256\)"),
        (("config", "colour"), "red", "config has an unknown key 'colour'"),
        (("config", "chunk_steps"), "16", "chunk_steps must be int, not '16'"),
        (("config", "execute_steps"), 99, "99 of 16 predicted actions cannot be executed"),
        (("statistics", "proprio_mean"), [0.0], "statistics of .*; the network asks for"),
        (("observation", "rate_hz"), "fast", "rate_hz must be a number"),
    ],
)
def test_a_card_that_does_not_fit_its_weights_is_refused(folder: Path, tmp_path: Path, path: tuple[str, str], value: Any, message: str) -> None:
    whole = json.loads((folder / checkpoint.CARD).read_text(encoding="utf-8"))
    whole[path[0]][path[1]] = value
    (tmp_path / checkpoint.CARD).write_text(json.dumps(whole), encoding="utf-8")
    (tmp_path / checkpoint.WEIGHTS).write_bytes((folder / checkpoint.WEIGHTS).read_bytes())
    with pytest.raises(BadData, match=message) as error:
        load_policy(f"minivla:{tmp_path}")
    assert "\n" not in str(error.value)


def test_what_is_stored_is_what_is_evaluated(folder: Path, tmp_path: Path) -> None:
    """Half precision is rounded once, when it is stored: storing what was loaded changes no bit."""
    loaded = card.load(folder)
    again = card.save(tmp_path, loaded.card, dict(loaded.network.named_parameters()))
    assert again == loaded.digest


def test_how_long_an_answer_takes(policy: Policy, shown: list[Observation], record_property: Callable[[str, object], None]) -> None:
    """Measured for the eye (pytest -s), not asserted: machines differ and are shared."""
    begin(policy, {0: SENTENCES[0]})
    spent_ms = []
    for _ in range(30):
        began_s = time.perf_counter()
        policy.act({0: shown[0]})
        spent_ms.append(1e3 * (time.perf_counter() - began_s))
    record_property("act_ms_median", float(np.median(spent_ms)))
    print(f"minivla answers in {np.median(spent_ms):.1f} ms (median of {len(spent_ms)}, best {min(spent_ms):.1f})")
