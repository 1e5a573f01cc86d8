"""Only what was confirmed is published, and what is published is read like a run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vlagym.benchmark.cli import main
from vlagym.results.store import Store


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("made") / "run"
    assert main(["run", "--policy", "hold", "--task", "press_button", "--episodes", "2", "--executor", "serial", "--out", str(out)]) == 0
    return out


def test_a_confirmed_run_is_published_and_stands_in_tables(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "published"
    assert main(["publish", str(made), "--out", str(out), "--workers", "1"]) == 0
    assert "2 of 2 episodes confirmed: actions, states and every measure but latency; published in" in capsys.readouterr().out
    assert sorted(p.name for p in out.iterdir()) == ["episodes.jsonl.gz", "header.json", "verified.json"]
    assert json.loads((out / "verified.json").read_text(encoding="utf-8"))["confirmed"] == 2
    assert Store.open(out).results() == Store.open(made).results()
    assert main(["table", str(out), "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["n"] == 2


def test_what_differs_is_not_published(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ledger = made / "episodes.jsonl"
    before = ledger.read_text(encoding="utf-8")
    ledger.write_text(before.replace('"outcome":"failure"', '"outcome":"success"', 1), encoding="utf-8")
    assert main(["publish", str(made), "--out", str(tmp_path / "published"), "--workers", "1"]) == 1
    ledger.write_text(before, encoding="utf-8")
    told = capsys.readouterr()
    assert "nothing was published" in told.out and "outcome" in told.err and not (tmp_path / "published").exists()


def test_a_folder_that_holds_something_is_left_alone(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.txt").write_text("mine", encoding="utf-8")
    assert main(["publish", str(made), "--out", str(tmp_path)]) == 2
    assert "exists already and holds something" in capsys.readouterr().err
