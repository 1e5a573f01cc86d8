"""The look of the CMU humanoid: a mannequin in work clothes on its stand, lofted from the sections of assets/robots/cmu_humanoid/look.toml."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vlagym import assets
from vlagym.envs.bodies.cmu_model import ROOT, UPRIGHT_WXYZ
from vlagym.envs.errors import BadData, unknown_name
from vlagym.envs.frames import to_matrix
from vlagym.envs.meshes import TriangleMesh
from vlagym.envs.types import Rgba, Vec3, from_plain

_AROUND = 16  # corners of a section
_CAP = (0.50, 0.87)  # radius of the rings that round an end, as shares of its last section's
_SLENDER_M = 0.02  # thinner parts have half as many corners

Section = tuple[float, float, float, float, float]


@dataclass(frozen=True, kw_only=True)
class Part:
    """A tube along an axis of the frame of its link."""

    link: str
    colour: str
    sections: tuple[Section, ...]
    """(along, half width, half depth, middle across, middle deep) in m, in order along the axis."""
    axis: Literal["x", "y"] = "y"
    both: bool = False
    """Whether the same link has its mirror image too."""


@dataclass(frozen=True, kw_only=True)
class Stand:
    """A primitive of the stand, in the frame of the pelvis."""

    type: Literal["box", "cylinder", "ellipsoid", "sphere"]
    colour: str
    pos_m: Vec3
    size_m: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Look:
    """All that is seen."""

    colours: Mapping[str, Rgba]
    part: tuple[Part, ...]
    stand: tuple[Stand, ...]


def add_look(bodies: Mapping[str, Any], spec: Any, look: str) -> None:
    """Adds what is seen of the links, and nothing that is touched.

    Args:
      bodies: Bodies of the links by name.
      spec: `mujoco.MjSpec`
      look: Begins the names of what is added.

    Raises:
      BadData: If look.toml is wrong.
      UnknownName: If it names a colour or link that does not exist.
    """
    import mujoco

    wanted = _look()
    seen: dict[str, Any] = dict(mass=0, contype=0, conaffinity=0, group=2)
    for index, (link, colour, mesh) in enumerate(_meshes()):
        if link not in bodies:
            raise unknown_name("link of the CMU humanoid", link, bodies)
        name = f"{look}_{index}_{link}"
        asset = spec.add_mesh(name=name, uservert=mesh.vertices.ravel(), userface=mesh.faces.ravel())
        asset.inertia = mujoco.mjtMeshInertia.mjMESH_INERTIA_SHELL
        bodies[link].add_geom(name=name, type=mujoco.mjtGeom.mjGEOM_MESH, meshname=name, rgba=_rgba(wanted, colour), **seen)
    for index, piece in enumerate(wanted.stand):
        kind = getattr(mujoco.mjtGeom, f"mjGEOM_{piece.type.upper()}")
        size = (*piece.size_m, 0.0, 0.0)[:3]
        bodies[ROOT].add_geom(name=f"{look}_stand_{index}", type=kind, size=size, pos=piece.pos_m, rgba=_rgba(wanted, piece.colour), **seen)


def _rgba(look: Look, colour: str) -> Rgba:
    if colour not in look.colours:
        raise unknown_name("colour", colour, look.colours, "The colours stand in assets/robots/cmu_humanoid/look.toml.")
    return look.colours[colour]


@functools.cache
def _look() -> Look:
    where = "robots/cmu_humanoid/look.toml"
    try:
        data = tomllib.loads(assets.path(where).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadData(f"{where} cannot be read: {error}") from error
    return from_plain(Look, data, where)


@functools.cache
def _meshes() -> tuple[tuple[str, str, TriangleMesh], ...]:
    """Returns (link, colour, mesh) of what is lofted, both sides; one mesh for each link and colour."""
    groups: dict[tuple[str, str], list[TriangleMesh]] = {}
    for part in _look().part:
        mesh = loft(part.sections, part.axis)
        if part.link == ROOT:
            mesh = TriangleMesh(vertices=(mesh.vertices @ to_matrix(UPRIGHT_WXYZ).T).astype(np.float32), faces=mesh.faces)
        groups.setdefault((part.link, part.colour), []).append(mesh)
        if part.both:
            groups[part.link, part.colour].append(_mirrored(mesh))
        elif _is_left(part.link):
            groups.setdefault((f"r{part.link[1:]}", part.colour), []).append(_mirrored(mesh))
    return tuple((link, colour, _joined(meshes)) for (link, colour), meshes in groups.items())


def _is_left(link: str) -> bool:
    return link.startswith("l") and not link.startswith("lower")


def loft(sections: Sequence[Section], axis: Literal["x", "y"]) -> TriangleMesh:
    """Returns a closed tube through ellipses, its ends rounded.

    Args:
      sections: Two or more (along, half width, half depth, middle across, middle deep) in m, in order along the axis.
      axis: y: width along x, depth along z. x: width along y, depth along z.

    Raises:
      BadData: If there are fewer than two sections, or they are not in order.
    """
    along = np.array([s[0] for s in sections])
    if len(sections) < 2 or not (np.all(np.diff(along) > 0) or np.all(np.diff(along) < 0)):
        raise BadData(f"a tube wants two or more sections in order along its axis; these lie at {along.tolist()}")
    rings = np.array(sections, np.float64)
    if along[0] > along[-1]:
        rings = rings[::-1]
    rings = np.concatenate([_cap(rings[0], -1.0)[::-1], rings, _cap(rings[-1], 1.0)])
    corners = _AROUND if rings[:, 1:3].max() > _SLENDER_M else _AROUND // 2
    angle = 2 * np.pi * np.arange(corners) / corners
    wide = rings[:, 3, None] + rings[:, 1, None] * np.cos(angle)
    deep = rings[:, 4, None] + rings[:, 2, None] * np.sin(angle)
    length = np.broadcast_to(rings[:, 0, None], wide.shape)
    columns = (wide, length, deep) if axis == "y" else (length, wide, deep)
    tips = np.array([_tip(rings[0], -1.0, axis), _tip(rings[-1], 1.0, axis)])
    vertices = np.concatenate([np.stack(columns, axis=-1).reshape(-1, 3), tips])
    faces = _faces(len(rings), corners)
    # The angle runs from width to depth: about -y, but about +x.
    return TriangleMesh(vertices=vertices.astype(np.float32), faces=faces if axis == "x" else faces[:, ::-1].copy())


def _cap(ring: NDArray[np.float64], sign: float) -> NDArray[np.float64]:
    """Returns rings that close an end like an ellipsoid half as long as it is thick, the widest first."""
    shares = np.array(_CAP[::-1])
    reach = 0.5 * min(ring[1], ring[2])
    caps = np.repeat(ring[None], len(shares), axis=0)
    caps[:, 0] += sign * reach * np.sqrt(1.0 - shares**2)
    caps[:, 1:3] *= shares[:, None]
    return caps


def _tip(ring: NDArray[np.float64], sign: float, axis: Literal["x", "y"]) -> tuple[float, float, float]:
    """Returns the point beyond the last ring of a cap, whose share is the first of _CAP."""
    reach = 0.5 * min(ring[1], ring[2]) / _CAP[0] * (1.0 - float(np.sqrt(1.0 - _CAP[0] ** 2)))
    end = float(ring[0]) + sign * reach
    return (float(ring[3]), end, float(ring[4])) if axis == "y" else (end, float(ring[3]), float(ring[4]))


def _faces(rings: int, corners: int) -> NDArray[np.int32]:
    """Returns (F, 3) triangles of rings of corners and two tips behind them, seen from outside where the rings turn about the axis."""
    here = np.arange(corners)
    beside = (here + 1) % corners
    faces = []
    for ring in range(rings - 1):
        low, high = ring * corners, (ring + 1) * corners
        faces += [np.stack([low + here, low + beside, high + beside], 1), np.stack([low + here, high + beside, high + here], 1)]
    first, last, end = rings * corners, rings * corners + 1, (rings - 1) * corners
    faces += [np.stack([np.full(corners, first), beside, here], 1), np.stack([np.full(corners, last), end + here, end + beside], 1)]
    return np.concatenate(faces).astype(np.int32)


def _mirrored(mesh: TriangleMesh) -> TriangleMesh:
    vertices = mesh.vertices * np.array([-1.0, 1.0, 1.0], np.float32)
    return TriangleMesh(vertices=vertices, faces=mesh.faces[:, ::-1].copy())


def _joined(meshes: Sequence[TriangleMesh]) -> TriangleMesh:
    offsets = np.cumsum([0, *(len(m.vertices) for m in meshes)])
    return TriangleMesh(
        vertices=np.concatenate([m.vertices for m in meshes]),
        faces=np.concatenate([m.faces + offset for m, offset in zip(meshes, offsets, strict=False)]).astype(np.int32),
    )
