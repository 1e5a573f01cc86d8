"""What stands around a thing: outlines seen from above, the room that they leave for the hand, and the height at which it clears them."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from vlagym.envs.fixtures import get_fixture
from vlagym.envs.frames import Array, Pose, from_yaw, pose, to_matrix, to_yaw
from vlagym.envs.objects import ObjectAsset
from vlagym.envs.robot import GraspRoom
from vlagym.envs.shapes.parts import joint_bounds
from vlagym.envs.types import EpisodeSpec, FixtureSpec
from vlagym.policies.skills.view import asset_of

_SPARE_M = 0.01
_OVER_M = 0.02  # room that is left beneath what passes
_WITHIN_M = 0.05


class Things(Protocol):
    """Where props and joints of furniture are; the views of all expert skills are."""

    @property
    def props(self) -> Mapping[str, Pose]: ...

    @property
    def joints(self) -> Mapping[str, float]: ...


class Obstacle(NamedTuple):
    """A thing as an upright prism: a disc or a turned rectangle, from the table to its top."""

    name: str
    x: float
    y: float
    yaw_rad: float
    half_x_m: float
    half_y_m: float
    is_round: bool
    bottom_m: float
    top_m: float

    @property
    def radius_m(self) -> float:
        """Of the circle around the outline."""
        return self.half_x_m if self.is_round else math.hypot(self.half_x_m, self.half_y_m)

    def distance(self, points: Array) -> Array:
        """Returns how far points `(n, 2)` are from the outline, `(n,)` in m; 0 within it."""
        away = points - np.array([self.x, self.y])
        if self.is_round:
            gaps: Array = np.maximum(0.0, np.hypot(away[:, 0], away[:, 1]) - self.half_x_m)
            return gaps
        c, s = math.cos(self.yaw_rad), math.sin(self.yaw_rad)
        u = np.maximum(0.0, np.abs(c * away[:, 0] + s * away[:, 1]) - self.half_x_m)
        v = np.maximum(0.0, np.abs(-s * away[:, 0] + c * away[:, 1]) - self.half_y_m)
        corner: Array = np.hypot(u, v)
        return corner


def obstacle(spec: EpisodeSpec, view: Things, name: str) -> Obstacle:
    """Returns a prop where it is now."""
    return boxed(name, asset_of(spec, name), view.props[name])


def boxed(name: str, asset: ObjectAsset, here: Pose) -> Obstacle:
    """Returns an object in whatever pose it is, with the names and numbers of an obstacle."""
    matrix, half = to_matrix(here.quat), np.array(asset.size_m) / 2
    middle = here.pos + matrix[:, 2] * half[2]
    tall = float(np.abs(matrix[2]) @ half)
    bottom, top = float(middle[2]) - tall, float(middle[2]) + tall
    # What does not stand upright: the rectangle along the horizontal direction of its longest side.
    is_upright = bool(matrix[2, 2] > 0.95)
    longest = 0 if is_upright else int(np.argmax(np.hypot(matrix[0], matrix[1]) * half))
    yaw = math.atan2(matrix[1, longest], matrix[0, longest])
    along, across = np.array([math.cos(yaw), math.sin(yaw)]), np.array([-math.sin(yaw), math.cos(yaw)])
    half_x, half_y = (float(np.abs(direction @ matrix[:2]) @ half) for direction in (along, across))
    if is_upright:
        half_x, half_y = float(half[0]), float(half[1])
    return Obstacle(name, float(middle[0]), float(middle[1]), yaw, half_x, half_y, is_upright and asset.yaw_symmetry == 0, bottom, top)


def obstacles(spec: EpisodeSpec, view: Things, without: Sequence[str]) -> list[Obstacle]:
    """Returns the props and fixtures of the scene where they are now, but for those that are named, and for what lies in them."""
    inside = [content for name in without for content in spec.contents(name)]
    found = [obstacle(spec, view, name) for name in view.props if name not in without and name not in inside]
    for fixture in spec.scene.fixtures:
        if fixture.name not in without:
            (long, wide, tall), (x, y, z) = get_fixture(fixture.asset).size_m, fixture.pos_world
            found.append(Obstacle(fixture.name, x, y, fixture.yaw_rad, long / 2, wide / 2, False, z, z + tall))
            found += _opened(fixture, view)
    return found


def _opened(fixture: FixtureSpec, view: Things) -> list[Obstacle]:
    """Returns the drawers and doors of a piece of furniture that are not closed."""
    asset, found = get_fixture(fixture.asset), []
    for joint in asset.joints:
        name = f"{fixture.name}/{joint.name}"
        if joint.handle is None or view.joints[name] <= joint.closed_threshold_m:
            continue
        frame = pose(fixture.pos_world, from_yaw(fixture.yaw_rad)) @ joint.at(view.joints[name])
        low, high = _joint_box(asset.id, joint.name)
        x, y, z = frame.apply((low + high) / 2).tolist()
        half = (high - low) / 2
        found.append(Obstacle(name, x, y, to_yaw(frame.quat), float(half[0]), float(half[1]), False, z - float(half[2]), z + float(half[2])))
    return found


@functools.cache
def _joint_box(fixture_id: str, joint: str) -> Array:
    """Returns the (2, 3) corners of what is touched of a joint, in its frame."""
    return joint_bounds(get_fixture(fixture_id).joint(joint).collision)


def crowding(room: GraspRoom, around: Sequence[Obstacle], point: Array, turn_rad: float, opening_m: float | None = None) -> float:
    """Returns by how many m the open fingers and the hand would overlap with what stands around (with 1 cm to spare), summed.

    Args:
      room: What the open hand takes.
      around: What stands there.
      point: Pinch point `(3,)`, base frame, m; the hand looks down.
      turn_rad: Of the hand about the vertical.
      opening_m: Between the pads; as far as they open where None.
    """
    # The hand looks down with y across: its +y side lies at (sin, -cos) of the turn.
    line = np.array([math.sin(turn_rad), -math.cos(turn_rad)])
    across = np.array([line[1], -line[0]])
    reach = max(room.hand_half_size_m[0], room.finger_to_m) + 2 * _SPARE_M
    fingers, hand = _sample_points(room, room.finger_from_m if opening_m is None else min(room.finger_from_m, opening_m / 2))
    parts = [point[:2] + places[:, :1] * line + places[:, 1:] * across for places in (fingers, hand)]
    floors = (point[2] - room.finger_below_m, point[2] + room.hand_above_m)
    total = 0.0
    for thing in around:
        if math.hypot(thing.x - point[0], thing.y - point[1]) > reach + thing.radius_m:
            continue
        for places, floor in zip(parts, floors, strict=True):
            if thing.top_m > floor:
                gaps = thing.distance(places)
                # The share that lies within the outline tells a graze from a hand in the middle of a bowl.
                total += max(0.0, _SPARE_M - float(gaps.min())) + _WITHIN_M * float((gaps <= 0.0).mean())
    return total


@functools.cache
def _sample_points(room: GraspRoom, inner_m: float) -> tuple[Array, Array]:
    """Returns points (n, 2) of the fingers, `inner_m` from the middle, and of the hand: along the line from finger to finger, and across it."""
    along = np.linspace(inner_m + 0.004, inner_m + room.finger_to_m - room.finger_from_m, 3)
    sides = ((1.0, room.finger_half_width_m[0]), (-1.0, room.finger_half_width_m[1]))
    fingers = np.array([(side * u, v) for side, half in sides for u in along for v in (-half, 0.0, half)])
    long, wide = room.hand_half_size_m
    hand = np.array([(u, v) for u in np.linspace(-long, long, 9) for v in (-wide, 0.0, wide)])
    return fingers, hand


def height_to_pass(room: GraspRoom, around: Sequence[Obstacle], start: Array, end: Array, *, below_m: float, radius_m: float = 0.0) -> float:
    """Returns how high the pinch point must be to pass above all that stands along a straight way.

    Args:
      room: What the hand takes.
      around: What stands there.
      start: Where the way begins, (3,) or (2,) m.
      end: Where it ends.
      below_m: How far what is held, or the finger tips, reach below the pinch point.
      radius_m: Of what is held.
    """
    ways = np.linspace(start[:2], end[:2], 12)
    need = 0.0
    for thing in around:
        gap = float(thing.distance(ways).min())
        if gap < max(room.finger_to_m, radius_m) + _OVER_M:
            need = max(need, thing.top_m + below_m + _OVER_M)
        elif gap < max(room.hand_half_size_m) + _OVER_M:
            need = max(need, thing.top_m - room.hand_above_m + _OVER_M)
    return need
