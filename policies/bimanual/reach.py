"""Touch with a hand: it comes to a thing finger tips first, the way that suits the arm and is free, and stops where it feels it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from vlagym.envs.errors import NotGraspable
from vlagym.envs.fixtures import get_fixture
from vlagym.envs.frames import Array, Pose, rotate
from vlagym.envs.objects import UPRIGHT
from vlagym.envs.robot import EndEffector, Robot
from vlagym.envs.types import EpisodeSpec
from vlagym.envs.whole_body import HandTarget, pointing, whole_body
from vlagym.policies.bimanual.choosing import free_hands
from vlagym.policies.bimanual.motion import Ways, gap_m, giving_way, is_there, over, posture
from vlagym.policies.bimanual.view import CLOSE, OPEN, BimanualSkill, BimanualView, BodyCommand, HandCommand
from vlagym.policies.skills.grasping import resting_pose
from vlagym.policies.skills.surroundings import Obstacle, obstacles
from vlagym.policies.skills.view import Verdict, asset_of

_ELEVATIONS_RAD = tuple(math.radians(d) for d in (90, 65, 40, 15))
_AZIMUTHS_RAD = tuple(math.radians(d) for d in (0, 45, 90))
_STANDOFF_M = 0.06
"""From where the finger tips come to feel for the thing."""
_LEAD_M, _NEARING_M, _NEAR_M = 0.006, 0.016, 0.02
"""How far ahead of where it is the hand is sent while it feels its way, so that it presses with a few newtons; and that, from farther off."""
_BEYOND_M = 0.05
"""A hand that has gone so far past where the thing should be has missed it."""
_PATIENCE = 60
"""After so many control steps on the way it tries another one."""
_FELT = 4
"""It stays on the thing for so many control steps."""
_NEAR_COST = 8.0  # for each cm by which a hand, or its arm, comes nearer to other things than 1.5 cm
_ROOM_M, _ABOVE_M = 0.015, 0.006
_TURN_COST = 0.25  # of coming from the side, against from above: for each of the elevations
_TIPS_M = 0.010
_LONGER_M = 0.05
_SLENDER_M, _CORNER_RAD = 0.042, math.radians(35)


class Approach(NamedTuple):
    """A way to bring the finger tips of a hand to a point of a thing."""

    side: str
    pose: Pose
    """Of the pinch point at the point of contact, in the world."""
    direction: Array
    """(3,) unit vector of the world, along which the hand comes."""
    closing: float
    cost: float

    def before(self, back_m: float) -> Pose:
        """Returns the pose so far before the contact."""
        return Pose(self.pose.pos - back_m * self.direction, self.pose.quat)


class Reacher:
    """Finds ways to come to a thing with either hand."""

    def __init__(self, spec: EpisodeSpec, robot: Robot) -> None:
        self._spec, self._robot = spec, robot
        self._body = whole_body(spec.robot, spec.robot_base)
        self.ways = Ways(spec)

    def approaches(
        self, view: BimanualView, name: str, sides: Sequence[str], *, aim: Array | None = None, box: Obstacle | None = None,
        elevations: Sequence[float] = _ELEVATIONS_RAD, slender: bool = False,
    ) -> list[Approach]:
        """Returns the ways to touch a thing that are in reach, the best first.

        Args:
          view: The true state.
          name: A prop or fixture.
          sides: Of the hands that may.
          aim: (3,) the point that is meant, world frame, m; None: of the thing itself.
          box: What is touched there; None: the thing.
          elevations: Of the direction that a hand comes from, above the table, rad.
          slender: Whether it must be with what is slender of a hand.
        """
        box = box or box_of(self._spec, view, name)
        others = [thing for thing in self.ways.around(view) if thing.name.partition("/")[0] != name]
        found: list[Approach] = []
        for side in sides:
            home = posture(view, self._robot)
            arm = [self._robot.joints.index(joint) for joint in self._robot.hand(side).arm_joints]
            home[arm] = np.array(self._robot.home_qpos)[arm]
            for axis, closing in (slender_axes if slender else touching_axes)(self._robot.hand(side), self.ways):
                for step, elevation in enumerate(elevations):
                    for direction in self._directions(view, side, box, elevation):
                        tip = _surface(box, direction) if aim is None else np.array(aim)
                        approach = self._approach(view, side, tip, direction, axis, closing, home, others)
                        if approach is not None:
                            found.append(approach._replace(cost=approach.cost + _TURN_COST * step))
        return sorted(found, key=lambda one: round(one.cost, 6))

    def _directions(self, view: BimanualView, side: str, box: Obstacle, elevation: float) -> list[Array]:
        """Returns unit vectors along which a hand comes from an elevation: outwards from its shoulder, and more and more inwards."""
        if elevation > math.radians(89):
            return [np.array([0.0, 0.0, -1.0])]
        sign = 1.0 if side == "left" else -1.0
        shoulder = view.base.apply([0.0, 0.12 * sign, 0.0])
        outward = math.atan2(box.y - shoulder[1], box.x - shoulder[0])
        return [
            np.array([*(math.cos(elevation) * np.array([math.cos(yaw), math.sin(yaw)])), -math.sin(elevation)])
            for yaw in (outward - sign * turn for turn in _AZIMUTHS_RAD)
        ]

    def _approach(
        self, view: BimanualView, side: str, tip: Array, direction: Array, axis: Array, closing: float, home: Array, others: Sequence[Obstacle]
    ) -> Approach | None:
        """Returns how a hand comes to a point along a direction, its `axis` (frame of the site) ahead; None where it does not get there."""
        to_base, body = view.base.inverse(), self._body
        foremost = _foremost(self.ways.hand_points(side, closing), axis)
        there, along = to_base.apply(tip), rotate(to_base.quat, direction)
        near = body.forward(home)[side].quat
        wanted = pointing(there - float(foremost @ axis) * along, along, (float(axis[0]), float(axis[1]), float(axis[2])), near)
        turned = body.solve({side: HandTarget(wanted, "axis", (float(axis[0]), float(axis[1]), float(axis[2])))}, home, iterations=32)
        if not turned.is_near(0.015, 0.15):
            return None
        quat = body.forward(turned.q)[side].quat
        goal = Pose(there - rotate(quat, foremost), quat)
        solved = body.solve({side: goal}, turned.q, iterations=20)
        if not solved.is_near(8e-3, 0.10):
            return None
        start = body.solve({side: Pose(goal.pos - _STANDOFF_M * along, quat)}, solved.q, iterations=20)
        if not start.is_near(0.015, 0.15):
            return None
        cost = float(np.sum((solved.q - home) ** 2)) + sum(
            self._crowding(view, q, side, closing, others, float(tip[2])) for q in (solved.q, start.q)
        )
        return Approach(side, view.base @ goal, np.array(direction), closing, cost)

    def _crowding(self, view: BimanualView, q: Array, side: str, closing: float, others: Sequence[Obstacle], tip_m: float) -> float:
        """Returns what it costs that hand and arm come near to other things and to the table, with the finger tips at a height above it."""
        taken = self.ways.taken(view, q, side, closing)
        near = max(0.0, _ROOM_M - gap_m(taken.hand, others)) + max(0.0, _ROOM_M - gap_m(taken.arm, others))
        over_table = taken.arm[taken.arm[:, 0] > (self._robot.stance.table_edge_x_m if self._robot.stance else 0.1)]
        low = max(0.0, 0.01 - float(over_table[:, 2].min())) if len(over_table) else 0.0
        # On a flat thing, what of the hand is lower than its tips would meet the table first.
        low += max(0.0, min(_ABOVE_M, tip_m) - float(taken.hand[:, 2].min()))
        return 100.0 * _NEAR_COST * (near + low)


def touching_axes(hand: EndEffector, ways: Ways) -> list[tuple[Array, float]]:
    """Returns what a hand touches with: directions in the frame of the pinch point, and what its fingers do then.

    A flat hand, whose open fingers reach far beyond the palm, touches with their tips; another one closes, and touches with the tips as they meet.
    """
    point = np.array(hand.point_axis)
    flat, closed = ways.hand_points(hand.side, OPEN), ways.hand_points(hand.side, CLOSE)
    if float((flat @ point).max()) > float((closed @ point).max()) + _LONGER_M and abs(float(point[2])) < 0.1:
        return [(point, OPEN)]
    return [(np.array([0.0, 0.0, 1.0]), CLOSE)]


def slender_axes(hand: EndEffector, ways: Ways) -> list[tuple[Array, float]]:
    """Returns what of a hand is slender enough for a button: directions in the frame of the pinch point along which it comes to a point."""
    point = np.array(hand.point_axis)
    palm = np.array([0.0, 0.0, 1.0])
    across = np.cross(point, palm)
    ahead = [(palm, CLOSE), (point, OPEN)]
    # A flat hand has corners: the outer edge of its first finger, and of its last.
    ahead += [(math.cos(turn) * point + math.sin(turn) * across, OPEN) for turn in (_CORNER_RAD, -_CORNER_RAD)]
    found = []
    for axis, closing in ahead:
        points = ways.hand_points(hand.side, closing)
        tips = points[points @ axis > (points @ axis).max() - _TIPS_M]
        if float(np.linalg.norm(np.ptp(tips, axis=0))) < _SLENDER_M:
            found.append((axis, closing))
    return found


def _foremost(points: Array, axis: Array) -> Array:
    """Returns the middle (3,) of the points that are foremost along an axis."""
    ahead = points @ axis
    tips = points[ahead > ahead.max() - _TIPS_M]
    middle: Array = (tips.min(axis=0) + tips.max(axis=0)) / 2
    return middle + (float(ahead.max()) - float(middle @ axis)) * axis


def _surface(box: Obstacle, direction: Array) -> Array:
    """Returns the point (3,) of a thing's surface that is met along a direction towards its middle; from above, that of its top."""
    if direction[2] < -0.99:
        return np.array([box.x, box.y, box.top_m])
    height = box.top_m - box.bottom_m
    aim = np.array([box.x, box.y, max(box.bottom_m + 0.5 * height, box.top_m - 0.05)])
    back = aim - np.linspace(0.0, 0.4, 101)[:, None] * direction
    outside = (box.distance(back[:, :2]) > 0.0) | (back[:, 2] > box.top_m)
    found: Array = back[int(np.argmax(outside))]
    return found


