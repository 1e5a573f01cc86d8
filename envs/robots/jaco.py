"""Kinova Jaco with its three-finger hand: six joints, four of them without an end stop, a thumb opposite a pair of fingers.

Frames, masses and inertias are read from dm_control when the robot is added to a scene; gains, collision shapes and finger pads are ours.
"""

from __future__ import annotations

import functools
import math
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

from vlagym import assets
from vlagym.envs.errors import BadData, MissingPackage, unknown_name
from vlagym.envs.meshes import TriangleMesh, decimated, package_folder
from vlagym.envs.robot import EndEffector, GraspRoom, PushFace, Robot, position_actuator
from vlagym.envs.types import CameraSpec

# The base is let into the table, in front of the mount: from there the arm reaches all of the working area with the hand looking down and stays
# clear of its singular postures (smallest singular value of the site Jacobian at least 0.047 for x 0.32..0.66, y -0.25..0.25, z 0.01..0.25 m;
# on top of the table at the origin it is 0).
_MOUNT_TO_BASE_M = (0.12, 0.0, -0.10)
_FLANGE_M = (0.075, 0.003)  # radius and half height of the ring that closes the hole in the table

_TURN = 2 * math.pi  # what a joint without an end stop may be commanded: the real ones turn 27 times
# Limits and speeds: Kinova's user guide of the Jaco (joints 2 and 3 stop at 47..313 and 19..341 degrees; 36 and 48 degrees/s).
_RANGES_RAD = (
    (-_TURN, _TURN),
    (math.radians(47), math.radians(313)),
    (math.radians(19), math.radians(341)),
    (-_TURN, _TURN),
    (-_TURN, _TURN),
    (-_TURN, _TURN),
)
_STOPS = (False, True, True, False, False, False)
_SPEED_MAX_RAD_S = (*(math.radians(36),) * 3, *(math.radians(48),) * 3)
_ARM_JOINTS = tuple(f"joint_{i}" for i in range(1, 7))
_KP = (2000.0, 2000.0, 1500.0, 400.0, 400.0, 400.0)  # N m / rad, with kv = kp / 16
_TORQUE_MAX_NM = (30.5, 30.5, 30.5, 6.8, 6.8, 6.8)  # peak torques of Kinova's actuators KA-75+ and KA-58
_ARMATURE = (0.1, 0.1, 0.1, 0.02, 0.02, 0.02)

_FINGER_RANGE_RAD = (0.15, 1.35)
_FINGER_KP, _FINGER_KV = 30.0, 1.0  # N m / rad, N m s / rad
_FINGER_TORQUE_NM = {1: 1.8, 2: 0.9, 3: 0.9}  # the thumb holds against the pair; at 8 cm about 22 N, datasheet of the hand: 25 N
_FINGERS = (1, 2, 3)
_THUMB, _PAIR = ("b_finger_1", "b_finger_tip_1"), ("b_finger_2", "b_finger_tip_2", "b_finger_3", "b_finger_tip_3")
_OPEN_RAD, _CLOSED_RAD = 0.75, 1.45  # closed lies beyond the stop: it presses on thin things too
# Distance between the pads at the pinch point for a finger angle in rad; they are parallel at 1.11 rad and lean 16 degrees at most.
_OPENINGS_M = (
    (0.15, 0.178), (0.5, 0.130), (0.6, 0.1165), (0.7, 0.1015), (0.75, 0.094), (0.8, 0.0865), (0.9, 0.071), (1.0, 0.0555), (1.1, 0.040),
    (1.2, 0.0247), (1.3, 0.0097), (1.35, 0.0023),
)  # fmt: skip

_PINCH_M = (0.004, 0.0028, -0.192)  # in the hand's frame: between the pads, a little to the thumb's side of the middle of the pair
_HALF_TURN_Y = (0.0, 0.0, 1.0, 0.0)  # the hand's z points into the arm


class _Link(NamedTuple):
    """A body of the published model."""

    parent: str
    pos_parent: tuple[float, ...]
    quat_parent_wxyz: tuple[float, ...]
    mass_kg: float
    com_m: tuple[float, ...]
    inertia_quat_wxyz: tuple[float, ...]
    inertia_kg_m2: tuple[float, ...]


class _Capsule(NamedTuple):
    body: str
    begin_m: tuple[float, float, float]
    end_m: tuple[float, float, float]
    radius_m: float


