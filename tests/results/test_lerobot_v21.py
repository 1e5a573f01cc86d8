"""Folders of lerobot_v21 hold what openpi and GR00T look for; under openpi's names too."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import films
import numpy as np
import pytest

from vlagym.envs import catalog
from vlagym.envs.errors import BadData
from vlagym.envs.types import ActionSpec
from vlagym.results.demonstration import Demonstration, ImagePreprocessing
from vlagym.results.format import Format
from vlagym.results.formats import lerobot_v21
from vlagym.results.formats._sidecar import recorded_action

pq = pytest.importorskip("pyarrow.parquet")

STEPS = (6, 1, 11)


@pytest.fixture(scope="module")
def demonstrations() -> list[Demonstration]:
    return [films.demonstration(i, steps, sentence=f"task {i // 2}") for i, steps in enumerate(STEPS)]


def loaded(name: str) -> Format:
    found = catalog.load("format", name)
    assert isinstance(found, Format)
    return found


def written(name: str, path: Path, demonstrations: list[Demonstration]) -> Path:
    with loaded(name).write(path, films.info()) as writer:
        for demonstration in demonstrations:
            writer.append(demonstration)
    return path


@pytest.fixture(scope="module")
def folder(demonstrations: list[Demonstration], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written("lerobot_v21", tmp_path_factory.mktemp("v21") / "set", demonstrations)


@pytest.fixture(scope="module")
def openpi(demonstrations: list[Demonstration], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written("lerobot_v21_openpi", tmp_path_factory.mktemp("openpi") / "set", demonstrations)


def lines(at: Path) -> list[Any]:
    return [json.loads(line) for line in at.read_text().splitlines()]


def test_each_episode_has_its_own_files(folder: Path) -> None:
    files = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file() and "vlagym" not in p.parts)
    meta = ("episodes.jsonl", "episodes_stats.jsonl", "info.json", "modality.json", "stats.json", "tasks.jsonl")
    assert files == [
        *(f"data/chunk-000/episode_{i:06d}.parquet" for i in range(3)),
        *(f"meta/{name}" for name in meta),
        *(f"videos/chunk-000/observation.images.{c}/episode_{i:06d}.mp4" for c in ("front", "wrist") for i in range(3)),
    ]
    info = json.loads((folder / "meta" / "info.json").read_text())
    counts = {k: info[k] for k in ("codebase_version", "total_videos", "total_chunks", "total_frames", "total_tasks", "chunks_size")}
    assert counts == {
        "codebase_version": "v2.1",
        "total_videos": 6,
        "total_chunks": 1,
        "total_frames": 18,
        "total_tasks": 2,
        "chunks_size": 1000,
    }
    assert lines(folder / "meta/tasks.jsonl") == [{"task_index": 0, "task": "task 0"}, {"task_index": 1, "task": "task 1"}]
    assert lines(folder / "meta/episodes.jsonl")[2] == {"episode_index": 2, "tasks": ["task 1"], "length": 11}
    rows = pq.read_table(folder / "data/chunk-000/episode_000002.parquet").to_pylist()
    assert [r["index"] for r in rows] == list(range(7, 18)) and {r["task_index"] for r in rows} == {1}


def test_gr00t_finds_which_numbers_are_what(folder: Path) -> None:
    modality = json.loads((folder / "meta" / "modality.json").read_text())
    assert {name: (part["start"], part["end"]) for name, part in modality["state"].items()} == {
        "ee_pos_base_m": (0, 3),
        "ee_axis_angle_base_rad": (3, 6),
        "finger_pos_m": (6, 8),
    }
    assert modality["action"]["rotation"] == {
        "start": 3,
        "end": 6,
        "absolute": False,
        "rotation_type": "axis_angle",
        "original_key": "action",
    }
    assert modality["action"]["gripper"]["absolute"] is True
    assert modality["video"] == {c: {"original_key": f"observation.images.{c}"} for c in ("front", "wrist")}
    assert modality["annotation"] == {"human.task_description": {"original_key": "task_index"}}
    stats = json.loads((folder / "meta" / "stats.json").read_text())
    assert all({"mean", "std", "min", "max", "q01", "q99"} <= set(stats[name]) for name in ("observation.state", "action"))


def test_gr00t_is_told_what_is_relative_where_a_name_says_it_and_nothing_where_none_does(traces: ModuleType) -> None:
    def told(action: ActionSpec, state: tuple[str, ...] = ("x",)) -> Any:
        return lerobot_v21.modality(films.info(action=action), lerobot_v21.FLAVOUR, state)

    named = recorded_action([-1.0] * 4, [1.0] * 4, 20.0, names=("delta_pos.x", "delta_pos.y", "joint_velocity", "left.gripper"))
    spans = told(named)["action"]
    assert {name: span.get("absolute", "not said") for name, span in spans.items()} == {
        "delta_pos": False,
        "joint_velocity": False,
        "left": "not said",
    }
    assert (spans["delta_pos"]["start"], spans["delta_pos"]["end"]) == (0, 2)
    assert told(recorded_action([-1.0] * 3, [1.0] * 3, 20.0))["action"] == {"action": {"start": 0, "end": 3, "original_key": "action"}}
    assert {name: span["absolute"] for name, span in told(traces.JOINT_DELTA)["action"].items()} == {"joints": False, "gripper": True}
    turns = told(traces.JOINT_DELTA, ("left.x", "right.x", "left.y"))["state"]
    assert {name: (span["start"], span["end"]) for name, span in turns.items()} == {"left.x": (0, 1), "right.x": (1, 2), "left.y": (2, 3)}


def test_statistics_of_an_episode_have_the_shapes_of_their_features(folder: Path, demonstrations: list[Demonstration]) -> None:
    stats = lines(folder / "meta/episodes_stats.jsonl")[2]["stats"]
    np.testing.assert_allclose(stats["action"]["mean"], demonstrations[2].actions.astype(np.float64).mean(axis=0), rtol=1e-12)
    assert np.array(stats["observation.images.front"]["std"]).shape == (3, 1, 1) and stats["observation.images.front"]["count"] == [11]


def test_openpi_finds_its_columns(openpi: Path, demonstrations: list[Demonstration]) -> None:
    table = pq.read_table(openpi / "data/chunk-000/episode_000000.parquet")
    assert {"image", "wrist_image", "state", "actions"} <= set(table.column_names) and not (openpi / "videos").exists()
    told = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
    assert told["image"] == {"_type": "Image"} and told["state"]["_type"] == "Sequence"
    info = json.loads((openpi / "meta" / "info.json").read_text())
    assert info["video_path"] is None and info["total_videos"] == 0 and info["features"]["image"]["dtype"] == "image"
    assert table.column("image")[0].as_py()["path"] == "frame-000000.png"
    with loaded("lerobot_v21_openpi").open(openpi) as reader:
        for i, d in enumerate(demonstrations):
            np.testing.assert_array_equal(reader[i].images["front"], d.images["front"])
            np.testing.assert_array_equal(reader[i].actions, d.actions)


@pytest.mark.parametrize("name", ["lerobot_v21", "lerobot_v21_openpi"])
def test_a_folder_without_ours_is_read_as_others_recorded_it(
    name: str, demonstrations: list[Demonstration], folder: Path, openpi: Path, tmp_path: Path
) -> None:
    import shutil

    theirs = tmp_path / "theirs"
    shutil.copytree({"lerobot_v21": folder}.get(name, openpi), theirs, ignore=shutil.ignore_patterns("vlagym"))
    with loaded("lerobot_v21").open(theirs) as reader:
        assert set(reader.info.images) == {"front", "wrist"} and reader.info.action.size == 7
        found = reader[2]
        assert found.instruction == "task 1" and found.proprio["state"].shape == (11, 8)
        assert films.levels_apart(found.images["front"], demonstrations[2].images["front"]) < films.CODEC_LEVELS


def test_single_images_may_have_odd_sides(tmp_path: Path) -> None:
    info = films.info(images={"front": ImagePreprocessing(crop=9, size=9)})
    d = films.demonstration(0, 3, of=info)
    with loaded("lerobot_v21_openpi").write(tmp_path / "set", info) as writer:
        writer.append(d)
    (found,) = loaded("lerobot_v21_openpi").read(tmp_path / "set")
    np.testing.assert_array_equal(found.images["front"], d.images["front"])
    with pytest.raises(BadData, match="lerobot_v21 stores video, whose sides are even"):
        loaded("lerobot_v21").write(tmp_path / "other", info)


def test_an_episode_without_a_sentence_is_told(folder: Path, tmp_path: Path) -> None:
    import shutil

    path = tmp_path / "set"
    shutil.copytree(folder, path)
    at = path / "meta" / "episodes.jsonl"
    at.write_text(at.read_text().replace('"tasks": ["task 1"]', '"tasks": []'))
    with loaded("lerobot_v21").open(path) as reader:
        assert reader[0].instruction == "task 0"
        with pytest.raises(BadData, match="episode 2 has no task, and with it no sentence that says what was to be done"):
            reader[2]


def of_others(source: Path, target: Path, *, without: tuple[str, ...] = (), **said: Any) -> Path:
    """Returns a copy of a folder as others would have recorded it: without ours, and without some columns."""
    import shutil

    shutil.copytree(source, target, ignore=shutil.ignore_patterns("vlagym"))
    at = target / "meta" / "info.json"
    info = json.loads(at.read_text())
    info["features"] = {name: feature for name, feature in info["features"].items() if name not in without}
    at.write_text(json.dumps(info | said))
    for file in target.rglob("*.parquet"):
        pq.write_table(pq.read_table(file).drop_columns(list(without)), file)
    return target


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A success and two failures."""
    made = [films.demonstration(i, 3, is_success=i == 0) for i in range(3)]
    return written("lerobot_v21", tmp_path_factory.mktemp("mixed") / "set", made)


