"""A demonstration seen in a mirror that stands along the robot's xz plane is another demonstration, wherever robot and cameras are symmetric.

Left becomes right: images are flipped, y and the rotations about x and z change their signs. It doubles what can be learned from a set of
demonstrations and costs nothing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.types import CameraSpec, EpisodeSpec
from vlagym.policies.models.minivla import words
from vlagym.policies.models.minivla.config import MiniVlaConfig
from vlagym.policies.models.minivla.geometry import rotation_matrix

_VECTOR, _ROTATION = (1, -1, 1), (-1, 1, -1)

PROPRIO_SIGNS = np.array([*_VECTOR, *_VECTOR, *_ROTATION, *_VECTOR, *_ROTATION, 1, 1], np.float32)
"""For `proprio.NAMES`. The hand's y axis turns round besides, for it is the hand's own left and right."""
MOTION_SIGNS = np.array([*_VECTOR, *_ROTATION], np.float32)
"""For a translation and a rotation vector in the base frame."""
POSITION_SIGNS = np.array(_VECTOR, np.float32)

SYMMETRIC_HANDS = {"panda": "hand"}
"""Robot -> link whose xz plane parts its hand into equal halves."""
SIDE_WORDS = frozenset({"left", "right", "leftmost", "rightmost", "clockwise", "anticlockwise", "counterclockwise"})
"""Words whose meaning a mirror turns round."""

_TOLERANCE = 1e-4


def is_symmetric(spec: EpisodeSpec, sentences: list[str], base_y_world_m: float, config: MiniVlaConfig) -> bool:
    """Returns whether the mirror image of an episode is one that could have happened, asked for in the same words.

    Props and furniture need no symmetry: they are where they are seen.

    Args:
      spec: Its robot, action and cameras are looked at.
      sentences: All with which the episode will be shown.
      base_y_world_m: Where the mirror stands.
      config: Says which cameras are used.
    """
    link = SYMMETRIC_HANDS.get(spec.robot)
    components = [(c.convention, c.frame) for c in spec.control.components[:-1]]
    if link is None or components != [("delta_position", "base"), ("delta_axis_angle", "base")]:
        return False
    if any(SIDE_WORDS.intersection(words.split(sentence)) for sentence in sentences):
        return False
    planes = {"world": base_y_world_m, link: 0.0}
    used = [c for c in spec.scene.cameras if c.name in (config.front.camera, config.wrist.camera)]
    return len(used) == 2 and all(c.parent in planes and _looks_along(c, planes[c.parent]) for c in used)


def flip(images: NDArray[np.uint8], rows: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Returns images (B, H, W, 3) with left and right exchanged in some rows."""
    out = np.array(images)
    out[rows] = images[rows, :, ::-1]
    return out


def _looks_along(camera: CameraSpec, plane_y_m: float) -> bool:
    """Returns whether the camera lies in the plane y = plane_y_m of its parent, and the plane parts its image into left and right."""
    x_axis = rotation_matrix(np.array(camera.quat_parent_wxyz))[:, 0]
    return bool(abs(camera.pos_parent[1] - plane_y_m) < _TOLERANCE and abs(abs(x_axis[1]) - 1) < _TOLERANCE)
