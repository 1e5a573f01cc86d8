"""Images as policies were trained on them: fitted to a size, cropped around the middle, turned, and in their range of values."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Flip = Literal["rows", "columns"]
Filter = Literal["area", "bilinear", "lanczos3"]
Values = Literal["uint8", "unit", "symmetric"]
Image = NDArray[np.uint8]

ORIENTATIONS: Mapping[str, frozenset[Flip]] = MappingProxyType(
    {
        "upright": frozenset(),
        "flipped_vertical": frozenset({"rows"}),
        "mirrored": frozenset({"columns"}),
        "rotated_180": frozenset({"rows", "columns"}),
    }
)
"""Orientation of an image -> what of the upright one is in reverse."""

_PILLOW: Mapping[str, str] = MappingProxyType({"area": "BOX", "bilinear": "BILINEAR", "lanczos3": "LANCZOS"})
"""Filter -> its name there. Each covers all pixels that a smaller one is made of."""


def stretched(image: Image, width: int, height: int, by: Filter) -> Image:
    """Returns an image `(H, W, 3)` as `(height, width, 3)`, each side by itself."""
    from PIL import Image as Pillow

    if image.shape[:2] == (height, width):
        return image.copy()
    made = Pillow.fromarray(np.ascontiguousarray(image)).resize((width, height), getattr(Pillow.Resampling, _PILLOW[by]))
    return np.array(made, np.uint8)


def padded(image: Image, width: int, height: int, by: Filter) -> Image:
    """Returns an image as `(height, width, 3)` with the ratio of its sides kept: as large as it fits, in the middle, black around it.

    The sizes are rounded down as by the `resize_with_pad` of openpi's client: the odd row or column of black is behind.
    """
    there_height, there_width = image.shape[:2]
    ratio = max(there_width / width, there_height / height)
    inner = stretched(image, max(1, int(there_width / ratio)), max(1, int(there_height / ratio)), by)
    out = np.zeros((height, width, 3), np.uint8)
    top, left = (height - inner.shape[0]) // 2, (width - inner.shape[1]) // 2
    out[top : top + inner.shape[0], left : left + inner.shape[1]] = inner
    return out


def centre(image: Image, share: float) -> Image:
    """Returns the middle of an image, `share` of its area, brought back to its size by linear interpolation between the nearest pixels.

    The outermost samples lie on the edges of the box, whose corners are counted from the middle of the first pixel to that of the last; values
    become whole numbers as by TensorFlow's `convert_image_dtype`. So it is done around OpenVLA's training and evaluation.
    """
    side = math.sqrt(share)
    rows, columns = (_samples(n, side) for n in image.shape[:2])
    unit = image.astype(np.float64) / 255.0
    upper, lower = unit[rows[0]], unit[rows[1]]
    between = upper + (lower - upper) * rows[2][:, None, None]
    left, right = between[:, columns[0]], between[:, columns[1]]
    out = left + (right - left) * columns[2][None, :, None]
    whole: Image = np.clip(out * 255.5, 0, 255).astype(np.uint8)
    return whole


def _samples(n: int, side: float) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
    """Returns, for each of n samples, the pixels before and behind it and how far it is on the way."""
    at = np.linspace((1 - side) / 2, (1 + side) / 2, n) * (n - 1)
    before = np.clip(np.floor(at), 0, n - 1).astype(np.intp)
    return before, np.minimum(before + 1, n - 1), at - before


def turned(image: NDArray[Any], flips: Sequence[Flip]) -> NDArray[Any]:
    """Returns an image with its rows, its columns or both in reverse, its own memory where anything is."""
    out = image
    for flip in flips:
        out = out[::-1] if flip == "rows" else out[:, ::-1]
    return np.ascontiguousarray(out) if flips else out


def valued(image: Image, values: Values) -> NDArray[Any]:
    """Returns an image as uint8, or as float32 from 0 to 1 (unit) or -1 to 1 (symmetric)."""
    if values == "uint8":
        return image
    unit = image.astype(np.float32) / np.float32(255)
    return unit if values == "unit" else (2 * unit - 1).astype(np.float32)
