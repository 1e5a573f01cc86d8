"""Pictures of whole scenes for contact sheets: arenas from their cameras, and the first frames of episodes with their sentences."""

from __future__ import annotations

import contextlib
import dataclasses
import textwrap
from collections.abc import Sequence

from vlagym.benchmark.contact_sheets import Picture
from vlagym.benchmark.episode import WorldOptions
from vlagym.envs.arenas import arena, arena_names
from vlagym.envs.errors import UnknownName
from vlagym.envs.frames import look_at
from vlagym.envs.split import arena_split
from vlagym.envs.types import CameraSpec, EpisodeSpec
from vlagym.envs.world import World

OVERVIEW = "overview"
"""A camera that only contact sheets have: from the corner of the room, high enough to see over the table."""
_EYE_M, _TARGET_M, _FOVY_DEG = (1.9, -1.35, 0.95), (0.1, 0.25, -0.02), 58.0
_LETTER_PX = 6
"""Width of a letter of a caption."""


def arena_pictures(spec: EpisodeSpec, options: WorldOptions, size_px: int = 320) -> list[Picture]:
    """Renders one scene in every arena: three pictures each, from `front`, from `side` and over all.

    Args:
      spec: The episode whose things stand on the tables.
      options: How it is rendered.
      size_px: Both sides of a picture.

    Raises:
      NoRenderer: If the GL backend does not render here.
    """
    pictures = []
    with contextlib.closing(World(quality=options.quality, look=options.look)) as world:
        for name in arena_names():
            place = arena(name)
            cameras = (*(c.spec() for c in place.camera), _overview())
            world.start(dataclasses.replace(spec, scene=dataclasses.replace(spec.scene, arena=name, lights=place.light, cameras=cameras)))
            notes = {"front": place.about, "side": "", OVERVIEW: ""}
            for camera, note in notes.items():
                title = f"{name} - {arena_split(name)}" if camera == "front" else camera
                pictures.append(Picture(world.render(camera, size_px, size_px), title, wrapped(note, size_px)))
    return pictures


def episode_pictures(specs: Sequence[EpisodeSpec], options: WorldOptions, camera: str = "front", size_px: int = 320) -> list[Picture]:
    """Renders the first frame of each episode, with its task above its sentence.

    Args:
      specs: The episodes.
      options: How they are rendered.
      camera: Through which one looks.
      size_px: Both sides of a picture.

    Raises:
      UnknownName: If an episode has no such camera, or there is no episode.
      NoRenderer: If the GL backend does not render here.
    """
    if not specs:
        raise UnknownName("there is no episode to show")
    pictures = []
    with contextlib.closing(World(quality=options.quality, look=options.look)) as world:
        for spec in specs:
            world.start(spec)
            pictures.append(Picture(world.render(camera, size_px, size_px), spec.task, wrapped(spec.instruction, size_px)))
    return pictures


def wrapped(text: str, width_px: int) -> str:
    """Returns a caption with line breaks, so that no line is wider than a picture."""
    return "\n".join(textwrap.wrap(text, max(8, width_px // _LETTER_PX)))


def _overview() -> CameraSpec:
    w, x, y, z = (float(v) for v in look_at(_EYE_M, _TARGET_M).round(8))
    return CameraSpec(name=OVERVIEW, parent="world", pos_parent=_EYE_M, quat_parent_wxyz=(w, x, y, z), fovy_deg=_FOVY_DEG)
