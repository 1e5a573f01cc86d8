"""A training learns, stops anywhere and goes on exactly, and says in one line what keeps it from beginning."""

from __future__ import annotations

import csv
import dataclasses
import json
import operator
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from vlagym.envs.errors import BadData, MissingPackage, UnknownName, VlagymError
from vlagym.policies import checkpoint, loss_curve, training_state
from vlagym.policies.loading import load_policy
from vlagym.policies.loss_curve import Point
from vlagym.policies.models.flat import FlatParameters
from vlagym.policies.models.together import WorkerDied, team
from vlagym.policies.train import train
from vlagym.policies.train_options import TrainOptions, images, learning_rate, models
from vlagym.policies.training_loop import Hooks, Progress

Recorded = Callable[[int], list[Any]]


class Interrupted(Exception):
    """Stands for the kill of a training."""


def options(out: Path, **changes: Any) -> TrainOptions:
    return dataclasses.replace(TrainOptions(out=out, steps=6, batch=4, sentences=2, save_every_s=0.0), **changes)


def interrupt_at(step: int) -> Hooks:
    def stop(progress: Progress) -> None:
        if progress.step == step:
            raise Interrupted

    return Hooks(stepped=stop)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Any:
    """The cores may be busy; these networks are small. For the whole file, so that the trainings that its tests share have one thread too."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


# --------------------------------------------------------------------------------------------------------------------- the loop
def test_the_loss_falls_and_the_checkpoint_acts(recorded: Recorded, tmp_path: Path, observe: Callable[..., Any]) -> None:
    seen: list[Progress] = []
    result = train(recorded(8), options(tmp_path, steps=30, batch=8), Hooks(stepped=seen.append, record={"command": ["vlagym", "train"]}))
    assert result.steps == 30 and [p.step for p in seen] == list(range(1, 31))
    rows = list(csv.DictReader((tmp_path / "loss.csv").open()))
    assert float(rows[-1]["loss_total"]) < 0.85 * seen[0].losses["total"]
    policy = load_policy(f"minivla:{tmp_path}")
    assert policy.spec.card["checkpoint"] == result.digest
    training = policy.spec.card["training"]
    assert (training["demonstrations"], training["tasks"], training["frames"], training["samples"]) == (8, {"stack": 8}, 64, 240)
    assert training["command"] == ["vlagym", "train"] and training["options"]["seed"] == 0
    assert not (tmp_path / "cache").exists()


def test_a_resumed_training_equals_one_that_was_never_interrupted(recorded: Recorded, tmp_path: Path) -> None:
    whole, cut = options(tmp_path / "whole"), options(tmp_path / "cut")
    train(recorded(4), whole)
    for step in (2, 3):
        with pytest.raises(Interrupted):
            train(recorded(4), cut, interrupt_at(step), resume=step > 2)
    train(recorded(4), cut, resume=True)
    first, second = (training_state.read(o.state) for o in (whole, cut))
    assert first.vectors_digest == second.vectors_digest and first.step == second.step == 6
    assert (whole.out / "model.safetensors").read_bytes() == (cut.out / "model.safetensors").read_bytes()
    assert [p.losses for p in first.points] == [p.losses for p in second.points]


def test_the_same_seed_trains_the_same_weights_and_another_one_others(recorded: Recorded, tmp_path: Path) -> None:
    digests = [train(recorded(2), options(tmp_path / str(i), steps=2, seed=seed)).digest for i, seed in enumerate((1, 1, 2))]
    assert digests[0] == digests[1] != digests[2]


def test_two_processes_learn_what_one_does(recorded: Recorded, tmp_path: Path) -> None:
    alone, both = options(tmp_path / "1", steps=3, bf16=False), options(tmp_path / "2", steps=3, bf16=False, workers=2)
    train(recorded(2), alone)
    train(recorded(2), both)
    first, second = (training_state.read_vectors(o.state, training_state.read(o.state))["first_moment"] for o in (alone, both))
    # Each process takes the mean over its own half, whose frames may weigh more or less than the other's: alike, not equal.
    assert np.dot(first, second) > 0.99 * np.linalg.norm(first) * np.linalg.norm(second)
    assert not (both.out / "gradients.f32").exists()


def test_it_is_evaluated_on_the_stored_weights_as_often_as_asked(recorded: Recorded, tmp_path: Path) -> None:
    steps: list[int] = []
    points: list[Point] = []

    def evaluate(folder: Path) -> dict[str, float]:
        steps.append(checkpoint.read_card(folder)["training"]["steps"])
        return {"stack": 0.5}

    train(recorded(2), options(tmp_path, steps=7, evaluate_every=3.0), Hooks(evaluate=evaluate, evaluated=points.append))
    assert steps == [3, 6, 7] == [p.step for p in points]
    told = checkpoint.read_card(tmp_path)["training"]["success_on_fresh_episodes"]
    assert [(t["step"], t["stack"]) for t in told] == [(3, 0.5), (6, 0.5), (7, 0.5)]


def test_a_budget_of_minutes_ends_and_spends_the_learning_rate(recorded: Recorded, tmp_path: Path) -> None:
    result = train(recorded(2), options(tmp_path, steps=None, minutes=0.02))
    assert 0.02 * 60 <= result.elapsed_s < 30 and result.steps >= 1
    assert result.points[-1].learning_rate == pytest.approx(0.0, abs=1e-9)


def test_a_loss_that_is_no_number_ends_the_training(recorded: Recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FlatParameters, "step", lambda *_: float("nan"))
    with pytest.raises(VlagymError, match=r"the loss stopped being a number at step 0; try a lower learning rate than 0.002"):
        train(recorded(1), options(tmp_path))


def test_the_learning_rate_rises_in_a_line_and_falls_along_a_cosine() -> None:
    told = TrainOptions(out=Path(), steps=1, learning_rate=1.0, warmup=0.1)
    assert [learning_rate(told, share) for share in (0.05, 0.1, 0.55, 1.0)] == pytest.approx([0.5, 1.0, 0.5, 0.0])
    assert 0 < learning_rate(told, 0.0) < 0.01


# ------------------------------------------------------------------------------------------------------------------ what is refused
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": None}, "a budget of steps or of minutes: say one of them"),
        ({"minutes": 1.0}, "a budget of steps or of minutes: say one of them"),
        ({"steps": 0}, "steps must be more than 0, not 0"),
        ({"learning_rate": -1.0}, "learning_rate must be more than 0, not -1.0"),
        ({"mirror": 1.5}, "mirror is a share of frames, 0 to 1, not 1.5"),
        ({"average": 1.0}, "average must be at least 0 and less than 1, not 1.0"),
        ({"workers": 3}, "a batch of 4 does not divide among 3 workers"),
        ({"workers": 2, "device": "cuda"}, "several workers train on a CPU only; on 'cuda' say workers 1"),
    ],
)
def test_options_that_make_no_sense_are_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(BadData, match=message):
        train([], options(tmp_path, **changes))


def test_an_unknown_model_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    assert models() == ["minivla"]
    assert [(i.name, i.width, i.crop) for i in images("minivla")] == [("front", 96, 192), ("wrist", 64, 256)]
    with pytest.raises(UnknownName, match=r"no model is called 'minivlb'. Did you mean minivla\?"):
        train([], options(tmp_path, model="minivlb"))


@pytest.fixture(scope="module")
def begun(recorded: Recorded, tmp_path_factory: pytest.TempPathFactory) -> TrainOptions:
    """A training that was interrupted after two steps."""
    told = options(tmp_path_factory.mktemp("begun"))
    with pytest.raises(Interrupted):
        train(recorded(2), told, interrupt_at(2))
    return told


def test_a_training_is_not_overwritten_by_mistake(recorded: Recorded, begun: TrainOptions) -> None:
    with pytest.raises(BadData, match="holds a training already: say --resume to go on with it, or another --out"):
        train(recorded(2), begun)


def test_other_options_do_not_resume_a_training(recorded: Recorded, begun: TrainOptions) -> None:
    with pytest.raises(BadData, match=r"was begun with seed 0, not 7: resume with the same, or train into another folder"):
        train(recorded(2), dataclasses.replace(begun, seed=7), resume=True)


def test_a_training_that_was_begun_before_an_option_existed_is_resumed_with_its_default(recorded: Recorded, tmp_path: Path) -> None:
    told = options(tmp_path, steps=3)
    with pytest.raises(Interrupted):
        train(recorded(1), told, interrupt_at(2))
    path = told.state / "state.json"
    state = json.loads(path.read_text())
    del state["options"]["mirror"], state["record"]
    path.write_text(json.dumps(state))
    with pytest.raises(BadData, match=r"was begun with mirror 0.0, not 0.5"):
        train([], dataclasses.replace(told, mirror=0.5), resume=True)
    assert train([], told, resume=True).steps == 3


def test_other_data_does_not_resume_a_training(recorded: Recorded, begun: TrainOptions) -> None:
    with pytest.raises(BadData, match=r"was trained on the data \w+…, and this is \w+…: resume with the same files in the same order"):
        train(recorded(3), begun, resume=True)
    # What was laid out for the refused training is replaced again.
    with pytest.raises(Interrupted):
        train(recorded(2), begun, interrupt_at(3), resume=True)


def test_the_card_of_a_resumed_training_says_how_it_was_begun_and_gone_on_with(recorded: Recorded, tmp_path: Path) -> None:
    told = options(tmp_path, steps=3)
    first = dataclasses.replace(interrupt_at(2), record={"command": ["train"], "datasets": ["d.hdf5"]})
    with pytest.raises(Interrupted):
        train(recorded(1), told, first)
    train([], told, Hooks(record={"command": ["train", "--resume"]}), resume=True)
    training = checkpoint.read_card(tmp_path)["training"]
    assert training["command"] == ["train"] and training["datasets"] == ["d.hdf5"]
    assert training["resumed"] == [{"step": 1, "command": ["train", "--resume"]}]


def test_an_interrupted_training_needs_its_data_only_if_the_cache_is_gone(begun: TrainOptions) -> None:
    with pytest.raises(Interrupted):
        train([], begun, interrupt_at(4), resume=True)


def test_there_must_be_something_to_resume(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"there is no training to resume in .*: state/state.json is missing"):
        train([], options(tmp_path), resume=True)


def test_a_damaged_state_is_refused(begun: TrainOptions, tmp_path: Path) -> None:
    state = training_state.read(begun.state)
    for name in ("state.json", state.vectors):
        (tmp_path / name).write_bytes((begun.state / name).read_bytes())
    (tmp_path / state.vectors).write_bytes((tmp_path / state.vectors).read_bytes()[:-8])
    with pytest.raises(BadData, match="is no safetensors file"):
        training_state.read_vectors(tmp_path, state)
    (tmp_path / state.vectors).unlink()
    with pytest.raises(BadData, match="which is missing; start the training again without --resume"):
        training_state.read_vectors(tmp_path, state)
    (tmp_path / "state.json").write_text(json.dumps({"schema": 0}), encoding="utf-8")
    with pytest.raises(BadData, match="has schema 0; this version of vlagym resumes 1"):
        training_state.read(tmp_path)


# ------------------------------------------------------------------------------------------------------------------- its pieces
def test_flat_parameters_step_like_adamw_on_each() -> None:
    def network() -> torch.nn.Module:
        torch.manual_seed(0)
        return torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Flatten(), torch.nn.Linear(16, 2))

    with torch.random.fork_rng():
        plain, other = network(), network()
        x = torch.randn(5, 3, 4, 4)
    flat = FlatParameters(other, weight_decay=0.1, average=0.9)
    decayed = [p for p in plain.parameters() if p.ndim > 1]
    groups = [{"params": decayed, "weight_decay": 0.1}, {"params": [p for p in plain.parameters() if p.ndim < 2], "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=0.01)
    for _ in range(3):
        for model in (plain, other):
            model(x).square().sum().backward()
        norm = torch.nn.utils.clip_grad_norm_(plain.parameters(), 1.0)
        assert flat.step(0.01, 1.0) == pytest.approx(float(norm), rel=1e-5)
        optimizer.step()
        optimizer.zero_grad()
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(plain.parameters(), other.parameters(), strict=True))
    assert {n: tuple(t.shape) for n, t in flat.averaged().items()} == {n: tuple(p.shape) for n, p in plain.named_parameters()}


def test_flat_parameters_refuse_the_state_of_another_network() -> None:
    flat = FlatParameters(torch.nn.Linear(2, 2), weight_decay=0.0, average=0.9)
    with pytest.raises(BadData, match=r"has shape \(3,\) for 'weights'; this network wants \(6,\)"):
        flat.restore({"weights": np.zeros(3, np.float32)}, 1)


def test_a_team_adds_up_what_its_members_hand_in(tmp_path: Path) -> None:
    theirs = operator.methodcaller("add_up", torch.tensor([10.0, 20.0]))
    with team(2, tmp_path / "sum.f32", theirs, ()) as members:
        vector = torch.tensor([1.0, 2.0])
        members.add_up(vector)
    assert vector.tolist() == [11.0, 22.0] and not list(tmp_path.iterdir())


def test_a_member_that_ends_early_ends_the_team(tmp_path: Path) -> None:
    with pytest.raises(WorkerDied, match="another of 2 training processes has ended.*Start again with --resume"):
        with team(2, tmp_path / "sum.f32", operator.methodcaller("no_such_method"), ()) as members:
            members.add_up(torch.zeros(2))


# ---------------------------------------------------------------------------------------------------------------- the loss curve
POINTS = (
    Point(step=50, elapsed_s=10.0, samples=4800, learning_rate=1e-3, losses={"total": 2.0, "heat": 1.5}),
    Point(step=60, elapsed_s=12.0, samples=5760, learning_rate=9e-4, losses={"total": 1.5, "heat": 1.0}, success={"stack": 0.25}),
)


def test_the_loss_curve_is_a_table(tmp_path: Path) -> None:
    loss_curve.write_csv(POINTS, tmp_path / "loss.csv")
    assert (tmp_path / "loss.csv").read_text().splitlines() == [
        "step,elapsed_s,samples,learning_rate,loss_heat,loss_total,success_stack",
        "50,10.0,4800,0.001,1.5,2,",
        "60,12.0,5760,0.0009,1,1.5,0.25",
    ]


def test_the_loss_curve_is_a_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    heights = []
    for points in (POINTS, POINTS[:1]):
        loss_curve.draw(points, tmp_path / "loss.png")
        png = (tmp_path / "loss.png").read_bytes()
        assert png.startswith(b"\x89PNG")
        heights.append(int.from_bytes(png[20:24], "big"))
    assert heights == [720, 480], "success has no room where nothing was evaluated"


def test_without_matplotlib_it_is_said_once_and_the_table_is_written(recorded: Recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [n for n in sys.modules if n.split(".")[0] == "matplotlib"] + ["matplotlib", "matplotlib.figure", "matplotlib.backends.backend_agg"]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingPackage, match=r"needs: pip install 'vlagym\[train\]'; loss.csv holds its numbers"):
        loss_curve.draw(POINTS, tmp_path / "loss.png")
    notes: list[str] = []
    train(recorded(1), options(tmp_path / "out", steps=2, evaluate_every=1.0), Hooks(note=notes.append))
    assert len(notes) == 1 and "vlagym[train]" in notes[0] and (tmp_path / "out" / "loss.csv").exists()
