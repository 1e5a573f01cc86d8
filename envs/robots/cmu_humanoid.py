"""The CMU humanoid of dm_control: the body of a grown person, 1.9 m tall, perched on a stand behind the table.

Its links, joints, limits, masses and largest torques are those of dm_control's position-controlled walker (version 2020); gains, the pads of its
mitten hands, the stand and the look are ours.

A hand is a palm, four fingers that bend as one at the knuckles, and a thumb; closed, the fingers stand at a right angle to the palm and the thumb
leans against them. How it takes things (20 tries with either hand, from random places of the work area, 1 cm beside the middle, the hand open
or up to 0.3 closed beforehand): from above, palm down, y of the pinch frame pointing back to the robot, pinch point at the height of the
catalogue's grasps but 2.4 cm above the table or higher: blocks, cans, bottles, cups, mugs, apples and upright pegs, 5 to 95 mm wide. The palm
comes to lie 5.6 cm above the pinch point. What lies flat and thin, a banana or a marker, and walls and rims it does not hold: the fingers reach
2 cm beyond the thumb.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np

from vlagym.envs.bodies.cmu_model import Link, links
from vlagym.envs.bodies.senses import body_senses
from vlagym.envs.errors import unknown_name
from vlagym.envs.frames import from_matrix
from vlagym.envs.robot import EndEffector, GraspRoom, JointGroup, PushFace, Robot, Stance, WorkArea, position_actuator
from vlagym.envs.types import CameraSpec, Vec3

Side = Literal["left", "right"]
_SIDES: tuple[Side, Side] = ("left", "right")

# Joints of the left side and of the middle, with the published limits in rad, and the largest torque of the walker's motors in N m. On the
# right side a turn about x keeps its sign and those about y and z change it.
_LEG = {
    "femurrz": (-1.0472, 1.22173, 200.0), "femurry": (-1.22173, 1.22173, 200.0), "femurrx": (-2.79253, 0.349066, 300.0),
    "tibiarx": (0.01, 2.96706, 160.0), "footrz": (-1.22173, 0.349066, 50.0), "footrx": (-0.785398, 0.8, 120.0),
    "toesrx": (-1.5708, 0.349066, 20.0),
}  # fmt: skip
_ARM = {
    "claviclerz": (0.0, 0.349066, 80.0), "claviclery": (-0.349066, 0.174533, 80.0),
    # The published right upper arm has the left one's limits about z, though its axis is mirrored; ours are mirrored too.
    "humerusrz": (-1.1, 1.5708, 120.0), "humerusry": (-1.5708, 1.5708, 120.0), "humerusrx": (-1.0472, 1.5708, 120.0),
    "radiusrx": (-0.174533, 2.96706, 90.0), "wristry": (0.0, 3.14159, 20.0),
    "handrz": (-0.785398, 0.785398, 20.0), "handrx": (-1.5708, 1.5708, 20.0),
}  # fmt: skip
_FINGERS = {"fingersrx": (0.0, 1.5708, 20.0), "thumbrz": (-0.785398, 0.785398, 20.0), "thumbrx": (0.0, 1.57, 20.0)}
_BACK_X, _BACK_YZ = (-0.349066, 0.785398), (-0.523599, 0.523599)
_WAIST = {
    "lowerbackrz": (*_BACK_YZ, 200.0), "lowerbackry": (*_BACK_YZ, 180.0), "lowerbackrx": (*_BACK_X, 300.0),
    "upperbackrz": (*_BACK_YZ, 200.0), "upperbackry": (*_BACK_YZ, 80.0), "upperbackrx": (*_BACK_X, 300.0),
    "thoraxrz": (*_BACK_YZ, 200.0), "thoraxry": (*_BACK_YZ, 80.0), "thoraxrx": (*_BACK_X, 300.0),
}  # fmt: skip
_NECK = {
    "lowerneckrz": (*_BACK_YZ, 120.0), "lowerneckry": (*_BACK_YZ, 120.0), "lowerneckrx": (*_BACK_X, 120.0),
    "upperneckrz": (*_BACK_YZ, 60.0), "upperneckry": (*_BACK_YZ, 60.0), "upperneckrx": (*_BACK_X, 60.0),
    "headrz": (*_BACK_YZ, 40.0), "headry": (*_BACK_YZ, 40.0), "headrx": (*_BACK_X, 40.0),
}  # fmt: skip
Limits = dict[str, tuple[float, float, float]]


def _sided(table: Limits, side: Side) -> Limits:
    """Returns the joints of one side by their published names: "lfemurrz"."""
    if side == "left":
        return {f"l{name}": limits for name, limits in table.items()}
    turned = {name: (low, high, torque) if name.endswith("rx") else (-high, -low, torque) for name, (low, high, torque) in table.items()}
    return {f"r{name}": limits for name, limits in turned.items()}


_BODY: Limits = {**_sided(_LEG, "left"), **_sided(_LEG, "right"), **_WAIST, **_NECK, **_sided(_ARM, "left"), **_sided(_ARM, "right")}
_HANDS: Limits = {**_sided(_FINGERS, "left"), **_sided(_FINGERS, "right")}
_JOINTS = tuple(_BODY)

# Stiffness in N m/rad, damping in N m s/rad and armature in kg m^2 by the part of the body that a joint moves. With the walker's own gains (kp 20
# to 300, damping 1 to 20) a hand sags by 30 cm, and where gravity is fed forward it takes 0.4 s for a step of 5 cm and overshoots upwards by half
# of it; with these it is there within 0.2 s and overshoots by 6 %.
_GAINS = {
    "femur": (1500.0, 60.0, 0.05), "tibia": (1000.0, 40.0, 0.05), "foot": (300.0, 10.0, 0.02), "toes": (60.0, 2.0, 0.01),
    "lowerback": (4000.0, 250.0, 0.10), "upperback": (4000.0, 250.0, 0.10), "thorax": (3500.0, 200.0, 0.10),
    "lowerneck": (500.0, 25.0, 0.02), "upperneck": (400.0, 20.0, 0.02), "head": (300.0, 12.0, 0.02),
    "clavicle": (1500.0, 70.0, 0.05), "humerus": (800.0, 35.0, 0.03), "radius": (400.0, 16.0, 0.02),
    "wrist": (150.0, 4.0, 0.01), "hand": (150.0, 4.0, 0.01), "fingers": (12.0, 0.8, 0.003), "thumb": (12.0, 0.8, 0.003),
}  # fmt: skip
_DAMPING_NM_S = {"fingers": 0.05, "thumb": 0.05}
_FINGER_TORQUE_NM = {"fingers": 3.0, "thumb": 2.0}  # 35 N at the pinch point; the walker's 20 N m would crush
# What a policy's targets may change by, in rad/s: of a person who reaches without haste. A stretched hand moves at 1.7 m/s.
_SPEED_MAX_RAD_S = {"lowerback": 0.8, "upperback": 0.8, "thorax": 0.8, "clavicle": 1.0}
_SPEED_RAD_S = 2.5

_TOUCH: dict[str, dict[str, Any]] = {
    "skin": dict(condim=3, friction=(0.7, 0.01, 0.0001)),
    "pad": dict(condim=4, friction=(1.0, 0.02, 0.0001), solref=(0.004, 1.0), priority=1),
}
_BODIES = (
    "pelvis", "lhipjoint", "lfemur", "ltibia", "lfoot", "ltoes", "rhipjoint", "rfemur", "rtibia", "rfoot", "rtoes", "lowerback", "upperback",
    "thorax", "lowerneck", "upperneck", "head", "lclavicle", "lhumerus", "lradius", "lwrist", "lhand", "lfingers", "lthumb", "rclavicle",
    "rhumerus", "rradius", "rwrist", "rhand", "rfingers", "rthumb",
)  # fmt: skip


def _part(joint: str) -> str:
    """Returns the part of the body that a joint moves: "lfemurrz" -> "femur", "lowerbackrx" -> "lowerback"."""
    name = joint[:-2]
    return name if name in _GAINS else name[1:]


def _add(spec: Any, look: str | None) -> None:
    bodies: dict[str, Any] = {"": spec.worldbody}
    for link in links():
        bodies[link.name] = _add_link(bodies[link.parent], link)
    for name, (low, high, torque) in {**_BODY, **_HANDS}.items():
        kp, kv, _ = _GAINS[_part(name)]
        position_actuator(spec, name, kp, kv, _FINGER_TORQUE_NM.get(_part(name), torque), (low, high))
    for side in _SIDES:
        _add_pads(bodies, side)
    for a, b in _NEVER_TOUCH:
        spec.add_exclude(name=f"{a}-{b}", bodyname1=a, bodyname2=b)
    _add_sensors(spec, bodies)
    if look is not None:
        from vlagym.envs.bodies.cmu_look import add_look

        add_look(bodies, spec, look)


def _add_link(parent: Any, link: Link) -> Any:
    import mujoco

    body = parent.add_body(name=link.name, pos=link.pos_parent_m, quat=link.quat_parent_wxyz)
    body.mass, body.ipos, body.iquat, body.inertia = link.mass_kg, link.com_m, link.inertia_quat_wxyz, link.inertia_kg_m2
    body.explicitinertial = True
    for hinge in link.hinges:
        low, high, _ = _BODY[hinge.name] if hinge.name in _BODY else _HANDS[hinge.name]
        joint = body.add_joint(name=hinge.name, type=mujoco.mjtJoint.mjJNT_HINGE, axis=hinge.axis, pos=hinge.pos_m, range=(low, high))
        joint.limited = mujoco.mjtLimited.mjLIMITED_TRUE
        part = _part(hinge.name)
        joint.armature, joint.damping = _GAINS[part][2], [_DAMPING_NM_S.get(part, 1.0), 0, 0]
    if link.name[1:] in _FINGER_TORQUE_NM:
        return body  # touches with a pad
    kinds = {"capsule": mujoco.mjtGeom.mjGEOM_CAPSULE, "sphere": mujoco.mjtGeom.mjGEOM_SPHERE, "ellipsoid": mujoco.mjtGeom.mjGEOM_ELLIPSOID}
    touch = _TOUCH["pad" if link.name.endswith("hand") else "skin"]
    for shape in link.shapes:
        place: dict[str, Any] = dict(pos=shape.pos_m, quat=shape.quat_wxyz, size=shape.size_m)
        body.add_geom(name=f"{shape.name}_skin", type=kinds[shape.kind], mass=0, group=3, **place, **touch)
    return body


def _add_pads(bodies: dict[str, Any], side: Side) -> None:
    """Adds what the fingers of a hand hold with: flat pads in the place of the published rods, and the site of the pinch point."""
    import mujoco

    box, sign = mujoco.mjtGeom.mjGEOM_BOX, 1.0 if side == "left" else -1.0
    letter = side[0]
    pad: dict[str, Any] = dict(type=box, mass=0, group=3, **_TOUCH["pad"])
    bodies[f"{letter}fingers"].add_geom(name=f"{letter}fingers_pad", size=(0.0365, 0.048, 0.0078), pos=(0, -0.034, 0), **pad)
    bodies[f"{letter}thumb"].add_geom(name=f"{letter}thumb_pad", size=(0.011, 0.0405, 0.0096), pos=(0, -0.041, 0), **pad)
    x, y, z = _PINCH_M
    turn = (0.0, 0.0, 1.0, 0.0)  # x to the thumb's side of the left hand, y from the fingers to the thumb, z out of the palm
    bodies[f"{letter}hand"].add_site(name=f"{side}_pinch", pos=(sign * x, y, z), quat=turn, size=(0.004, 0.004, 0.004), group=5)


def _add_sensors(spec: Any, bodies: dict[str, Any]) -> None:
    import mujoco

    kinds, site = mujoco.mjtSensor, mujoco.mjtObj.mjOBJ_SITE
    bodies["pelvis"].add_site(name="imu", size=(0.004, 0.004, 0.004), group=5)
    for name, kind in (("imu_quat", kinds.mjSENS_FRAMEQUAT), ("imu_gyro", kinds.mjSENS_GYRO), ("imu_accel", kinds.mjSENS_ACCELEROMETER)):
        spec.add_sensor(name=name, type=kind, objtype=site, objname="imu")
    for side in _SIDES:
        letter = side[0]
        bodies[f"{letter}hand"].add_site(name=f"{side}_wrist", size=(0.004, 0.004, 0.004), group=5)
        spec.add_sensor(name=f"{side}_wrist_force", type=kinds.mjSENS_FORCE, objtype=site, objname=f"{side}_wrist")
        spec.add_sensor(name=f"{side}_wrist_torque", type=kinds.mjSENS_TORQUE, objtype=site, objname=f"{side}_wrist")
        for part, (pos, size) in _FEELING.items():
            name = f"{side}_{part}_touch"
            bodies[letter + part].add_site(name=name, type=mujoco.mjtGeom.mjGEOM_BOX, pos=pos, size=size, group=5)
            spec.add_sensor(name=name, type=kinds.mjSENS_TOUCH, objtype=site, objname=name)


# Boxes (middle and half sizes in m, in the frame of the link) within which a contact is felt.
_FEELING: dict[str, tuple[Vec3, Vec3]] = {
    "hand": ((0.0, -0.020, 0.0), (0.045, 0.060, 0.030)),
    "fingers": ((0.0, -0.036, 0.0), (0.040, 0.054, 0.012)),
    "thumb": ((0.0, -0.040, 0.0), (0.014, 0.042, 0.013)),
}

# A body without a joint above it is a part of the world to MuJoCo, which then lets its children touch it; and links two joints apart overlap where
# a person has flesh.
_NEVER_TOUCH = (
    *((a, b) for a in ("pelvis", "lhipjoint", "rhipjoint") for b in ("lfemur", "rfemur", "lowerback", "upperback")),
    # Its feet carry nothing: they shall not drag over the floor.
    *(("world", part) for part in ("lfoot", "ltoes", "rfoot", "rtoes")),
    ("lfemur", "rfemur"), ("lowerback", "thorax"), ("lclavicle", "rclavicle"), ("thorax", "upperneck"), ("thorax", "head"), ("lowerneck", "head"),
    *((f"{s}clavicle", part) for s in "lr" for part in ("lowerneck", "upperneck", "head", "upperback")),
    *((f"{s}humerus", part) for s in "lr" for part in ("thorax", "lowerneck")),
    *((a, b) for s in "lr" for a, b in (
        (f"{s}clavicle", f"{s}radius"), (f"{s}humerus", f"{s}wrist"), (f"{s}radius", f"{s}hand"), (f"{s}wrist", f"{s}thumb"),
        (f"{s}wrist", f"{s}fingers"), (f"{s}fingers", f"{s}thumb"), (f"{s}hand", f"{s}fingers"), (f"{s}hand", f"{s}thumb"),
        (f"{s}tibia", f"{s}toes"),
    )),
)  # fmt: skip

# --------------------------------------------------------------------------------------------------------------------- hands
# The point between fingers and thumb, below the palm, in the frame of the left hand: x away from the thumb, -y along the fingers, -z out of the palm.
_PINCH_M = (-0.028, -0.064, -0.080)
_OPEN = {"fingersrx": 0.35, "thumbrz": 0.6, "thumbrx": 1.57}
_CLOSED = {"fingersrx": 1.57, "thumbrz": 0.785, "thumbrx": 0.85}
# Between the tip of the thumb and the fingers' pad, measured for closures from the flat hand, whose fingers lie far ahead of the thumb.
_OPENINGS_M = ((0.0, 0.150), (0.3, 0.100), (0.4, 0.088), (0.5, 0.072), (0.6, 0.055), (0.7, 0.038), (0.8, 0.026), (0.9, 0.014), (1.0, 0.003))


_POINT_AXIS = (0.0, -math.cos(_OPEN["fingersrx"]), math.sin(_OPEN["fingersrx"]))  # along the fingers of the open hand
_WIDEST_M = 0.095  # cans of 9 cm and cubes of 8 cm are still taken from above, 20 of 20


def _postures(posture: dict[str, float], side: Side) -> tuple[float, ...]:
    return tuple(value if side == "left" or name.endswith("rx") else -value for name, value in posture.items())


def _hand(side: Side) -> EndEffector:
    letter = side[0]
    fingers = tuple(_sided(_FINGERS, side))
    return EndEffector(
        name=f"{side}_hand",
        side=side,
        site=f"{side}_pinch",
        body=f"{letter}hand",
        arm_joints=tuple(_sided(_ARM, side)),
        finger_joints=fingers,
        finger_sides=((f"{letter}thumb", f"{letter}hand"), (f"{letter}fingers",)),
        finger_actuators=fingers,
        open_ctrl=0.0,
        closed_ctrl=1.57,
        open_posture=_postures(_OPEN, side),
        closed_posture=_postures(_CLOSED, side),
        finger_range=tuple((low, high) for low, high, _ in _sided(_FINGERS, side).values()),
        opening_of_closure_m=_OPENINGS_M,
        opening_max_m=_WIDEST_M,
        is_symmetric=False,
        links=tuple(letter + part for part in ("wrist", "hand", "fingers", "thumb")),
        point_axis=_POINT_AXIS,
        palm_axis=(0.0, 0.0, 1.0),
        room=GraspRoom(
            finger_from_m=0.048, finger_to_m=0.095, finger_half_width_m=(0.020, 0.065), finger_below_m=0.024, hand_above_m=0.050,
            hand_half_size_m=(0.090, 0.060),
        ),  # fmt: skip
        # The edge of the hand, away from the thumb: the left hand's looks to the left while it looks down, fingers ahead.
        push=PushFace(turn_rad=math.pi if side == "left" else 0.0, distance_m=0.057, is_on_both_sides=False),
    )


# --------------------------------------------------------------------------------------------------------------------- posture
# Hips and knees bent as on a high stool, the balls of the feet on the floor, the pelvis 0.93 m above it. The thighs pass 10 mm below the lowest table
# top that it stands at (office, 0.70 m).
_HOME_LEG = {"femurrz": -0.289, "femurry": 0.185, "femurrx": -0.540, "tibiarx": 1.440, "footrz": -0.088, "footrx": -0.765, "toesrx": -0.15}
_HOME_ARM = {
    "claviclerz": 0.068, "claviclery": 0.073, "humerusrz": 0.510, "humerusry": -0.888, "humerusrx": 0.142, "radiusrx": 1.669, "wristry": 0.080,
    "handrz": 0.219, "handrx": -0.115,
}  # fmt: skip
_HOME_TRUNK = {"lowerbackrx": 0.1, "upperbackrx": 0.1, "thoraxrx": 0.1, "lowerneckrx": 0.15, "upperneckrx": 0.15, "headrx": 0.20}


def _home() -> tuple[float, ...]:
    posture = {**_HOME_TRUNK}
    for side in _SIDES:
        for name, value in {**_HOME_LEG, **_HOME_ARM}.items():
            posture[side[0] + name] = value if side == "left" or name.endswith("rx") else -value
    return tuple(posture.get(name, 0.0) for name in _JOINTS)


def _camera(name: str, parent: str, eye: Vec3, target: Vec3, up: Vec3, fovy_deg: float) -> CameraSpec:
    """Returns a camera that looks from one point of its parent's frame at another; `up` points up in the image."""
    back = np.subtract(eye, target)
    back = back / np.linalg.norm(back)
    right = np.cross(up, back)
    right = right / np.linalg.norm(right)
    w, x, y, z = (float(v) for v in from_matrix(np.stack([right, np.cross(back, right), back], axis=1)).round(8))
    return CameraSpec(name=name, parent=parent, pos_parent=eye, quat_parent_wxyz=(w, x, y, z), fovy_deg=fovy_deg)


