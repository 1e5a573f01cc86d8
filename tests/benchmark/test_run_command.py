"""The commands around a run, as they are typed: what they print, where it goes, and the exit status."""

from __future__ import annotations

import json
import re
from pathlib import Path

import fakes  # noqa: F401 -- so that its name is known here
import pytest

from vlagym.benchmark.cli import main
from vlagym.results.store import Store

TINY = ["--task", "open_drawer", "--episodes", "2", "--executor", "serial"]


@pytest.fixture
def expert_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    assert main(["run", "--policy", "expert", *TINY, "--out", str(tmp_path / "run")]) == 0
    return tmp_path / "run"


def test_run_ends_with_the_table_and_the_sum_and_says_where_it_wrote(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    assert main(["run", "--policy", "expert", *TINY, "--out", str(out)]) == 0
    told = capsys.readouterr()
    assert re.search(r"\| expert +\| open_drawer +\| open_drawer +\| +2 \|", told.out)
    assert told.out.splitlines()[-1] == f"2 episodes: 2 success, 0 failure, 0 errors ({out})"
    assert f"vlagym verify {out}" in told.err and "A gap takes" not in told.err
    assert Store.open(out).header.command[:3] == ("vlagym", "run", "--policy")


def test_run_prints_json_for_machines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["run", "--policy", "hold", *TINY, "--out", str(tmp_path / "run"), "--json"])
    told = json.loads(capsys.readouterr().out)
    assert told["episodes"] == 2 and told["failure"] == 2 and told["rows"][0]["success"] == 0.0


def test_run_exits_with_3_when_episodes_ended_in_an_error_and_prints_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--policy", "fakes:BROKEN", *TINY, "--out", str(tmp_path / "run")]) == 3
    told = capsys.readouterr()
    assert "ValueError: I have no idea" in told.err and "2 episodes: 0 success, 0 failure, 2 errors" in told.out


def test_run_is_stopped_with_3_and_one_line_when_the_policy_keeps_failing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    assert main(["run", "--policy", "fakes:BROKEN", *TINY, "--stop-after-errors", "1", "--out", str(out)]) == 3
    told = capsys.readouterr()
    last = "vlagym run: stopped after 1 episode that the policy brought down, the last with ValueError: I have no idea."
    assert told.out == "" and told.err.splitlines()[-1].startswith(last)
    assert told.err.rstrip("\n").endswith(f"go on with: vlagym run --resume {out} --retry-errors")


