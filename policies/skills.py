"""Reach, grasp, place, hook, pull: closed-loop skills over the true state of the scene. A task's plan is a list of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from vlagym.envs.errors import BadSpec, NotGraspable, unknown_name
from vlagym.envs.frames import Array, Pose, conjugate, from_yaw, multiply, pose, rotate, to_axis_angle, to_yaw
from vlagym.envs.kinematics import Kinematics, kinematics
from vlagym.envs.fixtures import get_fixture
from vlagym.envs.objects import Grasp, get
from vlagym.envs.task import Skill, footprint_m
from vlagym.envs.types import EpisodeSpec, Observation

DOWN = np.array([0.0, 1.0, 0.0, 0.0])
"""Orientation wxyz of the pinch point when the hand looks down, fingers across the table."""
SPEED_M = 0.028
"""Per control step: 0.56 m/s at 20 Hz."""
TURN_RAD = 0.16
_CLOSE = 1.0
_OPEN = -1.0

Verdict = Literal["running", "done", "lost"]


class Command(NamedTuple):
    """What a skill wants next."""

    pos: Array
    """Of the pinch point, base frame, m."""
    quat: Array
    gripper: float
    speed_m: float = SPEED_M


@dataclass(frozen=True, kw_only=True)
class View:
    """The true state, as skills look at it. Poses are in the base frame, which is the world's for robots that stand at its origin."""

    ee: Pose
    opening_m: float
    gripper_command: float
    props: Mapping[str, Pose]
    held: frozenset[str]
    joints: Mapping[str, float]

    @staticmethod
    def of(observation: Observation) -> View:
        """Reads a privileged observation.

        Raises:
          BadSpec: If it is not privileged.
        """
        truth = observation.privileged
        if truth is None:
            raise BadSpec("skills read the true state of the scene; the observation holds none")
        proprio = observation.proprio
        return View(
            ee=pose(proprio["ee_pos_base_m"].tolist(), proprio["ee_quat_base_wxyz"].tolist()),
            opening_m=float(proprio["gripper_opening_m"][0]),
            gripper_command=float(proprio["gripper_command"][0]),
            props={name: pose(p.pos_world, p.quat_world_wxyz) for name, p in truth.props.items()},
            held=frozenset(name for name, p in truth.props.items() if p.is_held),
            joints=truth.fixture_joints,
        )


class _Skill:
    """One skill at work. `step` returns what to do, and whether the skill is at its end."""

    def __init__(self, spec: EpisodeSpec, args: Sequence[str]) -> None:
        self.spec = spec
        self.args = tuple(args)

    def step(self, view: View) -> tuple[Command, Verdict]:
        raise AssertionError("abstract")


class Pick(_Skill):
    """pick(a): reaches a grasp of the prop from above, closes, and is done when the prop is held. Tries again when the fingers close on nothing."""

    def __init__(self, spec: EpisodeSpec, args: Sequence[str]) -> None:
        super().__init__(spec, args)
        self._grasp: _ChosenGrasp | None = None
        self._closing = 0
        self._firm = 0
        self._held_at = np.zeros(3)

    def step(self, view: View) -> tuple[Command, Verdict]:
        name = self.args[0]
        thing = view.props[name]
        if self._grasp is None:
            self._grasp = choose_grasp(self.spec, name, view)
        point, turn = self._grasp.at(thing)
        quat = multiply(from_yaw(turn), DOWN)
        if self._closing:
            self._closing += 1
            self._firm = self._firm + 1 if name in view.held else 0
            if self._firm >= 2:
                return Command(view.ee.pos, quat, _CLOSE), "done"
            if self._closing > 14 or (self._closing > 4 and view.opening_m < 0.003):
                self._closing, self._firm, self._grasp = 0, 0, None  # closed on nothing: look again, try again
                return Command(view.ee.pos + [0, 0, 0.05], quat, _OPEN), "running"
            return Command(self._held_at, quat, _CLOSE), "running"
        away = point - view.ee.pos
        across, turn_error = math.hypot(away[0], away[1]), _turn_error(view.ee.quat, quat)
        is_open = view.opening_m > 0.9 * min(0.078, self._grasp.width_m + 0.02)
        if across < 0.005 and abs(away[2]) < 0.006 and turn_error < 0.06 and is_open:
            self._closing, self._held_at = 1, point
            return Command(point, quat, _CLOSE), "running"
        ceiling = _clear_height(self.spec, view, without=(name,)) - point[2]
        height = min(max(0.08, ceiling), 3.0 * max(0.0, across - 0.006) + 0.3 * max(0.0, turn_error - 0.08))
        if not is_open:
            height = max(height, 0.05)
        return Command(point + [0, 0, height], quat, _OPEN), "running"


