"""Which grasp of a thing to take: in reach, with room for the fingers, and with little turning of the hand."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from vlagym.envs import catalog
from vlagym.envs.errors import NotGraspable
from vlagym.envs.frames import Array, Pose, from_yaw, multiply, rotate, to_matrix
from vlagym.envs.kinematics import Kinematics, kinematics
from vlagym.envs.objects import UPRIGHT, WIDEST_GRASP_M, Grasp, ObjectAsset
from vlagym.envs.robot import EndEffector, Robot
from vlagym.envs.types import EpisodeSpec
from vlagym.policies.skills.surroundings import Obstacle, boxed, crowding, obstacles
from vlagym.policies.skills.view import DOWN, View, asset_of

FALLEN = "fallen"
"""Name of whatever pose a thing is in that is none of its stable ones."""
_TILTED = 0.12  # 1 - cosine: 28 degrees away from a stable pose a thing counts as fallen
_LOWEST_M = 0.012
_PLAY_M = 0.024
"""How much wider than the thing the pads are apart at least, together."""
_NARROW_COST = 0.03
_WIDE_INSIDE_COST = 0.5


class ChosenGrasp(NamedTuple):
    """A grasp of a thing, and from which side."""

    grasp: Grasp
    direction_rad: float
    """Of the line through both pads, in the frame of the thing's pose."""
    turn_rad: float
    """Of the hand about the vertical, when it was chosen."""
    width_m: float
    opening_m: float
    """Between the pads on the way there."""
    asset: ObjectAsset

    def at(self, thing: Pose) -> tuple[Array, float]:
        """Returns the pinch point and the turn of the hand for the prop's present pose."""
        if self.grasp.pose == FALLEN:
            box = boxed("", self.asset, thing)
            middle = np.array([box.x, box.y, max(_LOWEST_M, (box.bottom_m + box.top_m) / 2)])
            return middle, nearest_turn(box.yaw_rad + self.direction_rad, self.turn_rad)
        grasp, yaw = self.grasp, yaw_in_pose(self.asset, self.grasp.pose, thing)
        offset = np.array(grasp.offset_xy_m)
        if grasp.symmetric and offset.any():
            offset = np.hypot(*offset) * np.array([math.cos(self.direction_rad), math.sin(self.direction_rad)])
        height = grasp.height_m if grasp.pose == UPRIGHT else grasp.height_m - self.asset.pose(grasp.pose).height_m
        point = thing.pos + (rotate(from_yaw(yaw), np.array([*offset, 0.0])) + [0, 0, height])
        return point, nearest_turn(yaw + self.direction_rad, self.turn_rad)


def choose_grasp(spec: EpisodeSpec, name: str, view: View, tried: Sequence[ChosenGrasp] = ()) -> ChosenGrasp:
    """Returns the grasp of a prop that is in reach, leaves most room to its neighbours, and turns the hand least.

    Args:
      spec: The episode.
      name: Of the prop.
      view: The scene as it is.
      tried: Grasps that closed on nothing; they are taken again only if there are no others.

    Raises:
      NotGraspable: If no grasp of it is in reach.
    """
    asset, thing = asset_of(spec, name), view.props[name]
    around, hand = obstacles(spec, view, (name,)), hand_of(spec)
    pose = resting_pose(asset, thing)
    yaw = boxed(name, asset, thing).yaw_rad if pose == FALLEN else yaw_in_pose(asset, pose, thing)
    ranked: list[tuple[float, int, ChosenGrasp]] = []
    for grasp in _improvised(boxed(name, asset, thing)) if pose == FALLEN else asset.grasps_in(pose):
        rim = bool(np.any(grasp.offset_xy_m))
        count = 24 if rim else 12
        directions = [math.pi * (2 if rim else 1) * k / count - yaw for k in range(count)] if grasp.symmetric else list(grasp.yaw_rad)
        for direction in directions:
            for turn, opening_m in itertools.product(turns(hand, yaw + direction), openings(hand, grasp)):
                chosen = ChosenGrasp(grasp, direction, turn, grasp.width_m, opening_m, asset)
                point, turn = chosen.at(thing)
                cost = 20.0 * crowding(hand.room, around, point, turn, opening_m) + 0.05 * abs(turn) + _NARROW_COST * (opening_m < hand.opening_max_m)
                cost += sum(_is_alike(chosen, other) for other in tried) + (_WIDE_INSIDE_COST if _is_wide_inside(hand, chosen, thing) else 0.0)
                ranked.append((round(cost, 6), len(ranked), chosen))
    ranked.sort(key=lambda item: item[:2])
    arm = kinematics(spec.robot)
    for _, _, chosen in ranked[:24]:
        if _in_reach(arm, chosen, thing):
            return chosen
    raise NotGraspable(f"no grasp of {name!r} ({asset.id}) at {thing.pos.round(3).tolist()} is in reach of {spec.robot}")


