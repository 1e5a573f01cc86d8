"""A task, a robot and a seed become an episode spec, whose premises have been checked."""

from __future__ import annotations

import dataclasses
import functools
from collections import Counter
from collections.abc import Sequence
from collections.abc import Mapping
from typing import Any

import numpy as np

from vlagym.envs import catalog
from vlagym.envs.arenas import arena
from vlagym.envs.control import action_spec
from vlagym.envs.errors import BadSpec, Divergence, Unsatisfiable, Unspeakable
from vlagym.envs.frames import Pose, from_yaw, multiply, pose, rotate, to_matrix
from vlagym.envs.kinematics import kinematics
from vlagym.envs.language import say
from vlagym.envs.fixtures import FixtureJoint, get_fixture
from vlagym.envs.handles import hook_pose
from vlagym.envs.objects import get
from vlagym.envs.robot import Robot
from vlagym.envs.scene import TABLE
from vlagym.envs.shapes import joint_bounds
from vlagym.envs.layout import layout_for
from vlagym.envs.split import ARENA_WORDS, arena_split, arena_split_for, arenas_of, place_split, start_of
from vlagym.envs.task import Crowded, Draft, Goal, Task
from vlagym.envs.types import CameraSpec, EpisodeSpec, FixtureSpec, SceneSpec, stream
from vlagym.envs.world import World

MAX_TRIES = 100
MAX_DRIFT_M = 0.003
"""How far an object may settle from where it was put."""
MAX_SPEED_M_S = 0.02
MAX_PENETRATION_M = 0.002
MIN_VISIBLE = 0.4
"""Share of the rays from `front` to a named object that must arrive."""
MAX_COMMAND_ERROR_M = 0.005


def sample(
    task: str,
    *,
    robot: str = "panda",
    seed: int,
    objects: str = "seen",
    phrases: str = "seen",
    control: str = "ee_delta",
    arena_name: str = "studio",
    catalogue: str = "full",
    level: str = "plain",
    layout: str = "default",
) -> EpisodeSpec:
    """Draws an episode and checks its premises: at rest, nothing penetrates, no goal is met, named things are visible in `front` and in reach.

    Args:
      task: Name of a task.
      robot: Name of a robot that the task can be done with.
      seed: The same seed gives the same episode; another split of objects or phrases gives another one.
      objects: Split of the object that the goal is about: seen | unseen.
      phrases: Split of the sentence's template: seen | unseen.
      control: Action convention of the environment.
      arena_name: Where it happens: an arena, or seen | unseen | any, which draws one of that split, or of the split of `objects`.
      catalogue: Which part of the assets is drawn from: full | core.
      level: How the sentence says it: a level of `vlagym.envs.language`, or mixed, which draws one.
      layout: Where things start: any | seen | unseen, see `vlagym.envs.layout`; default: seen, and any with the catalogue core.

    Raises:
      UnknownName: For an unknown task, robot, arena, catalogue, level or control.
      BadSpec: If the robot cannot do the task, or a split is neither seen nor unseen.
      Unsatisfiable: If no scene with these premises was found in MAX_TRIES tries; says why they failed.
    """
    for what, split in (("objects", objects), ("phrases", phrases)):
        if split not in ("seen", "unseen"):
            raise BadSpec(f"{what} is {split!r}; it must be seen or unseen")
    layout = layout_for(layout, catalogue)
    arena_name = _drawn_arena(arena_name, objects, stream(seed, task, "arena"))
    definition: Task = catalog.load("task", task)
    body: Robot = catalog.load("robot", robot)
    if robot not in definition.robots:
        raise BadSpec(f"{task!r} cannot be done with {robot!r}; it can with: {', '.join(definition.robots)}")
    reasons: Counter[str] = Counter()
    world = World(render=False)
    for attempt in range(MAX_TRIES):
        rng = stream(seed, task, robot, objects, "layout", str(attempt))
        draft = Draft(rng, objects, catalogue, layout)
        try:
            laid_out = definition.layout(draft)
        except Crowded as crowded:
            reasons[str(crowded)] += 1
            continue
        if not isinstance(laid_out, Sequence):
            raise BadSpec(f"the layout of {task!r} returned {type(laid_out).__name__}; it must return a list of at least two Goals")
        goals = list(laid_out)
        if len(goals) < 2:
            reasons["fewer than two feasible goals"] += 1
            continue
        if layout == "unseen" and not _starts_unseen(goals[0], draft):
            reasons["what the goal is about starts in a seen place"] += 1
            continue
        place = arena(arena_name)
        scene = SceneSpec(
            arena=arena_name,
            props=tuple(draft.props),
            fixtures=tuple(draft.fixtures),
            lights=place.light,
            cameras=(*(c.spec() for c in place.camera), *body.cameras),
        )
        posture = np.array(body.home_qpos) + rng.normal(0.0, 0.02, len(body.joints))
        spec = EpisodeSpec(
            task=task,
            robot=robot,
            scene=scene,
            robot_qpos=tuple(posture.round(5).tolist()),
            goal=goals[0].conditions,
            stages=goals[0].stages,
            steps=goals[0].steps,
            alternatives=tuple(g.conditions for g in goals[1:]),
            instruction="",
            phrase="",
            control=action_spec(body, control),
            horizon_s=round(definition.horizon_s(goals[0]) * body.pace, 3),
            hold_s=definition.hold_s,
            split="unseen" if "unseen" in (objects, phrases, layout, arena_split(arena_name)) else "seen",
            seed=seed,
        )
        broken = broken_premise(spec, world)
        if broken is None:
            try:
                sentence = say(spec, stream(seed, task, phrases, "sentence"), split="unseen" if phrases == "unseen" else "seen", level=level)
            except Unspeakable:
                reasons[f"no {level} sentence asks for the goal and for nothing else"] += 1
                continue
            return dataclasses.replace(spec, instruction=sentence.text, phrase=sentence.template_id, level=sentence.level)
        reasons[broken] += 1
    listed = "; ".join(f"{count}x {reason}" for reason, count in reasons.most_common(4))
    raise Unsatisfiable(f"no episode of {task!r} with seed {seed} and {objects} objects in {MAX_TRIES} tries: {listed}")


