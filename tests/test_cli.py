"""What the command line promises: light start, one-line errors, exit statuses, what is listed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from vlagym.benchmark import cli, console
from vlagym.envs import catalog
from vlagym.envs.errors import BadData

HEAVY = ("mujoco", "torch", "numpy", "pandas", "gymnasium", "scipy", "h5py")


def run_vlagym(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "vlagym.benchmark.cli", *words]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["list"], ["list", "policies"], ["list", "commands", "--json"], ["list", "tasks"]])
def test_what_only_reads_names_imports_little_and_nothing_heavy(words: list[str]) -> None:
    """What a start costs is what it imports; a time would depend on who else uses the machine."""
    code = "import sys; before = set(sys.modules); from vlagym.benchmark import cli; status = cli.main({!r}); print(json.dumps({}), file=sys.stderr)"
    told = "[status, sorted(set(sys.modules) - before)]"
    command = [sys.executable, "-c", "import json; " + code.format(words, told)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    status, loaded = json.loads(done.stderr)
    heavy, own = {name for name in HEAVY if name in loaded}, [name for name in loaded if name.split(".")[0] == "vlagym"]
    assert status == 0
    if words == ["list", "tasks"]:  # which robots can do a task stands in its file, which is read with numpy
        assert heavy == {"numpy"} and not any(name.startswith(("vlagym.policies.", "vlagym.results.")) for name in own)
    else:
        assert not heavy and len(own) <= 12 and len(loaded) <= 60


def test_help_names_every_verb_with_what_it_is_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == cli.DONE
    out = capsys.readouterr().out
    for verb in catalog.names("command"):
        assert f"  {verb} " in out
        assert catalog.summary("command", verb) in out


def test_without_a_verb_the_help_goes_to_stderr_and_the_status_is_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == cli.USER_ERROR
    captured = capsys.readouterr()
    assert captured.out == "" and "usage: vlagym VERB" in captured.err


def test_an_unknown_verb_is_answered_with_the_near_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["lits"]) == cli.USER_ERROR
    err = capsys.readouterr().err
    assert "no command is called 'lits'. Did you mean list?" in err and err.count("\n") == 1


def test_an_unknown_kind_is_answered_with_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["list", "taks"]) == cli.USER_ERROR
    assert "no kind is called 'taks'. Did you mean tasks?" in capsys.readouterr().err


def test_a_wrong_option_is_one_line_and_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["list", "tasks", "--jsno"]) == cli.USER_ERROR
    err = capsys.readouterr().err
    assert err == "vlagym list: unrecognized arguments: --jsno (see: vlagym list --help)\n"


def test_options_are_not_guessed_from_their_beginning(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["list", "tasks", "--js"]) == cli.USER_ERROR


def test_an_error_of_the_user_is_one_line_without_a_traceback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fails(args: Sequence[str]) -> int:
        raise BadData("runs/x/header.json is cut short")

    monkeypatch.setattr(catalog, "load", lambda kind, name: fails)
    assert cli.main(["list"]) == cli.USER_ERROR
    assert capsys.readouterr().err == "vlagym list: runs/x/header.json is cut short\n"


def test_a_bug_keeps_its_traceback_and_is_no_failed_check(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fails(args: Sequence[str]) -> int:
        raise ZeroDivisionError

    monkeypatch.setattr(catalog, "load", lambda kind, name: fails)
    assert cli.main(["list"]) == cli.BUG == 70
    err = capsys.readouterr().err
    assert err.startswith("Traceback (most recent call last)") and "raise ZeroDivisionError" in err


def test_a_sys_exit_deep_in_a_command_does_not_pass_for_success(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def leaves(args: Sequence[str]) -> int:
        sys.exit(0)

    monkeypatch.setattr(catalog, "load", lambda kind, name: leaves)
    assert cli.main(["run"]) == cli.BUG
    assert "sys.exit(0) was called where a command or a policy should have returned or raised" in capsys.readouterr().err


def test_a_file_that_cannot_be_written_is_one_line_and_status_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def writes(args: Sequence[str]) -> int:
        (tmp_path / "film.mp4").mkdir()
        (tmp_path / "film.mp4").write_bytes(b"")
        return 0

    monkeypatch.setattr(catalog, "load", lambda kind, name: writes)
    assert cli.main(["replay"]) == cli.USER_ERROR
    assert capsys.readouterr().err == f"vlagym replay: {tmp_path}/film.mp4: Is a directory\n"


def test_an_interrupted_command_ends_with_130(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(args: Sequence[str]) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(catalog, "load", lambda kind, name: interrupted)
    assert cli.main(["list"]) == 130
    assert "interrupted" in capsys.readouterr().err


def test_an_outsider_adds_a_verb_without_a_fork(tmp_path: Path) -> None:
    (tmp_path / "my_verbs.py").write_text('"""Mine."""\ndef main(args):\n    print("mine", *args)\n    return 1\n')
    done = run_vlagym("my_verbs:main", "a", "b", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "mine a b\n")


def test_a_reader_that_leaves_early_is_no_error() -> None:
    command = [sys.executable, "-m", "vlagym.benchmark.cli", "list", "commands"]
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    os.close(write)
    assert done.returncode == 128 + signal.SIGPIPE and done.stderr == ""


KINDS = ["axes", "commands", "executors", "fixtures", "formats", "metrics", "objects", "policies", "protocols", "robots", "suites", "tasks"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_listed_for_people_and_for_machines(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["list", kind, "--json"]) == cli.DONE
    rows = json.loads(capsys.readouterr().out)
    assert all(row["name"] for row in rows)
    assert cli.main(["list", kind]) == cli.DONE
    out = capsys.readouterr().out
    assert all(row["name"] in out for row in rows)


def test_metrics_are_listed_with_unit_and_direction(capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["list", "metrics", "--json"])
    rows = json.loads(capsys.readouterr().out)
    assert rows and all({"unit", "better", "summary"} <= set(row) and row["better"] in ("higher", "lower") for row in rows)


def test_tasks_are_listed_with_bodies_bases_and_what_a_body_cannot_do(capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["list", "tasks", "--json"])
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["pick_up"]["robots"] == ["panda", "jaco"] and rows["pick_up"]["bases"] == ["fixed"] and rows["pick_up"]["cannot"] == {}
    point = rows["point_at"]
    assert "g1" in point["robots"] and "legs" in point["bases"] and "panda_bimanual" in point["cannot"]
    cli.main(["list", "tasks"])
    told = capsys.readouterr().out
    assert "what a body cannot do:" in told and point["cannot"]["panda_bimanual"] in told


def test_robots_are_listed_with_bases_controls_and_groups(capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["list", "robots", "--json"])
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["g1"]["bases"] == ["fixed", "planar", "legs"] and rows["g1"]["controls"][0] == "bimanual_ee_delta"
    assert rows["g1"]["groups"]["left_arm"] == 7 and rows["panda"]["groups"] == {}
    cli.main(["list", "robots"])
    assert "left_arm 7" in capsys.readouterr().out


def test_objects_are_listed_with_kind_and_split(capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["list", "objects", "--json"])
    rows = json.loads(capsys.readouterr().out)
    assert rows and all({"kind", "split", "colour", "names"} <= set(row) for row in rows)


def test_columns_of_numbers_are_flush_right() -> None:
    assert console.table([["a", 1], ["bcd", 22.5], ["e", None]], ["name", "value"]) == "name  value\na         1\nbcd    22.5\ne"


def test_a_row_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match=r"a row has 1 cells for 2 columns \(name, value\)"):
        console.table([["a"]], ["name", "value"])


def test_progress_off_a_terminal_is_one_plain_line_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    with console.Progress(3, "smoke") as progress:
        for outcome in ("success", "failure", "success"):
            progress.advance(note=outcome)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("smoke: 3/3 ep  ") and captured.err.endswith("(success)\n") and captured.err.count("\n") == 1


def test_what_was_done_before_a_resume_does_not_enter_the_rate(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    now_s = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now_s[0])
    with console.Progress(30, "smoke", done=20) as progress:
        now_s[0] += 10.0
        progress.advance(5)
    assert "smoke: 25/30 ep  10 s spent  2 s/ep  10 s left" in capsys.readouterr().err


@pytest.mark.parametrize("variables", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_colour_is_withheld_where_it_is_not_wanted(variables: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert console.paint("x", "red") == "\033[31mx\033[0m"
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert console.paint("x", "red") == "x"
