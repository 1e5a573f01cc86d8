"""The published look of a robot: visual meshes of MuJoCo Menagerie, which are read from where they are installed and never copied."""

from __future__ import annotations

import functools
import hashlib
import logging
import os
import tempfile
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import numpy as np

from vlagym.envs.bodies.menagerie_meshes import reduced_together
from vlagym.envs.errors import BadData, MissingPackage
from vlagym.envs.frames import to_matrix
from vlagym.envs.meshes import TriangleMesh, cache_folder, read
from vlagym.envs.types import Quat, Rgba, Vec3

_LOG = logging.getLogger(__name__)
_VERSION = 4  # of the reduction, for the cache


class MenagerieModel(NamedTuple):
    """A model of MuJoCo Menagerie."""

    folder: str
    """unitree_g1"""
    file: str
    """g1_with_hands.xml"""


class VisualGeom(NamedTuple):
    """What is seen of a link."""

    link: str
    rgba: Rgba
    file: Path
    pos_link: Vec3
    quat_link_wxyz: Quat


class LookPart(NamedTuple):
    """A mesh that a link wears."""

    link: str
    finish: str | Rgba
    """Name of a material, or a colour."""
    mesh: TriangleMesh


def menagerie_folder(model: MenagerieModel) -> Path:
    """Returns where a model lies: below MENAGERIE_ROOT, or where the package `mujoco-menagerie` keeps it (downloaded on first use).

    Raises:
      MissingPackage: If it is not there and cannot be had.
    """
    checkout = "set MENAGERIE_ROOT to a checkout of MuJoCo Menagerie"
    root = os.environ.get("MENAGERIE_ROOT")
    if root:
        folder, place = Path(root) / model.folder, f"below MENAGERIE_ROOT ({root})"
    else:
        try:
            import mujoco_menagerie
        except ImportError as missing:
            wanted = f"the look 'menagerie' needs {model.folder} of MuJoCo Menagerie"
            raise MissingPackage(f"{wanted}: pip install mujoco-menagerie, or {checkout}") from missing
        try:
            folder = mujoco_menagerie.get(model.folder).path()
        except mujoco_menagerie.MenagerieError as error:
            found = " ".join(str(error).split())
            raise MissingPackage(f"mujoco-menagerie could not provide {model.folder} ({found}): try again with a network, or {checkout}") from error
        place = "in what mujoco-menagerie provides"
    if not (folder / model.file).exists():
        raise MissingPackage(f"{model.folder}/{model.file} is not {place}: pip install mujoco-menagerie and unset MENAGERIE_ROOT, or {checkout}")
    return folder


def visual_geoms(file: Path) -> list[VisualGeom]:
    """Returns the visual geoms of a model in the order of its file.

    Args:
      file: MJCF whose visual geoms are of the class "visual".

    Raises:
      BadData: If one of them has no mesh or no material that the file knows.
    """
    root = ElementTree.parse(file).getroot()
    compiler = root.find("compiler")
    meshes = file.parent / (compiler.get("meshdir", "") if compiler is not None else "")
    colours = {m.get("name"): _numbers(m.get("rgba") or "1 1 1 1") for m in root.iter("material") if m.get("name")}
    files = {m.get("name") or Path(m.get("file", "")).stem: meshes / m.get("file", "") for m in root.iter("mesh") if m.get("file")}
    usual = next((g.get("material") for d in root.iter("default") if d.get("class") == "visual" for g in d.findall("geom")), None)
    found = []
    for body in root.iter("body"):
        for geom in body.findall("geom"):
            if geom.get("class") != "visual":
                continue
            material, mesh = geom.get("material") or usual, geom.get("mesh", "")
            if material not in colours or mesh not in files:
                raise BadData(f"{file.name}: a visual geom of {body.get('name')!r} has mesh {mesh!r} and material {material!r}, and one is not there")
            pos, quat = _numbers(geom.get("pos") or "0 0 0"), _numbers(geom.get("quat") or "1 0 0 0")
            found.append(VisualGeom(body.get("name", ""), colours[material], files[mesh], pos, quat))
    return found


