"""Images that a dataset holds against images that are rendered: of another episode, camera or moment they differ as after no codec."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlagym.benchmark.collecting.pictures import millimetres
from vlagym.benchmark.coverage import Difference
from vlagym.envs.errors import BadSpec
from vlagym.envs.images import Shrink
from vlagym.envs.types import EpisodeSpec, Observation, SensorSpec
from vlagym.results.demonstration import DatasetInfo, Demonstration, ImagePreprocessing

MOMENTS = 3
"""Images of each camera of a demonstration that are rendered unless told otherwise: from its beginning, and after a third and two thirds of it."""
IMAGES = "images"
"""What is said of images that nobody can render again."""
_BLOCK = 8
"""Side in pixels of the blocks whose means are compared: errors of a codec even out within them."""
_LEVELS, _SHARE = 16.0, 0.02
"""So many blocks may differ by so much. Of 256 x 256 pixels of place_on no block does after H.264, and the largest difference is 8.5 levels; of
images one control step apart a tenth of the blocks differ by more than 12, and of other episodes a sixth to a half (three episodes, both cameras)."""
_DEPTH_SHARE, _DEPTH_MM, _DEPTH_RELATIVE = 0.02, 10, 0.02
"""So many pixels of depth may be off by more than that: those along edges."""


class Snapshots:
    """Renders a demonstration at some moments while it is simulated, and compares."""

    def __init__(self, demonstration: Demonstration, info: DatasetInfo, image_size: int | None, moments: int | None = MOMENTS) -> None:
        """Chooses the moments.

        Args:
          demonstration: As it is stored, with its images.
          info: Of its dataset.
          image_size: Side in pixels at which cameras were rendered; None: as in the episode.
          moments: How many, at even distances from the first image on; None: those of all its images.
        """
        self.images = len(demonstration.image_steps)
        """Of each camera that the demonstration has."""
        self.every = info.frame_stride * (1 if moments is None else max(1, -(-self.images // moments)))
        self.num = 0
        """Moments so far."""
        self._demonstration, self._info, self._image_size = demonstration, info, image_size
        self._different: dict[str, Difference] = {}

    @property
    def watched(self) -> tuple[str, ...]:
        """Cameras that are to be watched while it is simulated; what has a size of its own, or no depth, is rendered here."""
        return () if self._image_size is not None else tuple(self._info.images)

    @property
    def differences(self) -> list[Difference]:
        """Which cameras showed something else than the dataset holds, and when first: one difference a camera."""
        return [self._different[camera] for camera in self._info.images if camera in self._different]

    def take(self, world: Any, step: int, observation: Observation | None) -> None:
        """Renders the state before an action, if it is one of the moments, and compares it with what is stored.

        Args:
          world: In that state, where images have a size of their own.
          step: Of the action.
          observation: What was watched of it.

        Raises:
          BadSpec: If images of the episode cannot be cut as the dataset says.
        """
        if step % self.every:
            return
        self.num += 1
        at = step // self._info.frame_stride
        for camera, how in self._info.images.items():
            shrink = Shrink(crop=how.crop, size=how.size)
            depth = None
            if self._image_size is not None:
                image = shrink.apply(world.render(camera, self._image_size, self._image_size))
            else:
                assert observation is not None
                image = shrink.apply(observation.images[camera])
                if camera in self._info.depth:
                    depth = millimetres(observation.depth[camera], shrink, world.far_m())
            if camera not in self._different and (how_unlike := self._unlike(camera, at, image, depth)):
                self._different[camera] = Difference(f"images of {camera}", f"before action {step} {how_unlike}")

    def _unlike(self, camera: str, at: int, image: NDArray[np.uint8], depth: NDArray[np.uint16] | None) -> str:
        """Returns in words how an image, or its depth, differs from the stored one of that number; "" where it does not, or there is none."""
        stored = self._demonstration.images[camera]
        if at < len(stored) and (how := unlike(stored[at], image)):
            return how
        if depth is None or at >= len(stored_depth := self._demonstration.depth[camera]):
            return ""
        return _unlike_depth(stored_depth[at], depth)


def can_render(spec: EpisodeSpec, info: DatasetInfo) -> bool:
    """Returns whether single images of an episode can be rendered again: not where cameras deliver late or spoiled ones, which depend on others."""
    return bool(info.images) and spec.sensing == SensorSpec() and all(how.width in (None, how.size) for how in info.images.values())


def lacking_cameras(spec: EpisodeSpec, info: DatasetInfo) -> list[str]:
    """Returns the cameras of a dataset that an episode has not, or whose images cannot be cut as the dataset says."""
    sizes = {camera.name: (camera.width, camera.height) for camera in spec.scene.cameras}
    return [name for name, how in info.images.items() if name not in sizes or not _fits(how, sizes[name])]


def unlike(stored: NDArray[np.uint8], rendered: NDArray[np.uint8]) -> str:
    """Returns in words how an image differs from the one that was rendered, "" where it is the same but for a codec."""
    if stored.shape != rendered.shape:
        return f"the dataset holds an image of {stored.shape}, and rendered it is one of {rendered.shape}"
    apart = np.abs(_blocks(stored) - _blocks(rendered)).max(axis=-1)
    share = float((apart > _LEVELS).mean())
    if share <= _SHARE:
        return ""
    return f"the dataset shows something else than is rendered: {100 * share:.0f} % of the image differ by more than {_LEVELS:g} of 255 levels"


def _unlike_depth(stored: NDArray[np.uint16], rendered: NDArray[np.uint16]) -> str:
    apart = np.abs(stored.astype(np.int64) - rendered.astype(np.int64))
    share = float((apart > _DEPTH_MM + _DEPTH_RELATIVE * rendered).mean())
    return "" if share <= _DEPTH_SHARE else f"the dataset holds another depth than is rendered: {100 * share:.0f} % of it differ by more than 10 mm"


def _blocks(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Returns the means of blocks `(h', w', 3)`; what is left over at the right and at the bottom is not looked at."""
    side = min(_BLOCK, *image.shape[:2])
    height, width = (n // side for n in image.shape[:2])
    part = image[: height * side, : width * side].astype(np.float64)
    return np.asarray(part.reshape(height, side, width, side, 3).mean(axis=(1, 3)))


def _fits(how: ImagePreprocessing, size: tuple[int, int]) -> bool:
    try:
        Shrink(crop=how.crop, size=how.size).check(*size)
    except BadSpec:
        return False
    return True


def rendering(provenance: Mapping[str, Any]) -> tuple[str, str, int | None]:
    """Returns quality, look and image size with which a dataset was rendered; what it does not say is as usual."""
    size = provenance.get("image_size")
    return str(provenance.get("quality", "fast")), str(provenance.get("look", "auto")), None if size is None else int(size)
