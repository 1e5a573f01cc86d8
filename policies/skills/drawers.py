"""Place in: what is held is let down into an open drawer, past what stands out above it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from vlagym.envs.errors import BadSpec, NotGraspable
from vlagym.envs.fixtures import FixtureAsset, FixtureJoint
from vlagym.envs.frames import Array, Pose, from_yaw, multiply, rotate
from vlagym.envs.kinematics import kinematics
from vlagym.envs.predicates.state import fixture_of, fixture_pose, joint_of
from vlagym.envs.robot import GraspRoom
from vlagym.envs.shapes.parts import Primitive, bounds
from vlagym.envs.types import EpisodeSpec
from vlagym.policies.skills.carry import risen_first
from vlagym.policies.skills.grasping import hand_of, opening_command
from vlagym.policies.skills.surroundings import height_to_pass, obstacle, obstacles
from vlagym.policies.skills.view import CLOSE, DOWN, OPEN, Command, SkillBase, Verdict, View, asset_of, hand_yaw, turn_between

_PLAY_M = 0.004
"""Room that is left on each side on the way down."""
_RELEASE_M = 0.024
"""The fingers open by so much to let go."""
_STEP_M = 0.01
_MAX_DROP_M = 0.12
_LEAVE_M = 0.10
_SLIP_STEPS = 3
_LOOKED_AT = 8


class _Spot(NamedTuple):
    """Where to let go."""

    thing: Array
    """Of the thing's origin, world frame, m."""
    turn_rad: float
    """Of the hand about the vertical."""


class PlaceIn(SkillBase):
    """place_in(a, fixture/joint): carries the held prop above the open drawer, lets it down and go, and rises clear of it.

    Lost when the prop slips out of the hand on the way.
    """

    def __init__(self, spec: EpisodeSpec, args: Sequence[str]) -> None:
        super().__init__(spec, args)
        if joint_of(spec, args[1]).inside_m is None:
            raise BadSpec(f"nothing can be put into {args[1]!r}: its file gives no inside_m")
        self._hand = hand_of(spec)
        self._spot: _Spot | None = None
        self._slipped = 0
        self._lowest, self._stuck = math.inf, 0
        self._released_for = 0
        self._released_at = np.zeros(3)
        self._release = OPEN

    def step(self, view: View) -> tuple[Command, Verdict]:
        name = self.args[0]
        if self._released_for:
            return self._leave(view)
        self._slipped = 0 if name in view.held else self._slipped + 1
        if self._slipped > _SLIP_STEPS:
            return Command(view.ee.pos + [0, 0, 0.03], view.ee.quat, OPEN), "lost"
        if self._spot is None:
            self._spot = _choose_spot(self.spec, view, self.args)
        thing = view.props[name].pos
        quat = multiply(from_yaw(self._spot.turn_rad), DOWN)
        away = self._spot.thing - thing
        across, turn_error = math.hypot(away[0], away[1]), turn_between(view.ee.quat, quat)
        is_above = across < 0.010 and turn_error < 0.1
        self._stuck = self._stuck + 1 if is_above and -away[2] < 0.04 and thing[2] > self._lowest - 0.001 else 0
        self._lowest = min(self._lowest, float(thing[2]))
        if is_above and (abs(away[2]) < 0.006 or self._stuck > 4):
            self._released_for, self._released_at = 1, view.ee.pos
            self._release = opening_command(self._hand, view.opening_m + _RELEASE_M)
            return Command(view.ee.pos, view.ee.quat, self._release), "running"
        height = 0.0
        if not is_above:
            box = obstacle(self.spec, view, name)
            below = float(view.ee.pos[2]) - box.bottom_m
            around = obstacles(self.spec, view, (name,))
            over = height_to_pass(self._hand.room, around, thing, self._spot.thing, below_m=below, radius_m=box.radius_m) - below
            # Steeper than the furniture: straight down at last, and slantwise only where the hand is still above it.
            height = min(max(0.04, over - float(self._spot.thing[2])), 8.0 * max(0.0, across - 0.006) + 0.4 * max(0.0, turn_error - 0.08))
        step = risen_first(thing, self._spot.thing + [0, 0, height]) - thing
        return Command(view.ee.pos + step, quat, CLOSE), "running"

    def _leave(self, view: View) -> tuple[Command, Verdict]:
        self._released_for += 1
        up = self._released_at + [0, 0, 0.0 if self._released_for < 4 else _LEAVE_M + 0.02]
        there = view.ee.pos[2] > self._released_at[2] + _LEAVE_M
        return Command(up, view.ee.quat, self._release), "done" if there or self._released_for > 30 else "running"