@functools.cache
def menagerie_parts(model: MenagerieModel, faces: int) -> tuple[LookPart, ...]:
    """Returns what the links of a model wear, reduced to about `faces` triangles in all: one mesh for each link and colour.

    Reduced once on this machine, which takes some ten seconds for a humanoid, then read from the cache.

    Raises:
      MissingPackage: If the model is not there.
    """
    geoms = visual_geoms(menagerie_folder(model) / model.file)
    worn: dict[tuple[str, Rgba], list[TriangleMesh]] = {}
    for geom, mesh in zip(geoms, _cached([geom.file for geom in geoms], faces), strict=True):
        worn.setdefault((geom.link, geom.rgba), []).append(_placed(mesh, geom))
    return tuple(LookPart(link, rgba, _joined(meshes)) for (link, rgba), meshes in worn.items())


def add_parts(bodies: Mapping[str, Any], spec: Any, look: str, parts: Iterable[LookPart]) -> None:
    """Hangs meshes on links; they weigh nothing and touch nothing.

    Args:
      bodies: Link name -> body of a `mujoco.MjSpec`.
      spec: That `mujoco.MjSpec`; it has the materials that the parts name.
      look: Begins the names of what is added.
      parts: What to add.
    """
    import mujoco

    for index, (link, finish, mesh) in enumerate(parts):
        name = f"{look}_{index}_{link}"
        asset = spec.add_mesh(name=name, uservert=mesh.vertices.ravel(), userface=mesh.faces.ravel())
        asset.inertia = mujoco.mjtMeshInertia.mjMESH_INERTIA_SHELL  # shells are not watertight; they weigh nothing anyway
        geom = bodies[link].add_geom(
            name=name, type=mujoco.mjtGeom.mjGEOM_MESH, meshname=name, mass=0, contype=0, conaffinity=0, group=2
        )
        if isinstance(finish, str):
            geom.material = finish
        else:
            geom.rgba = finish


def _cached(files: list[Path], faces: int) -> list[TriangleMesh]:
    """Returns the meshes of some files, reduced together to about `faces` triangles."""
    key = hashlib.sha256(f"{faces} {_VERSION}".encode())
    for file in files:
        key.update(file.read_bytes())
    store = cache_folder() / "meshes" / f"{key.hexdigest()[:32]}.npz"
    if store.exists():
        try:
            with np.load(store, allow_pickle=False) as data:
                return [TriangleMesh(vertices=data[f"vertices_{i}"], faces=data[f"faces_{i}"]) for i in range(len(files))]
        except (OSError, ValueError, KeyError, zipfile.BadZipFile):
            store.unlink(missing_ok=True)  # cut short by a full disk or a kill: made again
    _LOG.info("reducing %d meshes to %d faces, once on this machine", len(files), faces)
    meshes = reduced_together([read(file) for file in files], faces)
    store.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=store.parent, suffix=".npz")
    arrays = {f"{name}_{i}": getattr(mesh, name) for i, mesh in enumerate(meshes) for name in ("vertices", "faces")}
    with os.fdopen(handle, "wb") as out:
        np.savez(out, **arrays)
    os.replace(temporary, store)
    return meshes


def _placed(mesh: TriangleMesh, geom: VisualGeom) -> TriangleMesh:
    placed = mesh.vertices @ to_matrix(geom.quat_link_wxyz).T + np.array(geom.pos_link)
    return TriangleMesh(vertices=placed.astype(np.float32), faces=mesh.faces)


def _joined(meshes: list[TriangleMesh]) -> TriangleMesh:
    offsets = np.cumsum([0, *(len(m.vertices) for m in meshes)])
    return TriangleMesh(
        vertices=np.concatenate([m.vertices for m in meshes]),
        faces=np.concatenate([m.faces + offset for m, offset in zip(meshes, offsets[:-1], strict=True)]).astype(np.int32),
    )


def _numbers(text: str) -> Any:
    return tuple(float(v) for v in text.split())
