"""The contact sheet of a dataset: first, middle and last frame of some demonstrations of each task, with their sentences."""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vlagym.benchmark.contact_sheets import Picture, save, sheet
from vlagym.envs.errors import MissingPackage
from vlagym.envs.textures.bitmap_font import has_glyph
from vlagym.results.format import DatasetReader

FIRST_CAMERA = "front"
"""Is shown above the others, where there is one of that name."""
MOST_CAMERAS = 2
_HEIGHT_PX = 112
_GAP_PX = 2
_COLUMNS = 4
_PICTURES = 32
"""About as many as a page holds well; each task has at least one."""
_MOST_OF_A_TASK = 4
_LINES = 3
"""Of a sentence."""
_LETTER_PX = 6

Image = NDArray[np.uint8]


def write_sheet(reader: DatasetReader, places: Mapping[str, Sequence[int]], out: Path) -> None:
    """Writes the contact sheet of a dataset. Images of one camera of one demonstration are in memory at a time.

    Args:
      reader: Of a dataset with at least one camera.
      places: Task -> numbers of its demonstrations.
      out: A file that ends in .jpg or .png.

    Raises:
      BadData: If an image is damaged.
      MissingPackage: Without Pillow.
    """
    cameras = shown_cameras(list(reader.info.images))
    each = max(1, min(_MOST_OF_A_TASK, _PICTURES // len(places)))
    pictures = [_picture(reader, i, task, cameras) for task, of in places.items() for i in _spread(of, each)]
    height, width = (max(p.image.shape[side] for p in pictures) for side in (0, 1))
    padded = [p._replace(image=_padded(p.image, height, width)) for p in pictures]
    save(sheet(padded, columns=min(_COLUMNS, max(each, len(pictures) if len(places) == 1 else _COLUMNS))), out)


def shown_cameras(cameras: Sequence[str]) -> list[str]:
    """Returns the cameras that are shown, the first one on top."""
    return sorted(cameras, key=lambda name: (name != FIRST_CAMERA, cameras.index(name)))[:MOST_CAMERAS]


def _spread(numbers: Sequence[int], count: int) -> list[int]:
    """Returns some numbers, evenly spread from the first to the last."""
    return [numbers[i] for i in sorted({round(at) for at in np.linspace(0, len(numbers) - 1, min(count, len(numbers)))})]


def _picture(reader: DatasetReader, index: int, task: str, cameras: Sequence[str]) -> Picture:
    demonstration = reader[index]
    rows = [_moments(demonstration.images[camera]) for camera in cameras]
    width = max(row.shape[1] for row in rows)
    image = np.concatenate([_padded(row, row.shape[0] + _GAP_PX, width) for row in rows])[:-_GAP_PX]
    lines = textwrap.wrap(_letters(demonstration.instruction), max(16, width // _LETTER_PX), max_lines=_LINES, placeholder=" ...")
    outcome = "" if demonstration.is_success else " - failed"
    return Picture(image, _letters(f"{task or 'task not known'} {index}{outcome}"), "\n".join(lines))


def _moments(images: Image) -> Image:
    """Returns the first, the middle and the last of `(T, h, w, 3)` side by side, at one height."""
    try:
        from PIL import Image as pillow
    except ImportError as missing:
        raise MissingPackage("a contact sheet needs: pip install pillow") from missing
    height, width = images.shape[1:3]
    size = (max(1, round(width * _HEIGHT_PX / height)), _HEIGHT_PX)
    chosen = [images[i] for i in (0, len(images) // 2, len(images) - 1)]
    shown = [np.asarray(pillow.fromarray(frame).resize(size, pillow.Resampling.BOX)) for frame in chosen]
    return np.concatenate([_padded(frame, _HEIGHT_PX, size[0] + _GAP_PX) for frame in shown], axis=1)[:, :-_GAP_PX]


def _padded(image: Image, height: int, width: int) -> Image:
    """Returns an image on white, in the upper left corner."""
    page = np.full((height, width, 3), 255, np.uint8)
    page[: image.shape[0], : image.shape[1]] = image
    return page


def _letters(words: str) -> str:
    """Returns a text in what the font of contact sheets has: capital letters without accents, and ? for what it has not."""
    plain = unicodedata.normalize("NFKD", " ".join(words.split()).upper())
    return "".join(c if has_glyph(c) else "?" for c in plain if not unicodedata.combining(c)) or "?"
