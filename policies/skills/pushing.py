"""Push into a zone, along a line, off a mat: closed fingers behind the thing, steered so that it goes where it should."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from vlagym.envs.layouts import lanes
from vlagym.envs.frames import Array, Pose, from_yaw, multiply
from vlagym.envs.predicates.pushing import LINE_END_M, LINE_START_SHARE, LINE_WIDTH_M, inside_m, line_of, outline, zone_of
from vlagym.envs.predicates.state import fixture_pose
from vlagym.envs.task import footprint_m
from vlagym.envs.types import EpisodeSpec
from vlagym.policies.skills.grasping import hand_of, opening_command
from vlagym.policies.skills.view import CLOSE, DOWN, Command, SkillBase, Verdict, View, asset_of, clear_height, hand_yaw, turn_between

_LOW_M = 0.016  # of the pinch point above what the thing stands on: the tips are 9 mm lower, and must not scrape the table
_STANDOFF_M = 0.022  # between that face and the thing when the hand comes down behind it
_SPEED_M = 0.013  # per control step: 0.26 m/s; a thing that slides with friction 1 stops within 4 mm of the fingers
_WITHDRAW_M = 0.025
_TURN_MAX_RAD = 2.0  # of the hand about the vertical, either way
_CENTRING = 0.15  # per control step: how much of its offset from the line of the push the hand makes good


class Push(SkillBase):
    """What every push has in common; a kind of push says where to, and when the thing is there."""

    def __init__(self, spec: EpisodeSpec, args: Sequence[str]) -> None:
        super().__init__(spec, args)
        self._corners, self._radius = outline(spec, args[0])
        self._height = asset_of(spec, args[0]).size_m[2]
        hand = hand_of(spec)
        self._face = hand.push
        self._gripper = opening_command(hand, hand.push.opening_m) if hand.push.opening_m > 0.0 else CLOSE
        self._phase = "above"
        self._turn: float | None = None
        self._direction = np.array([1.0, 0.0])
        self._left_at = np.zeros(3)

    def target(self, view: View) -> Array:
        """Returns the point (2,) of the table, m, that the middle of the thing is pushed towards now."""
        raise AssertionError("abstract")

    def is_there(self, view: View) -> bool:
        """Returns whether the thing is where it should be, with a margin."""
        raise AssertionError("abstract")

    def remaining_m(self, view: View) -> float:
        """Returns how far the thing still has to go; the hand slows down towards the end."""
        return float(np.linalg.norm(self.target(view) - self._middle(view)))

    def begin_again(self) -> None:
        """Forgets what was decided before the thing slipped."""

    def step(self, view: View) -> tuple[Command, Verdict]:
        thing = view.props[self.args[0]]
        height = float(thing.pos[2]) + max(_LOW_M, self._height - 0.04)
        if self._phase == "leaving":
            return self._leave(view)
        if self.is_there(view):
            if self._phase == "above":
                return Command(view.ee.pos, self._quat(view), self._gripper), "done"
            self._phase, self._left_at = "leaving", view.ee.pos.copy()
            return self._leave(view)
        middle = self._middle(view)
        away = self.target(view) - middle
        self._direction = away / max(1e-9, float(np.linalg.norm(away)))
        side = np.array([-self._direction[1], self._direction[0]])
        behind_m = self._extent(thing, -self._direction) + self._face.distance_m
        rel = view.ee.pos[:2] - middle
        ahead, beside = float(rel @ self._direction), float(rel @ side)
        quat = self._quat(view)
        if self._phase == "above":
            start = middle - (behind_m + _STANDOFF_M) * self._direction
            across = float(np.linalg.norm(start - view.ee.pos[:2]))
            turn_error = turn_between(view.ee.quat, quat)
            if across < 0.012 and abs(view.ee.pos[2] - height) < 0.006 and turn_error < 0.12:
                self._phase = "pushing"
            else:
                ceiling = max(clear_height(self.spec, view, without=()), self._height + 0.03)
                lift = min(ceiling, 3.0 * max(0.0, across - 0.008) + 0.3 * max(0.0, turn_error - 0.1))
                return Command(np.array([*start, height + lift]), quat, self._gripper), "running"
        if abs(beside) > 0.75 * self._extent(thing, side) or ahead > -0.4 * behind_m:
            self._phase, self._turn = "above", None  # slipped past: come down behind it once more
            self.begin_again()
            return Command(view.ee.pos + [0, 0, 0.04], quat, self._gripper), "running"
        speed = min(_SPEED_M, 0.004 + 0.16 * self.remaining_m(view))
        if ahead < -(behind_m + 0.004):
            speed = _SPEED_M  # not yet in touch
        step = speed * self._direction - _CENTRING * beside * side
        goal = view.ee.pos[:2] + 3.0 * step
        up = height + 1.5 * max(0.0, height - float(view.ee.pos[2]))  # under load the hand sinks
        return Command(np.array([*goal, up]), quat, self._gripper, max(0.004, float(np.linalg.norm(step)))), "running"

    def _leave(self, view: View) -> tuple[Command, Verdict]:
        goal = self._left_at - _WITHDRAW_M * np.array([*self._direction, 0.0])
        if np.linalg.norm(view.ee.pos[:2] - self._left_at[:2]) > 0.6 * _WITHDRAW_M:
            if self.is_there(view):
                return Command(goal, self._quat(view), self._gripper), "done"
            self._phase, self._turn = "above", None
        return Command(goal, self._quat(view), self._gripper, 0.015), "running"

    def _middle(self, view: View) -> Array:
        """Returns the middle (2,) of the thing's outline."""
        box = self._corners
        middle: Array = view.props[self.args[0]].apply((box.min(axis=0) + box.max(axis=0)) / 2)[:2]
        return middle

    def _extent(self, thing: Pose, direction: Array) -> float:
        """Returns how far the thing reaches from its middle in a direction, m."""
        if self._radius > 0.0:
            return self._radius
        corners = np.array([thing.apply(corner) for corner in self._corners])[:, :2]
        return float(((corners - corners.mean(axis=0)) @ direction).max())

    def _quat(self, view: View) -> Array:
        """Returns the hand looking down with the face that pushes towards where the thing should go."""
        wanted = math.atan2(self._direction[1], self._direction[0]) - self._face.turn_rad
        here = hand_yaw(view.ee.quat) if self._turn is None else self._turn
        if self._face.is_on_both_sides:
            turn = here + math.remainder(wanted - here, math.pi)
            self._turn = turn if abs(turn) <= _TURN_MAX_RAD else math.remainder(wanted, math.pi)
        else:
            self._turn = here + math.remainder(wanted - here, 2 * math.pi)
        return multiply(from_yaw(self._turn), DOWN)


