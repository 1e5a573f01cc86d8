"""Damaged run folders: what can be read is read, what cannot is told, nothing is changed."""

from __future__ import annotations

import dataclasses
import functools
import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from vlagym.envs.errors import BadData
from vlagym.results.salvage import Salvaged, read_run
from vlagym.results.published import VERIFIED, Verified, publish
from vlagym.results.store import Store

Change = Callable[[dict[str, Any]], None]


@pytest.fixture
def run(traces: ModuleType, tmp_path: Path) -> Path:
    """A run of six successes, whose header names their task."""
    folder = tmp_path / "hold-smoke"
    header = traces.make_header(episodes=6)
    header = dataclasses.replace(header, suite={**header.suite, "entry": [{"task": "place_on"}]})
    with Store.create(folder, header) as store:
        for seed in range(6):
            store.append(traces.make_result(traces.make_spec(seed=seed)), None)
    return folder


def listing(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def read(folder: Path) -> Salvaged:
    """Reads, and sees to it that nothing was written."""
    before = listing(folder)
    found = read_run(folder)
    assert listing(folder) == before
    return found


def seeds(found: Salvaged) -> list[int]:
    assert found.run is not None
    return [r.seed for r in found.run.results]


def change_line(folder: Path, number: int, change: Change | str) -> None:
    lines = (folder / "episodes.jsonl").read_text(encoding="utf-8").splitlines()
    if isinstance(change, str):
        lines[number - 1] = change
    else:
        data = json.loads(lines[number - 1])
        change(data)
        lines[number - 1] = json.dumps(data)
    (folder / "episodes.jsonl").write_text("".join(line + "\n" for line in lines), encoding="utf-8")


def change_header(folder: Path, change: Change) -> None:
    data = json.loads((folder / "header.json").read_text(encoding="utf-8"))
    change(data)
    (folder / "header.json").write_text(json.dumps(data), encoding="utf-8")


def test_a_whole_folder_is_read_as_the_store_reads_it(run: Path) -> None:
    found = read(run)
    assert found.complaints == () and found.run is not None
    assert list(found.run.results) == Store.open(run).results() and found.run.header == Store.open(run).header
    assert found.run.name == "hold-smoke"


# -------------------------------------------------------------------------------------------------------------------------- lines
@pytest.mark.parametrize("cut", [1, 100, 500])
def test_a_ledger_that_was_cut_in_the_middle_of_a_line_is_read_up_to_it(run: Path, cut: int) -> None:
    ledger = run / "episodes.jsonl"
    ledger.write_bytes(ledger.read_bytes()[:-cut])
    found = read(run)
    assert seeds(found) == [0, 1, 2, 3, 4]
    (told,) = found.complaints
    assert "episodes.jsonl: line 6 was cut off after " in told and told.endswith("its episode is left out")


def test_lines_that_cannot_be_read_are_counted_with_their_numbers_and_why(run: Path) -> None:
    change_line(run, 2, '{"digest": "12')
    change_line(run, 4, lambda data: data.pop("outcome"))
    change_line(run, 5, lambda data: data.update(outcome="victory"))
    with pytest.raises(BadData, match="line 2 is not JSON"):
        Store.open(run)
    found = read(run)
    assert seeds(found) == [0, 2, 5]
    told, whose = found.complaints
    assert whose.endswith("nobody knows of which episode line 2 was: one that was played again may be counted by what stands before line 2")
    assert "episodes.jsonl: 3 lines are left out, for they cannot be read: " in told
    assert "line 2 is not JSON: " in told and "line 4 lacks the key 'outcome'" in told and "line 5.outcome is 'victory'; it must be one of" in told


def test_of_many_unreadable_lines_a_few_are_named(run: Path) -> None:
    (run / "episodes.jsonl").write_text("garbage\n" * 40, encoding="utf-8")
    found = read(run)
    assert seeds(found) == [] and "40 lines" in found.complaints[0] and "and 36 more" in found.complaints[0]
    assert found.complaints[1].endswith("holds no episode that can be read")


@pytest.mark.parametrize("word", ["NaN", "Infinity", "1e999"])
def test_a_measure_that_is_no_number_is_missing_and_told(run: Path, word: str) -> None:
    text = (run / "episodes.jsonl").read_text(encoding="utf-8").splitlines()
    text[2] = text[2].replace('"steps":4.0', f'"steps":{word}')
    (run / "episodes.jsonl").write_text("\n".join(text) + "\n", encoding="utf-8")
    found = read(run)
    assert found.run is not None and [r.measures["steps"] for r in found.run.results] == [4.0, 4.0, None, 4.0, 4.0, 4.0]
    (told,) = found.complaints
    assert told.endswith("measures that are no number (NaN or infinite) are taken for missing: line 3 (steps)")


def test_a_time_that_is_no_number_costs_the_line(run: Path) -> None:
    change_line(run, 3, lambda data: data.update(wall_s=float("nan")))
    found = read(run)
    assert seeds(found) == [0, 1, 3, 4, 5] and "line 3 lasted 0.2 s, in nan s of wall time" in found.complaints[0]


def test_lines_of_a_newer_version_are_read_without_what_it_added(run: Path) -> None:
    for number in (1, 2):
        change_line(run, number, lambda data: data.update(mood="good"))
    change_line(run, 3, lambda data: data["certificate"].update(seal="red"))
    found = read(run)
    assert seeds(found) == [0, 1, 2, 3, 4, 5]
    (told,) = found.complaints
    assert "keys that this version does not know (certificate.seal, mood; 2 lines): they were written by a newer vlagym: pip install" in told


def test_a_retry_replaces_an_error_and_is_nothing_to_complain_of(tmp_path: Path, traces: ModuleType) -> None:
    with Store.create(tmp_path / "run", traces.make_header()) as store:
        store.append(traces.make_result(outcome="error"), None)
        store.append(traces.make_result(attempt=2), None)
    found = read(tmp_path / "run")
    assert found.complaints == () and found.run is not None and [r.attempt for r in found.run.results] == [2]


def test_an_attempt_that_is_told_of_twice_and_not_alike_is_told(run: Path) -> None:
    lines = (run / "episodes.jsonl").read_text(encoding="utf-8").splitlines()
    other = json.loads(lines[1])
    other.update(outcome="failure", ended_by="horizon", steps=240, measures={"success": 0.0})
    (run / "episodes.jsonl").write_text("\n".join([*lines, json.dumps(other)]) + "\n", encoding="utf-8")
    found = read(run)
    assert found.run is not None and found.run.results[1].outcome == "failure" and len(found.run.results) == 6
    (told,) = found.complaints
    assert "lines 2 and 7 both tell of attempt 1 of episode" in told and "(place_on seed 1), and not alike; the last one counts" in told


def test_an_outcome_that_was_flipped_in_a_second_line_is_told_twice_over(run: Path) -> None:
    path = run / "episodes.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join([*lines, json.dumps({**json.loads(lines[3]), "outcome": "failure"})]) + "\n", encoding="utf-8")
    twice, contradiction = read(run).complaints
    assert "lines 4 and 7 both tell of attempt 1" in twice
    assert "the outcome of 1 line is at odds with its measure `success`: line 7; the outcome counts, and `vlagym verify` finds" in contradiction
    flipped = {**json.loads(lines[3]), "outcome": "failure", "measures": {"success": 0.0, "steps": 4.0}}
    path.write_text("\n".join([*lines, json.dumps(flipped)]) + "\n", encoding="utf-8")
    (twice,) = read(run).complaints
    assert "lines 4 and 7 both tell of attempt 1" in twice


def test_an_episode_that_was_measured_anew_is_told_of_twice_and_alike(run: Path) -> None:
    with Store.resume(run) as store:
        first = store.results()[0]
        store.amend([dataclasses.replace(first, measures={**first.measures, "toppled": 1.0})])
    found = read(run)
    assert found.complaints == () and found.run is not None and found.run.results[0].measures["toppled"] == 1.0


# ---------------------------------------------------------------------------------------------------------------------- mixed suites
def test_lines_of_a_task_of_another_suite_are_left_out(run: Path) -> None:
    for number in (2, 5):
        change_line(run, number, lambda data: data.update(task="stack"))
    found = read(run)
    assert seeds(found) == [0, 2, 3, 5]
    (told,) = found.complaints
    assert "mixes suites: 2 lines are of episodes that its suite 'smoke' does not hold (stack on panda) and left out: line 2, 5" in told


def test_lines_of_a_robot_or_a_variation_that_the_suite_does_not_hold_are_left_out(run: Path) -> None:
    entry = {"task": "place_on", "robot": "panda", "axes": [], "vary": ["camera=1..3", "friction=1,3+mass=2"]}
    change_header(run, lambda data: data["suite"].update(entry=[entry]))
    held: list[dict[str, Any]] = [{}, {"camera": 3}, {"friction": 3, "mass": 2}]
    for number, axes in enumerate([*held, {"camera": 4}, {"mass": 2}], start=1):
        change_line(run, number, functools.partial(dict.update, axes=axes))
    change_line(run, 6, lambda data: data.update(robot="g1"))
    found = read(run)
    assert seeds(found) == [0, 1, 2]
    (told,) = found.complaints
    assert "3 lines are of episodes" in told and told.endswith("left out: line 4, 5, 6")
    assert "(place_on on g1, place_on on panda camera=4, place_on on panda mass=2)" in told


def test_lines_of_seeds_that_the_run_does_not_have_are_left_out(run: Path) -> None:
    change_header(run, lambda data: data["seeds"].update(first=0, last=3))
    found = read(run)
    assert seeds(found) == [0, 1, 2, 3]
    (told,) = found.complaints
    assert "2 lines are of episodes" in told and told.endswith("does not hold (seed 4, seed 5) and left out: line 5, 6")


def test_more_episodes_than_the_header_promises_are_told(run: Path) -> None:
    change_header(run, lambda data: data["suite"].update(episodes=4))
    found = read(run)
    assert len(seeds(found)) == 6 and "holds 6 episodes where the header promises 4" in found.complaints[0]


# ------------------------------------------------------------------------------------------------------------------------- header
def test_a_header_of_a_newer_schema_is_read_as_far_as_it_is_understood(run: Path) -> None:
    change_header(run, lambda data: data.update(schema=2, weather="fair"))
    with pytest.raises(BadData, match="has schema 2"):
        Store.open(run)
    found = read(run)
    assert len(seeds(found)) == 6
    assert "header.json has schema 2, and this version of vlagym reads 1: it is read as far as it is understood" in found.complaints[0]
    assert "keys that this version does not know (weather)" in found.complaints[1]


def test_a_number_of_the_header_that_is_none_is_missing(run: Path) -> None:
    change_header(run, lambda data: data["policy"]["options"].update(temperature=float("nan")))
    found = read(run)
    assert found.run is not None and found.run.header.policy["options"] == {"temperature": None}
    assert "header.json holds what is no number (NaN): it is taken for missing" in found.complaints[0]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda path: path.write_text(path.read_text()[:200]), "is not JSON: .*Without it nobody knows whose episodes these are: restore the file"),
        (lambda path: path.write_bytes(b"\xff\xfe\x00"), "header.json cannot be read: .*Without it nobody knows whose episodes these are: restore the file"),
        (lambda path: path.write_text("[]"), "Without it nobody knows"),
        (lambda path: path.write_text('{"schema": 1}'), "lacks the key 'suite'"),
        (lambda path: path.unlink(), "is not a run folder: it has no header.json"),
    ],
)
def test_without_a_header_there_is_no_run(run: Path, change: Callable[[Path], Any], told: str) -> None:
    change(run / "header.json")
    found = read(run)
    assert found.run is None
    with pytest.raises(BadData, match=told):
        raise BadData(found.complaints[-1])


