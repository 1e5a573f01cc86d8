"""Actions move what they say, in the units and frames that they say, and nothing faster than it may."""

import dataclasses

import numpy as np
import pytest

from vlagym.envs import catalog
from vlagym.envs.control import ROTATION_SCALE_RAD, TRANSLATION_SCALE_M, action_spec
from vlagym.envs.errors import BadAction, UnknownName
from vlagym.envs.frames import conjugate, multiply, to_axis_angle
from vlagym.envs.types import EpisodeSpec
from vlagym.envs.world import World

PANDA = catalog.load("robot", "panda")


def _with_control(spec: EpisodeSpec, name: str) -> EpisodeSpec:
    return dataclasses.replace(spec, control=action_spec(PANDA, name))


def _world(spec: EpisodeSpec, control: str = "ee_delta") -> World:
    world = World(render=False)
    world.start(_with_control(spec, control))
    return world


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_ee_delta_translates_by_its_scale_in_the_base_frame(two_blocks: EpisodeSpec, axis: int) -> None:
    world = _world(two_blocks)
    before = world.simulation.ee_pose_world().pos
    action = np.zeros(7)
    action[axis], action[6] = 0.3, -1
    for _ in range(4):
        world.advance(action)
    for _ in range(10):
        world.advance([0, 0, 0, 0, 0, 0, -1])
    moved = world.simulation.ee_pose_world().pos - before
    wanted = np.zeros(3)
    wanted[axis] = 4 * 0.3 * TRANSLATION_SCALE_M
    assert np.allclose(moved, wanted, atol=0.003)


def test_ee_delta_turns_about_the_vertical_of_the_base(two_blocks: EpisodeSpec) -> None:
    world = _world(two_blocks)
    before = world.simulation.ee_pose_world().quat
    for _ in range(4):
        world.advance([0, 0, 0, 0, 0, 0.4, -1])
    for _ in range(10):
        world.advance([0, 0, 0, 0, 0, 0, -1])
    turned = to_axis_angle(multiply(world.simulation.ee_pose_world().quat, conjugate(before)))
    assert np.allclose(turned, [0, 0, 4 * 0.4 * ROTATION_SCALE_RAD], atol=0.02)


def test_the_gripper_closes_on_plus_one_and_opens_on_minus_one(two_blocks: EpisodeSpec) -> None:
    world = _world(two_blocks)
    for _ in range(15):
        world.advance([0, 0, 0, 0, 0, 0, 1])
    assert world.simulation.finger_opening_m() < 0.004
    for _ in range(15):
        world.advance([0, 0, 0, 0, 0, 0, -1])
    assert world.simulation.finger_opening_m() > 0.076


def test_ee_pose_goes_to_the_pose_that_is_asked_for(two_blocks: EpisodeSpec) -> None:
    world = _world(two_blocks, "ee_pose")
    for _ in range(30):
        world.advance([0.5, 0.1, 0.3, 0, 1, 0, 0, -1])
    assert np.allclose(world.simulation.ee_pose_world().pos, [0.5, 0.1, 0.3], atol=0.003)
    with pytest.raises(BadAction, match="wants a quaternion wxyz, which has norm 1"):
        world.advance([0.5, 0.1, 0.3, 0, 0, 0, 0, -1])


def test_joint_conventions_move_joints(two_blocks: EpisodeSpec) -> None:
    world = _world(two_blocks, "joint_position")
    goal = np.array(PANDA.home_qpos) + [0.2, 0, 0, 0.1, 0, 0, -0.3]
    for _ in range(20):
        world.advance([*goal, -1])
    assert np.allclose(world.simulation.joint_pos, goal, atol=0.01)
    world = _world(two_blocks, "joint_delta")
    before = world.simulation.joint_pos
    for _ in range(3):
        world.advance([0.5, 0, 0, 0, 0, 0, 0, -1])
    for _ in range(10):
        world.advance([0, 0, 0, 0, 0, 0, 0, -1])
    assert world.simulation.joint_pos[0] - before[0] == pytest.approx(0.15, abs=0.005)


@pytest.mark.parametrize("control", ["ee_delta", "joint_delta"])
def test_full_commands_stay_within_the_speed_of_the_joints(two_blocks: EpisodeSpec, control: str) -> None:
    world = _world(two_blocks, control)
    limit = np.array(PANDA.joint_speed_max_rad_s)
    action = np.ones(world.spec.control.size)
    if control == "ee_delta":
        action[:] = [1, 1, 0.2, 0, 0, 1, -1]
    fastest = np.zeros(7)
    for _ in range(12):
        world.advance(action)
        fastest = np.maximum(fastest, np.abs(world.simulation.joint_vel))
    assert (fastest < 1.25 * limit).all(), fastest / limit  # the servo overshoots a ramp a little


def test_pressing_on_the_table_stays_gentle(two_blocks: EpisodeSpec) -> None:
    world = _world(two_blocks)
    for _ in range(60):
        facts = world.advance([0, 0, -0.5, 0, 0, 0, 1])
    assert 20.0 < float(facts.contact_force_n.mean(axis=0).max()) < 400.0  # as 6 cm of lead press, however long one goes on
    assert np.linalg.norm(world._arm.pose_target.pos - world.simulation.ee_pose_world().pos) < 0.07


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (np.zeros(6), r"the action has shape \(6,\); ee_delta wants \(7,\) float32: translation\[3\], rotation\[3\], gripper\[1\]"),
        ([0, 0, float("nan"), 0, 0, 0, 0], r"the action holds nan at index 2 \(translation\)"),
        ([0, 0, 0, 0, 0, 0, 1.5], r"the action holds 1.5 at index 6 \(gripper\), outside \[-1, 1\].*Clip it"),
        ([0, 0, 0, 0, float("inf"), 0, 0], r"the action holds inf at index 4 \(rotation\)"),
        (["a"] * 7, "the action has dtype"),
        ([0, 0, [0, 0], 0], r"the action is no array \(.*\); ee_delta wants \(7,\) float32"),
        (np.zeros(7, complex), "the action has dtype complex128"),
    ],
)
def test_a_bad_action_is_answered_with_what_was_wanted(two_blocks: EpisodeSpec, action: object, message: str) -> None:
    world = _world(two_blocks)
    before = world.state_digest()
    with pytest.raises(BadAction, match=message):
        world.advance(action)
    assert world.state_digest() == before


def test_an_unknown_convention_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UnknownName, match="no action convention is called 'ee_deltas'. Did you mean ee_delta"):
        action_spec(PANDA, "ee_deltas")