def box_of(spec: EpisodeSpec, view: BimanualView, name: str) -> Obstacle:
    """Returns a prop or fixture as an upright prism around that part of it that can be met: of what is hollow or bent, that where it is grasped."""
    (box,) = [thing for thing in obstacles(spec, view, [other for other in view.props if other != name]) if thing.name == name]
    if name not in view.props:
        fixture = next(f for f in spec.scene.fixtures if f.name == name)
        return box._replace(top_m=float(fixture.pos_world[2]) + get_fixture(fixture.asset).height_m)
    asset, thing = asset_of(spec, name), view.props[name]
    upright = asset.grasps_in(UPRIGHT) if resting_pose(asset, thing) == UPRIGHT else ()
    grasps = [g for g in upright if g.kind == "rim"] or [g for g in upright if not g.symmetric]
    if grasps:
        x, y, _ = thing.apply(np.array([*grasps[0].offset_xy_m, 0.0])).tolist()
        return box._replace(x=x, y=y, half_x_m=0.008, half_y_m=0.008)
    if asset.place is not None and "graspable" not in asset.roles:
        return box._replace(top_m=float(thing.pos[2]) + asset.place.surface_height_m)
    return box


class TouchWith(BimanualSkill):
    """touch_with(a): the hand that the goal names, or the one that gets there more easily, comes to a and stops as soon as it touches it."""

    def __init__(self, spec: EpisodeSpec, args: Sequence[str]) -> None:
        super().__init__(spec, args)
        self._reacher = Reacher(spec, self.robot)
        self._ranked: list[Approach] = []
        self._tries = 0
        self._is_near = False
        self._still = self._felt = self._waited = 0
        self._progress = -math.inf

    def step(self, view: BimanualView) -> tuple[BodyCommand, Verdict]:
        name, ways = self.args[0], self._reacher.ways
        if not self._ranked:
            self._ranked = self._reacher.approaches(view, name, free_hands(self.spec, self.robot, name))
            if not self._ranked:
                raise NotGraspable(f"no hand of {self.spec.robot} comes to {name!r} at {box_of(self.spec, view, name)[1:3]}")
        approach = self._ranked[self._tries % len(self._ranked)]
        side, here = approach.side, view.hands[approach.side]
        start = approach.before(_STANDOFF_M)
        if not self._is_near:
            self._is_near = is_there(here, start, 0.015, 0.15)
            self._waited += 1
            if self._waited > _PATIENCE:
                self._tries, self._waited = self._tries + 1, 0
            self._still, self._progress = 0, -math.inf
            hands = {side: over(ways, view, side, start, approach.closing, ways.around(view)), **giving_way(ways, view, side, start)}
            return BodyCommand(hands=hands), "running"
        ahead = float((here.pos - approach.pose.pos) @ approach.direction)
        if name in view.touched_by.get(side, ()):
            self._felt += 1
            stays = HandCommand(pose=view.targets[side], closing=approach.closing)
            return BodyCommand(hands={side: stays}), "done" if self._felt > _FELT else "running"
        self._still = self._still + 1 if ahead < self._progress + 0.001 else 0
        self._progress = max(self._progress, ahead)
        if ahead > _BEYOND_M or self._still > 8:
            self._tries, self._is_near, self._waited = self._tries + 1, False, 0
        beside = here.pos - approach.pose.pos - ahead * approach.direction
        lead = _LEAD_M if ahead > -_NEAR_M else _NEARING_M
        pos = here.pos + lead * approach.direction - beside
        return BodyCommand(hands={side: HandCommand(pose=Pose(pos, approach.pose.quat), closing=approach.closing, speed_m=lead)}), "running"


SKILLS: Mapping[str, type[BimanualSkill]] = {"touch_with": TouchWith}
"""Name -> class."""
