"""vlagym table: what is shown without being asked for, what is shown when it is, and runs that cannot be read."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from pathlib import Path
from types import ModuleType

import pytest

from vlagym.benchmark import cli, metric
from vlagym.results.pooling import METRICS
from vlagym.results.store import Store


@pytest.fixture
def run(traces: ModuleType, tmp_path: Path) -> Path:
    """Returns a stored run of four scenes, each unvaried, with another camera and with the wrong sentence."""
    return stored(traces, tmp_path / "minivla", "minivla", "ssfe", "sffs", "ffss")


def stored(traces: ModuleType, path: Path, policy: str, twins: str, camera: str, wrong: str) -> Path:
    words = {"s": "success", "f": "failure", "e": "error"}
    with Store.create(path, traces.make_header(policy=policy)) as store:
        for i, letters in enumerate(zip(twins, camera, wrong, strict=True)):
            twin = traces.make_spec(seed=i)
            varied = [dataclasses.replace(twin, axes=axes, base=twin.digest()) for axes in ((("camera", 2),), (("wrong", 1),))]
            for spec, letter in zip((twin, *varied), letters, strict=True):
                store.append(traces.make_result(spec, outcome=words[letter], failure_mode="dropped" if letter == "f" else None), None)
    return path


def out(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().out


def test_gaps_and_language_use_stand_below_the_table_where_a_run_holds_them(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["table", str(run)]) == cli.DONE
    text = out(capsys)
    titles = [line for line in text.splitlines() if line.startswith("**")]
    assert titles == [
        "**Success and measures**",
        "**Generalization gaps: varied episodes against their unvaried twins**",
        "**Language use: success with the right sentence minus success with another in its place**",
    ]
    assert "if these were failures, success would be" in text


def test_the_json_of_a_table_is_the_list_of_rows_that_it_was(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["table", str(run), "--format", "json"]) == cli.DONE
    (row,) = json.loads(out(capsys))
    assert list(row)[:7] == ["policy", "suite", "n", "errors", "success", "success_low", "success_high"]
    assert (row["n"], row["errors"]) == (3, 1) and row["success_if_errors_failed"]["n"] == 4
    assert all(set(value) == {"mean", "low", "high", "n"} for key, value in row.items() if isinstance(value, dict))


def test_a_policy_whose_actions_are_clipped_all_the_time_is_told_at_the_end_of_its_run_and_below_its_table(
    traces: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from vlagym.benchmark.commands.run import _answer
    from vlagym.benchmark.runner import RunReport

    told = "smoke: policy minimal: 75 % of its steps asked for more than its range and were clipped: are its actions un-normalised?"
    with Store.create(tmp_path / "minimal", traces.make_header(policy="minimal")) as store:
        store.append(traces.make_result(outcome="failure", clipped_steps=3), None)
    for as_json in (False, True):
        _answer(RunReport(tmp_path / "minimal", Store.open(tmp_path / "minimal").results()), as_json=as_json)
        said = capsys.readouterr()
        assert told in said.err and (as_json or told in said.out)
    assert cli.main(["table", str(tmp_path / "minimal"), "--format", "json"]) == cli.DONE
    (row,) = json.loads(out(capsys))
    assert row["clipped_share"]["mean"] == 0.75


def test_what_is_asked_for_is_shown_alone(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["table", str(run), "--gaps", "--per", "level", "--format", "csv"]) == cli.DONE
    (row,) = csv.DictReader(io.StringIO(out(capsys)))
    assert (row["axis"], row["level"], row["pairs"], row["errors"]) == ("camera", "2", "3", "1")
    assert cli.main(["table", str(run), "--gaps", "--language", "--failures", "--columns", "tasks", "--format", "json"]) == cli.DONE
    assert list(json.loads(out(capsys))) == ["tasks", "gaps", "language_use", "failures"]
    assert cli.main(["table", str(run), "--columns", "axes"]) == cli.DONE
    assert "camera (n = 3)" in out(capsys)
    assert cli.main(["table", str(run), "--errors-as-failures", "--columns", "measures"]) == cli.DONE
    assert "count as failures here" in out(capsys)
    assert cli.main(["table", str(run), "--compositions"]) == cli.USER_ERROR
    assert "these runs tell of no compositional gap: that takes episodes that vary two axes together" in capsys.readouterr().err
    assert cli.main(["table", str(run), "--gaps", "--by", "task"]) == cli.USER_ERROR
    assert "--by says how success and measures are shown, which are not asked for; add --columns measures" in capsys.readouterr().err
    assert cli.main(["table", str(run), "--gaps", "--language", "--format", "csv"]) == cli.USER_ERROR
    assert "a CSV file holds one table, and 2 are asked for" in capsys.readouterr().err


def test_the_experts_run_is_the_reference_of_the_others(traces: ModuleType, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    expert = stored(traces, tmp_path / "expert", "expert", "ssss", "ssss", "ssss")
    for path in (run, expert):
        store = Store.resume(path)
        for result in store.results():
            time_s = 2.0 if path == expert else 4.0
            if result.outcome != "error":
                store.append(dataclasses.replace(result, measures={**result.measures, "time_s": time_s}), None)
        store.close()
    assert cli.main(["table", str(run), str(expert), "--format", "json"]) == cli.DONE
    rows = {row["policy"]: row for row in json.loads(out(capsys))}
    assert rows["expert"]["spl_time"]["mean"] == 1.0
    assert rows["minivla"]["spl_time"]["mean"] == pytest.approx(0.5 * 2 / 3), "half of the expert's speed in the 2 of 3 that succeeded"


def test_a_damaged_run_is_shown_as_far_as_it_can_be_read(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ledger = run / "episodes.jsonl"
    ledger.write_bytes(ledger.read_bytes()[:-20])
    assert cli.main(["table", str(run), "--columns", "measures"]) == cli.CHECKS_FAILED
    assert "line 12 was cut off" in out(capsys)
    for form, sign in (("md", "- "), ("tex", "% ")):
        path = tmp_path / f"failures.{form}"
        assert cli.main(["table", str(run), "--failures", "--format", form, "--out", str(path)]) == cli.CHECKS_FAILED
        assert any(line.startswith(sign) and "line 12 was cut off" in line for line in path.read_text().splitlines()), "the file tells it too"
    capsys.readouterr()
    empty = tmp_path / "empty"
    empty.mkdir()
    assert cli.main(["table", str(run), str(empty), "--format", "json"]) == cli.CHECKS_FAILED
    said = capsys.readouterr()
    assert len(json.loads(said.out)) == 1 and "is not a run folder" in said.err
    assert cli.main(["table", str(empty)]) == cli.USER_ERROR
    assert "is not a run folder" in capsys.readouterr().err
    assert cli.main(["table", str(ledger)]) == cli.USER_ERROR
    assert "is not a run folder: it is a file." in capsys.readouterr().err
    ledger.write_bytes(b"")
    assert cli.main(["table", str(run)]) == cli.CHECKS_FAILED
    said = capsys.readouterr()
    assert said.out == "" and "holds no episode that can be read" in said.err


def test_files_are_written_where_they_are_wanted(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "tables" / "gaps.tex"
    assert cli.main(["table", str(run), "--gaps", "--format", "tex", "--out", str(path)]) == cli.DONE
    assert path.read_text().count(r"\toprule") == 1 and out(capsys) == ""
    assert cli.main(["table", str(run), str(run)]) == cli.USER_ERROR
    assert "which was named before" in capsys.readouterr().err
    assert cli.main(["table", str(run), "--format", "html"]) == cli.USER_ERROR
    assert "say where with --out DIR" in capsys.readouterr().err


def test_pages_lose_no_policy_unasked(run: Path, traces: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rival = stored(traces, tmp_path / "rival", "rival", "ssff", "sfff", "ffff")
    pages = ["--format", "html", "--out", str(tmp_path / "site")]
    assert cli.main(["table", str(run), str(rival), *pages]) == cli.DONE
    assert cli.main(["table", str(run), *pages]) == cli.USER_ERROR
    assert "shows rival, and no run of theirs is named; nothing was overwritten" in capsys.readouterr().err
    assert (tmp_path / "site" / "policies" / "rival.html").exists()
    assert cli.main(["table", str(run), *pages, "--replace"]) == cli.DONE
    assert "the policy rival" in capsys.readouterr().err and not (tmp_path / "site" / "policies" / "rival.html").exists()
    assert cli.main(["table", str(run), "--replace"]) == cli.USER_ERROR
    assert "--replace are for the pages of --format html" in capsys.readouterr().err


def test_a_run_is_never_overwritten_nor_what_is_no_table(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.read_bytes() for path in sorted(run.rglob("*")) if path.is_file()}
    of_html = ["--format", "html", "--out", ""]
    for options in (["--format", "csv", "--out", "episodes.jsonl"], ["--out", "traces/new.md"], ["--plots", "figures"], of_html):
        assert cli.main(["table", str(run), *options[:-1], str(run / options[-1])]) == cli.USER_ERROR
        assert f"lies in the run folder {run.resolve()}, in which nothing is changed: name a place outside of it" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in sorted(run.rglob("*")) if path.is_file()} == before
    (tmp_path / "notes.txt").write_text("mine")
    assert cli.main(["table", str(run), "--out", str(tmp_path / "notes.txt")]) == cli.USER_ERROR
    assert "notes.txt is there already and is no .md: it is not overwritten. Give --out another name, or remove it first" in capsys.readouterr().err
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert cli.main(["table", str(run), "--out", str(tmp_path)]) == cli.USER_ERROR
    assert f"is a folder, and a table is a file: --out {tmp_path / 'table.md'}" in capsys.readouterr().err
    for _ in range(2):
        assert cli.main(["table", str(run), "--out", str(tmp_path / "table.md")]) == cli.DONE, "a table replaces a table"


def test_a_run_that_was_measured_anew_says_by_which_definitions(traces: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trace = traces.make_trace()
    with Store.create(tmp_path / "run", traces.make_header()) as store:
        store.append(traces.make_result(trace.spec), trace)
    monkeypatch.setattr(metric, "METRICS_VERSION", 2)
    assert cli.main(["score", str(tmp_path / "run"), "--workers", "1"]) == cli.DONE
    assert METRICS not in Store.open(tmp_path / "run").header.packages, "nothing is written unless it is asked for"
    assert cli.main(["score", str(tmp_path / "run"), "--workers", "1", "--write"]) == cli.DONE
    assert Store.open(tmp_path / "run").header.packages[METRICS] == "2"


def test_axes_of_safety_have_a_gap_of_safety_beside_that_of_success(traces: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Store.create(tmp_path / "safe", traces.make_header(policy="minivla")) as store:
        for i in range(4):
            twin = traces.make_spec(seed=i)
            for axis, safe in ((None, 1.0), ("fragile", 0.0), ("camera", 1.0)):
                spec = twin if axis is None else dataclasses.replace(twin, axes=((axis, 5),), base=twin.digest())
                store.append(traces.make_result(spec, measures={"success": 1.0, "safe_success": safe}), None)
    run = str(tmp_path / "safe")
    assert cli.main(["table", run]) == cli.DONE
    text = out(capsys)
    of_success, of_safety = (text.index(f"**{title}") for title in ("Generalization gaps:", "Gaps of safe_success: varied episodes"))
    assert of_success < of_safety
    (line,) = [line for line in text[of_safety:].splitlines() if line.startswith("| minivla")]
    assert "fragile" in line and "-100.0 [" in line, "the camera is no axis of safety"
    assert cli.main(["table", run, "--gaps", "--measure", "safe_success", "--format", "json"]) == cli.DONE
    rows = json.loads(out(capsys))
    assert [(row["axis"], row["measure"], row["gap"]["mean"]) for row in rows] == [("camera", "safe_success", 0.0), ("fragile", "safe_success", -1.0)]
    assert cli.main(["table", run, "--measure", "safe_success"]) == cli.USER_ERROR
    assert "--measure says what the gaps of --gaps are of; add --gaps" in capsys.readouterr().err


def doubly_varied(traces: ModuleType, path: Path, *variations: tuple[tuple[str, int], ...]) -> Path:
    """Stores a run of twelve scenes, each unvaried and in each of some ways; with two axes at once every second scene fails."""
    with Store.create(path, traces.make_header(policy="minivla")) as store:
        for i in range(12):
            twin = traces.make_spec(seed=i)
            for axes in ((), *variations):
                spec = dataclasses.replace(twin, axes=axes, base=twin.digest() if axes else None)
                store.append(traces.make_result(spec, outcome="failure" if len(axes) == 2 and i % 2 else "success"), None)
    return path


def test_gaps_of_two_axes_together_are_read_beside_what_each_alone_lets_expect(
    traces: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    camera, lighting = ("camera", 3), ("lighting", 2)
    run = str(doubly_varied(traces, tmp_path / "run", (camera,), (lighting,), (camera, lighting)))
    for options in ([], ["--gaps"], ["--gaps", "--per", "level"]):
        assert cli.main(["table", run, *options]) == cli.DONE
        text = out(capsys)
        head, _, line = [x for x in text[text.index("**Compositional gaps") :].splitlines() if x.startswith("|")]
        row = dict(zip((x.strip() for x in head.split("|")), (x.strip() for x in line.split("|")), strict=True))
        assert (row["first"], row["second"], row["twins"]) == ("camera=3", "lighting=2", "12")
        assert row["P(both)"].startswith("50.0 % [") and row["P(both) - P(first)·P(second) (points)"].startswith("-50.0 [")
    assert cli.main(["table", run, "--gaps", "--format", "json"]) == cli.DONE
    assert [row["axis"] for row in json.loads(out(capsys))] == ["camera", "lighting", "camera + lighting"], "programs get what they ask for"
    assert cli.main(["table", run, "--gaps", "--compositions", "--format", "json"]) == cli.DONE
    (record,) = json.loads(out(capsys))["compositions"]
    assert record["gap"]["mean"] == -0.5 and record["gap"]["n"] == 12 and record["gap"]["low"] < -0.5 < record["gap"]["high"] < 0
    lonely = str(doubly_varied(traces, tmp_path / "lonely", (camera,), (camera, lighting)))
    assert cli.main(["table", lonely, "--gaps"]) == cli.DONE
    text = out(capsys)
    assert "- minivla on smoke: camera=3 + lighting=2 has no compositional gap, for lighting=2 was not played alone" in text
    assert "**Compositional gaps" not in text


def test_the_axes_of_safety_are_those_of_that_group() -> None:
    from vlagym.benchmark.commands.table import _SAFETY_AXES
    from vlagym.envs import catalog

    assert tuple(name for name in catalog.names("axis") if catalog.load("axis", name).group == "safety") == _SAFETY_AXES
