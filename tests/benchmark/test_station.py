"""A policy that was made for a station plays there, or elsewhere where that is asked for and said; never elsewhere without a word."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import fakes
import pytest

from vlagym.benchmark.cli import main
from vlagym.benchmark.entry import Entry
from vlagym.benchmark.rig import load_rig
from vlagym.benchmark.runner import RunOptions, run
from vlagym.benchmark.station import refuse_elsewhere
from vlagym.benchmark.suite import Suite
from vlagym.benchmark.suite_files import suite_of_header
from vlagym.envs.errors import ConventionMismatch, UnknownName
from vlagym.envs.types import EpisodeSpec
from vlagym.policies.profile import load_profile
from vlagym.policies.serving import rest
from vlagym.results import aggregate
from vlagym.results.store import Store

SHIPPED = Path(__file__).parents[2] / "benchmark/rigs/libero.toml"
LIBERO = load_profile("libero").spec("pi0")
WITHOUT, AT = Entry(task="stack", episodes=1), Entry(task="stack", episodes=1, rig="libero")


class Silent:
    def begins(self, path: Path, total: int, done: int, workers: int) -> None: ...

    def stored(self, result: object) -> None: ...


def mine(folder: Path, old: str = "", new: str = "") -> str:
    """Writes a rig of one's own, which bears the name of the one that ships."""
    text = SHIPPED.read_text(encoding="utf-8")
    assert old in text
    (folder / "libero.toml").write_text(text.replace(old, new, 1), encoding="utf-8")
    return str(folder / "libero.toml")


def test_a_policy_without_a_rig_plays_anywhere() -> None:
    assert not refuse_elsewhere(replace(LIBERO, rig=None), [WITHOUT, AT])


def test_elsewhere_than_at_its_rig_it_is_refused_in_a_line_that_says_what_to_write() -> None:
    assert not refuse_elsewhere(LIBERO, [AT])
    told = r"policy 'pi0' \(profile 'libero'\) was made for the rig 'libero', and stack is played without a rig.*: write --rig libero; .*--any-rig"
    with pytest.raises(ConventionMismatch, match=told) as caught:
        refuse_elsewhere(LIBERO, [AT, WITHOUT])
    assert "\n" not in str(caught.value)
    with pytest.raises(ConventionMismatch, match="stack is played at 'droid'"):
        refuse_elsewhere(LIBERO, [replace(AT, rig="droid")])


def test_elsewhere_it_plays_where_that_is_asked_for_but_not_with_another_robot() -> None:
    assert refuse_elsewhere(LIBERO, [WITHOUT], any_rig=True)
    assert not refuse_elsewhere(LIBERO, [AT], any_rig=True), "it is at home"
    for any_rig in (False, True):
        with pytest.raises(ConventionMismatch, match="'libero', which is one of 'panda', and stack is played by 'jaco': write --rig libero"):
            refuse_elsewhere(LIBERO, [replace(WITHOUT, robot="jaco")], any_rig=any_rig)


