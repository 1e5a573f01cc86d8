"""Single images that formats store: JPEG and PNG."""

from __future__ import annotations

import pytest

pytest.importorskip("PIL")

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vlagym.results.formats import _jpeg


def _noise(*shape: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)


@pytest.mark.parametrize("shape", [(1, 1, 1, 3), (2, 97, 131, 3), (5, 256, 256, 3), (300, 7, 5, 3)])
def test_every_pixel_of_a_png_comes_back(shape: tuple[int, ...], deflates: str) -> None:
    images = _noise(*shape)
    encoded = _jpeg.encode_png(images)
    assert len(encoded) == len(images)
    np.testing.assert_array_equal(_jpeg.decode(encoded, "here"), images)


def test_a_png_is_made_of_views_that_are_not_contiguous_or_writable() -> None:
    images = _noise(3, 20, 30, 3)[:, ::-1, ::-1]
    images.flags.writeable = False
    np.testing.assert_array_equal(_jpeg.decode(_jpeg.encode_png(images), "here"), images)


def test_equal_images_are_equal_files() -> None:
    image = _noise(1, 40, 40, 3)
    first, second = _jpeg.encode_png(np.concatenate([image, image]))
    assert first == second == _jpeg.encode_png(image)[0]
    with Image.open(io.BytesIO(first)) as picture:
        assert (picture.format, picture.mode, picture.size) == ("PNG", "RGB", (40, 40))


def test_ffmpeg_reads_the_same_pixels() -> None:
    av = pytest.importorskip("av")
    images = _noise(2, 33, 57, 3)
    for image, encoded in zip(images, _jpeg.encode_png(images), strict=True):
        with av.open(io.BytesIO(encoded)) as container:
            np.testing.assert_array_equal(next(container.decode(video=0)).to_ndarray(format="rgb24"), image)


def test_depth_of_sixteen_bits_comes_back(deflates: str) -> None:
    depth = np.random.default_rng(0).integers(0, 1 << 16, (2, 9, 13)).astype(np.uint16)
    np.testing.assert_array_equal(_jpeg.decode_depth(_jpeg.encode_depth(depth), "here"), depth)
