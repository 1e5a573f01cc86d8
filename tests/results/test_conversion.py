"""A dataset in another format: equal where both can hold it, told where not, and nothing under its name before it is whole."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import h5py
import numpy as np
import pytest

from vlagym.envs import catalog
from vlagym.envs.errors import BadData, UnknownName
from vlagym.envs.types import Certificate
from vlagym.results.conversion import CONVERSIONS, Conversion, ConversionOptions
from vlagym.results.datasets import open_dataset
from vlagym.results.demonstration import DatasetInfo, Demonstration, ImagePreprocessing, Stage
from vlagym.results.format import FIELDS, Format, NoDataset
from vlagym.results.formats import _video
from vlagym.results.losses import Loss

FORMATS = catalog.names("format")
CODEC_ERROR = 12.0
"""By how many of 255 levels a smooth image may differ on average."""


def loaded(name: str) -> Format:
    found = catalog.load("format", name)
    assert isinstance(found, Format)
    return found


@pytest.fixture(scope="module", autouse=True)
def no_waiting_for_the_disk() -> Iterator[None]:
    """What these tests are about does not depend on when bytes reach the disk, and waiting for that takes most of their time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture(scope="module")
def info(traces: ModuleType) -> DatasetInfo:
    images = {"front": ImagePreprocessing(crop=32, size=16), "wrist": ImagePreprocessing(crop=32, size=16)}
    made: DatasetInfo = traces.make_dataset_info(images=images, depth=("wrist",), commands={"joint_delta": traces.JOINT_DELTA}, robot="panda")
    return made


@pytest.fixture(scope="module")
def demonstrations(traces: ModuleType, info: DatasetInfo) -> list[Demonstration]:
    """Everything that a demonstration may hold; a failure; and one that was recorded elsewhere."""
    made = []
    for seed, steps in enumerate((5, 1, 3)):
        d = traces.make_demonstration(seed, steps=steps, info=info)
        t, y, x, c = np.meshgrid(np.arange(steps), *(np.arange(n) for n in (16, 16, 3)), indexing="ij")
        smooth = (127 + 60 * (np.sin(x / 9 + c + t / 5 + seed) + np.cos(y / 7))).astype(np.uint8)
        made.append(
            dataclasses.replace(
                d,
                images={"front": smooth, "wrist": smooth[:, ::-1].copy()},
                depth={"wrist": (np.arange(steps * 256) % 4000).astype(np.uint16).reshape(steps, 16, 16)},
                stages=(Stage(0, "reach"), Stage(2, "grasp"))[: 1 + (steps > 2)],
                paraphrases=("set the mug onto the plate", "der Teller möchte die Tasse"),
                certificate=Certificate(spec=d.digest, model="0" * 32, initial_state="1" * 32, actions="2" * 32, final_state="3" * 32, frames=None),
                timestamps_s=np.arange(steps) / 20 + 0.001 * seed,
                extra={"operator": "nobody", "tries": [1, 2]},
                is_success=seed != 1,
            )
        )
    made.append(dataclasses.replace(made[0], spec=None, digest="ab" * 16, certificate=None, actions=-made[0].actions))
    return made


def write(path: Path, name: str, info: DatasetInfo, demonstrations: list[Demonstration]) -> Path:
    path.parent.mkdir(exist_ok=True)
    with loaded(name).write(path, info) as writer:
        for demonstration in demonstrations:
            writer.append(demonstration)
    return path


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory, info: DatasetInfo, demonstrations: list[Demonstration]) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("sources")
    return {name: write(folder / name / f"set{loaded(name).suffix}", name, info, demonstrations) for name in FORMATS}


def convert(source: Path, target: Path, name: str, **options: Any) -> list[Loss]:
    with Conversion(ConversionOptions(source=source, target=target, format=name, **options)) as conversion:
        for _ in conversion:
            pass
        return conversion.losses


def image_difference(a: Demonstration, b: Demonstration) -> float:
    assert set(a.images) == set(b.images)
    return max(float(np.abs(a.images[c].astype(float) - b.images[c]).mean()) for c in a.images)


def assert_equal(a: Demonstration, b: Demonstration, *, images: bool) -> None:
    for field in dataclasses.fields(Demonstration):
        one, other = getattr(a, field.name), getattr(b, field.name)
        if field.name == "images" and not images:
            continue
        if isinstance(one, np.ndarray):
            np.testing.assert_array_equal(one, other, strict=True)
        elif field.name in ("images", "proprio", "privileged", "depth", "commands"):
            assert set(one) == set(other), field.name
            for key in one:
                np.testing.assert_array_equal(one[key], other[key], strict=True)
        else:
            assert one == other, field.name


