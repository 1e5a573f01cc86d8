"""Textures are the same on every machine, follow the paint, and wrap without a tear; wrong ones are refused in words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from vlagym.envs.textures import pictures
from vlagym.envs.textures.bitmap_font import text_mask
from vlagym.envs.errors import BadData
from vlagym.envs.textures.pictures import draw
from vlagym.envs.shapes.shape_tables import visual_part
from vlagym.envs.shapes.parts import Mesh
from vlagym.envs.textures.texture import PATTERNS, Texture

RED = (0.8, 0.1, 0.1)


def texture(**keys: Any) -> Texture:
    return Texture(**{"pattern": "stripes", "wrap": "round", **keys})


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_is_the_same_each_time_and_leaves_some_of_the_paint(pattern: Any) -> None:
    lines = ("TEA",) if pattern in ("label", "card") else ()
    made = texture(pattern=pattern, text=lines, size_px=(64, 128))
    pixels = draw(made, RED)
    pictures._draw.cache_clear()
    assert pixels.shape == (64, 128, 3) and pixels.dtype == np.uint8
    assert np.array_equal(pixels, draw(made, RED))
    other = draw(made, (0.1, 0.2, 0.8))
    assert (pixels != other).any(axis=-1).mean() > 0.1, "a repainted object would look as before"
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 1, "there is nothing to see on it"


def test_text_is_written_in_letters_of_five_by_seven_dots() -> None:
    mask = text_mask("HI")
    assert mask.shape == (7, 11)
    assert mask[:, 0].all() and mask[:, 4].all() and mask[3, :5].all() and not mask[0, 1:4].any()  # an H


def test_stripes_run_around_and_lie_where_they_should() -> None:
    pixels = draw(texture(count=2, accent=(0.0, 0.0, 1.0), size_px=(32, 32)), RED)
    assert (pixels[2] == [204, 26, 26]).all() and (pixels[12] == [0, 0, 255]).all()


def test_a_flat_picture_lies_on_its_outline_with_its_top_towards_plus_y() -> None:
    part = visual_part({"shape": "box", "size_m": [0.2, 0.1, 0.001], "texture": {"pattern": "card", "wrap": "flat"}}, "f.toml")
    assert isinstance(part.shape, Mesh) and part.shape.texcoords is not None
    corners = part.shape.vertices[part.shape.faces.ravel()]
    upper_left = np.argmin(corners[:, 0] - corners[:, 1])
    assert part.shape.texcoords[upper_left] == pytest.approx([0.0, 0.0])


def test_a_picture_wraps_around_without_a_tear() -> None:
    part = visual_part({"shape": "cylinder", "radius_m": 0.03, "height_m": 0.1, "texture": {"pattern": "label", "wrap": "round"}}, "f.toml")
    assert isinstance(part.shape, Mesh) and part.shape.texcoords is not None
    across = part.shape.texcoords[:, 0].reshape(-1, 3)
    assert np.ptp(across, axis=1).max() < 0.06, "a face shows more of the picture than its share"
    corners = part.shape.vertices[part.shape.faces.ravel()]
    front = (corners[:, 0] > 0.0299) & (np.abs(corners[:, 1]) < 1e-4)
    assert part.shape.texcoords[front, 0] == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"pattern": "tartan", "wrap": "flat"}, r"texture\.pattern is 'tartan'; it must be one of 'basketball', 'card'"),
        ({"pattern": "label", "wrap": "around"}, r"texture\.wrap is 'around'; it must be one of 'flat', 'round', 'globe', 'box'"),
        ({"pattern": "label"}, r"lacks the key 'wrap'"),
        ({"pattern": "label", "wrap": "flat", "txt": ["A"]}, r"has an unknown key 'txt'"),
        ({"pattern": "label", "wrap": "flat", "text": ["Tea"]}, r"the text 'Tea' holds 'a', for which there is no glyph\. There are: ABC"),
        ({"pattern": "wood", "wrap": "flat", "text": ["TEA"]}, r"text is written on the patterns label and card, not on 'wood'"),
        ({"pattern": "wood", "wrap": "flat", "size_px": [100, 64]}, r"size_px is \(100, 64\); both sides must be 16, 32, 64, 128 or 256"),
        ({"pattern": "wood", "wrap": "flat", "count": 0}, r"count must be at least 1"),
    ],
)
def test_a_wrong_texture_is_refused_with_the_reason(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(BadData, match=message):
        visual_part({"shape": "sphere", "radius_m": 0.1, "texture": keys}, "f.toml")