def successes(path: Path) -> list[bool]:
    with loaded("lerobot_v21").open(path) as reader:
        return [reader[i].is_success for i in range(len(reader))]


def test_without_our_folder_the_last_reward_tells_failures_from_successes(mixed: Path, tmp_path: Path) -> None:
    theirs = of_others(mixed, tmp_path / "theirs")
    assert successes(mixed) == successes(theirs) == [True, False, False]
    pa = pytest.importorskip("pyarrow")
    for number, file in enumerate(sorted((theirs / "data").rglob("*.parquet"))):  # a column that says it itself goes before the reward
        table = pq.read_table(file)
        pq.write_table(table.append_column("next.success", pa.array([number == 2] * table.num_rows)), file)
    at = theirs / "meta" / "info.json"
    info = json.loads(at.read_text())
    info["features"]["next.success"] = {"dtype": "bool", "shape": [1], "names": None}
    at.write_text(json.dumps(info))
    assert successes(theirs) == [False, False, True]


def test_where_no_column_says_whether_an_episode_succeeded_it_is_asked(mixed: Path, tmp_path: Path) -> None:
    silent = of_others(mixed, tmp_path / "silent", without=("next.reward",))
    with loaded("lerobot_v21").open(silent) as reader, pytest.raises(BadData, match=r'episode 0 does not say whether .* "success": true or false'):
        reader[0]
    for said, found in ((True, [True] * 3), (False, [False] * 3), ([True, False, True], [True, False, True])):
        assert successes(of_others(mixed, tmp_path / str(said), without=("next.reward",), success=said)) == found
    for number, wrong in enumerate(("yes", [True], 1)):
        with pytest.raises(BadData, match="does not say whether it succeeded"):
            successes(of_others(mixed, tmp_path / str(number), without=("next.reward",), success=wrong))


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        *(("fps", fps, "fps is .*; it must be how many rows a second has, a number above 0") for fps in (0, -20, float("nan"), "20", None)),
        ("total_episodes", "3", "total_episodes is '3'; it must be a number"),
        ("total_episodes", 0, "tells of a dataset without episodes: there is nothing to read"),
        ("total_episodes", 2, "meta/episodes.jsonl tells of 3 episodes, meta/info.json of 2"),
        ("chunks_size", 0, "another value for it: ZeroDivisionError"),
        ("chunks_size", "many", "another value for it: ValueError"),
        ("data_path", None, "another value for it: TypeError"),
    ],
)
def test_an_info_that_cannot_be_is_refused_in_a_line(mixed: Path, tmp_path: Path, key: str, value: Any, why: str) -> None:
    with pytest.raises(BadData, match=why) as refused:
        loaded("lerobot_v21").open(of_others(mixed, tmp_path / "theirs", **{key: value}))
    assert "\n" not in str(refused.value) and "theirs" in str(refused.value)


