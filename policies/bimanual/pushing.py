"""Push a thing aside with a hand: palm or back of the hand behind it, low over the table, straight to the side, and away again."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from vlagym.envs.errors import BadSpec, NotGraspable
from vlagym.envs.frames import Array, Pose, from_axis_angle, multiply, to_matrix
from vlagym.envs.predicates.carrying import ASIDE_M
from vlagym.envs.predicates.state import start_of, word
from vlagym.envs.types import EpisodeSpec
from vlagym.envs.whole_body import pointing, whole_body
from vlagym.policies.bimanual.choosing import free_hands
from vlagym.policies.bimanual.motion import Ways, gap_m, giving_way, is_there, over, posture
from vlagym.policies.bimanual.view import CLOSE, OPEN, BimanualSkill, BimanualView, BodyCommand, HandCommand
from vlagym.policies.skills.surroundings import Obstacle, obstacle
from vlagym.policies.skills.view import Verdict, turn_between

_LEFT_M = (0.010, 0.018)
"""Below the lowest point of a hand that pushes, above the table; and that on legs, which sway ..."""
_SHARE = 0.4
"""... but no more than this share of the height of what is pushed."""
_STANDOFF_M = 0.03
"""Between hand and thing where the hand comes down behind it."""
_MARGIN_M = 0.015
"""So much farther than it must a thing is pushed."""
_SPEED_M = 0.013
_WITHDRAW_M = 0.05
_PATIENCE = 70
_CENTRING = 0.5
_TWISTS_RAD = tuple(math.radians(d) for d in range(0, 360, 30))
"""Of the hand about the line along which it pushes."""
_SLAB, _FACE_M = 0.7, 0.01
"""A thing is met at no more than this share of its height, by what of the hand is foremost there, give or take this."""
_LOOKED_AT = 8
_WIDTH_M, _NARROW_COST, _SCOOP_COST, _STRADDLE_COST = 0.06, 8.0, 40.0, 3.0
_BACK_COST, _OVERHANG_COST, _ASKEW_COST = 0.15, 8.0, 20.0
_ROOM_COST, _ROOM_M = 400.0, 0.012


class _Push(NamedTuple):
    """How a hand pushes."""

    side: str
    quat: Array
    """Of the pinch point, in the world."""
    closing: float
    ahead_m: float
    """From the pinch point to the foremost part of the hand, along the push."""
    middle_m: float
    """From the pinch point to the middle of that part, across the push (along x of the world)."""
    height_m: float
    """Of the pinch point above the table."""
    cost: float


class PushAside(BimanualSkill):
    """push_aside(a, =side): pushes a to that side until it has gone far enough, with the hand that the goal names or that does it more easily."""

    def __init__(self, spec: EpisodeSpec, args: Sequence[str]) -> None:
        super().__init__(spec, args)
        side = word(args[1])
        if side not in ("left", "right"):
            raise BadSpec(f"things are pushed aside to the left or right, not to {side!r}")
        self._sign = 1.0 if side == "left" else -1.0
        self._start = start_of(spec, args[0])
        self._ways = Ways(spec)
        self._body = whole_body(spec.robot, spec.robot_base)
        self._ranked: list[_Push] = []
        self._tries = self._waited = 0
        self._phase = "going"
        self._left_m = _LEFT_M[spec.robot_base == "legs"]
        self._left_at = np.zeros(3)

    def step(self, view: BimanualView) -> tuple[BodyCommand, Verdict]:
        box = obstacle(self.spec, view, self.args[0])
        if not self._ranked:
            self._ranked = self._choose(view, box)
        push = self._ranked[self._tries % len(self._ranked)]
        here = view.hands[push.side]
        self._waited += 1
        gone = self._sign * (float(view.props[self.args[0]].pos[1]) - float(self._start[1]))
        is_enough = gone >= ASIDE_M + _MARGIN_M
        if self._phase == "leaving":
            return self._leave(view, push, is_enough)
        if is_enough:
            self._phase, self._left_at, self._waited = "leaving", here.pos.copy(), 0
            return self._leave(view, push, True)
        if self._waited > _PATIENCE:
            self._tries, self._waited, self._phase = self._tries + 1, 0, "going"
        behind = self._pose(push, box, _STANDOFF_M)
        if self._phase == "going":
            if is_there(here, behind, 0.015, 0.15):
                self._phase, self._waited = "pushing", 0
            around = self._ways.around(view)
            hands = {push.side: over(self._ways, view, push.side, behind, push.closing, around), **giving_way(self._ways, view, push.side, behind)}
            return BodyCommand(hands=hands), "running"
        edge = self._pose(push, box, 0.0)
        if self._sign * float(here.pos[1] - edge.pos[1]) > 0.03:
            self._phase, self._waited = "going", 0  # slipped past
        speed = min(_SPEED_M, 0.004 + 0.2 * max(0.0, ASIDE_M + _MARGIN_M - gone))
        x = here.pos[0] + _CENTRING * float(edge.pos[0] - here.pos[0])
        pos = np.array([x, here.pos[1] + self._sign * 2.0 * speed, push.height_m + 1.5 * (push.height_m - float(here.pos[2]))])
        return BodyCommand(hands={push.side: HandCommand(pose=Pose(pos, push.quat), closing=push.closing, speed_m=2.0 * speed)}), "running"

    def _leave(self, view: BimanualView, push: _Push, is_enough: bool) -> tuple[BodyCommand, Verdict]:
        goal = Pose(self._left_at - [0.0, self._sign * _WITHDRAW_M, 0.0], push.quat)
        if is_there(view.hands[push.side], goal, 0.02, 0.3) or self._waited > 15:
            if not is_enough:
                self._phase, self._waited = "going", 0
            elif self._waited > 8:
                return BodyCommand(hands={push.side: HandCommand(pose=goal, closing=push.closing)}), "done"
        return BodyCommand(hands={push.side: HandCommand(pose=goal, closing=push.closing, speed_m=0.015)}), "running"

    def _pose(self, push: _Push, box: Obstacle, back_m: float) -> Pose:
        """Returns where the hand is `back_m` behind the thing."""
        y = box.y - self._sign * (_half_m(box) + push.ahead_m + back_m)
        return Pose(np.array([box.x - push.middle_m, y, push.height_m]), push.quat)

    def _choose(self, view: BimanualView, box: Obstacle) -> list[_Push]:
        """Returns ways to push, the best first."""
        found: list[_Push] = []
        for side in free_hands(self.spec, self.robot, self.args[0]):
            home = self._home(view, side)
            shapes = sorted(self._shapes(view, box, side, home), key=lambda push: round(push.cost, 6))[:_LOOKED_AT]
            found += [push for shape in shapes if (push := self._in_reach(view, box, shape, home)) is not None]
        if not found:
            where = f"[{box.x:.3f}, {box.y:.3f}]"
            raise NotGraspable(f"no hand of {self.spec.robot} pushes {self.args[0]!r} at {where} to the {word(self.args[1])}")
        return sorted(found, key=lambda push: round(push.cost, 6))

    def _home(self, view: BimanualView, side: str) -> Array:
        """Returns the present posture with the arm of a side as at the start."""
        home = posture(view, self.robot)
        arm = [self.robot.joints.index(joint) for joint in self.hand(side).arm_joints]
        home[arm] = np.array(self.robot.home_qpos)[arm]
        return home

    def _shapes(self, view: BimanualView, box: Obstacle, side: str, home: Array) -> Iterator[_Push]:
        """Yields how a hand may be turned to push with its palm or with its back, costed by how well its form suits."""
        hand, direction = self.hand(side), np.array([0.0, self._sign, 0.0])
        near = (view.base @ self._body.forward(home)[side]).quat
        for sign, closing in itertools.product((1.0, -1.0), (CLOSE, OPEN)):
            x, y, z = (sign * np.array(hand.palm_axis)).tolist()
            facing = pointing(np.zeros(3), direction, (x, y, z), near).quat
            points = self._ways.hand_points(side, closing)
            for twist in _TWISTS_RAD:
                quat = multiply(from_axis_angle(twist * direction), facing)
                spread = points @ to_matrix(quat).T
                height = min(self._left_m, _SHARE * (box.top_m - box.bottom_m)) - float(spread[:, 2].min())
                low = spread[spread[:, 2] + height < _SLAB * (box.top_m - box.bottom_m)]
                if not len(low):
                    continue  # it would pass above the thing
                if not len(low):
                    continue  # it would pass above the thing
                along = self._sign * low[:, 1]
                face = low[along > along.max() - _FACE_M]
                middle = float(face[:, 0].min() + face[:, 0].max()) / 2
                overhang = float((self._sign * spread[:, 1]).max() - along.max())
                cost = 0.5 * turn_between(near, quat) ** 2 + _OVERHANG_COST * overhang + _ASKEW_COST * abs(middle) + (_BACK_COST if sign < 0 else 0.0)
                cost += _NARROW_COST * max(0.0, _WIDTH_M - float(np.ptp(face[:, 0])))
                # Fingers that stand apart would let it through between them.
                cost += _STRADDLE_COST * float(np.abs(face[:, 0] - middle).min() > 0.5 * _half_m(box, 0))
                upper = low[low[:, 2] + height > 0.5 * _SLAB * (box.top_m - box.bottom_m)]
                if len(upper):
                    # What is farther ahead below than above gets under the thing and tips it up.
                    cost += _SCOOP_COST * max(0.0, float(along.max() - (self._sign * upper[:, 1]).max()) - 0.003)
                yield _Push(side, quat, closing, float(along.max()), middle, height, cost)

    def _in_reach(self, view: BimanualView, box: Obstacle, push: _Push, home: Array) -> _Push | None:
        """Returns the way to push, costed by how the arm gets there; None where it does not."""
        to_base = view.base.inverse()
        others = [thing for thing in self._ways.around(view) if thing.name != self.args[0]]
        cost, q = push.cost, home
        for pose in (self._pose(push, box, _STANDOFF_M), self._pose(push, box, -ASIDE_M - 2 * _MARGIN_M)):
            solved = self._body.solve({push.side: to_base @ pose}, q, iterations=32)
            if not solved.is_near(0.010, 0.10):
                return None
            q = solved.q
            taken = self._ways.taken(view, q, push.side, push.closing)
            room = max(0.0, _ROOM_M - gap_m(np.concatenate([taken.hand, taken.arm]), others))
            cost += float(np.sum((q - home) ** 2)) / 2 + _ROOM_COST * room
        return push._replace(cost=cost)


def _half_m(box: Obstacle, axis: int = 1) -> float:
    """Returns how far a thing reaches from its middle along x (0) or y (1) of the world."""
    if box.is_round:
        return box.half_x_m
    cos, sin = abs(math.cos(box.yaw_rad)), abs(math.sin(box.yaw_rad))
    return cos * box.half_x_m + sin * box.half_y_m if axis == 0 else sin * box.half_x_m + cos * box.half_y_m


SKILLS: Mapping[str, type[BimanualSkill]] = {"push_aside": PushAside}
"""Name -> class."""
