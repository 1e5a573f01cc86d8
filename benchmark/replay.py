"""Films of stored episodes, rendered afterwards from any camera at any quality."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vlagym.benchmark.episode import MakeWorld, WorldOptions, make_world
from vlagym.benchmark.rollout import Watch
from vlagym.benchmark.stored import ActionsEnded, again
from vlagym.envs.errors import BadData, VlagymError, unknown_name
from vlagym.envs.types import EndedBy, EpisodeSpec, SensorSpec, Trace
from vlagym.results.store import Store

SUFFIXES = (".mp4", ".gif", ".png")
_GIF_EVERY = 2
"""A GIF shows every other control step: most viewers play no more than 10 to 20 frames a second."""
_STRIP_FRAMES = 8
"""Of a PNG: the episode as a strip, first and last frame included."""

Image = NDArray[np.uint8]


def film(
    store: Store,
    digest: str,
    out: Path,
    *,
    cameras: Sequence[str] = ("front",),
    quality: str = "fast",
    look: str = "auto",
    size: int | None = None,
    as_seen: bool = False,
    make_world: MakeWorld = make_world,
) -> int:
    """Renders a stored episode into a file and returns its number of frames.

    People are shown clean images of each moment, whatever the cameras delivered to the policy (`EpisodeSpec.sensing`).

    Args:
      store: The run.
      digest: Of the episode, or the beginning of it.
      out: Ends in .mp4, .gif or .png (a strip of 8 frames).
      cameras: Side by side; in a strip one above the other. All must have images of one size.
      quality: Of the images.
      look: Of the robot.
      size: Height in pixels of each camera's image, its shape being kept; None: as in the episode.
      as_seen: True: the images that the cameras delivered, blurred, noisy and late as they may be.
      make_world: Builds the world.

    Raises:
      UnknownName: If the run has no such episode, or the episode no such camera.
      BadData: If the suffix is another one, the episode has no trace, it does not run the same again, or a size is given with `as_seen`.
      OSError: If the file cannot be written; before anything is simulated.
    """
    check_out(out)
    if as_seen and size is not None:
        raise BadData("what the policy saw had the size that it had: give either --as-seen or --size")
    stored = store.trace(digest)
    check_cameras(cameras, [c.name for c in stored.spec.scene.cameras])
    prepare(out)
    shown = stored if as_seen else replace(stored, spec=replace(stored.spec, sensing=SensorSpec()))
    ends_by = None if stored.ended_by in ("policy_error", "env_error") else stored.ended_by
    frames = simulated(shown, cameras, WorldOptions(quality=quality, look=look), size, make_world, axis_of(out), ends_by)
    write(out, frames, stored.spec.control.rate_hz)
    return len(frames)


def check_out(out: Path) -> None:
    """Raises BadData unless a film can be written to a file of this name."""
    if out.suffix not in SUFFIXES:
        raise BadData(f"{out.name} ends in {out.suffix or 'nothing'!r}; a replay is written to {', '.join(SUFFIXES)}")


def check_cameras(cameras: Sequence[str], known: Sequence[str]) -> None:
    """Raises UnknownName unless there are all of these cameras."""
    for name in cameras:
        if name not in known:
            raise unknown_name("camera", name, known)


def axis_of(out: Path) -> int:
    """Returns along which axis several cameras are joined: side by side in a film, one above the other in a strip."""
    return 0 if out.suffix == ".png" else 1


def simulated(
    stored: Trace, cameras: Sequence[str], options: WorldOptions, size: int | None, make: MakeWorld, axis: int, ends_by: EndedBy | None
) -> list[Image]:
    """Returns an image before each action of a stored episode and one after the last; several cameras are joined along the axis.

    Args:
      stored: The episode. Of its columns nothing is looked at.
      cameras: Of the episode.
      options: Of the world.
      size: Height in pixels of each image; None: as in the episode.
      make: Builds the world.
      axis: Of `joined`.
      ends_by: How it must end; None where nobody says.

    Raises:
      BadData: If the episode does not run the same again, the size is none, or the cameras have images of different sizes.
      VlagymError: If it cannot be played.
    """
    trace = replace(stored, spec=_resized(stored.spec, size))
    frames: list[Image] = []
    with contextlib.closing(make(options)) as world:
        rollout = again(world, trace, Watch(cameras=tuple(cameras)))
        for step in rollout:
            assert step.observation is not None
            frames.append(joined(step.observation.images, cameras, axis))
        error = rollout.error
        if error is not None and error.type != ActionsEnded.__name__:
            raise VlagymError(f"the episode could not be filmed: {error.type}: {error.message}")
        if ends_by is not None and rollout.ended_by != ends_by:
            how = f"goes on after its {stored.num_steps} stored actions" if error else f"ends by {rollout.ended_by}"
            raise BadData(f"the episode ended by {ends_by}, and now it {how}. It does not run the same here: see vlagym verify")
        if rollout.ended_by != "divergence":
            frames.append(joined(world.observe(tuple(cameras)).images, cameras, axis))
    return frames


def _resized(spec: EpisodeSpec, size: int | None) -> EpisodeSpec:
    """Returns the spec with cameras of another height; the physics does not see it."""
    if size is None:
        return spec
    if size < 16 or size % 2:
        raise BadData(f"an image is at least 16 pixels high, and an even number of them for the sake of the codec; not {size}")
    cameras = tuple(replace(c, height=size, width=2 * round(size * c.width / c.height / 2)) for c in spec.scene.cameras)
    return replace(spec, scene=replace(spec.scene, cameras=cameras))


def joined(seen: Mapping[str, Image], cameras: Sequence[str], axis: int) -> Image:
    """Returns the images of some cameras as one.

    Raises:
      BadData: If they have different sizes.
    """
    images = [seen[name] for name in cameras]
    if len({i.shape for i in images}) > 1:
        shapes = ", ".join(f"{name} {i.shape[1]}x{i.shape[0]}" for name, i in zip(cameras, images, strict=True))
        raise BadData(f"cameras of different sizes cannot be joined in one film ({shapes}): choose one of them")
    return np.concatenate(images, axis=axis)


def prepare(out: Path) -> None:
    """Makes the folder of a file, opens the file for writing and leaves it as it was: a codec that cannot write says so late, and in riddles."""
    out.parent.mkdir(parents=True, exist_ok=True)
    is_new = not out.exists()
    with out.open("ab"):
        pass
    if is_new:
        out.unlink()


def write(out: Path, frames: Sequence[Image], rate_hz: float) -> None:
    """Writes a film, or a strip of 8 of its frames."""
    import imageio.v2 as imageio

    if out.suffix == ".png":
        chosen = np.linspace(0, len(frames) - 1, min(_STRIP_FRAMES, len(frames))).round().astype(int)
        imageio.imwrite(out, np.concatenate([frames[i] for i in chosen], axis=1))
    elif out.suffix == ".gif":
        imageio.mimwrite(out, list(frames[::_GIF_EVERY]), duration=1000.0 * _GIF_EVERY / rate_hz, loop=0)
    else:
        imageio.mimwrite(out, list(frames), fps=rate_hz, macro_block_size=2, quality=8)
