"""A robot reduced to the joints that its hands are moved with: links between them are welded, shapes are kept to measure distances."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.frames import Pose
from vlagym.envs.robot import Robot

Array = NDArray[np.float64]

MOVING = ("waist", "arm")
"""Kinds of joint groups that whole-body inverse kinematics moves."""
_KNEE, _FOOT = 3, -2  # joints of a leg: the first that moves the shank, and the first that moves the foot
_SAME_ARM = 2  # joints from the shoulder on before the part of an arm that can come near the body or the other arm: the upper arm begins it


class Skeleton(NamedTuple):
    """A model whose world frame is the frame of the robot's base body."""

    model: Any
    """`mujoco.MjModel` with one hinge for each of `joints`, in an order of its own; each hand has its site."""
    joints: tuple[str, ...]
    """Names in the order of the model's qpos."""
    geom_pairs: tuple[tuple[int, int], ...]
    """Shapes that must keep apart: arms from the upper arm on and hands against the rest of the body and against each other."""


def moving_joints(robot: Robot) -> tuple[str, ...]:
    """Returns the joints of waist and arms, in the order of `Robot.joints`."""
    moving = {joint for group in robot.groups if group.kind in MOVING for joint in group.joints}
    return tuple(joint for joint in robot.joints if joint in moving)


@functools.lru_cache(maxsize=8)
def skeleton(robot: Robot, has_legs: bool = False) -> Skeleton:
    """Returns the skeleton of a robot, built once a process.

    Args:
      robot: The robot.
      has_legs: Whether the joints of its legs are there too, so that hands keep off knees that bend. Without, legs stand as in the home posture,
        as neck and fingers always do, hands open.
    """
    import mujoco

    full_spec = mujoco.MjSpec()
    full_spec.compiler.degree = False
    robot.add(full_spec, None)
    full = full_spec.compile()
    data = mujoco.MjData(full)
    for joint, value in zip(robot.joints, robot.home_qpos, strict=True):
        data.qpos[full.joint(joint).qposadr[0]] = value
    for hand in robot.end_effectors:
        for joint, value in zip(hand.finger_joints, hand.open_posture or (hand.open_ctrl,) * len(hand.finger_joints), strict=False):
            data.qpos[full.joint(joint).qposadr[0]] = value
    mujoco.mj_kinematics(full, data)

    legs = {joint for group in robot.groups if group.kind == "leg" for joint in group.joints} if has_legs else set()
    moving = {*moving_joints(robot), *legs}
    base = _body_pose(data, full.body(robot.base_body).id).inverse()
    spec = mujoco.MjSpec()
    spec.compiler.degree = False
    bodies = [spec.worldbody]
    for index in range(1, full.nbody):
        parent = int(full.body_parentid[index])
        here = _body_pose(data, index)
        own = [j for j in _joints_of(full, index) if full.joint(j).name in moving]
        parent_pose = base.inverse() if parent == 0 else _body_pose(data, parent)
        local = parent_pose.inverse() @ here
        for j in reversed(own):  # the present angles are taken back out of the welded pose, the last joint first
            local = local @ _joint_turn(full, j, -float(data.qpos[full.jnt_qposadr[j]]))
        body = bodies[parent].add_body(name=full.body(index).name, pos=local.pos, quat=local.quat)
        bodies.append(body)
        body.mass, body.explicitinertial = max(float(full.body_mass[index]), 1e-4), True
        body.ipos, body.iquat, body.inertia = full.body_ipos[index], full.body_iquat[index], np.maximum(full.body_inertia[index], 1e-8)
        for j in own:
            body.add_joint(name=full.joint(j).name, type=mujoco.mjtJoint.mjJNT_HINGE, pos=full.jnt_pos[j], axis=full.jnt_axis[j])
    for hand in robot.end_effectors:
        site = full.site(hand.site)
        bodies[int(full.site_bodyid[site.id])].add_site(name=hand.site, pos=site.pos, quat=site.quat)
    parts = _parts(full, robot, has_legs)
    _add_shapes(spec, full, bodies, parts)
    model = spec.compile()
    joints = tuple(model.joint(i).name for i in range(model.njnt))
    return Skeleton(model, joints, _pairs(model, full, robot, parts))


def _body_pose(data: Any, index: int) -> Pose:
    return Pose(data.xpos[index].copy(), data.xquat[index].copy())


