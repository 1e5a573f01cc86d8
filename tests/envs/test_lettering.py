"""Raised letters are closed solids of the size that was asked for, and a letter that nobody drew is refused."""

import numpy as np
import pytest

from vlagym.envs.errors import BadData
from vlagym.envs.shapes.lettering import lettering
from vlagym.envs.shapes.shape_tables import collision_pieces, visual_part
from vlagym.envs.shapes.parts import Mesh

ALL = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-."


@pytest.mark.parametrize("letter", ALL)
def test_every_letter_is_a_closed_solid(letter: str) -> None:
    solid = lettering(letter, 0.02, 0.003, 0.001)
    start, end = solid.faces.reshape(-1), np.roll(solid.faces, -1, axis=1).reshape(-1)
    edges = sorted(zip(start.tolist(), end.tolist(), strict=True))
    assert edges == sorted(zip(end.tolist(), start.tolist(), strict=True)) and len(set(edges)) == len(edges)
    assert solid.volume_m3 > 0
    assert len(np.unique(solid.vertices.round(6), axis=0)) == len(solid.vertices)  # no two strokes share a corner


def test_text_is_as_high_as_was_asked_stands_on_its_foot_and_is_centred() -> None:
    solid = lettering("HI", 0.02, 0.002, 0.001)
    low, high = solid.vertices.min(axis=0), solid.vertices.max(axis=0)
    assert high[1] - low[1] == pytest.approx(0.02) and low[2] == 0.0 and high[2] == pytest.approx(0.001)
    assert low[:2] == pytest.approx(-high[:2])


def test_letters_follow_each_other_along_x() -> None:
    one, two = (lettering(text, 0.02, 0.002, 0.001).vertices for text in ("L", "LL"))
    assert np.ptp(two[:, 0]) > 2 * np.ptp(one[:, 0]) and np.ptp(two[:, 1]) == pytest.approx(np.ptp(one[:, 1]))
    foot = one[one[:, 1] < -0.008]
    assert foot[:, 0].max() > 0.004 and one[one[:, 1] > 0.0][:, 0].max() < 0.0  # the foot of an L goes to the right


def test_a_text_table_becomes_a_visible_mesh_and_nothing_to_touch() -> None:
    table = {"shape": "text", "text": "ON", "height_m": 0.012, "stroke_m": 0.002}
    assert isinstance(visual_part(table, "here").shape, Mesh)
    with pytest.raises(BadData, match="here: shape 'text' is for the eye only"):
        collision_pieces(table, "here")


@pytest.mark.parametrize(
    ("text", "stroke_m", "message"),
    [
        ("on", 0.002, r"text is 'on', and there is no glyph for 'n'\. There are: ABC"),
        (" ", 0.002, "text is empty; it needs at least one letter or digit"),
        ("A", 0.02, "stroke_m is 0.02, but the letters are only 0.02 m high"),
    ],
)
def test_text_that_cannot_be_drawn_is_refused(text: str, stroke_m: float, message: str) -> None:
    with pytest.raises(BadData, match=message):
        lettering(text, 0.02, stroke_m, 0.001)
