"""Files that anybody may have made: no digest, camera or template of a path leads out of a dataset, and times are times."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from vlagym.envs import catalog
from vlagym.envs.errors import BadData
from vlagym.results.demonstration import ImagePreprocessing, check_demonstration
from vlagym.results.format import Format

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "doubles"))
import films  # noqa: E402

FORMATS = catalog.names("format")


def loaded(name: str) -> Format:
    found: Format = catalog.load("format", name)
    return found


@pytest.mark.parametrize("digest", ["/tmp/elsewhere", "../elsewhere", "a/b", "", "a" * 129, "a\0", "a\nb"])
def test_a_digest_that_could_be_a_path_is_refused(digest: str) -> None:
    with pytest.raises(BadData, match="is no digest of a demonstration"):
        check_demonstration(dataclasses.replace(films.demonstration(0, 4), digest=digest, spec=None), films.info())


@pytest.mark.parametrize("name", FORMATS)
def test_no_format_stores_what_has_such_a_digest(tmp_path: Path, name: str) -> None:
    form, folder = loaded(name), tmp_path / "in"
    folder.mkdir()
    made = dataclasses.replace(films.demonstration(0, 4), digest=str(tmp_path / "elsewhere"), spec=None)
    with pytest.raises(BadData):
        form.store(folder / f"set{form.suffix}", films.info(), made)
    assert [entry.name for entry in tmp_path.iterdir()] == ["in"]


@pytest.mark.parametrize("camera", ["../front", "/front", "a/../b", ".front", "front\n", ""])
def test_a_camera_that_could_be_a_path_is_refused(camera: str) -> None:
    made = films.demonstration(0, 4)
    images = {camera: made.images["front"]}
    info = films.info(images={camera: ImagePreprocessing(crop=made.images["front"].shape[1], size=made.images["front"].shape[1])})
    with pytest.raises(BadData, match="is no name of a camera or an array"):
        check_demonstration(dataclasses.replace(made, images=images), info)


def test_nested_names_of_others_are_taken() -> None:
    made = films.demonstration(0, 4)
    check_demonstration(dataclasses.replace(made, proprio={"observation/arm 1/joint-pos.x": np.zeros((4, 2), np.float32)}), films.info())


def changed(at: Path, change: Callable[[Any], None]) -> None:
    told = json.loads(at.read_text(encoding="utf-8"))
    change(told)
    at.write_text(json.dumps(told), encoding="utf-8")


def write(form: Format, path: Path) -> Path:
    with form.write(path, films.info()) as writer:
        writer.append(films.demonstration(0, 4))
    return path


@pytest.mark.parametrize("file", ["../other.npz", "/etc/passwd", "episodes/../../other.npz", "a\0b"])
def test_an_index_that_names_a_file_elsewhere_is_refused(tmp_path: Path, file: str) -> None:
    form = loaded("npz")
    path = write(form, tmp_path / "set")
    changed(path / "index.json", lambda told: told["episodes"][0].update(file=file))
    with pytest.raises(BadData, match="names a file outside of itself"):
        form.open(path)


@pytest.mark.parametrize("name", ["lerobot_v3", "lerobot_v21"])
@pytest.mark.parametrize("key", ["data_path", "video_path"])
@pytest.mark.parametrize(
    ("template", "told"),
    [
        ("../{episode_index}.parquet", "outside of itself|cannot be filled"),
        ("/data/file.parquet", "outside of itself"),
        ("data/{nowhere}.parquet", "cannot be filled with .*KeyError"),
        ("data/{episode_index:999999999}.parquet", "is no template of a file's name"),
        ("data/{episode_index.__class__}.parquet", "is no template of a file's name"),
        ("data/{}.parquet", "is no template of a file's name"),
    ],
)
def test_a_template_that_leads_elsewhere_is_refused(tmp_path: Path, name: str, key: str, template: str, told: str) -> None:
    form = loaded(name)
    path = write(form, tmp_path / "set")
    changed(path / "meta" / "info.json", lambda info: info.update({key: template}))
    with pytest.raises(BadData, match=told):
        form.open(path)


def test_a_sidecar_whose_digest_is_a_path_is_refused(tmp_path: Path) -> None:
    form = loaded("lerobot_v3")
    path = write(form, tmp_path / "set")
    at = path / "vlagym" / "episodes.jsonl"
    at.write_text(json.dumps(json.loads(at.read_text()) | {"digest": "../../x"}) + "\n")
    with pytest.raises(BadData, match=r"episodes.jsonl, line 1: '../../x' is no digest of a demonstration"):
        form.open(path)


def test_shards_elsewhere_are_refused(traces: ModuleType, tmp_path: Path) -> None:
    form, info = loaded("rlds"), traces.make_dataset_info()
    with form.write(tmp_path / "set", info) as writer:
        writer.append(traces.make_demonstration())
    (at,) = tmp_path.rglob("dataset_info.json")
    changed(at, lambda told: told["splits"][0].update(filepathTemplate="../../{DATASET}.tfrecord"))
    with pytest.raises(BadData, match="names a file outside of itself"):
        form.open(tmp_path / "set")


@pytest.mark.parametrize("times", [[np.nan], [-np.inf], [0.0, 0.0], [0.0, np.inf], [1.0, 0.5]])
def test_times_that_are_none_are_refused(times: list[float]) -> None:
    made = dataclasses.replace(films.demonstration(0, len(times)), timestamps_s=np.array(times))
    with pytest.raises(BadData, match=f"must have {len(times)} finite rows that ascend"):
        check_demonstration(made, films.info())
