"""A folder of lerobot_v3 holds what LeRobot looks for, in the types in which it looks for it, and gives back what was written."""

from __future__ import annotations

import dataclasses
import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import films
import numpy as np
import pytest

from vlagym.benchmark.checks._samples import ACTION
from vlagym.envs.errors import BadData
from vlagym.results.demonstration import DatasetInfo, Demonstration, ImagePreprocessing
from vlagym.results.format import NoDataset
from vlagym.results.formats import _video, lerobot_v3
from vlagym.results.formats._staging import Staging

pq = pytest.importorskip("pyarrow.parquet")

STEPS = (9, 1, 14)
SENTENCES = ("put the mug on the plate", "öffne the drawer", "put the mug on the plate")


@pytest.fixture(scope="module")
def demonstrations() -> list[Demonstration]:
    return [films.demonstration(i, steps, sentence=words) for i, (steps, words) in enumerate(zip(STEPS, SENTENCES, strict=True))]


@pytest.fixture(scope="module")
def folder(demonstrations: list[Demonstration], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("v3") / "set", demonstrations)


def written(path: Path, demonstrations: Sequence[Demonstration], info: DatasetInfo | None = None) -> Path:
    with lerobot_v3.FORMAT.write(path, info or films.info()) as writer:
        for demonstration in demonstrations:
            writer.append(demonstration)
    return path


def rows(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    return found


def test_the_folder_says_what_is_in_it(folder: Path) -> None:
    info = json.loads((folder / "meta" / "info.json").read_text())
    told = {k: info[k] for k in ("codebase_version", "robot_type", "total_episodes", "total_frames", "total_tasks", "fps", "splits")}
    assert told == {
        "codebase_version": "v3.0",
        "robot_type": "panda",
        "total_episodes": 3,
        "total_frames": 24,
        "total_tasks": 2,
        "fps": 20,
        "splits": {"train": "0:3"},
    }
    front = info["features"]["observation.images.front"]
    assert (front["dtype"], front["shape"], front["names"]) == ("video", [48, 64, 3], ["height", "width", "channels"])
    assert front["info"]["video.codec"] == "h264" and front["info"]["video.fps"] == 20
    assert info["features"]["action"]["names"] == [*(f"translation.{a}" for a in "xyz"), *(f"rotation.{a}" for a in "xyz"), "gripper"]
    assert info["features"]["observation.state"]["shape"] == [8]
    files = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file() and "vlagym" not in p.parts)
    assert files == [
        "data/chunk-000/file-000.parquet",
        "meta/episodes/chunk-000/file-000.parquet",
        "meta/info.json",
        "meta/stats.json",
        "meta/tasks.parquet",
        "videos/observation.images.front/chunk-000/file-000.mp4",
        "videos/observation.images.wrist/chunk-000/file-000.mp4",
    ]


def test_rows_have_the_place_of_their_episode(folder: Path, demonstrations: list[Demonstration]) -> None:
    table = pq.read_table(folder / "data/chunk-000/file-000.parquet")
    assert [str(table.schema.field(n).type) for n in ("action", "timestamp", "next.done", "index")] == [
        "fixed_size_list<element: float>[7]",
        "float",
        "bool",
        "int64",
    ]
    assert not any("images" in name for name in table.column_names)
    told = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
    assert told["action"] == {"feature": {"dtype": "float32", "_type": "Value"}, "length": 7, "_type": "Sequence"}
    found = table.to_pylist()
    assert [r["index"] for r in found] == list(range(24))
    assert [r["episode_index"] for r in found] == [0] * 9 + [1] + [2] * 14
    assert [r["task_index"] for r in found] == [0] * 9 + [1] + [0] * 14
    assert [r["timestamp"] for r in found[10:]] == [np.float32(i / 20) for i in range(14)]
    assert [i for i, r in enumerate(found) if r["next.done"]] == [8, 9, 23] == [i for i, r in enumerate(found) if r["next.reward"] == 1]
    np.testing.assert_array_equal(np.array([r["action"] for r in found], np.float32), np.concatenate([d.actions for d in demonstrations]))
    assert pq.ParquetFile(folder / "data/chunk-000/file-000.parquet").num_row_groups == 3


def test_sentences_are_the_index_of_a_table_of_pandas(folder: Path) -> None:
    pandas = pytest.importorskip("pandas")
    tasks = pandas.read_parquet(folder / "meta" / "tasks.parquet")
    assert list(tasks.columns) == ["task_index"] and list(tasks.index) == list(SENTENCES[:2])
    assert [tasks.iloc[i].name for i in (0, 1)] == list(SENTENCES[:2])


