"""Which grasp of a thing to take: in reach, with room for the fingers, and with little turning of the hand."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from vlagym.envs.errors import NotGraspable
from vlagym.envs.frames import Array, Pose, from_yaw, multiply, rotate, to_yaw
from vlagym.envs.kinematics import Kinematics, kinematics
from vlagym.envs.objects import Grasp
from vlagym.envs.task import footprint_m
from vlagym.envs.types import EpisodeSpec
from vlagym.policies.skills.view import DOWN, View, asset_of


class ChosenGrasp(NamedTuple):
    """A grasp of a thing, and from which side."""

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
        return point, nearest_turn(yaw + self.direction_rad, self.turn_rad)


def choose_grasp(spec: EpisodeSpec, name: str, view: View) -> ChosenGrasp:
    """Returns the grasp of a prop that is in reach, leaves most room to its neighbours, and turns the hand least.

    Raises:
      NotGraspable: If no grasp of it is in reach.
    """
    asset, thing = asset_of(spec, name), view.props[name]
    arm = kinematics(spec.robot)
    yaw = to_yaw(thing.quat)
    ranked: list[tuple[float, int, ChosenGrasp]] = []
    for grasp in asset.grasps:
        rim = bool(np.any(grasp.offset_xy_m))
        count = 24 if rim else 12
        directions = [math.pi * (2 if rim else 1) * k / count - yaw for k in range(count)] if grasp.symmetric else list(grasp.yaw_rad)
        for direction in directions:
            chosen = ChosenGrasp(grasp, direction, nearest_turn(yaw + direction, 0.0), grasp.width_m)
            point, turn = chosen.at(thing)
            cost = 20.0 * _crowding(spec, view, name, point, turn) + 0.05 * abs(turn)
            ranked.append((round(cost, 6), len(ranked), chosen))
    ranked.sort()
    for _, _, chosen in ranked[:16]:
        if _in_reach(arm, chosen, thing):
            return chosen
    raise NotGraspable(f"no grasp of {name!r} ({asset.id}) at {thing.pos.round(3).tolist()} is in reach of {spec.robot}")


def _in_reach(arm: Kinematics, chosen: ChosenGrasp, thing: Pose) -> bool:
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
        asset = asset_of(spec, other)
        radius, top = footprint_m(asset), where.pos[2] + asset.size_m[2]
        rel = where.pos[:2] - point[:2]
        u, v = abs(float(rel @ along)), abs(float(rel @ across))
        if top > point[2] - 0.014:  # the finger tips: from 4 to 6.5 cm along the line of the pads
            total += max(0.0, radius + 0.01 - math.hypot(max(0.0, u - 0.065, 0.04 - u), max(0.0, v - 0.011)))
        if top > point[2] + 0.03:  # the hand above them
            total += max(0.0, radius + 0.01 - math.hypot(max(0.0, u - 0.105), max(0.0, v - 0.035)))
    return total


def nearest_turn(direction_rad: float, near_rad: float) -> float:
    """Returns the turn of the hand, within a half turn of `near_rad`, that lines up its pads with a direction."""
    turn = direction_rad + math.pi / 2
    return near_rad + math.remainder(turn - near_rad, math.pi)