# --------------------------------------------------------------------------------------------------------------------- all pairs
@pytest.mark.parametrize(
    ("source", "target"), [pytest.param(a, b, marks=() if a == "npz" else pytest.mark.slow) for a in FORMATS for b in FORMATS]
)
def test_what_both_formats_hold_is_equal_bit_for_bit_and_the_rest_is_told(
    sources: dict[str, Path], info: DatasetInfo, tmp_path: Path, source: str, target: str
) -> None:
    to = loaded(target)
    assert to.holds >= set(FIELDS) - {"frame_stride"}, "whatever lacks more needs a test of its own"
    path = tmp_path / f"set{to.suffix}"
    losses = convert(sources[source], path, target)
    is_equal = to.images == "exact" or loaded(source).images == to.images == "h264"
    assert [loss.what for loss in losses] == ([] if is_equal else ["images"])
    with open_dataset(sources[source]) as before, open_dataset(path) as after:
        assert after.digests == before.digests
        assert dataclasses.replace(after.info, provenance={}) == dataclasses.replace(before.info, provenance={})
        for index in range(len(before)):
            assert_equal(before[index], after[index], images=is_equal)
            assert image_difference(before[index], after[index]) < CODEC_ERROR
        (told,) = after.info.provenance[CONVERSIONS]
        assert (told["from"], told["to"], told["demonstrations"], told["lost"]) == (source, target, 4, [list(loss) for loss in losses])
        assert after.info.provenance["command"] == info.provenance["command"]
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize(("source", "target"), [("lerobot_v3", "lerobot_v21"), ("lerobot_v21", "lerobot_v3"), ("lerobot_v3", "lerobot_v3")])
def test_films_are_copied_where_both_formats_hold_the_same_stream(sources: dict[str, Path], tmp_path: Path, source: str, target: str) -> None:
    assert convert(sources[source], tmp_path / "set", target, successes_only=True) == [Loss("demonstrations", "1 of 4 failed, and are left out")]
    with open_dataset(sources[source]) as before, open_dataset(tmp_path / "set") as after:
        for here, there in enumerate((0, 2, 3)):
            assert_equal(before[there], after[here], images=True)


