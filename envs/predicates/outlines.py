"""Where the things of a scene are and how far they reach: boxes around props and furniture, met by a ray or approached on the floor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vlagym.envs.errors import unknown_name
from vlagym.envs.frames import Array, Pose, rotate
from vlagym.envs.predicates.state import WorldState, asset_of, fixture_of, fixture_pose
from vlagym.envs.shapes.parts import joint_bounds
from vlagym.envs.types import EpisodeSpec

_RAY_M = np.geomspace(0.03, 4.0, 80)
"""Distances along a ray at which it is looked at: each 6 % further than the one before."""


@dataclass(frozen=True, kw_only=True)
class Outline:
    """A box around a thing, in its own frame."""

    name: str
    low_m: Array
    """(3,)"""
    high_m: Array
    """(3,)"""
    standing: Pose | None
    """Pose in the world of what stands still; None for a prop."""

    def pose_in(self, state: WorldState) -> Pose:
        """Returns the pose of the thing in the world."""
        return state.props[self.name] if self.standing is None else self.standing

    def middle_in(self, state: WorldState) -> Array:
        """Returns the middle of the box (3,) in the world, m."""
        return self.pose_in(state).apply((self.low_m + self.high_m) / 2)

    def floor_gap_m(self, x: float, y: float, state: WorldState) -> float:
        """Returns how far a place is from the box as seen from above, in m; 0 below or above it."""
        here = self.pose_in(state)
        corners = np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)]) * (self.high_m - self.low_m) + self.low_m
        outline = (_rotated(here.quat, corners) + here.pos)[:, :2]
        return _outside_m(outline, np.array([x, y]))


def outline_of(spec: EpisodeSpec, name: str) -> Outline:
    """Returns the box around a prop or a fixture. Raises UnknownName."""
    for prop in spec.scene.props:
        if prop.name == name:
            low, high = joint_bounds(asset_of(spec, name).collision)
            return Outline(name=name, low_m=low, high_m=high, standing=None)
    names = [f.name for f in spec.scene.fixtures]
    if name in names:
        fixture, asset = fixture_of(spec, name)
        parts = [*asset.visual, *(part for joint in asset.joints for part in joint.visual)]
        low, high = joint_bounds([part.shape for part in parts])
        return Outline(name=name, low_m=low, high_m=high, standing=fixture_pose(fixture))
    raise unknown_name("prop or fixture of the scene", name, [*(p.name for p in spec.scene.props), *names])


def outlines(spec: EpisodeSpec) -> tuple[Outline, ...]:
    """Returns the boxes around all props and fixtures but what is in a prop at the start."""
    names = [p.name for p in spec.scene.props if p.content_of is None] + [f.name for f in spec.scene.fixtures]
    return tuple(outline_of(spec, name) for name in names)


def miss(outline: Outline, state: WorldState, eye: Array, direction: Array) -> tuple[float, float]:
    """Returns what `misses` does for a single box."""
    angles, distances = misses((outline,), state, eye, direction)
    return float(angles[0]), float(distances[0])


def misses(things: Sequence[Outline], state: WorldState, eye: Array, direction: Array) -> tuple[Array, Array]:
    """Returns by what angles a ray misses boxes, in rad (0: it meets it), and how far along the ray it comes nearest to each, in m; `(n,)` both.

    Args:
      things: The n boxes.
      state: Where they are.
      eye: (3,) where the ray begins, world frame.
      direction: (3,) unit vector.
    """
    from_world = [thing.pose_in(state).inverse() for thing in things]
    eyes, ways = (np.stack(rows) for rows in ([here.apply(eye) for here in from_world], [rotate(here.quat, direction) for here in from_world]))
    low, high = (np.stack([getattr(thing, side) for thing in things])[:, None] for side in ("low_m", "high_m"))
    points = eyes[:, None] + _RAY_M[:, None] * ways[:, None]
    angles = np.arctan2(_beyond_m(points, low, high), _RAY_M)
    nearest = angles.argmin(axis=1)
    return angles.min(axis=1), _RAY_M[nearest]


def _beyond_m(points: Array, low: Array, high: Array) -> Array:
    """Returns how far points `(..., 3)` of the frame of a box are from it, m."""
    beyond = np.maximum(np.maximum(low - points, points - high), 0.0)
    return np.asarray(np.sqrt((beyond * beyond).sum(axis=-1)))


def _rotated(quat: Array, points: Array) -> Array:
    """Returns points `(n, 3)` turned by a quaternion wxyz."""
    axes = np.stack([rotate(quat, axis) for axis in np.eye(3)])
    return np.asarray(points @ axes)


def _outside_m(corners: Array, point: Array) -> float:
    """Returns how far a point (2,) lies outside the convex hull of corners `(n, 2)`, m."""
    hull = _hull(corners.tolist())
    sides = list(zip(hull, hull[1:] + hull[:1], strict=True))
    if len(hull) > 2 and all(_cross(a, b, point.tolist()) >= 0.0 for a, b in sides):
        return 0.0
    return min(_to_segment_m(np.array(a), np.array(b), point) for a, b in sides)


def _hull(points: list[Sequence[float]]) -> list[Sequence[float]]:
    """Returns the convex hull of points of a plane, counter-clockwise."""
    ordered = sorted({(round(x, 9), round(y, 9)) for x, y in points})
    chains = []
    for chain_points in (ordered, ordered[::-1]):
        chain: list[Sequence[float]] = []
        for point in chain_points:
            while len(chain) > 1 and _cross(chain[-2], chain[-1], point) <= 0.0:
                chain.pop()
            chain.append(point)
        chains.append(chain[:-1])
    return [*chains[0], *chains[1]] or list(ordered)


def _cross(a: Sequence[float], b: Sequence[float], c: Sequence[float]) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def _to_segment_m(a: Array, b: Array, point: Array) -> float:
    along = b - a
    length = float(along @ along)
    share = 0.0 if length == 0.0 else min(max(float((point - a) @ along) / length, 0.0), 1.0)
    return float(np.linalg.norm(point - a - share * along))
