"""A thing is changed where it stands: its middle and its turn stay, it rests on the table again, and what lies on it is raised or lowered with it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

import numpy as np

from vlagym.benchmark.axis import Unfit
from vlagym.envs.frames import conjugate, multiply, rotate, to_matrix
from vlagym.envs.objects import UPRIGHT, ObjectAsset, StablePose, asset_of
from vlagym.envs.types import PropSpec, SceneSpec

_STILL = 0.999
"""Cosine of the angle by which a thing may lean from one of its stable poses."""
_ABOVE_M = 0.002


def restood(scene: SceneSpec, changed: Mapping[str, PropSpec]) -> SceneSpec:
    """Returns a scene with props exchanged, each standing or lying where the one of its name did.

    Args:
      scene: The scene as it was.
      changed: Name -> the prop with another asset or scale; its pose is found here.

    Raises:
      Unfit: If one cannot lie as that did, or what lies on it would no longer.
    """
    props = {p.name: (_stood(p, changed[p.name]) if p.name in changed else p) for p in scene.props}
    for below in scene.props:
        rise_m = _rise_m(below, changed[below.name]) if below.name in changed else 0.0
        for above in scene.props if rise_m else ():
            if bears(below, above):
                x, y, z = props[above.name].pos_world
                props[above.name] = dataclasses.replace(props[above.name], pos_world=(x, y, round(z + rise_m, 5)))
    return dataclasses.replace(scene, props=tuple(props[p.name] for p in scene.props))


def bears(below: PropSpec, above: PropSpec) -> bool:
    """Returns whether a prop lies on or in another one at the start."""
    place = asset_of(below).place
    if below.name == above.name or place is None or above.pos_world[2] < below.pos_world[2] + _ABOVE_M:
        return False
    return above.content_of == below.name or math.dist(below.pos_world[:2], above.pos_world[:2]) <= place.inner_radius_m


def pose_of(prop: PropSpec) -> StablePose:
    """Returns in which of its stable poses a prop begins.

    Raises:
      Unfit: If it is in none.
    """
    asset, up = asset_of(prop), to_matrix(prop.quat_world_wxyz)[2]
    for name in (UPRIGHT, *(p.name for p in asset.poses)):
        pose = asset.pose(name)
        still = to_matrix(pose.quat_wxyz)[2]
        # What is round may lie rolled about its axis.
        if float(up @ still) > _STILL or (asset.yaw_symmetry == 0 and name != UPRIGHT and abs(float(up[2] - still[2])) < 1.0 - _STILL):
            return pose
    raise Unfit(f"{prop.name} begins in none of the poses in which it stands or lies")


def _stood(old: PropSpec, new: PropSpec) -> PropSpec:
    pose = pose_of(old)
    if pose.name == UPRIGHT:
        return new
    asset = asset_of(new)
    if pose.name not in {p.name for p in asset.poses}:
        raise Unfit(f"a {asset.kind} does not lie as {old.name} does")
    lies, was = asset.pose(pose.name), np.array(old.quat_world_wxyz)
    turned = multiply(multiply(was, conjugate(np.array(pose.quat_wxyz))), np.array(lies.quat_wxyz)).round(6)
    middle = np.array(old.pos_world) + _middle(asset_of(old), was)
    x, y, _ = (middle - _middle(asset, turned)).tolist()
    w, i, j, k = turned.tolist()
    height = old.pos_world[2] - pose.height_m + lies.height_m
    return dataclasses.replace(new, pos_world=(round(x, 5), round(y, 5), round(height, 5)), quat_world_wxyz=(w, i, j, k))


def _middle(asset: ObjectAsset, quat: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Returns (3,) the way from the origin of a thing to its middle, in the world frame, m."""
    found: np.ndarray[tuple[int, ...], np.dtype[np.float64]] = rotate(quat, np.array([0.0, 0.0, asset.size_m[2] / 2]))
    return found


def _rise_m(old: PropSpec, new: PropSpec) -> float:
    """Returns by how much a surface is higher than the one that it takes the place of."""
    before, after = asset_of(old).place, asset_of(new).place
    if before is None or after is None:
        return 0.0
    return after.surface_height_m - before.surface_height_m
