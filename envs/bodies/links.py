"""Robots whose links and shapes are data: files of assets/robots become bodies, joints and collision shapes of a `mujoco.MjSpec`."""

from __future__ import annotations

import dataclasses
import functools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from vlagym import assets
from vlagym.envs.errors import BadData, unknown_name
from vlagym.envs.types import Quat, Vec3, from_plain

_MIRRORED = {"left_": "right_"}


@dataclass(frozen=True, kw_only=True)
class Joint:
    """A hinge between a link and its parent, at the origin of the link's frame."""

    name: str
    axis: Vec3
    """In the frame of the link."""
    range_rad: tuple[float, float]
    torque_max_nm: float
    speed_max_rad_s: float


@dataclass(frozen=True, kw_only=True)
class Link:
    """A rigid body and the joint that moves it."""

    name: str
    parent: str = ""
    """Empty: the base."""
    pos_parent_m: Vec3 = (0.0, 0.0, 0.0)
    quat_parent_wxyz: Quat = (1.0, 0.0, 0.0, 0.0)
    mass_kg: float
    com_m: Vec3 = (0.0, 0.0, 0.0)
    inertia_quat_wxyz: Quat = (1.0, 0.0, 0.0, 0.0)
    """Frame of the principal moments, in that of the link."""
    inertia_kg_m2: Vec3
    joint: Joint | None = None
    """None: it is fixed to its parent."""


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A primitive that is touched. One of a link left_... is there for right_... too, mirrored."""

    link: str
    name: str
    type: Literal["sphere", "capsule", "cylinder", "box"]
    size_m: tuple[float, ...]
    """sphere: radius; capsule and cylinder: radius, and half length where `fromto_m` is absent; box: three half sizes."""
    pos_m: Vec3 = (0.0, 0.0, 0.0)
    quat_wxyz: Quat = (1.0, 0.0, 0.0, 0.0)
    fromto_m: tuple[float, float, float, float, float, float] | None = None
    """Ends of a capsule or cylinder."""
    touch: Literal["skin", "pad", "sole"] = "skin"
    """pad: grips. sole: stands on the floor. skin: all else."""


@dataclass(frozen=True, kw_only=True)
class Body:
    """A robot's links, parents first, and what they touch with."""

    links: tuple[Link, ...]
    shapes: tuple[Shape, ...]

    def link(self, name: str) -> Link:
        """Returns a link by name. Raises UnknownName."""
        for link in self.links:
            if link.name == name:
                return link
        raise unknown_name("link", name, [link.name for link in self.links])

    @functools.cached_property
    def joints(self) -> Mapping[str, Joint]:
        """All joints by name, in the order of the links."""
        return {link.joint.name: link.joint for link in self.links if link.joint is not None}


@dataclass(frozen=True, kw_only=True)
class _LinkFile:
    link: tuple[Link, ...]


@dataclass(frozen=True, kw_only=True)
class _ShapeFile:
    shape: tuple[Shape, ...]


@functools.cache
def read_body(folder: str) -> Body:
    """Reads body.toml and shapes.toml of a robot.

    Args:
      folder: Below assets/, "robots/g1".

    Raises:
      BadData: If a file cannot be read, a key is unknown, missing or wrong, a parent comes after its child, or a shape's link does not exist.
    """
    links = from_plain(_LinkFile, _toml(f"{folder}/body.toml"), f"{folder}/body.toml").link
    shapes = from_plain(_ShapeFile, _toml(f"{folder}/shapes.toml"), f"{folder}/shapes.toml").shape
    known: list[str] = []
    for link in links:
        if link.parent and link.parent not in known:
            raise BadData(f"{folder}/body.toml, parent of {link.name}: {unknown_name('link', link.parent, known, 'Parents come first.')}")
        if link.name in known:
            raise BadData(f"{folder}/body.toml: two links are called {link.name!r}")
        known.append(link.name)
    both = tuple(s for shape in shapes for s in _with_mirrored(shape))
    for shape in both:
        if shape.link not in known:
            raise BadData(f"{folder}/shapes.toml, link of {shape.name}: {unknown_name('link', shape.link, known)}")
        wanted = {"sphere": 1, "capsule": 1 if shape.fromto_m else 2, "cylinder": 1 if shape.fromto_m else 2, "box": 3}[shape.type]
        if len(shape.size_m) != wanted:
            raise BadData(f"{folder}/shapes.toml: size_m of {shape.name} has {len(shape.size_m)} entries; this {shape.type} has {wanted}")
    return Body(links=links, shapes=both)


