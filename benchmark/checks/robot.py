"""A robot: every name exists in its model, its home posture is within limits, and its hands reach the table."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from vlagym.benchmark.check import Contract, first_sentence_complaint
from vlagym.envs import arenas, catalog
from vlagym.envs.robot import EndEffector, Robot, Stance

REACH_POINTS = ((0.45, 0.0), (0.55, 0.2), (0.55, -0.2), (0.4, 0.2), (0.4, -0.2))
"""Points (x, y) in m of the world frame, in the middle of where tasks put things."""
REACH_HEIGHTS_M = (0.02, 0.2)
WORK_HEIGHTS_M = (0.05, 0.2)
"""Heights above the table at which each of two hands reaches all of its part of the work area, turned as it likes."""


def _complaints(name: str) -> Iterator[str]:
    robot = catalog.load("robot", name)
    if not isinstance(robot, Robot):
        yield f"ROBOT is {type(robot).__name__}: make it a vlagym.envs.robot.Robot"
        return
    yield from first_sentence_complaint("robot", name)
    if robot.name != name and ":" not in name:
        yield f"it is called {robot.name!r} and lies in {name}.py: a robot bears the name of its file"
    yield from _about_numbers(robot)
    missing = list(_missing(robot))
    yield from missing
    if not missing and ":" not in name:
        yield from _about_work(robot) if robot.has_two_hands else _about_reach(robot)


def _about_numbers(robot: Robot) -> Iterator[str]:
    count = len(robot.joints)
    for field in ("joint_low_rad", "joint_high_rad", "joint_speed_max_rad_s", "actuators", "home_qpos"):
        if len(getattr(robot, field)) != count:
            yield f"{field} has {len(getattr(robot, field))} entries for {count} joints"
            return
    for joint, low, home, high in zip(robot.joints, robot.joint_low_rad, robot.home_qpos, robot.joint_high_rad, strict=True):
        if not low < home < high:
            yield f"the home posture puts {joint} at {home:.4g} rad, outside its limits {low:.4g} to {high:.4g}"
    if not robot.end_effectors:
        yield "it has no end effector"
    if not robot.looks:
        yield "it has no look: name at least one, so that it can be seen"
    for hand in robot.end_effectors:
        yield from _about_hand(robot, hand)
    if robot.has_two_hands:
        yield from _about_two_hands(robot)
    if robot.stance is not None:
        yield from _about_stance(robot, robot.stance)


def _about_two_hands(robot: Robot) -> Iterator[str]:
    if sorted(robot.sides) != ["left", "right"]:
        yield f"its hands are on the sides {', '.join(map(repr, robot.sides))}: one is left, the other right"
    if robot.work is None:
        yield "it has two hands and no work area: say where on the table they reach (Robot.work)"
    grouped = [joint for group in robot.groups for joint in group.joints]
    fingers = [joint for hand in robot.end_effectors for joint in hand.finger_joints]
    for joint in (*robot.joints, *fingers):
        if grouped.count(joint) != 1:
            yield f"{joint} is in {grouped.count(joint)} of its joint groups: actions and proprioception find it in exactly one"
    for stray in sorted(set(grouped) - {*robot.joints, *fingers}):
        yield f"its joint groups name {stray!r}, which is neither among its joints nor among its fingers"
    for array in robot.sensors:
        if not array.sensors or array.size % len(array.sensors):
            yield f"{array.name} reads {len(array.sensors)} sensors into {array.size} numbers: its size is a multiple of how many there are"


def _about_stance(robot: Robot, stance: Stance) -> Iterator[str]:
    low, high = stance.table_height_m
    if not stance.arenas:
        yield "its stance names no arena: it could stand nowhere"
    for name in stance.arenas:
        if name not in arenas.arena_names():
            yield f"its stance names the arena {name!r}, which does not exist. There are: {', '.join(arenas.arena_names())}"
        elif not low <= -arenas.arena(name).floor.height_m <= high:
            yield f"the table of {name} is {-arenas.arena(name).floor.height_m:.2f} m high; its stance says {low:.2f} to {high:.2f} m"
    for foot in stance.feet:
        if foot.body not in robot.bodies:
            yield f"its stance has a foot {foot.body!r}, which is not among its bodies"
    if "legs" in robot.bases and len(stance.feet) != 2:
        yield f"it stands on its legs, and its stance has {len(stance.feet)} feet: name two"


def _about_hand(robot: Robot, hand: EndEffector) -> Iterator[str]:
    links = [link for side in hand.finger_sides for link in side]
    if len(hand.finger_sides) != 2 or not all(hand.finger_sides):
        yield f"{hand.name}.finger_sides has {len(hand.finger_sides)} sides: name the links of two opposing sides, or nothing counts as held"
    for link in links:
        if link not in robot.bodies:
            yield f"{hand.name}.finger_sides names {link!r}, which is not among its bodies: its contacts would not be told apart"
        if links.count(link) > 1:
            yield f"{hand.name}.finger_sides names {link!r} twice: one link cannot press from both sides"
    table = np.array(hand.opening_of_joint_m, np.float64).reshape(-1, 2)
    if len(table):
        if not np.all(np.diff(table[:, 0]) > 0):
            yield f"{hand.name}.opening_of_joint_m does not ascend: its first column holds joint positions from small to large"
        widest = float(np.interp(hand.open_ctrl, table[:, 0], table[:, 1]))
        if not 0.9 * widest <= hand.opening_max_m <= widest + 1e-9:
            yield f"{hand.name} opens to {widest:.4f} m by opening_of_joint_m at open_ctrl; opening_max_m says {hand.opening_max_m:.4f}"
    for link in hand.links:
        if link not in robot.bodies:
            yield f"{hand.name}.links names {link!r}, which is not among its bodies: its contacts would not be told apart"
    for field in ("open_posture", "closed_posture"):
        given = getattr(hand, field)
        if given and len(given) != len(hand.finger_actuators):
            yield f"{hand.name}.{field} has {len(given)} entries for {len(hand.finger_actuators)} finger actuators"
    for field in ("point_axis", "palm_axis"):
        if abs(float(np.linalg.norm(getattr(hand, field))) - 1.0) > 1e-6:
            yield f"{hand.name}.{field} is {np.linalg.norm(getattr(hand, field)):.4f} long: directions are unit vectors"
    closing = np.array(hand.opening_of_closure_m, np.float64).reshape(-1, 2)
    if len(closing) and (closing[0, 0], closing[-1, 0]) != (0.0, 1.0):
        yield f"{hand.name}.opening_of_closure_m runs from {closing[0, 0]:g} to {closing[-1, 0]:g}: closure goes from 0, open, to 1, closed"
    if len(closing) and not (np.all(np.diff(closing[:, 0]) > 0) and np.all(np.diff(closing[:, 1]) <= 0)):
        yield f"{hand.name}.opening_of_closure_m is not in order: closures from small to large, openings from wide to narrow"
    room = hand.room
    if not (0 < room.finger_from_m < room.finger_to_m and min(*room.finger_half_width_m, *room.hand_half_size_m) > 0):
        yield f"{hand.name}.room holds no boxes: 0 < finger_from_m < finger_to_m, and every half size is above 0"
    if 2 * room.finger_from_m < hand.opening_max_m - 0.002:
        yield f"{hand.name}.room.finger_from_m is {room.finger_from_m}: less than half of the opening of {hand.opening_max_m} m"


def _missing(robot: Robot) -> Iterator[str]:
    """Compiles the robot alone and complains about each name that its model lacks."""
    import mujoco

    spec: Any = mujoco.MjSpec()
    spec.compiler.degree = False
    robot.add(spec, None)
    model = spec.compile()
    kinds = {"body": model.nbody, "joint": model.njnt, "actuator": model.nu, "site": model.nsite, "sensor": model.nsensor}
    there = {kind: {getattr(model, kind)(i).name for i in range(count)} for kind, count in kinds.items()}
    wanted: list[tuple[str, str, str]] = [("base_body", "body", robot.base_body)]
    wanted += [("bodies", "body", n) for n in robot.bodies] + [("joints", "joint", n) for n in robot.joints]
    wanted += [("actuators", "actuator", n) for n in robot.actuators] + [(f"camera {c.name}", "body", c.parent) for c in robot.cameras]
    for hand in robot.end_effectors:
        wanted += [(f"{hand.name}.site", "site", hand.site), (f"{hand.name}.body", "body", hand.body)]
        wanted += [(f"{hand.name}.arm_joints", "joint", n) for n in hand.arm_joints]
        wanted += [(f"{hand.name}.finger_joints", "joint", n) for n in hand.finger_joints]
        wanted += [(f"{hand.name}.finger_sides", "body", n) for side in hand.finger_sides for n in side]
        wanted += [(f"{hand.name}.finger_actuators", "actuator", n) for n in hand.finger_actuators]
    wanted += [(f"sensors {array.name}", "sensor", n) for array in robot.sensors for n in array.sensors]
    for field, kind, name in wanted:
        if name not in there[kind]:
            yield f"{field} names the {kind} {name!r}, which its model does not have. It has: {', '.join(sorted(filter(None, there[kind])))}"
    for joint, low, high in zip(robot.joints, robot.joint_low_rad, robot.joint_high_rad, strict=False):
        if joint not in there["joint"]:
            continue
        if not model.jnt_limited[model.joint(joint).id]:
            if high - low < 2 * np.pi:
                yield f"{joint} has no end stop in its model, and its limits here, {low:.4f} to {high:.4f}, are less than a turn"
        elif not np.allclose(model.joint(joint).range, (low, high), atol=1e-4):
            yield f"the limits of {joint} are {low:.4f} to {high:.4f} here and {model.joint(joint).range.round(4).tolist()} in its model"


def _about_reach(robot: Robot) -> Iterator[str]:
    from vlagym.envs.frames import Pose
    from vlagym.envs.kinematics import kinematics

    solver = kinematics(robot.name)
    home = solver.forward(np.array(robot.home_qpos))
    for x, y in REACH_POINTS:
        for z in REACH_HEIGHTS_M:
            if not solver.reaches(Pose(np.array([x, y, z]) - np.array(robot.base_pos_world), home.quat)):
                yield f"from its home posture its hand does not reach ({x}, {y}, {z}) m on the table with the same orientation"


def _about_work(robot: Robot) -> Iterator[str]:
    from vlagym.envs.frames import Pose
    from vlagym.envs.whole_body import HandTarget, whole_body

    work, stance = robot.work, robot.stance
    if work is None:
        return
    tables_m = [0.0] if stance is None else sorted({-arenas.arena(a).floor.height_m - stance.pelvis_height_m for a in stance.arenas})
    solver = whole_body(robot.name)
    home = solver.forward(np.array(robot.home_qpos))
    for side, (low, high) in (("left", work.left_y_m), ("right", work.right_y_m)):
        for table_m in (tables_m[0], tables_m[-1]):
            for x, y, z in itertools.product(work.x_m, (low, high), WORK_HEIGHTS_M):
                point = np.array([x, y, table_m + z]) - np.array(robot.base_pos_world)
                if not solver.reaches(side, HandTarget(Pose(point, home[side].quat), "free")):
                    yield f"its {side} hand does not reach ({x}, {y}, {z}) m, a corner of its work area {z} m above a table at {table_m:.3f} m"
    if not (work.middle_y_m[0] >= work.left_y_m[0] and work.middle_y_m[1] <= work.right_y_m[1]):
        yield f"the middle of its work area, y {work.middle_y_m}, is not within what both hands reach: {work.left_y_m} and {work.right_y_m}"


CONTRACT = Contract(names=lambda: catalog.names("robot"), complaints=_complaints)