def resting_pose(asset: ObjectAsset, thing: Pose) -> str:
    """Returns in which of an object's stable poses it is; FALLEN where it is in none that has a grasp."""
    matrix = to_matrix(thing.quat)

    def tilt(pose: str) -> float:
        still = to_matrix(asset.pose(pose).quat_wxyz)
        if asset.yaw_symmetry == 0:
            return abs(float(matrix[2, 2] - still[2, 2]))  # round: how it is rolled about its axis does not matter
        return 1.0 - float(matrix[2] @ still[2])

    nearest = min((UPRIGHT, *(p.name for p in asset.poses if asset.grasps_in(p.name))), key=tilt)
    return nearest if tilt(nearest) <= _TILTED else FALLEN


def yaw_in_pose(asset: ObjectAsset, pose: str, thing: Pose) -> float:
    """Returns the turn about the vertical of a thing that rests in one of its stable poses."""
    matrix, still = to_matrix(thing.quat), to_matrix(asset.pose(pose).quat_wxyz)
    if pose != UPRIGHT and asset.yaw_symmetry == 0 and math.hypot(still[0, 2], still[1, 2]) > 0.5:
        return math.atan2(matrix[1, 2], matrix[0, 2]) - math.atan2(still[1, 2], still[0, 2])
    turned = matrix @ still.T
    return math.atan2(turned[1, 0], turned[0, 0])


def _improvised(box: Obstacle) -> tuple[Grasp, ...]:
    """Returns grasps of a thing that lies as it fell: across the narrow side of its outline, and across the other."""
    sides = sorted(((2 * box.half_y_m, math.pi / 2), (2 * box.half_x_m, 0.0)))
    return tuple(
        Grasp(kind="top", height_m=0.02, width_m=min(width, WIDEST_GRASP_M), yaw_rad=(direction,), pose=FALLEN) for width, direction in sides
    )


def openings(hand: EndEffector, grasp: Grasp) -> tuple[float, ...]:
    """Returns how far the pads may be apart on the way to a grasp: wide, or with little play; about a wall there is room for little only."""
    margin_m = _PLAY_M if hand.pregrasp_margin_m is None else hand.pregrasp_margin_m
    narrow = min(hand.opening_max_m, grasp.width_m + margin_m)
    return (narrow,) if grasp.kind == "rim" or hand.pregrasp_margin_m is not None else (hand.opening_max_m, narrow)


def turns(hand: EndEffector, direction_rad: float) -> list[float]:
    """Returns the turns of the hand that line up its fingers with a direction: one, or two that differ where its sides do."""
    turn = nearest_turn(direction_rad, 0.0)
    return [turn] if hand.is_symmetric else [turn, turn - math.copysign(math.pi, turn)]


def nearest_turn(direction_rad: float, near_rad: float) -> float:
    """Returns the turn of the hand, within a half turn of `near_rad`, that lines up its pads with a direction."""
    turn = direction_rad + math.pi / 2
    return near_rad + math.remainder(turn - near_rad, math.pi)


def hand_of(spec: EpisodeSpec) -> EndEffector:
    """Returns the hand of the episode's robot."""
    robot: Robot = catalog.load("robot", spec.robot)
    return robot.end_effectors[0]


def opening_command(hand: EndEffector, opening_m: float) -> float:
    """Returns the gripper command, -1 open to +1 closed, that leaves so much room between the pads."""
    if hand.opening_of_joint_m:
        joints, openings = zip(*hand.opening_of_joint_m, strict=True)
        order = np.argsort(openings)
        ctrl = float(np.interp(opening_m, np.array(openings)[order], np.array(joints)[order]))
    else:
        ctrl = opening_m / len(hand.finger_joints)
    return float(np.clip(2.0 * (ctrl - hand.open_ctrl) / (hand.closed_ctrl - hand.open_ctrl) - 1.0, -1.0, 1.0))


def _is_wide_inside(hand: EndEffector, chosen: ChosenGrasp, thing: Pose) -> bool:
    """Returns whether the wider side of the hand would be inside of a rim."""
    if hand.is_symmetric or chosen.grasp.kind != "rim":
        return False
    _, turn = chosen.at(thing)
    outward = yaw_in_pose(chosen.asset, chosen.grasp.pose, thing) + chosen.direction_rad
    return math.sin(turn) * math.cos(outward) - math.cos(turn) * math.sin(outward) > 0.0  # the +y side lies at (sin, -cos) of the turn


def _is_alike(a: ChosenGrasp, b: ChosenGrasp) -> bool:
    return a.grasp is b.grasp and abs(math.remainder(a.direction_rad - b.direction_rad, 2 * math.pi)) < 0.2


def _in_reach(arm: Kinematics, chosen: ChosenGrasp, thing: Pose) -> bool:
    point, turn = chosen.at(thing)
    quat = multiply(from_yaw(turn), DOWN)
    return arm.reaches(Pose(point, quat)) and arm.reaches(Pose(point + [0, 0, 0.1], quat))
