"""Surfaces that a robot's shell is made of: lofts over superellipses, turned discs and tubes, open where another part hides them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.errors import BadData
from vlagym.envs.meshes import TriangleMesh

Axis = Literal["x", "y", "z"]
Cap = Literal["open", "flat"] | float
"""How the end of a loft is closed: not at all (another part hides it), with a flat face, or with a dome of that many m."""
Array = NDArray[np.float64]
Faces = NDArray[np.int64]

_BEVEL_M = 0.0015  # of the edge around a flat face
_BEVELLED_M = 0.025  # Half the width of the smallest face whose edge is bevelled; on smaller ones nobody sees it.
_DOME_RINGS = 3
_LOW_DOME_M = 0.02  # one this low has a ring less
_CREASE_RAD = np.deg2rad(38.0)
"""Where a profile bends by more its edge is sharp: the vertices on it are doubled, so that averaged normals do not smear over the edge."""
_GRID_M = 1e-6  # Vertices are rounded to it, which hides how a processor rounds its sines.


@dataclass(frozen=True, kw_only=True, eq=False)
class Surface:
    """A triangle mesh under construction, in m."""

    vertices: Array
    """(V, 3)"""
    faces: Faces
    """(F, 3) indices, counter-clockwise from outside."""


def loft(
    along: Axis,
    sections_m: Array,
    *,
    sides: int,
    rings: int,
    caps: tuple[Cap, Cap],
    taper: float = 0.0,
    arc_rad: tuple[float, float] | None = None,
    rim_m: float = 0.0,
) -> Surface:
    """Returns the surface through superellipses that stand across an axis; it runs smoothly through the sections.

    Args:
      along: The axis.
      sections_m: (S, 6) where on the axis, ascending; lowest and highest coordinate on the two other axes, in the order x, y, z; and the
        exponent: 2 is an ellipse, the larger, the nearer to a rectangle.
      sides: Corners of a whole section.
      rings: Bands of faces between two sections.
      caps: How it is closed at its low and at its high end.
      taper: By how much of its width, along the first of the two other axes, a section grows from its middle to its highest coordinate on the
        second; it shrinks as much to the lowest: 0.2 makes an egg.
      arc_rad: Takes only this part of the way round, from the first of the other axes to the second; None: all of it. A plate.
      rim_m: Depth of the edge of an arc, turned inward.

    Raises:
      BadData: If the sections do not ascend, or an arc has caps.
    """
    if len(sections_m) < 2 or np.any(np.diff(sections_m[:, 0]) <= 0.0):
        raise BadData(f"the sections of a loft must ascend along {along}, found {sections_m[:, 0].tolist()}")
    if arc_rad is not None and caps != ("open", "open"):
        raise BadData(f"a loft with an arc is a plate without caps, found caps {caps}")
    stations = np.arange((len(sections_m) - 1) * rings + 1) / rings
    rows = _smooth(np.arange(len(sections_m), dtype=np.float64), sections_m, stations)
    if arc_rad is None:
        angle = 2.0 * np.pi * np.arange(sides) / sides
        grid = [_section(row, angle, taper) for row in rows]
        return _oriented(along, _join(_end(grid[0], caps[0], -1.0), grid, _end(grid[-1], caps[1], 1.0)))
    angle = np.linspace(*arc_rad, max(3, round(sides * (arc_rad[1] - arc_rad[0]) / (2.0 * np.pi)) + 1))
    return _oriented(along, _plate(np.stack([_section(row, angle, taper) for row in rows]), rim_m))


def turned(along: Axis, centre_m: Array, profile_m: Array, sides: int) -> Surface:
    """Returns the surface of revolution of a profile about an axis; sharp where the profile bends, closed where it meets the axis.

    Args:
      along: Parallel to the axis.
      centre_m: (3,) a point on the axis.
      profile_m: (P, 2) radius, and height along the axis counted from that point. It runs so that, where its height grows, its outside is the
        far side from the axis.
      sides: Corners of a circle.
    """
    angle = 2.0 * np.pi * np.arange(sides) / sides
    circle = np.column_stack([np.cos(angle), np.sin(angle)])
    steps = np.diff(profile_m, axis=0)
    bends = np.abs(np.angle(np.exp(1j * np.diff(np.arctan2(steps[:, 1], steps[:, 0])))))
    strips: list[list[Array]] = [[]]
    for i, (radius, height) in enumerate(profile_m):
        ring = np.column_stack([np.full(sides, height), radius * circle])
        strips[-1].append(ring if radius > 0.0 else ring[:1])
        if 0 < i < len(profile_m) - 1 and bends[i - 1] > _CREASE_RAD:
            strips.append([ring if radius > 0.0 else ring[:1]])
    parts = _oriented(along, joined([_bands(strip) for strip in strips]))
    return Surface(vertices=parts.vertices + centre_m, faces=parts.faces)


def tube(points_m: Array, *, radius_m: float, flat: float = 1.0, sides: int, steps: int, is_closed: bool) -> Surface:
    """Returns a round tube along a smooth line through points; its ends stay open.

    Args:
      points_m: (P, 3)
      radius_m: Of the tube.
      flat: Its thickness across the plane of the line over that within it.
      sides: Corners of its cross-section.
      steps: Pieces between two points.
      is_closed: Whether the line runs back to its first point.
    """
    count = len(points_m)
    knots = np.vstack([points_m[-2:], points_m, points_m[:3]]) if is_closed else points_m
    first = 2 if is_closed else 0
    pieces = count if is_closed else count - 1
    at = first + np.arange(pieces * steps + (0 if is_closed else 1)) / steps
    line = _smooth(np.arange(len(knots), dtype=np.float64), knots, at)
    tangents = np.roll(line, -1, axis=0) - np.roll(line, 1, axis=0)
    if not is_closed:
        tangents[0], tangents[-1] = line[1] - line[0], line[-1] - line[-2]
    tangents /= np.linalg.norm(tangents, axis=1, keepdims=True)
    across = np.linalg.svd(line - line.mean(axis=0), full_matrices=True)[2][2]  # normal of the plane that the line lies in
    across = across if across[np.argmax(np.abs(across))] > 0.0 else -across
    outward = np.cross(tangents, across)
    outward /= np.linalg.norm(outward, axis=1, keepdims=True)
    upward = np.cross(outward, tangents)
    angle = 2.0 * np.pi * np.arange(sides) / sides
    rings = [p + radius_m * (np.cos(angle)[:, None] * o + flat * np.sin(angle)[:, None] * u) for p, o, u in zip(line, outward, upward, strict=True)]
    surface = _bands([*rings, rings[0]] if is_closed else rings)
    return _outward_of_line(surface, np.repeat(np.vstack([line, line[:1]]) if is_closed else line, sides, axis=0))


def hoop(along: Axis, section_m: Array, *, taper: float, count: int) -> Array:
    """Returns `count` points on the outline of one section of a loft, (count, 3): what a tube around it runs through."""
    angle = 2.0 * np.pi * np.arange(count) / count
    return _turned_to(along, _section(section_m, angle, taper))


def mirrored(surface: Surface) -> Surface:
    """Returns the surface on the other side of the plane y = 0."""
    return Surface(vertices=surface.vertices * (1.0, -1.0, 1.0), faces=surface.faces[:, ::-1])


def moved(surface: Surface, pos_m: Array, turn: Array) -> Surface:
    """Returns the surface turned by a (3, 3) matrix, then moved."""
    return Surface(vertices=surface.vertices @ turn.T + pos_m, faces=surface.faces)


def joined(surfaces: Sequence[Surface]) -> Surface:
    """Returns several surfaces as one."""
    offsets = np.cumsum([0, *(len(s.vertices) for s in surfaces)])
    return Surface(
        vertices=np.concatenate([s.vertices for s in surfaces]),
        faces=np.concatenate([s.faces + offset for s, offset in zip(surfaces, offsets[:-1], strict=True)]),
    )


def finished(surface: Surface) -> TriangleMesh:
    """Returns the surface as a mesh, rounded to a micrometre, without faces that have no area."""
    vertices = (np.round(surface.vertices / _GRID_M) * _GRID_M + 0.0).astype(np.float32)  # + 0.0 turns -0.0 into 0.0
    a, b, c = (vertices[surface.faces[:, i]].astype(np.float64) for i in range(3))
    has_area = np.linalg.norm(np.cross(b - a, c - a), axis=1) > 1e-10
    return TriangleMesh(vertices=vertices, faces=surface.faces[has_area].astype(np.int32))


def _smooth(knots: Array, values: Array, at: Array) -> Array:
    """Returns a cubic through the (K, C) values at the knots that overshoots none of them."""
    slopes = np.diff(values, axis=0) / np.diff(knots)[:, None]
    middle = np.zeros_like(values)
    low, high = slopes[:-1], slopes[1:]
    same = low * high > 0.0
    middle[1:-1][same] = (2.0 * low * high)[same] / (low + high)[same]  # harmonic mean: Fritsch and Butland 1984
    middle[0], middle[-1] = slopes[0], slopes[-1]
    piece = np.clip(np.searchsorted(knots, at, side="right") - 1, 0, len(knots) - 2)
    h = (knots[piece + 1] - knots[piece])[:, None]
    t = (at - knots[piece])[:, None] / h
    result: Array = (
        (2 * t**3 - 3 * t**2 + 1) * values[piece]
        + (t**3 - 2 * t**2 + t) * h * middle[piece]
        + (3 * t**2 - 2 * t**3) * values[piece + 1]
        + (t**3 - t**2) * h * middle[piece + 1]
    )
    return result


def _section(row: Array, angle: Array, taper: float) -> Array:
    """Returns the (A, 3) points of a section: along the axis, and on the two others."""
    s, u_low, u_high, v_low, v_high, exponent = row
    c, d = np.cos(angle), np.sin(angle)
    c, d = np.where(np.abs(c) < 1e-12, 0.0, c), np.where(np.abs(d) < 1e-12, 0.0, d)
    u, v = np.sign(c) * np.abs(c) ** (2.0 / exponent), np.sign(d) * np.abs(d) ** (2.0 / exponent)
    u = u * (1.0 + taper * v)
    return np.column_stack([np.full(len(angle), s), (u_low + u_high) / 2 + (u_high - u_low) / 2 * u, (v_low + v_high) / 2 + (v_high - v_low) / 2 * v])


def _end(ring: Array, cap: Cap, sign: float) -> list[list[Array]]:
    """Returns what closes a ring, as strips of rings from it outward; the first strip goes on from the ring smoothly."""
    if cap == "open":
        return [[]]
    middle = np.array([ring[0, 0], *((ring[:, 1:].min(axis=0) + ring[:, 1:].max(axis=0)) / 2)])
    if cap == "flat":
        half = (ring[:, 1:].max(axis=0) - ring[:, 1:].min(axis=0)) / 2
        if half.min() < _BEVELLED_M:
            return [[], [ring, ring.mean(axis=0, keepdims=True)]]
        inner = middle + (ring - middle) * np.array([1.0, *(1.0 - _BEVEL_M / half)])
        inner[:, 0] += sign * _BEVEL_M
        return [[inner], [inner, inner.mean(axis=0, keepdims=True)]]
    rings = _DOME_RINGS if float(cap) > _LOW_DOME_M else _DOME_RINGS - 1
    angle = np.pi / 2 * np.arange(1, rings + 1) / rings
    strip = []
    for a in angle[:-1]:
        level = middle + (ring - middle) * np.cos(a)
        level[:, 0] = ring[0, 0] + sign * float(cap) * np.sin(a)
        strip.append(level)
    return [[*strip, (middle + np.array([sign * float(cap), 0.0, 0.0]))[None]]]


def _join(start: list[list[Array]], grid: list[Array], end: list[list[Array]]) -> Surface:
    body = [*reversed(start[0]), *grid, *end[0]]
    strips = [body, *([*reversed(s)] for s in start[1:]), *end[1:]]
    return joined([_bands(strip) for strip in strips])


def _bands(rings: list[Array]) -> Surface:
    """Returns the faces between closed rings of points; a ring of one point is the tip of a fan."""
    offsets = np.cumsum([0, *(len(r) for r in rings)])
    faces = []
    for low, high, a, b in zip(rings[:-1], rings[1:], offsets[:-2], offsets[1:-1], strict=True):
        sides = max(len(low), len(high))
        i = np.arange(sides)
        j = (i + 1) % sides
        p, p_next = (a + i, a + j) if len(low) > 1 else (np.full(sides, a),) * 2
        q, q_next = (b + i, b + j) if len(high) > 1 else (np.full(sides, b),) * 2
        if len(low) > 1:
            faces.append(np.column_stack([p, p_next, q_next]))
        if len(high) > 1:
            faces.append(np.column_stack([p, q_next, q]))
    return Surface(vertices=np.concatenate(rings), faces=np.concatenate(faces).astype(np.int64))


def _plate(grid: Array, rim_m: float) -> Surface:
    """Returns the faces of an (R, A, 3) grid that does not close, with its edge turned inward."""
    rows, columns = grid.shape[:2]
    index = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]
    faces = np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)])
    plate = Surface(vertices=grid.reshape(-1, 3), faces=faces)
    if rim_m <= 0.0:
        return plate
    across, up = np.gradient(grid, axis=1), np.gradient(grid, axis=0)
    normal = np.cross(across, up)
    normal /= np.linalg.norm(normal, axis=2, keepdims=True)
    around = np.concatenate([index[0, :-1], index[:-1, -1], index[-1, :0:-1], index[:0:-1, 0]])
    edge = plate.vertices[around]
    return joined([plate, _bands([edge - rim_m * normal.reshape(-1, 3)[around], edge])])


def _oriented(along: Axis, surface: Surface) -> Surface:
    """Returns a surface made about the first axis in its place; x and z keep the order of the axes, y turns it round."""
    faces = surface.faces[:, ::-1] if along == "y" else surface.faces
    return Surface(vertices=_turned_to(along, surface.vertices), faces=faces)


def _turned_to(along: Axis, points: Array) -> Array:
    """Returns points (along the axis, on the two others in the order x, y, z) in the order x, y, z."""
    order = {"x": [0, 1, 2], "y": [1, 0, 2], "z": [1, 2, 0]}[along]
    return points[:, order]


def _outward_of_line(surface: Surface, centres: Array) -> Surface:
    """Returns the surface turned so that its first face looks away from the line that it runs along."""
    a, b, c = surface.vertices[surface.faces[0]]
    is_inside_out = float(np.cross(b - a, c - a) @ (a - centres[surface.faces[0, 0]])) < 0.0
    return Surface(vertices=surface.vertices, faces=surface.faces[:, ::-1]) if is_inside_out else surface
