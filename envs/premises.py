"""The premises of an episode: at rest, apart, not met yet, visible, in reach. A scene in which one is broken is not played."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from vlagym.envs import catalog
from vlagym.envs.bases import base_frame
from vlagym.envs.errors import Divergence
from vlagym.envs.frames import Pose, from_yaw, multiply, pose, rotate, to_matrix
from vlagym.envs.kinematics import kinematics
from vlagym.envs.fixtures import FixtureJoint, get_fixture
from vlagym.envs.handles import hook_pose
from vlagym.envs.objects import asset_of
from vlagym.envs.predicates.state import joint_of
from vlagym.envs.robot import Robot
from vlagym.envs.scene import TABLE
from vlagym.envs.shapes.parts import joint_bounds
from vlagym.envs.types import CameraSpec, EpisodeSpec, FixtureSpec, Predicate
from vlagym.envs.whole_body import HandTarget, whole_body
from vlagym.envs.world import World

MAX_DRIFT_M = 0.003
"""How far an object may settle from where it was put."""
MAX_SPEED_M_S = 0.02
MAX_PENETRATION_M = 0.002
MIN_VISIBLE = 0.4
"""Share of the rays from `front` to a named object that must arrive."""


def broken_premise(spec: EpisodeSpec, world: World | None = None) -> str | None:
    """Returns in a few words which premise of an episode does not hold; None if all do.

    Args:
      spec: The episode; its sentence is not looked at.
      world: One to use, without rendering; made where None.
    """
    world = world or World(render=False)
    try:
        facts = world.start(spec)
    except Divergence:
        return "the scene diverges while it settles"
    for prop, pos, quat in zip(spec.scene.props, facts.prop_pos_world_m, facts.prop_quat_world_wxyz, strict=True):
        drift = float(np.linalg.norm(pos - np.array(prop.pos_world)))
        was, now = to_matrix(prop.quat_world_wxyz), to_matrix(quat)
        if drift > MAX_DRIFT_M or float(was[2] @ now[2]) < 0.995:
            return f"{prop.asset} does not stay where it was put"
    data = world.simulation.data
    if float(np.abs(data.qvel).max()) > MAX_SPEED_M_S * 5 or _prop_speed(world) > MAX_SPEED_M_S:
        return "the scene is not at rest"
    if data.ncon and float(data.contact.dist.min()) < -MAX_PENETRATION_M:
        return "things penetrate each other"
    if facts.goal_met.all() or facts.alternative_met.any():
        return "a goal is met at the start"
    cameras = {c.name: c for c in spec.scene.cameras}
    if "front" not in cameras:
        return "there is no camera called front"
    props = {p.name for p in spec.scene.props} if spec.scene.fixtures else set()
    robot: Robot = catalog.load("robot", spec.robot)
    if robot.has_two_hands:
        return _broken_for_two_hands(world, spec, robot)
    for name in spec.named:
        if _visible_share(world, spec, name, cameras["front"]) < MIN_VISIBLE:
            return f"{name} is hidden from the front camera"
        targets = _points_to_reach(spec, name)
        if not all(_reaches(spec.robot, target) for target in targets):
            return f"{name} is out of reach"
        if name in props and not _arm_has_room(world, spec.robot, targets[0]):
            return f"furniture stands in the way of the arm to {name}"
    return None


FROM_AFAR = frozenset(("pointed_at", "pointed_at_with", "gestured", "faced", "approached", "carried_to"))
"""Predicates whose things need not all be in reach of the hands at the start: what `carried_to` is about must be, where it goes need not."""
_OPENED_M = 0.012
"""Beyond where a drawer counts as open, an arm must still reach its handle."""
REACH_M = 0.03
"""How near a pinch point must come to the middle of what is to be handled, the hand turned as it likes."""
_ANY_CAMERA = ("head", "front")
_STOOPED = (Pose(np.array([0.0, 0.0, -0.28]), np.array([0.9689, 0.0, 0.2474, 0.0])),)
"""Where the pelvis of a robot on its legs is, in its base frame, that has squatted and leans by half a radian: it reaches from there, too."""
_SOUGHT = frozenset(("faced", "approached"))
"""What these are about may be behind the robot: it is enough that the head sees it once the robot has turned to it on the spot."""


def _broken_for_two_hands(world: World, spec: EpisodeSpec, robot: Robot) -> str | None:
    """Returns which premise of an episode with two hands does not hold: what is named is seen, and in reach of a hand that may take it."""
    there = [world.scene.cameras[name] for name in _ANY_CAMERA if name in world.scene.cameras]
    predicates = [*spec.goal, *(p for step in spec.steps for p in step)]
    sought = {thing for p in predicates if p.name in _SOUGHT for thing in p.things}
    if spec.robot_base == "planar":
        sought |= {p.args[1] for p in predicates if p.name == "carried_to"}
    for name in spec.named:
        share = max(_visible_share(world, spec, name, camera) for camera in there)
        if share < MIN_VISIBLE and (name not in sought or _share_when_faced(world, spec, name) < MIN_VISIBLE):
            return f"{name} is hidden from the head"
    for predicate in predicates:
        near = predicate.things[:1] if predicate.name in FROM_AFAR else predicate.things
        if predicate.name in FROM_AFAR - {"carried_to"}:
            continue
        for name in near:
            hands = _named_hands(predicates, name) or robot.sides
            if not any(_hand_reaches(world, robot, side, name) for side in hands):
                return f"{name} is out of reach"
    return None


def _named_hands(predicates: Sequence[Predicate], name: str) -> Sequence[str]:
    """Returns the sides of the hands that must handle a thing or a part of it, such as the drawer of a cabinet."""
    root = name.partition("/")[0]
    return [p.args[1][1:] for p in predicates if p.name == "by_hand" and p.args[0].partition("/")[0] == root]


def _hand_reaches(world: World, robot: Robot, side: str, name: str) -> bool:
    spec, body = world.spec, whole_body(robot.name, world.spec.robot_base)
    if not _hooks_what_opens(spec, robot, side, name):
        return False
    base = base_frame(robot, world.scene.floor_m, spec.robot_start)
    points = _points_to_see(spec, name)
    target = HandTarget(Pose(base.inverse().apply(points.mean(axis=0)), np.array([1.0, 0.0, 0.0, 0.0])), "free")
    pelvises = (None, *_STOOPED) if spec.robot_base == "legs" else (None,)
    return any(
        body.solve({side: target}, np.array(spec.robot_qpos), iterations=40, pelvis=pelvis).position_m[side] < REACH_M for pelvis in pelvises
    )


def _hooks_what_opens(spec: EpisodeSpec, robot: Robot, side: str, name: str) -> bool:
    """Returns whether an arm that is a robot by itself hooks the handles of a fixture that the goal wants open, closed and open; True for others."""
    single = robot.hand(side).single
    wanted = [p.args[0] for p in (*spec.goal, *(p for step in spec.steps for p in step)) if p.name == "open" and p.args[0].startswith(f"{name}/")]
    if single is None or not wanted:
        return True
    arm: Robot = catalog.load("robot", single.robot)
    (fixture,) = (f for f in spec.scene.fixtures if f.name == name)
    x, y, z = (here - there for here, there in zip(fixture.pos_world, single.base_pos_m, strict=True))
    there = dataclasses.replace(fixture, pos_world=(x, y, z))
    for joint in (joint_of(spec, path) for path in wanted):
        for position in (0.0, min(joint.open_threshold_m + _OPENED_M, joint.range_m[1])):
            if not kinematics(single.robot).reaches(hook_pose(there, joint, position, arm.end_effectors[0])):
                return False
    return True


def _share_when_faced(world: World, spec: EpisodeSpec, name: str) -> float:
    """Returns the share of a thing that the head sees once a gliding base has turned to it where it starts; 0 where there is no head."""
    if "head" not in world.scene.cameras:
        return 0.0
    x, y, yaw = spec.robot_start
    middle = _points_to_see(spec, name).mean(axis=0)
    turn = from_yaw(float(np.arctan2(middle[1] - y, middle[0] - x)) - yaw)
    about = np.array([x, y, 0.0])
    head = world.simulation.camera_pose("head")
    here = Pose(about + rotate(turn, head.pos - about), multiply(turn, head.quat))
    return _visible_share(world, spec, name, world.scene.cameras["head"], here)


def _prop_speed(world: World) -> float:
    data, scene = world.simulation.data, world.scene
    if not len(scene.prop_bodies):
        return 0.0
    dof = scene.model.body_dofadr[scene.prop_bodies]
    return float(np.abs(data.qvel[dof[:, None] + np.arange(3)]).max())


def _points_to_reach(spec: EpisodeSpec, name: str) -> list[Any]:
    """Returns points, or whole poses, (world frame) that the pinch point must reach to work with a prop or fixture."""
    for p in spec.scene.props:
        if p.name == name:
            base, height = np.array(p.pos_world), asset_of(p).size_m[2]
            return [base + [0, 0, max(0.02, height / 2)], base + [0, 0, height + 0.14]]
    for f in spec.scene.fixtures:
        if f.name == name:
            return [target for joint in _joints_of_the_goal(spec, f) for target in _joint_targets(spec.robot, f, joint)]
    raise AssertionError(name)


def _joints_of_the_goal(spec: EpisodeSpec, fixture: FixtureSpec) -> list[FixtureJoint]:
    """Returns the joints of a fixture that the goal is about; all of them if it only names the fixture."""
    asset = get_fixture(fixture.asset)
    said = {a.partition("/")[2] for p in spec.goal for a in p.args if a.startswith(f"{fixture.name}/")}
    return [joint for joint in asset.joints if not said or joint.name in said]


def _joint_targets(robot: str, fixture: FixtureSpec, joint: FixtureJoint) -> list[Any]:
    """Returns where the hand works with a joint: along the way of its handle, or above the middle of what has none."""
    start = dict(fixture.joints).get(joint.name, 0.0)
    if joint.handle is None:
        middle = pose(fixture.pos_world, from_yaw(fixture.yaw_rad)) @ joint.at(start)
        point = middle.apply(joint_bounds([part.shape for part in joint.visual]).mean(axis=0))
        return [point, point + [0, 0, 0.05]]
    body: Robot = catalog.load("robot", robot)
    hand = body.end_effectors[0]
    hooks = [hook_pose(fixture, joint, position, hand) for position in (start, *joint.range_m)]
    if joint.type == "slide" and joint.handle.hook_tilt_rad == 0.0 and hand.bar_opening_m is None:
        return [hooks[0].pos, hooks[0].pos + [0, 0, 0.10], hooks[2].pos]
    return [*hooks, Pose(hooks[0].pos + [0, 0, 0.08], hooks[0].quat)]


def _reaches(robot: str, target: Any) -> bool:
    if isinstance(target, Pose):
        return kinematics(robot).reaches(target)
    point, down = target, _down(robot)
    return any(kinematics(robot).reaches(Pose(np.array(point), multiply(from_yaw(turn), down))) for turn in (0.0, 0.7, -0.7))


def _arm_has_room(world: World, robot: str, point: Any) -> bool:
    """Returns whether the arm, hand down at a point, can take a posture in which it does not lean on furniture; the hand may find another turn."""
    import mujoco

    arm, down, scene = kinematics(robot), _down(robot), world.scene
    body: Robot = catalog.load("robot", robot)
    links = {i for i, name in enumerate(body.bodies) if name not in _hand_bodies(body)}
    first = scene.num_robot + scene.num_arena
    furniture = range(first, first + len(world.spec.scene.fixtures))
    data = mujoco.MjData(scene.model)
    around = world.simulation.data.qpos.copy()
    for name in {p.args[0] for step in world.spec.steps for p in step if p.name == "open"}:
        # By the time that it is reached for, this stands open.
        at = scene.fixture_joint_qpos[scene.fixture_joint_names.index(name)]
        around[at] = joint_of(world.spec, name).range_m[1]
    for turn in (0.0, 0.7, -0.7, 1.5, -1.5):
        q, position, rotation = arm.solve(Pose(np.array(point), multiply(from_yaw(turn), down)))
        if position > 5e-3 or rotation > 0.05:
            continue
        data.qpos[:] = around
        data.qpos[scene.joint_qpos] = q
        mujoco.mj_kinematics(scene.model, data)
        mujoco.mj_comPos(scene.model, data)
        mujoco.mj_collision(scene.model, data)
        parties = scene.geom_party[data.contact.geom]
        if not any((a in links and b in furniture) or (b in links and a in furniture) for a, b in parties.tolist()):
            return True
    return False


@functools.cache
def _hand_bodies(robot: Robot) -> frozenset[str]:
    """Returns the links that are the hand and its fingers."""
    hand = robot.end_effectors[0]
    return frozenset((hand.body, *(name for side in hand.finger_sides for name in side)))


@functools.cache
def _down(robot: str) -> Any:
    """Returns the orientation of the hand in the home posture, made exactly vertical."""
    body: Robot = catalog.load("robot", robot)
    forward = rotate(kinematics(robot).forward(np.array(body.home_qpos)).quat, np.array([1.0, 0.0, 0.0]))
    yaw = float(np.arctan2(forward[1], forward[0]))
    return multiply(from_yaw(yaw), np.array([0.0, 1.0, 0.0, 0.0]))


def _visible_share(world: World, spec: EpisodeSpec, name: str, camera: CameraSpec, here: Pose | None = None) -> float:
    """Returns the share of rays from a camera (where it is, or at another pose) to points of a thing that meet it first, 0 where it leaves the image.

    Rays and not pixels: the same on every machine, with every renderer, and without one.
    """
    import mujoco

    scene, data = world.scene, world.simulation.data
    if here is None:
        here = pose(camera.pos_parent, camera.quat_parent_wxyz) if camera.parent == "world" else world.simulation.camera_pose(camera.name)
    eye = here.pos
    points = _points_to_see(spec, name)
    inside = _in_image(points, camera, here)
    hits = 0
    group = np.array([1, 1, 0, 1, 0, 0], np.uint8)  # what collides, the arena, no visual meshes
    geom = np.zeros(1, np.int32)
    normal = np.zeros(3)
    party = scene.parties.index(TABLE if _is_painted(spec, name) else name)
    for point, seen in zip(points, inside, strict=True):
        if not seen:
            continue
        ray = point - eye
        length = float(np.linalg.norm(ray))
        _ray(mujoco, scene.model, data, eye, ray / length, group, geom, normal)
        hits += int(geom[0] >= 0 and scene.geom_party[geom[0]] == party)
    return hits / len(points)


def _is_painted(spec: EpisodeSpec, name: str) -> bool:
    """Returns whether a thing is a mark on the table, which no ray meets: it is seen where the table is."""
    return any(f.name == name and not get_fixture(f.asset).collision for f in spec.scene.fixtures)


def _ray(mujoco: Any, model: Any, data: Any, eye: Any, direction: Any, group: Any, geom: Any, normal: Any) -> None:
    mujoco.mj_ray(model, data, eye, direction, group, 1, -1, geom, normal)


def _points_to_see(spec: EpisodeSpec, name: str) -> Any:
    """Returns (n, 3) points within a prop, or along the handle bars of a fixture, in the world frame."""
    for p in spec.scene.props:
        if p.name == name:
            asset, here = asset_of(p), pose(p.pos_world, p.quat_world_wxyz)
            x, y, z = (0.35 * s for s in asset.size_m)
            grid = [(i * x, j * y, asset.size_m[2] / 2 + k * z) for i in (-1, 0, 1) for j in (-1, 0, 1) for k in (-1, 0, 1)]
            return np.array([here.apply(g) for g in grid])
    for f in spec.scene.fixtures:
        if f.name == name:
            here = pose(f.pos_world, from_yaw(f.yaw_rad))
            joints = _joints_of_the_goal(spec, f)
            if not joints:
                return np.array([here.apply(point) for point in _grid(joint_bounds([part.shape for part in get_fixture(f.asset).visual]))])
            return np.array([here.apply(point) for joint in joints for point in _joint_points(joint, dict(f.joints).get(joint.name, 0.0))])
    raise AssertionError(name)


def _joint_points(joint: FixtureJoint, position: float) -> list[Any]:
    """Returns points (frame of the fixture) along the bar of a joint's handle, or within what has none."""
    frame = joint.at(position)
    if joint.handle is None:
        return [frame.apply(point) for point in _grid(joint_bounds([part.shape for part in joint.visual]))]
    middle, axis = np.array(joint.handle.pos_m), np.array(joint.handle.axis)
    return [frame.apply(middle + t * axis) for t in (-0.03, -0.015, 0.0, 0.015, 0.03)]


def _grid(bounds: Any) -> list[Any]:
    """Returns 27 points within a box `(2, 3)`, 0.35 of its extents around its middle."""
    middle, half = bounds.mean(axis=0), 0.35 * (bounds[1] - bounds[0])
    return [middle + half * [i, j, k] for i in (-1, 0, 1) for j in (-1, 0, 1) for k in (-1, 0, 1)]


def _in_image(points: Any, camera: CameraSpec, here: Pose) -> Any:
    back = here.inverse()
    local = np.array([back.apply(p) for p in points])
    half = np.tan(np.radians(camera.fovy_deg) / 2)
    depth = -local[:, 2]
    aspect = camera.width / camera.height
    return (depth > 0) & (np.abs(local[:, 1]) < half * depth) & (np.abs(local[:, 0]) < half * aspect * depth)


