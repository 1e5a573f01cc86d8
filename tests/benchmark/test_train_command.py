"""What `vlagym train` refuses, notes, and says to machines."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import pytest

from vlagym.benchmark.cli import main
from vlagym.benchmark.commands import train
from vlagym.policies.loss_curve import Point
from vlagym.policies.training_loop import TrainResult
from vlagym.results.demonstration import ImagePreprocessing
from vlagym.results.formats import hdf5


@pytest.mark.parametrize("workers", ["0", "-1"])
def test_there_is_at_least_one_worker(tmp_path: Path, workers: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--data", str(tmp_path / "d.hdf5"), "--out", str(tmp_path / "out"), "--steps", "1", "--workers", workers]
    assert main(["train", *words]) == 2
    assert f"workers must be more than 0, not {workers}" in capsys.readouterr().err


def test_a_folder_that_is_no_dataset_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "set").mkdir()
    assert main(["train", "--data", str(tmp_path / "set"), "--out", str(tmp_path / "out"), "--steps", "1"]) == 2
    assert f"{tmp_path / 'set'} is no dataset of a format that is known here" in capsys.readouterr().err


def test_failures_are_left_out_aloud(traces: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = {name: ImagePreprocessing(crop=256, size=256) for name in ("front", "wrist")}
    info = traces.make_dataset_info(images=images)
    with hdf5.Writer(tmp_path / "d.hdf5", info) as writer:
        writer.append(traces.make_demonstration(0, info=info))
        writer.append(traces.make_demonstration(1, info=info, is_success=False))
    with hdf5.Reader(tmp_path / "d.hdf5") as reader:
        assert len(train._demonstrations("minivla", {"d.hdf5": reader})) == 1
    assert "1 of the 2 demonstrations of d.hdf5 did not succeed, and are left out" in capsys.readouterr().err


def test_what_a_training_came_to_is_said_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    points = (
        Point(step=5, elapsed_s=1.0, samples=50, learning_rate=0.1, success={"stack": 0.5}),
        Point(step=9, elapsed_s=2.0, samples=90, learning_rate=0.1),
    )
    result = TrainResult(checkpoint=tmp_path, digest="abc", steps=9, elapsed_s=2.0, points=points)
    train._answer(result, as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert told == {"checkpoint": str(tmp_path), "digest": "abc", "steps": 9, "elapsed_s": 2.0, "success": {"stack": 0.5}}


def test_training_on_what_is_held_out_is_noted_and_goes_onto_the_card(
    traces: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "d.hdf5"
    with hdf5.Writer(path, traces.make_dataset_info(provenance={"held_out": ["unseen objects of stack"]})) as writer:
        writer.append(traces.make_demonstration())
    with hdf5.Reader(path) as reader:
        record = train._record([], {str(path): reader})
    assert record["datasets"][0]["held_out"] == ["unseen objects of stack"]
    assert "d.hdf5 holds demonstrations of what is held out for tests: unseen objects of stack. The card says so" in capsys.readouterr().err
