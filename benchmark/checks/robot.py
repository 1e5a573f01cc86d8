"""A robot: every name exists in its model, its home posture is within limits, and its hand reaches the table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from vlagym.benchmark.check import Contract, first_sentence_complaint
from vlagym.envs import catalog
from vlagym.envs.robot import EndEffector, Robot

REACH_POINTS = ((0.45, 0.0), (0.55, 0.2), (0.55, -0.2), (0.4, 0.2), (0.4, -0.2))
"""Points (x, y) in m of the world frame, in the middle of where tasks put things."""
REACH_HEIGHTS_M = (0.02, 0.2)


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
        yield from _about_reach(robot)


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
    kinds = {"body": model.nbody, "joint": model.njnt, "actuator": model.nu, "site": model.nsite}
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


CONTRACT = Contract(names=lambda: catalog.names("robot"), complaints=_complaints)
