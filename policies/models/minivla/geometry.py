"""Where a point of the world appears in a camera's image, and small rotations."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.errors import BadData
from vlagym.envs.types import CameraSpec

Array = NDArray[np.float64]


class Projection(NamedTuple):
    """Points as a camera sees them."""

    image_xy: Array
    """(…, 2) from (0, 0), the top left corner of the cropped image, to (1, 1), the bottom right one."""
    depth_m: Array
    """(…,) along the viewing axis; negative behind the camera."""

    @property
    def is_inside(self) -> NDArray[np.bool_]:
        """(…,) whether the point falls into the image. Something may still stand before it."""
        inside: NDArray[np.bool_] = (self.depth_m > 0) & np.all((self.image_xy >= 0) & (self.image_xy <= 1), axis=-1)
        return inside


def project(points_world_m: NDArray[Any], camera: CameraSpec, crop: int | None = None) -> Projection:
    """Projects points into the image of a camera that stands in the world.

    Args:
      points_world_m: (…, 3)
      camera: Pinhole; its frame looks along -z, x to the right of the image, y up.
      crop: Side of the centred square of the image that is kept, in pixels; None: the whole image.

    Raises:
      BadData: If the camera rides on a robot link: where it is then depends on the posture.
    """
    if camera.parent != "world":
        raise BadData(f"camera {camera.name!r} rides on {camera.parent!r}; points are projected only into a camera whose parent is 'world'")
    T_world_cam = rotation_matrix(np.asarray(camera.quat_parent_wxyz))
    cam = (np.asarray(points_world_m, np.float64) - np.asarray(camera.pos_parent)) @ T_world_cam
    depth = -cam[..., 2]
    focal_px = camera.height / 2 / math.tan(math.radians(camera.fovy_deg) / 2)
    safe = np.where(np.abs(depth) < 1e-9, 1e-9, depth)
    x_px = camera.width / 2 + focal_px * cam[..., 0] / safe
    y_px = camera.height / 2 - focal_px * cam[..., 1] / safe
    width, height = (camera.width, camera.height) if crop is None else (crop, crop)
    image_xy = np.stack([(x_px - (camera.width - width) / 2) / width, (y_px - (camera.height - height) / 2) / height], axis=-1)
    return Projection(image_xy, depth)


def rotation_matrix(quat_wxyz: NDArray[Any]) -> Array:
    """Returns the rotation matrices (…, 3, 3) of unit quaternions (…, 4), w first."""
    q = np.asarray(quat_wxyz, np.float64)
    w, x, y, z = np.moveaxis(q / np.linalg.norm(q, axis=-1, keepdims=True), -1, 0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def rotation_between(from_wxyz: NDArray[Any], to_wxyz: NDArray[Any]) -> Array:
    """Returns the axis-angle vectors (…, 3), in rad and in the common parent frame, that turn one orientation into the other."""
    a, b = np.asarray(from_wxyz, np.float64), np.asarray(to_wxyz, np.float64)
    w = np.sum(a * b, axis=-1)
    # b * conjugate(a): the scalar part is their inner product.
    vector = a[..., :1] * b[..., 1:] - b[..., :1] * a[..., 1:] + np.cross(a[..., 1:], b[..., 1:])
    vector = np.where(w[..., None] < 0, -vector, vector)
    norm = np.linalg.norm(vector, axis=-1, keepdims=True)
    angle = 2 * np.arctan2(norm, np.abs(w)[..., None])
    return np.where(norm < 1e-9, 2.0 * vector, vector / np.maximum(norm, 1e-12) * angle)
