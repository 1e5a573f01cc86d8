"""Where the thing that a goal speaks of is, and where it should go: what an auxiliary loss of training may look at."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.errors import BadSpec
from vlagym.envs.fixtures import get_fixture
from vlagym.envs.frames import Pose, from_yaw, pose, to_yaw
from vlagym.envs.types import EpisodeSpec, Facts


class Targets(NamedTuple):
    """Of the first goal condition."""

    pos_world_m: NDArray[np.float64]
    """(2, 3) the object and its destination. Of furniture: the middle of the handle as it is, and as it is when the joint is fully open."""
    yaw_rad: float
    """How the object is turned about the vertical, in the world frame."""


def targets(spec: EpisodeSpec, facts: Facts) -> Targets:
    """Returns the targets of an episode at one moment.

    Raises:
      BadSpec: If the goal names something that is not in the scene.
    """
    names = spec.goal[0].args
    here = _pose(spec, facts, names[0])
    there = _pose(spec, facts, names[1]).pos if len(names) > 1 else _opened(spec, facts, names[0])
    return Targets(np.stack([here.pos, there]), to_yaw(here.quat))


def _pose(spec: EpisodeSpec, facts: Facts, name: str) -> Pose:
    for i, prop in enumerate(spec.scene.props):
        if prop.name == name:
            return pose(facts.prop_pos_world_m[i], facts.prop_quat_world_wxyz[i])
    return _handle(spec, name, _joint_position(spec, facts, name))


def _opened(spec: EpisodeSpec, facts: Facts, name: str) -> NDArray[np.float64]:
    if "/" not in name:
        return _pose(spec, facts, name).pos
    fixture, joint = name.split("/")
    asset = next(f.asset for f in spec.scene.fixtures if f.name == fixture)
    return _handle(spec, name, get_fixture(asset).joint(joint).range_m[1]).pos


def _handle(spec: EpisodeSpec, name: str, position: float) -> Pose:
    """Returns the pose of a handle in the world frame, its joint being at `position`."""
    fixture_name, _, joint_name = name.partition("/")
    fixture = next(f for f in spec.scene.fixtures if f.name == fixture_name)
    joint = get_fixture(fixture.asset).joint(joint_name)
    handle: Pose = pose(fixture.pos_world, from_yaw(fixture.yaw_rad)) @ joint.at(position) @ pose(joint.handle_pos_m)
    return handle


def _joint_position(spec: EpisodeSpec, facts: Facts, name: str) -> float:
    """Returns where a joint is; facts hold the joints in the order of the fixtures, and of each fixture's catalogue entry."""
    names = [f"{f.name}/{j.name}" for f in spec.scene.fixtures for j in get_fixture(f.asset).joints]
    if name not in names:
        things = [p.name for p in spec.scene.props] + names
        raise BadSpec(f"the goal {spec.goal[0]} names {name!r}, which is neither a prop nor a joint of the scene. There are: {', '.join(things)}")
    return float(facts.fixture_joint_pos[names.index(name)])
