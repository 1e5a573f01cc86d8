"""Pour: a cup is taken near its rim, carried beside a vessel and tilted until what lies in it has run out."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from vlagym.envs.errors import NotGraspable
from vlagym.envs.frames import Array, Pose, conjugate, from_axis_angle, from_yaw, multiply, rotate
from vlagym.envs.kinematics import kinematics
from vlagym.envs.objects import UPRIGHT
from vlagym.envs.predicates.pouring import contents_of, is_in
from vlagym.envs.types import EpisodeSpec
from vlagym.policies.skills.carry import Pick, risen_first
from vlagym.policies.skills.grasping import ChosenGrasp, hand_of, openings, turns, yaw_in_pose
from vlagym.policies.skills.surroundings import Obstacle, crowding, height_to_pass, obstacles
from vlagym.policies.skills.view import CLOSE, DOWN, OPEN, Command, SkillBase, Verdict, View, asset_of, hand_yaw, turn_between

_GRIP_BELOW_RIM_M = 0.014  # high, so that what runs out falls between the rim and the palm, which is 45 mm above the pinch point
_LIP_ABOVE_M = 0.045  # the lip of the tilted cup over the rim of the vessel; lower, and the arm behind the hand would meet the table
_RAISED_M = (0.0, 0.04)
_LIP_SHORT_M = 0.025  # before the middle of the vessel: what rolls out of the cup flies on
_ARM_M = 0.13  # radius of the arm around its joints, and room to spare
_MANY = 12  # ways that are looked at before one is taken on which the arm comes too near to something
_HAND_M = 0.21  # from the pinch point to where the hand is mounted
_ASIDE_M = 0.10  # half the width of the hand, beside the middle of its way
_CLEAR_M = 0.015  # below the bottom of the cup, over the rim of the vessel
_TILT_MAX_RAD = math.radians(102.0)
_LAG_RAD = 0.3  # that the hand may be behind
_SWING_RAD = 0.5  # of any joint, while the cup is tilted by 13 degrees
_TILT_LAST_RAD = math.radians(114.0)  # where shaking ends; the lip is raised by then
_LEVEL_RAD = math.radians(76.0)  # from here on the tilt is slow: the wall of the cup is nearly level
_FAST_RAD, _SLOW_RAD = 0.10, 0.035  # per control step
_SHAKE_RAD = math.radians(14.0)
_PATIENCE = 12  # control steps without a bead leaving the cup, after which it is shaken
_SLIP_STEPS = 3


class PickToPour(Pick):
    """pick_to_pour(a, b): takes the cup a near its rim, from a side from which it can be tilted over b."""

    def step(self, view: View) -> tuple[Command, Verdict]:
        if self._grasp is None:
            if self.args[0] in view.held:
                return Command(view.ee.pos, view.ee.quat, CLOSE), "done"
            cup, vessel = self.args
            self._grasp = _grasp_to_pour(self.spec, cup, vessel, view, self._tried)
        return super().step(view)


class Pour(SkillBase):
    """pour(a, b): tilts the held cup a over the vessel b, its lip kept in place, until it is empty, and holds it upright again.

    Lost when the cup slips out of the hand.
    """

    def __init__(self, spec: EpisodeSpec, args: Sequence[str]) -> None:
        super().__init__(spec, args)
        self._beads = contents_of(spec, args[0])
        self._way: _Way | None = None
        self._tilt = 0.0
        self._tilt_max = _TILT_MAX_RAD
        self._left = len(self._beads)
        self._waited = 0
        self._slipped = 0
        self._is_back = False

    def step(self, view: View) -> tuple[Command, Verdict]:
        name, vessel = self.args
        self._slipped = 0 if name in view.held else self._slipped + 1
        if self._slipped > _SLIP_STEPS:
            return Command(view.ee.pos, view.ee.quat, OPEN), "lost"
        cup = view.props[name]
        if self._way is None:
            turn = hand_yaw(view.ee.quat)
            ways, around = _Way.of(self.spec, name, vessel, view, turn, cup, view.ee.pos), obstacles(self.spec, view, self.args)
            self._way = min(ways, key=lambda way: (way.hindrance_m(self.spec, view.props[vessel], around), way.cost))
        way = self._way
        lip_ee = rotate(conjugate(view.ee.quat), way.lip(cup, view.ee.quat) - view.ee.pos)  # as the cup really hangs in the hand
        there, _ = way.hand(self._tilt, lip_ee, view.props[vessel])
        away = float(np.linalg.norm(there[:2] - view.ee.pos[:2]))
        if self._tilt == 0.0 and (away > 0.015 or abs(there[2] - view.ee.pos[2]) > 0.02):
            hand = hand_of(self.spec)
            below = float(view.ee.pos[2] - cup.pos[2])
            room = height_to_pass(hand.room, obstacles(self.spec, view, self.args), view.ee.pos, there, below_m=below, radius_m=way.radius_m)
            height = max(there[2], min(room, there[2] + 3.0 * max(0.0, away - 0.02)))
            return Command(risen_first(view.ee.pos, np.array([*there[:2], height])), way.upright, CLOSE), "running"
        if turn_between(view.ee.quat, way.hand(self._tilt, lip_ee, view.props[vessel])[1]) < _LAG_RAD:
            self._advance(view, cup)
        there, quat = way.hand(self._tilt, lip_ee, view.props[vessel])
        verdict: Verdict = "done" if self._is_back and self._tilt == 0.0 else "running"
        return Command(there, quat, CLOSE), verdict

    def _advance(self, view: View, cup: Pose) -> None:
        """Tilts a little further, shakes, or tilts back."""
        asset = asset_of(self.spec, self.args[0])
        left = sum(is_in(asset, cup, view.props[bead]) for bead in self._beads)
        self._waited = 0 if left < self._left else self._waited + 1
        self._left = left
        if self._is_back or (left == 0 and self._waited > 3):
            self._is_back = True
            self._tilt = max(0.0, self._tilt - _FAST_RAD)
        elif self._tilt < self._tilt_max:
            self._tilt = min(self._tilt_max, self._tilt + (_FAST_RAD if self._tilt < _LEVEL_RAD else _SLOW_RAD))
            self._waited = 0
        elif self._waited > _PATIENCE:
            self._tilt, self._waited = self._tilt_max - _SHAKE_RAD, 0
            self._tilt_max = min(_TILT_LAST_RAD, self._tilt_max + _SHAKE_RAD / 2)


class _Way(NamedTuple):
    """How a cup is tilted over a vessel."""

    mouth: Array
    """(3,) horizontal direction towards which it is tilted."""
    side: float
    """1 where that is the x axis of the hand, -1 where it is the other way."""
    upright: Array
    """Orientation wxyz of the hand while the cup is upright."""
    radius_m: float
    """Of the cup's rim."""
    rim_m: float
    """Height of the cup's rim above its base."""
    vessel_rim_m: float
    raised_m: float
    """From higher up than usual: the arm keeps clear of what stands around."""
    lip_ee: Array
    """(3,) the lowest point of the tilted cup's rim, in the frame of the hand, m."""
    cost: float

    @staticmethod
    def of(spec: EpisodeSpec, cup: str, vessel: str, view: View, turn_rad: float, here: Pose, ee_pos: Array) -> list[_Way]:
        """Returns the ways for a turn of the hand about the vertical, and what they cost: their length, and how near they come to what stands around.

        Args:
          spec: The episode.
          cup: Name of what is tilted.
          vessel: Name of what it is tilted over.
          view: The scene as it is.
          turn_rad: Of the hand.
          here: Pose of the cup.
          ee_pos: Of the hand when it holds the cup there, (3,) m.
        """
        asset = asset_of(spec, cup)
        upright = multiply(from_yaw(turn_rad), DOWN)
        radius, rim = min(asset.size_m[:2]) / 2, asset.size_m[2]
        vessel_rim = asset_of(spec, vessel).size_m[2]
        tall = [thing for thing in obstacles(spec, view, (cup, vessel)) if thing.top_m > vessel_rim + 0.015]
        ways = []
        for side, raised_m in itertools.product((1.0, -1.0), _RAISED_M):
            mouth = side * np.array([math.cos(turn_rad), math.sin(turn_rad), 0.0])
            lip_ee = rotate(conjugate(upright), here.pos + [0.0, 0.0, rim] + radius * mouth - ee_pos)
            way = _Way(mouth, side, upright, radius, rim, vessel_rim, raised_m, lip_ee, 0.0)
            there = way.hand(0.0, lip_ee, view.props[vessel])[0]
            # The tilted hand and the arm behind it lie level beyond the vessel.
            swept = view.props[vessel].pos[:2] + np.linspace(-0.06, _HAND_M + 0.06, 10)[:, None] * mouth[:2]
            near = sum(max(0.0, _ASIDE_M - float(thing.distance(swept).min())) for thing in tall)
            ways.append(way._replace(cost=float(np.linalg.norm(there[:2] - ee_pos[:2])) + 2.0 * raised_m + 10.0 * near))
        return ways

    def hindrance_m(self, spec: EpisodeSpec, vessel: Pose, around: Sequence[Obstacle]) -> float:
        """Returns by how much the arm comes too near to the table or to what stands around; infinite where it does not reach.

        Swinging through postures far away is as bad as not to reach: the cup would tilt on the way.
        """
        arm, lack = kinematics(spec.robot), 0.0
        before: Array | None = None
        for tilt in np.linspace(0.0, _TILT_MAX_RAD, 9):
            posture, position, rotation = arm.solve(Pose(*self.hand(float(tilt), self.lip_ee, vessel)), before)
            if position > 0.005 or rotation > 0.05 or (before is not None and float(np.abs(posture - before).max()) > _SWING_RAD):
                return math.inf
            points = arm.skeleton(posture)[:-8]  # the hand and what it is mounted on are slimmer, and looked at elsewhere
            gaps = [float(np.hypot(thing.distance(points[:, :2]), np.maximum(0.0, points[:, 2] - thing.top_m)).min()) for thing in around]
            lack = max(lack, _ARM_M - min([float(points[:, 2].min()), *gaps]))
            before = posture
        return round(lack, 4)

    def lip(self, cup: Pose, quat: Array) -> Array:
        """Returns the point (3,) of the cup's rim that is lowest when it is tilted, for the pose of the cup and the orientation of the hand."""
        return cup.apply([0.0, 0.0, self.rim_m]) + self.radius_m * rotate(quat, np.array([self.side, 0.0, 0.0]))

    def hand(self, tilt_rad: float, lip_ee: Array, vessel: Pose) -> tuple[Array, Array]:
        """Returns position and orientation of the hand at which the cup is tilted so far and its lip is where it should be.

        Args:
          tilt_rad: Of the cup.
          lip_ee: The lip in the frame of the hand, (3,) m.
          vessel: Its pose.
        """
        axis = np.array([-self.mouth[1], self.mouth[0], 0.0])
        quat = multiply(from_axis_angle(tilt_rad * axis), self.upright)
        # The further it is tilted, the lower the arm behind the hand.
        above = _LIP_ABOVE_M + self.raised_m + _HAND_M * math.sin(max(0.0, tilt_rad - _TILT_MAX_RAD))
        height = self.vessel_rim_m + max(above, _CLEAR_M + self.rim_m * math.cos(tilt_rad))
        lip = vessel.pos + [0.0, 0.0, height] - _LIP_SHORT_M * self.mouth
        return lip - rotate(quat, lip_ee), quat