def test_films_that_are_encoded_otherwise_are_encoded_again_and_that_is_told(
    info: DatasetInfo, demonstrations: list[Demonstration], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:  # frames that are stored in another order than they are shown in
        patch.setattr(_video, "_OPTIONS", {"preset": "veryfast", "g": "12", "bf": "2", "threads": "1"})
        source = write(tmp_path / "source" / "set", "lerobot_v21", info, demonstrations)
    (lost,) = convert(source, tmp_path / "again", "lerobot_v21")
    assert lost.what == "images" and "compressed as H.264 once more: before they were H.264" in lost.how
    with open_dataset(source) as before, open_dataset(tmp_path / "again") as after:
        for index in range(len(before)):
            assert_equal(before[index], after[index], images=False)
            assert image_difference(before[index], after[index]) < CODEC_ERROR


def test_a_film_of_which_a_conversion_takes_a_part_is_read_alone(sources: dict[str, Path], tmp_path: Path) -> None:
    """Of a file with the frames of many episodes one is copied: its frames, and none of its neighbours."""
    with open_dataset(sources["lerobot_v3"]) as reader:
        clips = [_video.clips_of(reader[index].images)["front"] for index in range(len(reader))]
        assert [(clip.num_frames, clip.start_s) for clip in clips] == [(5, 0.0), (1, 5 / 20), (3, 6 / 20), (5, 9 / 20)]
        for index, clip in enumerate(clips):
            assert _video.can_copy(clip, (16, 16, 3), 20)
            _video.copy(tmp_path / "film.mp4", clip, 20)
            assert _video.num_frames(tmp_path / "film.mp4") == clip.num_frames
            np.testing.assert_array_equal(_video.decode(tmp_path / "film.mp4", 0.0, clip.num_frames, 20), reader[index].images["front"])
    assert not _video.can_copy(clips[0], (16, 18, 3), 20) and not _video.can_copy(clips[0], (16, 16, 3), 30)
    for wrong in (clips[0]._replace(start_s=0.05), clips[3]._replace(num_frames=6)):  # no key frame; no such frames
        assert not _video.can_copy(wrong, (16, 16, 3), 20)
        with pytest.raises(BadData, match="that could be cut out: it was changed"):
            _video.copy(tmp_path / "film.mp4", wrong, 20)


@pytest.mark.parametrize("target", FORMATS)
def test_fewer_images_than_steps_are_refused_where_there_is_no_place_for_that(
    sources: dict[str, Path], traces: ModuleType, tmp_path: Path, target: str
) -> None:
    info = traces.make_dataset_info(frame_stride=3, commands={"joint_delta": traces.JOINT_DELTA})
    source = write(tmp_path / "source" / "set", "npz", info, [traces.make_demonstration(0, info=info)])
    path = tmp_path / f"out{loaded(target).suffix}"
    if "frame_stride" in loaded(target).holds:
        assert convert(source, path, target) == []
        return
    with pytest.raises(BadData, match=f"{target} stores an image for every step; the frame stride is 3"):
        convert(source, path, target)
    assert [p.name for p in tmp_path.iterdir()] == ["source"]


def test_a_chain_of_conversions_is_told_link_by_link(sources: dict[str, Path], tmp_path: Path) -> None:
    convert(sources["npz"], tmp_path / "second", "rlds", told={"command": ["one"]})
    convert(tmp_path / "second", tmp_path / "third", "lerobot_v3", told={"command": ["two"]})
    with open_dataset(tmp_path / "third") as reader:
        first, second = reader.info.provenance[CONVERSIONS]
    assert (first["from"], first["to"], first["command"]) == ("npz", "rlds", ["one"])
    assert (second["from"], second["to"], second["command"]) == ("rlds", "lerobot_v3", ["two"])
    assert "compressed as H.264 once more: before they were JPEG" in second["lost"][0][1]


# ------------------------------------------------------------------------------------------------------------ formats that hold less
def forgetful() -> Format:
    """Returns the format npz, made to have no place for depth, specs and what else is said."""
    return dataclasses.replace(loaded("npz"), holds=frozenset(FIELDS) - {"spec", "depth", "executed_actions", "certificate"})


FORGETFUL = forgetful()


def test_what_a_format_has_no_place_for_is_left_out_counted_and_told(
    sources: dict[str, Path], tmp_path: Path, demonstrations: list[Demonstration], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parent)
    losses = dict(convert(sources["hdf5"], tmp_path / "less", "test_conversion:FORGETFUL"))
    place = "test_conversion:FORGETFUL has no place for it, and"
    assert losses == {
        "spec": f"{place} 3 of 4 demonstrations have it; without it an episode cannot be simulated again, or verified",
        "executed_actions": f"{place} 4 of 4 demonstrations have it; the labels stand for them, and no episode runs the same again",
        "depth": f"{place} 4 of 4 demonstrations have it",
        "certificate": f"{place} 3 of 4 demonstrations have it; nobody can verify the episodes",
    }
    with open_dataset(tmp_path / "less") as reader:
        assert reader.info.depth == () and reader[0].spec is None and reader[0].certificate is None
        np.testing.assert_array_equal(reader[0].executed_actions, demonstrations[0].actions)


# ------------------------------------------------------------------------------------------------------------------- what is chosen
def test_failures_are_left_out_where_that_is_wanted(sources: dict[str, Path], tmp_path: Path) -> None:
    assert convert(sources["npz"], tmp_path / "good", "npz", successes_only=True) == [Loss("demonstrations", "1 of 4 failed, and are left out")]
    with open_dataset(tmp_path / "good") as reader:
        assert len(reader) == 3 and all(reader[i].is_success for i in range(3))


def test_a_dataset_of_failures_alone_gives_none(info: DatasetInfo, demonstrations: list[Demonstration], tmp_path: Path) -> None:
    source = write(tmp_path / "bad", "npz", info, demonstrations[1:2])
    with pytest.raises(BadData, match="bad holds no demonstration that succeeded: there is nothing to convert"):
        convert(source, tmp_path / "good", "npz", successes_only=True)


def test_a_share_is_set_apart_for_validation_where_there_is_a_place_for_that(sources: dict[str, Path], tmp_path: Path) -> None:
    convert(sources["npz"], tmp_path / "set.hdf5", "hdf5", validation=0.4)
    with h5py.File(tmp_path / "set.hdf5") as file:
        names = [*file["mask/train"], *file["mask/valid"]]
        assert sorted(names) == [b"demo_0", b"demo_1", b"demo_2", b"demo_3"] and len(file["mask/valid"]) >= 1
    with pytest.raises(BadData, match="the format rlds has no place for which demonstrations are for validation; hdf5 has"):
        convert(sources["npz"], tmp_path / "set", "rlds", validation=0.4)
    with pytest.raises(BadData, match="the share of demonstrations for validation is 1; it must lie between 0 and 1"):
        convert(sources["npz"], tmp_path / "other.hdf5", "hdf5", validation=1.0)
    assert [p.name for p in tmp_path.iterdir()] == ["set.hdf5"]


def test_the_state_vector_can_be_another(sources: dict[str, Path], tmp_path: Path) -> None:
    convert(sources["npz"], tmp_path / "set", "lerobot_v3", state="joints")
    told = json.loads((tmp_path / "set" / "meta" / "info.json").read_text(encoding="utf-8"))
    assert told["features"]["observation.state"]["names"] == [*(f"joint_pos_rad.{i}" for i in range(7)), "gripper_opening_m"]
    with pytest.raises(UnknownName, match="no state vector is called 'jointz'. Did you mean joints"):
        convert(sources["npz"], tmp_path / "other", "lerobot_v3", state="jointz")


# ----------------------------------------------------------------------------------------------------------------- made by others
def without_sidecar(source: Path) -> Path:
    for sidecar in list(source.glob("**/vlagym")):
        shutil.rmtree(sidecar)
    return source


@pytest.mark.parametrize("target", ["hdf5", "npz", "lerobot_v3", "lerobot_v21"])
def test_what_others_recorded_is_converted_where_the_format_can_hold_it(sources: dict[str, Path], tmp_path: Path, target: str) -> None:
    source = without_sidecar(shutil.copytree(sources["lerobot_v3"], tmp_path / "theirs"))
    path = tmp_path / f"ours{loaded(target).suffix}"
    losses = convert(source, path, target)
    assert [loss.what for loss in losses] == (["images"] if loaded(target).images == "h264" else [])
    if target.startswith("lerobot"):
        before_state, after_state = (
            json.loads((folder / "meta" / "info.json").read_text(encoding="utf-8"))["features"]["observation.state"] for folder in (source, path)
        )
        assert after_state == before_state and before_state["names"][:2] == ["ee_pos_base_m.x", "ee_pos_base_m.y"]
    with open_dataset(source) as before, open_dataset(path) as after:
        assert after.digests == before.digests and after.info.action == before.info.action
        for index in range(len(after)):
            assert after[index].spec is None
            assert_equal(before[index], after[index], images=loaded(target).images == "exact")


def test_the_names_of_others_outlive_formats_that_have_no_place_for_them(sources: dict[str, Path], tmp_path: Path) -> None:
    source = without_sidecar(shutil.copytree(sources["lerobot_v3"], tmp_path / "theirs"))
    convert(source, tmp_path / "between.hdf5", "hdf5")
    assert [loss.what for loss in convert(tmp_path / "between.hdf5", tmp_path / "ours", "lerobot_v21")] == ["images"]
    theirs, ours = (json.loads((tmp_path / name / "meta" / "info.json").read_text(encoding="utf-8"))["features"] for name in ("theirs", "ours"))
    for feature in ("observation.state", "action"):
        assert ours[feature]["names"] == theirs[feature]["names"]
    modality = json.loads((tmp_path / "ours" / "meta" / "modality.json").read_text(encoding="utf-8"))
    assert list(modality["state"]) == ["ee_pos_base_m", "ee_axis_angle_base_rad", "finger_pos_m"]
    assert {name: (part["start"], part["end"]) for name, part in modality["action"].items()} == {
        "translation": (0, 3),
        "rotation": (3, 6),
        "gripper": (6, 7),
    }
    assert not any("absolute" in part for part in modality["action"].values()), "nobody says whether these are displacements"


@pytest.mark.parametrize(("target", "why"), [("rlds", "tells motion as displacements of the hand"), ("droid", "tells it in joints")])
def test_what_others_do_not_say_is_refused_in_a_line_before_anything_is_written(
    sources: dict[str, Path], tmp_path: Path, target: str, why: str
) -> None:
    source = without_sidecar(shutil.copytree(sources["lerobot_v3"], tmp_path / "theirs"))
    with pytest.raises(BadData, match=why) as refused:
        convert(source, tmp_path / "ours", target)
    assert "\n" not in str(refused.value) and [p.name for p in tmp_path.iterdir()] == ["theirs"]


def test_what_was_recorded_twice_is_stored_once(demonstrations: list[Demonstration], info: DatasetInfo, tmp_path: Path) -> None:
    twice = [dataclasses.replace(d, spec=None, digest=f"{i:032d}") for i, d in enumerate((*demonstrations[:3], demonstrations[0]))]
    source = write(tmp_path / "source" / "set", "rlds", info, twice)
    without_sidecar(source)
    assert Loss("demonstrations", "1 of 4 are there twice, and are stored once") in convert(source, tmp_path / "ours", "npz")
    with open_dataset(tmp_path / "ours") as reader:
        assert len(reader) == 3


# --------------------------------------------------------------------------------------------------------- what is refused, interrupted
def test_nothing_is_written_over_and_no_dataset_into_itself(sources: dict[str, Path], tmp_path: Path) -> None:
    source = sources["npz"]
    with pytest.raises(BadData, match="set exists already: nothing is written over"):
        convert(source, source, "hdf5")
    with pytest.raises(BadData, match="inner lies in the dataset that is converted"):
        convert(source, source / "inner", "npz")
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadData, match="empty exists already"):
        convert(source, tmp_path / "empty", "npz")