def _choose_spot(spec: EpisodeSpec, view: View, args: Sequence[str]) -> _Spot:
    """Returns the place in a drawer from which the held thing falls least, with room for it and the hand on the way down.

    In the middle; where other things are to come in as well, at the side.

    Raises:
      NotGraspable: If there is none in reach.
    """
    name, joint_name = args
    fixture, asset = fixture_of(spec, joint_name)
    joint, here = joint_of(spec, joint_name), fixture_pose(fixture)
    low, high = (joint.at(view.joints[joint_name]).apply(np.array(corner)) for corner in joint.inside_m or ())
    around = _solids(asset, fixture.name, view, joint.name)
    around = np.concatenate([around, *(_box_around(spec, other, here.inverse() @ view.props[other])[None] for other in view.props if other != name)])
    room = hand_of(spec).room
    arm, now = kinematics(spec.robot), hand_yaw(view.ee.quat)
    frame = here.inverse()
    more = any(not _is_within(frame.apply(view.props[other].pos), low, high) for other in _bound_for(spec, joint_name, name))
    ranked: list[tuple[float, int, _Spot, Pose]] = []
    for quarter in range(4):
        turn = now + math.remainder(fixture.yaw_rad + quarter * math.pi / 2 - now, 2 * math.pi)
        quat = multiply(from_yaw(turn), DOWN)
        held = rotate(quat, rotate(view.ee.inverse().quat, view.props[name].pos - view.ee.pos))  # from the pinch point to the thing's origin
        boxes = _moving_boxes(spec, view, name, room, quat, fixture.yaw_rad, along_y=quarter % 2 == 0)
        own = boxes[0]
        xs = np.arange(low[0] - own[0, 0] + _PLAY_M, high[0] - own[1, 0] - _PLAY_M, _STEP_M)
        ys = np.arange(low[1] - own[0, 1] + _PLAY_M, high[1] - own[1, 1] - _PLAY_M, _STEP_M)
        zs = low[2] - own[0, 2] + _PLAY_M + np.arange(0.0, _MAX_DROP_M, _STEP_M)
        middle = (low + high) / 2
        for x, y, z in itertools.product(xs, ys, zs):
            pinch = np.array([x, y, z])
            swept = boxes + pinch
            swept[0, 0, 2] = low[2] + _PLAY_M  # what is let go falls straight down to the floor
            if _is_free(swept, around):
                drop, aside = float(z - zs[0]), abs(float(y - middle[1]))
                cost = drop + (-0.6 if more else 0.3) * aside + 0.02 * abs(turn - now) + 0.1 * abs(float(x) - float(xs.mean()))
                point = here.apply(pinch)
                ranked.append((round(cost, 6), len(ranked), _Spot(point + held, turn), Pose(point, quat)))
    ranked.sort(key=lambda entry: entry[:2])
    for _, _, spot, pinch_pose in ranked[: _LOOKED_AT * 8 : 8] + ranked[:1]:
        if arm.reaches(pinch_pose):
            return spot
    raise NotGraspable(f"{name!r} cannot be let down into {joint_name!r} at {view.joints[joint_name]:.3f} m: no place in it leaves room for the hand")


