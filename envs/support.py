"""Where a body on its feet is supported: the polygon of its soles, how far inside it the centre of mass is, and how far loaded soles slid."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

FALLEN_SHARE = 0.45
"""A body whose pelvis is lower than this share of its standing height has fallen: the deepest squat that can be commanded is at 0.6."""
FALLEN_TILT_RAD = np.deg2rad(60.0)
"""So has one whose pelvis is tilted so far from what was commanded."""


def convex_hull(points: Array) -> Array:
    """Returns the corners `(h, 2)` of the convex hull of points `(n, 2)`, counter-clockwise; two for points on a line, one for one place."""
    unique = sorted({(float(x), float(y)) for x, y in points})
    if len(unique) <= 2:
        return np.array(unique).reshape(-1, 2)

    def chain(ordered: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
        corners: list[tuple[float, float]] = []
        for point in ordered:
            while len(corners) > 1 and _turn(corners[-2], corners[-1], point) <= 1e-12:
                corners.pop()
            corners.append(point)
        return corners

    lower, upper = chain(unique), chain(unique[::-1])
    return np.array(lower[:-1] + upper[:-1])


def support_margin_m(point: Array, soles: Array) -> float:
    """Returns how far a point of the ground is inside the support polygon.

    Args:
      point: (2,) m, below the centre of mass.
      soles: (n, 2) m, points of the soles that touch the ground; at least one.

    Returns:
      Distance to the nearest edge of their convex hull, in m; negative outside, and where the hull has no inside.
    """
    corners = convex_hull(soles)
    if len(corners) == 1:
        return -float(np.linalg.norm(point - corners[0]))
    ends = np.roll(corners, -1, axis=0)
    edges = ends - corners
    along = np.clip(((point - corners) * edges).sum(axis=1) / (edges * edges).sum(axis=1), 0.0, 1.0)
    distance = float(np.linalg.norm(point - (corners + along[:, None] * edges), axis=1).min())
    if len(corners) == 2:
        return -distance
    offset = point - corners
    is_inside = bool((edges[:, 0] * offset[:, 1] - edges[:, 1] * offset[:, 0] >= 0.0).all())
    return distance if is_inside else -distance


def slip_m(before: Array, after: Array, touches: NDArray[np.bool_]) -> float:
    """Returns how far a sole slid that bore weight all the while.

    A foot that tips about one of its corners moves the others and does not slide: the corner that moved least counts.

    Args:
      before: (K, C, 2) m, corners of K soles on the ground.
      after: (K, C, 2) m, the same corners later.
      touches: (K, C) whether each touched the ground then and now.

    Returns:
      The longest way of a foot, in m; 0 where no foot touched.
    """
    ways = np.linalg.norm(after - before, axis=2)
    return max((float(way[on].min()) for way, on in zip(ways, touches, strict=True) if on.any()), default=0.0)


def has_fallen(*, pelvis_height_m: float, standing_height_m: float, tilt_rad: float, commanded_tilt_rad: float, lies: bool) -> bool:
    """Returns whether a body on its legs has fallen.

    Args:
      pelvis_height_m: Above the soles' ground.
      standing_height_m: The same as it stands.
      tilt_rad: Of the pelvis from upright.
      commanded_tilt_rad: What was asked for.
      lies: Whether something of it other than its feet is on the floor.
    """
    is_low = pelvis_height_m < FALLEN_SHARE * standing_height_m
    return lies or is_low or tilt_rad > abs(commanded_tilt_rad) + FALLEN_TILT_RAD


def _turn(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
