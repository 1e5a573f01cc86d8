"""Textures of objects: what is painted on a part, in a few words and numbers, and where its corners lie in the picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.textures.bitmap_font import text_mask
from vlagym.envs.errors import BadData

Rgb = tuple[float, float, float]
Pattern = Literal[
    "basketball", "card", "cardboard", "checks", "cloth", "dots", "football", "gradient", "label", "lines", "pores", "ruler", "seams", "speckle",
    "streaks", "stripes", "weave", "wood",
]  # fmt: skip
Wrap = Literal["flat", "round", "globe", "box"]
"""flat: seen from above, over the outline. round: about the z axis, over the height. globe: longitude and latitude. box: on each side for itself."""

PATTERNS: tuple[str, ...] = get_args(Pattern)


@dataclass(frozen=True, kw_only=True)
class Texture:
    """What is painted on a part. Its ground is the colour of the part, so that a repainted object keeps its pattern."""

    pattern: Pattern
    wrap: Wrap
    accent: Rgb = (0.93, 0.91, 0.86)
    """Second colour: bands, emblem, seams, seeds."""
    ink: Rgb = (0.13, 0.13, 0.15)
    """Of text and fine lines."""
    text: tuple[str, ...] = ()
    """Lines of a label or card; capital letters, digits and a few signs."""
    count: int = 8
    """How many stripes, dots, strands or emblems along the first direction."""
    strength: float = 1.0
    """How much a skin (wood, cloth, pores, speckle, streaks) stands out."""
    size_px: tuple[int, int] = (128, 128)
    """Height and width."""
    tiles: tuple[float, float] = (1.0, 1.0)
    """How often the picture is repeated across and down."""
    seed: int = 0
    """Of the random marks of a skin."""


def check(texture: Texture, where: str) -> None:
    """Raises BadData if a texture cannot be drawn: a size that is no power of two, text without a glyph, text where none is read."""
    for side in texture.size_px:
        if side not in (16, 32, 64, 128, 256):
            raise BadData(f"{where}.size_px is {texture.size_px}; both sides must be 16, 32, 64, 128 or 256")
    if texture.count < 1 or min(texture.tiles) <= 0.0 or not 0.0 <= texture.strength <= 3.0:
        raise BadData(f"{where}: count must be at least 1, tiles above 0 and strength from 0 to 3")
    if texture.text and texture.pattern not in ("label", "card"):
        raise BadData(f"{where}.text is written on the patterns label and card, not on {texture.pattern!r}")
    for line in texture.text:
        text_mask(line)


def texcoords(vertices: NDArray[np.float64], faces: NDArray[np.int64], wrap: Wrap, tiles: tuple[float, float]) -> NDArray[np.float32]:
    """Returns where the corners of triangles lie in the picture.

    Args:
      vertices: (V, 3) in the shape's own frame, in m.
      faces: (F, 3)
      wrap: How the picture is laid around the shape.
      tiles: How often it is repeated across and down.

    Returns:
      (3 F, 2) float32, one row for each corner of each face; (0, 0) is the upper left corner of the picture.
    """
    corners = vertices[faces]
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    share = (corners - low) / np.maximum(high - low, 1e-9)
    if wrap == "flat":
        uv = np.stack([share[..., 0], 1.0 - share[..., 1]], axis=-1)
    elif wrap == "box":
        uv = _on_sides(corners, share)
    else:
        away = corners - (low + high) / 2.0
        slope = np.arccos(np.clip(away[..., 2] / np.maximum(np.linalg.norm(away, axis=-1), 1e-9), -1.0, 1.0))
        uv = np.stack([_longitude(away), 1.0 - share[..., 2] if wrap == "round" else slope / np.pi], axis=-1)
    coordinates: NDArray[np.float32] = (uv * np.array(tiles)).reshape(-1, 2).astype(np.float32)
    return coordinates


def _longitude(away: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns (F, 3) how far around the z axis each corner lies, in turns; a quarter lies on +x.

    A face that straddles the seam counts on beyond 1, or else it would show the whole picture backwards. A corner on the axis has no angle of
    its own and takes the mean of its face's others.
    """
    turn = np.mod(np.arctan2(away[..., 1], away[..., 0]) / (2.0 * np.pi) + 0.25, 1.0)
    has_angle = np.hypot(away[..., 0], away[..., 1]) > 1e-7
    latest = np.where(has_angle, turn, -1.0).max(axis=1, keepdims=True)
    turn = np.where(latest - turn > 0.5, turn + 1.0, turn)
    count = np.maximum(has_angle.sum(axis=1, keepdims=True), 1)
    mean = np.where(has_angle, turn, 0.0).sum(axis=1, keepdims=True) / count
    return np.where(has_angle, turn, mean)


def _on_sides(corners: NDArray[np.float64], share: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns (F, 3, 2) where the corners lie on the side of the box that their face looks to."""
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    axis = np.argmax(np.abs(normal), axis=1)[:, None]
    outward = np.take_along_axis(normal, axis, axis=1) > 0.0
    x, y, z = (share[..., i] for i in range(3))
    across = np.select([axis == 0, axis == 1], [np.where(outward, y, 1.0 - y), np.where(outward, 1.0 - x, x)], x)
    down = np.where(axis == 2, 1.0 - y, 1.0 - z)
    return np.stack([across, down], axis=-1)
