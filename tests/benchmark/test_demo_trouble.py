"""What goes wrong while demonstrations are collected: full disks, dead workers, tasks that give nothing, robots that are controlled in other ways."""

from __future__ import annotations

import errno
import itertools
import multiprocessing
from collections import Counter
from collections.abc import Generator
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import collecting
import fakes
import pytest

from vlagym.benchmark.collecting.disk import Room, make_folder
from vlagym.benchmark.commands import demo
from vlagym.benchmark.demos import Collection, DemoOptions
from vlagym.benchmark.entry import FIRST_DEMO_SEED, Entry
from vlagym.benchmark.executor import Crew, Finished, Schedule
from vlagym.benchmark.executors import serial
from vlagym.envs.errors import BadData, UnknownName, VlagymError
from vlagym.envs.types import EpisodeSpec, ErrorRecord
from vlagym.results.demonstration import DatasetInfo, Demonstration
from vlagym.results.format import Part
from vlagym.results.formats import hdf5, npz

options = partial(collecting.options, episodes=3)


def hopeless_stack(task: str, **options: Any) -> EpisodeSpec:
    spec = fakes.sample(task, **options)
    return replace(spec, horizon_s=0.2) if task == "stack" else spec


# ----------------------------------------------------------------------------------------------------------------------- the disk
def test_a_disk_that_fills_up_ends_the_collection_with_one_line_and_the_same_command_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, whole, calls = tmp_path / "set", npz.FORMAT, itertools.count(1)

    def store(path: Path, info: DatasetInfo, demonstration: Demonstration) -> Part:
        if next(calls) == 3:
            raise BadData("the demonstration cannot be stored: No space left on device") from OSError(errno.ENOSPC, "No space left on device")
        return whole.store(path, info, demonstration)

    monkeypatch.setattr(npz, "FORMAT", replace(whole, store=store))
    collection = Collection(options(out, episodes=4, format="npz"))
    with pytest.raises(BadData, match=r"No space left on device. What was collected is kept: make room, and the same command goes on with it$"):
        list(collection)
    assert len(collection.report().attempts) == 2 and not out.exists()
    again = Collection(options(out, episodes=4, format="npz"))
    assert again.done == 2 and len(list(again)) == 2 and len(list(npz.FORMAT.read(out))) == 4


def test_a_collection_that_is_gone_on_with_knows_from_the_start_how_much_room_it_takes(tmp_path: Path) -> None:
    room = Room(tmp_path / "d.hdf5", 100, lambda folder: 200_000_000, [1_000_000] * 4)
    with pytest.raises(BadData, match=r"0\.26 GB are needed for 96 more of about 1\.00 MB"):
        room.check(96)
    room.check(10)


def test_a_folder_that_cannot_be_made_or_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(BadData, match=r"the folder .*file/sub cannot be made: Not a directory. Choose another --out"):
        list(Collection(options(tmp_path / "file" / "sub" / "d.hdf5")))
    monkeypatch.setattr("os.access", lambda path, mode: False)
    with pytest.raises(BadData, match="may not be written into. Choose another --out, or change its rights"):
        make_folder(tmp_path)