# What the arm touches with: capsules within 4 mm of the published meshes.
_CAPSULES = (
    _Capsule("b_base", (0, 0, 0.04), (0, 0, 0.12), 0.041),
    _Capsule("b_1", (0, 0, -0.03), (0, 0, -0.10), 0.041),
    _Capsule("b_2", (0, 0, -0.021), (0, -0.41, -0.021), 0.037),
    _Capsule("b_3", (0, 0, -0.021), (0, 0.18, -0.012), 0.034),
    _Capsule("b_4", (0, 0, -0.03), (0, -0.013, -0.055), 0.031),
    _Capsule("b_5", (0, 0, -0.03), (0, -0.013, -0.055), 0.031),
    _Capsule("hand", (0, 0, -0.03), (0, 0, -0.06), 0.036),
)


def _add(spec: Any, look: str | None) -> None:
    import mujoco

    mount = spec.worldbody.add_body(name="mount")
    mount.mass, mount.inertia, mount.explicitinertial = 1.0, (0.01, 0.01, 0.01), True
    bodies = {"": mount}
    for name, link in _links().items():
        body = bodies[link.parent].add_body(name=name, pos=link.pos_parent, quat=link.quat_parent_wxyz, gravcomp=1.0)
        body.mass, body.ipos, body.iquat, body.inertia = link.mass_kg, link.com_m, link.inertia_quat_wxyz, link.inertia_kg_m2
        body.explicitinertial = True
        bodies[name] = body
    bodies["b_base"].pos = _MOUNT_TO_BASE_M
    for i, (name, (low, high), stops, armature) in enumerate(zip(_ARM_JOINTS, _RANGES_RAD, _STOPS, _ARMATURE, strict=True), 1):
        joint = bodies[f"b_{i}"].add_joint(name=name, type=mujoco.mjtJoint.mjJNT_HINGE, axis=(0, 0, 1))
        if stops:
            joint.range, joint.limited = (low, high), mujoco.mjtLimited.mjLIMITED_TRUE
        joint.armature, joint.damping = armature, [0.5, 0, 0]
    for part in _CAPSULES:
        bodies[part.body].add_geom(
            name=f"{part.body}_capsule", type=mujoco.mjtGeom.mjGEOM_CAPSULE, fromto=(*part.begin_m, *part.end_m), size=(part.radius_m, 0, 0),
            mass=0, group=3,
        )  # fmt: skip
    hand = bodies["hand"]
    cylinder = mujoco.mjtGeom.mjGEOM_CYLINDER
    hand.add_geom(name="palm", type=cylinder, fromto=(0, 0, -0.062, 0, 0, -0.112), size=(0.046, 0, 0), mass=0, group=3)
    hand.add_site(name="pinch", pos=_PINCH_M, quat=_HALF_TURN_Y, size=(0.004, 0.004, 0.004), group=5)
    for i in _FINGERS:
        _add_finger(spec, bodies, i)
    for name, kp, torque, ctrl in zip(_ARM_JOINTS, _KP, _TORQUE_MAX_NM, _RANGES_RAD, strict=True):
        position_actuator(spec, name, kp, kp / 16, torque, ctrl)
    for i in _FINGERS:
        position_actuator(spec, f"finger_{i}", _FINGER_KP, _FINGER_KV, _FINGER_TORQUE_NM[i], (_FINGER_RANGE_RAD[0], _CLOSED_RAD))
    for a, b in _NEVER_TOUCH:
        spec.add_exclude(name=f"{a}-{b}", bodyname1=a, bodyname2=b)
    if look is not None:
        _add_look(spec, bodies, look)


# Static neighbours, fingers of one hand (their stops keep them apart), and links two joints apart whose capsules overlap at the joint.
_NEVER_TOUCH = (
    ("b_base", "b_1"), ("b_3", "b_5"), ("b_4", "hand"), ("b_4", "b_6"),
    *((a, b) for a in _THUMB for b in _PAIR), *((a, b) for a in _PAIR[:2] for b in _PAIR[2:]),
)  # fmt: skip


