"""Contact sheets: many small pictures in a grid, each with its name below it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.bitmap_font import text_mask
from vlagym.envs.errors import UnknownName, unknown_name
from vlagym.envs.objects import ObjectAsset, catalog
from vlagym.envs.types import PropSpec

_INK, _PALE_INK, _PAPER = (38, 38, 42), (128, 126, 122), (255, 255, 255)
_GAP_PX = 6
_MARGIN_PX = 4  # around a line of text


class Picture(NamedTuple):
    """One cell of a sheet."""

    image: NDArray[np.uint8]
    """(H, W, 3) RGB."""
    title: str
    note: str = ""
    """A second, paler line; may be empty."""


def sheet(pictures: Sequence[Picture], columns: int, text_scale: int = 1) -> NDArray[np.uint8]:
    """Returns pictures of one size in rows on white, each with its title and note below it.

    Args:
      pictures: All of one height and width.
      columns: Pictures in a row.
      text_scale: Pixels along each side of a dot of the 5 by 7 letters; a line that would be wider than its picture is written smaller, or cut.

    Raises:
      UnknownName: If there is no picture.
    """
    if not pictures:
        raise UnknownName("a contact sheet needs at least one picture, and nothing matches what was asked for")
    height, width = pictures[0].image.shape[:2]
    lines = 2 if any(p.note for p in pictures) else 1
    line_height = 7 * text_scale + _MARGIN_PX
    cell = height + _MARGIN_PX + lines * line_height + _GAP_PX
    columns = min(columns, len(pictures))
    rows = -(-len(pictures) // columns)
    page = np.full((rows * cell + _GAP_PX, columns * (width + _GAP_PX) + _GAP_PX, 3), _PAPER, np.uint8)
    for i, picture in enumerate(pictures):
        row, column = divmod(i, columns)
        top, left = row * cell + _GAP_PX, column * (width + _GAP_PX) + _GAP_PX
        page[top : top + height, left : left + width] = picture.image
        for k, (line, ink) in enumerate(((picture.title, _INK), (picture.note, _PALE_INK))):
            if line:
                _write(page[top + height + _MARGIN_PX + k * line_height :, left : left + width], line, ink, text_scale)
    return page


def object_portraits(kinds: Sequence[str] = (), size_px: int = 200) -> list[Picture]:
    """Renders every object of some kinds, sorted by kind and id.

    Args:
      kinds: Kinds of objects; empty: all of them.
      size_px: Both sides of a picture.

    Raises:
      UnknownName: If there is no such kind; with the near ones.
      NoRenderer: If the GL backend does not render here.
    """
    from vlagym.envs.portraits import portrait

    known = {asset.kind for asset in catalog().values()}
    for kind in kinds:
        if kind not in known:
            raise unknown_name("kind of object", kind, known)
    chosen = [asset for asset in catalog().values() if not kinds or asset.kind in kinds]
    chosen.sort(key=lambda asset: (asset.kind, asset.id))
    return [Picture(portrait(props=[_alone(asset)], size_px=size_px), asset.id, f"{asset.kind} - {asset.split}") for asset in chosen]


def save(page: NDArray[np.uint8], out: Path) -> None:
    """Writes a page as a PNG file; makes the folder where it lacks."""
    import imageio.v2 as imageio

    out.parent.mkdir(parents=True, exist_ok=True)
    imageio.imwrite(out, page)


def _alone(asset: ObjectAsset) -> PropSpec:
    return PropSpec(name="it", asset=asset.id, pos_world=(0.0, 0.0, 0.0), quat_world_wxyz=(1.0, 0.0, 0.0, 0.0))


def _write(page: NDArray[np.uint8], line: str, ink: tuple[int, int, int], scale: int) -> None:
    """Writes a line into the upper left corner of a strip, smaller where it is too wide, and cut where it is too wide even so."""
    mask = text_mask(line.upper())
    while scale > 1 and mask.shape[1] * scale > page.shape[1]:
        scale -= 1
    dots = np.kron(mask, np.ones((scale, scale), bool))[:, : page.shape[1]]
    page[: dots.shape[0], : dots.shape[1]][dots] = ink