def test_what_is_not_there_or_not_finished_is_not_converted(info: DatasetInfo, demonstrations: list[Demonstration], tmp_path: Path) -> None:
    with pytest.raises(NoDataset, match="there is no dataset at"):
        convert(tmp_path / "nowhere", tmp_path / "out", "npz")
    loaded("npz").write(tmp_path / "half", info).append(demonstrations[0])
    with pytest.raises(NoDataset, match="half was not finished: what was stored of it waits in half.parts"):
        convert(tmp_path / "half", tmp_path / "out", "npz")
    assert not (tmp_path / "out.converting").exists()


def test_a_damaged_demonstration_is_named_before_anything_is_written(
    info: DatasetInfo, demonstrations: list[Demonstration], tmp_path: Path
) -> None:
    source = write(tmp_path / "source", "npz", info, demonstrations)
    cut = source / "episodes" / "000002.npz"
    cut.write_bytes(cut.read_bytes()[:-100])
    with pytest.raises(BadData, match="000002.npz cannot be read"):
        convert(source, tmp_path / "out", "lerobot_v3")
    assert [p.name for p in tmp_path.iterdir()] == ["source"]


@contextlib.contextmanager
def begun(source: Path, target: Path, name: str) -> Iterator[Conversion]:
    with Conversion(ConversionOptions(source=source, target=target, format=name)) as conversion:
        yield conversion