def _add_finger(spec: Any, bodies: dict[str, Any], i: int) -> None:
    import mujoco

    knuckle, tip = bodies[f"b_finger_{i}"], bodies[f"b_finger_tip_{i}"]
    joint = knuckle.add_joint(name=f"finger_{i}", type=mujoco.mjtJoint.mjJNT_HINGE, axis=(0, 0, 1), range=_FINGER_RANGE_RAD)
    joint.limited = mujoco.mjtLimited.mjLIMITED_TRUE
    joint.armature, joint.damping = 0.01, [0.4, 0, 0]
    box = mujoco.mjtGeom.mjGEOM_BOX
    # The pad that grips; behind it the tip's knuckle, flush with the pad, and the finger above it. Lengths along x, inner side at y = 0.
    grip: dict[str, Any] = dict(condim=4, friction=(1.0, 0.02, 0.0001), solref=(0.004, 1.0), priority=1)
    tip.add_geom(name=f"pad_{i}", type=box, size=(0.0145, 0.0042, 0.0100), pos=(0.0285, -0.0042, 0), mass=0, group=3, **grip)
    tip.add_geom(name=f"tip_box_{i}", type=box, size=(0.0115, 0.0070, 0.0105), pos=(0.0025, -0.0072, 0), mass=0, group=3, **grip)
    knuckle.add_geom(name=f"finger_box_{i}", type=box, size=(0.0220, 0.0090, 0.0105), pos=(0.0200, -0.0105, 0), mass=0, group=3)
    if i > 1:  # one command closes the hand: the pair follows the thumb, so that things stay in the middle
        together = spec.add_equality(name=f"fingers_{i}", type=mujoco.mjtEq.mjEQ_JOINT, name1=f"finger_{i}", name2="finger_1")
        together.data[:5] = (0, 1, 0, 0, 0)
        together.solref, together.solimp = (0.005, 1), (0.95, 0.99, 0.001, 0.5, 2)


# --------------------------------------------------------------------------------------------------------------------- published
@functools.cache
def _source() -> dict[str, Any]:
    with assets.path("robots/jaco/source.toml").open("rb") as file:
        return tomllib.load(file)


def _folder() -> Path:
    """Returns where dm_control keeps the model."""
    model = _source()["model"]
    advice = "the jaco's model lies in dm_control's third_party/kinova: pip install dm_control"
    try:
        folder = package_folder(model["package"]) / str(model["folder"])
    except MissingPackage as missing:
        raise MissingPackage(f"dm_control is not installed, and {advice}") from missing
    for file in (model["arm"], model["hand"]):
        if not (folder / file).exists():
            raise MissingPackage(f"{file} is not in this version of dm_control, and {advice}")
    return folder


@functools.cache
def _links() -> dict[str, _Link]:
    """Returns the published bodies by name, parents first; the hand is fixed to the last link of the arm."""
    import mujoco

    model, folder = _source()["model"], _folder()
    links: dict[str, _Link] = {}
    for file in (model["arm"], model["hand"]):
        published = mujoco.MjModel.from_xml_path(str(folder / file))
        for i in range(1, published.nbody):
            body = published.body(i)
            parent = published.body(int(body.parentid[0])).name
            numbers = (tuple(getattr(body, field).tolist()) for field in ("pos", "quat", "ipos", "iquat", "inertia"))
            pos, quat, com, turn, inertia = numbers
            if body.name == "hand":
                parent, pos, quat = _LAST_LINK, (0.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0)  # their two half turns about the same axis cancel
            mass = float(body.mass[0])
            if body.name == _LAST_LINK:
                mass, inertia = 0.01, (1e-5, 1e-5, 1e-5)  # published with next to none: the hand is all that moves with it
            links[body.name] = _Link("" if parent == "world" else parent, pos, quat, mass, com, turn, inertia)
    wanted = {"b_base", *(f"b_{i}" for i in range(1, 7)), "hand", *_THUMB, *_PAIR}
    if set(links) != wanted:
        raise BadData(f"{folder} has the bodies {', '.join(sorted(links))}; the jaco is made of {', '.join(sorted(wanted))}: another version?")
    return links


_LAST_LINK = "b_6"


