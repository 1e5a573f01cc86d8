"""`vlagym compare` as it is typed: what it prints, what it plays, and what it refuses."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from types import ModuleType

import fakes  # noqa: F401 -- so that its name is known here
import pytest

from vlagym.benchmark.cli import main
from vlagym.benchmark.journal import FILE
from vlagym.results.store import Store

WORDS = {"s": "success", "f": "failure", "e": "error"}


def write_run(traces: ModuleType, path: Path, policy: str, outcomes: str) -> str:
    with Store.create(path, traces.make_header(policy=policy, episodes=len(outcomes))) as store:
        for seed, letter in enumerate(outcomes):
            store.append(traces.make_result(traces.make_spec(seed=seed, task=["stack", "push"][seed % 2]), outcome=WORDS[letter]), None)
    return str(path)


def test_two_runs_are_compared_task_by_task_and_in_all(traces: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [write_run(traces, tmp_path / "a", "minivla", "s" * 28 + "fe"), write_run(traces, tmp_path / "b", "hold", "f" * 29 + "s")]
    assert main(["compare", *runs, "--difference", "0.1"]) == 0
    told = capsys.readouterr().out
    assert re.search(r"^push +14 +1 +100\.0 % \[78\.5, 100\.0\] +0\.0 % \[0\.0, 21\.5\] +\+100\.0 \[\d+\.\d, 100\.0\] +14 +0 ", told, re.M)
    assert re.search(r"^all +29 +1 +96\.6 % ", told, re.M)
    assert "1 episodes ended in an error for one of them and are set aside. If errors were failures: +90.0 [" in told
    assert "looked at as often as one likes: minivla is better, known after " in told and "and if errors were failures: minivla is better" in told
    assert "sees a difference like this one with power 0.8 from " in told
    assert told.splitlines()[-1] == "30 pairs: 28 only minivla, 0 only hold, 1 alike; 1 with an error"


def test_json_holds_all_of_it(traces: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [write_run(traces, tmp_path / "a", "minivla", "s" * 20), write_run(traces, tmp_path / "b", "hold", "f" * 20)]
    assert main(["compare", *runs, "--json", "--alpha", "0.1"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["first"], told["second"], told["alpha"], told["total"]["first_only"]) == ("minivla", "hold", 0.1, 20)
    assert told["total"]["difference"]["mean"] == 1.0 and [row["task"] for row in told["tasks"]] == ["push", "stack"]
    assert told["sequential"]["decided"] == "first" and told["sequential_if_failures"] is None


def test_of_more_runs_each_is_compared_with_each(traces: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts = {"hold": "f" * 30, "minivla": "s" * 27 + "fff", "expert": "s" * 30}
    runs = [write_run(traces, tmp_path / name, name, text) for name, text in texts.items()]
    assert main(["compare", *runs]) == 0
    told = capsys.readouterr().out
    assert re.search(r"^hold - minivla +30 +0 +-90\.0 ", told, re.M) and re.search(r"^hold +b$", told, re.M)
    assert re.search(r"^expert +a\nminivla +a\n", told, re.M) and "Policies that share a letter are not told apart" in told
    assert main(["compare", *runs, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["letters"] == {"expert": "a", "minivla": "a", "hold": "b"} and found["names"] == ["expert", "minivla", "hold"]
    assert [c["first"] for c in found["comparisons"]] == ["hold", "hold", "minivla"] and len(found["p_adjusted"]) == 3


def test_policies_are_played_until_a_limit_and_go_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "c"
    words = ["--task", "open_drawer", "--episodes", "2", "--difference", "0.5", "--executor", "serial", "--out", str(out)]
    assert main(["compare", "--policies", "hold", "uniform", *words, "--max-episodes", "1"]) == 0
    told = capsys.readouterr()
    assert "1 episodes each: not decided after 1 looks" in told.err
    assert f"not decided: as many episodes were played as were allowed. Go on with: vlagym compare --resume {out}" in told.out
    assert told.out.splitlines()[-1] == f"1 of 2 episodes of each policy were played; 2 of 4 were saved ({out})"
    assert main(["compare", "--resume", str(out), "--executor", "serial", "--json"]) == 0
    told = capsys.readouterr()
    found = json.loads(told.out)
    assert (found["ending"], found["decided"], found["played"], found["played_before"], found["saved"]) == ("suite", None, 2, 1, 0)
    assert "hold: 2 episodes at most, 1 of them stored before" in told.err
    assert main(["run", "--resume", found["first_run"], "--executor", "serial"]) == 0, "an ordinary run folder"
    assert Store.open(found["second_run"]).header.command[:3] == ("vlagym", "compare", "--policies")
    assert (out / FILE).exists()


def test_it_exits_with_3_where_episodes_ended_in_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--task", "open_drawer", "--episodes", "1", "--executor", "serial", "--out", str(tmp_path / "c")]
    assert main(["compare", "--policies", "hold", "fakes:BROKEN", *words]) == 3
    told = capsys.readouterr()
    assert "ValueError: I have no idea" in told.err and "nothing is known yet" in told.out and "1 pairs: 0 only hold" in told.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "name two run folders or more, or two policies that are to be played: --policies P Q --suite S"),
        (["runs/a"], "name two run folders or more"),
        (["runs/a", "runs/a"], "runs/a is named twice: a run does not differ from itself"),
        (["runs/a", "--policies", "hold", "expert"], "name run folders, or policies to be played, not both: runs/a and --policies"),
        (["runs/a", "runs/b", "--workers", "2"], "--workers goes with --policies P Q"),
        (["--policies", "hold", "expert"], "say on what they are compared: --suite S or --task T. Suites: "),
        (["--policies", "hold", "expert", "--suite", "smok"], "Did you mean smoke?"),
        (["--policies", "hold", "exprt", "--task", "stack", "--episodes", "1", "--executor", "serial"], "Did you mean expert?"),
        (["--policies", "hold", "expert", "--suite", "smoke", "--difference", "10"], "0.1 is ten points of success rate"),
        (["--resume", "nowhere"], "nowhere is not the folder of a comparison"),
        (["--resume", "nowhere", "--difference", "0.1"], "a comparison is resumed as it was begun: leave out --difference"),
    ],
)
def test_a_wrong_command_line_is_answered_in_one_line(
    words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["compare", *words]) == 2
    told = capsys.readouterr().err
    assert message in told and "Traceback" not in told


def test_runs_of_other_suites_are_refused(traces: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = write_run(traces, tmp_path / "a", "hold", "ff")
    with Store.create(tmp_path / "b", traces.make_header(policy="expert", suite="tabletop")) as store:
        store.append(traces.make_result(traces.make_spec(seed=77), outcome="success"), None)
    assert main(["compare", one, str(tmp_path / "b")]) == 2
    told = capsys.readouterr().err
    assert "have no episode in common and cannot be compared; they differ in suite.name: smoke against tabletop" in told


def test_runs_of_a_comparison_are_looked_at_in_its_order(traces: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "c"
    runs = [write_run(traces, folder / "first-minivla", "minivla", "f" * 30 + "s" * 30), write_run(traces, folder / "second-hold", "hold", "f" * 60)]
    assert main(["compare", *runs, "--json"]) == 0
    apart = json.loads(capsys.readouterr().out)
    order = [traces.make_spec(seed=seed, task=["stack", "push"][seed % 2]).digest() for seed in range(59, 19, -1)]
    design = {"difference": 0.1, "order_seed": 7}
    told = {"schema": 1, "design": design, "digest": "", "runs": ["first-minivla", "second-hold"], "looks": [], "order": order}
    (folder / FILE).write_text(json.dumps(told), encoding="utf-8")
    assert main(["compare", *runs, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["sequential"]["n"] == 40 and apart["sequential"]["n"] == 60
    assert found["sequential"]["decided_at"] < apart["sequential"]["decided_at"], "the wins came first"
    assert any(note.startswith("played by one comparison: the 40 scenes that it looked at are taken in its order") for note in found["notes"])
    assert "the order of the looks is that of --order-seed 7: the answer holds only if no other order was tried" in found["notes"]


def test_a_difference_that_is_chosen_after_playing_is_said_to_be(traces: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [write_run(traces, tmp_path / "a", "minivla", "sf" * 15), write_run(traces, tmp_path / "b", "hold", "fs" * 15)]
    assert main(["compare", *runs, "--difference", "0.3"]) == 0
    assert "that 30 points matter was said after the runs were played" in capsys.readouterr().out
    assert main(["compare", *runs]) == 0
    assert "was said after" not in capsys.readouterr().out


def test_a_mean_over_scenes_is_told_apart_from_one_over_episodes(traces: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = []
    for policy, wins in (("minivla", True), ("hold", False)):
        with Store.create(tmp_path / policy, traces.make_header(policy=policy)) as store:
            for seed in range(8):
                twin = traces.make_spec(seed=seed)
                varied = [dataclasses.replace(twin, axes=(("camera", level),), base=twin.digest()) for level in range(1, 4) if seed == 0]
                for spec in (twin, *varied):
                    store.append(traces.make_result(spec, outcome="success" if wins and seed == 0 else "failure"), None)
        runs.append(str(tmp_path / policy))
    assert main(["compare", *runs]) == 0
    told = capsys.readouterr().out
    assert "- that difference is the mean over 8 scenes, each counted once, and that of the table (+36.4) the mean over 11 episodes" in told
