"""Two Franka Emika Pandas side by side on the table, with a camera on a mast between them."""

from __future__ import annotations

import dataclasses
from typing import Any

from vlagym.envs.frames import look_at
from vlagym.envs.robot import EndEffector, JointGroup, Robot, SingleArm, WorkArea
from vlagym.envs.robots import panda
from vlagym.envs.types import CameraSpec, Quat, Vec3

_ARM = panda.ROBOT
_HAND = _ARM.end_effectors[0]
_SIDES = (("left", 1.0), ("right", -1.0))

# How far each base stands from the middle. Nearer, and the elbows crowd each other; at 0.35 m what both hands reach in the middle shrinks by 10 cm.
_BASE_Y_M = 0.30

# The mast stands between the bases, behind the elbows, and sees the working area and both hands.
_MAST_X_M, _MAST_HEIGHT_M, _MAST_RADIUS_M = -0.10, 0.78, 0.018
_CAMERA_M: Vec3 = (0.06, 0.0, 0.80)
_CAMERA_TARGET_M: Vec3 = (0.46, 0.0, 0.0)
_DARK, _GREY = (0.16, 0.17, 0.18, 1.0), (0.55, 0.57, 0.60, 1.0)


def _add(spec: Any, look: str | None) -> None:
    base = spec.worldbody.add_body(name="base")
    _add_mast(base, look)
    for side, sign in _SIDES:
        panda.add_arm(spec, base, look, f"{side}_", (0.0, sign * _BASE_Y_M, 0.0))


def _add_mast(base: Any, look: str | None) -> None:
    import mujoco

    mast = base.add_body(name="mast", pos=(_MAST_X_M, 0.0, 0.0))
    reach = _CAMERA_M[0] - _MAST_X_M
    pole: dict[str, Any] = dict(type=mujoco.mjtGeom.mjGEOM_CAPSULE, size=(_MAST_RADIUS_M, 0, 0), mass=0)
    mast.add_geom(name="mast_pole", fromto=(0, 0, 0.0, 0, 0, _MAST_HEIGHT_M), group=3, **pole)
    mast.add_geom(name="mast_boom", fromto=(0, 0, _MAST_HEIGHT_M, reach - 0.03, 0, _MAST_HEIGHT_M), group=3, **pole)
    if look is None:
        return
    cylinder, box = mujoco.mjtGeom.mjGEOM_CYLINDER, mujoco.mjtGeom.mjGEOM_BOX
    tilt = look_at(_CAMERA_M, _CAMERA_TARGET_M)  # of the camera: the housing is a box around it, long side across
    for name, kind, size, pos, quat, rgba in (
        ("foot", cylinder, (0.060, 0.006, 0), (0, 0, 0.006), (1, 0, 0, 0), _DARK),
        ("pole", cylinder, (_MAST_RADIUS_M, _MAST_HEIGHT_M / 2, 0), (0, 0, _MAST_HEIGHT_M / 2), (1, 0, 0, 0), _GREY),
        ("boom", box, (reach / 2, 0.014, 0.014), (reach / 2 - 0.018, 0, _MAST_HEIGHT_M), (1, 0, 0, 0), _GREY),
        ("housing", box, (0.055, 0.018, 0.016), (reach - 0.012, 0, _MAST_HEIGHT_M + 0.014), tilt, _DARK),
    ):
        mast.add_geom(name=f"{look}_mast_{name}", type=kind, size=size, pos=pos, quat=quat, rgba=rgba, mass=0, contype=0, conaffinity=0, group=2)


# Both arms are turned outward from the Panda's home posture, and their hands back: neither stands in the way of what the other does in the middle.
_OUTWARD_RAD = 0.25


def _home(sign: float) -> tuple[float, ...]:
    first, *middle, last = _ARM.home_qpos
    return (first + sign * _OUTWARD_RAD, *middle, last + sign * _OUTWARD_RAD)


