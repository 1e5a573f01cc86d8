"""Images as a camera's driver delivers them: blurred, noisy, compressed, late by a dropped frame, or standing still."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.types import EpisodeSpec, SensorSpec, stream

Image = NDArray[np.uint8]
"""`(H, W, 3)`"""
CLEAN = SensorSpec()
"""Nothing happens to images."""


class Sensing:
    """The cameras' drivers of one episode. What they deliver at a control step depends on the episode and on that step, and on nothing else:
    not on who looked before, through which cameras, or how often.

    Each camera takes an image at each control step; what does not arrive is replaced by the last image that did, and a frozen camera delivers
    the last one that it did before it froze, noise included. The state of the world at that earlier step is kept, so that its image can be
    rendered when it is asked for.

    Args:
      spec: Says in `sensing` what happens to the images.
    """

    def __init__(self, spec: EpisodeSpec) -> None:
        self._spec, self._sensing = spec, spec.sensing
        steps = spec.horizon_steps + 1
        self._sources = {c.name: sources(spec, c.name, steps) for c in spec.scene.cameras}
        self._kept: dict[int, Any] = {}
        self._delivered: dict[str, tuple[int, Image]] = {}

    def keep(self, step: int, data: Any) -> None:
        """Takes note of the state of the world before it moves on, if an image of it will be delivered later.

        Args:
          step: The control step, 0 before the first action.
          data: An MjData; it is copied where that is needed.
        """
        wanted = {self.source(name, step + 1) for name in self._sources}
        if step in wanted:
            self._kept[step] = copy.copy(data)
        self._kept = {at: state for at, state in self._kept.items() if at in wanted}

    def deliver(self, camera: str, step: int, data: Any, render: Callable[[Any], Image]) -> Image:
        """Returns what arrives from a camera at a control step, in fresh memory.

        Args:
          camera: A camera of the episode.
          step: The present control step; `keep` was called at each one before it.
          data: The present MjData.
          render: Returns the camera's clean image of the state of an MjData.
        """
        at = self.source(camera, step)
        known = self._delivered.get(camera)
        if known is None or known[0] != at:
            image = render(data if at == step else self._kept[at])
            known = self._delivered[camera] = (at, degraded(image, self._sensing, stream(self._spec.seed, "sensing", camera, str(at))))
        return known[1].copy()

    def source(self, camera: str, step: int) -> int:
        """Returns the control step at which the image was taken that arrives at a control step; after the horizon each arrives."""
        steps = self._sources[camera]
        return steps[step] if step < len(steps) else step


def sources(spec: EpisodeSpec, camera: str, num_steps: int) -> list[int]:
    """Returns for each control step at which control step the image was taken that a camera delivers then.

    Args:
      spec: The episode.
      camera: One of its cameras.
      num_steps: How many, from the start on. The first image always arrives.
    """
    sensing = spec.sensing
    lost = stream(spec.seed, "sensing", camera, "dropped").random(num_steps) < sensing.dropped_share
    frozen_at = math.ceil(sensing.frozen_from_s * spec.control.rate_hz - 1e-9) if camera == sensing.frozen_camera else num_steps
    found: list[int] = []
    for step in range(num_steps):
        arrives = step == 0 or not (lost[step] or step > frozen_at)
        found.append(step if arrives else found[-1])
    return found


def degraded(image: Image, sensing: SensorSpec, rng: np.random.Generator) -> Image:
    """Returns an image after the lens (blur), the sensor (noise) and the cable (JPEG), in this order.

    Args:
      image: `(H, W, 3)` uint8; left as it is.
      sensing: By how much.
      rng: Draws the noise.
    """
    if sensing.blur_px > 0.0 or sensing.noise_std > 0.0:
        light = image.astype(np.float32)
        if sensing.blur_px > 0.0:
            from scipy.ndimage import gaussian_filter

            light = gaussian_filter(light, (sensing.blur_px, sensing.blur_px, 0.0), mode="nearest")
        if sensing.noise_std > 0.0:
            light += np.float32(sensing.noise_std) * rng.standard_normal(light.shape, np.float32)
        image = np.clip(np.rint(light), 0, 255).astype(np.uint8)
    return image if sensing.jpeg_quality is None else _compressed(image, sensing.jpeg_quality)


def _compressed(image: Image, quality: int) -> Image:
    """Returns what is left of an image after it was written as JPEG of a quality from 1 to 95."""
    import imageio.v3 as imageio

    data = imageio.imwrite("<bytes>", image, extension=".jpeg", quality=quality)
    found: Image = np.ascontiguousarray(imageio.imread(data, extension=".jpeg"))
    return found
