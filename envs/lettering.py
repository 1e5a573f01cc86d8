"""Raised letters: capital letters and digits made of straight strokes, for labels that must be read from across the table."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.errors import BadData
from vlagym.envs.solids import Solid, extrude

GRID_WIDTH, GRID_HEIGHT = 4, 6
"""A glyph is drawn on a grid of this many units; its strokes are given as the grid points that they run through."""
_ADVANCE = {"I": 2, "1": 3, ".": 1, "-": 3, " ": 3}
"""Units from one letter to the next, less the gap; GRID_WIDTH where a letter is not named."""

_GLYPHS: Mapping[str, tuple[str, ...]] = {
    "A": ("00 04 26 44 40", "02 42"),
    "B": ("00 06 36 45 44 33 03", "33 42 41 30 00"),
    "C": ("41 30 10 01 05 16 36 45",),
    "D": ("00 06 26 44 42 20 00",),
    "E": ("40 00 06 46", "03 33"),
    "F": ("00 06 46", "03 33"),
    "G": ("45 36 16 05 01 10 30 41 43 23",),
    "H": ("00 06", "40 46", "03 43"),
    "I": ("10 16",),
    "J": ("46 41 30 10 01",),
    "K": ("00 06", "46 02", "13 40"),
    "L": ("06 00 40",),
    "M": ("00 06 23 46 40",),
    "N": ("00 06 40 46",),
    "O": ("10 01 05 16 36 45 41 30 10",),
    "P": ("00 06 36 45 44 33 03",),
    "Q": ("10 01 05 16 36 45 41 30 10", "22 40"),
    "R": ("00 06 36 45 44 33 03", "23 40"),
    "S": ("01 10 30 41 42 33 13 04 05 16 36 45",),
    "T": ("20 26", "06 46"),
    "U": ("06 01 10 30 41 46",),
    "V": ("06 20 46",),
    "W": ("06 10 23 30 46",),
    "X": ("00 46", "06 40"),
    "Y": ("06 23 46", "23 20"),
    "Z": ("06 46 00 40",),
    "0": ("10 01 05 16 36 45 41 30 10", "22 24"),
    "1": ("05 16 10", "00 20"),
    "2": ("05 16 36 45 44 00 40",),
    "3": ("05 16 36 45 44 33 42 41 30 10 01", "23 33"),
    "4": ("30 36 02 42",),
    "5": ("46 06 03 33 42 41 30 10 01",),
    "6": ("45 36 16 05 01 10 30 41 42 33 03",),
    "7": ("06 46 10",),
    "8": ("13 04 05 16 36 45 44 33 13 02 01 10 30 41 42 33",),
    "9": ("01 10 30 41 45 36 16 05 04 13 43",),
    "+": ("13 33", "22 24"),
    "-": ("13 33",),
    ".": ("00 00",),
    " ": (),
}


def lettering(text: str, height_m: float, stroke_m: float, depth_m: float) -> Solid:
    """Returns raised text that is read along +x with its top towards +y, centred on the origin, between z = 0 and z = depth_m.

    Args:
      text: Capital letters, digits, blanks and + - . only.
      height_m: Of a capital letter, from the outer edge of its lowest stroke to that of its highest.
      stroke_m: Width of a stroke; less than height_m.
      depth_m: How far the text rises.

    Raises:
      BadData: If the text is empty, a character has no glyph, or the strokes are as wide as the letters are high.
    """
    if not text.strip():
        raise BadData("text is empty; it needs at least one letter or digit")
    unknown = sorted(set(text) - set(_GLYPHS))
    if unknown:
        raise BadData(f"text is {text!r}, and there is no glyph for {unknown[0]!r}. There are: {''.join(_GLYPHS).strip()} and the blank")
    if stroke_m >= height_m:
        raise BadData(f"stroke_m is {stroke_m}, but the letters are only {height_m} m high")
    unit = (height_m - stroke_m) / GRID_HEIGHT
    bars: list[Solid] = []
    at, right = 0.0, 0.0
    for letter in text:
        for stroke in _GLYPHS[letter]:
            points = np.array([[at + unit * x, unit * y] for x, y in map(_grid_point, stroke.split())])
            bars += [_bar(a, b, stroke_m, depth_m) for a, b in zip(points[:-1], points[1:], strict=True)]
        right = at + unit * _ADVANCE.get(letter, GRID_WIDTH)
        at = right + stroke_m + unit
    middle = np.array([right / 2, unit * GRID_HEIGHT / 2, 0.0])
    offsets = np.cumsum([0, *(len(bar.vertices) for bar in bars)])
    faces = np.concatenate([bar.faces + offset for bar, offset in zip(bars, offsets, strict=False)])
    return Solid(vertices=np.concatenate([bar.vertices for bar in bars]) - middle, faces=faces)


def _grid_point(digits: str) -> tuple[float, float]:
    return float(digits[0]), float(digits[1])


def _bar(start: NDArray[np.float64], end: NDArray[np.float64], width_m: float, depth_m: float) -> Solid:
    """Returns a straight stroke, longer than its line by half its width at both ends, so that strokes join without a notch."""
    length = float(np.hypot(*(end - start)))
    along = (end - start) / length if length > 0.0 else np.array([1.0, 0.0])
    across = np.array([-along[1], along[0]])
    reach, half = along * width_m / 2, across * width_m / 2
    outline = np.stack([start - reach - half, end + reach - half, end + reach + half, start - reach + half])
    return extrude(outline, depth_m, 0.0)
