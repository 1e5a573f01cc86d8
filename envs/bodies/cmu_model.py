"""The links of dm_control's CMU humanoid, read from the installed package and scaled as its position-controlled walker is."""

from __future__ import annotations

import functools
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vlagym import assets
from vlagym.envs.errors import BadData, MissingPackage
from vlagym.envs.frames import multiply, rotate
from vlagym.envs.meshes import package_folder

Numbers = tuple[float, ...]

ROOT = "pelvis"
"""What the published root is called here."""
_PUBLISHED_ROOT = "root"
UPRIGHT_WXYZ = np.array([0.5, 0.5, 0.5, 0.5])
"""Turns the published frame of the root, x to the left, y up and z ahead, into ours. Not to be changed."""


class Hinge(NamedTuple):
    """A joint of a link, in the frame of the link."""

    name: str
    pos_m: Numbers
    axis: Numbers
    range_rad: tuple[float, float]


class Shape(NamedTuple):
    """What a link touches with, in the frame of the link."""

    name: str
    kind: str
    """capsule, sphere or ellipsoid"""
    size_m: Numbers
    """As MuJoCo has it: radius and half length, or three half axes."""
    pos_m: Numbers
    quat_wxyz: Numbers


class Link(NamedTuple):
    """A body of the published model."""

    name: str
    parent: str
    """Empty for the pelvis."""
    pos_parent_m: Numbers
    quat_parent_wxyz: Numbers
    mass_kg: float
    com_m: Numbers
    inertia_quat_wxyz: Numbers
    inertia_kg_m2: Numbers
    hinges: tuple[Hinge, ...]
    shapes: tuple[Shape, ...]


@functools.cache
def source() -> dict[str, Any]:
    """Returns assets/robots/cmu_humanoid/source.toml."""
    with assets.path("robots/cmu_humanoid/source.toml").open("rb") as file:
        return tomllib.load(file)


def published_file() -> Path:
    """Returns where dm_control keeps the model.

    Raises:
      MissingPackage: If dm_control is not installed, or has no such file.
    """
    model = source()["model"]
    advice = "the model of the CMU humanoid lies in dm_control's locomotion/walkers: pip install dm_control"
    try:
        file = package_folder(model["package"]) / str(model["file"])
    except MissingPackage as missing:
        raise MissingPackage(f"dm_control is not installed, and {advice}") from missing
    if not file.exists():
        raise MissingPackage(f"{file.name} is not in this version of dm_control, and {advice}")
    return file


@functools.cache
def links() -> tuple[Link, ...]:
    """Returns the links, parents first, scaled; the frame of the pelvis has x ahead and z up.

    Raises:
      MissingPackage: If dm_control is not installed.
      BadData: If its model is not the one that this is written for.
    """
    import mujoco

    model = mujoco.MjModel.from_xml_path(str(published_file()))
    scale = source()["scale"]
    length, heavier = float(scale["length"]), float(scale["mass_kg"]) / float(model.body_mass.sum())
    found = []
    for i in range(1, model.nbody):
        body = model.body(i)
        parent = model.body(int(body.parentid[0])).name
        pos, quat, com, turn = (np.array(v) for v in (length * body.pos, body.quat, length * body.ipos, body.iquat))
        shapes = [_shape(model, g, length) for g in range(model.ngeom) if model.geom_bodyid[g] == i]
        if body.name == _PUBLISHED_ROOT:
            com, turn = rotate(UPRIGHT_WXYZ, com), multiply(UPRIGHT_WXYZ, turn)
            shapes = [_turned(shape) for shape in shapes]
        elif parent == _PUBLISHED_ROOT:
            pos, quat = rotate(UPRIGHT_WXYZ, pos), multiply(UPRIGHT_WXYZ, quat)
        hinges = [_hinge(model, j, length) for j in range(model.njnt) if model.jnt_bodyid[j] == i]
        found.append(
            Link(
                name=ROOT if body.name == _PUBLISHED_ROOT else body.name,
                parent={"world": "", _PUBLISHED_ROOT: ROOT}.get(parent, parent),
                pos_parent_m=_plain(pos),
                quat_parent_wxyz=_plain(quat),
                mass_kg=float(body.mass[0]) * heavier,
                com_m=_plain(com),
                inertia_quat_wxyz=_plain(turn),
                inertia_kg_m2=_plain(body.inertia * heavier * length**2),
                hinges=tuple(hinges),
                shapes=tuple(shapes),
            )
        )
    hinges_found = sum(len(link.hinges) for link in found)
    if not found or found[0].name != ROOT or hinges_found != 56:
        counted = f"{published_file()} has {len(found)} bodies and {hinges_found} hinges"
        raise BadData(f"{counted}; the CMU humanoid of 2020 has 31 and 56: another version?")
    return tuple(found)


def _hinge(model: Any, joint: int, length: float) -> Hinge:
    low, high = model.jnt_range[joint].tolist()
    return Hinge(model.joint(joint).name, _plain(length * model.jnt_pos[joint]), _plain(model.jnt_axis[joint]), (low, high))


def _turned(shape: Shape) -> Shape:
    """Returns a shape of the published root in the frame of our pelvis."""
    pos, quat = rotate(UPRIGHT_WXYZ, np.array(shape.pos_m)), multiply(UPRIGHT_WXYZ, np.array(shape.quat_wxyz))
    return shape._replace(pos_m=_plain(pos), quat_wxyz=_plain(quat))


def _shape(model: Any, geom: int, length: float) -> Shape:
    import mujoco

    kind = mujoco.mjtGeom(int(model.geom_type[geom])).name.removeprefix("mjGEOM_").lower()
    name = model.geom(geom).name
    return Shape(name, kind, _plain(length * model.geom_size[geom]), _plain(length * model.geom_pos[geom]), _plain(model.geom_quat[geom]))


def _plain(numbers: Any) -> Numbers:
    return tuple(float(v) for v in numbers)
