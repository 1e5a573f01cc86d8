"""The cameras stand elsewhere, look a little beside, and see more or less of the scene."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np

from vlagym.benchmark.axis import Axis
from vlagym.envs.frames import from_axis_angle, look_at, multiply, rotate
from vlagym.envs.types import CameraSpec, EpisodeSpec

_TARGET_M = 0.06
"""Height above the table of what a camera in the room looks at."""
_FAR_M = 1.0
"""Distance of what a camera looks at that does not look down on the table."""


class _Reach(NamedTuple):
    """How far a level goes at most; at least half as far."""

    shift_m: float
    """Of a camera in the room."""
    turn_deg: float
    """Of a camera in the room: about the point that it looks at, and a third of it about its own viewing axis."""
    fovy_share: float
    mount_m: float
    """Shift of a camera on the robot."""
    mount_deg: float


_LEVELS = {
    1: _Reach(0.01, 1.0, 0.02, 0.0, 0.0),
    2: _Reach(0.03, 3.0, 0.05, 0.0, 0.0),
    3: _Reach(0.06, 6.0, 0.10, 0.003, 1.0),
    4: _Reach(0.09, 10.0, 0.15, 0.006, 2.5),
    5: _Reach(0.12, 15.0, 0.20, 0.010, 4.0),
}


def _camera(spec: EpisodeSpec, level: int, rng: np.random.Generator) -> EpisodeSpec:
    reach = _LEVELS[level]
    cameras = tuple(_moved(c, reach, rng) if c.parent == "world" else _remounted(c, reach, rng) for c in spec.scene.cameras)
    return dataclasses.replace(spec, scene=dataclasses.replace(spec.scene, cameras=cameras))


def _moved(camera: CameraSpec, reach: _Reach, rng: np.random.Generator) -> CameraSpec:
    """Returns a camera of the room that stands elsewhere and looks at the same point, with its horizon askew."""
    eye, quat = np.array(camera.pos_parent), np.array(camera.quat_parent_wxyz)
    forward = rotate(quat, np.array([0.0, 0.0, -1.0]))
    far = (eye[2] - _TARGET_M) / -forward[2] if forward[2] < -0.1 else _FAR_M
    target = eye + far * forward
    # About an axis across the line of sight: around, or over what is looked at, or between the two.
    side, up = rotate(quat, np.array([1.0, 0.0, 0.0])), rotate(quat, np.array([0.0, 1.0, 0.0]))
    angle = rng.uniform(-np.pi, np.pi)
    axis = np.cos(angle) * up + np.sin(angle) * side
    about = from_axis_angle(axis * np.radians(_up_to(reach.turn_deg, rng)))
    moved = target + rotate(about, eye - target) + _up_to(reach.shift_m, rng) * _any_direction(rng)
    roll = np.radians(_up_to(reach.turn_deg / 3, rng)) * _sign(rng)
    tilted = multiply(look_at(moved.tolist(), target.tolist()), from_axis_angle(np.array([0.0, 0.0, roll])))
    return _at(camera, moved, tilted, reach, rng)


def _remounted(camera: CameraSpec, reach: _Reach, rng: np.random.Generator) -> CameraSpec:
    """Returns a camera of the robot that sits a little askew on its mount; at low levels it is fixed well, and its lens stays."""
    if reach.mount_m == 0.0:
        return camera
    pos = np.array(camera.pos_parent) + _up_to(reach.mount_m, rng) * _any_direction(rng)
    turn = from_axis_angle(_any_direction(rng) * np.radians(_up_to(reach.mount_deg, rng)))
    return _at(camera, pos, multiply(np.array(camera.quat_parent_wxyz), turn), reach, rng)


def _at(camera: CameraSpec, pos: np.ndarray, quat: np.ndarray, reach: _Reach, rng: np.random.Generator) -> CameraSpec:
    fovy_deg = camera.fovy_deg * (1.0 + _sign(rng) * _up_to(reach.fovy_share, rng))
    x, y, z = (round(float(v), 5) for v in pos)
    w, i, j, k = (round(float(v), 8) for v in quat)
    return dataclasses.replace(camera, pos_parent=(x, y, z), quat_parent_wxyz=(w, i, j, k), fovy_deg=round(fovy_deg, 3))


def _up_to(most: float, rng: np.random.Generator) -> float:
    return float(most * rng.uniform(0.5, 1.0))


def _sign(rng: np.random.Generator) -> float:
    return 1.0 if rng.random() < 0.5 else -1.0


def _any_direction(rng: np.random.Generator) -> np.ndarray:
    """Returns a unit vector `(3,)`, all directions alike."""
    vector = rng.normal(size=3)
    return vector / np.linalg.norm(vector)


def _told(reach: _Reach) -> str:
    mount = f"; cameras on the robot up to {1e3 * reach.mount_m:g} mm and {reach.mount_deg:g} degrees askew" if reach.mount_m else ""
    return (
        f"cameras of the room up to {100 * reach.shift_m:g} cm and {reach.turn_deg:g} degrees around what they look at, "
        f"{reach.fovy_share:.0%} wider or narrower{mount}"
    )


AXIS = Axis(group="camera", changes=("scene",), apply=_camera, tells=tuple(map(_told, _LEVELS.values())))