def test_run_takes_the_arena_the_level_and_the_layout(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--arena", "kitchen", "--level", "paraphrase", "--layout", "any"]
    assert main(["run", "--policy", "hold", *TINY, "--episodes", "1", *words, "--out", str(tmp_path / "run")]) == 0
    (entry,) = Store.open(tmp_path / "run").header.suite["entry"]
    assert (entry["arena"], entry["level"], entry["layout"]) == ("kitchen", "paraphrase", "any")


def test_a_run_of_varied_episodes_alone_says_what_a_gap_takes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    assert main(["run", "--policy", "hold", *TINY, "--episodes", "1", "--axis", "blank", "--out", str(run)]) == 0
    twins = "vlagym run with the same options and without --axis, into TWINS"
    told = capsys.readouterr().err
    assert f"all episodes are varied (blank=1). A gap takes their unvaried twins: {twins}, then: vlagym table {run} TWINS --gaps\n" in told


def test_demo_exits_with_3_when_episodes_ended_in_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--task", "press_button", "--catalogue", "core", "--episodes", "1", "--workers", "1", "--out", str(tmp_path / "d.hdf5")]
    assert main(["demo", *words]) == 3
    told = capsys.readouterr()
    assert "the catalogue 'core' has no seen fixture" in told.err and "1 of 1 episodes ended in an error" in told.err
    assert "0 demonstrations of 1" in told.out


def test_a_run_is_resumed_from_its_folder_alone(expert_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = (expert_run / "episodes.jsonl").read_bytes().splitlines(keepends=True)
    (expert_run / "episodes.jsonl").write_bytes(lines[0])
    assert main(["run", "--resume", str(expert_run), "--executor", "serial"]) == 0
    told = capsys.readouterr()
    assert "2 episodes, 1 of them stored before" in told.err and "2 success" in told.out


def test_a_run_is_not_resumed_with_another_suite(expert_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--resume", str(expert_run), "--policy", "expert", "--task", "open_drawer", "--episodes", "1"]) == 2
    assert "suite.digest was" in capsys.readouterr().err


def test_a_resumed_run_with_other_episodes_is_refused_as_another_run(expert_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--resume", str(expert_run), "--episodes", "1"]) == 2
    told = capsys.readouterr().err
    assert "cannot be resumed like this" in told and "suite.entry[0].episodes was 2 and is 1" in told and "say what is run" not in told
    assert main(["run", "--resume", str(expert_run), "--episodes", "2"]) == 0


def test_a_resumed_run_keeps_its_number_of_retries(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    assert main(["run", "--policy", "fakes:BROKEN", *TINY, "--episodes", "1", "--retries", "1", "--out", str(out)]) == 3
    assert main(["run", "--resume", str(out), "--executor", "serial"]) == 3
    assert [r.attempt for r in Store.open(out).ledger()] == [1, 2]


def test_a_task_that_is_named_twice_is_run_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    assert main(["run", "--policy", "hold", *TINY, "--task", "open_drawer", "--episodes", "1", "--out", str(out)]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("1 episodes: ")


def test_an_outsiders_task_is_run_and_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "drawer_of_my_own.py").write_text('"""A drawer of my own."""\nfrom vlagym.envs.tasks.open_drawer import TASK\n', encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    out = tmp_path / "run"
    words = ["--task", "drawer_of_my_own:TASK", "--episodes", "2", "--workers", "2", "--out", str(out)]
    assert main(["run", "--policy", "expert", *words]) == 0
    assert {(r.task, r.outcome) for r in Store.open(out).results()} == {("drawer_of_my_own:TASK", "success")}
    assert main(["run", "--resume", str(out)]) == 0
    assert main(["verify", str(out), "--workers", "2"]) == 0
    assert "2 of 2 episodes confirmed" in capsys.readouterr().out
    assert main(["table", str(out), "--by", "task"]) == 0
    assert "drawer_of_my_own:TASK" in capsys.readouterr().out


def test_verify_exits_with_3_where_errors_are_left_and_with_1_where_episodes_are_missing(
    tmp_path: Path, expert_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "broken"
    main(["run", "--policy", "fakes:BROKEN", *TINY, "--out", str(out)])
    capsys.readouterr()
    assert main(["verify", str(out), "--workers", "1"]) == 3
    told = capsys.readouterr()
    assert "0 of 2 episodes confirmed" in told.out and "2 errored episodes cannot be verified" in told.out
    lines = (expert_run / "episodes.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (expert_run / "episodes.jsonl").write_text(lines[0], encoding="utf-8")
    assert main(["verify", str(expert_run), "--workers", "1"]) == 1
    told = capsys.readouterr()
    assert "1 of the 2 episodes of the suite are missing from the ledger: open_drawer seed 1" in told.err
    assert "1 of 1 episodes confirmed" in told.out and "the run is not the one of its header (episodes)" in told.out
    assert "only running the policy could confirm it" in told.err


@pytest.mark.parametrize("workers", ["0", "-1"])
def test_verify_refuses_to_work_without_workers(expert_run: Path, workers: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(expert_run), "--workers", workers]) == 2
    assert f"at least 1 worker, not {workers}" in capsys.readouterr().err


def test_verify_confirms_and_replay_films(expert_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(expert_run), "--workers", "1"]) == 0
    assert "2 of 2 episodes confirmed" in capsys.readouterr().out
    assert main(["verify", str(expert_run), "--workers", "1", "--sample", "1", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["confirmed"] is True and len(told["episodes"]) == 1 and told["episodes"][0]["confirmed"] is True


def test_verify_exits_with_1_and_names_episode_and_measure(expert_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ledger = expert_run / "episodes.jsonl"
    lines = [json.loads(line) for line in ledger.read_text(encoding="utf-8").splitlines()]
    lines[1]["measures"]["path_length_m"] = 0.01
    ledger.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    assert main(["verify", str(expert_run), "--workers", "1"]) == 1
    told = capsys.readouterr()
    assert f"open_drawer seed 1 (episode {lines[1]['digest']}) differs" in told.err and "path_length_m: stored 0.01, simulated" in told.err
    assert "1 of 2 episodes differ, 0 of them in their outcome" in told.out


@pytest.mark.gl
def test_replay_writes_a_strip_of_two_cameras(expert_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import imageio.v2 as imageio

    digest = Store.open(expert_run).digests()[0]
    out = tmp_path / "strip.png"
    asked = ["--camera", "front", "--camera", "wrist", "--size", "64", "--quality", "fast"]
    assert main(["replay", str(expert_run), digest[:6], "--out", str(out), *asked]) == 0
    assert imageio.imread(out).shape == (128, 8 * 64, 3)
    assert "frames of open_drawer seed 0, success" in capsys.readouterr().out


@pytest.mark.gl
def test_videos_of_a_run_lie_in_its_folder(tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert main(["run", "--policy", "expert", *TINY, "--episodes", "1", "--out", str(out), "--video", "all"]) == 0
    digest = Store.open(out).digests()[0]
    assert (out / "videos" / f"{digest}.mp4").stat().st_size > 1000


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "say which policy runs: --policy P. There are: "),
        (["--policy", "hold"], "say what is run: --suite S or --task T"),
        (["--policy", "hold", "--suite", "smok"], "Did you mean smoke?"),
        (["--policy", "hold", "--task", "stak"], "Did you mean stack?"),
        (["--policy", "hold", "--suite", "smoke", "--seed", "1000000"], "where demonstrations begin"),
        (["--policy", "hold", "--task", "stack", "--axis", "blnk"], "Did you mean blank?"),
        (["--policy", "hold", "--task", "stack", "--arena", "kitchn"], "no arena is called 'kitchn'. Did you mean kitchen"),
        (["--policy", "hold", "--task", "stack", "--level", "plane"], "no level is called 'plane'. Did you mean plain"),
        (["--policy", "hold", "--task", "stack", "--layout", "unsen"], "no layout is called 'unsen'. Did you mean unseen"),
        (["--policy", "hold", "--task", "stack", "--policy-option", "seed"], "written key=value, not 'seed'"),
        (["--policy", "hold", "--task", "stack", "--retry-errors"], "--retry-errors goes with --resume RUN"),
        (["--resume", "nowhere"], "nowhere is not a run folder"),
        (["--policy", "nosuch", "--suite", "smoke"], "no policy is called 'nosuch'"),
        (["--policy", "hold", "--suite", "smoke", "--quality", "ultra"], "no quality is called 'ultra'"),
        (["--policy", "hold", "--suite", "smoke", "--look", "plastic"], "no look of the panda is called 'plastic'"),
        (["--policy", "hold", "--suite", "smoke", "--executor", "ray"], "no executor is called 'ray'"),
        (["--policy", "hold", "--suite", "smoke", "--shuffle", "-1"], "the seed of the order is 0 or more, not -1"),
        (["--policy", "hold", "--suite", "smoke", "--stop-after-errors", "-1"], "or 0 for never, not after -1"),
        (["--policy", "hold", "--suite", "smoke", "--workers", "0"], "at least 1 worker, not 0"),
        (["--policy", "hold", "--suite", "smoke", "--episode-timeout", "0"], "a time limit is more than 0 s, not 0"),
    ],
)
def test_a_wrong_command_line_is_answered_in_one_line(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", *words]) == 2
    told = capsys.readouterr().err
    assert message in told and "Traceback" not in told


# ------------------------------------------------------------------------------------------------------------------ show and demo
def test_show_tells_an_episode_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "open_drawer", "--seed", "4", "--catalogue", "core"]) == 0
    told = capsys.readouterr().out
    assert told.startswith("open_drawer, seed 4, panda, seen") and "goal          open(cabinet" in told and "translation[3] delta_position" in told


def test_show_prints_a_suite_with_the_digest_of_its_episodes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "smoke", "--task", "open_drawer", "--seed", "3"]) == 0
    assert "1 episodes (digest" in capsys.readouterr().out
    assert main(["show", "smoke", "--seed", "77"]) == 2
    assert "no seed of the suite 'smoke' is called '77'" in capsys.readouterr().err


def test_show_prints_specs_for_machines(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "open_drawer", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["task"] == "open_drawer"


@pytest.mark.gl
def test_demo_collects_and_tells_the_yield(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "d.hdf5"
    words = ["--size", "front=96", "--crop", "front=192", "--size", "wrist=64", "--frame-stride", "4", "--workers", "1", "--out", str(out)]
    assert main(["demo", "--task", "open_drawer", "--episodes", "2", "--noise", "1", *words]) == 0
    told, notes = capsys.readouterr()
    assert notes.splitlines()[-1] == f"data card: {out}.card/README.md" and (tmp_path / "d.hdf5.card" / "episodes.jpg").is_file()
    assert "open_drawer" in told and told.splitlines()[-1].endswith(f"demonstrations of 2 episodes ({out})")
    assert main(["demo", "--task", "open_drawer", "--episodes", "2", "--noise", "1", *words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["out"], told["episodes"], told["tasks"][0]["task"]) == (str(out), 2, "open_drawer")
    assert told["demonstrations"] == told["tasks"][0]["kept"] == 2 - len(told["tasks"][0]["not_kept"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "say what is demonstrated: --task T or --suite S"),
        (["--task", "stack", "--first-seed", "5"], "seeds below 1,000,000 are those that suites test with"),
        (["--task", "stack", "--arena", "kitchn"], "no arena is called 'kitchn'. Did you mean kitchen"),
        (["--task", "stack", "--level", "plane"], "no level is called 'plane'. Did you mean plain"),
        (["--task", "stack", "--layout", "unseen"], "made of what is held out for tests: unseen places of stack"),
        (["--task", "stack", "--arena", "unseen"], "made of what is held out for tests: unseen arenas of stack"),
        (["--task", "stack", "--size", "front=100"], "a crop of 256 pixels does not shrink to 100"),
        (["--task", "stack", "--size", "top=64"], "no camera of this dataset is called 'top'"),
        (["--task", "stack", "--noise", "-1"], "the noise is a factor between 0"),
        (["--task", "stack", "--workers", "0"], "there is at least 1 worker, not 0"),
        (["--task", "stack", "--cameras", "frnt"], "no camera of the scenes with 'panda' is called 'frnt'. Did you mean front? There are: front"),
        (["--suite", "unseen_objects"], "made of what is held out for tests: unseen objects of"),
        (["--suite", "blank"], "the variation blank=1 of"),
    ],
)
def test_a_wrong_demo_is_answered_in_one_line(tmp_path: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", *words, "--episodes", "1", "--out", str(tmp_path / "d.hdf5")]) == 2
    assert message in capsys.readouterr().err
