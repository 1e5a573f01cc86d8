"""What skills look at and what they say: the true state of the scene, the next pose of the hand, and how far a skill has come."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from vlagym.envs.errors import BadSpec
from vlagym.envs.frames import Array, Pose, conjugate, multiply, pose, rotate, to_axis_angle
from vlagym.envs.objects import ObjectAsset
from vlagym.envs.objects import asset_of as asset_of_prop
from vlagym.envs.types import EpisodeSpec, Observation

DOWN = np.array([0.0, 1.0, 0.0, 0.0])
"""Orientation wxyz of the pinch point when the hand looks down, fingers across the table."""
SPEED_M = 0.028
"""Per control step: 0.56 m/s at 20 Hz."""
TURN_RAD = 0.16
CLOSE = 1.0
OPEN = -1.0

Verdict = Literal["running", "done", "lost", "again"]
"""lost: what the skill before achieved is gone, it must be done once more. again: the plan has ended without its goal."""


class Command(NamedTuple):
    """What a skill wants next."""

    pos: Array
    """Of the pinch point, base frame, m."""
    quat: Array
    gripper: float
    speed_m: float = SPEED_M


@dataclass(frozen=True, kw_only=True)
class View:
    """The true state, as skills look at it. Poses are in the base frame, which is the world's for robots that stand at its origin."""

    ee: Pose
    opening_m: float
    gripper_command: float
    props: Mapping[str, Pose]
    held: frozenset[str]
    joints: Mapping[str, float]
    goal_met: tuple[bool, ...]
    """Which of the goal's conditions hold."""

    @staticmethod
    def of(observation: Observation) -> View:
        """Reads a privileged observation.

        Raises:
          BadSpec: If it is not privileged.
        """
        truth = observation.privileged
        if truth is None:
            raise BadSpec("skills read the true state of the scene; the observation holds none")
        proprio = observation.proprio
        return View(
            ee=pose(proprio["ee_pos_base_m"].tolist(), proprio["ee_quat_base_wxyz"].tolist()),
            opening_m=float(proprio["gripper_opening_m"][0]),
            gripper_command=float(proprio["gripper_command"][0]),
            props={name: pose(p.pos_world, p.quat_world_wxyz) for name, p in truth.props.items()},
            held=frozenset(name for name, p in truth.props.items() if p.is_held),
            joints=truth.fixture_joints,
            goal_met=truth.goal_met,
        )


class SkillBase:
    """One skill at work. `step` returns what to do, and whether the skill is at its end."""

    above_m = 0.04
    """At least so far above where it goes is carried what is put down."""

    def __init__(self, spec: EpisodeSpec, args: Sequence[str]) -> None:
        self.spec = spec
        self.args = tuple(args)

    @property
    def stage(self) -> str:
        """The skill's word for what it did in its last step, where it has several; "" otherwise."""
        return ""

    def step(self, view: View) -> tuple[Command, Verdict]:
        raise AssertionError("abstract")


def asset_of(spec: EpisodeSpec, prop: str) -> ObjectAsset:
    """Returns the catalogue's entry for a prop, at the prop's scale."""
    return asset_of_prop(next(p for p in spec.scene.props if p.name == prop))


def clear_height(spec: EpisodeSpec, view: View, without: Sequence[str]) -> float:
    """Returns a height above everything that stands around, in which the hand may move sideways."""
    tops = [where.pos[2] + asset_of(spec, name).size_m[2] for name, where in view.props.items() if name not in without]
    return min(0.22, max(tops, default=0.0) + 0.04)


def hand_yaw(quat: Array) -> float:
    """Returns the turn of the hand about the vertical."""
    forward = rotate(quat, np.array([1.0, 0.0, 0.0]))
    return math.atan2(forward[1], forward[0])


def turn_between(a: Array, b: Array) -> float:
    """Returns the angle in rad between two orientations."""
    return float(np.linalg.norm(to_axis_angle(multiply(a, conjugate(b)))))