@pytest.mark.parametrize("name", [pytest.param(n, marks=() if n in ("hdf5", "lerobot_v3", "rlds") else pytest.mark.slow) for n in FORMATS])
def test_an_interrupted_conversion_leaves_nothing_under_the_name_and_goes_on(sources: dict[str, Path], tmp_path: Path, name: str) -> None:
    target = tmp_path / f"set{loaded(name).suffix}"
    with pytest.raises(KeyboardInterrupt), begun(sources["npz"], target, name) as conversion:
        for number, _ in enumerate(conversion):
            if number == 1:
                raise KeyboardInterrupt
    assert not target.exists() and target.with_name(f"{target.name}.converting").is_dir()
    with begun(sources["npz"], target, name) as conversion:
        digests = [stored.digest for stored in conversion]
    with open_dataset(sources["npz"]) as before, open_dataset(target) as after:
        assert digests == list(before.digests[2:]) and after.digests == before.digests
        assert_equal(before[3], after[3], images=False)
    assert [p.name for p in tmp_path.iterdir()] == [target.name]


def test_a_kill_between_the_dataset_and_its_name_costs_nothing(sources: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(self: Conversion) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Conversion, "_finish", killed)
        convert(sources["hdf5"], tmp_path / "set", "rlds")
    assert (tmp_path / "set.converting" / "set" / "1.0.0").is_dir() and not (tmp_path / "set").exists()
    with begun(sources["hdf5"], tmp_path / "set", "rlds") as conversion:
        assert list(conversion) == []
    with open_dataset(tmp_path / "set") as reader:
        assert len(reader) == 4
    assert [p.name for p in tmp_path.iterdir()] == ["set"]


def test_a_conversion_does_not_go_on_with_that_of_something_else(sources: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), begun(sources["npz"], tmp_path / "set", "npz") as conversion:
        next(iter(conversion))
        raise KeyboardInterrupt
    with pytest.raises(BadData, match=r"set.converting holds a conversion of another dataset, or with other options"):
        convert(sources["npz"], tmp_path / "set", "npz", successes_only=True)
    assert convert(sources["npz"], tmp_path / "set", "npz") == []
