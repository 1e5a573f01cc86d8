"""How hands get about: ways over and past what stands around, postures that they end in, and back out of the way again."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from vlagym.envs import catalog
from vlagym.envs.frames import Array, Pose, to_matrix
from vlagym.envs.predicates.state import WorldState
from vlagym.envs.robot import Robot
from vlagym.envs.types import EpisodeSpec
from vlagym.envs.whole_body import whole_body
from vlagym.policies.bimanual.shapes import BodyShape, Taken, body_shape, moved
from vlagym.policies.bimanual.view import BimanualSkill, BimanualView, BodyCommand, HandCommand
from vlagym.policies.skills.surroundings import Obstacle, obstacles
from vlagym.policies.skills.view import SPEED_M, Verdict, turn_between

_OVER_M = 0.03
"""Room that is left beneath what passes over a thing ..."""
_BESIDE_M = 0.02
"""... and beside it, where it passes lower."""
_CEILING_M = 0.45
"""A hand need not pass higher than this above the table."""
_APART_M, _GIVES_M = 0.05, 0.25
"""What is left between two hands, and how far one gives way."""
_STEEP = 2.5
"""A hand on its way is so many times as far above where it goes as it still has to go across."""


class Ways:
    """What stands around in a scene, and how a hand of its robot passes it."""

    def __init__(self, spec: EpisodeSpec) -> None:
        self._spec = spec
        self._shape: BodyShape = body_shape(spec.robot)
        self.robot: Robot = catalog.load("robot", spec.robot)
        self.home: Mapping[str, Pose] = whole_body(spec.robot, spec.robot_base).forward(np.array(self.robot.home_qpos))
        """Side -> pose of its pinch point as a robot of this kind stands at the start, in the base frame."""

    def around(self, view: BimanualView, without: Sequence[str] = ()) -> list[Obstacle]:
        """Returns all that stands around, but for what is named."""
        return obstacles(self._spec, view, without)

    def taken(self, view: BimanualView, q: Array, side: str, closing: float) -> Taken:
        """Returns points on the arm of a side in a posture, in the world frame, m."""
        taken = self._shape.taken(q, {**view.closing, side: closing}, side)
        return Taken(moved(view.base, taken.hand), moved(view.base, taken.arm))

    def hand_points(self, side: str, closing: float) -> Array:
        """Returns points `(n, 3)` on a hand in the frame of its pinch point, m."""
        return self._shape.hand(side, closing)

    def radius_m(self, side: str) -> float:
        """Returns how far a hand that is open, held as at the start, reaches from its pinch point as seen from above."""
        points = self.hand_points(side, -1.0) @ to_matrix(self.home[side].quat).T
        return float(np.hypot(points[:, 0], points[:, 1]).max())

    def shoulder(self, view: BimanualView, side: str) -> Array:
        """Returns where the arm of a side begins, (3,) m in the world, with the robot in the posture that it has."""
        return view.base.apply(self._shape.shoulder(posture(view, self.robot), side))

    def whole(self, view: BimanualView, base: Pose) -> Array:
        """Returns points `(n, 3)` on all of the robot (world, m) as it is now, were its base frame at another pose."""
        return moved(base, self._shape.whole(posture(view, self.robot), view.closing))

    def radius_between(self, view: BimanualView, low_m: float, high_m: float) -> float:
        """Returns how far the robot reaches from the vertical through its base frame, between two heights of the world; 0 if it does not."""
        points = self.whole(view, view.base)
        within = points[(points[:, 2] >= low_m) & (points[:, 2] <= high_m)]
        return float(np.hypot(*(within[:, :2] - view.base.pos[:2]).T).max()) if len(within) else 0.0

    def axes(self, view: BimanualView, joints: Sequence[str]) -> Array:
        """Returns the axes `(n, 3)` about which joints turn, unit vectors of the base frame, with the robot in the posture that it has."""
        return self._shape.axes(posture(view, self.robot), joints)

    def head_m(self, view: BimanualView) -> Array:
        """Returns where the camera in the head is, (3,) m in the base frame, with the robot in the posture that it has."""
        return self._shape.head(posture(view, self.robot))

    def below_m(self, side: str, closing: float, quat: Array) -> float:
        """Returns how far a hand reaches below its pinch point in an orientation (world, wxyz)."""
        return -float((self.hand_points(side, closing) @ to_matrix(quat)[2]).min())

    def height_to_pass(self, side: str, closing: float, quat: Array, start: Array, end: Array, around: Sequence[Obstacle]) -> float:
        """Returns how high the pinch point must be (world z, m) to pass above all that stands along a straight way.

        Args:
          side: Of the hand.
          closing: -1 open to +1 closed.
          quat: Its orientation on the way, in the world.
          start: (3,) where the way begins, world frame, m.
          end: (3,)
          around: What stands there.
        """
        points = self.hand_points(side, closing) @ to_matrix(quat).T
        radius = float(np.hypot(points[:, 0], points[:, 1]).max())
        ways = np.linspace(start[:2], end[:2], 12)
        need = -math.inf
        for thing in around:
            gaps = thing.distance(ways)
            if float(gaps.min()) > radius + _BESIDE_M:
                continue
            # Only what of the hand passes above the thing must be higher than it.
            across = (ways[:, None, :] + points[None, :, :2]).reshape(-1, 2)
            over = thing.distance(across).reshape(len(ways), -1).min(axis=0) < _BESIDE_M
            if over.any():
                need = max(need, thing.top_m + _OVER_M - float(points[over, 2].min()))
        return min(need, _CEILING_M)


def gap_m(points: Array, around: Sequence[Obstacle]) -> float:
    """Returns how far the nearest of points `(n, 3)` (world, m) is from all that stands around: 0 within it, infinity if nothing does."""
    nearest = math.inf
    for thing in around:
        level = np.maximum(0.0, np.maximum(points[:, 2] - thing.top_m, thing.bottom_m - points[:, 2]))
        if float(level.min()) < nearest:
            nearest = min(nearest, float(np.hypot(thing.distance(points[:, :2]), level).min()))
    return nearest


def posture(view: BimanualView, robot: Robot) -> Array:
    """Returns the present joint positions `(n,)` rad in the order of `Robot.joints`; those that belong to no group as at home."""
    now = dict(zip(robot.joints, robot.home_qpos, strict=True))
    for group in robot.groups:
        now.update((joint, float(value)) for joint, value in zip(group.joints, view.joint_pos[group.name], strict=True) if joint in now)
    return np.array([now[joint] for joint in robot.joints])


def state_of(view: BimanualView) -> WorldState:
    """Returns the state of the world as outlines of things look at it: where the props are."""
    return WorldState(
        props=view.props,
        held=frozenset(),
        fixture_joints=view.joints,
        find_touching=lambda: frozenset(),
        ee_pos_world=np.zeros(3),
        touched_by_robot=frozenset(),
        gripper_command=0.0,
        find_speed_m_s=lambda prop: 0.0,
    )


def is_there(here: Pose, goal: Pose, pos_m: float = 0.012, turn_rad: float = 0.12) -> bool:
    """Returns whether a hand has come to a pose."""
    return float(np.linalg.norm(here.pos - goal.pos)) < pos_m and turn_between(here.quat, goal.quat) < turn_rad


def over(
    ways: Ways, view: BimanualView, side: str, goal: Pose, closing: float, around: Sequence[Obstacle], *, speed_m: float = SPEED_M
) -> HandCommand:
    """Returns the command that brings a hand to a pose past what stands around: up, across, and down onto it.

    Args:
      ways: Of the scene.
      view: The true state.
      side: Of the hand.
      goal: In the world.
      closing: What its fingers do on the way.
      around: What stands there.
      speed_m: Per control step.
    """
    here = view.hands[side]
    across, turn = math.hypot(*(goal.pos[:2] - here.pos[:2])), turn_between(here.quat, goal.quat)
    need = ways.height_to_pass(side, closing, here.quat, here.pos, goal.pos, around)
    slope = float(goal.pos[2]) + _STEEP * max(0.0, across - 0.01) + 0.3 * max(0.0, turn - 0.1)
    high = max(float(goal.pos[2]), min(need, slope))
    if here.pos[2] < high - 0.03 and across > 0.02:
        # Up first, without going along: as far across as it has already risen.
        share = min(1.0, max(0.0, 1.0 - (high - float(here.pos[2])) / 0.12))
        pos = np.array([*(here.pos[:2] + share * (goal.pos[:2] - here.pos[:2])), high])
    else:
        pos = np.array([*goal.pos[:2], high])
    return HandCommand(pose=Pose(pos, goal.quat), closing=closing, speed_m=speed_m)


def giving_way(ways: Ways, view: BimanualView, side: str, goal: Pose) -> dict[str, HandCommand]:
    """Returns what the other hand does while one goes to a pose: outwards where it would be in its way, else back to where it began.

    Args:
      ways: Of the scene.
      view: The true state.
      side: Of the hand that works.
      goal: Of that hand, in the world.
    """
    to_base = view.base.inverse()
    wanted = to_base.apply(goal.pos)
    commands: dict[str, HandCommand] = {}
    for other, home in ways.home.items():
        if other == side:
            continue
        apart = ways.radius_m(side) + ways.radius_m(other) + _APART_M
        beside = wanted[:2] - home.pos[:2]
        sign = 1.0 if home.pos[1] > 0 else -1.0
        shift = 0.0
        if abs(float(beside[0])) < apart:
            shift = max(0.0, math.sqrt(apart**2 - float(beside[0]) ** 2) + sign * float(beside[1]))
        place = Pose(home.pos + [0.0, sign * min(shift, _GIVES_M), 0.3 * min(shift, _GIVES_M)], home.quat)
        there = view.base @ place
        if shift > 0.0 or not is_there(view.targets[other], there, 0.03, 0.3):
            commands[other] = HandCommand(pose=there)
    return commands


def with_way(ways: Ways, view: BimanualView, command: BodyCommand) -> BodyCommand:
    """Returns a command of one hand with what the other one does meanwhile: it gives way, unless it holds something.

    Args:
      ways: Of the scene.
      view: The true state.
      command: Of one hand; another one is returned as it is.
    """
    if len(command.hands) != 1:
        return command
    ((side, hand),) = command.hands.items()
    if any(props for other, props in view.held_by.items() if other != side):
        return command
    goal = hand.pose or view.targets[side]
    return replace(command, hands={side: hand, **giving_way(ways, view, side, goal)})


class Retreat(BimanualSkill):
    """retreat(): hands that are not where they were at the start of the skill's plan go back beside the work area, up first; fingers open."""

    _HIGH_M = 0.08

    def __init__(self, spec: EpisodeSpec, args: Sequence[str]) -> None:
        super().__init__(spec, args)
        self._ways = Ways(spec)
        self._risen: dict[str, float] = {}
        self._steps = 0

    def step(self, view: BimanualView) -> tuple[BodyCommand, Verdict]:
        around = self._ways.around(view)
        commands: dict[str, HandCommand] = {}
        self._steps += 1
        for side in self.args or self.robot.sides:
            here, goal = view.hands[side], view.base @ self._ways.home[side]
            if is_there(here, goal, 0.03, 0.3):
                continue
            top = self._risen.setdefault(side, float(here.pos[2]) + self._HIGH_M)
            if here.pos[2] < top - 0.02 and math.hypot(*(goal.pos[:2] - here.pos[:2])) > 0.05:
                # Fingers that open low over the table would push themselves off it: they open once there is room.
                commands[side] = HandCommand(pose=Pose(np.array([*here.pos[:2], top]), here.quat))
            else:
                self._risen[side] = -math.inf
                commands[side] = over(self._ways, view, side, goal, -1.0, around)
        return BodyCommand(hands=commands), "running" if commands and self._steps < 60 else "again"


SKILLS: Mapping[str, type[BimanualSkill]] = {"retreat": Retreat}
"""Name -> class."""
