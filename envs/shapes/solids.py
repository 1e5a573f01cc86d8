"""Triangle meshes made of numbers: revolved, swept, extruded and chamfered solids, closed and turned outward."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.errors import BadData
from vlagym.envs.frames import to_matrix
from vlagym.envs.shapes.parts import Mesh
from vlagym.envs.types import Quat, Vec3

CREASE_RAD = np.deg2rad(50.0)
"""Edges that bend by more are sharp: the vertices on them are doubled, so that averaged normals do not smear over the edge."""

_GRID_M = 1e-6  # Vertices are rounded to it, which hides how a processor rounds its sines.


@dataclass(frozen=True, kw_only=True, eq=False)
class Solid:
    """A closed triangle mesh under construction: float64, every corner stored once."""

    vertices: NDArray[np.float64]
    faces: NDArray[np.int64]
    volume_m3: float = field(init=False)

    def __post_init__(self) -> None:
        a, b, c = (self.vertices[self.faces[:, i]] for i in range(3))
        object.__setattr__(self, "volume_m3", float(np.einsum("ij,ij->", a, np.cross(b, c))) / 6.0)


def revolve(profile_m: NDArray[np.float64], sides: int) -> Solid:
    """Returns the solid that a profile sweeps on its way around the z axis.

    Args:
      profile_m: (P, 2) radius and height. If both ends lie on the axis (radius 0), the profile is open and the axis closes it; if neither
        does, the last point is joined to the first, which makes a ring.
      sides: Corners of the circle.
    """
    ends_on_axis = profile_m[0, 0] == 0.0 and profile_m[-1, 0] == 0.0
    angle = 2.0 * np.pi * np.arange(sides) / sides
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    rings: list[NDArray[np.int64]] = []
    vertices: list[NDArray[np.float64]] = []
    count = 0
    for radius, height in profile_m:
        if radius == 0.0:
            vertices.append(np.array([[0.0, 0.0, height]]))
            rings.append(np.full(sides, count))
            count += 1
        else:
            vertices.append(np.column_stack([radius * circle, np.full(sides, height)]))
            rings.append(count + np.arange(sides))
            count += sides
    pairs = list(zip(rings[:-1], rings[1:], strict=True)) + ([] if ends_on_axis else [(rings[-1], rings[0])])
    return _outward(np.concatenate(vertices), np.concatenate([_band(low, high) for low, high in pairs]))


def sweep(points_m: NDArray[np.float64], radii_m: NDArray[np.float64], sides: int) -> Solid:
    """Returns a tube along a line of points, its ends closed by flat caps.

    Args:
      points_m: (P, 3) centres, in order.
      radii_m: (P,) radius at each centre.
      sides: Corners of the tube's cross-section.
    """
    steps = np.diff(points_m, axis=0)
    tangents = np.concatenate([steps[:1], steps[:-1] + steps[1:], steps[-1:]])
    tangents /= np.linalg.norm(tangents, axis=1, keepdims=True)
    across = np.eye(3)[int(np.argmin(np.abs(tangents[0])))]
    angle = 2.0 * np.pi * np.arange(sides) / sides
    vertices = []
    for point, tangent, radius in zip(points_m, tangents, radii_m, strict=True):
        across = across - tangent * (across @ tangent)  # The frame is carried along without twist.
        across /= np.linalg.norm(across)
        upward = np.cross(tangent, across)
        vertices.append(point + radius * (np.cos(angle)[:, None] * across + np.sin(angle)[:, None] * upward))
    rings = np.arange(len(points_m) * sides).reshape(-1, sides)
    bands = [_band(low, high) for low, high in zip(rings[:-1], rings[1:], strict=True)]
    return _outward(np.concatenate(vertices), np.concatenate([*bands, _fan(rings[0])[:, ::-1], _fan(rings[-1])]))


def extrude(outline_m: NDArray[np.float64], height_m: float, bevel_m: float) -> Solid:
    """Returns a prism between z = 0 and z = height_m.

    Args:
      outline_m: (P, 2) corners of a convex polygon.
      height_m: Thickness.
      bevel_m: Width of the slanted edge around both faces; 0 for a sharp one.
    """
    middle = outline_m.mean(axis=0)
    reach = float(np.linalg.norm(outline_m - middle, axis=1).max())
    inner = middle + (outline_m - middle) * (1.0 - bevel_m / reach)
    layers = [(outline_m, 0.0), (outline_m, height_m)]
    if bevel_m > 0.0:
        layers = [(inner, 0.0), (outline_m, bevel_m), (outline_m, height_m - bevel_m), (inner, height_m)]
    vertices = np.concatenate([np.column_stack([xy, np.full(len(xy), z)]) for xy, z in layers])
    rings = np.arange(len(vertices)).reshape(len(layers), -1)
    bands = [_band(low, high) for low, high in zip(rings[:-1], rings[1:], strict=True)]
    return _outward(vertices, np.concatenate([*bands, _fan(rings[0])[:, ::-1], _fan(rings[-1])]))


def stack(rings: list[NDArray[np.float64]], bottom: NDArray[np.int64], top: NDArray[np.int64]) -> Solid:
    """Returns the solid between closed lines of equally many points, one after the other.

    Args:
      rings: (N, 3) points each, in the order in which they are joined.
      bottom: (T, 3) triangles over the points of the first ring, wound as the ring is.
      top: Those over the last one.
    """
    vertices = np.concatenate(rings)
    index = np.arange(len(vertices)).reshape(len(rings), -1)
    bands = [_band(low, high) for low, high in zip(index[:-1], index[1:], strict=True)]
    return _outward(vertices, np.concatenate([*bands, bottom[:, ::-1], top + index[-1][0]]))


def chamfered_box(size_m: NDArray[np.float64], bevel_m: float) -> Solid:
    """Returns a box around the origin whose edges are cut at 45 degrees.

    Args:
      size_m: (3,) edge lengths.
      bevel_m: How far each edge is cut back; above 0.
    """
    signs = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], float)
    half = size_m / 2.0
    vertices = np.concatenate([signs * np.where(np.arange(3) == axis, half, half - bevel_m) for axis in range(3)])

    def at(axis: int, x: int, y: int, z: int) -> int:
        return axis * 8 + (x > 0) * 4 + (y > 0) * 2 + (z > 0)

    quads: list[list[int]] = []
    for axis in range(3):
        b, c = (axis + 1) % 3, (axis + 2) % 3
        for s in (-1, 1):
            loop = [(-1, -1), (1, -1), (1, 1), (-1, 1)]
            quads.append([at(axis, *_place({axis: s, b: u, c: v})) for u, v in loop])
            for t in (-1, 1):
                quads.append([at(axis, *_place({axis: s, b: t, c: v})) for v in (-1, 1)] + [at(b, *_place({axis: s, b: t, c: v})) for v in (1, -1)])
    triangles = [[at(axis, *corner) for axis in range(3)] for corner in signs.astype(int)]
    faces = np.array([q[i : i + 1] + q[j : j + 1] + q[k : k + 1] for q in quads for i, j, k in ((0, 1, 2), (0, 2, 3))] + triangles)
    a, b_, c_ = (vertices[faces[:, i]] for i in range(3))
    inward = np.einsum("ij,ij->i", np.cross(b_ - a, c_ - a), a + b_ + c_) < 0.0
    faces[inward] = faces[inward][:, ::-1]
    return Solid(vertices=vertices, faces=faces)


def half_circle(rings: int) -> NDArray[np.float64]:
    """Returns the (rings + 1, 2) profile of a unit sphere around the origin, from its south pole to its north pole."""
    angle = np.pi * np.arange(rings + 1) / rings
    profile = np.column_stack([np.sin(angle), -np.cos(angle)])
    profile[[0, -1], 0] = 0.0
    return profile


def finish(solid: Solid, pos_m: Vec3, quat_wxyz: Quat, texcoords: NDArray[np.float32] | None = None) -> Mesh:
    """Returns the solid in its pose, its sharp edges split, rounded to a micrometre and read-only.

    Args:
      solid: The mesh in the shape's own frame.
      pos_m: Of that frame in the frame of the object.
      quat_wxyz: Likewise.
      texcoords: (3 F, 2) where the corners of its faces lie in a picture.

    Raises:
      BadData: If the solid is not closed.
    """
    vertices, faces = _split_creases(solid.vertices @ to_matrix(quat_wxyz).T + np.array(pos_m), solid.faces)
    rounded = (np.round(vertices / _GRID_M) * _GRID_M + 0.0).astype(np.float32)  # + 0.0 turns -0.0 into 0.0
    mesh = Mesh(vertices=rounded, faces=faces.astype(np.int32), texcoords=texcoords)
    mesh.vertices.flags.writeable = False
    mesh.faces.flags.writeable = False
    return mesh


def _split_creases(vertices: NDArray[np.float64], faces: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Returns the mesh with one copy of a vertex for each group of faces around it that are joined by smooth edges."""
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    normals = np.cross(b - a, c - a)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-30)
    num_faces = len(faces)
    start, end = faces.reshape(-1), np.roll(faces, -1, axis=1).reshape(-1)  # corner k of the mesh starts edge k
    corner_of_end = (np.arange(num_faces)[:, None] * 3 + np.array([1, 2, 0])).reshape(-1)
    order = np.argsort(np.minimum(start, end) * len(vertices) + np.maximum(start, end), kind="stable")
    first, second = order[0::2], order[1::2]  # each edge of a closed mesh occurs twice
    closed = len(order) % 2 == 0 and np.array_equal(start[first], end[second]) and np.array_equal(end[first], start[second])
    if not closed:
        raise BadData(f"the mesh is not closed: {_open_edges(start, end)} of its edges do not lie between two faces; every edge must")
    smooth = np.einsum("ij,ij->i", normals[first // 3], normals[second // 3]) > np.cos(CREASE_RAD)
    first, second = first[smooth], second[smooth]
    left = np.concatenate([first, corner_of_end[first]])
    right = np.concatenate([corner_of_end[second], second])
    label = np.arange(3 * num_faces)
    while True:
        lower = np.minimum(label[left], label[right])
        before = label.copy()
        np.minimum.at(label, left, lower)
        np.minimum.at(label, right, lower)
        if np.array_equal(before, label):
            break
    kept, new_index = np.unique(label, return_inverse=True)
    return vertices[start[kept]], new_index.reshape(-1, 3)


def _open_edges(start: NDArray[np.int64], end: NDArray[np.int64]) -> int:
    """Returns how many directed edges have no partner that runs the other way."""
    edges = list(zip(start.tolist(), end.tolist(), strict=True))
    known = set(edges)
    return sum((b, a) not in known for a, b in edges) or len(edges) - len(known)


def _place(values: dict[int, int]) -> tuple[int, int, int]:
    return values[0], values[1], values[2]


def _band(low: NDArray[Any], high: NDArray[Any]) -> NDArray[np.int64]:
    """Returns the triangles between two rings of indices; a ring that is one point repeated makes a fan."""
    low_next, high_next = np.roll(low, -1), np.roll(high, -1)
    below = np.stack([low, low_next, high_next], axis=1)
    above = np.stack([low, high_next, high], axis=1)
    faces = np.concatenate([below[low != low_next], above[high != high_next]])
    return faces.astype(np.int64)


def _fan(ring: NDArray[Any]) -> NDArray[np.int64]:
    """Returns the triangles of a convex polygon, counter-clockwise if the ring is."""
    return np.array([[ring[0], ring[i], ring[i + 1]] for i in range(1, len(ring) - 1)], np.int64)


def _outward(vertices: NDArray[np.float64], faces: NDArray[np.int64]) -> Solid:
    solid = Solid(vertices=vertices, faces=faces)
    return solid if solid.volume_m3 > 0.0 else Solid(vertices=vertices, faces=faces[:, ::-1].copy())
