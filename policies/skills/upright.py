"""Stand up: a bottle or can that lies on its side is taken across its body, tilted by a quarter turn and set down on its base."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from vlagym.envs.errors import NotGraspable
from vlagym.envs.frames import Array, Pose, from_axis_angle, from_yaw, multiply, rotate, to_axis_angle
from vlagym.envs.kinematics import Kinematics, kinematics
from vlagym.envs.objects import Grasp
from vlagym.envs.predicates.state import prop_of
from vlagym.envs.types import EpisodeSpec
from vlagym.policies.skills.carry import Grip, Pick, risen_first
from vlagym.policies.skills.grasping import hand_of, opening_command
from vlagym.policies.skills.surroundings import Obstacle, height_to_pass, obstacles
from vlagym.policies.skills.view import CLOSE, DOWN, OPEN, Command, SkillBase, Verdict, View, asset_of, turn_between

_LEANS_RAD = (math.radians(12.0), 0.0)
"""The hand leans back by so much when it grasps, and is that much short of horizontal when the thing stands."""
_TURNS_RAD = tuple(math.radians(d) for d in range(-180, 180, 30))
_CLEARANCE_M = 0.05  # between the base of the thing and the table while it is tilted
_SHIFTS_M = (0.0, -0.06, 0.06, -0.12, 0.12)
_LOWEST_JOINT_M = 0.055  # middle of the wrist above the table: its hull is about 5 cm thick
_RELEASE_M = 0.02
_SLIP_STEPS = 3
_Z = np.array([0.0, 0.0, 1.0])


class Way(NamedTuple):
    """How a thing is going to be stood up."""

    thing: Pose
    """Where it will stand, base frame."""
    hand: Pose
    """Of the pinch point then."""
    cost: float


class GraspLying(Pick):
    """grasp_lying(a): takes a thing that lies on its side so that it can be stood up from there."""

    def __init__(self, spec: EpisodeSpec, args: Sequence[str]) -> None:
        super().__init__(spec, args)
        self._choice: tuple[Grasp, float, float] | None = None
        self._misses = 0

    def aim(self, view: View) -> Grip:
        name = self.args[0]
        if self._choice is None:
            self._choice = self._choose(view)
        grasp, side, lean_rad = self._choice
        point, quat = _lying_grip(self.spec, name, view.props[name], grasp, side, lean_rad)
        return Grip(point, quat, prop_of(self.spec, name).scale * grasp.width_m, self._hand.opening_max_m)

    def missed(self) -> None:
        self._choice, self._misses = None, self._misses + 1

    def _choose(self, view: View) -> tuple[Grasp, float, float]:
        name = self.args[0]
        thing = view.props[name]
        asset = asset_of(self.spec, name)
        found: list[tuple[float, int, tuple[Grasp, float, float]]] = []
        for grasp in asset.grasps_in("lying"):
            for lean_rad in _LEANS_RAD:
                for side in (1.0, -1.0):
                    grip = Pose(*_lying_grip(self.spec, name, thing, grasp, side, lean_rad))
                    way = _best_way(self.spec, view, name, grip)
                    if way is not None:
                        found.append((round(way.cost, 6), len(found), (grasp, side, lean_rad)))
            if found:
                break
        if not found:
            raise NotGraspable(f"{name!r} ({asset.id}) at {thing.pos.round(3).tolist()} cannot be stood up by {self.spec.robot}: no tilted hand is in reach")
        return sorted(found, key=lambda item: item[:2])[self._misses % len(found)][2]


class SetUpright(SkillBase):
    """set_upright(a): raises the held thing, tilts it until its axis is vertical, sets it down, lets go and backs away.

    Lost when it slips out of the hand, or falls over.
    """

    def __init__(self, spec: EpisodeSpec, args: Sequence[str]) -> None:
        super().__init__(spec, args)
        self._hand = hand_of(spec)
        self._way: Way | None = None
        self._slipped = 0
        self._lifted = False
        self._released_for = 0
        self._released = Pose(np.zeros(3), DOWN)
        self._release = 0.0

    def step(self, view: View) -> tuple[Command, Verdict]:
        name = self.args[0]
        thing = view.props[name]
        if self._released_for:
            return self._leave(view)
        self._slipped = 0 if name in view.held else self._slipped + 1
        if self._slipped > _SLIP_STEPS:
            return Command(view.ee.pos, view.ee.quat, OPEN), "lost"
        if self._way is None:
            self._way = _best_way(self.spec, view, name, view.ee)
            if self._way is None:
                return Command(view.ee.pos, view.ee.quat, OPEN), "lost"
        way = self._way
        tilt_m = float(np.linalg.norm(view.ee.pos - thing.pos))  # the base swings down by so much
        around = obstacles(self.spec, view, (name,))
        over = height_to_pass(self._hand.room, around, view.ee.pos, way.hand.pos, below_m=tilt_m, radius_m=0.03)
        raised = max(over, tilt_m + _CLEARANCE_M)
        if not self._lifted:
            self._lifted = view.ee.pos[2] > raised - 0.012
            return Command(np.array([*view.ee.pos[:2], raised]), view.ee.quat, CLOSE), "running"
        # From where it really sits in the hand: it may have turned a little between the pads.
        wanted = way.thing @ (thing.inverse() @ view.ee)
        turn_error = turn_between(view.ee.quat, wanted.quat)
        away = wanted.pos - view.ee.pos
        across = math.hypot(away[0], away[1])
        if across < 0.008 and abs(away[2]) < 0.004 and turn_error < 0.05:
            self._released_for, self._released = 1, Pose(view.ee.pos, view.ee.quat)
            self._release = opening_command(self._hand, view.opening_m + _RELEASE_M)
            return Command(view.ee.pos, view.ee.quat, self._release), "running"
        height = min(raised - wanted.pos[2], 2.5 * max(0.0, across - 0.008) + 0.4 * max(0.0, turn_error - 0.05))
        point = risen_first(view.ee.pos, wanted.pos + [0, 0, max(0.0, height)])
        return Command(point, wanted.quat, CLOSE), "running"

    def _leave(self, view: View) -> tuple[Command, Verdict]:
        self._released_for += 1
        back = rotate(self._released.quat, -_Z)
        away = self._released.pos + (0.0 if self._released_for < 4 else 0.09) * back
        gone = float(np.linalg.norm(view.ee.pos - self._released.pos)) > 0.075
        if not gone and self._released_for < 30:
            return Command(away, self._released.quat, self._release, 0.02), "running"
        stands = rotate(view.props[self.args[0]].quat, _Z)[2] > 0.95
        return Command(away, self._released.quat, self._release, 0.02), "done" if stands else "lost"


def _lying_grip(spec: EpisodeSpec, name: str, thing: Pose, grasp: Grasp, side: float, lean_rad: float) -> tuple[Array, Array]:
    """Returns the pinch point and the orientation of a hand that grasps a lying thing.

    Args:
      spec: The episode.
      name: Of the thing.
      thing: Its pose.
      grasp: One for lying; its offset along x counts from the base along the axis.
      side: 1: the hand's x axis looks along the thing's axis; -1: against it.
      lean_rad: By how much the hand leans from the vertical, towards the top of the thing.
    """
    axis = rotate(thing.quat, _Z)
    level = axis * [1.0, 1.0, 0.0]
    level /= max(1e-9, float(np.linalg.norm(level)))
    turn = math.atan2(level[1], level[0]) + (0.0 if side > 0 else math.pi)
    quat = multiply(from_axis_angle(-lean_rad * np.cross(level, _Z)), multiply(from_yaw(turn), DOWN))
    return thing.pos + prop_of(spec, name).scale * grasp.offset_xy_m[0] * axis, quat


def _best_way(spec: EpisodeSpec, view: View, name: str, grip: Pose) -> Way | None:
    """Returns the shortest way to stand up what is held, or would be held, with `grip`; None if the arm reaches none."""
    thing = view.props[name]
    in_hand = thing.inverse() @ grip
    axis = rotate(thing.quat, _Z)
    tilt = np.cross(axis, _Z)
    angle = math.atan2(float(np.linalg.norm(tilt)), float(axis[2]))
    upright = multiply(from_axis_angle(tilt / max(1e-9, float(np.linalg.norm(tilt))) * angle), thing.quat)
    around = obstacles(spec, view, (name,))
    foot = grip.pos * [1.0, 1.0, 0.0]
    ways = []
    for turn in _TURNS_RAD:
        quat = multiply(from_yaw(turn), upright)
        for dx in _SHIFTS_M:
            for dy in _SHIFTS_M:
                stands = Pose(foot + [dx, dy, 0.002], quat)
                hand = stands @ in_hand
                cost = 0.25 * abs(turn) + math.hypot(dx, dy) + 20.0 * _sweeps(around, stands, hand)
                ways.append(Way(stands, hand, round(cost, 6)))
    arm = kinematics(spec.robot)
    for way in sorted(ways, key=lambda w: w.cost)[:_LOOKED_AT]:
        if _is_passable(arm, grip, way.hand):
            return way
    return None


_LOOKED_AT = 40


def _sweeps(around: Sequence[Obstacle], thing: Pose, hand: Pose) -> float:
    """Returns by how much the thing, or a hand behind it, would overlap with what stands around, summed over points, in m."""
    back = rotate(hand.quat, -_Z)
    line = rotate(hand.quat, np.array([0.0, 1.0, 0.0]))
    points = [(thing.pos, 0.035)] + [(hand.pos + s * back + u * line, 0.045) for s in (0.05, 0.11, 0.18, 0.25) for u in (-0.07, 0.0, 0.07)]
    total = 0.0
    for obstacle in around:
        for point, radius in points:
            if obstacle.top_m > point[2] - 0.05:
                total += max(0.0, radius - float(obstacle.distance(point[None, :2])[0]))
    return total


def _is_passable(arm: Kinematics, grip: Pose, hand: Pose) -> bool:
    """Returns whether the arm can follow the way from a grip: up, over while it turns, and down; with its wrist above the table."""
    high = float(hand.pos[2]) + _CLEARANCE_M
    change = to_axis_angle(multiply(hand.quat, grip.quat * [1.0, -1.0, -1.0, -1.0]))
    start, end = np.array([*grip.pos[:2], high]), np.array([*hand.pos[:2], high])
    stops = [Pose(start + t * (end - start), multiply(from_axis_angle(t * change), grip.quat)) for t in np.linspace(0.0, 1.0, 5)]
    q, position, rotation = arm.solve(grip)
    for stop in (*stops, hand):
        if position > 5e-3 or rotation > 0.05:
            return False
        q, position, rotation = arm.solve(stop, q)
    return position < 5e-3 and rotation < 0.05 and float(arm.wrist_heights_m(q).min()) > _LOWEST_JOINT_M


SKILLS: Mapping[str, type[SkillBase]] = {"grasp_lying": GraspLying, "set_upright": SetUpright}