def _drawn_arena(name: str, objects: str, rng: np.random.Generator) -> str:
    """Returns the name, or one that is drawn where it is a split."""
    if name not in ARENA_WORDS:
        return name
    known = arenas_of(arena_split_for(name, objects))
    return known[int(rng.integers(len(known)))]


def _starts_unseen(goal: Goal, draft: Draft) -> bool:
    """Tells whether the first thing that a goal names starts in a place that is kept for evaluation."""
    places = {p.name: start_of(p) for p in draft.props} | {f.name: (f.pos_world[0], f.pos_world[1]) for f in draft.fixtures}
    subject = (*goal.conditions, *(predicate for step in goal.steps for predicate in step))[0].things[0]
    return place_split(*places[subject]) == "unseen"


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
    for name in spec.named:
        if _visible_share(world, spec, name, cameras["front"]) < MIN_VISIBLE:
            return f"{name} is hidden from the front camera"
        if not all(_reaches(spec.robot, target) for target in _points_to_reach(spec, name)):
            return f"{name} is out of reach"
    return None


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
            base, height = np.array(p.pos_world), get(p.asset).size_m[2]
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


@functools.cache
def _down(robot: str) -> Any:
    """Returns the orientation of the hand in the home posture, made exactly vertical."""
    body: Robot = catalog.load("robot", robot)
    forward = rotate(kinematics(robot).forward(np.array(body.home_qpos)).quat, np.array([1.0, 0.0, 0.0]))
    yaw = float(np.arctan2(forward[1], forward[0]))
    return multiply(from_yaw(yaw), np.array([0.0, 1.0, 0.0, 0.0]))


def _visible_share(world: World, spec: EpisodeSpec, name: str, camera: CameraSpec) -> float:
    """Returns the share of rays from a camera to points of a thing that meet it first, 0 where it leaves the image.

    Rays and not pixels: the same on every machine, with every renderer, and without one.
    """
    import mujoco

    scene, data = world.scene, world.simulation.data
    eye = np.array(camera.pos_parent)
    points = _points_to_see(spec, name)
    inside = _in_image(points, camera)
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
            asset, here = get(p.asset), pose(p.pos_world, p.quat_world_wxyz)
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


def _in_image(points: Any, camera: CameraSpec) -> Any:
    here = pose(camera.pos_parent, camera.quat_parent_wxyz).inverse()
    local = np.array([here.apply(p) for p in points])
    half = np.tan(np.radians(camera.fovy_deg) / 2)
    depth = -local[:, 2]
    aspect = camera.width / camera.height
    return (depth > 0) & (np.abs(local[:, 1]) < half * depth) & (np.abs(local[:, 0]) < half * aspect * depth)