def test_episodes_are_placed_by_whole_frames(folder: Path) -> None:
    found = rows(folder / "meta/episodes/chunk-000/file-000.parquet")
    assert [(r["dataset_from_index"], r["dataset_to_index"], r["length"]) for r in found] == [(0, 9, 9), (9, 10, 1), (10, 24, 14)]
    assert [r["videos/observation.images.front/from_timestamp"] for r in found] == [0.0, 9 / 20, 10 / 20]
    assert [r["videos/observation.images.front/to_timestamp"] for r in found] == [9 / 20, 10 / 20, 24 / 20]
    assert [r["tasks"] for r in found] == [[words] for words in SENTENCES]


def test_times_do_not_drift_over_many_episodes(tmp_path: Path) -> None:
    """At 30 frames a second sums of durations go astray; whole frames do not."""
    info = films.info(action=dataclasses.replace(ACTION, rate_hz=30.0), images={"wrist": ImagePreprocessing(crop=16, size=16)})
    path = written(tmp_path / "set", [films.demonstration(i, 7, of=info) for i in range(12)], info)
    found = rows(path / "meta/episodes/chunk-000/file-000.parquet")
    assert [r["videos/observation.images.wrist/from_timestamp"] for r in found] == [7 * i / 30 for i in range(12)]


def test_statistics_are_those_of_all_rows_and_pixels(folder: Path, demonstrations: list[Demonstration]) -> None:
    stats = json.loads((folder / "meta" / "stats.json").read_text())
    actions = np.concatenate([d.actions for d in demonstrations]).astype(np.float64)
    pixels = np.concatenate([d.images["front"] for d in demonstrations]).reshape(-1, 3) / 255
    for name, of in (("min", np.min), ("max", np.max), ("mean", np.mean), ("std", np.std)):
        np.testing.assert_allclose(stats["action"][name], of(actions, axis=0), rtol=1e-12)
        np.testing.assert_allclose(np.array(stats["observation.images.front"][name])[:, 0, 0], of(pixels, axis=0), rtol=1e-9)
    for name, q in (("q01", 0.01), ("q50", 0.5), ("q99", 0.99)):
        np.testing.assert_allclose(stats["action"][name], np.quantile(actions, q, axis=0), rtol=1e-12)
        np.testing.assert_allclose(np.array(stats["observation.images.front"][name])[:, 0, 0], np.quantile(pixels, q, axis=0), atol=1e-12)
    assert stats["observation.images.front"]["count"] == [24] and np.array(stats["observation.images.front"]["mean"]).shape == (3, 1, 1)
    of_one = rows(folder / "meta/episodes/chunk-000/file-000.parquet")[2]
    np.testing.assert_allclose(of_one["stats/action/std"], demonstrations[2].actions.astype(np.float64).std(axis=0), rtol=1e-12)
    assert np.array(of_one["stats/observation.images.wrist/q90"]).shape == (3, 1, 1) and of_one["stats/action/count"] == [14]


def test_files_are_begun_anew_when_they_have_grown(demonstrations: list[Demonstration], tmp_path: Path) -> None:
    path = tmp_path / "set"
    staging = Staging(path, films.info())
    for demonstration in demonstrations:
        staging.take(lerobot_v3.FORMAT.store(path, films.info(), demonstration))
    staging.finish(lambda folder, info, parts: lerobot_v3.build(folder, info, parts, data_mb=0.001, video_mb=0.005))
    found = [r for at in sorted((path / "meta/episodes").rglob("*.parquet")) for r in rows(at)]
    assert [r["data/file_index"] for r in found] == [0, 1, 2]
    fronts = [(r["videos/observation.images.front/file_index"], r["videos/observation.images.front/from_timestamp"]) for r in found]
    assert fronts[0] == (0, 0.0) and fronts[-1][0] > 0
    with lerobot_v3.FORMAT.open(path) as reader:
        for i, d in enumerate(demonstrations):
            np.testing.assert_array_equal(reader[i].actions, d.actions)
            assert films.levels_apart(reader[i].images["front"], d.images["front"]) < films.CODEC_LEVELS


def test_joining_videos_changes_no_pixel(demonstrations: list[Demonstration], folder: Path, tmp_path: Path) -> None:
    start = 0
    for d in demonstrations:
        alone = tmp_path / f"{d.digest}.mp4"
        _video.encode(alone, d.images["front"], 20)
        joined = _video.decode(folder / "videos/observation.images.front/chunk-000/file-000.mp4", start / 20, d.num_steps, 20)
        np.testing.assert_array_equal(joined, _video.decode(alone, 0.0, d.num_steps, 20))
        assert films.levels_apart(joined, d.images["front"]) < films.CODEC_LEVELS
        start += d.num_steps


