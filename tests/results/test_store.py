"""A run folder holds what was stored, whatever happens to the process that writes it."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from vlagym.envs.errors import BadData, UnknownName
from vlagym.results import published as published_run
from vlagym.results import store
from vlagym.results.store import Store

TRACES_PY = Path(__file__).resolve().parent.parent / "traces.py"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "runs" / "20260102-hold-smoke"


def listing(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_what_is_stored_is_read_back(traces: ModuleType, folder: Path) -> None:
    specs = [traces.make_spec(seed=i) for i in range(3)]
    with Store.create(folder, traces.make_header()) as store:
        for spec in specs:
            store.append(traces.make_result(spec), traces.make_trace(spec))
        assert store.results() == Store.open(folder).results()
    read = Store.open(folder)
    assert read.header == traces.make_header()
    assert [r.digest for r in read.results()] == [s.digest() for s in specs]
    assert read.trace(specs[1].digest()).spec == specs[1]
    assert sorted(p.name for p in folder.iterdir()) == ["episodes.jsonl", "header.json", "traces"]


def test_the_last_line_of_an_episode_counts(traces: ModuleType, folder: Path) -> None:
    first, second = traces.make_spec(seed=0), traces.make_spec(seed=1)
    with Store.create(folder, traces.make_header()) as store:
        store.append(traces.make_result(first, outcome="error"), None)
        store.append(traces.make_result(second), traces.make_trace(second))
        store.append(traces.make_result(first, attempt=2), traces.make_trace(first))
    read = Store.open(folder)
    assert [(r.seed, r.outcome, r.attempt) for r in read.results()] == [(0, "success", 2), (1, "success", 1)]
    assert [r.outcome for r in read.ledger()] == ["error", "success", "success"]


def test_a_retry_without_a_trace_does_not_inherit_the_old_one(traces: ModuleType, folder: Path) -> None:
    spec = traces.make_spec()
    with Store.create(folder, traces.make_header()) as store:
        store.append(traces.make_result(spec), traces.make_trace(spec))
        store.append(traces.make_result(spec, outcome="error", attempt=2), None)
        assert not store.has_trace(spec.digest())
        with pytest.raises(BadData, match=r"has no trace: it ended in an error before there was one \(ValueError: no\)"):
            store.trace(spec.digest())


def test_an_existing_folder_is_not_overwritten(traces: ModuleType, folder: Path) -> None:
    Store.create(folder, traces.make_header()).close()
    before = listing(folder)
    with pytest.raises(BadData, match=r"exists already. Choose another folder with --out, or go on with its run with --resume"):
        Store.create(folder, traces.make_header())
    assert listing(folder) == before


def test_two_runs_cannot_write_one_folder(traces: ModuleType, folder: Path) -> None:
    with Store.create(folder, traces.make_header()):
        with pytest.raises(BadData, match="is being written by another run"):
            Store.resume(folder)
        Store.open(folder)
    Store.resume(folder).close()


def test_reading_changes_nothing(traces: ModuleType, folder: Path) -> None:
    spec = traces.make_spec()
    with Store.create(folder, traces.make_header()) as store:
        store.append(traces.make_result(spec), traces.make_trace(spec))
    with (folder / "episodes.jsonl").open("ab") as ledger:
        ledger.write(b'{"digest": "torn')
    before = listing(folder)
    store = Store.open(folder)
    store.trace(store.find(""))
    with pytest.raises(BadData, match="was opened for reading; use Store.resume to append to it"):
        store.append(traces.make_result(spec), None)
    with pytest.raises(BadData, match="was opened for reading"):
        store.finish()
    assert listing(folder) == before


def test_a_read_only_folder_can_be_read(traces: ModuleType, folder: Path) -> None:
    Store.create(folder, traces.make_header()).close()
    folder.chmod(0o555)
    try:
        assert Store.open(folder).results() == []
    finally:
        folder.chmod(0o755)


@pytest.mark.parametrize("cut", [1, 20, 10_000])
def test_a_torn_last_line_is_ignored_and_cut_away_on_resume(traces: ModuleType, folder: Path, cut: int) -> None:
    specs = [traces.make_spec(seed=i) for i in range(3)]
    with Store.create(folder, traces.make_header()) as store:
        for spec in specs[:2]:
            store.append(traces.make_result(spec), traces.make_trace(spec))
    whole = (folder / "episodes.jsonl").read_bytes()
    end_of_first = whole.index(b"\n") + 1
    (folder / "episodes.jsonl").write_bytes(whole[: max(end_of_first, len(whole) - cut)])
    (folder / "traces" / "half.npz.tmp").write_bytes(b"PK")
    assert [r.seed for r in Store.open(folder).results()] == [0]
    with Store.resume(folder) as store:
        assert store.digests() == [specs[0].digest()]
        assert not list((folder / "traces").glob("*.tmp"))
        store.append(traces.make_result(specs[2]), traces.make_trace(specs[2]))
    assert [r.seed for r in Store.open(folder).results()] == [0, 2]


def test_a_damaged_line_in_the_middle_is_an_error_that_names_it(traces: ModuleType, folder: Path) -> None:
    with Store.create(folder, traces.make_header()) as store:
        store.append(traces.make_result(), None)
    with (folder / "episodes.jsonl").open("ab") as ledger:
        ledger.write(b"garbage\n")
    with pytest.raises(BadData, match="episodes.jsonl line 2 is not JSON"):
        Store.open(folder)


def test_a_sentence_may_hold_any_character(traces: ModuleType, folder: Path) -> None:
    with Store.create(folder, traces.make_header()) as store:
        store.append(traces.make_result(instruction="a\u2028b\x85c\nd"), None)
    assert Store.open(folder).results()[0].instruction == "a\u2028b\x85c\nd"


def test_digests_are_found_by_their_beginning(traces: ModuleType, folder: Path) -> None:
    with Store.create(folder, traces.make_header()) as store:
        for start in ("ab12", "ab34", "ff00"):
            store.append(traces.make_result(digest=start + "0" * 28), None)
    assert store.find("ab1") == "ab12" + "0" * 28
    assert store.find("FF") == "ff00" + "0" * 28
    assert store.result("ff").digest == "ff00" + "0" * 28
    with pytest.raises(UnknownName, match="2 episodes of .* begin with 'ab': ab1200000000, ab3400000000. Give more digits"):
        store.find("ab")
    with pytest.raises(UnknownName, match="no episode of .* begins with 'cc'. There are 3: ab1200000000, ab3400000000, ff0000000000"):
        store.find("cc")


def test_a_trace_of_another_episode_is_refused(traces: ModuleType, folder: Path) -> None:
    one, other = traces.make_spec(seed=1), traces.make_spec(seed=2)
    with Store.create(folder, traces.make_header()) as store:
        with pytest.raises(BadData, match="the result is of episode .* and its trace of episode"):
            store.append(traces.make_result(one), traces.make_trace(other))
        store.append(traces.make_result(one), traces.make_trace(one))
        store.append(traces.make_result(other), traces.make_trace(other))
    store.trace_path(one.digest()).write_bytes(store.trace_path(other.digest()).read_bytes())
    with pytest.raises(BadData, match=rf"holds the episode {other.digest()}: the file was renamed or its spec was changed"):
        store.trace(one.digest())
    store.trace_path(one.digest()).unlink()
    with pytest.raises(BadData, match=f"episode {one.digest()} has no trace: .*npz is missing"):
        store.trace(one.digest())


def test_finish_says_when_and_gives_the_lock_back(traces: ModuleType, folder: Path) -> None:
    Store.create(folder, traces.make_header()).finish("2026-01-02T04:00:00+00:00")
    with Store.resume(folder) as store:
        assert store.header.finished == "2026-01-02T04:00:00+00:00"
        store.finish()
        assert store.header.finished is not None and store.header.finished.endswith("+00:00")


def test_a_folder_without_a_run_is_answered_with_the_runs_below_it(traces: ModuleType, folder: Path) -> None:
    Store.create(folder, traces.make_header()).close()
    with pytest.raises(BadData, match="runs is not a run folder: it has no header.json. There are runs below it: 20260102-hold-smoke"):
        Store.open(folder.parent)
    with pytest.raises(BadData, match="nowhere is not a run folder"):
        Store.resume(folder / "nowhere")
    (folder / "episodes.jsonl").unlink()
    for door in (Store.open, Store.resume):
        with pytest.raises(BadData, match="the ledger was removed"):
            door(folder)


@pytest.mark.parametrize("left", [[], ["episodes.jsonl"], ["episodes.jsonl", "header.json.tmp"]])
def test_a_folder_of_a_run_that_was_killed_while_it_made_it_is_taken_over(traces: ModuleType, folder: Path, left: list[str]) -> None:
    (folder / "traces").mkdir(parents=True)
    for name in left:
        (folder / name).write_bytes(b"{" if name.endswith(".tmp") else b"")
    with Store.create(folder, traces.make_header()) as store:
        store.append(traces.make_result(), None)
    assert sorted(p.name for p in folder.iterdir()) == ["episodes.jsonl", "header.json", "traces"]


@pytest.mark.parametrize("name", ["notes.txt", "traces/a.npz"])
def test_a_folder_that_holds_anything_else_is_not_taken_over(traces: ModuleType, folder: Path, name: str) -> None:
    (folder / "traces").mkdir(parents=True)
    (folder / name).write_bytes(b"mine")
    with pytest.raises(BadData, match="exists already"):
        Store.create(folder, traces.make_header())


class Killed(BaseException):
    """Stands in for the power that goes."""


@pytest.mark.parametrize("has_new_trace", [True, False])
@pytest.mark.parametrize("at", ["write_whole", "_write_all", "_settle"])
def test_a_kill_during_a_retry_leaves_a_line_and_its_own_trace(
    traces: ModuleType, folder: Path, monkeypatch: pytest.MonkeyPatch, at: str, has_new_trace: bool
) -> None:
    spec = traces.make_spec()
    old, new = traces.make_trace(spec, steps=3), traces.make_trace(spec, steps=7)
    with Store.create(folder, traces.make_header()) as writer:
        writer.append(dataclasses.replace(traces.make_result(spec, attempt=1), steps=3), old)
        again = dataclasses.replace(traces.make_result(spec, attempt=2), steps=7 if has_new_trace else 0)
        with monkeypatch.context() as power:
            real = getattr(store, at)

            def go(*args: object) -> None:
                if at != "_write_all" or args[0] == writer._writer:
                    raise Killed
                real(*args)

            power.setattr(store, at, go)
            with pytest.raises(Killed):
                writer.append(again, new if has_new_trace else None)
    before = listing(folder)
    for door in (Store.open, Store.resume):
        with door(folder) as read:
            (result,) = read.results()
            assert result.attempt == (2 if at == "_settle" else 1)
            assert read.has_trace(spec.digest()) == (result.steps > 0)
            if result.steps:
                assert read.trace(spec.digest()).num_steps == result.steps
        if door == Store.open:
            assert listing(folder) == before
    assert [p.suffix for p in (folder / "traces").iterdir()] == ([".npz"] if has_new_trace or at != "_settle" else [])


WRITER = """
import importlib.util, sys
from pathlib import Path
found = importlib.util.spec_from_file_location("traces", {traces!r})
traces = importlib.util.module_from_spec(found)
sys.modules["traces"] = traces
found.loader.exec_module(traces)
from vlagym.results.store import Store
folder = Path({folder!r})
store = Store.resume(folder) if folder.exists() else Store.create(folder, traces.make_header())
start = len(store.digests())
print("writing", flush=True)
for seed in range(start, start + 100_000):
    spec = traces.make_spec(seed=seed)
    store.append(traces.make_result(spec), traces.make_trace(spec, steps=50))
    print(spec.digest(), flush=True)