def add_links(spec: Any, body: Body, *, armature: Mapping[str, float], damping: Mapping[str, float], friction: Mapping[str, float]) -> dict[str, Any]:
    """Adds the links and their joints to a `mujoco.MjSpec`; the base is a child of the world, without a joint.

    Args:
      spec: `mujoco.MjSpec`
      body: What to add.
      armature: kg m^2 of the rotor as the joint feels it, by name of the joint.
      damping: N m s/rad, by name of the joint.
      friction: Dry friction in N m, by name of the joint.

    Returns:
      The bodies by name.
    """
    import mujoco

    made: dict[str, Any] = {"": spec.worldbody}
    for link in body.links:
        new = made[link.parent].add_body(name=link.name, pos=link.pos_parent_m, quat=link.quat_parent_wxyz)
        new.mass, new.ipos, new.iquat, new.inertia = link.mass_kg, link.com_m, link.inertia_quat_wxyz, link.inertia_kg_m2
        new.explicitinertial = True
        if link.joint is not None:
            name = link.joint.name
            joint = new.add_joint(name=name, type=mujoco.mjtJoint.mjJNT_HINGE, axis=link.joint.axis, range=link.joint.range_rad)
            joint.limited = mujoco.mjtLimited.mjLIMITED_TRUE
            joint.armature, joint.damping, joint.frictionloss = armature[name], [damping[name], 0, 0], friction[name]
        made[link.name] = new
    del made[""]
    return made


def add_shapes(bodies: Mapping[str, Any], body: Body, touch: Mapping[str, Mapping[str, Any]]) -> None:
    """Adds what the links touch with.

    Args:
      bodies: By name, of `add_links`.
      body: Holds the shapes.
      touch: For "skin", "pad" and "sole" the contact properties of a geom: condim, friction, solref, priority.
    """
    import mujoco

    types = {
        "sphere": mujoco.mjtGeom.mjGEOM_SPHERE,
        "capsule": mujoco.mjtGeom.mjGEOM_CAPSULE,
        "cylinder": mujoco.mjtGeom.mjGEOM_CYLINDER,
        "box": mujoco.mjtGeom.mjGEOM_BOX,
    }
    for shape in body.shapes:
        size = (*shape.size_m, 0.0, 0.0)[:3]
        place: dict[str, Any] = dict(fromto=shape.fromto_m) if shape.fromto_m else dict(pos=shape.pos_m, quat=shape.quat_wxyz)
        bodies[shape.link].add_geom(name=shape.name, type=types[shape.type], size=size, mass=0, group=3, **place, **touch[shape.touch])


def _with_mirrored(shape: Shape) -> tuple[Shape, ...]:
    """Returns a shape, and of one on the left its mirror image in the plane y = 0, in which a turn keeps its y and changes the sign of x and z."""
    for begin, other in _MIRRORED.items():
        if shape.link.startswith(begin):
            x, y, z = shape.pos_m
            w, qx, qy, qz = shape.quat_wxyz
            ends = shape.fromto_m
            twin = dataclasses.replace(
                shape,
                link=other + shape.link.removeprefix(begin),
                name=other + shape.name.removeprefix(begin),
                pos_m=(x, -y, z),
                quat_wxyz=(w, -qx, qy, -qz),
                fromto_m=(ends[0], -ends[1], ends[2], ends[3], -ends[4], ends[5]) if ends else None,
            )
            return shape, twin
    return (shape,)


def _toml(relative: str) -> Mapping[str, Any]:
    try:
        return tomllib.loads(assets.path(relative).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadData(f"{relative} cannot be read: {error}") from error
