"""A folder of NumPy archives is read with NumPy alone, is equal for equal demonstrations, and says what is wrong with it."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from vlagym.envs.errors import BadData
from vlagym.results.demonstration import Demonstration, Stage
from vlagym.results.format import NoDataset
from vlagym.results.formats import droid, npz

WRITE, OPEN, STORE = npz.FORMAT.write, npz.FORMAT.open, npz.FORMAT.store


def write(traces: ModuleType, path: Path, *demonstrations: Demonstration) -> Path:
    with WRITE(path, traces.make_dataset_info()) as writer:
        for demonstration in demonstrations:
            writer.append(demonstration)
    return path


def test_numpy_alone_reads_an_episode(traces: ModuleType, tmp_path: Path) -> None:
    demonstration = traces.make_demonstration(stages=(Stage(0, "reach"),))
    path = write(traces, tmp_path / "set", demonstration)
    index = json.loads((path / "index.json").read_text())
    (entry,) = index["episodes"]
    assert entry == {
        "file": "episodes/000000.npz",
        "digest": demonstration.digest,
        "episode_id": demonstration.digest,
        "num_steps": 7,
        "language_instruction": "put the mug on the plate",
        "success": True,
    }
    with np.load(path / entry["file"], allow_pickle=False) as episode:
        np.testing.assert_array_equal(episode["images/front"], demonstration.images["front"])
        np.testing.assert_array_equal(episode["proprio/joint_pos_rad"], demonstration.proprio["joint_pos_rad"])
        assert json.loads(str(episode["about"]))["stages"] == [[0, "reach"]]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["set"]


def test_equal_demonstrations_give_equal_bytes(traces: ModuleType, tmp_path: Path) -> None:
    one, two = (write(traces, tmp_path / name, traces.make_demonstration()) for name in ("one", "two"))
    assert (one / "episodes/000000.npz").read_bytes() == (two / "episodes/000000.npz").read_bytes()


def test_frames_are_compressed(traces: ModuleType, tmp_path: Path) -> None:
    demonstration = traces.make_demonstration()
    dark = {camera: np.zeros_like(images) for camera, images in demonstration.images.items()}
    noisy = write(traces, tmp_path / "noisy", demonstration)
    path = write(traces, tmp_path / "dark", dataclasses.replace(demonstration, images=dark))
    saved = (noisy / "episodes/000000.npz").stat().st_size - (path / "episodes/000000.npz").stat().st_size
    assert saved > 0.8 * sum(images.nbytes for images in dark.values())


def test_images_are_read_when_they_are_looked_at(traces: ModuleType, tmp_path: Path) -> None:
    path = write(traces, tmp_path / "set", traces.make_demonstration())
    with OPEN(path) as reader:
        found = reader[0]
        (path / "episodes/000000.npz").unlink()
        assert list(found.images) == ["front", "wrist"]
        with pytest.raises(BadData, match="000000.npz cannot be read: .*It was removed or is damaged"):
            found.images["front"]
        with pytest.raises(BadData, match="000000.npz cannot be read"):
            reader[0]


def test_a_whole_folder_is_not_extended_and_stays_as_it_is(traces: ModuleType, tmp_path: Path) -> None:
    path = write(traces, tmp_path / "set", traces.make_demonstration())
    with pytest.raises(BadData, match="set exists already: .* is not extended. Remove it, or choose another folder"):
        WRITE(path, traces.make_dataset_info())
    assert len(OPEN(path)) == 1 and not (tmp_path / "set.parts").exists()


def test_a_demonstration_that_another_process_stored_is_taken_once(traces: ModuleType, tmp_path: Path) -> None:
    path, info, demonstration = tmp_path / "set", traces.make_dataset_info(), traces.make_demonstration()
    with WRITE(path, info) as writer:
        writer.take(STORE(path, info, demonstration))
        with pytest.raises(BadData, match="holds the demonstration .* already"):
            writer.take(STORE(path, info, demonstration))
    assert OPEN(path).digests == (demonstration.digest,)


def test_what_does_not_fit_is_refused(traces: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(BadData, match="the frame stride is 0; it must be 1 or more"):
        WRITE(tmp_path / "set", traces.make_dataset_info(frame_stride=0))
    with WRITE(tmp_path / "set", traces.make_dataset_info()) as writer:
        with pytest.raises(BadData, match="cannot be told in JSON"):
            writer.append(traces.make_demonstration(extra={"when": object()}))
        with pytest.raises(BadData, match="has no instruction"):
            writer.append(traces.make_demonstration(instruction=""))
    assert not (tmp_path / "set").exists()


def test_strangers_and_damage_are_told_apart(traces: ModuleType, tmp_path: Path) -> None:
    path = write(traces, tmp_path / "set", traces.make_demonstration())
    with pytest.raises(BadData, match="set is a dataset of the format npz, not droid"):
        droid.FORMAT.open(path)
    archive = path / "episodes/000000.npz"
    whole = archive.read_bytes()
    archive.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadData, match="000000.npz cannot be read"):
        OPEN(path)[0]
    np.savez(archive, actions=np.zeros((3, 7)))
    with pytest.raises(BadData, match="000000.npz is damaged, or was not written by vlagym: KeyError"):
        OPEN(path)[0]
    np.savez(archive, about=np.array([{}], object))
    with pytest.raises(BadData, match="000000.npz cannot be read: .*allow_pickle"):
        OPEN(path)[0]
    index = path / "index.json"
    index.write_text(index.read_text().replace('"schema": 1', '"schema": 9'))
    with pytest.raises(BadData, match="has schema 9; this version of vlagym reads 1. It was written by a newer vlagym"):
        OPEN(path)
    index.write_text("{")
    with pytest.raises(BadData, match="index.json is damaged, or no index of demonstrations"):
        OPEN(path)
    shutil.rmtree(path)
    path.mkdir()
    with pytest.raises(NoDataset, match=r"there is no dataset at .*set \(.* has no index.json\)"):
        OPEN(path)