def _grasp_to_pour(spec: EpisodeSpec, cup: str, vessel: str, view: View, tried: Sequence[ChosenGrasp]) -> ChosenGrasp:
    """Returns a grasp of a cup near its rim, from which it can be tilted over a vessel.

    Raises:
      NotGraspable: If there is none.
    """
    asset, here = asset_of(spec, cup), view.props[cup]
    arm, hand, around = kinematics(spec.robot), hand_of(spec), obstacles(spec, view, (cup,))
    beside = obstacles(spec, view, (cup, vessel))
    yaw = yaw_in_pose(asset, UPRIGHT, here)
    ranked: list[tuple[float, int, ChosenGrasp, _Way]] = []
    for grasp in (g for g in asset.grasps_in(UPRIGHT) if g.kind == "top"):
        high = dataclasses.replace(grasp, height_m=asset.size_m[2] - _GRIP_BELOW_RIM_M, width_m=max(grasp.width_m, min(asset.size_m[:2])))
        directions = [math.pi * k / 12 - yaw for k in range(12)] if grasp.symmetric else list(grasp.yaw_rad)
        for direction, opening_m in itertools.product(directions, openings(hand, high)):
            for turn in turns(hand, yaw + direction):
                chosen = ChosenGrasp(high, direction, turn, high.width_m, opening_m, asset)
                point, turn = chosen.at(here)
                cost = 20.0 * crowding(hand.room, around, point, turn, opening_m) + 0.03 * abs(turn) + 0.2 * sum(chosen == other for other in tried)
                for way in _Way.of(spec, cup, vessel, view, turn, here, point):
                    ranked.append((round(cost + way.cost, 6), len(ranked), chosen, way))
    found: list[tuple[float, int, ChosenGrasp]] = []
    for _, index, chosen, way in sorted(ranked, key=lambda item: item[:2]):
        point, turn = chosen.at(here)
        if len(found) == _MANY or not arm.reaches(Pose(point, multiply(from_yaw(turn), DOWN))):
            continue
        lack = way.hindrance_m(spec, view.props[vessel], beside)
        if lack == 0.0:
            return chosen
        if math.isfinite(lack):
            found.append((lack, index, chosen))
    if found:
        return min(found, key=lambda item: item[:2])[2]
    raise NotGraspable(f"no grasp of {cup!r} ({asset.id}) at {here.pos.round(3).tolist()} lets {spec.robot} pour it into {vessel!r}")


SKILLS: Mapping[str, type[SkillBase]] = {"pick_to_pour": PickToPour, "pour": Pour}
"""Name -> class."""