def _add_look(spec: Any, bodies: dict[str, Any], look: str) -> None:
    import mujoco

    colours = _source()["look"][look]["colours"]
    for index, (link, colour, mesh) in enumerate(_look_parts(look)):
        name = f"{look}_{index}_{link}"
        asset = spec.add_mesh(name=name, uservert=mesh.vertices.ravel(), userface=mesh.faces.ravel())
        asset.inertia = mujoco.mjtMeshInertia.mjMESH_INERTIA_SHELL  # decimated shells are not watertight; they weigh nothing anyway
        bodies[link].add_geom(name=name, type=mujoco.mjtGeom.mjGEOM_MESH, meshname=name, rgba=colours[colour], **_SEEN_ONLY)
    cylinder = mujoco.mjtGeom.mjGEOM_CYLINDER
    for i, link in enumerate(("b_1", "b_2", "b_3", "b_4", "b_5", "b_6")):
        size = (0.044, 0.011, 0) if i < 3 else (0.035, 0.009, 0)
        bodies[link].add_geom(name=f"{look}_ring_{i + 1}", type=cylinder, size=size, rgba=colours["ring"], **_SEEN_ONLY)
    radius, half = _FLANGE_M
    x, y, _ = _MOUNT_TO_BASE_M
    bodies[""].add_geom(name=f"{look}_flange", type=cylinder, size=(radius, half, 0), pos=(x, y, half), rgba=colours["ring"], **_SEEN_ONLY)


_SEEN_ONLY: dict[str, Any] = dict(mass=0, contype=0, conaffinity=0, group=2)


@functools.cache
def _look_parts(look: str) -> tuple[tuple[str, str, TriangleMesh], ...]:
    """Returns (link, colour, mesh) of each visual part."""
    source = _source()["look"][look]
    folder = _folder() / source["folder"]
    sizes = {file: (folder / file).stat().st_size for _, file, _ in source["parts"]}
    total = sum(sizes[file] for _, file, _ in source["parts"])
    share = {file: max(60, round(source["faces"] * size / total)) for file, size in sizes.items()}
    return tuple((link, colour, decimated((folder / file,), share[file])) for link, file, colour in source["parts"])


def _resolve_look(wanted: str) -> str:
    if wanted not in ("auto", *_LOOKS):
        raise unknown_name("look of the jaco", wanted, ["auto", *_LOOKS])
    _folder()
    return _LOOKS[0]


_LOOKS = ("dm_control",)

ROBOT = Robot(
    name="jaco",
    summary="Kinova Jaco, 6 joints, three-finger hand",
    base_body="mount",
    joints=_ARM_JOINTS,
    joint_low_rad=tuple(low for low, _ in _RANGES_RAD),
    joint_high_rad=tuple(high for _, high in _RANGES_RAD),
    joint_speed_max_rad_s=_SPEED_MAX_RAD_S,
    actuators=_ARM_JOINTS,
    end_effectors=(
        EndEffector(
            name="hand",
            site="pinch",
            body="hand",
            arm_joints=_ARM_JOINTS,
            finger_joints=tuple(f"finger_{i}" for i in _FINGERS),
            finger_sides=(_THUMB, _PAIR),
            finger_actuators=tuple(f"finger_{i}" for i in _FINGERS),
            open_ctrl=_OPEN_RAD,
            closed_ctrl=_CLOSED_RAD,
            opening_max_m=0.09,
            opening_of_joint_m=_OPENINGS_M,
            is_symmetric=False,
            bar_opening_m=0.036,
            bar_shift_m=0.0077,
            pregrasp_margin_m=0.04,
            room=GraspRoom(
                finger_from_m=0.045,
                finger_to_m=0.065,
                finger_half_width_m=(0.013, 0.036),
                finger_below_m=0.014,
                hand_above_m=0.05,
                hand_half_size_m=(0.075, 0.055),
            ),
            # The closed fist from its side: thumb and one finger are flush there and upright. The backs of the fingers lean over what they push.
            push=PushFace(turn_rad=math.pi, distance_m=0.024, is_on_both_sides=False),
        ),
    ),
    home_qpos=(0.161, 3.101, 4.664, 0.621, -1.921, 0.782),
    bodies=("mount", "b_base", *(f"b_{i}" for i in range(1, 7)), "hand", *_THUMB, *_PAIR),
    cameras=(
        CameraSpec(
            name="wrist",
            parent="hand",
            pos_parent=(-0.106, 0.0, -0.10),
            # Looks along the fingers, tilted 28 degrees towards their tips, as the panda's does.
            quat_parent_wxyz=(0.68610269, -0.17106461, -0.17106461, 0.68610269),
            fovy_deg=75.0,
        ),
    ),
    base_pos_world=(0.0, 0.0, 0.0),
    pace=1.5,  # its joints turn at 36 and 48 degrees/s: the expert takes 1.3 to 2.1 times as long as with the panda
    add=_add,
    looks=_LOOKS,
    resolve_look=_resolve_look,
)
