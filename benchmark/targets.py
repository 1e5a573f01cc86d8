"""Where the thing that a goal speaks of is, and where it should go: what an auxiliary loss of training may look at."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.errors import BadSpec
from vlagym.envs.fixtures import FixtureAsset, FixtureJoint, get_fixture
from vlagym.envs.frames import Pose, from_yaw, pose, to_yaw
from vlagym.envs.shapes.parts import joint_bounds
from vlagym.envs.types import EpisodeSpec, Facts, FixtureSpec


class Targets(NamedTuple):
    """Of the first goal condition."""

    pos_world_m: NDArray[np.float64]
    """(2, 3) the object and its destination. Of furniture: the middle of its handle, the point where its button, knob or switch is worked, or the
    middle of the moving part, as it is and as it is when the joint is fully open or at the wanted setting. Of a zone its middle, of a line its
    end, of a hole its floor. Of a gesture, which is about no thing, twice the middle between the hands."""
    yaw_rad: float
    """How the object is turned about the vertical, in the world frame."""


def targets(spec: EpisodeSpec, facts: Facts) -> Targets:
    """Returns the targets of an episode at one moment.

    Raises:
      BadSpec: If the goal names something that is not in the scene.
      UnknownName: If it names a setting that its control has not.
    """
    if not spec.goal[0].things:
        middle = facts.ee_pos_world_m.mean(axis=0)
        return Targets(np.stack([middle, middle]), 0.0)
    name, *others = spec.goal[0].args
    here = _pose(spec, facts, name)
    if others and not others[0].startswith("="):
        there = _pose(spec, facts, others[0]).pos
    elif "/" in name:
        there = _reached(spec, name, others[0][1:] if others else None)
    else:
        there = here.pos
    return Targets(np.stack([here.pos, there]), to_yaw(here.quat))


def _pose(spec: EpisodeSpec, facts: Facts, name: str) -> Pose:
    for i, prop in enumerate(spec.scene.props):
        if prop.name == name:
            return pose(facts.prop_pos_world_m[i], facts.prop_quat_world_wxyz[i])
    # Facts hold the joints in the order of the fixtures, and of each fixture's catalogue entry.
    joints = [f"{f.name}/{j.name}" for f in spec.scene.fixtures for j in get_fixture(f.asset).joints]
    if name in joints:
        return _joint(spec, name, float(facts.fixture_joint_pos[joints.index(name)]))
    for fixture in spec.scene.fixtures:
        if fixture.name == name:
            here: Pose = _stands(fixture) @ pose(_point(get_fixture(fixture.asset)))
            return here
    things = [p.name for p in spec.scene.props] + [f.name for f in spec.scene.fixtures] + joints
    raise BadSpec(f"the goal {spec.goal[0]} names {name!r}, which is no prop, fixture or joint of the scene. There are: {', '.join(things)}")


def _reached(spec: EpisodeSpec, name: str, setting: str | None) -> NDArray[np.float64]:
    """Returns where a joint is worked when it is at a setting, or fully open where there is none."""
    _, joint = _find(spec, name)
    if setting is None:
        return _joint(spec, name, joint.range_m[1]).pos
    if joint.control is None:
        raise BadSpec(f"the goal {spec.goal[0]} sets {name!r}, which is neither a knob nor a switch: its file has no [joint.control]")
    return _joint(spec, name, joint.control.setting(setting, name)).pos


def _joint(spec: EpisodeSpec, name: str, position: float) -> Pose:
    """Returns the pose of the part of a joint that the hand works on, in the world frame, the joint being at `position`."""
    fixture, joint = _find(spec, name)
    here: Pose = _stands(fixture) @ joint.at(position) @ pose(_worked_at(joint))
    return here


def _find(spec: EpisodeSpec, name: str) -> tuple[FixtureSpec, FixtureJoint]:
    fixture_name, _, joint_name = name.partition("/")
    fixture = next(f for f in spec.scene.fixtures if f.name == fixture_name)
    return fixture, get_fixture(fixture.asset).joint(joint_name)


def _stands(fixture: FixtureSpec) -> Pose:
    return pose(fixture.pos_world, from_yaw(fixture.yaw_rad))


def _worked_at(joint: FixtureJoint) -> NDArray[np.float64]:
    """Returns the middle of the handle, the point of the control, or else the middle of what moves, in the frame of the joint."""
    if joint.handle is not None:
        return np.array(joint.handle.pos_m, np.float64)
    if joint.control is not None:
        return np.array(joint.control.pos_m, np.float64)
    return np.asarray(joint_bounds([part.shape for part in joint.visual]).mean(axis=0), np.float64)


def _point(asset: FixtureAsset) -> NDArray[np.float64]:
    """Returns where things go that are brought to a fixture, in its frame; the middle of one to which nothing is brought."""
    if asset.line is not None:
        return np.array([*asset.line.end_m, 0.0])
    if asset.hole is not None:
        return np.array([0.0, 0.0, asset.hole.floor_m])
    return np.array([0.0, 0.0, 0.0 if asset.zone is not None else asset.size_m[2] / 2])
