"""Published meshes with hundreds of thousands of faces, most of them screws, threads and insides, become few that look the same from outside.

Quadric edge collapse (Garland and Heckbert 1997) over all meshes of a robot at once, so that faces go where they are needed; many edges a round,
which numpy does in seconds. It asks for no manifold: meshes made of touching shells stall usual simplifiers (the G1: at 64k of 893k faces).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.meshes import TriangleMesh

Array = NDArray[np.float64]
Faces = NDArray[np.int64]
Mask = NDArray[np.bool_]

_WELD_M = 0.0003  # vertices this near to each other are one
_CRUMB_M = 0.004  # pieces smaller than this are left out
_SMALL_M = 0.03  # pieces smaller than this count like one of that size
_PITCH_M = 0.0012  # of the pictures that tell what is seen
_FACING_COS = 0.6  # a face is looked for in the pictures that it faces so much; each faces one by 0.88
_NEAR_M = 0.002
_DEPTH_M = 0.0025  # so far behind the front is still seen: the neighbours of a pixel on a face that leans so much lie so much higher
_CREASE_COS = float(np.cos(np.deg2rad(40.0)))  # edges that bend by more are sharp
_SHARE = 0.35  # of the edges, the cheapest ones, may collapse in a round
_FLIP_COS = 0.2  # no face turns further than this in a round
_LENGTH_PRICE = 1e-3  # of an edge's length counts as distance: flat places keep round triangles
_MAX_ROUNDS = 200


class _Mesh(NamedTuple):
    vertices: Array
    faces: Faces


def reduced_together(meshes: list[TriangleMesh], faces: int) -> list[TriangleMesh]:
    """Returns meshes that look as these do from outside and have `faces` triangles together, a few more where no more edges can go.

    An error counts the more, the smaller the piece: fingers are seen from nearby, and letters are read. Some ten seconds for a million triangles.
    """
    parts = [_without_crumbs(_welded(_outside(_Mesh(m.vertices.astype(np.float64), m.faces.astype(np.int64))))) for m in meshes]
    offsets = np.cumsum([0, *(len(p.vertices) for p in parts)])
    vertices = np.concatenate([p.vertices for p in parts])
    triangles = np.concatenate([p.faces + offset for p, offset in zip(parts, offsets[:-1], strict=True)])
    weights = np.concatenate([1.0 / np.maximum(_piece_sizes(p), _SMALL_M) for p in parts])
    vertices, triangles = _collapsed(vertices, triangles, weights, faces)
    part_of_face = np.searchsorted(offsets, triangles[:, 0], side="right") - 1
    return [_finished(_Mesh(vertices, triangles[part_of_face == i])) for i in range(len(parts))]


def _outside(mesh: _Mesh) -> _Mesh:
    """Returns the faces that one of 26 depth pictures from all around, of points strewn over the faces, has in front."""
    a, b, c = (mesh.vertices[mesh.faces[:, i]] for i in range(3))
    normals = np.cross(b - a, c - a)
    areas = np.linalg.norm(normals, axis=1) / 2.0
    normals /= np.maximum(2.0 * areas, 1e-30)[:, None]
    counts = np.maximum(1, np.ceil(2.0 * areas / _PITCH_M**2)).astype(np.int64)
    owner = np.repeat(np.arange(len(mesh.faces)), counts)
    number = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
    u, w = (0.5 + number * 0.7548776662) % 1.0, (0.5 + number * 0.5698402910) % 1.0  # an even spread: powers of the plastic number
    over = u + w > 1.0
    u[over], w[over] = 1.0 - u[over], 1.0 - w[over]
    points = a[owner] + u[:, None] * (b - a)[owner] + w[:, None] * (c - a)[owner]
    seen = np.zeros(len(mesh.faces), np.bool_)
    for view in _directions():
        right = np.cross(view, (0.3, 0.5, 0.8))
        right /= np.linalg.norm(right)
        pixel = np.floor(np.column_stack([points @ right, points @ np.cross(view, right)]) / _PITCH_M).astype(np.int64)
        row, column = (pixel - pixel.min(axis=0) + 1).T
        height = points @ view
        front = np.full((row.max() + 2, column.max() + 2), -np.inf)
        np.maximum.at(front, (row, column), height)
        for axis in (0, 1):  # the highest around, as some pixels have no point
            front = np.maximum(np.maximum(front, np.roll(front, 1, axis)), np.roll(front, -1, axis))
        seen[owner[(height >= front[row, column] - _DEPTH_M) & (normals @ view > _FACING_COS)[owner]]] = True
    # Slim faces on an edge escape the pictures, and leave a crack: what lies near to what is seen stays too.
    cell = np.floor(points / _NEAR_M).astype(np.int64)
    cell -= cell.min(axis=0) - 1
    is_near = np.zeros(cell.max(axis=0) + 2, np.bool_)
    is_near[tuple(cell[seen[owner]].T)] = True
    for axis in range(3):
        is_near |= np.roll(is_near, 1, axis) | np.roll(is_near, -1, axis)
    seen[owner[is_near[tuple(cell.T)]]] = True
    return _Mesh(mesh.vertices, mesh.faces[seen])


def _directions() -> Array:
    """Returns the 26 unit vectors to the neighbours of a cell."""
    steps = (-1.0, 0.0, 1.0)
    around = np.array([(x, y, z) for x in steps for y in steps for z in steps if (x, y, z) != (0.0, 0.0, 0.0)])
    unit: Array = around / np.linalg.norm(around, axis=1, keepdims=True)
    return unit


def _welded(mesh: _Mesh) -> _Mesh:
    """Returns the mesh with the vertices of each small cell made one, without faces that this closes up and without unused vertices."""
    mesh = _compact(mesh)
    cells, member = np.unique(np.round(mesh.vertices / _WELD_M).astype(np.int64), axis=0, return_inverse=True)
    member = member.reshape(-1)
    count = np.bincount(member, minlength=len(cells))
    middle = np.stack([np.bincount(member, weights=mesh.vertices[:, i], minlength=len(cells)) / count for i in range(3)], axis=1)
    return _compact(_Mesh(middle, _proper(member[mesh.faces])))


def _without_crumbs(mesh: _Mesh) -> _Mesh:
    """Returns the mesh without connected pieces that are smaller than a crumb."""
    return _compact(_Mesh(mesh.vertices, mesh.faces[_piece_sizes(mesh)[mesh.faces[:, 0]] >= _CRUMB_M]))


def _piece_sizes(mesh: _Mesh) -> Array:
    """Returns for each vertex the diagonal of the box around the connected piece that it belongs to, (V,) in m."""
    label = np.arange(len(mesh.vertices))
    while True:
        lowest = label[mesh.faces].min(axis=1)
        before = label.copy()
        for i in range(3):
            np.minimum.at(label, mesh.faces[:, i], lowest)
        label = label[label]
        if np.array_equal(before, label):
            break
    low, high = np.full((len(label), 3), np.inf), np.full((len(label), 3), -np.inf)
    np.minimum.at(low, label, mesh.vertices)
    np.maximum.at(high, label, mesh.vertices)
    size: Array = np.linalg.norm(high - low, axis=1)[label]
    return size


def _collapsed(vertices: Array, faces: Faces, weights: Array, target: int) -> tuple[Array, Faces]:
    """Returns the vertices, some of them moved, and the faces that are left; a vertex keeps its index.

    Args:
      vertices: (V, 3)
      faces: (F, 3)
      weights: (V,) by which the errors around a vertex count.
      target: How many faces are to be left.
    """
    vertices = vertices.copy()
    quadrics = _quadrics(vertices, faces) * weights[:, None]
    banned = np.zeros(0, np.int64)
    for _ in range(_MAX_ROUNDS):
        if len(faces) <= target:
            break
        edges = _edges(faces)[0]
        key = edges[:, 0] * len(vertices) + edges[:, 1]
        allowed = ~np.isin(key, banned, assume_unique=True)
        edges, key = edges[allowed], key[allowed]
        if len(edges) == 0:
            break
        price, place = _prices(vertices, quadrics, edges)
        wanted = min(max(1, int(_SHARE * len(edges))), len(edges))
        near = np.argpartition(price, wanted - 1)[:wanted]
        order = near[np.argsort(price[near], kind="stable")]
        first = np.full(len(vertices), len(order), np.int64)  # the cheapest edge at each vertex, by rank
        rank = np.arange(len(order))
        for i in range(2):
            np.minimum.at(first, edges[order, i], rank)
        chosen = order[(first[edges[order, 0]] == rank) & (first[edges[order, 1]] == rank)]
        chosen = chosen[: max(1, (len(faces) - target + 1) // 2)]
        flipped = _flips(vertices, faces, edges[chosen], place[chosen])
        banned = np.unique(np.concatenate([banned, key[chosen[flipped]]])) if np.any(~flipped) else np.unique(np.concatenate([banned, key[chosen]]))
        chosen = chosen[~flipped]
        keep, gone = edges[chosen].T
        vertices[keep] = place[chosen]
        quadrics[keep] += quadrics[gone]
        onto = np.arange(len(vertices))
        onto[gone] = keep
        faces = _proper(onto[faces])
    return vertices, faces


def _quadrics(vertices: Array, faces: Faces) -> Array:
    """Returns the (V, 10) sums, over the planes around a vertex, of area times squared distance: xx, xy, xz, yy, yz, zz, x, y, z, 1."""
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    normal = np.cross(b - a, c - a)
    double = np.linalg.norm(normal, axis=1)
    normal /= np.maximum(double, 1e-30)[:, None]
    total = np.zeros((len(vertices), 10))
    _add_planes(total, normal, a, double / 2.0, [faces[:, i] for i in range(3)])
    edges, count, owner = _edges(faces)
    rim = np.flatnonzero(count == 1)
    start, end = vertices[edges[rim, 0]], vertices[edges[rim, 1]]
    across = np.cross(end - start, normal[owner[rim]])
    length = np.linalg.norm(across, axis=1)
    _add_planes(total, across / np.maximum(length, 1e-30)[:, None], start, length**2, [edges[rim, 0], edges[rim, 1]])
    return total


def _add_planes(total: Array, normal: Array, point: Array, weight: Array, corners: list[NDArray[np.int64]]) -> None:
    x, y, z = normal.T
    d = -np.einsum("ij,ij->i", normal, point)
    terms = np.column_stack([x * x, x * y, x * z, y * y, y * z, z * z, x * d, y * d, z * d, d * d]) * weight[:, None]
    for corner in corners:
        for i in range(10):
            total[:, i] += np.bincount(corner, weights=terms[:, i], minlength=len(total))


def _edges(faces: Faces) -> tuple[Faces, NDArray[np.int64], NDArray[np.int64]]:
    """Returns the (E, 2) edges, lower index first; how many faces lie at each; and one of those."""
    pairs = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    size = int(pairs.max()) + 1
    key, first, count = np.unique(pairs[:, 0] * size + pairs[:, 1], return_index=True, return_counts=True)
    return np.column_stack([key // size, key % size]), count, first % len(faces)


def _prices(vertices: Array, quadrics: Array, edges: Faces) -> tuple[Array, Array]:
    """Returns what it costs to make each edge one vertex, and the best place for that, (E, 3)."""
    start, end = vertices[edges[:, 0]], vertices[edges[:, 1]]
    middle, length2 = (start + end) / 2.0, np.einsum("ij,ij->i", end - start, end - start)
    q = quadrics[edges[:, 0]] + quadrics[edges[:, 1]]
    xx, xy, xz, yy, yz, zz = q[:, :6].T
    trace = xx + yy + zz
    soft = 1e-3 * trace + 1e-30  # where planes do not fix the place, it stays near the middle
    gradient = np.stack([
        xx * middle[:, 0] + xy * middle[:, 1] + xz * middle[:, 2] + q[:, 6],
        xy * middle[:, 0] + yy * middle[:, 1] + yz * middle[:, 2] + q[:, 7],
        xz * middle[:, 0] + yz * middle[:, 1] + zz * middle[:, 2] + q[:, 8],
    ])  # fmt: skip
    a, b, c = xx + soft, yy + soft, zz + soft
    inverse = np.stack([b * c - yz * yz, xz * yz - xy * c, xy * yz - xz * b, a * c - xz * xz, xy * xz - a * yz, a * b - xy * xy])
    inverse /= a * inverse[0] + xy * inverse[1] + xz * inverse[2]
    step = -np.stack([
        inverse[0] * gradient[0] + inverse[1] * gradient[1] + inverse[2] * gradient[2],
        inverse[1] * gradient[0] + inverse[3] * gradient[1] + inverse[4] * gradient[2],
        inverse[2] * gradient[0] + inverse[4] * gradient[1] + inverse[5] * gradient[2],
    ], axis=1)  # fmt: skip
    step[np.einsum("ij,ij->i", step, step) > length2] = 0.0
    place = middle + step
    x, y, z = place.T
    error = xx * x * x + yy * y * y + zz * z * z + q[:, 9]
    error += 2.0 * (xy * x * y + xz * x * z + yz * y * z + q[:, 6] * x + q[:, 7] * y + q[:, 8] * z)
    return np.maximum(error, 0.0) + _LENGTH_PRICE**2 * trace * length2, place


def _flips(vertices: Array, faces: Faces, edges: Faces, place: Array) -> Mask:
    """Tells for each edge whether a face around it would turn over if all of them became one vertex each."""
    moved = vertices.copy()
    moved[edges[:, 0]] = moved[edges[:, 1]] = place
    edge_at = np.full(len(vertices), -1, np.int64)
    edge_at[edges[:, 0]] = edge_at[edges[:, 1]] = np.arange(len(edges))
    near = edge_at[faces]
    stays = (near[:, 0] != near[:, 1]) | (near[:, 0] < 0)
    stays &= ((near[:, 1] != near[:, 2]) | (near[:, 1] < 0)) & ((near[:, 2] != near[:, 0]) | (near[:, 2] < 0))
    around = np.flatnonzero(stays & np.any(near >= 0, axis=1))
    old, new = (np.cross(p[faces[around, 1]] - p[faces[around, 0]], p[faces[around, 2]] - p[faces[around, 0]]) for p in (vertices, moved))
    product = np.einsum("ij,ij->i", old, new)
    bad = product < _FLIP_COS * np.linalg.norm(old, axis=1) * np.linalg.norm(new, axis=1)
    culprits = near[around[bad]].reshape(-1)
    result = np.zeros(len(edges), np.bool_)
    result[culprits[culprits >= 0]] = True
    return result


def _proper(faces: Faces) -> Faces:
    """Returns the faces with three different corners, each once."""
    faces = faces[(faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])]
    ordered = np.sort(faces, axis=1)
    size = int(ordered.max(initial=0)) + 1
    first = np.unique((ordered[:, 0] * size + ordered[:, 1]) * size + ordered[:, 2], return_index=True)[1]
    once: Faces = faces[np.sort(first)]
    return once


def _compact(mesh: _Mesh) -> _Mesh:
    used, faces = np.unique(mesh.faces, return_inverse=True)
    return _Mesh(mesh.vertices[used], faces.reshape(-1, 3))


def _finished(mesh: _Mesh) -> TriangleMesh:
    """Returns the mesh with one copy of a vertex for each group of faces around it that are joined by edges which are not sharp."""
    vertices, faces = _compact(mesh)
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    normals = np.cross(b - a, c - a)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-30)
    start, end = faces.reshape(-1), np.roll(faces, -1, axis=1).reshape(-1)  # corner k of the mesh starts edge k
    next_corner = (np.arange(len(faces))[:, None] * 3 + np.array([1, 2, 0])).reshape(-1)
    key = np.minimum(start, end) * len(vertices) + np.maximum(start, end)
    order = np.argsort(key, kind="stable")
    one, other = order[:-1], order[1:]
    smooth = (key[one] == key[other]) & (start[one] == end[other])
    smooth &= np.einsum("ij,ij->i", normals[one // 3], normals[other // 3]) > _CREASE_COS
    one, other = one[smooth], other[smooth]
    left, right = np.concatenate([one, next_corner[one]]), np.concatenate([next_corner[other], other])
    label = np.arange(len(start))
    while True:
        lower = np.minimum(label[left], label[right])
        before = label.copy()
        np.minimum.at(label, left, lower)
        np.minimum.at(label, right, lower)
        if np.array_equal(before, label):
            break
    kept, corners = np.unique(label, return_inverse=True)
    return TriangleMesh(vertices=vertices[start[kept]].round(6).astype(np.float32), faces=corners.reshape(-1, 3).astype(np.int32))