"""


def test_a_kill_loses_at_most_the_episode_in_flight(folder: Path) -> None:
    folder.parent.mkdir()
    confirmed: list[str] = []
    for delay_s in (0.031, 0.084, 0.157):
        script = textwrap.dedent(WRITER).format(traces=str(TRACES_PY), folder=str(folder))
        with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "writing\n"
            # Two at least in each round, however busy the machine is.
            confirmed += [process.stdout.readline().strip() for _ in range(2)]
            time.sleep(delay_s)
            os.kill(process.pid, signal.SIGKILL)
            # What it printed, it had stored. The kill may have cut the last line that it printed.
            confirmed += [line.strip() for line in process.stdout if line.endswith("\n")]
        store = Store.open(folder)
        stored = store.digests()
        assert stored[: len(confirmed)] == confirmed
        assert len(stored) <= len(confirmed) + 1
        confirmed = stored
        for digest in stored:
            assert np.isfinite(store.trace(digest).actions).all()
    assert len(confirmed) >= 6


def test_a_published_run_is_packed_and_only_read(traces: ModuleType, folder: Path, tmp_path: Path) -> None:
    specs = [traces.make_spec(seed=i) for i in range(3)]
    with Store.create(folder, traces.make_header()) as run:
        run.append(traces.make_result(specs[0], outcome="error"), None)
        for spec in specs:
            run.append(traces.make_result(spec), traces.make_trace(spec))
    out = tmp_path / "published" / "hold"
    published_run.publish(folder, out)
    published = Store.open(out)
    assert published.results() == Store.open(folder).results() and published.header == Store.open(folder).header
    assert sorted(p.name for p in out.iterdir()) == ["episodes.jsonl.gz", "header.json"] and len(published.ledger()) == 3
    with pytest.raises(BadData, match="is a published run, whose ledger is packed: it is only read"):
        Store.resume(out)
    with pytest.raises(BadData, match="exists already and holds something; publish into another folder"):
        published_run.publish(folder, out)
    (out / "episodes.jsonl.gz").write_bytes((out / "episodes.jsonl.gz").read_bytes()[:-30])
    with pytest.raises(BadData, match="episodes.jsonl.gz is damaged"):
        Store.open(out)


def test_what_is_measured_anew_takes_the_place_of_the_line_and_leaves_the_trace(traces: ModuleType, folder: Path) -> None:
    specs = [traces.make_spec(seed=i) for i in range(3)]
    with Store.create(folder, traces.make_header()) as store:
        for spec in specs:
            store.append(traces.make_result(spec), traces.make_trace(spec))
    before = listing(folder)
    with Store.resume(folder) as store:
        results = store.results()
        store.amend([dataclasses.replace(r, measures={"steps": 5.0}) for r in results[1:]])
        assert [r.measures["steps"] for r in store.results()] == [4.0, 5.0, 5.0]
    read = Store.open(folder)
    assert [r.measures["steps"] for r in read.results()] == [4.0, 5.0, 5.0] and len(read.ledger()) == 5
    assert {k: v for k, v in listing(folder).items() if "traces" in k} == {k: v for k, v in before.items() if "traces" in k}


def test_only_the_same_play_can_be_measured_anew(traces: ModuleType, folder: Path) -> None:
    with Store.create(folder, traces.make_header()) as store:
        store.append(traces.make_result(), None)
        (result,) = store.results()
        for other in ({"attempt": 2}, {"digest": "0" * 32}, {"certificate": None}):
            with pytest.raises(BadData, match="cannot be amended: what is stored is another play; append it with its trace"):
                store.amend([result, dataclasses.replace(result, **other)])
        assert len(store.ledger()) == 1
    with pytest.raises(BadData, match="was opened for reading"):
        Store.open(folder).amend([result])
