"""Solids that are stacks of outlines: cut-outs of any polygon, tubs with straight sides, lofts along a line, and superellipsoids."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.errors import BadData
from vlagym.envs.shapes.solids import Solid, half_circle, revolve, stack

Array = NDArray[np.float64]


def cutout(outline_m: Array, height_m: float, bevel_m: float) -> Solid:
    """Returns a prism over a polygon that may be concave, between z = 0 and z = height_m.

    Args:
      outline_m: (P, 2) corners, counter-clockwise, without crossings.
      height_m: Thickness.
      bevel_m: Width of the slanted edge around both faces; 0 for a sharp one.

    Raises:
      BadData: If the outline runs clockwise or crosses itself.
    """
    triangles = _ears(outline_m)
    layers = [(0.0, 0.0), (0.0, height_m)]
    if bevel_m > 0.0:
        layers = [(bevel_m, 0.0), (0.0, bevel_m), (0.0, height_m - bevel_m), (bevel_m, height_m)]
    rings = [np.column_stack([_inset(outline_m, inset), np.full(len(outline_m), z)]) for inset, z in layers]
    return stack(rings, triangles, triangles)


def tub(size_xy_m: tuple[float, float], corner_m: float, profile_m: Array, corner_sides: int) -> Solid:
    """Returns what a profile sweeps along a rectangle with round corners: a tray, a crate, a cushion; flat where the profile begins and ends.

    Args:
      size_xy_m: Edge lengths of the rectangle.
      corner_m: Radius of its corners.
      profile_m: (P, 2) distance inward from the rectangle, and height.
      corner_sides: Edges of each round corner.

    Raises:
      BadData: If the profile goes further in than half of the rectangle.
    """
    half = np.array(size_xy_m) / 2.0
    if profile_m[:, 0].max() >= half.min():
        raise BadData(f"profile_m goes {profile_m[:, 0].max()} m inward, but the rectangle is only {2 * half.min():g} m wide")
    rings = []
    for inset, height in profile_m:
        inner = half - inset
        outline = _round_rectangle(inner, min(max(corner_m - inset, 1e-4), float(inner.min())), corner_sides)
        rings.append(np.column_stack([outline, np.full(len(outline), height)]))
    fan = np.array([[0, i, i + 1] for i in range(1, len(rings[0]) - 1)])
    return stack(rings, fan, fan)


def loft(stations_m: Array, squareness: float, sides: int) -> Solid:
    """Returns a body along the x axis whose cross-section goes from round to square.

    Args:
      stations_m: (S, 5) x, y, z of the middle of a section, and its half width (along y) and half height (along z); x grows.
      squareness: 2 for ellipses; the larger, the nearer to rectangles.
      sides: Corners of a section.
    """
    angle = 2.0 * np.pi * (np.arange(sides) + 0.5) / sides
    y, z = _superellipse(angle, squareness)
    rings = [np.column_stack([np.full(sides, s[0]), s[1] + s[3] * y, s[2] + s[4] * z]) for s in stations_m]
    fan = np.array([[0, i, i + 1] for i in range(1, sides - 1)])
    return stack(rings, fan, fan)


def superellipsoid(radii_m: Array, squareness: tuple[float, float], sides: int, rings: int) -> Solid:
    """Returns a body between an ellipsoid and a box around the origin.

    Args:
      radii_m: (3,)
      squareness: Of the outline seen from above, and of the one seen from the side; 2 is round.
      sides: Corners of a level section.
      rings: Sections from pole to pole.
    """
    profile = half_circle(rings)
    radius, height = _superellipse(np.arctan2(profile[:, 1], profile[:, 0]), squareness[1])
    radius[[0, -1]] = 0.0
    solid = revolve(np.column_stack([radius, height]), sides)
    angle = np.arctan2(solid.vertices[:, 1], solid.vertices[:, 0])
    x, y = _superellipse(angle, squareness[0])
    level = np.hypot(solid.vertices[:, 0], solid.vertices[:, 1])
    return Solid(vertices=np.column_stack([x * level, y * level, solid.vertices[:, 2]]) * radii_m, faces=solid.faces)


def _superellipse(angle: Array, squareness: float) -> tuple[Array, Array]:
    """Returns the points of |x|^n + |y|^n = 1 at angles about the middle."""
    c, s = np.cos(angle), np.sin(angle)
    radius = (np.abs(c) ** squareness + np.abs(s) ** squareness) ** (-1.0 / squareness)
    return radius * c, radius * s


def _round_rectangle(half: Array, radius: float, corner_sides: int) -> Array:
    """Returns the (4 (corner_sides + 1), 2) corners of a rectangle with round corners, counter-clockwise."""
    arc = np.pi / 2.0 * np.arange(corner_sides + 1) / corner_sides
    points = []
    for k, (sx, sy) in enumerate(((1, 1), (-1, 1), (-1, -1), (1, -1))):
        angle = arc + k * np.pi / 2.0
        points.append(np.column_stack([sx * (half[0] - radius) + radius * np.cos(angle), sy * (half[1] - radius) + radius * np.sin(angle)]))
    return np.concatenate(points)


def _inset(outline: Array, distance: float) -> Array:
    """Returns the outline with every edge moved inward."""
    if distance == 0.0:
        return outline
    edges = np.roll(outline, -1, axis=0) - outline
    inward = np.column_stack([-edges[:, 1], edges[:, 0]]) / np.linalg.norm(edges, axis=1, keepdims=True)
    before = np.roll(inward, 1, axis=0)
    bisector = before + inward
    reach = np.maximum(1.0 + np.einsum("ij,ij->i", before, inward), 0.3)  # a sharp corner is not moved further than about two bevels
    moved: Array = outline + distance * bisector / reach[:, None]
    return moved


def _ears(outline: Array) -> NDArray[np.int64]:
    """Returns the (P - 2, 3) triangles of a simple polygon, found by cutting off one ear after the other."""
    x, y = outline.T
    if float(x @ np.roll(y, -1) - y @ np.roll(x, -1)) <= 0.0:
        raise BadData("outline_m must run counter-clockwise")
    if _crosses_itself(outline):
        raise BadData("outline_m crosses itself")
    left = list(range(len(outline)))
    triangles: list[tuple[int, int, int]] = []
    while len(left) > 3:
        ear = next((i for i in range(len(left)) if _is_ear(outline, left, i)), None)
        if ear is None:
            raise BadData("outline_m touches itself or has two equal corners")
        triangles.append((left[ear - 1], left[ear], left[(ear + 1) % len(left)]))
        del left[ear]
    return np.array([*triangles, tuple(left)], np.int64)


def _crosses_itself(outline: Array) -> bool:
    """Tells whether two edges of a polygon cross."""
    start, end = outline, np.roll(outline, -1, axis=0)
    along = end - start
    sides = [np.sign(_cross(along[:, None], points[None] - start[:, None])) for points in (start, end)]
    apart = sides[0] * sides[1] < 0.0  # the ends of edge j lie on both sides of edge i
    return bool(np.any(apart & apart.T))


def _is_ear(outline: Array, left: list[int], i: int) -> bool:
    corners = (left[i - 1], left[i], left[(i + 1) % len(left)])
    a, b, c = outline[list(corners)]
    if _cross(b - a, c - b) <= 1e-12:
        return False
    others = outline[[k for k in left if k not in corners]]
    within = (_cross(b - a, others - a) >= 0) & (_cross(c - b, others - b) >= 0) & (_cross(a - c, others - c) >= 0)
    return not bool(np.any(within))


def _cross(a: Array, b: Array) -> Array:
    product: Array = a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
    return product
