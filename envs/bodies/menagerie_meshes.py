"""Published meshes with hundreds of thousands of faces, most of them screws, threads and insides, become few that look the same from outside."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.meshes import TriangleMesh

Array = NDArray[np.float64]
Faces = NDArray[np.int64]

_CELLS_M = (0.0003, 0.0006, 0.001, 0.0015, 0.002)
"""Vertices this near to each other become one, the smallest first that lets the simplification reach what is asked for: a mesh made of many touching
shells stalls it far above (the G1: at 64k of 893k faces)."""
_TOLERANCE = 1.6  # of what is asked for, before nearby vertices are joined over a greater distance, which costs more of the shape
_PITCH_M = 0.0012  # of the pictures that tell what is seen


def reduced(mesh: TriangleMesh, faces: int) -> TriangleMesh:
    """Returns a mesh of about `faces` triangles, without what is never seen from outside; one with fewer seen triangles keeps them.

    It takes seconds for 50,000 triangles.
    """
    import fast_simplification

    vertices, triangles = mesh.vertices.astype(np.float64), mesh.faces.astype(np.int64)
    triangles = triangles[_seen_from_outside(vertices, triangles)]
    best = TriangleMesh(vertices=vertices.astype(np.float32), faces=triangles.astype(np.int32))
    for cell_m in _CELLS_M:
        points, kept = _clustered(vertices, triangles, cell_m)
        if len(kept) > faces:
            points, kept = fast_simplification.simplify(points.astype(np.float32), kept.astype(np.int32), target_count=faces, agg=7)
        if len(kept) < len(best.faces):
            best = TriangleMesh(vertices=np.asarray(points, np.float32).round(6), faces=np.asarray(kept, np.int32))
        if len(best.faces) <= _TOLERANCE * faces:
            break
    return best


def _seen_from_outside(vertices: Array, faces: Faces) -> NDArray[np.bool_]:
    """Tells for each face whether one of 26 depth pictures from all around, of points strewn over the faces, has it in front."""
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    normals = np.cross(b - a, c - a)
    areas = np.linalg.norm(normals, axis=1) / 2.0
    normals /= np.maximum(2.0 * areas, 1e-30)[:, None]
    counts = np.maximum(1, np.ceil(2.0 * areas / _PITCH_M**2)).astype(np.int64)
    owner = np.repeat(np.arange(len(faces)), counts)
    number = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
    u, w = (0.5 + number * 0.7548776662) % 1.0, (0.5 + number * 0.5698402910) % 1.0  # an even spread: the plastic number's
    over = u + w > 1.0
    u[over], w[over] = 1.0 - u[over], 1.0 - w[over]
    points = a[owner] + u[:, None] * (b - a)[owner] + w[:, None] * (c - a)[owner]
    seen = np.zeros(len(faces), np.bool_)
    for view in _directions():
        right = np.cross(view, (0.3, 0.5, 0.8))
        right /= np.linalg.norm(right)
        pixel = np.floor(np.column_stack([points @ right, points @ np.cross(view, right)]) / _PITCH_M).astype(np.int64)
        pixel -= pixel.min(axis=0)
        index = pixel[:, 0] * (pixel[:, 1].max() + 1) + pixel[:, 1]
        height = points @ view
        front = np.full(index.max() + 1, -np.inf)
        np.maximum.at(front, index, height)
        seen[owner[(height >= front[index] - _PITCH_M) & (normals @ view > 0.05)[owner]]] = True
    return seen


def _directions() -> Array:
    """Returns the 26 unit vectors to the neighbours of a cell."""
    steps = (-1.0, 0.0, 1.0)
    around = np.array([(x, y, z) for x in steps for y in steps for z in steps if (x, y, z) != (0.0, 0.0, 0.0)])
    unit: Array = around / np.linalg.norm(around, axis=1, keepdims=True)
    return unit


def _clustered(vertices: Array, faces: Faces, cell_m: float) -> tuple[Array, Faces]:
    """Returns the mesh with the vertices of each cell of a grid made one, without faces that this closes up and without unused vertices."""
    used, faces = np.unique(faces, return_inverse=True)
    vertices, faces = vertices[used], faces.reshape(-1, 3)
    cells, member = np.unique(np.round(vertices / cell_m).astype(np.int64), axis=0, return_inverse=True)
    member = member.reshape(-1)
    middle = np.stack([np.bincount(member, weights=vertices[:, i], minlength=len(cells)) for i in range(3)], axis=1)
    middle = middle / np.bincount(member, minlength=len(cells))[:, None]
    moved = member[faces]
    moved = moved[(moved[:, 0] != moved[:, 1]) & (moved[:, 1] != moved[:, 2]) & (moved[:, 2] != moved[:, 0])]
    first = np.unique(np.sort(moved, axis=1), axis=0, return_index=True)[1]
    kept, moved = np.unique(moved[np.sort(first)], return_inverse=True)
    return middle[kept], moved.reshape(-1, 3)
