"""The expert where actions arrive late: it decides ahead, succeeds as without the delay, and says so when the world does not follow."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from vlagym.benchmark.episode import WorldOptions, conclude, make_world, play_episode
from vlagym.benchmark.stored import again
from vlagym.envs.errors import BadSpec, VlagymError
from vlagym.envs.sampling import sample
from vlagym.envs.types import EpisodeSpec
from vlagym.envs.world import World
from vlagym.policies.adapters.expert import Expert
from vlagym.policies.base import EpisodeContext


def _late(task: str, steps: int, **options: str) -> EpisodeSpec:
    return dataclasses.replace(sample(task, seed=0, **options), action_delay_steps=steps)


@pytest.mark.parametrize(("task", "steps"), [("press_button", 6), ("touch_with", 3)])
def test_it_needs_only_so_many_steps_more_as_actions_are_late(task: str, steps: int) -> None:
    world, expert = make_world(WorldOptions(render=False)), Expert()
    punctual = play_episode(world, _late(task, 0), expert).result
    late = play_episode(world, _late(task, steps), expert)
    assert punctual.outcome == late.result.outcome == "success" and late.trace is not None
    assert late.result.steps - punctual.steps == steps
    repeated = conclude(late.trace.spec, again(world, late.trace).play(), 1, 0.0).result
    assert repeated.certificate == late.result.certificate  # verified: the stored actions are those that were sent


def test_it_says_so_when_something_else_was_executed_than_what_it_sent() -> None:
    spec, expert, world = _late("press_button", 2), Expert(), World(render=False)
    world.start(spec)
    expert.reset(EpisodeContext(slot=0, instruction=spec.instruction, action=spec.control, digest=spec.digest(), spec=spec))
    with pytest.raises(VlagymError, match="not as it was rehearsed.*without noise and without a safety filter"):
        for _ in range(30):
            expert.act({0: world.observe((), privileged=True)})
            world.advance(np.array([0.9, 0, 0, 0, 0, 0, -1], np.float32))


def test_it_wants_to_see_the_true_state() -> None:
    spec, expert, world = _late("press_button", 1), Expert(), World(render=False)
    world.start(spec)
    expert.reset(EpisodeContext(slot=0, instruction=spec.instruction, action=spec.control, digest=spec.digest(), spec=spec))
    with pytest.raises(BadSpec, match="the observation holds none"):
        expert.act({0: world.observe(())})
