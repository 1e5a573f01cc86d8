"""What `vlagym convert` says, to people and to machines, and what it leaves where it fails."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import pytest

from vlagym.benchmark.cli import main
from vlagym.envs import catalog
from vlagym.results.datasets import open_dataset

Capsys = pytest.CaptureFixture[str]


@pytest.fixture
def source(traces: ModuleType, tmp_path: Path) -> Path:
    info = traces.make_dataset_info(commands={"joint_delta": traces.JOINT_DELTA})
    path = tmp_path / "source" / "demos.hdf5"
    path.parent.mkdir()
    with catalog.load("format", "hdf5").write(path, info) as writer:
        for seed in range(2):
            writer.append(traces.make_demonstration(seed, info=info, is_success=seed == 0))
    return path


def test_it_says_what_was_converted_and_that_nothing_is_lost(source: Path, tmp_path: Path, capsys: Capsys) -> None:
    out = tmp_path / "new" / "set"
    assert main(["convert", str(source), "--format", "npz", "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"nothing is lost\n2 demonstrations of hdf5 written as npz ({out})\n"
    with open_dataset(out) as reader:
        (told,) = reader.info.provenance["conversions"]
    assert told["command"] == ["vlagym", "convert", str(source), "--format", "npz", "--out", str(out)] and "vlagym" in told["packages"]


def test_it_says_to_machines_what_was_lost(source: Path, tmp_path: Path, capsys: Capsys) -> None:
    out = tmp_path / "set"
    assert main(["convert", str(source), "--format", "lerobot_v3", "--successes-only", "--out", str(out), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    lost = told.pop("lost")
    assert told == {"source": str(source), "out": str(out), "from": "hdf5", "to": "lerobot_v3", "demonstrations": 1}
    assert [loss["what"] for loss in lost] == ["demonstrations", "images"] and "compressed as H.264; in the first" in lost[1]["how"]


def test_the_suffix_says_the_format(source: Path, tmp_path: Path) -> None:
    assert main(["convert", str(source), "--out", str(tmp_path / "again.hdf5"), "--validation", "0.5"]) == 0
    with open_dataset(tmp_path / "again.hdf5") as reader:
        assert len(reader) == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--out", "set"], "has no suffix, so it is a folder: say which folder it is to be, --format"),
        (["--format", "npy", "--out", "set"], "no format is called 'npy'. Did you mean npz?"),
        (["--format", "npz", "--out", "set.hdf5"], "ends like a file of hdf5, and --format is npz: give it another name"),
        (["--format", "rlds", "--out", "My-Set"], "a dataset of TFDS is called as its folder, in small letters"),
        (["--format", "npz", "--out", "source"], "source exists already: nothing is written over"),
        (["--format", "npz", "--out", "set", "--validation", "0.1"], "the format npz has no place for which demonstrations are for validation"),
        (["--format", "npz", "--out", "set", "--from", "rlds"], "there is no dataset at"),
    ],
)
def test_what_cannot_be_is_answered_in_a_line_and_nothing_is_written(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capsys, words: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["convert", str(source), *words]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("looking at")]
    assert said in line and [p.name for p in tmp_path.iterdir()] == ["source"]


def test_an_interrupted_conversion_says_where_it_lies_and_goes_on(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capsys
) -> None:
    from vlagym.benchmark.collecting.disk import Room

    def interrupted(self: Room, num_bytes: int, left: float) -> None:
        raise KeyboardInterrupt

    words = ["convert", str(source), "--format", "npz", "--out", str(tmp_path / "set")]
    with monkeypatch.context() as patch:
        patch.setattr(Room, "take", interrupted)
        assert main(words) == 130
    assert "what was converted is kept in set.converting; the same command goes on with it" in capsys.readouterr().err
    assert not (tmp_path / "set").exists()
    assert main(words) == 0 and sorted(p.name for p in tmp_path.iterdir()) == ["set", "source"]
