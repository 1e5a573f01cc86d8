"""Franka Emika Panda with its two-finger hand."""

from __future__ import annotations

import functools
import math
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

from vlagym import assets
from vlagym.envs.bodies.menagerie_look import MenagerieModel, menagerie_folder, visual_geoms
from vlagym.envs.errors import unknown_name
from vlagym.envs.meshes import TriangleMesh, decimated, package_folder, read
from vlagym.envs.robot import EndEffector, GraspRoom, PushFace, Robot, position_actuator
from vlagym.envs.types import CameraSpec

_S = math.sqrt(0.5)
_X90 = (_S, _S, 0.0, 0.0)
_X270 = (_S, -_S, 0.0, 0.0)
_HAND_TURN = (math.cos(math.pi / 8), 0.0, 0.0, -math.sin(math.pi / 8))  # the hand is mounted at -45 degrees

_NO_TURN = (1.0, 0.0, 0.0, 0.0)


class _Link(NamedTuple):
    name: str
    parent: str
    pos_parent: tuple[float, float, float]
    quat_parent_wxyz: tuple[float, float, float, float]
    range_rad: tuple[float, float] | None
    """Of the joint that moves it about its z axis."""
    mass_kg: float
    com_m: tuple[float, float, float]
    inertia_kg_m2: tuple[float, float, float, float, float, float]
    """xx, yy, zz, xy, xz, yz."""


# Frames and limits: Franka Control Interface documentation. Masses and inertias: as published in MuJoCo Menagerie's franka_emika_panda.
_LINKS = (
    _Link("link0", "", (0, 0, 0), _NO_TURN, None, 0.629769, (-0.041018, -0.00014, 0.049974),
          (0.00315, 0.00388, 0.004285, 8.2904e-07, 0.00015, 8.2299e-06)),
    _Link("link1", "link0", (0, 0, 0.333), _NO_TURN, (-2.8973, 2.8973), 4.970684, (0.003875, 0.002081, -0.04762),
          (0.70337, 0.70661, 0.009117, -0.000139, 0.006772, 0.019169)),
    _Link("link2", "link1", (0, 0, 0), _X270, (-1.7628, 1.7628), 0.646926, (-0.003141, -0.02872, 0.003495),
          (0.007962, 0.02811, 0.025995, -0.003925, 0.010254, 0.000704)),
    _Link("link3", "link2", (0, -0.316, 0), _X90, (-2.8973, 2.8973), 3.228604, (0.027518, 0.039252, -0.066502),
          (0.037242, 0.036155, 0.01083, -0.004761, -0.011396, -0.012805)),
    _Link("link4", "link3", (0.0825, 0, 0), _X90, (-3.0718, -0.0698), 3.587895, (-0.05317, 0.104419, 0.027454),
          (0.025853, 0.019552, 0.028323, 0.007796, -0.001332, 0.008641)),
    _Link("link5", "link4", (-0.0825, 0.384, 0), _X270, (-2.8973, 2.8973), 1.225946, (-0.011953, 0.041065, -0.038437),
          (0.035549, 0.029474, 0.008627, -0.002117, -0.004037, 0.000229)),
    _Link("link6", "link5", (0, 0, 0), _X90, (-0.0175, 3.7525), 1.666555, (0.060149, -0.014117, -0.010517),
          (0.001964, 0.004354, 0.005433, 0.000109, -0.001158, 0.000341)),
    _Link("link7", "link6", (0.088, 0, 0), _X90, (-2.8973, 2.8973), 0.735522, (0.010517, -0.004252, 0.061597),
          (0.012516, 0.010027, 0.004815, -0.000428, -0.001196, -0.000741)),
    _Link("hand", "link7", (0, 0, 0.107), _HAND_TURN, None, 0.73, (-0.01, 0, 0.03),
          (0.001, 0.0025, 0.0017, 0, 0, 0)),
)
_RANGES_RAD = tuple(link.range_rad for link in _LINKS if link.range_rad is not None)
_ARM_JOINTS = tuple(f"joint{i}" for i in range(1, 8))
_KP = (4500.0, 4500.0, 3500.0, 3500.0, 2000.0, 2000.0, 2000.0)  # N m / rad, with kv = kp / 10: settles within 0.1 s at 20 Hz targets
_TORQUE_MAX_NM = (87.0, 87.0, 87.0, 87.0, 12.0, 12.0, 12.0)  # Franka Control Interface documentation
_SPEED_MAX_RAD_S = (2.175, 2.175, 2.175, 2.175, 2.61, 2.61, 2.61)  # Franka Control Interface documentation
_FINGER_FORCE_N = 20.0  # each; firm for 0.25 kg with friction 1, within the datasheet's 70 N continuous
_HAND_TO_FINGER_M = 0.0584
_PINCH_M = 0.1034  # hand frame to the point between the finger tips (Franka Hand datasheet)