class Place(_Skill):
    """place(a, b): carries the held prop over b, lowers it, lets go. Lost when the prop slips out of the hand on the way."""

    def __init__(self, spec: EpisodeSpec, args: Sequence[str]) -> None:
        super().__init__(spec, args)
        self._releasing = 0
        self._released_at = np.zeros(3)
        asset = get(_asset(spec, args[1]))
        if asset.place is None:
            raise BadSpec(f"nothing can be put on {args[1]!r}: {asset.id} is no support")
        self._surface_m = asset.place.surface_height_m
        self._drop_m = 0.02 if "container" in asset.roles else 0.004
        self._slipped = 0

    def step(self, view: View) -> tuple[Command, Verdict]:
        name, destination = self.args
        thing, support = view.props[name], view.props[destination]
        quat = multiply(from_yaw(_hand_yaw(view.ee.quat)), DOWN)
        if self._releasing:
            self._releasing += 1
            return Command(self._released_at, quat, _OPEN), "done" if self._releasing > 4 else "running"
        self._slipped = 0 if name in view.held else self._slipped + 1
        if self._slipped > 3:
            return Command(view.ee.pos, quat, _OPEN), "lost"
        goal = support.pos + [0, 0, self._surface_m + self._drop_m]
        away = goal - thing.pos
        across = math.hypot(away[0], away[1])
        if across < 0.008 and abs(away[2]) < 0.006:
            self._releasing, self._released_at = 1, view.ee.pos
            return Command(view.ee.pos, quat, _OPEN), "running"
        carry = max(0.06, _clear_height(self.spec, view, without=(name,)) - goal[2])
        height = min(carry, 2.5 * max(0.0, across - 0.008))
        wanted = goal + [0, 0, height]
        lift = wanted - thing.pos
        # Up first: sideways only as far as the height already allows.
        sideways = 1.0 if lift[2] < 0.02 else max(0.0, 1.0 - (lift[2] - 0.02) / 0.03)
        step = np.array([lift[0] * sideways, lift[1] * sideways, lift[2]])
        return Command(view.ee.pos + step, quat, _CLOSE), "running"


class Retreat(_Skill):
    """retreat(): goes straight up by 10 cm, gripper as it is, and stays there."""

    def __init__(self, spec: EpisodeSpec, args: Sequence[str]) -> None:
        super().__init__(spec, args)
        self._goal: Array | None = None

    def step(self, view: View) -> tuple[Command, Verdict]:
        if self._goal is None:
            self._goal = view.ee.pos + [0, 0, 0.10]
            self._quat = multiply(from_yaw(_hand_yaw(view.ee.quat)), DOWN)
        return Command(self._goal, self._quat, _CLOSE if view.gripper_command > 0 else _OPEN, 0.02), "running"


class Hook(_Skill):
    """hook(fixture/joint): closes the fingers and brings them behind the bar of the handle, from above."""

    def step(self, view: View) -> tuple[Command, Verdict]:
        hook = _Hook.of(self.spec, self.args[0], view)
        away = hook.point - view.ee.pos
        across, turn_error = math.hypot(away[0], away[1]), _turn_error(view.ee.quat, hook.quat)
        if across < 0.006 and abs(away[2]) < 0.008 and turn_error < 0.08:
            return Command(hook.point, hook.quat, _CLOSE), "done"
        closed = view.opening_m < 0.01
        height = min(0.09, 3.0 * max(0.0, across - 0.006) + 0.3 * max(0.0, turn_error - 0.06) + (0.0 if closed else 0.08))
        return Command(hook.point + [0, 0, height], hook.quat, _CLOSE), "running"


