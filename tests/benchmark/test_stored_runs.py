"""vlagym table and vlagym score: from stored runs to numbers, without a simulator and without changing what nobody asked to change."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from vlagym.benchmark import cli, scoring
from vlagym.results.store import Store


@pytest.fixture
def run(tmp_path: Path, traces: ModuleType) -> Path:
    """A run of three episodes: a success and a failure with their traces, an error without one."""
    folder = tmp_path / "runs" / "hold-smoke"
    specs = [traces.make_spec(seed=seed) for seed in range(3)]
    with Store.create(folder, traces.make_header(episodes=3)) as store:
        for spec, outcome in zip(specs, ("success", "failure", "error"), strict=True):
            trace = None if outcome == "error" else traces.make_trace(spec, latency_s=[0.1])
            result = traces.make_result(spec, outcome=outcome)
            if trace is not None:
                result = dataclasses.replace(result, measures=scoring.measure(trace))
            store.append(result, trace)
    return folder


def ledger(run: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (run / "episodes.jsonl").read_text(encoding="utf-8").splitlines()]


def test_a_table_counts_errors_beside_n(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["table", str(run), "--format", "json"]) == cli.DONE
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["policy"], row["suite"], row["n"], row["errors"]) == ("hold", "smoke", 2, 1)
    assert row["success"] == 0.5 and row["success_low"] < 0.5 < row["success_high"]


def test_a_table_is_grouped_and_written_where_it_is_wanted(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "tables" / "table.csv"
    assert cli.main(["table", str(run), "--by", "task", "--by", "robot", "--format", "csv", "--out", str(out)]) == cli.DONE
    captured = capsys.readouterr()
    assert captured.out == "" and f"was written to {out}" in captured.err
    assert out.read_text(encoding="utf-8").startswith("policy,suite,task,robot,n,errors,success,")


def test_a_table_of_what_is_no_run_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["table", str(tmp_path / "nowhere")]) == cli.USER_ERROR
    err = capsys.readouterr().err
    assert "nowhere" in err and err.count("\n") == 1


def test_a_run_that_is_named_twice_is_refused(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    again = tmp_path / "link"
    again.symlink_to(run)
    for other in (run, again):
        assert cli.main(["table", str(run), str(other)]) == cli.USER_ERROR
        assert f"{other} is the run {run}, which was named before" in capsys.readouterr().err


def test_an_errored_episode_is_not_measured(run: Path, traces: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    spec = traces.make_spec(seed=2)
    result = dataclasses.replace(traces.make_result(spec, outcome="error"), ended_by="policy_error")
    with Store.resume(run) as store:
        store.append(result, traces.make_trace(spec))
    assert cli.main(["score", str(run), "--write"]) == cli.DONE
    assert "3 episodes, 1 errored or without a trace: every measure is as stored" in capsys.readouterr().out
    assert Store.open(run).results()[2].measures == result.measures


def test_tables_need_no_simulator(run: Path) -> None:
    code = f"import sys; from vlagym.benchmark import cli; cli.main(['table', {str(run)!r}]); cli.main(['score', {str(run)!r}])"
    loaded = "print([m for m in ('mujoco', 'torch', 'gymnasium') if m in sys.modules], file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", f"{code}; {loaded}"], capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr.splitlines()[-1] == "[]"


def test_scoring_what_is_as_stored_says_so_and_changes_nothing(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (run / "episodes.jsonl").read_bytes()
    assert cli.main(["score", str(run), "--write"]) == cli.DONE
    assert "3 episodes, 1 errored or without a trace: every measure is as stored" in capsys.readouterr().out
    assert (run / "episodes.jsonl").read_bytes() == before


def test_a_measure_that_comes_out_otherwise_is_named_with_its_episode(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = ledger(run)
    lines[1]["measures"]["steps"] = 7.0  # type: ignore[index]
    (run / "episodes.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    assert cli.main(["score", str(run)]) == cli.DONE
    captured = capsys.readouterr()
    assert f"steps: 1 of 3 episodes differ, first {str(lines[1]['digest'])[:12]}: stored 7.0, now 4.0" in captured.err
    assert "1 measures differ from those stored (not stored: --write does)" in captured.out
    assert ledger(run) == lines


def test_a_metric_of_ones_own_is_measured_on_old_runs(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source = '''"""Twice the steps."""
from vlagym.benchmark.metric import Metric
METRIC = Metric(unit="steps", better="lower", kind="mean", measure=lambda trace, spec: 2.0 * trace.num_steps, headline=True)
'''
    (tmp_path / "twice.py").write_text(source, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert cli.main(["score", str(run), "--metric", "twice:METRIC", "--write"]) == cli.DONE
    assert "twice" in capsys.readouterr().out
    lines = ledger(run)
    assert len(lines) == 5 and [line["measures"].get("twice") for line in lines[3:]] == [8.0, 8.0]  # type: ignore[attr-defined]
    with Store.open(run) as store:
        assert len(store.results()) == 3 and store.has_trace(str(lines[0]["digest"]))
    assert cli.main(["table", str(run), "--metric", "twice:METRIC", "--format", "json"]) == cli.DONE
    assert json.loads(capsys.readouterr().out)[0]["twice"]["mean"] == 8.0
