"""Raised letters: capital letters and digits made of straight strokes, for labels that must be read from across the table."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.errors import BadData
from vlagym.envs.shapes.solids import Solid

GRID_WIDTH, GRID_HEIGHT = 4, 6
"""A glyph is drawn on a grid of this many units; its strokes are given as the grid points that they run through."""
_ADVANCE = {"I": 2, "1": 3, ".": 1, "-": 3, " ": 3}
"""Units from one letter to the next, less the gap; GRID_WIDTH where a letter is not named."""

_SHARP_COS = -0.3
"""Cosine of the turn from one part of a stroke to the next, below which the two overlap instead of being mitred."""

_NARROWER = 0.01
"""By how much of its width each further stroke of a letter is narrower: strokes that meet share no corner, so that each stays a closed solid."""

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
    ".": ("00",),
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
    strokes: list[Solid] = []
    at = 0.0
    for letter in text:
        lines = [np.array([[at + unit * int(p[0]), unit * int(p[1])] for p in stroke.split()]) for stroke in _GLYPHS[letter]]
        pieces = [piece for line in lines for piece in _without_sharp_turns(line)]
        strokes += [_ribbon(piece, stroke_m * (1.0 - _NARROWER * k), depth_m) for k, piece in enumerate(pieces)]
        at += unit * (_ADVANCE.get(letter, GRID_WIDTH) + 1) + stroke_m
    vertices = np.concatenate([stroke.vertices for stroke in strokes])
    middle = np.array([(vertices[:, 0].min() + vertices[:, 0].max()) / 2, unit * GRID_HEIGHT / 2, 0.0])
    offsets = np.cumsum([0, *(len(stroke.vertices) for stroke in strokes)])
    faces = np.concatenate([stroke.faces + offset for stroke, offset in zip(strokes, offsets, strict=False)])
    return Solid(vertices=vertices - middle, faces=faces)


def _without_sharp_turns(points_m: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Returns the pieces of a line of points (P, 2) between the points at which it turns back sharply."""
    steps = np.diff(points_m, axis=0)
    cosines = (steps[:-1] * steps[1:]).sum(axis=1) / (np.linalg.norm(steps[:-1], axis=1) * np.linalg.norm(steps[1:], axis=1))
    cuts = [0, *(np.flatnonzero(cosines < _SHARP_COS) + 1).tolist(), len(points_m) - 1]
    return [points_m] if len(cuts) == 2 else [points_m[a : b + 1] for a, b in zip(cuts[:-1], cuts[1:], strict=True)]


def _ribbon(points_m: NDArray[np.float64], width_m: float, depth_m: float) -> Solid:
    """Returns a flat band along a line of points, closed where the line ends where it began, and longer by half its width at open ends.

    Args:
      points_m: (P, 2), the middle of the band; a single point makes a square dot.
      width_m: Of the band.
      depth_m: Its thickness, from z = 0 on.
    """
    half = width_m / 2
    is_loop = len(points_m) > 2 and np.array_equal(points_m[0], points_m[-1])
    points = points_m[:-1] if is_loop else points_m if len(points_m) > 1 else np.repeat(points_m, 2, axis=0)
    steps = np.roll(points, -1, axis=0) - points if is_loop else np.diff(points, axis=0)
    along = steps / np.linalg.norm(steps, axis=1, keepdims=True) if len(points_m) > 1 else np.array([[1.0, 0.0]])
    before = np.roll(along, 1, axis=0) if is_loop else np.concatenate([along[:1], along])
    after = along if is_loop else np.concatenate([along, along[-1:]])
    both = before + after
    left = half * 2.0 / (both**2).sum(axis=1, keepdims=True) * np.stack([-both[:, 1], both[:, 0]], axis=1)  # mitred
    middle = points.copy()
    if not is_loop:
        middle[0], middle[-1] = middle[0] - half * after[0], middle[-1] + half * before[-1]
    corners = np.stack([middle + left, middle - left, middle - left, middle + left], axis=1)  # (P, 4, 2): around the band's cross-section
    heights = np.broadcast_to([0.0, 0.0, depth_m, depth_m], corners.shape[:2])
    ring = np.arange(4 * len(points)).reshape(-1, 4)
    following = np.roll(ring, -1, axis=0) if is_loop else ring[1:]
    faces = [face for a, b in zip(ring, following, strict=False) for face in _tube(a, b)]
    if not is_loop:
        faces += [ring[0][[0, 1, 2]], ring[0][[0, 2, 3]], ring[-1][[0, 2, 1]], ring[-1][[0, 3, 2]]]
    made = Solid(vertices=np.concatenate([corners, heights[..., None]], axis=2).reshape(-1, 3), faces=np.array(faces))
    return made if made.volume_m3 > 0.0 else Solid(vertices=made.vertices, faces=made.faces[:, ::-1].copy())


def _tube(a: NDArray[np.int64], b: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Returns the triangles between two cross-sections of four corners."""
    quads = [(a[k], b[k], b[(k + 1) % 4], a[(k + 1) % 4]) for k in range(4)]
    return [np.array(triangle) for q in quads for triangle in ((q[0], q[1], q[2]), (q[0], q[2], q[3]))]
