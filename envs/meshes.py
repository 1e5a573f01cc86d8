"""Robot meshes: read from installed packages, decimated once, cached in the user's cache folder."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import importlib.util
import logging
import os
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.errors import BadData, MissingPackage


@dataclass(frozen=True, kw_only=True)
class TriangleMesh:
    """Triangles in m, in the frame of the link that they belong to."""

    vertices: NDArray[np.float32]
    """(V, 3)"""
    faces: NDArray[np.int32]
    """(F, 3) indices, counter-clockwise from outside."""


def cache_folder() -> Path:
    """Returns the folder for what is computed once on this machine: $XDG_CACHE_HOME/vlagym or ~/.cache/vlagym."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(base) / "vlagym"


def package_folder(package: str) -> Path:
    """Returns the folder of an installed package without importing it.

    Raises:
      MissingPackage: If it is not installed.
    """
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise MissingPackage(f"the robot's meshes lie in the package {package!r}, which is not installed: pip install {package.replace('_', '-')}")
    return Path(next(iter(found.submodule_search_locations)))


def decimated(paths: tuple[Path, ...], faces: int) -> TriangleMesh:
    """Returns the meshes of some files, joined and reduced to about `faces` triangles. Computed once, then read from the cache.

    Args:
      paths: STL or OBJ files.
      faces: Upper bound, approximately; a mesh with fewer triangles is only welded.
    """
    return _kept(paths, f"{faces} {_version('fast-simplification')} 1", lambda: _decimate(paths, faces))


def read(path: Path) -> TriangleMesh:
    """Returns a mesh file as it is, vertices welded. Read once, then taken from the cache: no process imports trimesh for what is known."""
    return _kept((path,), f"welded {_version('trimesh')} 1", lambda: _read(path))


def _kept(paths: tuple[Path, ...], how: str, make: Callable[[], TriangleMesh]) -> TriangleMesh:
    """Returns what `make` makes of some files, from the cache where the same was made of the same bytes before.

    Args:
      paths: What it is made of.
      how: Everything else that it depends on.
      make: Called where the cache does not hold it, or holds it damaged.
    """
    key = hashlib.sha256()
    for path in paths:
        key.update(path.read_bytes())
    key.update(how.encode())
    file = cache_folder() / "meshes" / f"{key.hexdigest()[:32]}.npz"
    if file.exists():
        try:
            with np.load(file, allow_pickle=False) as data:
                return TriangleMesh(vertices=data["vertices"], faces=data["faces"])
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            file.unlink(missing_ok=True)  # cut short by a full disk or a kill: made again
    mesh = make()
    try:
        _keep(mesh, file)
    except OSError as error:  # a home that cannot be written to, a full disk: the next process works it out anew
        logging.getLogger(__name__).warning("%s was not kept in the cache: %s", ", ".join(path.name for path in paths), error)
    return mesh


def _keep(mesh: TriangleMesh, file: Path) -> None:
    """Writes a mesh so that whoever reads meanwhile finds it whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=file.parent, suffix=".npz")
    try:
        with os.fdopen(handle, "wb") as out:
            np.savez(out, vertices=mesh.vertices, faces=mesh.faces)
        os.replace(temporary, file)
    except OSError:
        Path(temporary).unlink(missing_ok=True)
        raise


def _read(path: Path) -> TriangleMesh:
    import trimesh

    loaded: Any = trimesh.load(path, force="mesh", process=True)
    if len(loaded.faces) == 0:
        raise BadData(f"{path} holds no triangles")
    return TriangleMesh(vertices=np.asarray(loaded.vertices, np.float32), faces=np.asarray(loaded.faces, np.int32))


def _decimate(paths: tuple[Path, ...], faces: int) -> TriangleMesh:
    parts = [_read(path) for path in paths]
    total = sum(len(p.faces) for p in parts)
    done = [_simplify(p, max(12, round(faces * len(p.faces) / total))) for p in parts]
    offsets = np.cumsum([0, *(len(p.vertices) for p in done)])
    return TriangleMesh(
        vertices=np.concatenate([p.vertices for p in done]).round(6).astype(np.float32),
        faces=np.concatenate([p.faces + offset for p, offset in zip(done, offsets[:-1], strict=True)]).astype(np.int32),
    )


def _simplify(mesh: TriangleMesh, faces: int) -> TriangleMesh:
    if len(mesh.faces) <= faces:
        return mesh
    import fast_simplification

    vertices, triangles = fast_simplification.simplify(mesh.vertices, mesh.faces, target_count=faces)
    return TriangleMesh(vertices=np.asarray(vertices, np.float32), faces=np.asarray(triangles, np.int32))


@functools.cache
def _version(package: str) -> str:
    return importlib.metadata.version(package)