@pytest.mark.parametrize(
    ("feature", "said", "why"),
    [
        ("action", {"dtype": "float32"}, "the feature 'action' has no dtype, or no shape"),
        ("action", "float32", "the feature 'action' has no dtype, or no shape"),
        ("action", {"dtype": "float32", "shape": [6]}, "action has 7 numbers a row, and meta/info.json says 6"),
        ("action", {"dtype": "float32", "shape": [-7]}, r"the feature 'action' has the shape \[-7\], which is none. Correct it"),
        ("observation.images.front", {"dtype": "video", "shape": [48, 64]}, r"front' has the shape \[48, 64\], which is none of an image"),
    ],
)
def test_a_feature_that_cannot_be_is_refused_in_a_line(mixed: Path, tmp_path: Path, feature: str, said: Any, why: str) -> None:
    features = json.loads((mixed / "meta" / "info.json").read_text())["features"]
    theirs = of_others(mixed, tmp_path / "theirs", features=features | {feature: said})
    with pytest.raises(BadData, match=why), loaded("lerobot_v21").open(theirs) as reader:
        reader[0]


@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        ('"length": 3', '"length": 0', "theirs: episode 0 has 0 rows, and no step is left. Remove it from the dataset"),
        ('"length": 3', '"length": "three"', "another value for it: ValueError"),
        ('"length": 3', '"length": 5', "episode_000000.parquet has 3 rows; an episode should end at row 5"),
        ('"episode_index": 0', '"episode": 0', "another value for it: KeyError"),
        ('["put the mug on the plate"]', '"put the mug"', "the tasks of episode 0 are 'put the mug'; they must be a list of sentences"),
    ],
)
def test_an_episode_that_cannot_be_is_refused_in_a_line(mixed: Path, tmp_path: Path, before: str, after: str, why: str) -> None:
    theirs = of_others(mixed, tmp_path / "theirs")
    at = theirs / "meta" / "episodes.jsonl"
    at.write_text(at.read_text().replace(before, after, 1))
    with pytest.raises(BadData, match=why), loaded("lerobot_v21").open(theirs) as reader:
        reader[0]


