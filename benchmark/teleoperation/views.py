"""What the player is shown, as JPEG and as often as the pace allows: the large picture each time, the others in turn."""

from __future__ import annotations

import io
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.errors import MissingPackage

_QUALITY = 82
_MOST_SKIPPED = 4
"""Steps of which no picture is shown, at most, where the machine is too slow: pictures at a fifth of the rate are better than none."""
_SMOOTHING = 0.2
"""Of the time that pictures take, which is told from the last ones."""


def require_jpeg() -> None:
    """Raises MissingPackage without Pillow."""
    try:
        import PIL.Image  # noqa: F401
    except ImportError as missing:
        raise MissingPackage("playing in the browser needs: pip install 'vlagym[play]'") from missing


def jpeg(image: NDArray[np.uint8]) -> bytes:
    """Returns an image `(H, W, 3)` as JPEG."""
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(image).save(out, "JPEG", quality=_QUALITY)
    return out.getvalue()


class Views:
    """Renders a world for the player."""

    def __init__(self, world: Any, cameras: Sequence[str], size: int) -> None:
        """Takes the world; nothing is rendered yet.

        Args:
          world: `vlagym.envs.world.World`.
          cameras: In their order.
          size: Height and width in pixels.
        """
        self._world, self._cameras, self._size = world, tuple(cameras), size
        self._cost_s = 0.0
        self._skipped = self._turn = 0

    def take(self, which: Sequence[int] | None = None) -> dict[int, bytes]:
        """Returns what cameras see now, by their numbers.

        Args:
          which: Numbers of cameras; None: all.
        """
        numbers = range(len(self._cameras)) if which is None else which
        return {i: jpeg(self._world.render(self._cameras[i], self._size, self._size)) for i in numbers}

    def take_if_time(self, spare_s: float, large: int) -> dict[int, bytes]:
        """Returns what the large camera sees now, and one of the others; nothing where there is no time for it, unless that was so several times.

        Args:
          spare_s: Time until the next step.
          large: Number of the camera that is shown large.
        """
        if spare_s < self._cost_s and self._skipped < _MOST_SKIPPED:
            self._skipped += 1
            return {}
        began_s = time.perf_counter()
        others = [i for i in range(len(self._cameras)) if i != large]
        self._turn += 1
        out = self.take(([large] if large < len(self._cameras) else []) + ([others[self._turn % len(others)]] if others else []))
        self._cost_s += _SMOOTHING * (time.perf_counter() - began_s - self._cost_s)
        self._skipped = 0
        return out
