"""Where things land in what a policy is shown: places on the table are marked in the camera's picture, and found again behind the conversion."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vlagym.benchmark.contact_sheets import Picture, save, sheet
from vlagym.policies.steps import ImageStep

if TYPE_CHECKING:
    from vlagym.envs.world import World

MARKS: Mapping[str, tuple[float, float, float]] = {
    "left": (0.5, 0.16, 0.02),
    "right": (0.5, -0.16, 0.02),
    "near": (0.36, 0.0, 0.02),
    "far": (0.64, 0.0, 0.02),
}
"""Places in the base frame of the robot, in m, as the robot would call them: x points away from it, y to its left."""
_INK: Mapping[str, tuple[int, int, int]] = {"left": (255, 0, 255), "right": (0, 255, 255), "near": (255, 255, 0), "far": (0, 255, 0)}


def landings(world: World, step: ImageStep) -> Iterator[dict[str, object]]:
    """Yields for one stream where each mark lies in the camera's picture, and where the policy finds it.

    Args:
      world: An episode that has begun.
      step: What is done to the stream.
    """
    for name in MARKS:
        plain, at = marked(world, step.camera, (name,))
        where = at[name]
        if where is None:
            yield {"image": step.stream, "what the robot has": name, "camera's picture": "out of sight", "shown": ""}
            continue
        found = place_of(as_uint8(step.apply(plain)), as_uint8(step.apply(world.observe((step.camera,)).images[step.camera])))
        shown = "cut off" if found is None else corner(*found)
        yield {"image": step.stream, "what the robot has": name, "camera's picture": corner(*where), "shown": shown}


def marked(world: World, camera: str, names: tuple[str, ...]) -> tuple[NDArray[np.uint8], dict[str, tuple[float, float] | None]]:
    """Returns a camera's picture with marks in it, and where they lie: shares of its width and height from its top left, None where out of sight."""
    image = world.observe((camera,)).images[camera].copy()
    height, width = image.shape[:2]
    out: dict[str, tuple[float, float] | None] = {}
    for name in names:
        at = seen_at(world, camera, np.array(MARKS[name]), width / height)
        out[name] = at
        if at is not None:
            column, row, half = round(at[0] * width), round(at[1] * height), max(3, width // 24)
            image[max(0, row - half) : row + half, max(0, column - half) : column + half] = _INK[name]
    return image, out


def seen_at(world: World, camera: str, point_base_m: NDArray[np.float64], aspect: float) -> tuple[float, float] | None:
    """Returns where a camera sees a point, from its pose and field of view alone: no picture is looked at."""
    model, data = world.simulation.model, world.simulation.data
    ident = int(model.camera(camera).id)
    base = _base_of(world)
    point = base[0] + base[1] @ point_base_m
    matrix = np.array(data.cam_xmat[ident]).reshape(3, 3)
    x, y, z = matrix.T @ (point - np.array(data.cam_xpos[ident]))
    if z > -1e-3:
        return None
    half = np.tan(np.radians(float(model.cam_fovy[ident])) / 2)
    across, up = x / -z / (half * aspect), y / -z / half
    return ((1 + across) / 2, (1 - up) / 2) if max(abs(across), abs(up)) < 0.95 else None


def _base_of(world: World) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns where the base frame is in the world, and its axes: by the privileged observation."""
    from scipy.spatial.transform import Rotation

    seen = world.observe((), privileged=True).privileged
    assert seen is not None
    return np.array(seen.base_pos_world), Rotation.from_quat(np.roll(seen.base_quat_world_wxyz, -1)).as_matrix()


def place_of(marked_image: NDArray[np.uint8], plain: NDArray[np.uint8]) -> tuple[float, float] | None:
    """Returns the middle of where two pictures differ, in shares of width and height; None where they are the same."""
    differs = np.abs(marked_image.astype(int) - plain.astype(int)).sum(axis=2) > 60
    if not differs.any():
        return None
    rows, columns = np.nonzero(differs)
    height, width = differs.shape
    return (columns.mean() + 0.5) / width, (rows.mean() + 0.5) / height


def corner(across: float, down: float) -> str:
    """Returns in words where a place is."""
    words = ["top" if down < 0.42 else "bottom" if down > 0.58 else "", "left" if across < 0.42 else "right" if across > 0.58 else ""]
    return " ".join(word for word in words if word) or "middle"


def as_uint8(image: NDArray[Any]) -> NDArray[np.uint8]:
    """Returns what a policy is shown as a picture, whatever its range of values."""
    if image.dtype == np.uint8:
        return np.asarray(image, np.uint8)
    unit = (image + 1) / 2 if image.min() < 0 else image
    return np.asarray(np.clip(255 * unit, 0, 255), np.uint8)


def write(path: Path, world: World, steps: tuple[ImageStep, ...], size_px: int = 256) -> None:
    """Writes a page: of each stream the camera's picture with all marks, and what the policy is shown of it.

    Raises:
      BadData: If the page cannot be written there.
    """
    from PIL import Image

    pictures = []
    for step in steps:
        image, _ = marked(world, step.camera, tuple(MARKS))
        for title, one in ((f"camera {step.camera}", image), (f"shown as {step.stream}", as_uint8(step.apply(image)))):
            fitted = Image.fromarray(one).resize((size_px, size_px), Image.Resampling.NEAREST)
            did = "\n" + (", ".join(step.words()) or "as it is")[:60]
            note = "magenta left, cyan right\nyellow near, green far" if title.startswith("camera") else did
            pictures.append(Picture(np.array(fitted), title, note))
    save(sheet(pictures, columns=2), path)
