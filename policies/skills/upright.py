"""Stand up: a bottle or can that lies on its side is taken across its body, tilted by a quarter turn and set down on its base."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from vlagym.envs import catalog
from vlagym.envs.control import RATE_HZ
from vlagym.envs.errors import NotGraspable
from vlagym.envs.frames import Array, Pose, conjugate, from_axis_angle, from_yaw, multiply, rotate, to_axis_angle
from vlagym.envs.hulls import lowest_m, touches_itself
from vlagym.envs.kinematics import kinematics
from vlagym.envs.objects import Grasp, ObjectAsset
from vlagym.envs.robot import Robot
from vlagym.envs.types import EpisodeSpec
from vlagym.policies.skills.carry import Grip, Pick, risen_first
from vlagym.policies.skills.grasping import hand_of, opening_command
from vlagym.policies.skills.surroundings import Obstacle, height_to_pass, obstacles
from vlagym.policies.skills.view import CLOSE, DOWN, OPEN, SPEED_M, Command, SkillBase, Verdict, View, asset_of, turn_between

_LEANS_RAD = (math.radians(12.0), 0.0, math.radians(25.0), math.radians(40.0))
"""The hand leans back by so much when it grasps, and is that much short of horizontal when the thing stands; what is liked best first."""
_PALM_M, _PALM_HALF_M = 0.043, 0.035
"""From the pinch point to the underside of the hand, and half of its thickness."""
_TURNS_RAD = tuple(math.radians(d) for d in range(-180, 180, 30))
_CLEARANCE_M = 0.05  # between the base of the thing and the table while it is tilted
_SHIFTS_M = (
    ((0.0, 0.0),),
    tuple((x, y) for x in (-0.06, 0.0, 0.06) for y in (-0.12, -0.06, 0.0, 0.06, 0.12)),
)
"""Where the thing is stood up, from where it is grasped: on the spot, or else near to it."""
_LEAN_COST = 0.1
_AHEAD_RAD = 0.2
_STEP_RAD = 0.1  # about what the hand turns in a control step, sent so far ahead
_LOWEST_M = 0.012  # of the arm above the table, while it sets the thing down
_RELEASE_M = 0.02
_SLIP_STEPS = 3
_PATIENCE = 14  # control steps without coming nearer, after which another way is tried
_Z = np.array([0.0, 0.0, 1.0])


class Way(NamedTuple):
    """How a thing is going to be stood up."""

    thing: Pose
    """Where it will stand, base frame."""
    hand: Pose
    """Of the pinch point then."""
    turn_rad: float
    """About the vertical, besides the tilt."""
    grip: int
    """Which of the grips it begins with."""
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
        return Grip(point, quat, grasp.width_m, self._hand.opening_max_m)

    def missed(self) -> None:
        self._choice, self._misses = None, self._misses + 1

    def _choose(self, view: View) -> tuple[Grasp, float, float]:
        name = self.args[0]
        thing, asset = view.props[name], asset_of(self.spec, name)
        choices = [c for c in itertools.product(asset.grasps_in("lying"), (1.0, -1.0), _LEANS_RAD) if _may_lean(asset, c[0], c[2])]
        dislikes = [_LEAN_COST * _LEANS_RAD.index(lean_rad) for _, _, lean_rad in choices]
        grips = [Pose(*_lying_grip(self.spec, name, thing, *choice)) for choice in choices]
        for shifts in _SHIFTS_M:
            found = _first_way(self.spec, view, name, grips, shifts, dislikes=dislikes, skip=self._misses)
            if found is not None:
                return choices[found.grip]
        where = f"{name!r} ({asset.id}) at {thing.pos.round(3).tolist()}"
        raise NotGraspable(f"{where} cannot be stood up by {self.spec.robot}: no tilted hand is in reach")


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
        self._nearest = math.inf
        self._stuck = 0
        self._turned_out_badly: list[float] = []
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
            found = (_first_way(self.spec, view, name, [view.ee], shifts, without=self._turned_out_badly) for shifts in _SHIFTS_M)
            self._way = next((way for way in found if way is not None), None)
            self._nearest, self._stuck = math.inf, 0
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
        left = float(np.linalg.norm(away)) + 0.1 * turn_error
        self._stuck = 0 if left < self._nearest - 0.002 else self._stuck + 1
        self._nearest = min(self._nearest, left)
        if self._stuck > _PATIENCE:
            self._turned_out_badly.append(way.turn_rad)
            self._way, self._lifted = None, False
            return Command(view.ee.pos + [0, 0, 0.03], view.ee.quat, CLOSE), "running"
        height = min(raised - wanted.pos[2], 2.5 * max(0.0, across - 0.008) + 0.4 * max(0.0, turn_error - 0.05))
        point = risen_first(view.ee.pos, wanted.pos + [0, 0, max(0.0, height)])
        return Command(point, _towards(view.ee.quat, wanted.quat), CLOSE), "running"

    def _leave(self, view: View) -> tuple[Command, Verdict]:
        self._released_for += 1
        back = rotate(self._released.quat, -_Z)
        away = self._released.pos + (0.0 if self._released_for < 4 else 0.09) * back
        gone = float(np.linalg.norm(view.ee.pos - self._released.pos)) > 0.075
        if not gone and self._released_for < 30:
            return Command(away, self._released.quat, self._release, 0.02), "running"
        stands = rotate(view.props[self.args[0]].quat, _Z)[2] > 0.95
        return Command(away, self._released.quat, self._release, 0.02), "done" if stands else "lost"


def _towards(here: Array, wanted: Array) -> Array:
    """Returns an orientation on the way to the wanted one, so near that the wrist keeps pace: faster, and the arm swerves."""
    turn = to_axis_angle(multiply(wanted, conjugate(here)))
    angle = float(np.linalg.norm(turn))
    return wanted if angle <= _AHEAD_RAD else multiply(from_axis_angle(turn * (_AHEAD_RAD / angle)), here)


def _may_lean(asset: ObjectAsset, grasp: Grasp, lean_rad: float) -> bool:
    """Returns whether a hand that leans towards the top of a lying thing does not touch it with its underside."""
    ahead = _PALM_M * math.sin(lean_rad) + _PALM_HALF_M * math.cos(lean_rad)
    above = _PALM_M * math.cos(lean_rad) - _PALM_HALF_M * math.sin(lean_rad)
    top = asset.size_m[2] - grasp.offset_xy_m[0]
    return above + math.tan(lean_rad) * max(0.0, ahead - top) > max(asset.size_m[:2]) / 2 + 0.003


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
    return thing.pos + grasp.offset_xy_m[0] * axis, quat


def _first_way(
    spec: EpisodeSpec,
    view: View,
    name: str,
    grips: Sequence[Pose],
    shifts: Sequence[tuple[float, float]],
    *,
    dislikes: Sequence[float] = (0.0,),
    skip: int = 0,
    without: Sequence[float] = (),
) -> Way | None:
    """Returns the shortest way to stand up what is held, or would be held, that the arm can follow; None if there is none.

    Args:
      spec: The episode.
      view: The scene as it is.
      name: Of the thing.
      grips: How the hand holds it or might hold it, base frame.
      shifts: Where it may be stood up, from where it is grasped, (x, y) in m.
      dislikes: A cost for each grip, as if the way were so many m longer.
      skip: So many ways are passed over: they have been tried.
      without: Turns that turned out badly.
    """
    thing, around = view.props[name], obstacles(spec, view, (name,))
    axis = rotate(thing.quat, _Z)
    tilt = np.cross(axis, _Z)
    sine = float(np.linalg.norm(tilt))
    upright = multiply(from_axis_angle(tilt / max(1e-9, sine) * math.atan2(sine, float(axis[2]))), thing.quat)
    ways = []
    for index, grip in enumerate(grips):
        in_hand, foot = thing.inverse() @ grip, grip.pos * [1.0, 1.0, 0.0]
        for turn in (t for t in _TURNS_RAD if t not in without):
            quat = multiply(from_yaw(turn), upright)
            for shift in shifts:
                stands = Pose(foot + [*shift, 0.002], quat)
                hand = stands @ in_hand
                crowded = _sweeps(around, stands, hand)
                if crowded < 0.015:
                    cost = 0.25 * abs(turn) + math.hypot(*shift) + 20.0 * crowded + dislikes[index]
                    ways.append(Way(stands, hand, turn, index, round(cost, 6)))
    passable = (way for way in sorted(ways, key=lambda way: way.cost) if _is_passable(spec.robot, grips[way.grip], way.hand))
    return next(itertools.islice(passable, skip, None), None)


def _sweeps(around: Sequence[Obstacle], thing: Pose, hand: Pose) -> float:
    """Returns by how much the thing, or a hand behind it, would overlap with what stands around, summed over points, in m."""
    back = rotate(hand.quat, -_Z)
    line = rotate(hand.quat, np.array([0.0, 1.0, 0.0]))
    points = np.array([thing.pos] + [hand.pos + s * back + u * line for s in (0.05, 0.11, 0.18, 0.25) for u in (-0.07, 0.0, 0.07)])
    radii = np.array([0.035] + [0.045] * (len(points) - 1))
    return sum(float((np.maximum(0.0, radii - o.distance(points[:, :2])) * (o.top_m > points[:, 2] - 0.05)).sum()) for o in around)


def _is_passable(robot: str, grip: Pose, hand: Pose) -> bool:
    """Returns whether the arm, as it is controlled, can follow the way from a grip: up, over while it turns, and down above the table."""
    arm = kinematics(robot)
    q, position, rotation = _solved(robot, grip.pos.tobytes(), grip.quat.tobytes())
    if position > 5e-3 or rotation > 0.05:
        return False
    # Six joints pass near singular postures on the way, where they turn much for a little of what the hand turns.
    slow = 1.0 if arm.is_redundant else min(1.0, float(_joint_steps(robot).max()) / (3.0 * _STEP_RAD))
    high = float(hand.pos[2]) + _CLEARANCE_M
    stops = [grip, Pose(np.array([*grip.pos[:2], high]), grip.quat), Pose(np.array([*hand.pos[:2], high]), hand.quat), hand]
    for start, end in zip(stops, stops[1:], strict=False):
        change = to_axis_angle(multiply(end.quat, conjugate(start.quat)))
        turned, moved = float(np.linalg.norm(change)) / (slow * _STEP_RAD), float(np.linalg.norm(end.pos - start.pos)) / (slow * SPEED_M)
        count = max(2, math.ceil(turned), math.ceil(moved))
        for i in range(1, count + 1):
            t = i / count
            ahead = arm.step(q, Pose(start.pos + t * (end.pos - start.pos), multiply(from_axis_angle(t * change), start.quat)), 2) - q
            q = q + ahead / max(1.0, float(np.max(np.abs(ahead) / _joint_steps(robot))))
            if i % 3 == 0 and start.pos[2] > grip.pos[2] and (lowest_m(robot, q) < _LOWEST_M or touches_itself(robot, q)):
                return False
        reached = arm.forward(q)
        if float(np.linalg.norm(reached.pos - end.pos)) > 6e-3 or turn_between(reached.quat, end.quat) > 0.06:
            return False
    return lowest_m(robot, q) > _LOWEST_M and not touches_itself(robot, q)


@functools.cache
def _joint_steps(robot: str) -> Array:
    """Returns how far each joint may turn in a control step, (n,) rad."""
    body: Robot = catalog.load("robot", robot)
    return np.array(body.joint_speed_max_rad_s) / RATE_HZ


@functools.lru_cache(maxsize=16)
def _solved(robot: str, pos: bytes, quat: bytes) -> tuple[Array, float, float]:
    """Returns the posture for a grip, with its errors: many ways begin with the same one."""
    return kinematics(robot).solve(Pose(np.frombuffer(pos), np.frombuffer(quat)))


SKILLS: Mapping[str, type[SkillBase]] = {"grasp_lying": GraspLying, "set_upright": SetUpright}