class Pull(_Skill):
    """pull(fixture/joint): draws the hooked handle along the joint's axis until it is open with a margin.

    Lost when the hand is no longer behind the bar.
    """

    _MARGIN_M = 0.012

    def step(self, view: View) -> tuple[Command, Verdict]:
        hook = _Hook.of(self.spec, self.args[0], view)
        away = hook.point - view.ee.pos
        if np.linalg.norm(away[:2]) > 0.05 or abs(away[2]) > 0.03:
            return Command(view.ee.pos + [0, 0, 0.05], hook.quat, _CLOSE), "lost"
        if hook.opened_m >= hook.threshold_m + self._MARGIN_M:
            return Command(view.ee.pos, hook.quat, _CLOSE), "done"
        return Command(hook.point + 0.035 * hook.axis, hook.quat, _CLOSE), "running"


SKILLS: Mapping[str, type[Pick] | type[Place] | type[Retreat] | type[Hook] | type[Pull]] = {
    "pick": Pick,
    "place": Place,
    "retreat": Retreat,
    "hook": Hook,
    "pull": Pull,
}


class Performer:
    """Performs a plan in one episode: the skills in order, one step back when a skill has lost what the one before it achieved."""

    def __init__(self, spec: EpisodeSpec, plan: Sequence[Skill]) -> None:
        for skill in plan:
            if skill.name not in SKILLS:
                raise unknown_name("skill", skill.name, SKILLS)
        self._spec = spec
        self._plan = tuple(plan)
        self._at = 0
        self._skill = self._make()

    def step(self, observation: Observation) -> Command:
        """Returns what to do now."""
        view = View.of(observation)
        for _ in range(len(self._plan) + 1):
            command, verdict = self._skill.step(view)
            if verdict == "running":
                break
            if verdict == "done" and self._at + 1 < len(self._plan):
                self._at += 1
            elif verdict == "lost":
                self._at = max(0, self._at - 1)
            else:
                break
            self._skill = self._make()
            if verdict == "lost":
                break
        return command

    def _make(self) -> _Skill:
        skill = self._plan[self._at]
        return SKILLS[skill.name](self._spec, skill.args)


# ------------------------------------------------------------------------------------------------------------------ grasping
class _ChosenGrasp(NamedTuple):
    grasp: Grasp
    direction_rad: float
    """Of the line through both pads, in the frame of the object."""
    turn_rad: float
    """Of the hand about the vertical, when it was chosen."""
    width_m: float

    def at(self, thing: Pose) -> tuple[Array, float]:
        """Returns the pinch point and the turn of the hand for the prop's present pose."""
        yaw = to_yaw(thing.quat)
        offset = np.array(self.grasp.offset_xy_m)
        if self.grasp.symmetric and offset.any():
            offset = np.hypot(*offset) * np.array([math.cos(self.direction_rad), math.sin(self.direction_rad)])
        point = thing.pos + rotate(from_yaw(yaw), np.array([*offset, 0.0])) + [0, 0, self.grasp.height_m]
        return point, _nearest_turn(yaw + self.direction_rad, self.turn_rad)


def choose_grasp(spec: EpisodeSpec, name: str, view: View) -> _ChosenGrasp:
    """Returns the grasp of a prop that is in reach, leaves most room to its neighbours, and turns the hand least.

    Raises:
      NotGraspable: If no grasp of it is in reach.
    """
    asset, thing = get(_asset(spec, name)), view.props[name]
    arm = kinematics(spec.robot)
    yaw = to_yaw(thing.quat)
    ranked: list[tuple[float, int, _ChosenGrasp]] = []
    for grasp in asset.grasps:
        rim = bool(np.any(grasp.offset_xy_m))
        count = 24 if rim else 12
        directions = [math.pi * (2 if rim else 1) * k / count - yaw for k in range(count)] if grasp.symmetric else list(grasp.yaw_rad)
        for direction in directions:
            chosen = _ChosenGrasp(grasp, direction, _nearest_turn(yaw + direction, 0.0), grasp.width_m)
            point, turn = chosen.at(thing)
            cost = 20.0 * _crowding(spec, view, name, point, turn) + 0.05 * abs(turn)
            ranked.append((round(cost, 6), len(ranked), chosen))
    ranked.sort()
    for _, _, chosen in ranked[:16]:
        if _in_reach(arm, chosen, thing):
            return chosen
    raise NotGraspable(f"no grasp of {name!r} ({asset.id}) at {thing.pos.round(3).tolist()} is in reach of {spec.robot}")


