"""Two Pandas side by side: each is the Panda, they stay out of each other's way, and both reach the middle."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import mujoco
import numpy as np
import pytest

from vlagym.envs import catalog
from vlagym.envs.control import action_spec
from vlagym.envs.frames import Pose, from_yaw, multiply, rotate
from vlagym.envs.kinematics import kinematics
from vlagym.envs.robot import Robot
from vlagym.envs.simulation import physics_digest
from vlagym.envs.types import EpisodeSpec, Predicate, PropSpec, SceneSpec
from vlagym.envs.whole_body import WholeBody, whole_body
from vlagym.envs.world import World

BOTH: Robot = catalog.load("robot", "panda_bimanual")
PANDA: Robot = catalog.load("robot", "panda")
DOWN = np.array([0.0, 1.0, 0.0, 0.0])


def _compiled(robot: Robot, look: str | None = None) -> Any:
    spec = mujoco.MjSpec()
    spec.compiler.degree = False
    robot.add(spec, look)
    return spec.compile()


@pytest.fixture(scope="module")
def pair() -> Any:
    """Returns the compiled model of both arms."""
    return _compiled(BOTH)


@pytest.fixture(scope="module")
def solver() -> WholeBody:
    """Returns the inverse kinematics of both arms."""
    return whole_body("panda_bimanual")


@pytest.fixture(scope="module")
def episode() -> EpisodeSpec:
    """Returns an episode with one block in the middle."""
    block = PropSpec(name="block_red", asset="block_red", pos_world=(0.45, 0.0, 0.0), quat_world_wxyz=(1.0, 0.0, 0.0, 0.0))
    return EpisodeSpec(
        task="by_hand",
        robot="panda_bimanual",
        scene=SceneSpec(arena="studio", props=(block,), cameras=BOTH.cameras),
        robot_qpos=BOTH.home_qpos,
        goal=(Predicate(name="lifted", args=("block_red",)),),
        stages=(),
        alternatives=(),
        instruction="lift the block",
        phrase="by hand",
        control=action_spec(BOTH, "default"),
        horizon_s=5.0,
    )


def _act(world: World, spec: EpisodeSpec, steps: int = 1, **parts: tuple[float, ...]) -> None:
    action, slices = np.zeros(spec.control.size), spec.control.slices()
    for side in BOTH.sides:
        action[slices[f"{side}_hand"]] = -1.0
    for name, value in parts.items():
        action[slices[name]] = value
    for _ in range(steps):
        world.advance(action)


def test_each_arm_weighs_and_moves_as_the_panda_does(pair: Any) -> None:
    single = _compiled(PANDA)
    for side, body in itertools.product(BOTH.sides, PANDA.bodies):
        ours, theirs = pair.body(f"{side}_{body}"), single.body(body)
        assert ours.mass == theirs.mass and np.array_equal(ours.inertia, theirs.inertia), ours.name
    for side, joint in itertools.product(BOTH.sides, (*PANDA.joints, *PANDA.end_effectors[0].finger_joints)):
        assert np.array_equal(pair.joint(f"{side}_{joint}").range, single.joint(joint).range)
        ours, theirs = pair.actuator(f"{side}_{joint}"), single.actuator(joint)
        assert np.array_equal(ours.gainprm, theirs.gainprm) and np.array_equal(ours.forcerange, theirs.forcerange)


def test_a_hand_stands_where_that_of_a_panda_beside_the_middle_stands(solver: WholeBody) -> None:
    single, rng = kinematics("panda"), np.random.default_rng(0)
    for _ in range(50):
        q = rng.uniform(BOTH.joint_low_rad, BOTH.joint_high_rad)
        poses = solver.forward(q)
        for side, y, part in (("left", 0.30, q[:7]), ("right", -0.30, q[7:])):
            assert np.allclose(poses[side].pos, single.forward(part).pos + [0.0, y, 0.0], atol=1e-9)


def test_the_panda_itself_has_no_names_of_the_pair() -> None:
    model = _compiled(PANDA)
    names = [model.body(i).name for i in range(model.nbody)] + [model.joint(i).name for i in range(model.njnt)]
    assert not any(name.startswith(("left_link", "right_link", "left_joint", "right_joint", "mast")) for name in names)
    assert [model.body(i).name for i in range(1, model.nbody)] == list(PANDA.bodies)


def test_both_arms_share_their_meshes() -> None:
    look = BOTH.resolve_look("auto")
    assert _compiled(BOTH, look).nmesh == _compiled(PANDA, look).nmesh


def test_the_look_does_not_change_the_physics() -> None:
    assert physics_digest(_compiled(BOTH)) == physics_digest(_compiled(BOTH, BOTH.resolve_look("auto")))


def test_home_touches_nothing_and_keeps_the_hands_apart(episode: EpisodeSpec) -> None:
    world = World(render=False)
    world.start(episode)
    assert not world.advance(np.zeros(episode.control.size)).contacts
    left, right = (world.simulation.ee_pose_world(i).pos for i in range(2))
    assert left == pytest.approx(right * [1, -1, 1], abs=1e-3) and left[1] > 0.35


def test_either_hand_looks_down_where_its_work_area_says(solver: WholeBody) -> None:
    assert BOTH.work is not None
    areas = {"left": BOTH.work.left_y_m, "right": BOTH.work.right_y_m}
    for side, x, z, turn in itertools.product(BOTH.sides, BOTH.work.x_m, (0.02, 0.2), (-1.2, 1.2)):
        for y in (*areas[side], *BOTH.work.middle_y_m):
            target = Pose(np.array([x, y, z]), multiply(from_yaw(turn), DOWN))
            assert solver.reaches(side, target), (side, x, y, z, turn)


def test_both_hands_come_to_the_middle_without_touching_each_other(solver: WholeBody, pair: Any) -> None:
    targets = {side: Pose(np.array([0.45, y, 0.15]), DOWN) for side, y in (("left", 0.12), ("right", -0.12))}
    found = solver.solve(targets)
    assert found.is_near()
    data = mujoco.MjData(pair)
    for joint, value in zip(BOTH.joints, found.q, strict=True):
        data.joint(joint).qpos = value
    mujoco.mj_forward(pair, data)
    assert data.ncon == 0


def test_one_hand_moves_and_closes_while_the_other_stays(episode: EpisodeSpec) -> None:
    world = World(render=False)
    world.start(episode)
    before = [world.simulation.ee_pose_world(i).pos for i in range(2)]
    _act(world, episode, 8, left_translation=(0.25, 0.0, 0.0))
    _act(world, episode, 10, left_hand=(1.0,))
    after = [world.simulation.ee_pose_world(i).pos for i in range(2)]
    assert after[0] - before[0] == pytest.approx([0.10, 0.0, 0.0], abs=4e-3)
    assert after[1] == pytest.approx(before[1], abs=1e-3)
    assert world.simulation.finger_opening_m(0) < 0.002 and world.simulation.finger_opening_m(1) == pytest.approx(0.08, abs=2e-3)


def test_joints_are_commanded_arm_by_arm(episode: EpisodeSpec) -> None:
    spec = dataclasses.replace(episode, control=action_spec(BOTH, "joint_position"))
    assert [(c.name, c.size) for c in spec.control.components] == [("left_arm", 7), ("right_arm", 7), ("left_hand", 1), ("right_hand", 1)]
    world = World(render=False)
    world.start(spec)
    wanted = np.array(BOTH.home_qpos)
    wanted[7] += 0.3
    for _ in range(20):
        facts = world.advance(np.concatenate([wanted, [-1.0, -1.0]]))
    assert facts.joint_pos == pytest.approx(wanted, abs=5e-3)


def test_the_head_sees_both_hands_and_the_work_area(episode: EpisodeSpec) -> None:
    world = World(render=False)
    world.start(episode)
    assert BOTH.work is not None
    eye, head = world.simulation.camera_pose("head"), next(c for c in BOTH.cameras if c.name == "head")
    half = np.tan(np.radians(head.fovy_deg / 2))
    points = [world.simulation.ee_pose_world(i).pos for i in range(2)]
    points += [np.array([x, y, 0.0]) for x, y in itertools.product(BOTH.work.x_m, BOTH.work.y_m)]
    for point in points:
        x, y, z = rotate(eye.inverse().quat, point - eye.pos)
        assert z < 0 and abs(x / z) < half and abs(y / z) < half, point
