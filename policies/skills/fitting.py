"""Fit: a held peg or key goes down into a hole, a held lid onto its pot, lined up and let go once it sits."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from vlagym.envs.frames import Array, Pose, from_yaw, multiply, to_yaw
from vlagym.envs.kinematics import kinematics
from vlagym.envs.predicates.fitting import LID_RIM_M, SEATED_M, hole_of
from vlagym.envs.predicates.state import fixture_pose
from vlagym.envs.types import EpisodeSpec
from vlagym.policies.skills.carry import risen_first
from vlagym.policies.skills.grasping import hand_of
from vlagym.policies.skills.surroundings import height_to_pass, obstacles
from vlagym.policies.skills.view import CLOSE, DOWN, OPEN, Command, SkillBase, Verdict, View, asset_of, hand_yaw

_OVER_M = 0.015  # of the foot over the rim, while it is being lined up
_ALIGNED_M, _ALIGNED_RAD = 0.003, 0.06
_LOST_M = 0.012  # off the axis by so much it has met the edge: up again
_LOWER_M = 0.012  # per control step
_SLIP_STEPS = 3
_STUCK_STEPS = 8
_RELEASE_STEPS = 5


class Fit(SkillBase):
    """What inserting and covering have in common: an axis to line up with, a rim, and a height at which the thing sits."""

    def __init__(self, spec: EpisodeSpec, args: Sequence[str]) -> None:
        super().__init__(spec, args)
        asset = asset_of(spec, args[0])
        self._radius = max(asset.size_m[:2]) / 2
        self._symmetry = asset.yaw_symmetry
        self._releasing = 0
        self._released_at = np.zeros(3)
        self._slipped = 0
        self._lowest = math.inf
        self._stuck = 0
        self._misses = 0
        self._lowering = False
        self._wanted_rad: float | None = None

    def axis(self, view: View) -> Pose:
        """Returns the pose of the hole or pot: its z axis is what the thing must be on."""
        raise AssertionError("abstract")

    def rim_m(self, view: View) -> float:
        """Returns the height above the table, m, below which the thing is guided."""
        raise AssertionError("abstract")

    def seat_m(self, view: View) -> float:
        """Returns the height above the table, m, at which the foot of the thing sits, and it may be let go."""
        raise AssertionError("abstract")

    def turn_period_rad(self) -> float:
        """Returns by which turns about the axis the thing fits as well; 0 where any will do."""
        return 0.0

    def step(self, view: View) -> tuple[Command, Verdict]:
        name = self.args[0]
        thing, axis = view.props[name], self.axis(view)
        left = self._turn_left(view, thing, axis)
        turn = hand_yaw(view.ee.quat) + left
        quat = multiply(from_yaw(turn), DOWN)
        if self._releasing:
            self._releasing += 1
            return Command(self._released_at, quat, OPEN), "done" if self._releasing > _RELEASE_STEPS else "running"
        self._slipped = 0 if name in view.held else self._slipped + 1
        if self._slipped > _SLIP_STEPS:
            return Command(view.ee.pos, quat, OPEN), "lost"
        away = axis.pos - thing.pos
        across, foot = math.hypot(away[0], away[1]), float(thing.pos[2])
        if self._lowering and foot < self.seat_m(view):
            self._releasing, self._released_at = 1, view.ee.pos
            return Command(view.ee.pos, quat, OPEN), "running"
        if self._lowering:
            return self._lower(view, foot, across, away, quat), "running"
        over = self.rim_m(view) + _OVER_M
        if across < _ALIGNED_M and abs(left) < _ALIGNED_RAD and foot < over + 0.02:
            self._lowering, self._lowest, self._stuck = True, foot, 0
        around = obstacles(self.spec, view, self.args)
        below = float(view.ee.pos[2]) - foot
        pass_m = height_to_pass(hand_of(self.spec).room, around, view.ee.pos, axis.pos, below_m=below, radius_m=self._radius) - below
        height = max(over, min(pass_m, over + 3.0 * max(0.0, across - 0.02)))
        there = view.ee.pos + [away[0], away[1], height - foot]
        return Command(risen_first(view.ee.pos, there), quat, CLOSE), "running"

    def _lower(self, view: View, foot: float, across: float, away: Array, quat: Array) -> Command:
        """Goes down; begins again above when the thing is on the edge or does not get any lower."""
        self._stuck = 0 if foot < self._lowest - 5e-4 else self._stuck + 1
        self._lowest = min(self._lowest, foot)
        if across > _LOST_M or self._stuck > _STUCK_STEPS:
            self._lowering, self._misses = False, self._misses + 1
            return Command(view.ee.pos + [0.0, 0.0, 0.03], quat, CLOSE)
        guided = foot < self.rim_m(view) - 0.008
        aside = 0.3 * away if guided else away
        return Command(view.ee.pos + [aside[0], aside[1], -3 * _LOWER_M], quat, CLOSE, _LOWER_M)

    def _turn_left(self, view: View, thing: Pose, axis: Pose) -> float:
        """Returns by how much the thing must still be turned, rad; a little more or less after each miss."""
        period, here = self.turn_period_rad(), to_yaw(thing.quat)
        if period == 0.0:
            return 0.0
        if self._wanted_rad is None:
            # Of the ways in which it fits, the first one that the arm reaches, from the least turned hand on.
            nearest, hand, arm = math.remainder(to_yaw(axis.quat) - here, period), hand_yaw(view.ee.quat), kinematics(self.spec.robot)
            over = axis.pos + [0.0, 0.0, self.rim_m(view) + float(view.ee.pos[2] - thing.pos[2])]
            ways = sorted((nearest + flip * period for flip in (-2, -1, 0, 1, 2)), key=lambda left: (round(abs(hand + left), 6), left))
            reached = (left for left in ways if arm.reaches(Pose(over, multiply(from_yaw(hand + left), DOWN))))
            self._wanted_rad = here + next(reached, ways[0])
        aside = 0.06 * math.ceil(self._misses / 2) * (-1) ** self._misses
        return math.remainder(self._wanted_rad + aside - here, 2 * math.pi)


class Insert(Fit):
    """insert(a, hole): lowers the held prop into the hole, turned as it fits, and lets go. Lost when the prop slips out of the hand."""

    def __init__(self, spec: EpisodeSpec, args: Sequence[str]) -> None:
        super().__init__(spec, args)
        fixture, self._hole = hole_of(spec, args[1])
        self._here = fixture_pose(fixture)

    def axis(self, view: View) -> Pose:
        return self._here

    def rim_m(self, view: View) -> float:
        return float(self._here.pos[2]) + self._hole.rim_m

    def seat_m(self, view: View) -> float:
        return float(self._here.pos[2]) + self._hole.floor_m + 0.6 * SEATED_M

    def turn_period_rad(self) -> float:
        if self._symmetry == 0 or self._hole.outline == "round":
            return 0.0
        is_square = math.isclose(*self._hole.size_m)
        return math.pi / 2 if is_square else math.pi


class Cover(Fit):
    """cover(lid, pot): lowers the held lid onto the pot and lets go. Lost when the lid slips out of the hand."""

    def axis(self, view: View) -> Pose:
        return view.props[self.args[1]]

    def rim_m(self, view: View) -> float:
        pot = self.args[1]
        return float(view.props[pot].pos[2]) + asset_of(self.spec, pot).size_m[2]

    def seat_m(self, view: View) -> float:
        return self.rim_m(view) + 0.5 * LID_RIM_M[0] + 0.004


SKILLS: Mapping[str, type[SkillBase]] = {"insert": Insert, "cover": Cover}
"""Name -> class."""
