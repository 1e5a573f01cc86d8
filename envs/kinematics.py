"""Forward and inverse kinematics of a robot alone, on a model of its own: nothing here touches the running simulation."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.frames import Pose, conjugate, multiply, to_axis_angle
from vlagym.envs.robot import EndEffector, Robot

Array = NDArray[np.float64]
_DAMPING = 0.03  # of damped least squares: at 0.03 the elbow stays calm near stretched postures; measured tracking error below 0.2 mm elsewhere
_POSTURE_GAIN = 0.03  # of the pull towards the home posture in the null space, per iteration; an arm of six joints has no such space
_STRIDE_RAD = 0.25  # per iteration, without a null space: longer strides from home end in a singular posture for 4 % of the working area


class Kinematics:
    """Kinematics of one end effector. Poses are in the base frame of the robot."""

    def __init__(self, robot: Robot, end_effector: EndEffector) -> None:
        import mujoco

        self._mj = mujoco
        self._model = _robot_model(robot.name)
        self._data = mujoco.MjData(self._model)
        self._site = self._model.site(end_effector.site).id
        joints = [self._model.joint(name) for name in end_effector.arm_joints]
        self._qpos = np.array([int(j.qposadr[0]) for j in joints])
        self._dof = np.array([int(j.dofadr[0]) for j in joints])
        self._chain = np.array([int(j.id) for j in joints])
        order = [robot.joints.index(name) for name in end_effector.arm_joints]
        self.low = np.array([robot.joint_low_rad[i] for i in order]) + 0.01
        self.high = np.array([robot.joint_high_rad[i] for i in order]) - 0.01
        self.home = np.array([robot.home_qpos[i] for i in order])
        self.is_redundant = len(joints) > 6
        """Whether it can move while its hand stays where it is."""
        self._posture_gain = _POSTURE_GAIN if self.is_redundant else 0.0
        self._jac = np.zeros((6, self._model.nv))
        self._quat = np.zeros(4)

    def forward(self, q: Array) -> Pose:
        """Returns the pose of the pinch point for joint positions `(n,)` in rad."""
        data, mj = self._data, self._mj
        data.qpos[self._qpos] = q
        mj.mj_kinematics(self._model, data)
        mj.mju_mat2Quat(self._quat, data.site_xmat[self._site])
        return Pose(data.site_xpos[self._site].copy(), self._quat.copy())

    def skeleton(self, q: Array) -> Array:
        """Returns points (m, 3) along the arm, from joint to joint and on to the pinch point, for joint positions `(n,)` in rad; m, base frame."""
        tip = self.forward(q).pos
        corners = np.concatenate([self._data.xanchor[self._chain], tip[None]])
        return np.concatenate([corners[:1], *(np.linspace(a, b, 5)[1:] for a, b in zip(corners[:-1], corners[1:], strict=True))])

    def step(self, q: Array, target: Pose, iterations: int = 2) -> Array:
        """Returns joint positions nearer to a target pose, by damped least squares; within the joint limits."""
        mj, model, data = self._mj, self._model, self._data
        for _ in range(iterations):
            here = self.forward(q)
            mj.mj_comPos(model, data)
            mj.mj_jacSite(model, data, self._jac[:3], self._jac[3:], self._site)
            jac = self._jac[:, self._dof]
            error = np.concatenate([target.pos - here.pos, to_axis_angle(multiply(target.quat, conjugate(here.quat)))])
            posture = self._posture_gain * (self.home - q)
            gram = jac @ jac.T
            gram.flat[::7] += _DAMPING * _DAMPING
            change = jac.T @ np.linalg.solve(gram, error - jac @ posture)
            if not self.is_redundant:
                change *= min(1.0, _STRIDE_RAD / max(float(np.abs(change).max()), 1e-9))
            q = q + posture + change
            q = np.minimum(np.maximum(q, self.low), self.high)
        return q

    def solve(self, target: Pose, start: Array | None = None, *, iterations: int = 60) -> tuple[Array, float, float]:
        """Solves for a pose from a start posture (home where None).

        Returns:
          Joint positions `(n,)`, the remaining position error in m and rotation error in rad.
        """
        q = np.array(self.home if start is None else start, np.float64)
        for _ in range(iterations // 4):
            q = self.step(q, target, 4)
            here = self.forward(q)
            position = float(np.linalg.norm(target.pos - here.pos))
            rotation = float(np.linalg.norm(to_axis_angle(multiply(target.quat, conjugate(here.quat)))))
            if position < 5e-4 and rotation < 2e-3:
                break
        return q, position, rotation

    def reaches(self, target: Pose, start: Array | None = None) -> bool:
        """Returns whether the pose is reached within 5 mm and 0.05 rad."""
        _, position, rotation = self.solve(target, start)
        return position < 5e-3 and rotation < 0.05


@functools.cache
def _robot_model(name: str) -> Any:
    import mujoco

    from vlagym.envs import catalog

    spec = mujoco.MjSpec()
    spec.compiler.degree = False
    robot: Robot = catalog.load("robot", name)
    robot.add(spec, None)
    for geom in list(spec.geoms):
        spec.delete(geom)
    for mesh in list(spec.meshes):
        spec.delete(mesh)
    return spec.compile()


@functools.cache
def kinematics(robot_name: str, end_effector: int = 0) -> Kinematics:
    """Returns the kinematics of a robot's end effector, built once a process. Not to be shared between threads."""
    from vlagym.envs import catalog

    robot: Robot = catalog.load("robot", robot_name)
    return Kinematics(robot, robot.end_effectors[end_effector])
