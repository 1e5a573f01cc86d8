"""How two hands take one thing: around the upright grips of a tray, or with the palms against two sides of a box."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from vlagym.envs.frames import Array, Pose, from_matrix, rotate
from vlagym.envs.objects import Hold
from vlagym.envs.robot import Robot
from vlagym.envs.types import EpisodeSpec
from vlagym.envs.whole_body import whole_body
from vlagym.policies.bimanual.grasping import orientations
from vlagym.policies.bimanual.motion import Ways, gap_m, posture
from vlagym.policies.bimanual.shapes import moved
from vlagym.policies.bimanual.view import CLOSE, OPEN, BimanualView, HandCommand
from vlagym.policies.skills.surroundings import Obstacle, boxed
from vlagym.policies.skills.view import asset_of

_STANDOFF_M = 0.07
_RAISED_M = 0.11
_PRESS_M, _STIFF_PRESS_M = 0.035, 0.009
"""So far beyond the sides of a box the palms are sent, each: arms press with what they give way by; those of robots of their own give less."""
_PRESSING_STEPS, _GRASPING_STEPS = 12, 10
_HIGHER_M = (0.0, 0.014)
"""Above the middle of a hold a hand may take it."""
_ROLLS_RAD = tuple(math.radians(30 * k) for k in range(12))
_ROOM_M = 0.010
_NEAR_COST = 800.0
"""For each metre by which hand or arm come nearer to other things than _ROOM_M."""
_HIGH_COST = 20.0
_SKEW_COST = 0.6
"""Of hands that do not do the same."""
_LOOKED_AT = 5


class Take(NamedTuple):
    """How one hand takes its side of a thing."""

    side: str
    in_thing: Pose
    """Of the pinch point where it takes or touches the thing, in the frame of the thing."""
    along: Array
    """(3,) unit vector in the frame of the thing, along which the hand comes."""
    opened: float
    """What its fingers do on the way."""
    closed: float
    press_m: float
    """How far beyond that pose it is sent."""

    def at(self, thing: Pose, press_m: float = 0.0) -> Pose:
        """Returns the pose of the pinch point in the world, pressed in so far, for the thing where it is now."""
        pos, quat = thing @ self.in_thing
        return Pose(pos + press_m * rotate(thing.quat, self.along), quat)

    def before(self, thing: Pose) -> Pose:
        """Returns the pose before it."""
        return self.at(thing, -_STANDOFF_M)


class Pair(NamedTuple):
    """How both hands take a thing."""

    takes: Mapping[str, Take]
    cost: float

    @property
    def closing_steps(self) -> int:
        """How many control steps it takes at least to have hold of it."""
        return _PRESSING_STEPS if any(take.press_m > 0.0 for take in self.takes.values()) else _GRASPING_STEPS

    def pressing(self, thing: Pose, step: int) -> dict[str, HandCommand]:
        """Returns what the hands do in a control step, counted from 1, to have hold of the thing where it is."""
        share = min(1.0, step / self.closing_steps)
        return {
            side: HandCommand(pose=take.at(thing, share * take.press_m), closing=take.closed, speed_m=0.01) for side, take in self.takes.items()
        }


class _Candidate(NamedTuple):
    take: Take
    cost: float


class Pairs:
    """Finds how the two hands of a robot take a thing that has two holds."""

    def __init__(self, spec: EpisodeSpec, robot: Robot) -> None:
        self._spec, self._robot = spec, robot
        self._body = whole_body(spec.robot, spec.robot_base)
        self.ways = Ways(spec)

    def look(self, view: BimanualView, name: str) -> list[Pair]:
        """Returns the ways that are in reach, the best first.

        Args:
          view: The true state.
          name: Of a prop whose asset has two holds.
        """
        thing, asset = view.props[name], asset_of(self._spec, name)
        from_base = view.base.inverse()
        holds = sorted(asset.holds, key=lambda hold: -float((from_base @ thing).apply(hold.pos_m)[1]))  # the leftmost first
        found = {
            side: sorted(self._candidates(view, name, side, hold), key=lambda c: round(c.cost, 6))[:_LOOKED_AT]
            for side, hold in zip(("left", "right"), holds, strict=True)
        }
        pairs = [pair for one in found["left"] for other in found["right"] if (pair := self._together(view, name, one, other)) is not None]
        return sorted(pairs, key=lambda pair: round(pair.cost, 6))

    def _candidates(self, view: BimanualView, name: str, side: str, hold: Hold) -> Iterator[_Candidate]:
        """Yields how one hand may take a hold, each looked at by itself."""
        thing = view.props[name]
        others = [*self._resting(view, name), *self.ways.around(view, (name,))]
        from_base = view.base.inverse()
        home = self._home(view, side)
        ways = self._around_post if hold.kind == "post" else self._against_face
        for take, cost in ways(thing, side, hold):
            if self._low_m(name, take) < 0.0:
                continue
            at = self._body.solve({side: from_base @ take.at(thing)}, home, iterations=24)
            if not at.is_near(8e-3, 0.08):
                continue
            before = self._body.solve({side: from_base @ take.before(thing)}, at.q, iterations=16)
            if not before.is_near(0.015, 0.15):
                continue
            taken = [self.ways.taken(view, q, side, take.opened) for q in (at.q, before.q)]
            near = sum(max(0.0, _ROOM_M - gap_m(np.concatenate([t.hand, t.arm]), others)) for t in taken)
            near += sum(max(0.0, 0.004 - self._over_table_m(np.concatenate([t.hand, t.arm]))) for t in taken)
            yield _Candidate(take, cost + float(np.sum((at.q - home) ** 2)) + _NEAR_COST * near)

    def _together(self, view: BimanualView, name: str, one: _Candidate, other: _Candidate) -> Pair | None:
        """Returns two takes as a pair, costed by the posture that both need at once; None where the arms do not get there."""
        thing, from_base, takes = view.props[name], view.base.inverse(), (one.take, other.take)
        now, home = posture(view, self._robot), np.array(self._robot.home_qpos)
        cost = 0.5 * (one.cost + other.cost)
        for rise in (0.0, _RAISED_M):
            there = Pose(thing.pos + [0.0, 0.0, rise], thing.quat)
            now = (solved := self._body.solve({take.side: from_base @ take.at(there) for take in takes}, now, iterations=40)).q
            if not solved.is_near(0.010, 0.08):
                return None
            cost += float(np.sum((solved.q - home) ** 2))
        apart_m = abs(float(one.take.in_thing.pos[2] - other.take.in_thing.pos[2]))
        twins = float(np.linalg.norm(_mirrored(one.take) - _looks(other.take))) + apart_m / 0.05
        return Pair({take.side: take for take in takes}, cost + _SKEW_COST * twins)

    def _around_post(self, thing: Pose, side: str, hold: Hold) -> Iterator[tuple[Take, float]]:
        """Yields how fingers and thumb close around an upright grip."""
        hand = self._robot.hand(side)
        back = thing.inverse()
        x, y, z = thing.apply(np.array(hold.pos_m)).tolist()
        half = hold.width_m / 2
        post = Obstacle("", x, y, 0.0, half, half, True, 0.0, 2.0 * z)
        for direction, across in orientations(hand, post):
            quat = from_matrix(np.stack([np.cross(across, direction), across, direction], axis=1))
            for higher in _HIGHER_M:
                pos = thing.apply(np.array(hold.pos_m) + [0.0, 0.0, higher])
                yield Take(side, back @ Pose(pos, quat), rotate(back.quat, direction), OPEN, CLOSE, 0.0), _HIGH_COST * higher

    def _against_face(self, thing: Pose, side: str, hold: Hold) -> Iterator[tuple[Take, float]]:
        """Yields how the tips of open fingers come against a side, spread like a palm, so that what is between two hands does not turn."""
        hand, inward = self._robot.hand(side), -np.array(hold.out)
        up = np.array([0.0, 0.0, 1.0])
        level = np.cross(up, inward)
        points = self.ways.hand_points(side, OPEN)
        for roll in _ROLLS_RAD:
            beside = math.cos(roll) * up + math.sin(roll) * level
            turn = np.stack([np.cross(beside, inward), beside, inward], axis=1)
            spread = points @ turn.T
            ahead = spread @ inward
            for higher in _HIGHER_M:
                middle = np.array(hold.pos_m) + [0.0, 0.0, higher]
                # What of the hand meets the side is what is foremost of it at the height of the side.
                level_with = spread[:, 2] + middle[2] < 2.0 * hold.pos_m[2]
                if not level_with.any():
                    continue
                touch = Pose(middle - float(ahead[level_with].max()) * inward, from_matrix(turn))
                press_m = _PRESS_M if hand.single is None else _STIFF_PRESS_M
                yield Take(side, touch, inward, OPEN, OPEN, press_m), _HIGH_COST * higher

    def _low_m(self, name: str, take: Take) -> float:
        """Returns how far above what is under it, table or edge of the tray, a hand is that has come to a thing; m."""
        asset = asset_of(self._spec, name)
        points = moved(take.in_thing, self.ways.hand_points(take.side, take.opened))
        half = np.array(asset.size_m[:2]) / 2
        inside = (np.abs(points[:, :2]) < half + 0.002).all(axis=1)
        edge_m = 0.026 if asset.holds[0].kind == "post" else 0.0
        over_edge = float(points[inside, 2].min()) - edge_m if inside.any() and edge_m else math.inf
        return min(over_edge, float(points[:, 2].min()) - 0.005)

    def _over_table_m(self, points: Array) -> float:
        edge = self._robot.stance.table_edge_x_m if self._robot.stance else 0.1
        above = points[points[:, 0] > edge]
        return float(above[:, 2].min()) if len(above) else math.inf

    def _resting(self, view: BimanualView, name: str) -> Sequence[Obstacle]:
        """Returns what stands on the thing, as obstacles."""
        asset = asset_of(self._spec, name)
        half, found = np.array(asset.size_m[:2]) / 2, []
        for other, here in view.props.items():
            away = (view.props[name].inverse() @ here).pos
            if other != name and bool((np.abs(away[:2]) < half).all()) and away[2] > -0.01:
                found.append(boxed(other, asset_of(self._spec, other), here))
        return found

    def _home(self, view: BimanualView, side: str) -> Array:
        home = posture(view, self._robot)
        arm = [self._robot.joints.index(joint) for joint in self._robot.hand(side).arm_joints]
        home[arm] = np.array(self._robot.home_qpos)[arm]
        return home


def _looks(take: Take) -> Array:
    """Returns where the hand looks, (3,) in the frame of the thing."""
    return rotate(take.in_thing.quat, np.array([0.0, 0.0, 1.0]))


def _mirrored(take: Take) -> Array:
    """Returns where the hand on the other side looks if it does the same."""
    x, y, z = _looks(take)
    return np.array([-x, y, z])
