"""Films of demonstrations: simulated again from their executed actions, or the very images that the dataset holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vlagym.benchmark.episode import MakeWorld, WorldOptions, make_world
from vlagym.benchmark.replay import Image, axis_of, check_cameras, check_out, joined, prepare, simulated, write
from vlagym.envs.errors import BadData, UnknownName
from vlagym.envs.safety import NO_FILTER
from vlagym.envs.types import EndedBy, SensorSpec, Trace
from vlagym.results.datasets import open_dataset
from vlagym.results.demonstration import Demonstration
from vlagym.results.format import DatasetReader

_FRONT = "front"


class Filmed(NamedTuple):
    """What was filmed."""

    frames: int
    demonstration: Demonstration
    number: int
    """In the dataset, from 0."""
    is_simulated: bool
    """False: the images are those that the dataset holds."""


def find_demonstration(reader: DatasetReader, word: str) -> int:
    """Returns the number of a demonstration.

    Args:
      reader: The dataset.
      word: Its number, counted from 0, or the first digits of its digest; what could be either is its number.

    Raises:
      UnknownName: If there is none.
      BadData: If several digests begin so.
    """
    count = len(reader)
    if word.isdecimal() and int(word) < count:
        return int(word)
    found = [i for i, digest in enumerate(reader.digests) if digest.startswith(word)]
    if not found:
        raise UnknownName(f"the dataset has no demonstration {word!r}: there are {count}, from 0 to {count - 1}, and no digest begins so")
    if len(found) > 1:
        raise BadData(f"{len(found)} digests of the dataset begin with {word!r}: give more of its digits")
    return found[0]


def film_demonstration(
    path: Path,
    word: str,
    out: Path,
    *,
    cameras: Sequence[str] = (),
    quality: str = "fast",
    look: str = "auto",
    size: int | None = None,
    as_stored: bool = False,
    make_world: MakeWorld = make_world,
) -> Filmed:
    """Renders a demonstration into a file.

    Args:
      path: The dataset, of any format, ours or of others.
      word: Which one: `find_demonstration`.
      out: Ends in .mp4, .gif or .png (a strip of 8 frames).
      cameras: Side by side; in a strip one above the other. Empty: front, or the first that the dataset has.
      quality: Of the images, where it is simulated.
      look: Of the robot, likewise.
      size: Height in pixels of each image, likewise; None: as in the episode.
      as_stored: Whether the dataset's own images are shown, where it could be simulated too. What was recorded elsewhere always is shown so.
      make_world: Builds the world.

    Raises:
      NoDataset: If there is no dataset, or it was not finished.
      UnknownName: If it has no such demonstration, or that no such camera.
      BadData: If the suffix is another one, the dataset is damaged, the episode does not run the same again, or a size is given for stored images.
      OSError: If the file cannot be written; before anything is simulated.
    """
    check_out(out)
    with open_dataset(path) as reader:
        index = find_demonstration(reader, word)
        d, info = reader[index], reader.info
        if d.spec is None or as_stored:
            if size is not None:
                raise BadData("the images of a dataset have the size that they have: leave out --size")
            shown = tuple(cameras) or tuple(sorted(info.images, key=lambda camera: camera != _FRONT))[:1]
            if not shown:
                raise BadData(f"{path} holds no images")
            check_cameras(shown, list(info.images))
            prepare(out)
            frames, rate_hz = _stored(d, shown, axis_of(out)), info.action.rate_hz / info.frame_stride
        else:
            spec = replace(d.spec, sensing=SensorSpec())
            shown = tuple(cameras) or (_FRONT,)
            check_cameras(shown, [camera.name for camera in spec.scene.cameras])
            prepare(out)
            options = WorldOptions(quality=quality, look=look)
            ends_by: EndedBy | None = "goal" if d.is_success else None  # of a failure the dataset does not say how
            frames = simulated(_trace(replace(d, spec=spec)), shown, options, size, make_world, axis_of(out), ends_by)
            rate_hz = spec.control.rate_hz
        write(out, frames, rate_hz)
        return Filmed(len(frames), d, index, is_simulated=not (d.spec is None or as_stored))


def _stored(d: Demonstration, cameras: Sequence[str], axis: int) -> list[Image]:
    images = {camera: d.images[camera] for camera in cameras}
    for camera, rows in images.items():
        if not len(d.image_steps) or len(rows) != len(d.image_steps):
            raise BadData(f"demonstration {d.digest} has {len(rows)} images of {camera!r} for {len(d.image_steps)} steps: it is not whole")
    return [joined({camera: rows[i] for camera, rows in images.items()}, cameras, axis) for i in range(len(d.image_steps))]


def _trace(d: Demonstration) -> Trace:
    """Returns as much of the trace of a demonstration as is played again."""
    steps = d.num_steps
    return Trace(
        spec=d.episode,
        actions=d.executed_actions,
        columns={},
        contact_force_n=np.zeros((steps, 0, 0), np.float32),
        ended_by="goal" if d.is_success else "horizon",
        latency_s=np.zeros(0),
        call_step=np.zeros(0, np.int32),
        safety=np.full(steps, NO_FILTER, np.int8),
    )
