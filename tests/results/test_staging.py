"""A folder dataset is built beside its name: what was taken survives a kill, what was not leaves no trace, and the name appears in one step."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from vlagym.envs.errors import BadData
from vlagym.results.demonstration import DatasetInfo, Demonstration, Stage
from vlagym.results.format import NoDataset, Part
from vlagym.results.formats import _sidecar
from vlagym.results.formats._digests import Digests
from vlagym.results.formats._staging import FolderWriter, Staging, adopt, no_dataset, store_part, taken


@pytest.fixture
def info(traces: ModuleType) -> DatasetInfo:
    found = traces.make_dataset_info()
    assert isinstance(found, DatasetInfo)
    return found


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "set"


def put(path: Path, digest: str) -> Part:
    def write(folder: Path) -> None:
        (folder / "words").write_text(f"of {digest}")

    return store_part(path, digest, write)


def build(folder: Path, info: DatasetInfo, parts: Sequence[Part]) -> None:
    for part in parts:
        adopt(part.path / "words", folder / part.digest)


def words(path: Path) -> dict[str, str]:
    return {entry.name: entry.read_text() for entry in path.iterdir()}


def test_a_dataset_appears_whole_and_its_parts_vanish(path: Path, info: DatasetInfo) -> None:
    staging = Staging(path, info)
    for digest in ("b", "a"):
        staging.take(put(path, digest))
    assert [part.digest for part in staging.parts] == ["b", "a"] and not path.exists()
    staging.finish(build)
    assert words(path) == {"a": "of a", "b": "of b"} and os.listdir(path.parent) == ["set"]


def test_what_was_taken_survives_a_kill_and_what_was_only_stored_does_not(path: Path, info: DatasetInfo) -> None:
    killed = Staging(path, info)
    killed.take(put(path, "a"))
    put(path, "stored")
    (path.parent / "set.parts" / "half.4711").mkdir()
    os.close(killed._descriptor)  # as the system does for a process that was killed
    with (path.parent / "set.parts" / "taken.jsonl").open("ab") as file:
        file.write(b'{"digest":"cut o')
    assert taken(path) == ("a",)
    again = Staging(path, info)
    assert sorted(os.listdir(path.parent / "set.parts")) == ["a", "info.json", "taken.jsonl"]
    again.take(put(path, "b"))
    again.finish(build)
    assert words(path) == {"a": "of a", "b": "of b"}


def test_a_kill_between_the_name_and_the_removal_of_the_parts_leaves_a_whole_dataset(
    path: Path, info: DatasetInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(Exception):
        pass

    def kill(*_: object) -> None:
        raise Killed

    staging = Staging(path, info)
    staging.take(put(path, "a"))
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr("shutil.rmtree", kill)
        staging.finish(build)
    assert words(path) == {"a": "of a"} and (path.parent / "set.parts").exists()
    with pytest.raises(BadData, match="exists already: a folder of demonstrations that is whole is not extended. Remove it, or choose another"):
        Staging(path, info)
    assert os.listdir(path.parent) == ["set"]


def test_a_builder_that_fails_costs_no_demonstration(path: Path, info: DatasetInfo) -> None:
    def full(folder: Path, info: DatasetInfo, parts: Sequence[Part]) -> None:
        (folder / "begun").touch()
        raise OSError(28, "No space left on device")

    staging = Staging(path, info)
    staging.take(put(path, "a"))
    with pytest.raises(BadData, match="set could not be finished: .*No space left.*Its 1 demonstrations are kept in .*set.parts"):
        staging.finish(full)
    assert not path.exists()
    Staging(path, info).finish(build)
    assert words(path) == {"a": "of a"}


def test_what_cannot_be_stored_leaves_nothing_half_written(path: Path, info: DatasetInfo) -> None:
    def full(folder: Path) -> None:
        (folder / "begun").touch()
        raise OSError(28, "No space left on device")

    with pytest.raises(BadData, match="the demonstration a cannot be stored in .*set.parts: .*No space left"):
        store_part(path, "a", full)
    assert os.listdir(path.parent / "set.parts") == []


@pytest.mark.parametrize("is_begun", [True, False], ids=["begun first", "a system that cannot begin"])
def test_every_file_of_a_part_is_on_the_disk_when_it_is_stored(path: Path, is_begun: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    fsync = os.fsync

    def noted(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").resolve().name)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    if not is_begun:
        monkeypatch.delattr(os, "posix_fadvise")

    def write(folder: Path) -> None:
        (folder / "inside").mkdir()
        for name in ("one", "inside/two"):
            (folder / name).write_text(name)

    part = store_part(path, "a", write)
    assert sorted(synced) == sorted(["one", "two", "inside", f"a.{os.getpid()}"])
    assert (part.path / "inside" / "two").read_text() == "inside/two"


def test_two_writers_of_one_dataset_are_told_apart(path: Path, info: DatasetInfo) -> None:
    first = Staging(path, info)
    with pytest.raises(BadData, match="set is open in another process. Wait for it to end, or choose another folder"):
        Staging(path, info)
    first.leave()
    assert os.listdir(path.parent) == []
    Staging(path, info).leave()


def test_a_dataset_that_was_begun_goes_on_with_equal_information_only(path: Path, info: DatasetInfo) -> None:
    begun = Staging(path, dataclasses.replace(info, provenance={"command": ["first"]}))
    begun.take(put(path, "a"))
    begun.leave()
    with pytest.raises(BadData, match='was made with robot "" and cannot be extended with "panda". Choose another folder'):
        Staging(path, dataclasses.replace(info, robot="panda"))
    again = Staging(path, dataclasses.replace(info, provenance={"command": ["second"]}))
    assert again.info.provenance == {"command": ["first"]}
    with pytest.raises(BadData, match="holds the demonstration a already"):
        again.take(put(path, "a"))
    again.leave()
    with pytest.raises(NoDataset, match="was not finished: 1 demonstrations wait in set.parts. Repeat the command that began it"):
        raise no_dataset(path)


def test_without_a_demonstration_there_is_no_dataset(path: Path, info: DatasetInfo) -> None:
    Staging(path, info).finish(build)
    assert os.listdir(path.parent) == []
    with pytest.raises(NoDataset, match="there is no dataset at .*set. Make one with vlagym demo"):
        raise no_dataset(path)


def test_a_writer_that_is_left_by_an_error_keeps_what_was_taken(path: Path, traces: ModuleType, info: DatasetInfo) -> None:
    def store(path: Path, info: DatasetInfo, demonstration: Demonstration) -> Part:
        return put(path, demonstration.digest)

    first, second = traces.make_demonstration(1), traces.make_demonstration(2)
    with pytest.raises(KeyboardInterrupt), FolderWriter(path, info, store=store, build=build) as writer:
        writer.append(first)
        raise KeyboardInterrupt
    assert not path.exists()
    with FolderWriter(path, info, store=store, build=build) as writer:
        assert writer.digests == (first.digest,)
        with pytest.raises(BadData, match=f"holds the demonstration {first.digest} already"):
            writer.append(first)
        writer.append(second)
    assert set(words(path)) == {first.digest, second.digest}
    writer.close()


def test_a_folder_that_may_not_be_written_is_told(tmp_path: Path, info: DatasetInfo) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BadData, match="file/set.parts, where the demonstrations of set are put together, cannot be made: .*Not a directory"):
        Staging(tmp_path / "file" / "set", info)


# -------------------------------------------------------------------------------------------------------------------------- the sidecar
def whole(traces: ModuleType, info: DatasetInfo) -> Demonstration:
    made = traces.make_demonstration(1, steps=6, info=info)
    assert isinstance(made, Demonstration)
    rng = np.random.default_rng(0)
    return dataclasses.replace(
        made,
        depth={"wrist": rng.integers(0, 4000, made.images["wrist"].shape[:3], np.uint16)},
        stages=(Stage(0, "reach"), Stage(3, "grasp")),
        paraphrases=("set it on the plate",),
        timestamps_s=np.arange(6) / 20 + 0.001,
        extra={"operator": "café", "tries": [1, 2]},
    )


def joined(path: Path, info: DatasetInfo, d: Demonstration) -> _sidecar.Sidecar:
    staging = Staging(path, info)
    staging.take(store_part(path, d.digest, lambda folder: _sidecar.write_part(folder, d)))
    assert _sidecar.part_episode(staging.parts[0]).num_steps == d.num_steps
    staging.finish(_sidecar.join_parts)
    found = _sidecar.sidecar_of(path)
    assert found is not None
    return found


def test_what_a_format_has_no_place_for_comes_back_as_it_was(traces: ModuleType, path: Path, info: DatasetInfo) -> None:
    info = dataclasses.replace(info, depth=("wrist",))
    d = whole(traces, info)
    found = joined(path, info, d)
    assert found.info == info and found.digests == (d.digest,)
    back = _sidecar.in_memory(found.demonstration(0, instruction=d.instruction, actions=d.actions, images=d.images))
    for field in dataclasses.fields(Demonstration):
        np.testing.assert_equal(getattr(back, field.name), getattr(d, field.name), err_msg=field.name)


def test_a_sidecar_of_other_rows_than_the_dataset_is_refused(traces: ModuleType, path: Path, info: DatasetInfo) -> None:
    d = whole(traces, info)
    found = joined(path, info, dataclasses.replace(d, depth={}))
    with pytest.raises(BadData, match=f"does not belong to the 3 actions that the dataset holds of {d.digest}"):
        found.demonstration(0, instruction=d.instruction, actions=d.actions[:3], images=d.images)
    (path / "vlagym" / "arrays" / f"{d.digest}.npz").write_bytes(b"PK half")
    with pytest.raises(BadData, match="npz cannot be read: .* It was removed or is damaged"):
        found.demonstration(0, instruction=d.instruction, actions=d.actions, images=d.images)


def test_a_sidecar_of_another_schema_is_refused(traces: ModuleType, path: Path, info: DatasetInfo) -> None:
    joined(path, info, dataclasses.replace(whole(traces, info), depth={}))
    at = path / "vlagym" / "info.json"
    at.write_text(json.dumps(json.loads(at.read_text()) | {"schema": 99}))
    with pytest.raises(BadData, match="has schema 99; this version of vlagym reads 1. It was written by a newer vlagym"):
        _sidecar.sidecar_of(path)
    at.unlink()
    with pytest.raises(BadData, match="Without that folder the dataset is read like one that others made"):
        _sidecar.sidecar_of(path)


def test_extra_that_is_no_json_is_refused_when_it_is_stored(traces: ModuleType, path: Path, info: DatasetInfo) -> None:
    d = dataclasses.replace(whole(traces, info), extra={"when": float("nan")})
    with pytest.raises(BadData, match="extra holds what JSON cannot"):
        store_part(path, d.digest, lambda folder: _sidecar.write_part(folder, d))


def test_actions_that_nobody_explains_have_a_spec_that_says_so() -> None:
    spec = _sidecar.recorded_action([-1, 0], [1, 2], 10)
    assert (spec.name, spec.size, spec.rate_hz) == ("recorded", 2, 10.0) and spec.components[0].convention == "recorded"
    named = _sidecar.recorded_action([-1, 0], [1, 2], 10, names=["x", "gripper"])
    assert list(named.slices()) == ["x", "gripper"] and named.high.tolist() == [1, 2]
    assert _sidecar.content_digest("put it", np.zeros(3)) != _sidecar.content_digest("take it", np.zeros(3))


def test_information_under_which_nothing_was_taken_binds_nobody(path: Path, info: DatasetInfo) -> None:
    killed = Staging(path, info)
    killed._let_go()  # as the system does
    begun = Staging(path, dataclasses.replace(info, frame_stride=2))
    assert begun.info.frame_stride == 2
    begun.take(put(path, "a" * 32))
    begun.leave()
    with pytest.raises(BadData, match="was made with frame_stride 2 and cannot be extended with 1"):
        Staging(path, info)


def test_whether_a_demonstration_is_listed_is_known_at_once() -> None:
    many = Digests(f"{number:032x}" for number in range(200_000))
    assert all(f"{number:032x}" in many for number in range(200_000)) and "x" not in many  # a search from the start takes a quarter of an hour
    assert len(many) == 200_000 and many[-1] == f"{199_999:032x}" and many[:1] == [f"{0:032x}"]
    few = Digests(["b", "a", "b"])
    assert few == ("b", "a") and few != ("a", "b") and list(few) == ["b", "a"]
