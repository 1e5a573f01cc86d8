"""The format of a dataset is told by what lies there, ours and that of others; what is not finished is not taken for whole."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

import h5py
import pytest

from vlagym.envs import catalog
from vlagym.envs.errors import BadData
from vlagym.results.datasets import format_of, open_dataset
from vlagym.results.format import Format, NoDataset

FORMATS = catalog.names("format")


@pytest.fixture(scope="module")
def written(traces: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    info = traces.make_dataset_info(commands={"joint_delta": traces.JOINT_DELTA})
    paths = {}
    for name in FORMATS:
        format_: Format = catalog.load("format", name)
        paths[name] = tmp_path_factory.mktemp(name) / f"set{format_.suffix}"
        with format_.write(paths[name], info) as writer:
            for seed in range(2):
                writer.append(traces.make_demonstration(seed, info=info))
    return paths


@pytest.mark.parametrize("name", FORMATS)
def test_each_format_knows_its_own_and_no_other(written: dict[str, Path], name: str) -> None:
    assert [other for other in FORMATS if catalog.load("format", other).recognises(written[name])] == [name] == [format_of(written[name])]
    with open_dataset(written[name]) as reader:
        assert len(reader) == 2


@pytest.mark.parametrize("name", FORMATS)
def test_nothing_is_known_where_nothing_is(tmp_path: Path, name: str) -> None:
    (tmp_path / "file.txt").write_text("{", encoding="utf-8")
    for path in (tmp_path, tmp_path / "file.txt", tmp_path / "nowhere"):
        assert not catalog.load("format", name).recognises(path)


def test_the_suffix_does_not_decide(written: dict[str, Path], tmp_path: Path) -> None:
    shutil.copyfile(written["hdf5"], tmp_path / "renamed.data")
    shutil.copytree(written["npz"], tmp_path / "renamed.hdf5")
    assert format_of(tmp_path / "renamed.data") == "hdf5" and format_of(tmp_path / "renamed.hdf5") == "npz"


def test_datasets_of_others_are_known_too(written: dict[str, Path], tmp_path: Path) -> None:
    for name in ("lerobot_v3", "lerobot_v21", "lerobot_v21_openpi", "rlds", "rlds_droid"):
        shutil.copytree(written[name], tmp_path / name)
        for sidecar in list((tmp_path / name).glob("**/vlagym")):
            shutil.rmtree(sidecar)
        assert format_of(tmp_path / name) == name
    with h5py.File(tmp_path / "theirs.h5", "w") as file:
        file.create_group("data")
    assert format_of(tmp_path / "theirs.h5") == "hdf5"


def test_what_is_no_dataset_is_told_with_what_would_be_one(tmp_path: Path) -> None:
    with pytest.raises(NoDataset, match="there is no dataset at .*nowhere. Make one with vlagym demo"):
        format_of(tmp_path / "nowhere")
    (tmp_path / "header.json").write_text("{}", encoding="utf-8")
    with pytest.raises(BadData, match=r"is no dataset of a format that is known here \(droid, hdf5, .*\): the file that would say which it has is missing"):
        format_of(tmp_path)


def test_what_was_not_finished_is_not_taken_for_whole(traces: ModuleType, tmp_path: Path, written: dict[str, Path]) -> None:
    info: Any = traces.make_dataset_info()
    writer = catalog.load("format", "npz").write(tmp_path / "set", info)
    writer.append(traces.make_demonstration(0, info=info))
    with pytest.raises(NoDataset, match=r"was not finished: what was stored of it waits in set.parts. Repeat the command"):
        open_dataset(tmp_path / "set")
    shutil.copyfile(written["hdf5"], tmp_path / "set.hdf5")
    (tmp_path / "set.hdf5.parts").mkdir()
    with pytest.raises(BadData, match=r"set.hdf5 is not complete: more of it waits in set.hdf5.parts, or is being written. Repeat"):
        open_dataset(tmp_path / "set.hdf5")


def test_a_folder_that_is_two_things_at_once_is_asked_about(written: dict[str, Path], tmp_path: Path) -> None:
    shutil.copytree(written["npz"], tmp_path / "both")
    shutil.copytree(written["lerobot_v3"] / "meta", tmp_path / "both" / "meta")
    with pytest.raises(BadData, match="may be a dataset of the formats lerobot_v3 and npz: open it as one of them"):
        format_of(tmp_path / "both")
    with open_dataset(tmp_path / "both", "npz") as reader:
        assert len(reader) == 2


@pytest.mark.parametrize("text", ["", "[]", '{"format": 3}', '{"codebase_version": null, "features": 7}'])
def test_damaged_signs_are_no_error(tmp_path: Path, text: str) -> None:
    for file in ("index.json", "meta/info.json", "1.0.0/features.json", "1.0.0/dataset_info.json"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(text, encoding="utf-8")
    assert not [name for name in FORMATS if catalog.load("format", name).recognises(tmp_path)], json.dumps(text)