def test_every_second_frame_can_be_read_without_those_before_it(folder: Path) -> None:
    import av

    with av.open(str(folder / "videos/observation.images.front/chunk-000/file-000.mp4")) as video:
        stream = video.streams.video[0]
        packets: list[Any] = [p for p in video.demux(stream) if p.size]
        assert [float(p.pts * p.time_base * 20) for p in packets] == list(range(24)) and all(p.pts == p.dts for p in packets)
        own = [n for steps in STEPS for n in range(steps)]
        assert all(p.is_keyframe for p, n in zip(packets, own, strict=True) if n % 2 == 0)
        assert stream.average_rate == 20 and stream.codec_context.pix_fmt == "yuv420p" and stream.codec_context.name == "h264"


def test_odd_sizes_are_refused_before_anything_is_stored(tmp_path: Path) -> None:
    info = films.info(images={"front": ImagePreprocessing(crop=99, size=99)})
    with pytest.raises(BadData, match="lerobot_v3 stores video, whose sides are even numbers .*; the images of 'front' are 99 x 99. Choose 100"):
        lerobot_v3.FORMAT.write(tmp_path / "set", info)
    with pytest.raises(BadData, match="even numbers of pixels"):
        lerobot_v3.FORMAT.store(tmp_path / "set", info, films.demonstration(0, 2, of=info))
    assert not list(tmp_path.iterdir())


def test_a_rate_that_is_no_whole_number_is_refused(tmp_path: Path) -> None:
    info = films.info(action=dataclasses.replace(ACTION, rate_hz=12.5))
    with pytest.raises(BadData, match="lerobot_v3 counts whole frames a second; the actions come at 12.5 Hz. Choose a whole rate"):
        lerobot_v3.FORMAT.write(tmp_path / "set", info)


def test_robots_of_several_kinds_are_not_put_into_one_dataset(tmp_path: Path) -> None:
    info = films.info(state="all")
    other = films.demonstration(1, 3)
    other = dataclasses.replace(other, proprio={"arm_pos_rad": other.proprio["joint_pos_rad"]})
    with pytest.raises(BadData, match="one dataset of LeRobot holds one kind. Collect them apart, or choose the format hdf5"):
        written(tmp_path / "set", [films.demonstration(0, 3), other], info)
    assert not (tmp_path / "set").exists() and (tmp_path / "set.parts").exists()


def test_a_folder_without_ours_is_read_as_others_recorded_it(folder: Path, demonstrations: list[Demonstration], tmp_path: Path) -> None:
    import shutil

    theirs = tmp_path / "theirs"
    shutil.copytree(folder, theirs, ignore=shutil.ignore_patterns("vlagym"))
    with lerobot_v3.FORMAT.open(theirs) as reader:
        assert (len(reader), reader.info.robot, reader.info.action.name) == (3, "panda", "recorded") and len(set(reader.digests)) == 3
        assert reader.info.images["front"].shape == (48, 64, 3) and reader.info.action.rate_hz == 20
        assert reader.info.provenance["features_left_out"] == []
        for i, d in enumerate(demonstrations):
            found = reader[i]
            assert (found.spec, found.instruction, found.is_success, found.timestamps_s) == (None, d.instruction, True, None)
            np.testing.assert_array_equal(found.actions, d.actions)
            assert found.proprio["state"].shape == (d.num_steps, 8) and set(found.privileged) == {"next.reward", "next.done"}
            assert films.levels_apart(found.images["wrist"], d.images["wrist"]) < films.CODEC_LEVELS
        again = written(tmp_path / "again", [reader[i] for i in range(3)], dataclasses.replace(reader.info, state="all"))
    with lerobot_v3.FORMAT.open(again) as reader:
        assert reader.digests == lerobot_v3.FORMAT.open(theirs).digests and reader[2].instruction == SENTENCES[2]


def damaged(folder: Path, tmp_path: Path) -> Path:
    import shutil

    return Path(shutil.copytree(folder, tmp_path / "set"))


def test_a_video_that_was_cut_off_is_told(folder: Path, demonstrations: list[Demonstration], tmp_path: Path) -> None:
    path = damaged(folder, tmp_path)
    film = path / "videos/observation.images.front/chunk-000/file-000.mp4"
    _video.encode(film, demonstrations[0].images["front"], 20)
    with lerobot_v3.FORMAT.open(path) as reader, pytest.raises(BadData, match="holds 0 of the 14 frames that should follow 0.5 s"):
        reader[2].images["front"]
    film.unlink()
    with lerobot_v3.FORMAT.open(path) as reader, pytest.raises(BadData, match="file-000.mp4 is missing"):
        reader[2].images["front"]


