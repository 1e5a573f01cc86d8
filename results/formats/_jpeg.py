"""Single images as JPEG or PNG, in bytes.

JPEG has quality 95 and a colour for every pixel: halved colours (4:2:0) smear small things of strong colour, and save a fifth (of views of 256 x 256,
38.7 kB and 40.7 dB against 30.5 kB and 36.7 dB). Depth is PNG of 16 bits, without a loss.

PNG in colour is by FFmpeg, which predicts each row from the one above: such a view takes 1.1 ms and 33 kB, by Pillow at its fastest 2.4 ms and 34 kB.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.errors import BadData, MissingPackage
from vlagym.results.formats import _video

QUALITY = 95
_FULL_COLOUR = 0
"""Pillow's word for 4:4:4."""
_PNG_LEVEL = 1
_PNG_OPTIONS = {"pred": "up", "compression_level": str(_PNG_LEVEL)}


def encode_jpeg(images: NDArray[np.uint8]) -> list[bytes]:
    """Returns each of `(T, h, w, 3)` RGB images as a JPEG.

    Raises:
      MissingPackage: Without Pillow.
    """
    image = _pillow()
    return [_saved(image.fromarray(frame), "JPEG", quality=QUALITY, subsampling=_FULL_COLOUR) for frame in images]


def encode_png(images: NDArray[np.uint8]) -> list[bytes]:
    """Returns each of `(T, h, w, 3)` RGB images as a PNG.

    Raises:
      MissingPackage: Without PyAV.
    """
    av = _video.pyav()
    encoder = av.CodecContext.create("png", "w")
    _, encoder.height, encoder.width, _ = images.shape
    encoder.pix_fmt, encoder.time_base, encoder.options, encoder.thread_count = "rgb24", Fraction(1), _PNG_OPTIONS, 1
    frames = [av.VideoFrame.from_numpy_buffer(np.ascontiguousarray(image), format="rgb24") for image in images]
    return [bytes(packet) for frame in (*frames, None) for packet in encoder.encode(frame)]


def encode_depth(images: NDArray[np.uint16]) -> list[bytes]:
    """Returns each of `(T, h, w)` images of depth as a PNG of 16 bits.

    Raises:
      MissingPackage: Without Pillow.
    """
    image = _pillow()
    return [_saved(image.fromarray(np.ascontiguousarray(frame)), "PNG", compress_level=_PNG_LEVEL) for frame in images]


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
