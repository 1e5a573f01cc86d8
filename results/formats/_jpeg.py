"""Single images as JPEG or PNG, in bytes.

JPEG has quality 95 and a colour for every pixel: halved colours (4:2:0) smear small things of strong colour, and save a fifth (of views of 256 x 256,
38.7 kB and 40.7 dB against 30.5 kB and 36.7 dB). Depth is PNG of 16 bits, without a loss.

PNG is put together here, around what `_deflate` makes: Pillow at its fastest takes ten times as long, and FFmpeg five times.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.errors import BadData, MissingPackage
from vlagym.results.formats import _deflate

QUALITY = 95
_FULL_COLOUR = 0
"""Pillow's word for 4:4:4."""
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY, _RGB = 0, 2
_UP = 2
"""Numbers of PNG (RFC 2083): its kinds of colour, and the filter for differences to the row above."""


def encode_jpeg(images: NDArray[np.uint8]) -> list[bytes]:
    """Returns each of `(T, h, w, 3)` RGB images as a JPEG.

    Raises:
      MissingPackage: Without Pillow.
    """
    image = _pillow()
    return [_saved(image.fromarray(frame), "JPEG", quality=QUALITY, subsampling=_FULL_COLOUR) for frame in images]


def encode_png(images: NDArray[np.uint8]) -> list[bytes]:
    """Returns each of `(T, h, w, 3)` RGB images as a PNG."""
    return [_png(image, bits=8, colour=_RGB) for image in images]


def encode_depth(images: NDArray[np.uint16]) -> list[bytes]:
    """Returns each of `(T, h, w)` images of depth as a PNG of 16 bits."""
    return [_png(image.astype(">u2"), bits=16, colour=_GREY) for image in images]


def _png(image: NDArray[Any], *, bits: int, colour: int) -> bytes:
    """Returns a PNG of `(h, w, ...)` pixels, each row told by its difference to the one above."""
    height, width = image.shape[:2]
    rows = np.ascontiguousarray(image).view(np.uint8).reshape(height, -1)
    told = np.empty((height, 1 + rows.shape[1]), np.uint8)
    told[:, 0] = _UP
    told[0, 1:] = rows[0]
    np.subtract(rows[1:], rows[:-1], out=told[1:, 1:])
    head = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    return _SIGNATURE + b"".join(_chunk(*chunk) for chunk in ((b"IHDR", head), (b"IDAT", _deflate.whole(told)), (b"IEND", b"")))


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(data, zlib.crc32(kind)))


def decode(encoded: Sequence[bytes], where: str) -> NDArray[np.uint8]:
    """Returns JPEG or PNG images of equal size as `(T, h, w, 3)` RGB.

    Args:
      encoded: One or more.
      where: Their name, for the error.

    Raises:
      BadData: If one is damaged, or of another size.
      MissingPackage: Without Pillow.
    """
    return _decoded(encoded, where, "RGB").astype(np.uint8, copy=False)


def decode_depth(encoded: Sequence[bytes], where: str) -> NDArray[np.uint16]:
    """Returns PNG images of 16 bits as `(T, h, w)`.

    Raises:
      BadData: If one is damaged, or of another size.
      MissingPackage: Without Pillow.
    """
    return _decoded(encoded, where, "I;16").astype(np.uint16, copy=False)


def _decoded(encoded: Sequence[bytes], where: str, mode: str) -> NDArray[Any]:
    image, frames = _pillow(), []
    for number, data in enumerate(encoded):
        try:
            with image.open(io.BytesIO(data), formats=("JPEG", "PNG")) as picture:
                frames.append(np.asarray(picture if picture.mode == mode else picture.convert(mode)))
        except (OSError, ValueError, SyntaxError) as error:  # Pillow raises SyntaxError for a broken PNG
            raise BadData(f"{where}: image {number} is damaged, or neither JPEG nor PNG: {error}") from error
        if frames[-1].shape != frames[0].shape:
            raise BadData(f"{where}: image {number} has the shape {frames[-1].shape}, and the first {frames[0].shape}")
    return np.stack(frames)


def _saved(picture: Any, kind: str, **options: int) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def _pillow() -> Any:
    try:
        from PIL import Image
    except ImportError as missing:
        raise MissingPackage("the formats rlds and rlds_droid need: pip install 'vlagym[data]'") from missing
    return Image