def test_rows_that_are_no_numbers_are_refused_in_a_line(mixed: Path, tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    for number, (name, rows, why) in enumerate(
        (
            ("action", [[1.0] * 7, [1.0], [1.0] * 13], "the rows of action have 1 or 7 or 13 numbers; they must be vectors of one width"),
            ("action", ["a", "b", "c"], "action holds something else than numbers"),
            ("action", [[1.0] * 7, None, [1.0] * 14], "the rows of action have 0 or 7 or 14 numbers; they must be"),
            ("observation.state", [[1.0] * 3] * 3, "observation.state has 3 numbers a row, and meta/info.json says 8"),
            ("timestamp", [0.0, float("nan"), 0.1], "timestamp holds NaN or infinity in row 1 of an episode"),
        )
    ):
        theirs = of_others(mixed, tmp_path / str(number))
        at = theirs / "data/chunk-000/episode_000000.parquet"
        table = pq.read_table(at)
        pq.write_table(table.set_column(table.schema.get_field_index(name), name, pa.array(rows)), at)
        with loaded("lerobot_v21").open(theirs) as reader, pytest.raises(BadData, match=why):
            reader[0]


def test_images_of_several_sizes_and_none_are_refused_in_a_line(openpi: Path, tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    theirs = of_others(openpi, tmp_path / "theirs")
    at = theirs / "data/chunk-000/episode_000000.parquet"
    table = pq.read_table(at)
    place, (first, *others) = table.schema.get_field_index("image"), table.column("image").to_pylist()
    small = table.column("wrist_image").to_pylist()[0]
    for cells, why in (
        ([small, *others], "image: the images have different sizes: 32 x 32, 64 x 48"),
        ([{"bytes": first["bytes"][:100], "path": "x"}, *others], "image: an image is damaged"),
        ([{"bytes": None, "path": "x"}, *others], "image: an image lies in no file that belongs to the dataset"),
    ):
        pq.write_table(table.set_column(place, "image", pa.array(cells, table.schema.field("image").type)), at)
        with loaded("lerobot_v21").open(theirs) as reader, pytest.raises(BadData, match=why):
            reader[0].images["front"]
