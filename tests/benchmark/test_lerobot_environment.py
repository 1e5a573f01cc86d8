"""What LeRobot's evaluation is given: pixels and agent_pos of a profile, our seeds, and rest after an episode until a new one is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

from vlagym.benchmark.hosts.lerobot.environment import EpisodeFailed, LeRobotEnv, observation_space, selected
from vlagym.benchmark.suite_files import load_suite
from vlagym.envs.errors import BadData, ConventionMismatch, UnknownName
from vlagym.policies.profile import load_profile
from vlagym.results.store import Store

pytestmark = pytest.mark.gl

PROFILE = load_profile("vlagym")
STILL = np.array([0, 0, 0, 0, 0, 0, -1], np.float32)
BAD = np.full(7, 2.0, np.float32)
SMALL: dict[str, Any] = {"task": "stack", "profile": "vlagym", "suite": "smoke", "episodes": 2, "state": "joint_pos_rad,gripper_opening_m"}


def vector(count: int, **said: Any) -> gymnasium.vector.SyncVectorEnv:
    mode = gymnasium.vector.AutoresetMode.SAME_STEP
    return gymnasium.vector.SyncVectorEnv([lambda: LeRobotEnv(**(SMALL | {"rests": True} | said)) for _ in range(count)], autoreset_mode=mode)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[gymnasium.vector.SyncVectorEnv, Path]]:
    """Two environments in one process: two threads, and one GL context."""
    out = tmp_path_factory.mktemp("ledger")
    made = vector(2, out=str(out), on_error="fail")
    yield made, out
    made.close()


def test_two_in_one_process_are_stepped_rest_after_the_end_and_go_on_with_new_seeds(two: Any) -> None:
    env, out = two
    seen, info = env.reset(seed=[0, 1])
    specs = load_suite("smoke").restrict(tasks=["stack"], episodes=2).expand()
    assert env.call("task_description") == tuple(spec.instruction for spec in specs) and env.call("task") == ("stack", "stack")
    assert env.call("_max_episode_steps")[0] == max(spec.horizon_steps for spec in specs) and env.metadata["render_fps"] == 20
    assert seen in env.observation_space and list(seen["pixels"]) == ["front", "wrist"] and seen["agent_pos"].shape == (2, 8)
    assert not np.array_equal(seen["pixels"]["front"][0], seen["pixels"]["front"][1]) and info["is_success"].tolist() == [False, False]
    after, *_ = env.step(np.stack([STILL, STILL]))
    assert not np.shares_memory(after["pixels"]["front"], seen["pixels"]["front"])
    last, reward, terminated, truncated, info = env.step(np.stack([BAD, STILL]))
    assert terminated.tolist() == [True, False] and not truncated.any() and info["final_info"]["is_success"].tolist() == [False, False]
    np.testing.assert_array_equal(last["agent_pos"][0], after["agent_pos"][0])
    resting, _, terminated, *_ = env.step(np.stack([BAD, STILL]))
    np.testing.assert_array_equal(resting["agent_pos"][0], last["agent_pos"][0])
    assert not terminated.any()
    assert np.stack(env.call("render")).shape == (2, 256, 256, 3)
    env.close()
    results = {run.name: Store.open(run).results() for run in sorted(out.iterdir())}
    assert {name: [(r.seed, r.error and r.error.type, r.steps) for r in found] for name, found in results.items()} == {
        "stack-0": [(0, "BadAction", 1)],
        "stack-1": [(1, "Abandoned", 3)],
    }


def test_a_seed_is_one_of_ours_and_plays_the_episode_of_vlagym_run(tmp_path: Path) -> None:
    env = LeRobotEnv(task="stack", profile="vlagym", cameras="front")
    with pytest.raises(BadData, match="seeds from 1,000,000 on are those of demonstrations"):
        env.reset(seed=1_000_000)
    seen, _ = env.reset(seed=1000)
    assert list(seen["pixels"]) == ["front"] and seen in env.observation_space
    with pytest.raises(EpisodeFailed, match="stack seed 1000: BadAction: .*2 at index 0"):
        env.step(BAD)
    env.close()
    listed = LeRobotEnv(**SMALL)
    with pytest.raises(BadData, match=r"seed 1000 is wanted, and 'stack' of the suite 'smoke' has the seeds 0 to 1: give lerobot-eval --seed=0"):
        listed.reset(seed=1000)
    listed.close()


def test_images_and_states_are_chosen_by_name_and_in_that_order() -> None:
    chosen = selected(PROFILE, "wrist", ["gripper_opening_m", "joint_pos_rad"]).observation
    assert [c.name for c in chosen.images] == ["wrist"] and [c.name for c in chosen.state] == ["gripper_opening_m", "joint_pos_rad"]
    assert observation_space(selected(PROFILE, None, None))["agent_pos"].shape == (30,)
    with pytest.raises(UnknownName, match="no image is called 'frnt'.*front"):
        selected(PROFILE, "frnt", None)
    with pytest.raises(BadData, match="LeRobot does not tell what its policy reads"):
        LeRobotEnv(task="stack", profile=None)  # type: ignore[arg-type]


def test_an_environment_elsewhere_than_at_the_profiles_rig_is_refused() -> None:
    told = "was made for the rig 'libero', and stack is played without a rig.*write rig=libero; .*a profile of your own that names no rig"
    with pytest.raises(ConventionMismatch, match=told):
        LeRobotEnv(task="stack", profile="libero")
    assert LeRobotEnv(task="stack", profile="libero", changes={"rig": "libero"}).profile.rig == "libero"
