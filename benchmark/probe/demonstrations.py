"""What the expert does, in metres and radians: commanded poses, joint targets and the hand, with some of what was seen on the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vlagym.benchmark.episode import Connections, asking
from vlagym.benchmark.executor import LocalPort
from vlagym.benchmark.probe.meeting import Pair
from vlagym.benchmark.rollout import Rollout, Watch
from vlagym.envs.types import EpisodeSpec, Observation
from vlagym.policies.base import Policy
from vlagym.policies.chunking import Chunking

if TYPE_CHECKING:
    from vlagym.envs.world import World

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Demonstration:
    """One episode of the expert; T control steps."""

    spec: EpisodeSpec
    """As a policy would command it."""
    moves_m: Array
    """(T, 3) asked for in each step, in the base frame."""
    turns_rad: Array
    """(T, 3) the same, axis times angle."""
    closed: Array
    """(T,) 0 open, 1 closed."""
    target_pos_m: Array
    """(T + 1, 3) commanded place of the hand, before each step and after the last."""
    target_quat_wxyz: Array
    """(T + 1, 4)"""
    joint_target_rad: Array
    """(T + 1, n)"""
    seen: Mapping[int, Observation]
    """Step -> what the environment sent before it."""
    is_success: bool

    @property
    def num_steps(self) -> int:
        """T"""
        return len(self.closed)


def record(world: World, pair: Pair, expert: Policy, cameras: Sequence[str], every: int, *, keep: bool = True) -> Demonstration:
    """Lets the expert play an episode and writes down what it does.

    Args:
      world: Where it is played.
      pair: The episode.
      expert: Asked in slot 0.
      cameras: Rendered at each step that is kept.
      every: Control steps between two that are kept.
      keep: Whether what is seen is kept at all.
    """
    spec = pair.expert
    pipeline = Connections(expert.spec).of(spec, world)
    decide = asking(LocalPort(expert), expert.spec, spec)
    watch = Watch(cameras=tuple(cameras) if keep else (), every=every)
    rollout = Rollout(world, spec, decide, pipeline=pipeline, chunking=Chunking(mode="receding"), watch=watch)
    num_joints = len(spec.robot_qpos)
    actions, positions, quats, joints, seen = [], [], [], [], {}
    last = np.array(spec.robot_qpos)
    for step in rollout:
        assert step.observation is not None
        actions.append(step.executed.astype(np.float64))
        positions.append(step.observation.proprio["ee_target_pos_base_m"])
        quats.append(step.observation.proprio["ee_target_quat_base_wxyz"])
        joints.append(last)
        last = np.array(world.simulation.data.ctrl[:num_joints])
        if keep and step.index % every == 0:
            seen[step.index] = step.observation
    after = world.observe(()).proprio
    positions.append(after["ee_target_pos_base_m"])
    quats.append(after["ee_target_quat_base_wxyz"])
    joints.append(last)
    rows = np.array(actions)
    scales = {c.name: c.scale for c in spec.control.components}
    return Demonstration(
        spec=pair.policy,
        moves_m=rows[:, :3] * scales["translation"],
        turns_rad=rows[:, 3:6] * scales["rotation"],
        closed=(rows[:, 6] + 1) / 2,
        target_pos_m=np.array(positions, np.float64),
        target_quat_wxyz=np.array(quats, np.float64),
        joint_target_rad=np.array(joints, np.float64),
        seen=seen,
        is_success=rollout.ended_by == "goal",
    )
