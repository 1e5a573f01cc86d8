"""Contact sheets: many small pictures in a grid, each with its name below it."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.textures.bitmap_font import text_mask
from vlagym.envs.errors import BadData, UnknownName, unknown_name
from vlagym.envs.fixtures import FixtureAsset, fixtures
from vlagym.envs.objects import ObjectAsset, catalog
from vlagym.envs.types import FixtureSpec, PropSpec

_INK, _PALE_INK, _PAPER = (38, 38, 42), (128, 126, 122), (255, 255, 255)
_GAP_PX = 6
SUFFIXES = (".png", ".jpg", ".jpeg")
"""Of the files that a page is written to."""
_MARGIN_PX = 4  # around a line of text


class Picture(NamedTuple):
    """One cell of a sheet."""

    image: NDArray[np.uint8]
    """(H, W, 3) RGB."""
    title: str
    note: str = ""
    """Paler lines below it; may be empty, or hold several lines."""


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
    lines = 1 + max(len(p.note.splitlines()) for p in pictures)
    line_height = 7 * text_scale + _MARGIN_PX
    cell = height + _MARGIN_PX + lines * line_height + _GAP_PX
    columns = min(columns, len(pictures))
    rows = -(-len(pictures) // columns)
    page = np.full((rows * cell + _GAP_PX, columns * (width + _GAP_PX) + _GAP_PX, 3), _PAPER, np.uint8)
    for i, picture in enumerate(pictures):
        row, column = divmod(i, columns)
        top, left = row * cell + _GAP_PX, column * (width + _GAP_PX) + _GAP_PX
        page[top : top + height, left : left + width] = picture.image
        for k, (line, ink) in enumerate([(picture.title, _INK), *((note, _PALE_INK) for note in picture.note.splitlines())]):
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


def fixture_portraits(kinds: Sequence[str] = (), size_px: int = 240) -> list[Picture]:
    """Renders all furniture of some kinds, sorted by kind and id, with its drawers and doors a little open.

    Args:
      kinds: Kinds of furniture; empty: all of them.
      size_px: Both sides of a picture.

    Raises:
      UnknownName: If there is no such kind; with the near ones.
      NoRenderer: If the GL backend does not render here.
    """
    from vlagym.envs.portraits import portrait

    chosen = fixtures_of(kinds)
    return [
        Picture(portrait(fixtures=[_ajar(asset)], size_px=size_px, azimuth_deg=155.0), asset.id, f"{asset.kind} - {asset.split}") for asset in chosen
    ]


def fixtures_of(kinds: Sequence[str]) -> list[FixtureAsset]:
    """Returns all furniture of some kinds, sorted by kind and id; of every kind where none is named. Raises UnknownName."""
    known = {asset.kind for asset in fixtures().values()}
    for kind in kinds:
        if kind not in known:
            raise unknown_name("kind of furniture", kind, known)
    return sorted((a for a in fixtures().values() if not kinds or a.kind in kinds), key=lambda asset: (asset.kind, asset.id))


def check_out(out: Path, *, is_small: bool = False) -> None:
    """Raises BadData if a page cannot be written to a file of that name: worth asking before anything is rendered."""
    suffixes = SUFFIXES[:1] if is_small else SUFFIXES
    if out.suffix.lower() not in suffixes:
        which = "a contact sheet with 256 colours" if is_small else "a contact sheet"
        raise BadData(f"{which} is written to a file that ends in {' or '.join(suffixes)}, not to {str(out)!r}")


def save(page: NDArray[np.uint8], out: Path, *, is_small: bool = False) -> None:
    """Writes a page as a PNG or JPEG file; makes the folder where it lacks.

    Args:
      page: `(H, W, 3)` uint8 RGB.
      out: The file.
      is_small: Whether to keep only the 256 colours that serve the page best: a third of the size, and hardly to be told apart.

    Raises:
      BadData: If the file's name ends in none of SUFFIXES; with 256 colours, in anything but .png.
    """
    check_out(out, is_small=is_small)
    import imageio.v2 as imageio

    out.parent.mkdir(parents=True, exist_ok=True)
    if not is_small:
        imageio.imwrite(out, page)
        return
    from PIL import Image

    image = Image.fromarray(page)
    palette = image.quantize(256, method=Image.Quantize.MEDIANCUT, kmeans=3)
    image.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG).save(out, format="PNG", optimize=True)


def _alone(asset: ObjectAsset) -> PropSpec:
    return PropSpec(name="it", asset=asset.id, pos_world=(0.0, 0.0, 0.0), quat_world_wxyz=(1.0, 0.0, 0.0, 0.0))


def _ajar(asset: FixtureAsset) -> FixtureSpec:
    """Returns a fixture whose members that are opened stand open a quarter of their way; what is pressed or turned is left as it is."""
    joints = tuple((j.name, j.range_m[0] + (0.25 * (j.range_m[1] - j.range_m[0]) if j.handle is not None else 0.0)) for j in asset.joints)
    return FixtureSpec(name="it", asset=asset.id, pos_world=(0.0, 0.0, 0.0), yaw_rad=0.0, joints=joints)


def _write(page: NDArray[np.uint8], line: str, ink: tuple[int, int, int], scale: int) -> None:
    """Writes a line into the upper left corner of a strip, smaller where it is too wide, and cut where it is too wide even so."""
    # The font has capital letters without accents.
    mask = text_mask(unicodedata.normalize("NFKD", line.upper()).encode("ascii", "ignore").decode())
    while scale > 1 and mask.shape[1] * scale > page.shape[1]:
        scale -= 1
    dots = np.kron(mask, np.ones((scale, scale), bool))[:, : page.shape[1]]
    page[: dots.shape[0], : dots.shape[1]][dots] = ink
