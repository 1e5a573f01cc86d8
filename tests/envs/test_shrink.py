"""A shrunk image is the rounded mean of its blocks, exactly."""

from __future__ import annotations

import numpy as np
import pytest

from vlagym.envs.images import Shrink
from vlagym.envs.types import stream


@pytest.mark.parametrize("block", [1, 2, 3, 8, 11, 12, 32])
def test_each_pixel_is_the_rounded_mean_of_its_block(block: int) -> None:
    """The sum over 12 x 12 pixels needs more than 16 bits."""
    image = stream(block, "shrink").integers(0, 256, (5 * block + 4, 5 * block + 2, 3), np.uint8)
    image[: 4 * block] = 255
    found = Shrink(crop=4 * block, size=4).apply(image)
    top, left = (image.shape[0] - 4 * block) // 2, (image.shape[1] - 4 * block) // 2
    for row, column in np.ndindex(4, 4):
        part = image[top + row * block :, left + column * block :][:block, :block].astype(np.int64)
        total = part.sum(axis=(0, 1))
        assert found[row, column].tolist() == ((2 * total + block * block) // (2 * block * block)).tolist()
    assert found.dtype == np.uint8 and found.flags.owndata