def _add(spec: Any, look: str | None) -> None:
    add_arm(spec, spec.worldbody, look)


def add_arm(spec: Any, parent: Any, look: str | None, prefix: str = "", pos_parent: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> None:
    """Adds an arm with its hand: bodies, joints, actuators, the site of the pinch point and contact exclusions.

    Args:
      spec: `mujoco.MjSpec`
      parent: Body that it stands on.
      look: A resolved look; None adds nothing that is only seen.
      prefix: Begins all its names; arms of one scene share their meshes.
      pos_parent: Where its base stands, in m in the frame of the parent.
    """
    import mujoco

    bodies = {"": parent}
    for link in _LINKS:
        at = link.pos_parent if link.parent else pos_parent
        body = bodies[link.parent].add_body(name=prefix + link.name, pos=at, quat=link.quat_parent_wxyz, gravcomp=1.0)
        body.mass, body.ipos, body.fullinertia, body.explicitinertial = link.mass_kg, link.com_m, link.inertia_kg_m2, True
        if link.range_rad is not None:
            joint = body.add_joint(name=f"{prefix}joint{link.name[4:]}", type=mujoco.mjtJoint.mjJNT_HINGE, axis=(0, 0, 1), range=link.range_rad)
            joint.limited = mujoco.mjtLimited.mjLIMITED_TRUE
            joint.armature, joint.damping = 0.1, [1.0, 0, 0]
        bodies[link.name] = body
    hand = bodies["hand"]
    hand.add_site(name=f"{prefix}pinch", pos=(0, 0, _PINCH_M), size=(0.004, 0.004, 0.004), group=5)
    for side, sign in (("left", 1.0), ("right", -1.0)):
        quat = (1, 0, 0, 0) if sign > 0 else (0, 0, 0, 1)
        finger = hand.add_body(name=f"{prefix}{side}_finger", pos=(0, 0, _HAND_TO_FINGER_M), quat=quat, gravcomp=1.0)
        finger.mass, finger.ipos, finger.explicitinertial = 0.015, (0, 0.012, 0.028), True
        finger.inertia = (2.375e-6, 2.375e-6, 7.5e-7)
        joint = finger.add_joint(name=f"{prefix}{side}_finger_joint", type=mujoco.mjtJoint.mjJNT_SLIDE, axis=(0, 1, 0), range=(0, 0.04))
        joint.limited = mujoco.mjtLimited.mjLIMITED_TRUE
        joint.armature, joint.damping = 0.1, [1.0, 0, 0]
        box = mujoco.mjtGeom.mjGEOM_BOX
        # The pad that grips, and the finger above it.
        finger.add_geom(name=f"{prefix}{side}_pad", type=box, size=(0.010, 0.0045, 0.0105), pos=(0, 0.0045, 0.0435), mass=0, group=3, condim=4,
                        friction=(1.0, 0.02, 0.0001), solref=(0.004, 1.0), priority=1)
        finger.add_geom(name=f"{prefix}{side}_finger_box", type=box, size=(0.0095, 0.0065, 0.0165), pos=(0, 0.0155, 0.0165), mass=0, group=3)
        bodies[f"{side}_finger"] = finger
    for name, mesh in _collision_meshes().items():
        if spec.mesh(f"{name}_hull") is None:
            spec.add_mesh(name=f"{name}_hull", uservert=mesh.vertices.ravel(), userface=mesh.faces.ravel())
        bodies[name].add_geom(name=f"{prefix}{name}_hull", type=mujoco.mjtGeom.mjGEOM_MESH, meshname=f"{name}_hull", mass=0, group=3)
    for i, (joint_name, kp, torque) in enumerate(zip(_ARM_JOINTS, _KP, _TORQUE_MAX_NM, strict=True), 1):
        position_actuator(spec, prefix + joint_name, kp, kp / 10, torque, _RANGES_RAD[i - 1])
    for side in ("left", "right"):
        position_actuator(spec, f"{prefix}{side}_finger_joint", 1000.0, 60.0, _FINGER_FORCE_N, (-0.01, 0.04))
    names = [f"{prefix}{side}_finger_joint" for side in ("left", "right")]
    fingers = spec.add_equality(name=f"{prefix}fingers", type=mujoco.mjtEq.mjEQ_JOINT, name1=names[0], name2=names[1])
    fingers.data[:5] = (0, 1, 0, 0, 0)
    fingers.solref, fingers.solimp = (0.005, 1), (0.95, 0.99, 0.001, 0.5, 2)
    # Hulls of links that are two joints apart overlap in reachable postures where the real links do not.
    for a, b in (("link5", "link7"), ("link6", "hand"), ("link5", "hand"), ("left_finger", "right_finger")):
        spec.add_exclude(name=f"{prefix}{a}-{b}", bodyname1=prefix + a, bodyname2=prefix + b)
    if look is not None:
        _add_look(spec, bodies, look, prefix)


@functools.cache
def _source() -> dict[str, Any]:
    with assets.path("robots/panda/source.toml").open("rb") as file:
        return tomllib.load(file)


@functools.cache
def _collision_meshes() -> dict[str, TriangleMesh]:
    source = _source()["collision"]
    folder = package_folder(source["package"]) / source["folder"]
    return {link: read(folder / file) for link, file in source["parts"]}


def _add_look(spec: Any, bodies: dict[str, Any], look: str, prefix: str) -> None:
    import mujoco

    for index, (link, colour, mesh) in enumerate(_look_parts(look)):
        name = f"{look}_{index}_{link}"
        if spec.mesh(name) is None:
            asset = spec.add_mesh(name=name, uservert=mesh.vertices.ravel(), userface=mesh.faces.ravel())
            asset.inertia = mujoco.mjtMeshInertia.mjMESH_INERTIA_SHELL  # decimated shells are not watertight; they weigh nothing anyway
        seen: dict[str, Any] = dict(rgba=colour, mass=0, contype=0, conaffinity=0, group=2)
        bodies[link].add_geom(name=prefix + name, type=mujoco.mjtGeom.mjGEOM_MESH, meshname=name, **seen)


@functools.cache
def _look_parts(look: str) -> tuple[tuple[str, tuple[float, ...], TriangleMesh], ...]:
    """Returns (link, rgba, mesh) of each visual part."""
    source = _source()["look"][look]
    if look == "menagerie":
        groups = _menagerie_parts(menagerie_folder(_MENAGERIE) / source["parts"])
    else:
        folder = package_folder(source["package"]) / source["folder"]
        groups = [(link, tuple(source["colours"][colour]), (folder / file,)) for link, file, colour in source["parts"]]
    sizes = [sum(p.stat().st_size for p in paths) for _, _, paths in groups]
    unique = {paths: size for (_, _, paths), size in zip(groups, sizes, strict=True)}
    total = sum(unique.values())
    shares = [max(60, round(source["faces"] * size / total)) for size in sizes]
    return tuple((link, rgba, decimated(paths, share)) for (link, rgba, paths), share in zip(groups, shares, strict=True))


def _menagerie_parts(file: Path) -> list[tuple[str, tuple[float, ...], tuple[Path, ...]]]:
    """Returns (link, rgba, OBJ files) of Menagerie's visual geoms, one group for each link and material."""
    groups: dict[tuple[str, tuple[float, ...]], list[Path]] = {}
    for geom in visual_geoms(file):
        groups.setdefault((geom.link, geom.rgba), []).append(geom.file)
    return [(link, rgba, tuple(paths)) for (link, rgba), paths in groups.items()]


def _resolve_look(wanted: str) -> str:
    if wanted == "auto":
        return "gymnasium_robotics"
    if wanted not in _LOOKS:
        raise unknown_name("look of the panda", wanted, ["auto", *_LOOKS])
    if wanted == "menagerie":
        menagerie_folder(_MENAGERIE)
    return wanted


_LOOKS = ("gymnasium_robotics", "menagerie")
_MENAGERIE = MenagerieModel("franka_emika_panda", "panda.xml")

ROBOT = Robot(
    name="panda",
    summary="Franka Emika Panda, 7 joints, two-finger hand",
    base_body="link0",
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
            finger_joints=("left_finger_joint", "right_finger_joint"),
            finger_sides=(("left_finger",), ("right_finger",)),
            finger_actuators=("left_finger_joint", "right_finger_joint"),
            open_ctrl=0.04,
            closed_ctrl=-0.01,
            opening_max_m=0.08,
            room=GraspRoom(
                finger_from_m=0.04,
                finger_to_m=0.065,
                finger_half_width_m=(0.011, 0.011),
                finger_below_m=0.014,
                hand_above_m=0.03,
                hand_half_size_m=(0.105, 0.035),
            ),
            # The closed fingers are 2 cm wide at their tips and 4 cm above them, and 1 cm thick.
            push=PushFace(turn_rad=0.0, distance_m=0.010),
        ),
    ),
    home_qpos=(0.0, -0.35, 0.0, -2.45, 0.0, 2.10, math.pi / 4),
    bodies=(*(link.name for link in _LINKS), "left_finger", "right_finger"),
    cameras=(
        CameraSpec(
            name="wrist",
            parent="hand",
            pos_parent=(0.10, 0.0, 0.035),
            # Looks along the fingers, tilted 28 degrees towards their tips: (0, s, s, 0) times a turn of -28 degrees about x.
            quat_parent_wxyz=(0.17106461, 0.68610269, 0.68610269, 0.17106461),
            fovy_deg=75.0,
        ),
    ),
    base_pos_world=(0.0, 0.0, 0.0),
    add=_add,
    looks=_LOOKS,
    resolve_look=_resolve_look,
)