def test_a_header_that_names_nobody_is_no_header(run: Path) -> None:
    change_header(run, lambda data: data["policy"].update(name=None))
    assert read(run).run is None and "names no policy" in read(run).complaints[0]


# -------------------------------------------------------------------------------------------------------------------------- folders
def test_an_empty_folder_and_none_at_all_are_no_runs(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert read_run(tmp_path / "empty") == Salvaged(None, (f"{tmp_path / 'empty'} is not a run folder: it is empty.",))
    assert read_run(tmp_path / "nowhere") == Salvaged(None, (f"{tmp_path / 'nowhere'} is not a run folder: it is not there.",))


def test_a_run_without_a_ledger_or_without_an_episode_is_empty(run: Path) -> None:
    (run / "episodes.jsonl").write_text("", encoding="utf-8")
    found = read(run)
    assert seeds(found) == [] and found.complaints == (f"{run / 'episodes.jsonl'} holds no episode that can be read",)
    (run / "episodes.jsonl").unlink()
    found = read(run)
    assert seeds(found) == [] and "the ledger was removed, and with it every episode" in found.complaints[0]


def test_a_packed_ledger_that_was_cut_is_read_as_far_as_it_is_whole(traces: ModuleType, tmp_path: Path) -> None:
    run, out = tmp_path / "run", tmp_path / "published"
    specs = [traces.make_spec(seed=i) for i in range(40)]
    with Store.create(run, traces.make_header()) as store:
        for spec in specs:
            store.append(traces.make_result(spec), None)
    publish(run, out)
    packed = out / "episodes.jsonl.gz"
    packed.write_bytes(packed.read_bytes()[:-200])
    salvaged = read_run(out)
    assert salvaged.run is not None and 0 < len(salvaged.run.results) < 40
    assert any("episodes.jsonl.gz is damaged (it ends too early): what comes before that is read" in told for told in salvaged.complaints)


# ------------------------------------------------------------------------------------------------------------- what was superseded
def test_an_older_line_does_not_take_the_place_of_a_later_one_that_cannot_be_read(run: Path) -> None:
    ledger = run / "episodes.jsonl"
    lines = ledger.read_text(encoding="utf-8").splitlines()
    worse = [line.replace('"outcome":"success"', '"outcome":"failure"').replace('"ended_by":"goal"', '"ended_by":"horizon"') for line in lines[:3]]
    ledger.write_text("\n".join([*lines, worse[0][:-1], worse[1].replace('"task":"place_on"', '"task":"stack"'), worse[2][:80]]), encoding="utf-8")
    found = read(run)
    assert seeds(found) == [3, 4, 5]
    digests = [json.loads(line)["digest"][:12] for line in lines[:3]]
    assert "3 episodes are left out although an older line of each can be read, for a later one superseded it: " in found.complaints[-1]
    assert all(f"{digest} (line {number})" in found.complaints[-1] for digest, number in zip(digests, (7, 8, 9), strict=True))


def test_a_damaged_line_that_a_later_one_supersedes_costs_nothing(run: Path) -> None:
    ledger = run / "episodes.jsonl"
    lines = ledger.read_text(encoding="utf-8").splitlines()
    ledger.write_text("\n".join([lines[0][:-1], *lines]) + "\n", encoding="utf-8")
    found = read(run)
    assert seeds(found) == [0, 1, 2, 3, 4, 5] and len(found.complaints) == 1


# ------------------------------------------------------------------------------------------------------------------- published runs
@pytest.fixture
def sealed(run: Path, tmp_path: Path) -> Path:
    out = tmp_path / "published"
    publish(run, out, Verified(episodes=6, confirmed=6))
    return out


def test_a_published_run_says_how_much_of_it_was_verified_and_another_does_not(run: Path, sealed: Path) -> None:
    found = read(sealed)
    assert found.complaints == () and found.run is not None and found.run.verified == "6 of 6"
    own = read(run).run
    assert own is not None and own.verified == ""


def forge_ledger(folder: Path) -> None:
    path = folder / "episodes.jsonl.gz"
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()).replace(b'"steps":4.0', b'"steps":1.0')))


