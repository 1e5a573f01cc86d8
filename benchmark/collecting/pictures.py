"""Pictures of an episode that was played without cameras: its states are looked at again, one after another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vlagym.benchmark.collecting.tape import Rewindable, Tape
from vlagym.benchmark.rollout import Watch
from vlagym.benchmark.stored import again
from vlagym.envs.errors import BadData
from vlagym.envs.images import Shrink
from vlagym.envs.types import Observation, SensorSpec, Trace

_NOTHING_M = 0.999
"""Share of the distance of the far plane from which on a pixel has hit nothing."""


class Pictures(NamedTuple):
    """Of the moments at which images are stored."""

    images: dict[str, NDArray[np.uint8]]
    """Camera -> (T', h, w, 3)"""
    depth: dict[str, NDArray[np.uint16]]
    """Camera -> (T', h, w) in mm, 0 where nothing was hit; of the cameras whose depth is wanted."""


def pictures(tape: Tape, trace: Trace, shrinks: Mapping[str, Shrink], stride: int, *, image_size: int | None = None, depth: bool = False) -> Pictures:
    """Renders an episode that has just been played; equal, bit for bit, to what would have been rendered while it was.

    Where cameras deliver images late or spoiled (`EpisodeSpec.sensing`), the episode is simulated again and watched: what they deliver depends on
    what was seen before.

    Args:
      tape: Of the episode, in the world in which it was played, which cannot go on with it afterwards.
      trace: Of the episode.
      shrinks: Camera -> how its frames are stored.
      stride: A frame for every so many control steps: before the actions 0, stride, 2 stride …
      image_size: Side in pixels at which cameras are rendered; None: as in the episode.
      depth: Whether depth is wanted too; the world must give it.

    Raises:
      BadData: If the world cannot show earlier states, does not run the same again, or images of a size of their own or depth are wanted of cameras
        that deliver spoiled images.
    """
    world = tape.world
    if not isinstance(world, Rewindable):
        raise BadData(f"a {type(world).__name__} cannot show earlier states: record while the episode is played")
    frames: dict[str, list[NDArray[np.uint8]]] = {camera: [] for camera in shrinks}
    depths: dict[str, list[NDArray[np.uint16]]] = {camera: [] for camera in shrinks if depth}
    if trace.spec.sensing != SensorSpec():
        if image_size is not None or depth:
            raise BadData("the cameras of this episode deliver late or spoiled images: they have the size of the episode, and no depth")
        for seen in _watched(tape, trace, tuple(shrinks), stride):
            for camera, shrink in shrinks.items():
                frames[camera].append(shrink.apply(seen.images[camera]))
        return Pictures({camera: np.stack(found) for camera, found in frames.items()}, {})
    for state in tape.states[: trace.num_steps : stride]:
        world.show(state)
        if image_size is None or depth:
            seen = tape.observe(tuple(shrinks))
        for camera, shrink in shrinks.items():
            image = seen.images[camera] if image_size is None else world.render(camera, image_size, image_size)
            frames[camera].append(shrink.apply(image))
            if depth:
                depths[camera].append(millimetres(seen.depth[camera], shrink, world.far_m()))
    return Pictures({c: np.stack(found) for c, found in frames.items()}, {c: np.stack(found) for c, found in depths.items()})


def millimetres(depth_m: NDArray[np.float32], shrink: Shrink, far_m: float) -> NDArray[np.uint16]:
    """Returns a depth image as it is stored beside an image of the same camera.

    It is cropped like the image. Of each block of pixels that becomes one, the middle one is taken: a mean across an edge would be the distance of
    nothing.

    Args:
      depth_m: `(H, W)` along the optical axis.
      shrink: Of the image.
      far_m: Distance of the far plane.

    Returns:
      `(size, size)` mm, rounded; 0 where nothing was hit, or nothing nearer than 65.535 m.
    """
    height, width = depth_m.shape
    top, left, block = (height - shrink.crop) // 2, (width - shrink.crop) // 2, shrink.crop // shrink.size
    found = depth_m[top : top + shrink.crop, left : left + shrink.crop][block // 2 :: block, block // 2 :: block]
    return np.where((found < _NOTHING_M * far_m) & (found < 65.5355), np.rint(found * 1000.0), 0.0).astype(np.uint16)


def _watched(tape: Tape, trace: Trace, cameras: Sequence[str], stride: int) -> list[Observation]:
    rollout = again(tape.world, trace, Watch(cameras=tuple(cameras), every=stride))
    found = [step.observation for step in rollout]
    if len(found) < trace.num_steps or rollout.ended_by != trace.ended_by:
        raise BadData(f"the episode {trace.spec.digest()} does not run the same again: see vlagym doctor")
    return [seen for seen in found[: trace.num_steps : stride] if seen is not None]