def test_a_table_without_its_footer_is_told(folder: Path, tmp_path: Path) -> None:
    path = damaged(folder, tmp_path)
    at = path / "data/chunk-000/file-000.parquet"
    at.write_bytes(at.read_bytes()[:-40])
    with lerobot_v3.FORMAT.open(path) as reader, pytest.raises(BadData, match="file-000.parquet cannot be read"):
        reader[0]


def test_another_version_and_no_version_are_told_apart(folder: Path, tmp_path: Path) -> None:
    path = damaged(folder, tmp_path)
    at = path / "meta" / "info.json"
    at.write_text(at.read_text().replace('"v3.0"', '"v2.1"'))
    with pytest.raises(BadData, match="LeRobot's layout v2.1; this format reads v3.0. Folders of v2.1 are read by the format lerobot_v21"):
        lerobot_v3.FORMAT.open(path)
    at.write_text("{}")
    with pytest.raises(BadData, match="info.json is damaged, or of no dataset of LeRobot: KeyError"):
        lerobot_v3.FORMAT.open(path)
    at.unlink()
    with pytest.raises(NoDataset, match="set has no meta/info.json"):
        lerobot_v3.FORMAT.open(path)


KILLED = """
import os, signal, sys
from pathlib import Path

sys.path.insert(0, {doubles!r})
import films
from vlagym.results.formats import _video, lerobot_v3

path, whole = Path({path!r}), _video.join
writer = lerobot_v3.FORMAT.write(path, films.info())
for number in range(2):
    writer.append(films.demonstration(number, 5))
lerobot_v3.FORMAT.store(path, films.info(), films.demonstration(2, 5))


def half(at, sources, fps):
    whole(at, sources, fps)
    if "wrist" in str(at):
        os.truncate(at, at.stat().st_size // 2)
        os.kill(os.getpid(), signal.SIGKILL)


_video.join = half
writer.close()
"""


def test_a_kill_in_the_middle_of_a_video_loses_nothing_that_was_taken(tmp_path: Path) -> None:
    path = tmp_path / "set"
    code = KILLED.format(doubles=str(Path(films.__file__).parent), path=str(path))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not path.exists() and (path.parent / "set.parts" / "building").exists()
    with pytest.raises(NoDataset, match="was not finished: 2 demonstrations wait in set.parts. Repeat the command that began it"):
        lerobot_v3.FORMAT.open(path)
    with lerobot_v3.FORMAT.write(path, films.info()) as writer:
        assert len(writer.digests) == 2
        writer.append(films.demonstration(2, 5))
    with lerobot_v3.FORMAT.open(path) as reader:
        for i in range(3):
            assert films.levels_apart(reader[i].images["wrist"], films.demonstration(i, 5).images["wrist"]) < films.CODEC_LEVELS
    assert [entry.name for entry in tmp_path.iterdir()] == ["set"]


def test_a_full_disk_is_told_and_leaves_nothing_half_written(tmp_path: Path) -> None:
    """Files are limited to 4 kB by the system, which refuses the rest as a full disk does."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        with pytest.raises(BadData, match=f"the demonstration {0:032x} cannot be stored in .*set.parts|cannot be written"):
            lerobot_v3.FORMAT.store(tmp_path / "set", films.info(), films.demonstration(0, 40))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert list((tmp_path / "set.parts").iterdir()) == []


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        ("dataset_to_index", 0, "set: episode 0 has 0 rows, and no step is left"),
        ("dataset_to_index", None, "lacks a column, or has another value in it: TypeError"),
        ("tasks", None, "the tasks of episode 0 are 'None'; they must be a list of sentences"),
        ("videos/observation.images.front/chunk_index", None, "has another value in it: TypeError"),
        ("videos/observation.images.front/from_timestamp", float("nan"), "file-000.mp4 cannot be read"),
    ],
)
def test_an_episode_that_cannot_be_is_refused_in_a_line(folder: Path, tmp_path: Path, key: str, value: Any, why: str) -> None:
    import pyarrow

    path = damaged(folder, tmp_path)
    at = path / "meta/episodes/chunk-000/file-000.parquet"
    first, *others = rows(at)
    pq.write_table(pyarrow.Table.from_pylist([first | {key: value}, *others]), at)
    with pytest.raises(BadData, match=why), lerobot_v3.FORMAT.open(path) as reader:
        reader[0].images["front"]