def write_note(folder: Path, text: str) -> None:
    (folder / VERIFIED).write_text(text, encoding="utf-8")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (forge_ledger, "is not of this episodes.jsonl.gz, which changed after it was verified: the run counts as not verified"),
        (lambda folder: change_header(folder, lambda data: data.update(quality="high")), "is not of this header.json"),
        (lambda folder: write_note(folder, "{}"), "lacks the key 'episodes'"),
        (lambda folder: write_note(folder, "{"), "cannot be read: .* The run counts as not verified"),
    ],
)
def test_what_changed_after_it_was_verified_is_told_and_counts_as_not_verified(sealed: Path, change: Callable[[Path], Any], told: str) -> None:
    change(sealed)
    found = read(sealed)
    assert found.run is not None and len(found.run.results) == 6 and found.run.verified == ""
    (complaint,) = found.complaints
    assert re.search(told, complaint)


def test_measures_that_nobody_confirmed_are_not_published(run: Path, tmp_path: Path) -> None:
    publish(run, tmp_path / "published", Verified(episodes=6, confirmed=6, measures_left_out=("steps",)))
    before, after = Store.open(run).results()[0].measures, Store.open(tmp_path / "published").results()[0].measures
    assert "steps" in before and dict(after) == {name: value for name, value in before.items() if name != "steps"}