def _in_reach(arm: Kinematics, chosen: _ChosenGrasp, thing: Pose) -> bool:
    point, turn = chosen.at(thing)
    quat = multiply(from_yaw(turn), DOWN)
    return arm.reaches(Pose(point, quat)) and arm.reaches(Pose(point + [0, 0, 0.1], quat))


def _crowding(spec: EpisodeSpec, view: View, name: str, point: Array, turn: float) -> float:
    """Returns by how many m the open fingers and the hand would overlap with the neighbours of a grasp (with 1 cm to spare)."""
    along = np.array([-math.sin(turn), math.cos(turn)])
    across = np.array([along[1], -along[0]])
    total = 0.0
    for other, where in view.props.items():
        if other == name:
            continue
        asset = get(_asset(spec, other))
        radius, top = footprint_m(asset), where.pos[2] + asset.size_m[2]
        rel = where.pos[:2] - point[:2]
        u, v = abs(float(rel @ along)), abs(float(rel @ across))
        if top > point[2] - 0.014:  # the finger tips: from 4 to 6.5 cm along the line of the pads
            total += max(0.0, radius + 0.01 - math.hypot(max(0.0, u - 0.065, 0.04 - u), max(0.0, v - 0.011)))
        if top > point[2] + 0.03:  # the hand above them
            total += max(0.0, radius + 0.01 - math.hypot(max(0.0, u - 0.105), max(0.0, v - 0.035)))
    return total


def _nearest_turn(direction_rad: float, near_rad: float) -> float:
    """Returns the turn of the hand, within a half turn of `near_rad`, that lines up its pads with a direction."""
    turn = direction_rad + math.pi / 2
    return near_rad + math.remainder(turn - near_rad, math.pi)


# ------------------------------------------------------------------------------------------------------------------- geometry
class _Hook(NamedTuple):
    point: Array
    axis: Array
    quat: Array
    opened_m: float
    threshold_m: float

    @staticmethod
    def of(spec: EpisodeSpec, name: str, view: View) -> _Hook:
        fixture_name, _, joint_name = name.partition("/")
        fixture = next(f for f in spec.scene.fixtures if f.name == fixture_name)
        joint = get_fixture(fixture.asset).joint(joint_name)
        here = pose(fixture.pos_world, from_yaw(fixture.yaw_rad))
        opened = view.joints[name]
        axis = rotate(here.quat, np.array(joint.axis))
        bar = rotate(here.quat, np.array(joint.handle_axis))
        turn = _nearest_turn(math.atan2(bar[1], bar[0]), 0.0)
        return _Hook(
            here.apply(np.array(joint.hook_pos_m)) + opened * axis, axis, multiply(from_yaw(turn), DOWN), opened, joint.open_threshold_m
        )


def _clear_height(spec: EpisodeSpec, view: View, without: Sequence[str]) -> float:
    """Returns a height above everything that stands around, in which the hand may move sideways."""
    tops = [where.pos[2] + get(_asset(spec, name)).size_m[2] for name, where in view.props.items() if name not in without]
    return min(0.22, max(tops, default=0.0) + 0.04)


def _asset(spec: EpisodeSpec, prop: str) -> str:
    return next(p.asset for p in spec.scene.props if p.name == prop)


def _hand_yaw(quat: Array) -> float:
    forward = rotate(quat, np.array([1.0, 0.0, 0.0]))
    return math.atan2(forward[1], forward[0])


def _turn_error(a: Array, b: Array) -> float:
    return float(np.linalg.norm(to_axis_angle(multiply(a, conjugate(b)))))