def _joints_of(model: Any, body: int) -> range:
    first, count = int(model.body_jntadr[body]), int(model.body_jntnum[body])
    return range(first, first + count)


def _joint_turn(model: Any, joint: int, angle: float) -> Pose:
    """Returns the motion of a hinge by an angle, in the frame of its body."""
    from vlagym.envs.frames import from_axis_angle, rotate

    quat = from_axis_angle(model.jnt_axis[joint] * angle)
    anchor = np.array(model.jnt_pos[joint])
    return Pose(anchor - rotate(quat, anchor), quat)


def _add_shapes(spec: Any, full: Any, bodies: Sequence[Any], parts: Mapping[str, set[int]]) -> None:
    """Adds the shapes that matter for `_pairs`, named by their number in the full model; meshes as the boxes around them."""
    import mujoco

    kept = set().union(*parts.values())
    for g in range(full.ngeom):
        if int(full.geom_bodyid[g]) not in kept or not (full.geom_contype[g] or full.geom_conaffinity[g]):
            continue
        kind, size = mujoco.mjtGeom(int(full.geom_type[g])), full.geom_size[g]
        pos, quat = full.geom_pos[g], full.geom_quat[g]
        if kind == mujoco.mjtGeom.mjGEOM_MESH:
            centre, half = full.geom_aabb[g, :3], full.geom_aabb[g, 3:]
            kind, size, pos = mujoco.mjtGeom.mjGEOM_BOX, half, Pose(pos, quat).apply(centre)
        bodies[int(full.geom_bodyid[g])].add_geom(name=f"shape{g}", type=kind, size=size, pos=pos, quat=quat, mass=0)


def _parts(full: Any, robot: Robot, has_legs: bool) -> dict[str, set[int]]:
    """Returns the bodies of the full model by what they are: for each side arm and hand, and the rest of the body without the arms."""
    parts: dict[str, set[int]] = {}
    arms: set[int] = set()
    for hand in robot.end_effectors:
        arms |= _below(full, int(full.joint(hand.arm_joints[0]).bodyid[0]))
        first_joint = hand.arm_joints[min(_SAME_ARM, len(hand.arm_joints) - 1)]
        parts[hand.side] = _below(full, int(full.joint(first_joint).bodyid[0]))
    far = set()
    for group in robot.groups:
        if group.kind == "leg":  # on legs that stand nothing below the knee is within reach of a hand, and no foot ever is
            first = _FOOT if has_legs else min(_KNEE, len(group.joints) - 1)
            far |= _below(full, int(full.joint(group.joints[first]).bodyid[0]))
    parts["body"] = set(range(1, full.nbody)) - arms - far
    return parts


def _below(model: Any, body: int) -> set[int]:
    found = {body}
    for index in range(body + 1, model.nbody):
        if int(model.body_parentid[index]) in found:
            found.add(index)
    return found


def _pairs(model: Any, full: Any, robot: Robot, parts: Mapping[str, set[int]]) -> tuple[tuple[int, int], ...]:
    import mujoco

    names = list(parts)
    excluded = {(int(s) >> 16, int(s) & 0xFFFF) for s in full.exclude_signature}
    shape = {int(model.geom(i).name.removeprefix("shape")): i for i in range(model.ngeom)}
    data = mujoco.MjData(model)
    home = dict(zip(robot.joints, robot.home_qpos, strict=True))
    data.qpos[:] = [home[model.joint(i).name] for i in range(model.njnt)]
    mujoco.mj_kinematics(model, data)
    pairs = []
    for i, one in enumerate(names):
        for other in names[i + 1 :]:
            for a in (g for g in shape if int(full.geom_bodyid[g]) in parts[one]):
                for b in (g for g in shape if int(full.geom_bodyid[g]) in parts[other]):
                    bodies = (int(full.geom_bodyid[a]), int(full.geom_bodyid[b]))
                    if bodies in excluded or bodies[::-1] in excluded or bodies[0] == bodies[1]:
                        continue
                    touches = (full.geom_contype[a] & full.geom_conaffinity[b]) or (full.geom_contype[b] & full.geom_conaffinity[a])
                    # Shapes that overlap in the home posture are drawn too large; to keep them apart would freeze the arm.
                    if touches and mujoco.mj_geomDistance(model, data, shape[a], shape[b], 0.01, None) > 0.0:
                        pairs.append((shape[a], shape[b]))
    return tuple(pairs)
