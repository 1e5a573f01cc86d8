"""Actions that arrive late: executed in order, each so many control steps after it was sent, with set points kept until the first arrives."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from vlagym.envs.control import action_spec
from vlagym.envs import catalog
from vlagym.envs.errors import BadAction, NotReset
from vlagym.envs.types import EpisodeSpec
from vlagym.envs.world import World


def _late(spec: EpisodeSpec, steps: int) -> EpisodeSpec:
    return dataclasses.replace(spec, action_delay_steps=steps)


def _path(length: int = 12) -> np.ndarray:
    return np.clip(np.random.default_rng(3).normal(0, 0.5, (length, 7)), -1, 1)


def test_late_actions_lead_to_the_very_states_of_punctual_ones_after_as_much_waiting(two_blocks: EpisodeSpec) -> None:
    late, punctual = World(render=False), World(render=False)
    late.start(_late(two_blocks, 3))
    punctual.start(two_blocks)
    for _ in range(3):
        punctual.wait()
    path = _path()
    for step, action in enumerate(np.concatenate([path, np.zeros((3, 7))])):
        facts = late.advance(action)
        if step >= 3:
            assert np.array_equal(facts.joint_pos, punctual.advance(path[step - 3]).joint_pos)
    assert late.state_digest() == punctual.state_digest()


def test_before_the_first_action_arrives_the_hand_stays_and_its_gripper_is_as_it_was(two_blocks: EpisodeSpec) -> None:
    world = World(render=False)
    begin = world.start(_late(two_blocks, 4))
    closing = np.array([1, 1, 1, 0, 0, 0, 1.0])
    for _ in range(4):
        facts = world.advance(closing)
        assert world.observe(()).proprio["gripper_command"] == -1.0
    assert np.linalg.norm(facts.ee_pos_world_m - begin.ee_pos_world_m) < 1e-3
    world.advance(closing)
    assert world.observe(()).proprio["gripper_command"] == 1.0


def test_what_is_sent_is_checked_at_once_and_belongs_to_the_world(two_blocks: EpisodeSpec) -> None:
    world, other = World(render=False), World(render=False)
    for one in (world, other):
        one.start(_late(two_blocks, 2))
    with pytest.raises(BadAction, match="outside"):
        world.advance([3.0, 0, 0, 0, 0, 0, 0])
    mine = np.zeros(7, np.float32)
    for value in (0.8, -0.3, 0.1, 0.5):
        mine[0] = value  # the same array is sent again
        world.advance(mine)
        other.advance([value, 0, 0, 0, 0, 0, 0])
    assert world.state_digest() == other.state_digest()


def test_a_body_with_two_hands_keeps_what_it_was_asked_for(two_blocks: EpisodeSpec) -> None:
    from vlagym.envs.sampling import sample

    spec = sample("go_to", seed=0)
    late, punctual = World(render=False), World(render=False)
    late.start(_late(spec, 2))
    punctual.start(spec)
    going = np.zeros(spec.control.size, np.float32)
    going[spec.control.slices()["navigate_command"]] = (0.3, 0.0, 0.2)
    for _ in range(2):
        punctual.wait()
    for step in range(6):
        facts = late.advance(going)
        if step >= 2:
            assert np.array_equal(facts.base_pose_world, punctual.advance(going).base_pose_world)
    assert abs(float(facts.base_pose_world[0])) > 0.005


def test_nobody_waits_without_an_episode() -> None:
    with pytest.raises(NotReset, match="no episode is running"):
        World(render=False).wait()


def test_an_episode_without_a_delay_is_written_as_before(two_blocks: EpisodeSpec) -> None:
    assert two_blocks.control == action_spec(catalog.load("robot", "panda"), "ee_delta")
    assert "action_delay_steps" not in two_blocks.to_json()
