"""What `vlagym train` reads of datasets: the images of the model out of larger ones, in any format, and only what succeeded."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from vlagym.benchmark.training_data import TrainingData, shrink_to, shrinks_for
from vlagym.envs import catalog
from vlagym.envs.errors import BadData
from vlagym.envs.images import Shrink
from vlagym.envs.types import ImageComponent
from vlagym.results.demonstration import DatasetInfo, ImagePreprocessing
from vlagym.results.format import DatasetReader, Format

WANTED = (ImageComponent(name="front", width=8, height=8, crop=16), ImageComponent(name="wrist", width=4, height=4, crop=32))
"""Of images that are rendered at 32 pixels."""
WHOLE = {name: ImagePreprocessing(crop=32, size=32) for name in ("front", "wrist")}


def written(path: Path, name: str, info: DatasetInfo, demonstrations: list[Any]) -> DatasetReader:
    format_: Format = catalog.load("format", name)
    with format_.write(path, info) as writer:
        for demonstration in demonstrations:
            writer.append(demonstration)
    return format_.open(path)


def waves(rng: np.random.Generator, count: int) -> NDArray[np.uint8]:
    """Returns images that a codec hardly changes."""
    x, y = np.meshgrid(np.arange(32), np.arange(32))
    found = [127 + 60 * np.sin(x / 9 + rng.uniform(0, 6)) + 50 * np.cos(y / 7 + t / 3) for t in range(count)]
    return np.repeat(np.stack(found).astype(np.uint8)[..., None], 3, axis=-1)


@pytest.mark.parametrize(("name", "levels"), [("hdf5", 0), ("npz", 0), ("lerobot_v3", 8), ("lerobot_v21_openpi", 0)])
def test_whole_images_of_any_format_become_those_of_the_model(name: str, levels: int, traces: ModuleType, tmp_path: Path) -> None:
    info = traces.make_dataset_info(images=WHOLE, robot="panda")
    rng = np.random.default_rng(0)
    made = [traces.make_demonstration(seed, info=info, images={c: waves(rng, 7) for c in WHOLE}) for seed in (0, 1)]
    with written(tmp_path / f"set{catalog.load('format', name).suffix}", name, info, made) as reader:
        data = TrainingData({"set": reader}, WANTED)
        assert len(data) == 2 and data.left_out == {}
        for found, d in zip(data, made, strict=True):
            assert (found.digest, found.instruction, list(found.images)) == (d.digest, d.instruction, ["front", "wrist"])
            for camera, shrink in (("front", Shrink(crop=16, size=8)), ("wrist", Shrink(crop=32, size=4))):
                wanted = np.stack([shrink.apply(image) for image in d.images[camera]])
                assert np.abs(found.images[camera].astype(int) - wanted).max() <= levels, camera


def test_images_that_were_stored_as_the_model_reads_them_are_as_they_are(traces: ModuleType, tmp_path: Path) -> None:
    info = traces.make_dataset_info()
    demonstration = traces.make_demonstration(info=info)
    images = (ImageComponent(name="front", width=8, height=8, crop=192), ImageComponent(name="wrist", width=4, height=4, crop=256))
    with written(tmp_path / "d.hdf5", "hdf5", info, [demonstration]) as reader:
        found = TrainingData({"d": reader}, images)[0]
        for camera, stored in demonstration.images.items():
            np.testing.assert_array_equal(found.images[camera], stored)


def test_what_did_not_succeed_is_left_out_and_counted(traces: ModuleType, tmp_path: Path) -> None:
    info = traces.make_dataset_info(images=WHOLE)
    made = [dataclasses.replace(traces.make_demonstration(seed, info=info), is_success=seed != 1) for seed in range(3)]
    with written(tmp_path / "d.hdf5", "hdf5", info, made) as reader:
        data = TrainingData({"d": reader}, WANTED)
    assert len(data) == 2 and data.left_out == {"d": 1}


@pytest.mark.parametrize(
    ("stored", "crop", "size", "shrink"),
    [
        (ImagePreprocessing(crop=256, size=256), 192, 96, Shrink(crop=192, size=96)),
        (ImagePreprocessing(crop=256, size=128), 192, 96, Shrink(crop=96, size=96)),
        (ImagePreprocessing(crop=192, size=96), 192, 96, Shrink(crop=96, size=96)),
        (ImagePreprocessing(crop=256, size=256), None, 64, Shrink(crop=256, size=64)),
        (ImagePreprocessing(crop=192, size=192), 256, 64, None),
        (ImagePreprocessing(crop=256, size=64), 192, 96, None),
        (ImagePreprocessing(crop=256, size=256), 191, 191, None),
        (ImagePreprocessing(crop=192, size=180, width=320), 192, 96, None),
    ],
    ids=["whole", "half", "the same", "whole wanted", "cut too small", "shrunk too small", "half a pixel beside the middle", "no square"],
)
def test_the_same_middle_of_the_same_image_is_found(stored: ImagePreprocessing, crop: int | None, size: int, shrink: Shrink | None) -> None:
    assert shrink_to(stored, ImageComponent(name="front", width=size, height=size, crop=crop)) == shrink


def test_images_that_cannot_become_those_of_the_model_are_refused_with_the_line_that_collects_others(traces: ModuleType, tmp_path: Path) -> None:
    with written(tmp_path / "d.hdf5", "hdf5", traces.make_dataset_info(), [traces.make_demonstration()]) as reader:
        with pytest.raises(BadData) as refused:
            shrinks_for("d.hdf5", reader, WANTED)
        assert str(refused.value) == (
            "wanted of the camera 'front' is a centre crop of 16 shrunk to 8, or what that can be made of; d.hdf5 holds a centre crop of 192 "
            "shrunk to 8 x 8. Collect with: vlagym demo --crop front=16 --size front=8 --crop wrist=32 --size wrist=4, or with whole images, "
            "without --size and --image-size"
        )
        with pytest.raises(BadData, match="of the camera 'head' is the whole image shrunk to 8, .* holds no such images, but those of front, wrist"):
            shrinks_for("d.hdf5", reader, [ImageComponent(name="head", width=8, height=8)])


def test_images_that_were_rendered_at_a_size_of_their_own_are_refused(traces: ModuleType, tmp_path: Path) -> None:
    """A centre crop of 32 of 256 pixels, and a whole image that was rendered at 32, are stored alike; the provenance tells."""
    info = traces.make_dataset_info(images=WHOLE, provenance={"image_size": 32})
    with written(tmp_path / "d.hdf5", "hdf5", info, [traces.make_demonstration(info=info)]) as reader:
        with pytest.raises(BadData, match="d.hdf5 holds images that were rendered at 32"):
            shrinks_for("d.hdf5", reader, WANTED)