class PushInto(Push):
    """push_into(a, zone): pushes a towards the middle of the zone until it lies in it with a margin."""

    _MARGIN_M = 0.008

    def __init__(self, spec: EpisodeSpec, args: Sequence[str]) -> None:
        super().__init__(spec, args)
        fixture, self._zone = zone_of(spec, args[1])
        self._here = fixture_pose(fixture)

    def target(self, view: View) -> Array:
        return self._here.pos[:2]

    def is_there(self, view: View) -> bool:
        inside = inside_m(self._zone, self._here.inverse() @ view.props[self.args[0]], self._corners, self._radius)
        return inside >= self._MARGIN_M or self.remaining_m(view) < 0.006


class PushAlong(Push):
    """push_along(a, line): pushes a along the line, steering back to it, until its middle is at the end. Begins anew when a has left the line."""

    _AHEAD_M = 0.06

    def __init__(self, spec: EpisodeSpec, args: Sequence[str]) -> None:
        super().__init__(spec, args)
        fixture, self._line = line_of(spec, args[1])
        self._here = fixture_pose(fixture)
        self._under_way = False

    def target(self, view: View) -> Array:
        along, beside = self._along(view)
        if abs(beside) > LINE_WIDTH_M:
            self._under_way = False
        elif along < LINE_START_SHARE * self._line.length_m:
            self._under_way = True
        ahead = min(along + self._AHEAD_M, self._line.length_m) if self._under_way else 0.0
        (ax, ay), (bx, by) = self._line.start_m, self._line.end_m
        share = ahead / self._line.length_m
        point: Array = self._here.apply([ax + share * (bx - ax), ay + share * (by - ay), 0.0])[:2]
        return point

    def remaining_m(self, view: View) -> float:
        return max(0.0, self._line.length_m - self._along(view)[0]) if self._under_way else super().remaining_m(view)

    def is_there(self, view: View) -> bool:
        return self._under_way and self._line.length_m - self._along(view)[0] < LINE_END_M / 3

    def _along(self, view: View) -> tuple[float, float]:
        x, y, _ = self._here.inverse().apply([*self._middle(view), 0.0])
        return self._line.along_m(x, y)


class PushOff(Push):
    """push_off(a, mat): pushes a off the mat the shortest way that is free and in reach."""

    _MARGIN_M = 0.012

    def __init__(self, spec: EpisodeSpec, args: Sequence[str]) -> None:
        super().__init__(spec, args)
        self._goal: Array | None = None

    def target(self, view: View) -> Array:
        if self._goal is None or np.linalg.norm(self._goal - self._middle(view)) < 0.01:
            self._goal = self._way_out(view)
        return self._goal

    def begin_again(self) -> None:
        self._goal = None

    def is_there(self, view: View) -> bool:
        return self._beside_m(view, self._middle(view)) >= self._MARGIN_M

    def remaining_m(self, view: View) -> float:
        return max(0.0, self._MARGIN_M - self._beside_m(view, self._middle(view)))

    def _beside_m(self, view: View, middle: Array) -> float:
        """Returns the gap between the mat and the thing if its middle were there, m; below 0 where they overlap."""
        mat, asset = view.props[self.args[1]], asset_of(self.spec, self.args[1])
        thing = view.props[self.args[0]]
        gaps = []
        for axis in (0, 1):
            normal = (mat.apply(np.eye(3)[axis]) - mat.pos)[:2]
            reach = self._extent(thing, normal) + asset.size_m[axis] / 2
            gaps.append(abs(float((middle - mat.pos[:2]) @ normal)) - reach)
        return max(gaps)

    def _way_out(self, view: View) -> Array:
        start, radius = self._middle(view), max(self._extent(view.props[self.args[0]], np.array(d)) for d in ((1.0, 0.0), (0.0, 1.0)))
        others = [
            lanes.Disc(float(where.pos[0]), float(where.pos[1]), footprint_m(asset_of(self.spec, name)))
            for name, where in view.props.items()
            if name not in self.args
        ]
        ways: list[tuple[float, float, int]] = []
        ends: list[Array] = []
        for k in range(32):
            direction = np.array([math.cos(math.pi * k / 16), math.sin(math.pi * k / 16)])
            length = next(t for t in np.arange(0.0, 1.0, 0.005) if self._beside_m(view, start + t * direction) >= self._MARGIN_M)
            end = start + (length + 0.02) * direction
            ends.append(end)
            hindrance = lanes.hindrance_m(start.tolist(), end.tolist(), radius, others)
            ways.append((round(hindrance, 3), round(float(length), 6), k))
        return ends[min(ways)[2]]


SKILLS: Mapping[str, type[SkillBase]] = {"push_into": PushInto, "push_along": PushAlong, "push_off": PushOff}
"""Name -> class."""
