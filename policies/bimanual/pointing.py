"""Point at a thing: a hand is raised between shoulder and thing, so that its line meets the thing and nothing else, and stays there."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from vlagym.envs.errors import NotGraspable
from vlagym.envs.frames import Array, Pose, from_axis_angle, multiply, rotate
from vlagym.envs.predicates.outlines import Outline, misses, outlines
from vlagym.envs.predicates.pointing import MET_RAD
from vlagym.envs.predicates.state import WorldState
from vlagym.envs.robot import EndEffector
from vlagym.envs.types import EpisodeSpec, Vec3
from vlagym.envs.whole_body import HandTarget, pointing, whole_body
from vlagym.policies.bimanual.choosing import free_hands
from vlagym.policies.bimanual.motion import Ways, gap_m, giving_way, is_there, over, posture, state_of
from vlagym.policies.bimanual.view import CLOSE, OPEN, BimanualSkill, BimanualView, BodyCommand, HandCommand
from vlagym.policies.skills.surroundings import Obstacle
from vlagym.policies.skills.view import Verdict

_REACH_M = (0.40, 0.32, 0.48, 0.26)
"""From the shoulder to the hand that points."""
_BEFORE_M = 0.12
"""A hand stays so far from what it points at."""
_ASIDE_M = (0.0, 0.08, -0.08)
"""Of the line from the shoulder to the thing, to the left and to the right."""
_UP_M = (0.0, 0.10, 0.20)
_CLEARLY_RAD = 0.12
"""By so much the line should miss all other things."""
_DOUBT_COST, _ROOM_COST, _ROOM_M = 20.0, 400.0, 0.03
_FAR_M, _FAR_COST = 0.35, 6.0  # pointing is done from so far away where that is possible; for each m that is lacking
_MOVED_M, _MOVED_COST = 0.12, 30.0
"""A hand is brought to where it points: to hang there is not to point."""
_ACROSS_M, _ACROSS_COST = 0.02, 25.0
"""What lies on the other side of the middle of the body, by more than this, is rather pointed at with the hand of that side; for each m."""
_PATIENCE, _HELD = 60, 14
"""Control steps: for getting there, and of pointing before it is enough."""
_IDLE_RAD = 0.18
"""By so much the line of the other hand misses everything."""


class _Aim(NamedTuple):
    side: str
    pose: Pose
    """Of the pinch point, in the world."""
    cost: float


class PointAt(BimanualSkill):
    """point_at(a): the hand that the goal names, or the one that can do it more easily, points at a and stays there."""

    def __init__(self, spec: EpisodeSpec, args: Sequence[str]) -> None:
        super().__init__(spec, args)
        self._ways = Ways(spec)
        self._body = whole_body(spec.robot, spec.robot_base)
        self._things = outlines(spec)
        self._aims: list[_Aim] = []
        self._tries = self._waited = self._held = 0
        self._others: dict[str, Pose] = {}

    def step(self, view: BimanualView) -> tuple[BodyCommand, Verdict]:
        if not self._aims:
            self._aims = self._choose(view)
        side, goal, _ = self._aims[self._tries % len(self._aims)]
        closing = _closing(self.hand(side), self._ways)
        around = self._ways.around(view)
        if not self._others:
            self._others = {other: self._astray(view, other, command) for other, command in self._idle(view, side, goal).items()}
        idle = {other: HandCommand(pose=place) for other, place in self._others.items()}
        if not is_there(view.hands[side], goal, 0.03, 0.06):
            self._waited += 1
            if self._waited > _PATIENCE:
                self._tries, self._waited = self._tries + 1, 0
                self._others = {}
            return BodyCommand(hands={side: over(self._ways, view, side, goal, closing, around), **idle}), "running"
        self._held += 1
        hands = {side: HandCommand(pose=goal, closing=closing), **idle}
        return BodyCommand(hands=hands), "done" if self._held > _HELD else "running"

    def _choose(self, view: BimanualView) -> list[_Aim]:
        """Returns poses of hands that point at the thing, the best first."""
        name = self.args[0]
        thing = next(t for t in self._things if t.name == name)
        state = state_of(view)
        target = thing.middle_in(state)
        around = self._ways.around(view)
        found: list[_Aim] = []
        for side in free_hands(self.spec, self.robot, name):
            home = posture(view, self.robot)
            arm = [self.robot.joints.index(joint) for joint in self.hand(side).arm_joints]
            home[arm] = np.array(self.robot.home_qpos)[arm]
            near = self._body.forward(home)[side]
            shoulder = self._shoulder(view, side)
            for reach, aside, up in itertools.product(_REACH_M, _ASIDE_M, _UP_M):
                aim = self._aim(view, side, target, shoulder, (reach, aside, up), home, near, around, state)
                if aim is not None:
                    found.append(aim)
        if not found:
            raise NotGraspable(f"no hand of {self.spec.robot} points at {name!r} at {target.round(3).tolist()} and at nothing else")
        return sorted(found, key=lambda aim: round(aim.cost, 6))

    def _aim(
        self, view: BimanualView, side: str, target: Array, shoulder: Array, where: tuple[float, float, float], home: Array, near: Pose,
        around: Sequence[Obstacle], state: WorldState,
    ) -> _Aim | None:
        reach, aside, up = where
        line = target - shoulder
        distance = float(np.linalg.norm(line))
        line /= distance
        across = np.array([-line[1], line[0], 0.0]) / max(1e-6, math.hypot(line[0], line[1]))
        point = shoulder + min(reach, distance - _BEFORE_M) * line + aside * across + [0.0, 0.0, up]
        axis: Vec3 = self.hand(side).point_axis
        to_base = view.base.inverse()
        wanted = pointing(to_base.apply(point), rotate(to_base.quat, target - point), axis, near.quat)
        solved = self._body.solve({side: HandTarget(wanted, "axis", axis)}, home, iterations=32)
        if not solved.is_near(0.05, 0.03):
            return None
        pose = view.base @ self._body.forward(solved.q)[side]
        # Where the hand did not come exactly to the point, it is turned so that its line still meets the thing.
        pose = pointing(pose.pos, target - pose.pos, axis, pose.quat)
        angles = _missed(self._things, state, pose, axis)
        own, distance = angles.pop(self.args[0])
        if own > 0.03 or any(angle <= own and there <= distance for angle, there in angles.values()):
            return None
        doubt = sum(max(0.0, _CLEARLY_RAD - angle) for angle, _ in angles.values())
        taken = self._ways.taken(view, solved.q, side, _closing(self.hand(side), self._ways))
        room = max(0.0, _ROOM_M - gap_m(np.concatenate([taken.hand, taken.arm]), around))
        low = max(0.0, 0.05 - float(taken.hand[:, 2].min()))
        lacking = max(0.0, _FAR_M - float(np.linalg.norm(target - pose.pos)))
        across_m = max(0.0, (-1.0 if side == "left" else 1.0) * float(to_base.apply(target)[1]) - _ACROSS_M)
        idle = max(0.0, _MOVED_M - float(np.linalg.norm(to_base.apply(pose.pos) - near.pos)))
        cost = float(np.sum((solved.q - home) ** 2)) + _DOUBT_COST * doubt + _ROOM_COST * (room + low) + _FAR_COST * lacking + _MOVED_COST * idle
        cost += _ACROSS_COST * across_m
        return _Aim(side, pose, cost)

    def _idle(self, view: BimanualView, side: str, goal: Pose) -> dict[str, Pose]:
        """Returns where the other hand is to be."""
        giving = giving_way(self._ways, view, side, goal)
        places: dict[str, Pose] = {}
        for other in self.robot.sides:
            if other != side:
                asked = giving[other].pose if other in giving else None
                places[other] = view.targets[other] if asked is None else asked
        return places

    def _astray(self, view: BimanualView, side: str, place: Pose) -> Pose:
        """Returns a place of the hand that has no part in it, turned so that it points at nothing: outwards and down."""
        state, axis = state_of(view), self.hand(side).point_axis
        sign = 1.0 if side == "left" else -1.0
        ranked: list[tuple[float, int, Pose]] = []
        for i, (outward, down) in enumerate(itertools.product((0.0, 0.3, 0.6, 0.9), (0.0, 0.3, 0.6, -0.3))):
            turn = multiply(from_axis_angle([0.0, 0.0, sign * outward]), from_axis_angle([0.0, down, 0.0]))
            turned = Pose(place.pos, multiply(turn, place.quat))
            nearest = min(angle for angle, _ in _missed(self._things, state, turned, axis).values())
            ranked.append((max(0.0, _IDLE_RAD - nearest) + 0.01 * (outward + abs(down)), i, turned))
        return min(ranked, key=lambda item: item[:2])[2]

    def _shoulder(self, view: BimanualView, side: str) -> Array:
        return self._ways.shoulder(view, side)


def _closing(hand: EndEffector, ways: Ways) -> float:
    """Returns what the fingers do while a hand points: those of a flat hand stay stretched, others come together."""
    point = np.array(hand.point_axis)
    flat, closed = ways.hand_points(hand.side, OPEN) @ point, ways.hand_points(hand.side, CLOSE) @ point
    return OPEN if float(flat.max()) > float(closed.max()) + 0.03 else CLOSE


def _missed(things: Sequence[Outline], state: WorldState, here: Pose, axis: Vec3) -> dict[str, tuple[float, float]]:
    """Returns, thing by thing, by what angle (rad) the line of a hand misses it, and how far along the line (m)."""
    angles, distances = misses(things, state, here.pos, rotate(here.quat, np.array(axis)))
    found = zip(things, np.maximum(angles, MET_RAD).tolist(), distances.tolist(), strict=True)
    return {thing.name: (angle, distance) for thing, angle, distance in found}


SKILLS: Mapping[str, type[BimanualSkill]] = {"point_at": PointAt}
"""Name -> class."""