def _hand(side: str) -> EndEffector:
    def of(names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(f"{side}_{name}" for name in names)

    return dataclasses.replace(
        _HAND,
        name=f"{side}_hand",
        side="left" if side == "left" else "right",
        site=f"{side}_{_HAND.site}",
        body=f"{side}_{_HAND.body}",
        arm_joints=of(_HAND.arm_joints),
        finger_joints=of(_HAND.finger_joints),
        finger_sides=(of(_HAND.finger_sides[0]), of(_HAND.finger_sides[1])),
        finger_actuators=of(_HAND.finger_actuators),
        links=of(("hand", "left_finger", "right_finger")),
        opening_of_closure_m=((0.0, 0.08), (0.8, 0.0), (1.0, 0.0)),  # the last fifth of the command only presses
        point_axis=(0.0, 0.0, 1.0),  # along the closed fingers
        palm_axis=(1.0, 0.0, 0.0),  # the broad side of the hand
        single=SingleArm(robot=_ARM.name, base_pos_m=(0.0, dict(_SIDES)[side] * _BASE_Y_M, 0.0)),
    )


def _camera(name: str, parent: str, parent_at: Vec3, eye: Vec3, target: Vec3, fovy_deg: float) -> CameraSpec:
    w, x, y, z = (float(v) for v in look_at(eye, target).round(8))
    quat: Quat = (w, x, y, z)
    pos = (eye[0] - parent_at[0], eye[1] - parent_at[1], eye[2] - parent_at[2])
    return CameraSpec(name=name, parent=parent, pos_parent=pos, quat_parent_wxyz=quat, fovy_deg=fovy_deg)


def _named(names: tuple[str, ...]) -> tuple[str, ...]:
    """Returns the names of both arms, left before right."""
    return tuple(f"{side}_{name}" for side, _ in _SIDES for name in names)


_GROUPS = tuple(
    group
    for side, _ in _SIDES
    for group in (
        JointGroup(name=f"{side}_arm", joints=tuple(f"{side}_{j}" for j in _ARM.joints), kind="arm"),
        JointGroup(name=f"{side}_hand", joints=tuple(f"{side}_{j}" for j in _HAND.finger_joints), kind="hand"),
    )
)

ROBOT = Robot(
    name="panda_bimanual",
    summary="two Franka Emika Pandas side by side, 7 joints and two fingers each",
    base_body="base",
    joints=_named(_ARM.joints),
    joint_low_rad=_ARM.joint_low_rad * 2,
    joint_high_rad=_ARM.joint_high_rad * 2,
    joint_speed_max_rad_s=_ARM.joint_speed_max_rad_s * 2,
    actuators=_named(_ARM.actuators),
    end_effectors=(_hand("left"), _hand("right")),
    home_qpos=(*_home(1.0), *_home(-1.0)),
    bodies=("base", "mast", *_named(_ARM.bodies)),
    cameras=(
        _camera("head", "mast", (_MAST_X_M, 0.0, 0.0), _CAMERA_M, _CAMERA_TARGET_M, 80.0),
        *(dataclasses.replace(_ARM.cameras[0], name=f"{side}_wrist", parent=f"{side}_{_ARM.cameras[0].parent}") for side, _ in _SIDES),
    ),
    # Farther off than that of the arenas: it shows both arms.
    views=(_camera("front", "world", (0.0, 0.0, 0.0), (1.55, 0.0, 0.98), (0.36, 0.0, 0.16), 45.0),),
    base_pos_world=(0.0, 0.0, 0.0),
    add=_add,
    looks=_ARM.looks,
    resolve_look=_ARM.resolve_look,
    controls=("bimanual_ee_delta", "joint_position"),
    groups=_GROUPS,
    # Measured in steps of 5 cm: each hand, looking down, reaches 2, 12 and 25 cm above the table with its fingers turned by -1.2, 0 and 1.2 rad,
    # the other arm in its home posture and not touched.
    work=WorkArea(x_m=(0.30, 0.62), y_m=(-0.36, 0.36), left_y_m=(-0.15, 0.36), right_y_m=(-0.36, 0.15), middle_y_m=(-0.15, 0.15)),
)
