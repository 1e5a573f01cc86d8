"""Only what was confirmed is published, and what is published is read like a run."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from vlagym.benchmark import verify
from vlagym.benchmark.cli import main
from vlagym.benchmark.episode import RunnableWorld, WorldOptions
from vlagym.envs.types import EpisodeResult, EpisodeSpec, ErrorRecord, Facts
from vlagym.envs.world import World
from vlagym.results.pooling import Run
from vlagym.results.salvage import read_run
from vlagym.results.schema import result_to_line
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
    note = json.loads((out / "verified.json").read_text(encoding="utf-8"))
    assert (note["episodes"], note["confirmed"], note["errored"], note["measures_left_out"]) == (2, 2, [], [])
    assert any("how long it took" in sentence for sentence in note["not_checked"]) and "latency_s_p50" in note["self_reported"]
    assert read_run(out).run == dataclasses.replace(Run.load(out), verified="2 of 2") and read_run(out).complaints == ()
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


def changed(made: Path, copy: Path, change: Callable[[EpisodeResult], EpisodeResult]) -> Path:
    """Returns a copy of a run whose lines are changed."""
    shutil.copytree(made, copy)
    lines = [result_to_line(change(result)) + "\n" for result in Store.open(made).results()]
    (copy / "episodes.jsonl").write_text("".join(lines), encoding="utf-8")
    return copy


def test_measures_that_nobody_confirmed_are_left_out_and_named(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = changed(made, tmp_path / "run", lambda r: dataclasses.replace(r, measures={**r.measures, "spl_path": 1.0, "plan_succes": 1.0}))
    assert main(["publish", str(run), "--out", str(tmp_path / "out"), "--workers", "1"]) == 0
    told = capsys.readouterr()
    assert "left out, for nobody can confirm it: plan_succes, spl_path; published in" in told.out
    assert "the measure 'spl_path', for it follows from a reference run" in told.err
    note = json.loads((tmp_path / "out" / "verified.json").read_text(encoding="utf-8"))
    assert note["measures_left_out"] == ["plan_succes", "spl_path"]
    assert Store.open(tmp_path / "out").results() == Store.open(made).results()


def test_errors_that_nobody_can_confirm_are_published_only_where_that_is_allowed(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = Store.open(made).results()[0].digest

    def lost(result: EpisodeResult) -> EpisodeResult:
        if result.digest != first:
            return result
        error = ErrorRecord(type="WorkerDied", message="killed", traceback="")
        return dataclasses.replace(
            result, outcome="error", ended_by="env_error", error=error, measures={}, certificate=None, failure_mode=None, steps=0, time_s=0.0
        )

    run = changed(made, tmp_path / "run", lost)
    (run / "traces" / f"{first}.npz").unlink()
    words = ["publish", str(run), "--out", str(tmp_path / "out"), "--workers", "1"]
    assert main(words) == 1 and not (tmp_path / "out").exists()
    assert "1 of 2 episodes ended in an error, which nobody can confirm (press_button seed 0): nothing was published" in capsys.readouterr().out
    assert main([*words, "--allow-errors"]) == 0
    note = json.loads((tmp_path / "out" / "verified.json").read_text(encoding="utf-8"))
    assert (note["confirmed"], note["errored"]) == (1, [first])


class UnwritableWorld(World):
    """Cannot put down what it computes of the second episode."""

    def start(self, spec: EpisodeSpec) -> Facts:
        if spec.seed == 1:
            raise PermissionError(13, "Permission denied", "cache")
        return super().start(spec)


def make_unwritable_world(options: WorldOptions) -> RunnableWorld:
    return UnwritableWorld(render=options.render)


def test_what_fails_on_this_machine_says_nothing_of_the_run_and_is_not_published(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(verify, "verify", partial(verify.verify, make_world=make_unwritable_world))
    assert main(["verify", str(made), "--workers", "1"]) == 3
    told = capsys.readouterr()
    assert "press_button seed 1" in told.err and "could not be simulated here: PermissionError: [Errno 13] Permission denied: 'cache'" in told.err
    assert "differs" not in told.err and "1 of 2 episodes confirmed" in told.out
    assert "; 1 could not be simulated here: they are neither confirmed nor refuted" in told.out
    assert main(["verify", str(made), "--workers", "1", "--json"]) == 3
    found = json.loads(capsys.readouterr().out)
    assert not found["confirmed"] and [(e["seed"], e["confirmed"], e["error"] is None) for e in found["episodes"]] == [(0, True, True), (1, False, False)]
    assert main(["publish", str(made), "--out", str(tmp_path / "out"), "--workers", "1", "--allow-errors"]) == 3
    assert "1 of 2 episodes could not be simulated here: nothing was published" in capsys.readouterr().out and not (tmp_path / "out").exists()
    reworded = changed(made, tmp_path / "run", lambda r: dataclasses.replace(r, instruction=f"do not {r.instruction}"))
    assert main(["verify", str(reworded), "--workers", "1"]) == 1, "what contradicts the spec is found without a simulation"


def test_no_part_of_a_run_is_published_for_the_whole(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["publish", str(made), "--out", str(tmp_path / "out"), "--sample", "1"]) == 2
    assert "--sample" in capsys.readouterr().err
