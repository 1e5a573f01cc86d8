"""Where a policy is probed: episodes at a station, as the policy commands them and as the expert does."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from vlagym.benchmark.rig import load_rig
from vlagym.envs import catalog
from vlagym.envs.errors import BadSpec, VlagymError
from vlagym.envs.robot import Robot
from vlagym.envs.types import EpisodeSpec

TASKS = ("place_on", "stack", "open_drawer")
"""What the expert shows: put, stacked and pulled, so that every number of an action is used."""
_OF_THE_EXPERT = "ee_delta"


class Where(NamedTuple):
    """What was chosen on the command line."""

    rig: str | None = None
    robot: str = "default"
    control: str = "default"
    """default: what takes the policy's actions."""


class Asked(NamedTuple):
    """What a probe is to do."""

    where: Where = Where()
    per_task: int = 4
    """Demonstrations of each task."""
    png: Path | None = None
    """Where to write what the policy is shown."""
    tell: Callable[[str], None] = lambda step: None
    """Is told what is done now."""


class Pair(NamedTuple):
    """One episode under two controls; all else is the same."""

    policy: EpisodeSpec
    expert: EpisodeSpec


def pairs(where: Where, control: str, per_task: int) -> Iterator[Pair]:
    """Yields episodes of every task of TASKS.

    Args:
      where: The station.
      control: By which the policy is heard, "default": that of the rig, or of the robot.
      per_task: Episodes of each task.

    Raises:
      BadSpec: If the expert does not command such a body.
    """
    from vlagym.envs.sampling import sample

    for seed in range(per_task):
        for task in TASKS:
            spec = sample(task, seed=seed, robot=where.robot, objects="seen", phrases="seen", catalogue="core")
            yield Pair(at(spec, where, control), at(spec, where, _OF_THE_EXPERT))


def at(spec: EpisodeSpec, where: Where, control: str) -> EpisodeSpec:
    """Returns an episode at the station and under a control.

    Raises:
      BadSpec: If its body has two hands.
    """
    from vlagym.envs.control import action_spec

    robot: Robot = catalog.load("robot", spec.robot)
    if robot.has_two_hands:
        raise BadSpec(f"what is shown by one hand is not shown by {spec.robot!r}, which has two")
    if where.rig is not None:
        return load_rig(where.rig).apply(spec, control)
    name = robot.controls[0] if control == "default" else control
    return dataclasses.replace(spec, control=action_spec(robot, name, spec.control.rate_hz))


def possible(where: Where, control: str) -> str | None:
    """Returns why there are no such episodes; None if there are."""
    try:
        next(pairs(where, control, 1))
    except VlagymError as error:
        return str(error)
    return None