def _wrist_camera(side: Side) -> CameraSpec:
    """Returns the camera below the wrist, which looks between thumb and fingers."""
    sign = 1.0 if side == "left" else -1.0
    return _camera(f"{side}_wrist", f"{side[0]}hand", (sign * 0.022, 0.070, -0.042), (-sign * 0.015, -0.070, -0.092), (0.0, 0.0, 1.0), 80.0)


def _resolve_look(wanted: str) -> str:
    if wanted not in ("auto", *_LOOKS):
        raise unknown_name("look of the cmu_humanoid", wanted, ["auto", *_LOOKS])
    links()  # MissingPackage where dm_control is not installed
    return _LOOKS[0]


_LOOKS = ("mannequin",)

ROBOT = Robot(
    name="cmu_humanoid",
    summary="CMU humanoid of dm_control, 50 joints, two mitten hands with a thumb",
    base_body="pelvis",
    joints=_JOINTS,
    joint_low_rad=tuple(low for low, _, _ in _BODY.values()),
    joint_high_rad=tuple(high for _, high, _ in _BODY.values()),
    joint_speed_max_rad_s=tuple(_SPEED_MAX_RAD_S.get(_part(name), _SPEED_RAD_S) for name in _JOINTS),
    actuators=_JOINTS,
    end_effectors=tuple(_hand(side) for side in _SIDES),
    home_qpos=_home(),
    bodies=_BODIES,
    cameras=(
        # Between the eyes, in the published frame of the head: x to the left, y up, z ahead.
        _camera("head", "head", (0.0, 0.055, 0.156), (0.0, -0.255, 1.0), (0.0, 1.0, 0.0), 85.0),
        _wrist_camera("left"),
        _wrist_camera("right"),
    ),
    views=(_camera("front", "world", (2.05, 0.0, 0.85), (0.22, 0.0, 0.24), (0.0, 0.0, 1.0), 45.0),),
    base_pos_world=(0.0, 0.0, 0.0),
    pace=1.5,
    add=_add,
    looks=_LOOKS,
    resolve_look=_resolve_look,
    bases=("fixed", "planar"),
    controls=("bimanual_ee_delta", "joint_position", "joint_position_fingers"),
    groups=(
        *(JointGroup(name=f"{side}_leg", joints=tuple(_sided(_LEG, side)), kind="leg") for side in _SIDES),
        JointGroup(name="waist", joints=tuple(_WAIST), kind="waist"),
        JointGroup(name="neck", joints=tuple(_NECK), kind="neck"),
        *(JointGroup(name=f"{side}_arm", joints=tuple(_sided(_ARM, side)), kind="arm") for side in _SIDES),
        *(JointGroup(name=f"{side}_hand", joints=tuple(_sided(_FINGERS, side)), kind="hand") for side in _SIDES),
    ),
    stance=Stance(
        table_edge_x_m=0.26,
        pelvis_height_m=0.929,
        table_height_m=(0.72, 0.93),
        arenas=("studio", "cafe", "dining", "kitchen", "laboratory", "office", "terrace", "workshop"),
    ),
    # Either hand looks down everywhere in x 0.30..0.85, y -0.4..0.4, z 0.03..0.25 m, with its fingers turned by -0.8 to 0.1 rad; this is what it
    # does without leaning far, and what the camera of the head sees.
    work=WorkArea(x_m=(0.36, 0.64), y_m=(-0.36, 0.36), left_y_m=(-0.12, 0.36), right_y_m=(-0.36, 0.12), middle_y_m=(-0.12, 0.12)),
    sensors=body_senses(_SIDES, tuple(_FEELING)),
    feedforward=True,
)
