"""A bitmap font: capital letters, digits and a few signs on a grid of 5 by 7, for the text of labels."""

from __future__ import annotations

import functools
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.errors import BadData

# Each glyph is seven rows of five pixels, from the top.
_ROWS: Mapping[str, str] = {
    "A": ".###. #...# #...# ##### #...# #...# #...#",
    "B": "####. #...# #...# ####. #...# #...# ####.",
    "C": ".#### #.... #.... #.... #.... #.... .####",
    "D": "####. #...# #...# #...# #...# #...# ####.",
    "E": "##### #.... #.... ####. #.... #.... #####",
    "F": "##### #.... #.... ####. #.... #.... #....",
    "G": ".#### #.... #.... #..## #...# #...# .####",
    "H": "#...# #...# #...# ##### #...# #...# #...#",
    "I": ".###. ..#.. ..#.. ..#.. ..#.. ..#.. .###.",
    "J": "..### ...#. ...#. ...#. ...#. #..#. .##..",
    "K": "#...# #..#. #.#.. ##... #.#.. #..#. #...#",
    "L": "#.... #.... #.... #.... #.... #.... #####",
    "M": "#...# ##.## #.#.# #.#.# #...# #...# #...#",
    "N": "#...# ##..# ##..# #.#.# #..## #..## #...#",
    "O": ".###. #...# #...# #...# #...# #...# .###.",
    "P": "####. #...# #...# ####. #.... #.... #....",
    "Q": ".###. #...# #...# #...# #.#.# #..#. .##.#",
    "R": "####. #...# #...# ####. #.#.. #..#. #...#",
    "S": ".#### #.... #.... .###. ....# ....# ####.",
    "T": "##### ..#.. ..#.. ..#.. ..#.. ..#.. ..#..",
    "U": "#...# #...# #...# #...# #...# #...# .###.",
    "V": "#...# #...# #...# #...# .#.#. .#.#. ..#..",
    "W": "#...# #...# #...# #.#.# #.#.# ##.## #...#",
    "X": "#...# .#.#. .#.#. ..#.. .#.#. .#.#. #...#",
    "Y": "#...# #...# .#.#. ..#.. ..#.. ..#.. ..#..",
    "Z": "##### ....# ...#. ..#.. .#... #.... #####",
    "0": ".###. #...# #..## #.#.# ##..# #...# .###.",
    "1": "..#.. .##.. ..#.. ..#.. ..#.. ..#.. .###.",
    "2": ".###. #...# ....# ..##. .#... #.... #####",
    "3": "####. ....# ....# .###. ....# ....# ####.",
    "4": "#..#. #..#. #..#. ##### ...#. ...#. ...#.",
    "5": "##### #.... ####. ....# ....# #...# .###.",
    "6": ".###. #.... #.... ####. #...# #...# .###.",
    "7": "##### ....# ...#. ..#.. ..#.. .#... .#...",
    "8": ".###. #...# #...# .###. #...# #...# .###.",
    "9": ".###. #...# #...# .#### ....# ....# .###.",
    "+": "..... ..#.. ..#.. ##### ..#.. ..#.. .....",
    "-": "..... ..... ..... ##### ..... ..... .....",
    ".": "..... ..... ..... ..... ..... .##.. .##..",
    "!": "..#.. ..#.. ..#.. ..#.. ..#.. ..... ..#..",
    "&": ".##.. #..#. #.#.. .#... #.#.# #..#. .##.#",
    "%": "##..# ##.#. ...#. ..#.. .#... .#.## #..##",
    "_": "..... ..... ..... ..... ..... ..... #####",
    " ": "..... ..... ..... ..... ..... ..... .....",
}
HEIGHT_PX = 7
_GAP_PX = 1


@functools.cache
def text_mask(text: str) -> NDArray[np.bool_]:
    """Returns a line of text as `(7, W)` bool, True where there is ink; letters stand a pixel apart.

    Raises:
      BadData: If the text is empty or a character has no glyph.
    """
    if not text:
        raise BadData("a line of text is empty; leave it out instead")
    unknown = sorted(set(text) - set(_ROWS))
    if unknown:
        raise BadData(f"the text {text!r} holds {unknown[0]!r}, for which there is no glyph. There are: {''.join(_ROWS).strip()} and the blank")
    blank = np.zeros((HEIGHT_PX, _GAP_PX), bool)
    columns = [block for letter in text for block in (_glyph(letter), blank)]
    return np.concatenate(columns[:-1], axis=1)


def _glyph(letter: str) -> NDArray[np.bool_]:
    return np.array([[pixel == "#" for pixel in row] for row in _ROWS[letter].split()])
