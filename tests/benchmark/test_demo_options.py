"""What `vlagym demo` takes and refuses: numbers of successes, failures that are kept, tasks that give nothing, full disks, formats, kills."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import collecting
import fakes
import pytest

from vlagym.benchmark.cli import main
from vlagym.benchmark.collecting import disk
from vlagym.benchmark.collecting.disk import Room
from vlagym.benchmark.collecting.ledger import fingerprint
from vlagym.benchmark.commands import demo
from vlagym.benchmark.demos import Collection, DemoOptions
from vlagym.benchmark.entry import FIRST_DEMO_SEED
from vlagym.envs.errors import BadData, VlagymError
from vlagym.envs.images import Shrink
from vlagym.envs.types import EpisodeSpec
from vlagym.results.formats import hdf5

options = partial(collecting.options, sample=collecting.unlucky_sample)


def hopeless_sample(task: str, **options: Any) -> EpisodeSpec:
    return replace(fakes.sample(task, **options), horizon_s=0.2)


def seeds(out: Path) -> list[int]:
    return [d.episode.seed - FIRST_DEMO_SEED for d in hdf5.read(out)]


# -------------------------------------------------------------------------------------------------------------------- what is tried
def test_as_many_seeds_are_tried_as_it_takes_for_the_successes_that_are_wanted(tmp_path: Path) -> None:
    out = tmp_path / "d.hdf5"
    attempts = list(Collection(options(out, 3, counts_successes=True)))
    assert seeds(out) == [0, 2, 4] and [a.seed - FIRST_DEMO_SEED for a in attempts] == [0, 1, 2, 3, 4]
    assert list(Collection(options(out, 3, counts_successes=True))) == []
    more = [a.seed - FIRST_DEMO_SEED for a in Collection(options(out, 4, counts_successes=True))]
    assert more == [5, 6] and seeds(out) == [0, 2, 4, 6]


def test_failures_are_kept_where_they_are_wanted_and_say_so(tmp_path: Path) -> None:
    out = tmp_path / "d.hdf5"
    attempts = list(Collection(options(out, 2, keep_failures=True)))
    assert [(a.kept, a.how) for a in attempts] == [(True, "goal"), (True, "horizon")]
    assert [d.is_success for d in hdf5.read(out)] == [True, False]


def test_failures_that_are_kept_are_no_successes(tmp_path: Path) -> None:
    wanted = options(tmp_path / "d.hdf5", 2, keep_failures=True, counts_successes=True)
    assert [(a.kept, a.succeeded) for a in Collection(wanted)] == [(True, True), (True, False), (True, True)]
    assert list(Collection(wanted)) == []
    hopeless = options(tmp_path / "h.hdf5", 40, sample=hopeless_sample, patience=5, keep_failures=True)
    with pytest.raises(VlagymError, match="place_on gave no success in 5 tries; the last one: horizon"):
        list(Collection(hopeless))


def test_a_task_that_gives_nothing_is_named_and_what_was_collected_is_kept(tmp_path: Path) -> None:
    out = tmp_path / "d.hdf5"
    collection = Collection(options(out, 40, sample=hopeless_sample, patience=5))
    with pytest.raises(VlagymError, match=r"place_on gave no success in 5 tries; the last one: horizon\. Leave it out, or raise --give"):
        list(collection)
    assert len(collection.report().attempts) == 5 and not out.exists()


# ------------------------------------------------------------------------------------------------------------------------- the disk
def test_a_full_disk_is_seen_before_anything_is_played(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"has 0\.00 GB free, and 0\.07 GB are needed to begin with.*the same command goes on with it"):
        list(Collection(options(tmp_path / "d.hdf5", free_bytes=lambda folder: 1000)))


def test_the_room_for_the_rest_is_told_from_the_first_demonstrations(tmp_path: Path) -> None:
    room = Room(tmp_path / "d.hdf5", 100, lambda folder: 200_000_000)
    for left in (99, 98, 97):
        room.take(1_000_000, left)
    assert room.needed_bytes is None
    with pytest.raises(BadData, match=r"0\.26 GB are needed for 96 more of about 1\.00 MB, and to build the dataset beside its parts"):
        room.take(1_000_000, 96)
    assert room.needed_bytes == 2 * 96_000_000 + 4_000_000
    room.take(1_000_000, 10)
    assert disk.free_bytes(tmp_path) > 0


# ------------------------------------------------------------------------------------------------------------------------ the kill
KILLED = """
import sys, time
sys.path[:0] = {path!r}
from pathlib import Path
import fakes
from collecting import options
from vlagym.benchmark.demos import Collection
def main():
    for attempt in Collection(options(Path({out!r}), 60, sample=fakes.sample, executor="processes", workers=2)):
        print(attempt.seed, flush=True)
if __name__ == "__main__":
    main()
