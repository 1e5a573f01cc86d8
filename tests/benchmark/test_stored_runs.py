"""vlagym table and vlagym score: from stored runs to numbers, without a simulator and without changing what nobody asked to change."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from vlagym.benchmark import cli, rescoring, scoring
from vlagym.envs import catalog
from vlagym.results.schema import trace_to_bytes
from vlagym.results.store import Store


@pytest.fixture
def run(tmp_path: Path, traces: ModuleType) -> Path:
    """A run of three episodes: a success and a failure with their traces, an error without one."""
    folder = tmp_path / "runs" / "hold-smoke"
    specs = [traces.make_spec(seed=seed) for seed in range(3)]
    with Store.create(folder, traces.make_header(episodes=3)) as store:
        for spec, outcome in zip(specs, ("success", "failure", "error"), strict=True):
            met = np.repeat([[False], [True]], [5 - spec.hold_steps, spec.hold_steps], axis=0).repeat(len(spec.goal), axis=1)
            won = {"goal_met": met, "ended_by": "goal"} if outcome == "success" else {}
            trace = None if outcome == "error" else traces.make_trace(spec, latency_s=[0.1], **won)
            result = traces.make_result(spec, outcome=outcome)
            if trace is not None:
                mode = "never_moved" if outcome == "failure" else None
                result = dataclasses.replace(result, measures=scoring.measure(trace), failure_mode=mode)
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


# ------------------------------------------------------------------------------------------------- old lines, references, damage
def test_measures_that_a_run_lacks_are_told_in_one_line_and_stored_when_asked_to(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = ledger(run)
    for line in lines[:2]:
        line.pop("failure_mode", None)
        for name in ("toppled", "cost"):
            del line["measures"][name]  # type: ignore[attr-defined]
    (run / "episodes.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    before = {p.name: p.stat().st_mtime_ns for p in (run / "traces").iterdir()}
    assert cli.main(["score", str(run), "--write"]) == cli.DONE
    captured = capsys.readouterr()
    assert "2 of 3 episodes were stored without cost, failure_mode, toppled" in captured.err and "differ" not in captured.err
    assert "5 measures are new (stored)" in captured.out
    assert [r.failure_mode for r in Store.open(run).results()] == [None, "never_moved", None]
    assert {p.name: p.stat().st_mtime_ns for p in (run / "traces").iterdir()} == before, "no trace is written for a new line"
    assert cli.main(["score", str(run)]) == cli.DONE
    assert "every measure is as stored" in capsys.readouterr().out


def test_against_a_reference_the_run_has_spl_and_keeps_it(run: Path, traces: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    expert = tmp_path / "expert"
    with Store.create(expert, traces.make_header(policy="expert")) as store:
        store.append(traces.make_result(traces.make_spec(seed=0), measures={"time_s": 0.1, "path_length_m": 0.0}), None)
    assert cli.main(["score", str(run), "--reference", str(expert), "--write"]) == cli.DONE
    assert "spl_path, spl_time" in capsys.readouterr().err
    assert [r.measures.get("spl_time") for r in Store.open(run).results()] == [pytest.approx(0.5), None, None]
    assert cli.main(["score", str(run), "--write"]) == cli.DONE
    assert "every measure is as stored" in capsys.readouterr().out
    assert cli.main(["table", str(run), "--format", "json"]) == cli.DONE
    shown = json.loads(capsys.readouterr().out)[0]["spl_time"]
    assert shown["mean"] == pytest.approx(0.5) and shown["n"] == 1


def test_a_reference_of_other_episodes_is_refused(run: Path, traces: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Store.create(tmp_path / "other", traces.make_header()) as store:
        store.append(traces.make_result(traces.make_spec(seed=9)), None)
    assert cli.main(["score", str(run), "--reference", str(tmp_path / "other")]) == cli.USER_ERROR
    assert "none of the 1 successes in" in capsys.readouterr().err


def test_scoring_goes_on_past_a_damaged_trace_and_says_so(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    digest = str(ledger(run)[0]["digest"])
    path = run / "traces" / f"{digest}.npz"
    path.write_bytes(path.read_bytes()[:-200])
    for more in ([], ["--write"]):
        before = (run / "episodes.jsonl").read_bytes()
        assert cli.main(["score", str(run), *more]) == cli.CHECKS_FAILED
        captured = capsys.readouterr()
        assert f"episode {digest[:12]} was not measured: {path} is damaged: " in captured.err
        assert "3 episodes, 1 errored or without a trace: every measure is as stored; 1 could not be measured and stay as they are" in captured.out
        assert (run / "episodes.jsonl").read_bytes() == before


def test_scoring_reads_what_it_can_of_a_damaged_ledger_and_writes_nothing_there(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (run / "episodes.jsonl").read_text(encoding="utf-8").splitlines()
    (run / "episodes.jsonl").write_text("\n".join([text[0], text[1][:50], text[2]]) + "\n", encoding="utf-8")
    assert cli.main(["score", str(run)]) == cli.CHECKS_FAILED
    captured = capsys.readouterr()
    assert "1 line is left out" in captured.err and "line 2 is not JSON" in captured.err and "2 episodes, 1 errored" in captured.out
    before = (run / "episodes.jsonl").read_bytes()
    assert cli.main(["score", str(run), "--write"]) == cli.USER_ERROR
    assert "line 2 is not JSON" in capsys.readouterr().err and (run / "episodes.jsonl").read_bytes() == before


def test_the_suite_of_the_header_weighs_the_cost(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    header = json.loads((run / "header.json").read_text(encoding="utf-8"))
    header["suite"]["cost"] = {"steps": 0.5}
    (run / "header.json").write_text(json.dumps(header), encoding="utf-8")
    assert cli.main(["score", str(run)]) == cli.DONE
    assert "cost: 2 of 3 episodes differ" in (err := capsys.readouterr().err) and "stored 0.0, now 2.0" in err
    header["suite"]["cost"] = {"stepz": 0.5}
    (run / "header.json").write_text(json.dumps(header), encoding="utf-8")
    assert cli.main(["score", str(run)]) == cli.USER_ERROR
    assert "no measure is called 'stepz'" in capsys.readouterr().err


@pytest.mark.slow
def test_several_processes_measure_what_one_does(traces: ModuleType, tmp_path: Path) -> None:
    specs = [traces.make_spec(seed=seed) for seed in range(600)]
    for spec in specs:
        (tmp_path / f"{spec.digest()}.npz").write_bytes(trace_to_bytes(traces.make_trace(spec, steps=1 + spec.seed % 5)))
    (tmp_path / f"{specs[7].digest()}.npz").write_bytes(b"PK")
    work = [rescoring.Work(spec.digest(), tmp_path / f"{spec.digest()}.npz") for spec in specs]
    one, two = ({r.digest: r for r in rescoring.remeasured(work, catalog.names("metric"), {}, workers)} for workers in (1, 2))
    assert one == two and len(one) == 600 and [d for d, r in one.items() if r.complaint] == [specs[7].digest()]
