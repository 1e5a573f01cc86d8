"""What arms and hands take up: points on their collision shapes, in any posture, so that a way can be looked at before it is taken."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vlagym.envs import catalog
from vlagym.envs.frames import Array, Pose, from_matrix, to_matrix
from vlagym.envs.robot import Robot

_DIRECTIONS = np.array([d for d in itertools.product((-1.0, 0.0, 1.0), repeat=3) if any(d)])
_UNIT = _DIRECTIONS / np.linalg.norm(_DIRECTIONS, axis=1, keepdims=True)


class Taken(NamedTuple):
    """What the arm of a side takes up, in the base frame, m."""

    hand: Array
    """(n, 3) points on palm and fingers."""
    arm: Array
    """(m, 3) points on the rest, from the elbow on."""


class BodyShape:
    """The collision shapes of a robot alone, on a model of its own. Not to be shared between threads."""

    def __init__(self, robot: Robot) -> None:
        """Builds the model.

        Args:
          robot: With two hands.
        """
        import mujoco

        spec = mujoco.MjSpec()
        spec.compiler.degree = False
        robot.add(spec, None)
        model = spec.compile()
        self._mj, self._model, self._data = mujoco, model, mujoco.MjData(model)
        self._robot = robot
        self._base = int(model.body(robot.base_body).id)
        self._joints = np.array([int(model.joint(name).qposadr[0]) for name in robot.joints])
        self._fingers: dict[str, NDArray[np.intp]] = {
            h.side: np.array([int(model.joint(name).qposadr[0]) for name in h.finger_joints]) for h in robot.end_effectors
        }
        self._sites: dict[str, int] = {h.side: int(model.site(h.site).id) for h in robot.end_effectors}
        self._shoulders: dict[str, int] = {h.side: int(model.joint(h.arm_joints[min(2, len(h.arm_joints) - 1)]).id) for h in robot.end_effectors}
        self._hands: dict[str, list[tuple[int, Array]]] = {}
        self._arms: dict[str, list[tuple[int, Array]]] = {}
        self._all = _points(model, set(range(1, model.nbody)))
        for hand in robot.end_effectors:
            links = {int(model.body(link).id) for link in hand.all_links}
            elbow = hand.arm_joints[min(3, len(hand.arm_joints) - 1)]
            forearm = _below(model, int(model.joint(elbow).bodyid[0])) - links
            self._hands[hand.side] = _points(model, links)
            self._arms[hand.side] = _points(model, forearm)

    def taken(self, q: Array, closing: Mapping[str, float], side: str) -> Taken:
        """Returns what an arm takes up in a posture.

        Args:
          q: (n,) rad, in the order of `Robot.joints`.
          closing: Side -> -1 open to +1 closed.
          side: Of the arm.
        """
        from_world = self._pose(q, closing)
        return Taken(self._gather(self._hands[side], from_world), self._gather(self._arms[side], from_world))

    def whole(self, q: Array, closing: Mapping[str, float]) -> Array:
        """Returns points `(n, 3)` on all of the robot in a posture, in the base frame, m."""
        from_world = self._pose(q, closing)
        return self._gather(self._all, from_world)

    def shoulder(self, q: Array, side: str) -> Array:
        """Returns where the arm of a side begins to move, (3,) m in the base frame: its third joint, about which the upper arm turns.

        Args:
          q: (n,) rad, in the order of `Robot.joints`.
          side: Of the arm.
        """
        from_world = self._pose(q, {})
        return from_world.apply(self._data.xanchor[self._shoulders[side]])

    def axes(self, q: Array, joints: Sequence[str]) -> Array:
        """Returns the axes `(n, 3)` about which joints turn in a posture `(n,)` rad, unit vectors of the base frame."""
        turn = to_matrix(self._pose(q, {}).quat)
        axes: Array = self._data.xaxis[[int(self._model.joint(name).id) for name in joints]] @ turn.T
        return axes

    def head(self, q: Array) -> Array:
        """Returns where the camera in the head is, (3,) m in the base frame. `q` is (n,) rad, in the order of `Robot.joints`."""
        camera = next(camera for camera in self._robot.cameras if camera.name == "head")
        from_world = self._pose(q, {})
        data, body = self._data, int(self._model.body(camera.parent).id)
        return (from_world @ Pose(data.xpos[body].copy(), data.xquat[body].copy())).apply(camera.pos_parent)

    def hand(self, side: str, closing: float) -> Array:
        """Returns points `(n, 3)` on palm and fingers in the frame of the pinch point, m, for a hand that is open (-1) to closed (+1)."""
        self._pose(np.array(self._robot.home_qpos), {side: closing})
        data, site = self._data, self._sites[side]
        here = Pose(data.site_xpos[site].copy(), from_matrix(data.site_xmat[site].reshape(3, 3)))
        return self._gather(self._hands[side], here.inverse())

    def _pose(self, q: Array, closing: Mapping[str, float]) -> Pose:
        data = self._data
        data.qpos[self._joints] = q
        for side, value in closing.items():
            data.qpos[self._fingers[side]] = self._robot.hand(side).finger_ctrl((value + 1.0) / 2.0)[: len(self._fingers[side])]
        self._mj.mj_kinematics(self._model, data)
        return Pose(data.xpos[self._base].copy(), data.xquat[self._base].copy()).inverse()

    def _gather(self, parts: list[tuple[int, Array]], frame: Pose) -> Array:
        data = self._data
        world = [data.geom_xpos[geom] + points @ data.geom_xmat[geom].reshape(3, 3).T for geom, points in parts]
        stacked = np.concatenate(world) if world else np.zeros((0, 3))
        return moved(frame, stacked)


def moved(frame: Pose, points: Array) -> Array:
    """Returns points `(n, 3)` of a frame in the frame around it."""
    out: Array = points @ to_matrix(frame.quat).T + frame.pos
    return out


def _below(model: Any, body: int) -> set[int]:
    found = {body}
    for index in range(body + 1, model.nbody):
        if int(model.body_parentid[index]) in found:
            found.add(index)
    return found


def _points(model: Any, bodies: set[int]) -> list[tuple[int, Array]]:
    """Returns the shapes of some bodies that touch things, with 26 points on each, in the frame of the shape."""
    found = []
    for geom in range(model.ngeom):
        if int(model.geom_bodyid[geom]) in bodies and (model.geom_contype[geom] or model.geom_conaffinity[geom]):
            found.append((geom, _extremes(model, geom)))
    return found


def _extremes(model: Any, geom: int) -> NDArray[np.float64]:
    """Returns the outermost point `(26, 3)` of a shape along each of 26 directions; of a mesh, those of the box around it."""
    import mujoco

    kind, size = mujoco.mjtGeom(int(model.geom_type[geom])), model.geom_size[geom]
    if kind == mujoco.mjtGeom.mjGEOM_SPHERE:
        return np.asarray(_UNIT * size[0])
    if kind == mujoco.mjtGeom.mjGEOM_CAPSULE:
        return np.asarray(_UNIT * size[0] + np.sign(_DIRECTIONS) * [0.0, 0.0, 1.0] * size[1])
    if kind == mujoco.mjtGeom.mjGEOM_ELLIPSOID:
        scaled = _UNIT * size
        return np.asarray(scaled * size / np.linalg.norm(scaled, axis=1, keepdims=True))
    box = np.array(model.geom_aabb[geom])
    return np.asarray(box[:3] + _DIRECTIONS * box[3:])


@functools.cache
def body_shape(robot_name: str) -> BodyShape:
    """Returns the shape of a robot, built once a process.

    Raises:
      UnknownName: If there is no robot of that name.
    """
    robot: Robot = catalog.load("robot", robot_name)
    return BodyShape(robot)