"""


def test_after_kill_9_nothing_is_lost_and_nothing_is_there_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, script = tmp_path / "d.hdf5", tmp_path / "main.py"
    script.write_text(KILLED.format(path=sys.path, out=str(out)), encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), *sys.path]))
    process = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stdout is not None
    told = [int(process.stdout.readline()) for _ in range(5)]
    assert not out.exists()  # it has its name only when it is whole
    os.killpg(process.pid, signal.SIGKILL)  # the workers too, in the middle of whatever they store
    told += [int(line) for line in process.stdout.read().split()]
    process.wait()
    time.sleep(0.1)
    again = Collection(options(out, 60, sample=fakes.sample))
    assert again.done >= len(told) - 1
    tried = [a.seed for a in again]
    assert sorted(seeds(out)) == list(range(60)) and not set(tried) & set(told[:-1])


def test_a_folder_has_its_name_only_when_it_is_whole_and_is_not_extended(tmp_path: Path) -> None:
    out = tmp_path / "d"
    of_npz: dict[str, Any] = {"format": "npz", "sample": fakes.sample}
    for attempt in Collection(options(out, 3, **of_npz)):
        if attempt.seed == FIRST_DEMO_SEED + 1:
            break
    assert not out.exists()
    again = Collection(options(out, 3, **of_npz))
    assert again.done == 2 and [a.seed - FIRST_DEMO_SEED for a in again] == [2] and out.is_dir()
    assert list(Collection(options(out, 3, **of_npz))) == []
    with pytest.raises(BadData, match=r"is whole, with 3 demonstrations, and a folder of this format is not extended.*--first-seed 1000003"):
        Collection(options(out, 4, **of_npz))


# ----------------------------------------------------------------------------------------------------------------- the command line
@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "say how many: --episodes N are tried of each task, or --successes N"),
        (["--episodes", "1", "--successes", "1"], "say how many"),
        (["--episodes", "1", "--split", "train", "--i-know"], "--split train leaves out what is held out for tests, and --i-know demonstrates it"),
        (["--episodes", "1", "--image-size", "15"], "--image-size is a number of pixels from 16 to 1024, not 15"),
        (["--episodes", "1", "--image-size", "64", "--size", "front=64"], "--image-size says the size of all images"),
        (["--episodes", "1", "--image-size", "224", "--depth"], "images of 224 pixels cannot be stored beside it"),
        (["--episodes", "1", "--axis", "blank=1"], "the variation blank=1 of place_on.*--i-know"),
        (["--episodes", "1", "--cameras", "writs"], "no camera of the scenes with 'panda' is called 'writs'"),
    ],
)
def test_a_command_line_that_contradicts_itself_is_answered(tmp_path: Path, words: list[str], message: str) -> None:
    with pytest.raises(VlagymError, match=message):
        demo.main(["--task", "place_on", "--out", str(tmp_path / "d.hdf5"), *words])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--quality", "fats"], "no quality is called 'fats'. Did you mean fast"),
        (["--look", "shiny"], "no look of the panda is called 'shiny'. There are: auto"),
        (["--policy", "expret"], "no policy is called 'expret'. Did you mean expert"),
        (["--image-size", "95", "--format", "lerobot_v3"], "lerobot_v3 stores video, whose sides are even numbers of pixels"),
        (["--frame-stride", "3", "--format", "lerobot_v3"], "lerobot_v3 stores an image for every step"),
        (["--format", "rlds"], "a dataset of TFDS is called as its folder, in small letters"),
    ],
)
def test_a_misspelt_name_is_told_before_anything_is_written(tmp_path: Path, words: list[str], message: str) -> None:
    with pytest.raises(VlagymError, match=message):
        demo.main(["--task", "place_on", "--episodes", "1", "--workers", "1", "--out", str(tmp_path / "A-set"), "--format", "npz", *words])
    assert list(tmp_path.iterdir()) == []


def test_an_odd_size_is_taken_where_single_images_are_stored() -> None:
    said = demo._parse(["--task", "place_on", "--episodes", "1", "--image-size", "95", "--out", "d.hdf5"])
    assert demo.images_of(said, demo._entries(said))["front"] == Shrink(crop=95, size=95)


def test_a_list_under_which_nothing_was_kept_binds_nobody(tmp_path: Path) -> None:
    out = tmp_path / "d.hdf5"
    assert not any(attempt.kept for attempt in Collection(options(out, 2, sample=hopeless_sample)))
    kept = [attempt.kept for attempt in Collection(options(out, 2, frame_stride=2, sample=fakes.sample))]
    assert kept == [True, True] and hdf5.Reader(out).info.frame_stride == 2
    with pytest.raises(BadData, match="was begun with other options: frame_stride was 2 and is 1"):
        Collection(options(out, 2))


def test_the_format_follows_the_suffix_or_is_asked_for(tmp_path: Path) -> None:
    assert demo.format_of(None, tmp_path / "d.hdf5") == "hdf5" and demo.format_of("hdf5", tmp_path / "d.h5") == "hdf5"
    assert demo.format_of(None, tmp_path / "d.h5") == "hdf5"
    with pytest.raises(VlagymError, match="no format is called 'lerobot_v9'"):
        demo.format_of("lerobot_v9", tmp_path / "d")
    with pytest.raises(BadData, match=r"d\.npz ends in \.npz, which is no file that is written here: say which folder it is to be, --format .*npz"):
        demo.format_of(None, tmp_path / "d.npz")


# --------------------------------------------------------------------------------------------------------- what could never be collected
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--task", "touch", "--robot", "g1"], "'touch' cannot be done with 'g1'; it can with: panda, jaco"),
        (["--task", "place_on", "--policy", "minivla", "--control", "joint_position"], "- action joints: the policy does not send it"),
        (["--task", "hand_over", "--policy", "expert:high"], "policy 'expert:high' acts in ee_delta; this episode is controlled by 'bimanual_ee_delta'"),
    ],
)
def test_what_no_seed_could_give_is_refused_before_anything_is_written(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", *words, "--episodes", "2", "--image-size", "64", "--workers", "1", "--out", str(tmp_path / "d.hdf5")]) == 2
    assert message in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_usual_options_leave_the_list_as_it_was(tmp_path: Path) -> None:
    usual = DemoOptions(entries=(), out=tmp_path)
    assert list(fingerprint(usual, "x")) == ["policy", "noise", "images", "frame_stride", "quality", "look", "split_digest", "entries"]
    assert fingerprint(replace(usual, depth=True), "x")["depth"] is True