# -------------------------------------------------------------------------------------------------------------------- the workers
def dying(times: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets the worker of the second seed die, so many times, in place of the executor that plays in this process."""
    died: Counter[str] = Counter()
    plays = serial.EXECUTOR

    def executor(crew: Crew[Any], schedule: Schedule) -> Generator[Finished, None, None]:
        while (job := schedule.take()) is not None:
            if job.content[1] == FIRST_DEMO_SEED + 1 and died[job.key] < times:
                died[job.key] += 1
                yield Finished(job=job, error=ErrorRecord(type="WorkerDied", message="its worker was ended by SIGKILL", traceback=""))
            else:
                yield from plays(crew, Schedule([job]))

    monkeypatch.setattr(serial, "EXECUTOR", executor)


def test_the_seed_of_a_worker_that_died_is_given_to_another_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dying(1, monkeypatch)
    assert [a.kept for a in Collection(options(tmp_path / "d.hdf5"))] == [True] * 3


def test_a_seed_that_workers_die_of_is_told_and_costs_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dying(2, monkeypatch)
    out = tmp_path / "d.hdf5"
    attempts = list(Collection(options(out)))
    assert {a.seed - FIRST_DEMO_SEED: a.kept for a in attempts} == {0: True, 1: False, 2: True}
    assert [a.how for a in attempts if not a.kept] == ["WorkerDied: its worker was ended by SIGKILL"]
    assert [a.seed - FIRST_DEMO_SEED for a in Collection(options(out))] == [1]
    assert len(list(hdf5.read(out))) == 3


def test_a_worker_whose_collector_is_gone_stores_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multiprocessing, "parent_process", lambda: SimpleNamespace(is_alive=lambda: False))
    out = tmp_path / "d.hdf5"
    attempts = list(Collection(options(out)))
    assert {a.how for a in attempts} == {"VlagymError: the process that collects is gone: what nobody would list is not stored"} and not out.exists()


# ---------------------------------------------------------------------------------------------------------------------- the tasks
def test_tasks_take_turns_and_one_that_gives_nothing_can_be_left_out(tmp_path: Path) -> None:
    out = tmp_path / "d.hdf5"
    collection = Collection(options(out, tasks=("place_on", "stack"), episodes=9, sample=hopeless_stack, patience=3))
    with pytest.raises(VlagymError, match="stack gave no success in 3 tries; the last one: horizon. Leave it out"):
        list(collection)
    assert [a.task for a in collection.report().attempts] == ["place_on", "stack"] * 3
    without = Collection(options(out, tasks=("place_on",), episodes=5, patience=3))
    assert without.done == 3 and [a.seed - FIRST_DEMO_SEED for a in without] == [3, 4]
    assert [d.episode.task for d in hdf5.read(out)] == ["place_on"] * 5
    more = Collection(options(out, tasks=("touch", "place_on"), episodes=5))
    assert more.done == 5 and {(a.task, a.entry) for a in more} == {("touch", 0)}
    again = Collection(options(out, tasks=("touch", "place_on"), episodes=5))
    assert list(again) == [] and again.report().by_task() == {"place_on": (5, 5), "touch": (5, 5)}


def test_a_task_of_which_something_is_stored_cannot_be_left_out(tmp_path: Path) -> None:
    out = tmp_path / "d.hdf5"
    list(Collection(options(out, tasks=("place_on", "stack"), episodes=1)))
    with pytest.raises(BadData, match="1 demonstrations of stack are stored, of entries that are not asked for now"):
        Collection(options(out, tasks=("place_on",), episodes=1))


def test_a_list_that_is_damaged_is_named(tmp_path: Path) -> None:
    out = tmp_path / "d.hdf5"
    list(Collection(options(out)))
    (tmp_path / "d.hdf5.attempts.jsonl").write_text("{}\n[]\n", encoding="utf-8")
    with pytest.raises(BadData, match=r"d.hdf5.attempts.jsonl, the list of what was tried, is damaged"):
        Collection(options(out))


def test_a_robot_is_not_asked_for_a_convention_that_it_does_not_take(tmp_path: Path) -> None:
    entry = Entry(task="touch_with", robot="g1", episodes=1, first_seed=FIRST_DEMO_SEED, control="joint_delta")
    with pytest.raises(UnknownName, match="no action convention of 'g1' is called 'joint_delta'.*There are: bimanual_ee_delta, joint_position"):
        Collection(options(tmp_path / "d.hdf5", entries=(entry,)))


def test_a_suite_of_several_conventions_is_answered_with_how_to_collect_each(tmp_path: Path) -> None:
    bodies = (("touch_with", "fixed"), ("go_to", "planar"), ("gesture", "fixed"))
    entries = tuple(Entry(task=task, robot="g1", base=base, episodes=1, first_seed=FIRST_DEMO_SEED) for task, base in bodies)
    one, two = "--robot g1 --base fixed --control bimanual_ee_delta --task touch_with --task gesture", "--base planar .* --task go_to"
    with pytest.raises(BadData, match=f"these 3 entries have several. Collect each kind into one of its own, .*: {one}; or .*{two}"):
        list(Collection(DemoOptions(entries=entries, out=tmp_path / "d.hdf5", executor="serial")))


# ----------------------------------------------------------------------------------------------------------------- the command line
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--episodes", "1", "--split", "test"], "of the split 'train', not 'test': what suites test with is never demonstrated"),
        (["--total", "1", "--task", "stack"], "--total 1 is less than one of each of the 2 entries; choose some of them with --task"),
        (["--total", "1", "--episodes", "1"], "say how many: .* or --total N of all together"),
        (["--episodes", "1", "--control", "joint_velocity"], "no action convention of 'panda' is called 'joint_velocity'"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is_played(tmp_path: Path, words: list[str], message: str) -> None:
    with pytest.raises(VlagymError, match=message):
        demo.main(["--task", "place_on", "--out", str(tmp_path / "d.hdf5"), *words])
    assert not list(tmp_path.iterdir())


def test_a_total_is_shared_evenly(tmp_path: Path) -> None:
    words = ["--task", "place_on", "--task", "stack", "--task", "touch", "--total", "8", "--out", str(tmp_path / "d.hdf5")]
    made = demo._options(demo._parse(words), words)
    assert [entry.episodes for entry in made.entries] == [3, 3, 2] and made.counts_successes


@pytest.mark.parametrize(
    ("axis", "changes", "message"),
    [
        ("blank", {}, "place_on is told without a sentence .*blank.*leave it out"),
        ("sensor_noise=2", {"depth": True}, "the cameras of place_on deliver late or spoiled images .*Leave out --depth"),
    ],
)
def test_episodes_that_cannot_be_recorded_are_refused_before_any_is_played(tmp_path: Path, axis: str, changes: dict[str, Any], message: str) -> None:
    entry = Entry(task="place_on", episodes=1, first_seed=FIRST_DEMO_SEED, axes=(axis,))
    with pytest.raises(BadData, match=message):
        list(Collection(DemoOptions(entries=(entry,), out=tmp_path / "d.hdf5", executor="serial", allow_unseen=True, **changes)))
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("task", ["place_on", "turn_knob", "open_drawer", "push"])
def test_what_is_said_of_a_task_varies_from_seed_to_seed(task: str) -> None:
    entry = Entry(task=task, episodes=60, first_seed=FIRST_DEMO_SEED)
    specs = [entry.sample(seed) for seed in entry.seeds]
    sentences, templates = Counter(spec.instruction for spec in specs), Counter(spec.phrase for spec in specs)
    assert len(sentences) >= 50 and max(sentences.values()) <= 3
    assert len(templates) >= 20 and max(templates.values()) <= 9
