"""How a hand with fingers and a thumb takes a thing: from the side, from above or between, as its arm allows and its neighbours leave room."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from vlagym.envs.frames import Array, Pose, from_matrix, from_yaw, rotate, to_matrix
from vlagym.envs.objects import UPRIGHT
from vlagym.envs.robot import EndEffector, Robot
from vlagym.envs.types import EpisodeSpec
from vlagym.envs.whole_body import whole_body
from vlagym.policies.bimanual.motion import Ways, gap_m, posture
from vlagym.policies.bimanual.shapes import moved
from vlagym.policies.bimanual.view import CLOSE, OPEN, BimanualView
from vlagym.policies.skills.grasping import FALLEN, resting_pose, yaw_in_pose
from vlagym.policies.skills.surroundings import Obstacle, boxed
from vlagym.policies.skills.view import asset_of

STANDOFF_M = 0.09
"""From where an open hand comes to take a thing."""
_ELEVATIONS_RAD = tuple(math.radians(d) for d in (0, 25, 50, 80))
_AZIMUTHS_RAD = tuple(math.radians(d) for d in (-60, -30, 0, 30))
_SPARE_M = 0.012
"""Of the opening of the hand, beside what is between its fingers."""
_ABOVE_TABLE_M = 0.006
_BELOW_TOP_M = 0.012
"""A pinch point lies at least so far below the top of what it takes."""
_BACK_M = (0.0, 0.01, 0.02, 0.03)
_ROOM_M = 0.012
_NEAR_COST = 8.0
"""For each cm by which hand or arm come nearer to other things than _ROOM_M."""
_HEIGHT_COST = 12.0
"""For each metre that the pinch point is away from the middle of the thing."""
_TOP_COST = 0.3
"""Of a grasp from above: the side leaves more room for what it is put into, and for the other hand."""
_LIFT_M = 0.08
_PUT_M = 0.02


class Grip(NamedTuple):
    """A way to take a thing."""

    side: str
    in_thing: Pose
    """Of the pinch point, in the frame of the thing."""
    direction: Array
    """(3,) unit vector of the world, along which the open hand comes."""
    closing: float
    """Of the hand on its way."""
    cost: float

    def at(self, thing: Pose) -> Pose:
        """Returns the pose of the pinch point in the world, for the thing where it is now."""
        return thing @ self.in_thing

    def before(self, thing: Pose, back_m: float = STANDOFF_M) -> Pose:
        """Returns the pose so far before it."""
        there = self.at(thing)
        return Pose(there.pos - back_m * self.direction, there.quat)


class Height(NamedTuple):
    """Where along a thing a hand may take it, in m above its base."""

    low_m: float
    high_m: float
    is_low_best: bool = True


class _Candidate(NamedTuple):
    """A place of the pinch point that has not been looked at yet."""

    pose: Pose
    direction: Array
    cost: float
    is_hollow: bool = False
    """Whether fingers go to both sides of a wall."""


class Gripper:
    """Finds grips of things with the hands of a robot."""

    def __init__(self, spec: EpisodeSpec, robot: Robot) -> None:
        self._spec, self._robot = spec, robot
        self._body = whole_body(spec.robot, spec.robot_base)
        self.ways = Ways(spec)

    def reach_m(self, side: str) -> float:
        """Returns half of what a hand takes up along a thing that it holds across, m."""
        points = self.ways.hand_points(side, CLOSE)
        return float(np.abs(points[:, 0]).max())

    def grips(
        self, view: BimanualView, name: str, sides: Sequence[str], *, height: Height | None = None, in_air: bool = False, to: Array | None = None
    ) -> list[Grip]:
        """Returns the grips of a prop that are in reach, the best first.

        Args:
          view: The true state.
          name: Of the prop.
          sides: Of the hands that may.
          height: Where along the thing; None: as near to its middle as the table allows.
          in_air: Whether it is held, away from the table.
          to: (3,) where the thing goes afterwards, in the same hand, turned as it is: world frame, m.
        """
        thing = view.props[name]
        asset = asset_of(self._spec, name)
        box = boxed(name, asset, thing)
        others = self.ways.around(view, (name,))
        found: list[Grip] = []
        for side in sides:
            hand = self._robot.hand(side)
            home = posture(view, self._robot)
            arm = [self._robot.joints.index(joint) for joint in hand.arm_joints]
            home[arm] = np.array(self._robot.home_qpos)[arm]
            for candidate in (*self._around(hand, box, height, in_air), *(() if in_air or height else self._from_above(hand, name, thing))):
                grip = self._grip(view, side, thing, box, candidate, home, others, to)
                if grip is not None:
                    found.append(grip)
        return sorted(found, key=lambda one: (round(one.cost, 6), one.side))

    def _swept(self, side: str) -> Array:
        """Returns points (n, 3) of all that a hand takes up while it closes, in the frame of its pinch point, m."""
        return np.concatenate([self.ways.hand_points(side, closing) for closing in np.linspace(OPEN, CLOSE, 5).tolist()])

    def _around(self, hand: EndEffector, box: Obstacle, wanted: Height | None, in_air: bool) -> Iterator[_Candidate]:
        """Yields places of the pinch point in the middle of a thing, the open hand coming from its own side or obliquely from above."""
        points = self._swept(hand.side)
        for direction, across in orientations(hand, box):
            if 2 * _half_width(box, across) > hand.opening_max_m - _SPARE_M:
                continue
            quat = from_matrix(np.stack([np.cross(across, direction), across, direction], axis=1))
            below = -float((points @ to_matrix(quat)[2]).min())
            lowest, highest = box.bottom_m + _BELOW_TOP_M if in_air else below + _ABOVE_TABLE_M, box.top_m - _BELOW_TOP_M
            if wanted is not None:
                lowest, highest = max(lowest, box.bottom_m + wanted.low_m), min(highest, box.bottom_m + wanted.high_m)
            if lowest > highest:
                continue
            middle = (box.bottom_m + box.top_m) / 2
            height = min(max(middle, lowest), highest) if wanted is None else lowest if wanted.is_low_best else highest
            pos = np.array([box.x, box.y, height])
            yield _Candidate(Pose(pos, quat), direction, _HEIGHT_COST * abs(height - middle) if wanted is None else 0.0)

    def _from_above(self, hand: EndEffector, name: str, thing: Pose) -> Iterator[_Candidate]:
        """Yields the grasps for two pads that the catalogue knows of a thing, from above."""
        asset = asset_of(self._spec, name)
        pose = resting_pose(asset, thing)
        if pose == FALLEN:
            return
        yaw, down = yaw_in_pose(asset, pose, thing), np.array([0.0, 0.0, -1.0])
        points = self._swept(hand.side)
        for grasp in asset.grasps_in(pose):
            if grasp.width_m > hand.opening_max_m - _SPARE_M:
                continue
            is_rim = bool(np.any(grasp.offset_xy_m))
            count = 12 if is_rim else 6
            angles = [2 * math.pi * k / count / (1 if is_rim else 2) for k in range(count)] if grasp.symmetric else [yaw + d for d in grasp.yaw_rad]
            offset = math.hypot(*grasp.offset_xy_m)
            for angle in angles:
                line = np.array([math.cos(angle), math.sin(angle), 0.0])
                shift = offset * line if grasp.symmetric else rotate(from_yaw(yaw), np.array([*grasp.offset_xy_m, 0.0]))
                height = grasp.height_m if pose == UPRIGHT else grasp.height_m - asset.pose(pose).height_m
                pos = thing.pos + shift + [0.0, 0.0, height]
                for across in (line, -line):
                    quat = from_matrix(np.stack([np.cross(across, down), across, down], axis=1))
                    below = -float((points @ to_matrix(quat)[2]).min())
                    raised = np.array([pos[0], pos[1], max(float(pos[2]), below + _ABOVE_TABLE_M)])
                    yield _Candidate(Pose(raised, quat), down, _TOP_COST + _HEIGHT_COST * float(raised[2] - pos[2]), is_hollow=is_rim)

    def _grip(
        self, view: BimanualView, side: str, thing: Pose, box: Obstacle, candidate: _Candidate, home: Array, others: Sequence[Obstacle],
        to: Array | None,
    ) -> Grip | None:
        (wanted, quat), direction = candidate.pose, candidate.direction
        points = self.ways.hand_points(side, OPEN)
        for back in _BACK_M:
            pos = wanted - back * direction
            if candidate.is_hollow or not _is_inside(moved(Pose(pos, quat), points), box):
                break
        else:
            return None
        if pos[2] > box.top_m - 0.004:
            return None
        grasp = Pose(pos, quat)
        from_base = view.base.inverse()
        solved = self._body.solve({side: from_base @ grasp}, home, iterations=24)
        if not solved.is_near(8e-3, 0.10):
            return None
        before = Pose(pos - STANDOFF_M * direction, quat)
        start = self._body.solve({side: from_base @ before}, solved.q, iterations=16)
        lifted = self._body.solve({side: from_base @ Pose(pos + [0.0, 0.0, _LIFT_M], quat)}, solved.q, iterations=16)
        if not (start.is_near(0.015, 0.15) and lifted.is_near(0.02, 0.2)):
            return None
        if to is not None:
            put = self._body.solve({side: from_base @ Pose(pos + (to - thing.pos) + [0.0, 0.0, _PUT_M], quat)}, solved.q, iterations=24)
            if not put.is_near(0.015, 0.15):
                return None
        cost = float(np.sum((solved.q - home) ** 2)) + candidate.cost + 10.0 * back
        cost += sum(self._crowding(view, q, side, others) for q in (solved.q, start.q))
        return Grip(side, thing.inverse() @ grasp, np.array(direction), OPEN, cost)

    def _crowding(self, view: BimanualView, q: Array, side: str, others: Sequence[Obstacle]) -> float:
        taken = self.ways.taken(view, q, side, OPEN)
        near = max(0.0, _ROOM_M - gap_m(taken.hand, others)) + max(0.0, _ROOM_M - gap_m(taken.arm, others))
        edge = self._robot.stance.table_edge_x_m if self._robot.stance else 0.1
        over_table = np.concatenate([taken.arm, taken.hand])
        over_table = over_table[over_table[:, 0] > edge]
        low = max(0.0, 0.004 - float(over_table[:, 2].min())) if len(over_table) else 0.0
        return 100.0 * _NEAR_COST * (near + low)


def orientations(hand: EndEffector, box: Obstacle) -> list[tuple[Array, Array]]:
    """Returns (direction that the hand comes along, direction from fingers to thumb), unit vectors of the world, that suit a thing's sides."""
    inward = -math.pi / 2 if hand.side == "left" else math.pi / 2
    found: list[tuple[Array, Array]] = []
    for elevation in (*_ELEVATIONS_RAD, math.pi / 2) if hand.is_symmetric else _ELEVATIONS_RAD:
        for azimuth in _AZIMUTHS_RAD:
            turn = inward - azimuth if hand.side == "left" else inward + azimuth
            if not box.is_round:
                # The line from fingers to thumb lies across a pair of sides.
                apart = math.remainder(turn - box.yaw_rad, math.pi / 2)
                if abs(apart) > math.radians(15):
                    continue
                turn -= apart
            level = np.array([math.cos(turn), math.sin(turn), 0.0])
            direction = math.cos(elevation) * level + math.sin(elevation) * np.array([0.0, 0.0, -1.0])
            thumb = np.array([-math.sin(turn), math.cos(turn), 0.0])  # level x up, turned so that the thumb is on the robot's side
            thumb = thumb if thumb[0] < 0 or (abs(thumb[0]) < 1e-9 and hand.side == "left") else -thumb
            found.append((direction, thumb))
    return found


def _half_width(box: Obstacle, across: Array) -> float:
    if box.is_round:
        return box.half_x_m
    along = abs(math.cos(math.atan2(across[1], across[0]) - box.yaw_rad)), abs(math.sin(math.atan2(across[1], across[0]) - box.yaw_rad))
    return along[0] * box.half_x_m + along[1] * box.half_y_m


def _is_inside(points: Array, box: Obstacle) -> bool:
    level = (points[:, 2] > box.bottom_m) & (points[:, 2] < box.top_m)
    return bool((level & (box.distance(points[:, :2]) <= 0.0)).any())