def _moving_boxes(spec: EpisodeSpec, view: View, name: str, room: GraspRoom, quat: Array, yaw_rad: float, *, along_y: bool) -> Array:
    """Returns (3, 2, 3) boxes about the pinch point, axes of the fixture: what is held, the fingers, the hand.

    Each is open upwards, where it comes from.
    """
    in_hand = view.ee.inverse() @ view.props[name]
    to_fixture = multiply(from_yaw(-yaw_rad), quat)
    thing = _box_around(spec, name, Pose(rotate(to_fixture, in_hand.pos), multiply(to_fixture, in_hand.quat)))
    line = min(room.finger_to_m, view.opening_m / 2 + _RELEASE_M / 2 + room.finger_to_m - room.finger_from_m)
    parts = ((line, max(room.finger_half_width_m), -room.finger_below_m), (*room.hand_half_size_m, room.hand_above_m))
    boxes = [thing]
    for long, wide, floor in parts:
        x, y = (wide, long) if along_y else (long, wide)
        boxes.append(np.array([[-x, -y, floor], [x, y, 0.0]]))
    stacked = np.stack(boxes)
    stacked[:, 1, 2] = 1.0
    return stacked


def _is_free(boxes: Array, around: Array) -> bool:
    low, high = boxes[:, None, 0] - _PLAY_M / 2, boxes[:, None, 1] + _PLAY_M / 2
    overlap = np.all((low < around[None, :, 1]) & (high > around[None, :, 0]), axis=2)
    return not bool(overlap.any())


def _solids(asset: FixtureAsset, fixture: str, view: View, opened: str) -> Array:
    """Returns (n, 2, 3) boxes around what a piece of furniture consists of, in its frame, joints where they are.

    The floor of the opened drawer is left out: what is put there comes to lie on it.
    """
    boxes = [bounds(piece) for piece in asset.collision]
    for joint in asset.joints:
        frame = joint.at(view.joints[f"{fixture}/{joint.name}"])
        floor = joint.inside_m[0][2] if joint.name == opened and joint.inside_m else -math.inf
        boxes += [_moved(bounds(piece), frame) for piece in _walls(joint, floor)]
    return np.stack(boxes)


def _walls(joint: FixtureJoint, floor_m: float) -> list[Primitive]:
    return [piece for piece in joint.collision if bounds(piece)[1, 2] > floor_m + 1e-4]


def _moved(box: Array, frame: Pose) -> Array:
    corners = np.array([frame.apply(np.array(corner)) for corner in itertools.product(*box.T)])
    return np.stack([corners.min(axis=0), corners.max(axis=0)])


def _box_around(spec: EpisodeSpec, name: str, frame: Pose) -> Array:
    """Returns a (2, 3) box around a prop whose pose is `frame`; around what is round as narrow as its outline, however it is turned."""
    asset = asset_of(spec, name)
    x, y, tall = np.array(asset.size_m)
    if asset.yaw_symmetry != 0:
        return _moved(np.array([[-x / 2, -y / 2, 0.0], [x / 2, y / 2, tall]]), frame)
    axis = rotate(frame.quat, np.array([0.0, 0.0, 1.0]))
    disc = max(x, y) / 2 * np.sqrt(np.maximum(0.0, 1.0 - axis**2))
    ends = np.stack([frame.pos, frame.pos + tall * axis])
    return np.stack([ends.min(axis=0) - disc, ends.max(axis=0) + disc])


def _bound_for(spec: EpisodeSpec, joint_name: str, name: str) -> set[str]:
    """Returns the props but for `name` that the goal wants in a drawer."""
    wanted = (*spec.goal, *itertools.chain(*spec.steps))
    props = {prop.name for prop in spec.scene.props}
    return {p.args[0] for p in wanted if len(p.args) == 2 and p.args[1] == joint_name and p.args[0] in props and p.args[0] != name}


def _is_within(point: Array, low: Array, high: Array) -> bool:
    return bool(np.all(point > low - 0.02) and np.all(point < high))


SKILLS: Mapping[str, type[SkillBase]] = {"place_in": PlaceIn}