def test_a_copy_of_a_rig_is_that_rig_and_a_changed_one_is_another(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    assert not refuse_elsewhere(LIBERO, [replace(WITHOUT, rig=mine(tmp_path / "a", "about = ", 'about = "the same"  # '))])
    (tmp_path / "b").mkdir()
    with pytest.raises(ConventionMismatch, match="stack is played at '.*libero.toml'"):
        refuse_elsewhere(LIBERO, [replace(WITHOUT, rig=mine(tmp_path / "b", "width = 256", "width = 128"))])


def test_a_rig_that_does_not_exist_is_answered_with_the_near_ones() -> None:
    spec = replace(LIBERO, rig="libera", profile=None)
    with pytest.raises(UnknownName, match="the station that policy 'pi0' was made for: no rig is called 'libera'. Did you mean libero"):
        refuse_elsewhere(spec, [AT])


# ------------------------------------------------------------------------------------------------------------------------- in runs
def made_for_libero() -> fakes.Carrier:
    policy = fakes.CARRIER(None, {})
    policy.spec = replace(policy.spec, rig="libero", runs_in_worker=False)
    return policy


def options(out: Path, entry: Entry, *, any_rig: bool = False) -> RunOptions:
    suite = Suite(name="tiny", version=1, entries=(entry,))
    return RunOptions(policy="pi0", suite=suite, executor="serial", out=out, make_world=fakes.make_world, load=made_for_libero, any_rig=any_rig)


def test_a_run_elsewhere_is_refused_before_anything_is_sampled_or_written(tmp_path: Path) -> None:
    def expand() -> tuple[EpisodeSpec, ...]:
        raise AssertionError("sampled")

    with pytest.raises(ConventionMismatch, match="write --rig libero"):
        run(options(tmp_path / "run", WITHOUT), expand, Silent())
    assert not (tmp_path / "run").exists()


def test_a_run_elsewhere_that_was_asked_for_says_so_in_header_and_table(tmp_path: Path) -> None:
    for name, entry, any_rig in (("home", AT, True), ("away", WITHOUT, True)):
        run(options(tmp_path / name, entry, any_rig=any_rig), [fakes.spec(0)], Silent())
    home, away = (Store.open(tmp_path / name).header.policy for name in ("home", "away"))
    assert (home["rig"], away["rig"], "any_rig" in home, away["any_rig"]) == ("libero", "libero", False, True)
    notes = [aggregate.aggregate([aggregate.Run.load(tmp_path / name)], ()).notes for name in ("home", "away")]
    said = [[note for note in of if "was made for the rig 'libero' and played elsewhere (--any-rig)" in note] for of in notes]
    assert [len(of) for of in said] == [0, 1]


def test_the_command_refuses_a_profile_of_another_rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "station_of_mine.py").write_text("class P:\n    profile = 'libero'\n    def act(self, seen):\n        return [0.0] * 7\n")
    monkeypatch.syspath_prepend(tmp_path)
    words = ["--task", "stack", "--episodes", "1", "--executor", "serial", "--out", str(tmp_path / "run")]
    assert main(["run", "--policy", "python:station_of_mine:P", *words]) == 2
    told = capsys.readouterr().err
    assert "was made for the rig 'libero', and stack is played without a rig" in told and "Traceback" not in told
    assert not (tmp_path / "run").exists()


# --------------------------------------------------------------------------------------------------------------------- one's own
def test_a_rig_of_a_file_is_named_as_such_and_the_header_knows_its_content(tmp_path: Path) -> None:
    path = mine(tmp_path)
    suite = Suite(name="tiny", version=1, entries=(WITHOUT,)).restrict(rig=path)
    assert suite.name == "tiny@libero.toml", "not like the one that ships"
    assert suite.restrict(rig="libero").name == "tiny@libero" and suite.restrict(rig="none").name == "tiny"
    made = replace(options(tmp_path / "run", WITHOUT), suite=suite)
    header = Store.open(run(made, [fakes.spec(0)], Silent()).path).header
    assert header.suite["rigs"] == {path: load_rig(path).digest()} and suite_of_header(header.suite, "header") == suite
    other = tmp_path / "other"
    other.mkdir()
    assert load_rig(mine(other, "width = 256", "width = 128")).digest() != load_rig(path).digest() == load_rig("libero").digest()


@pytest.mark.parametrize(("declares", "told"), [("profile = 'libero'", "--suite smoke --rig libero"), ("profile = 'vlagym'", "--suite smoke")])
def test_what_serves_a_policy_says_at_which_rig_it_is_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], declares: str, told: str
) -> None:
    module = f"served_{declares[-4:-1]}"
    (tmp_path / f"{module}.py").write_text(f"class P:\n    {declares}\n    def act(self, seen):\n        return [0.0] * 7\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(rest.SERVER, "serve_forever", lambda self: None)
    assert main(["serve", "--policy", f"python:{module}:P", "--protocol", "rest", "--port", "0"]) == 0
    said = capsys.readouterr()
    assert f"vlagym run --policy rest:{said.out.strip()} {told}\n" in said.err
