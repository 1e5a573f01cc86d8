"""What the expert does, said as other policies would say it, does the same: conversions there and back, with real physics between."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from vlagym.benchmark.episode import Connections, WorldOptions, asking, make_world, play_episode
from vlagym.benchmark.executor import LocalPort
from vlagym.benchmark.rollout import Rollout
from vlagym.benchmark.suite_files import load_suite
from vlagym.envs.types import ActionChunk, ActionSpec, EpisodeSpec, Observation, ObservationSpec, StateComponent
from vlagym.policies.base import EpisodeContext, PolicySpec
from vlagym.policies.chunking import Chunking
from vlagym.policies.loading import load_policy

pytestmark = pytest.mark.slow
ORIENTATION = "ee_target_quat_base_wxyz"


class Interpreter:
    """Says known actions of ee_delta in metres, Euler angles and open = 1, several of them at once, in the frame of the base or of the hand."""

    def __init__(self, control: ActionSpec, actions: NDArray[np.float32], together: int, frame: str) -> None:
        translation, rotation, gripper = control.components
        components = (
            replace(translation, scale=1.0, frame=frame, low=(-0.5,) * 3, high=(0.5,) * 3),
            replace(rotation, convention="delta_euler_xyz", scale=1.0, frame=frame, low=(-1.5,) * 3, high=(1.5,) * 3),
            replace(gripper, convention="gripper_open_unit", low=(0.0,)),
        )
        rate_hz = control.rate_hz / together
        self._action = ActionSpec(name="interpreted", components=components, rate_hz=rate_hz)
        observation = ObservationSpec(images=(), state=(StateComponent(name=ORIENTATION, size=4),), rate_hz=rate_hz)
        self.spec = PolicySpec(name="interpreter", action=self._action, observation=observation, clip=True)
        still = np.array([[0, 0, 0, 0, 0, 0, actions[-1, 6]]], np.float32)
        padded = np.concatenate([actions, np.repeat(still, -len(actions) % together, axis=0)])
        self._groups, self._is_in_hand = padded.reshape(-1, together, 7).astype(np.float64), frame == "ee"

    def reset(self, context: EpisodeContext) -> None:
        """Remembers nothing."""

    def act(self, observations: Mapping[int, Observation]) -> dict[int, ActionChunk]:
        return {slot: ActionChunk(values=self._said(observation), spec=self._action) for slot, observation in observations.items()}

    def close(self) -> None:
        """Holds nothing."""

    def _said(self, observation: Observation) -> NDArray[np.float32]:
        hand, rows = Rotation.from_quat(np.roll(observation.proprio[ORIENTATION], -1)), []
        for group in self._groups:
            way, turn = group[:, :3].sum(axis=0) * 0.05, Rotation.identity()
            for row in group:
                turn = Rotation.from_rotvec(row[3:6] * 0.25) * turn
            frame = hand if self._is_in_hand else Rotation.identity()
            rows.append([*frame.inv().apply(way), *(frame.inv() * turn * frame).as_euler("xyz"), (1 - group[-1, 6]) / 2])
            hand = turn * hand
        return np.array(rows, np.float32)


@pytest.fixture(scope="module")
def world() -> Any:
    made = make_world(WorldOptions(render=False))
    yield made
    made.close()


@pytest.fixture(scope="module")
def episodes() -> list[EpisodeSpec]:
    return [e for e in load_suite("smoke").expand() if e.robot == "panda" and e.control.name == "ee_delta"][:3]


@pytest.mark.parametrize(("together", "frame"), [(1, "base"), (1, "ee"), (4, "base"), (4, "ee")])
def test_the_experts_actions_survive_other_words_frames_and_rates(world: Any, episodes: list[EpisodeSpec], together: int, frame: str) -> None:
    expert = load_policy("expert")
    for spec in episodes:
        played = play_episode(world, spec, expert)
        assert played.trace is not None and played.result.outcome == "success"
        policy = Interpreter(spec.control, played.trace.actions, together, frame)
        pipeline = Connections(policy.spec).of(spec, world)
        again = Rollout(world, spec, asking(LocalPort(policy), policy.spec, spec), pipeline=pipeline, chunking=Chunking(mode="whole")).play()
        trace = again.trace()
        assert trace is not None and again.ended_by == "goal", again.error
        assert again.clipped_steps == 0
        if together == 1:
            assert np.abs(trace.actions - played.trace.actions[: trace.num_steps]).max() < 1e-6
