"""Pictures of whole scenes for contact sheets: arenas from their cameras, and the first frames of episodes with their sentences."""

from __future__ import annotations

import contextlib
import dataclasses
import textwrap
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from vlagym.benchmark.contact_sheets import Picture
from vlagym.benchmark.episode import WorldOptions, play_episode
from vlagym.envs import catalog
from vlagym.envs.arenas import arena, arena_names
from vlagym.envs.errors import UnknownName, VlagymError
from vlagym.envs.frames import look_at
from vlagym.envs.split import arena_split
from vlagym.envs.robot import Robot
from vlagym.envs.types import CameraSpec, EpisodeSpec, SensorSpec, Vec3
from vlagym.envs.world import World
from vlagym.policies.loading import load_policy

OVERVIEW = "overview"
"""A camera that only contact sheets have: from the corner of the room, high enough to see over the table."""
_EYE_M, _TARGET_M, _FOVY_DEG = (1.9, -1.35, 0.95), (0.1, 0.25, -0.02), 58.0
_BODY_EYE_M, _BODY_TARGET_M, _BODY_FOVY_DEG = (1.3, -1.6, 1.0), (-0.1, 0.1, -0.15), 55.0
"""The same for a robot that stands on the floor: nearer, and from where walls do not hide it."""
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
            world.start(_with_overview(spec))
            varied = ", ".join(f"{axis} {level}" for axis, level in spec.axes)
            picture = world.render(camera, size_px, size_px) if spec.sensing == SensorSpec() else _as_delivered(world, camera, size_px)
            pictures.append(Picture(picture, f"{spec.task}: {varied}" if varied else spec.task, wrapped(spec.instruction, size_px)))
    return pictures


def _as_delivered(world: World, camera: str, size_px: int) -> NDArray[np.uint8]:
    """Returns a square image as a policy gets it, each of its pixels as large as needed."""
    image = world.observe((camera,)).images[camera]
    rows, columns = (np.arange(size_px) * side // size_px for side in image.shape[:2])
    enlarged: NDArray[np.uint8] = image[rows][:, columns]
    return enlarged


def episode_films(
    specs: Sequence[EpisodeSpec],
    options: WorldOptions,
    num_frames: int,
    camera: str | None = None,
    size_px: int = 160,
    *,
    policy: str = "expert",
    advance: Callable[[], None] = lambda: None,
) -> list[Picture]:
    """Lets the expert play each episode and renders a strip of frames of it, from its start to its end.

    Args:
      specs: The episodes.
      options: How they are rendered.
      num_frames: Frames of each, side by side; with 1 that of the end.
      camera: Through which one looks; None: `front`, and over all where the robot goes about or stands on its legs.
      size_px: Both sides of a frame.
      policy: Who plays; needs no images.
      advance: Called after each episode.

    Raises:
      UnknownName: If an episode has no such camera, or there is no episode.
      VlagymError: If one ends in an error.
      NoRenderer: If the GL backend does not render here.
    """
    if not specs:
        raise UnknownName("there is no episode to show")
    pictures = []
    with (
        contextlib.closing(load_policy(policy)) as player,
        contextlib.closing(World(quality=options.quality, look=options.look)) as world,
    ):
        for spec in specs:
            seen = _with_overview(spec)
            played = play_episode(world, seen, player)
            if played.trace is None or played.result.error is not None:
                told = played.result.error.message if played.result.error else "it did not begin"
                raise VlagymError(f"the episode of {spec.task} with seed {spec.seed} ended in an error: {told}")
            through = camera or ("front" if spec.robot_base == "fixed" else OVERVIEW)
            frames = _frames(world, seen, played.trace.actions, num_frames, through, size_px)
            body = spec.robot if spec.robot_base == "fixed" else f"{spec.robot} ({spec.robot_base})"
            ending = "" if played.result.outcome == "success" else f" - {played.result.ended_by}"
            pictures.append(Picture(np.concatenate(frames, axis=1), f"{spec.task} - {body}{ending}", wrapped(spec.instruction, num_frames * size_px)))
            advance()
    return pictures


def _frames(
    world: World, spec: EpisodeSpec, actions: NDArray[np.float32], num_frames: int, camera: str, size_px: int
) -> list[NDArray[np.uint8]]:
    """Plays actions again and returns pictures at equal distances of time, the first and the last one included."""
    wanted = np.linspace(0, len(actions), num_frames).round().astype(int).tolist() if num_frames > 1 else [len(actions)]
    world.start(spec)
    frames = {0: world.render(camera, size_px, size_px)} if 0 in wanted else {}
    for step, action in enumerate(actions, start=1):
        world.advance(action)
        if step in wanted:
            frames[step] = world.render(camera, size_px, size_px)
    return [frames[step] for step in wanted]


def _with_overview(spec: EpisodeSpec) -> EpisodeSpec:
    """Returns the episode with one camera more, which moves nothing."""
    robot: Robot = catalog.load("robot", spec.robot)
    camera = _overview() if robot.stance is None else _overview(_BODY_EYE_M, _BODY_TARGET_M, _BODY_FOVY_DEG)
    return dataclasses.replace(spec, scene=dataclasses.replace(spec.scene, cameras=(*spec.scene.cameras, camera)))


def wrapped(text: str, width_px: int) -> str:
    """Returns a caption with line breaks, so that no line is wider than a picture."""
    return "\n".join(textwrap.wrap(text, max(8, width_px // _LETTER_PX)))


def _overview(eye_m: Vec3 = _EYE_M, target_m: Vec3 = _TARGET_M, fovy_deg: float = _FOVY_DEG) -> CameraSpec:
    w, x, y, z = (float(v) for v in look_at(eye_m, target_m).round(8))
    return CameraSpec(name=OVERVIEW, parent="world", pos_parent=eye_m, quat_parent_wxyz=(w, x, y, z), fovy_deg=fovy_deg)
