"""What the links of an arm do in a posture: how low they hang, whether they meet. A tilted hand must know before it goes down to the table."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vlagym.envs import catalog
from vlagym.envs.robot import Robot

Array = NDArray[np.float64]
_FIRST_JOINT = 3
"""Links from the fourth joint on can come near the table where the hand works."""


class _Hulls(NamedTuple):
    model: Any
    data: Any
    qpos: NDArray[np.int32]
    geoms: tuple[tuple[int, Array], ...]
    """Geom ids, and the corners (n, 3) of each in its own frame."""


def lowest_m(robot_name: str, q: Array) -> float:
    """Returns the height above the base of the lowest point of the outer links, the fingers left out.

    Args:
      robot_name: Name of a robot.
      q: Positions of its arm joints, (n,) rad.
    """
    import mujoco

    hulls = _hulls(robot_name)
    hulls.data.qpos[hulls.qpos] = q
    mujoco.mj_kinematics(hulls.model, hulls.data)
    return min(float((corners @ hulls.data.geom_xmat[g].reshape(3, 3)[2]).min() + hulls.data.geom_xpos[g, 2]) for g, corners in hulls.geoms)


def touches_itself(robot_name: str, q: Array) -> bool:
    """Returns whether links of the arm that should be apart meet in a posture `(n,)` rad, its fingers open."""
    import mujoco

    hulls = _hulls(robot_name)
    hulls.data.qpos[hulls.qpos] = q
    mujoco.mj_kinematics(hulls.model, hulls.data)
    mujoco.mj_collision(hulls.model, hulls.data)
    return bool(hulls.data.ncon and float(hulls.data.contact.dist.min()) < 0.0)


@functools.cache
def _hulls(robot_name: str) -> _Hulls:
    import mujoco

    robot: Robot = catalog.load("robot", robot_name)
    spec = mujoco.MjSpec()
    spec.compiler.degree = False
    robot.add(spec, None)
    model = spec.compile()
    joints = [model.joint(name) for name in robot.joints]
    fingers = {model.joint(name).bodyid[0] for hand in robot.end_effectors for name in hand.finger_joints}
    first = int(joints[_FIRST_JOINT].bodyid[0])
    geoms = [(g, _corners(model, g)) for g in range(model.ngeom) if model.geom_bodyid[g] >= first and not _belongs(model, g, fingers)]
    data = mujoco.MjData(model)
    for hand in robot.end_effectors:
        for name in hand.finger_joints:
            data.qpos[model.joint(name).qposadr[0]] = hand.open_ctrl
    return _Hulls(model, data, np.array([int(j.qposadr[0]) for j in joints], np.int32), tuple(geoms))


def _belongs(model: Any, geom: int, bodies: set[Any]) -> bool:
    body = int(model.geom_bodyid[geom])
    while body and body not in bodies:
        body = int(model.body_parentid[body])
    return body != 0


def _corners(model: Any, geom: int) -> Array:
    """Returns points (n, 3) that span a geom, in its own frame: the vertices of a mesh, or the corners of the box around it."""
    mesh = int(model.geom_dataid[geom])
    if mesh >= 0:
        first, count = int(model.mesh_vertadr[mesh]), int(model.mesh_vertnum[mesh])
        return np.array(model.mesh_vert[first : first + count], np.float64)
    middle, half = model.geom_aabb[geom, :3], model.geom_aabb[geom, 3:]
    return np.array([middle + half * [i, j, k] for i in (-1, 1) for j in (-1, 1) for k in (-1, 1)])
