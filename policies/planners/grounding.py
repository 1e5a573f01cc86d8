"""What lies under a pixel: a ray through it, cast into the true state of the scene. Privileged, for a camera alone does not know what it sees."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from vlagym.envs import catalog
from vlagym.envs.errors import BadSpec, VlagymError, unknown_name
from vlagym.envs.frames import Array
from vlagym.envs.robot import Robot, look_of
from vlagym.envs.types import EpisodeSpec, Observation

_AROUND = ((0, -1), (1, 0), (0, 1), (-1, 0), (1, -1), (1, 1), (-1, 1), (-1, -1))
_RING_PX = 2
_SEEN_GROUPS = (1, 1, 1, 0, 0, 0)
"""Groups of geoms that a renderer of MuJoCo draws unless it is told otherwise."""


class NothingThere(VlagymError):
    """No thing lies under a pixel. The message is for the planner, and names nothing that it could not see."""


@dataclass(frozen=True, kw_only=True)
class Spot:
    """What lies under a pixel."""

    kind: str
    """thing: a prop or a fixture. table, robot, nothing."""
    name: str | None
    """Of the thing."""
    joint: str | None
    """"fixture/joint" of the part that was hit, if it moves."""
    point: tuple[float, float, float] | None
    """Where the ray ends, world frame, m."""


class Grounding:
    """The scene of one episode, for rays. Nothing is rendered: it needs no GL."""

    def __init__(self, spec: EpisodeSpec, *, snap_px: int = 6) -> None:
        """Builds the scene as it is seen, look and all.

        Args:
          spec: The episode.
          snap_px: A pixel so near to a thing counts as on it.
        """
        import mujoco

        from vlagym.envs.scene import build

        robot: Robot = catalog.load("robot", spec.robot)
        self._spec, self._snap_px = spec, snap_px
        self._scene = build(spec, robot, look_of("auto", robot))
        self._data: Any = mujoco.MjData(self._scene.model)
        self._joint_of = self._moving_parts()

    def at(self, camera: str, x: float, y: float, seen: Observation, width: int, height: int) -> Spot:
        """Returns the thing under a pixel, or within a few pixels of it; else what there is.

        Args:
          camera: Of the scene.
          x: Pixels from the left edge of the image that was shown.
          y: Pixels from its top.
          seen: The privileged observation of that moment.
          width: Of the image, as it was shown.
          height: Of it.

        Raises:
          NothingThere: If the pixel is not within the image.
        """
        if not (0 <= x < width and 0 <= y < height):
            raise NothingThere(f"({x:g}, {y:g}) is not within the image, which is {width} pixels wide and {height} high")
        self._pose(seen)
        first = self._cast(camera, x, y, width, height)
        if first.kind in ("thing", "robot"):
            return first
        for u, v in self._ring():
            if 0 <= x + u < width and 0 <= y + v < height:
                near = self._cast(camera, x + u, y + v, width, height)
                if near.kind == "thing":
                    return near
        return first

    def pixel_of(self, camera: str, point: Array, seen: Observation, width: int, height: int) -> tuple[float, float]:
        """Returns where a point (3,) of the world, m, is in an image; for tests and pictures."""
        self._pose(seen)
        pos, axes, focal = self._camera(camera, height)
        right, up, back = axes.T @ (np.asarray(point) - pos)
        return width / 2 + focal * right / -back - 0.5, height / 2 - focal * up / -back - 0.5

    def _ring(self) -> Iterator[tuple[int, int]]:
        for radius in range(_RING_PX, self._snap_px + 1, _RING_PX):
            yield from ((radius * u, radius * v) for u, v in _AROUND)

    def _pose(self, seen: Observation) -> None:
        import mujoco

        truth = seen.privileged
        if truth is None:
            raise BadSpec("pixels are looked up in the true state of the scene; the observation holds none")
        scene, qpos = self._scene, self._data.qpos
        for prop, at in zip(self._spec.scene.props, scene.prop_qpos, strict=True):
            here = truth.props[prop.name]
            qpos[at : at + 7] = (*here.pos_world, *here.quat_world_wxyz)
        for name, at in zip(scene.fixture_joint_names, scene.fixture_joint_qpos, strict=True):
            qpos[at] = truth.fixture_joints[name]
        qpos[scene.joint_qpos] = seen.proprio["joint_pos_rad"]
        mujoco.mj_kinematics(scene.model, self._data)
        mujoco.mj_camlight(scene.model, self._data)

    def _camera(self, camera: str, height: int) -> tuple[Array, Array, float]:
        """Returns the position, the axes as columns (right, up, back), and the focal length in pixels."""
        if camera not in self._scene.cameras:
            raise unknown_name("camera", camera, self._scene.cameras)
        ident = self._scene.model.camera(camera).id
        axes: Array = self._data.cam_xmat[ident].reshape(3, 3)
        fovy = math.radians(float(self._scene.model.cam_fovy[ident]))
        return self._data.cam_xpos[ident], axes, height / 2 / math.tan(fovy / 2)

    def _cast(self, camera: str, x: float, y: float, width: int, height: int) -> Spot:
        import mujoco

        pos, axes, focal = self._camera(camera, height)
        # An image that was brought to another shape was stretched: its pixels are as wide as the camera's own image makes them.
        own = self._scene.cameras[camera]
        aspect = (own.width / own.height) / (width / height)
        way = axes @ np.array([(x + 0.5 - width / 2) * aspect / focal, -(y + 0.5 - height / 2) / focal, -1.0])
        way /= np.linalg.norm(way)
        hit = np.array([-1], np.int32)
        groups = np.array(_SEEN_GROUPS, np.uint8)
        distance = mujoco.mj_ray(self._scene.model, self._data, pos, way, groups, 1, -1, hit)
        if distance < 0:
            return Spot(kind="nothing", name=None, joint=None, point=None)
        px, py, pz = (pos + distance * way).tolist()
        scene, geom = self._scene, int(hit[0])
        party = int(scene.geom_party[geom])
        if party < scene.num_robot:
            return Spot(kind="robot", name=None, joint=None, point=(px, py, pz))
        if party < scene.num_robot + scene.num_arena:
            kind = "table" if scene.parties[party] == "table" else "nothing"
            return Spot(kind=kind, name=None, joint=None, point=(px, py, pz))
        joint = self._joint_of.get(int(scene.model.geom_bodyid[geom]))
        return Spot(kind="thing", name=scene.parties[party], joint=joint, point=(px, py, pz))

    def _moving_parts(self) -> dict[int, str]:
        """Returns body -> "fixture/joint" of the parts of furniture that move."""
        model, scene = self._scene.model, self._scene
        address = dict(zip(scene.fixture_joint_qpos.tolist(), scene.fixture_joint_names, strict=True))
        return {int(model.jnt_bodyid[j]): address[at] for j, at in enumerate(model.jnt_qposadr.tolist()) if at in address}
