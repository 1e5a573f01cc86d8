"""Shells as data: a TOML file says which surfaces a robot's links wear and in which finish; the ones on the left are there on the right too."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vlagym import assets
from vlagym.envs.bodies.shell_surfaces import Axis, Surface, finished, hoop, joined, loft, mirrored, moved, tube, turned
from vlagym.envs.errors import BadData, unknown_name
from vlagym.envs.meshes import TriangleMesh
from vlagym.envs.types import Rgba, Vec3, from_plain

Section = tuple[float, float, float, float, float, float]
"""Where on the axis, lowest and highest coordinate on the two others in the order x, y, z, all in mm; and the exponent of the superellipse."""


@dataclass(frozen=True, kw_only=True)
class ShellFinish:
    """How a part of a shell answers to light, in MuJoCo's numbers between 0 and 1."""

    rgba: Rgba
    specular: float
    shininess: float
    emission: float = 0.0


@dataclass(frozen=True, kw_only=True)
class _Part:
    """What all parts have. Lengths are in the frame of the link."""

    links: tuple[str, ...]
    """Each wears a copy. A left_... link stands for its right_... twin too, which wears the mirror image in the plane y = 0."""
    finish: str
    is_double: bool = False
    """Whether the link wears the mirror image as well."""
    turn_deg: Vec3 = (0.0, 0.0, 0.0)
    """About x, then y, then z of the link, before it is moved."""
    pos_mm: Vec3 = (0.0, 0.0, 0.0)


@dataclass(frozen=True, kw_only=True)
class _Loft(_Part):
    along: Axis
    sections: tuple[Section, ...]
    sides: int = 14
    rings: int = 1
    caps: tuple[Literal["open", "flat", "dome"], Literal["open", "flat", "dome"]] = ("open", "open")
    dome_mm: tuple[float, float] = (0.0, 0.0)
    taper: float = 0.0
    arc_deg: tuple[float, float] | None = None
    rim_mm: float = 0.0

    def surface(self) -> Surface:
        low, high = (d / 1000.0 if cap == "dome" else cap for cap, d in zip(self.caps, self.dome_mm, strict=True))
        arc = None if self.arc_deg is None else (float(np.deg2rad(self.arc_deg[0])), float(np.deg2rad(self.arc_deg[1])))
        sections, rim_m = np.array(self.sections) / _MM, self.rim_mm / 1000.0
        return loft(self.along, sections, sides=self.sides, rings=self.rings, caps=(low, high), taper=self.taper, arc_rad=arc, rim_m=rim_m)


@dataclass(frozen=True, kw_only=True)
class _Turned(_Part):
    along: Axis
    profile_mm: tuple[tuple[float, float], ...]
    """Radius, and height along the axis, which runs through the place of the part."""
    sides: int = 14

    def surface(self) -> Surface:
        return turned(self.along, np.zeros(3), np.array(self.profile_mm) / 1000.0, self.sides)


@dataclass(frozen=True, kw_only=True)
class _Tube(_Part):
    points_mm: tuple[Vec3, ...]
    radius_mm: float
    flat: float = 1.0
    sides: int = 5
    steps: int = 2
    is_closed: bool = False

    def surface(self) -> Surface:
        points = np.array(self.points_mm) / 1000.0
        return tube(points, radius_m=self.radius_mm / 1000.0, flat=self.flat, sides=self.sides, steps=self.steps, is_closed=self.is_closed)


@dataclass(frozen=True, kw_only=True)
class _Hoop(_Part):
    along: Axis
    section: Section
    radius_mm: float
    taper: float = 0.0
    flat: float = 1.0
    sides: int = 5
    count: int = 22

    def surface(self) -> Surface:
        points = hoop(self.along, np.array(self.section) / _MM, taper=self.taper, count=self.count)
        return tube(points, radius_m=self.radius_mm / 1000.0, flat=self.flat, sides=self.sides, steps=1, is_closed=True)


@dataclass(frozen=True, kw_only=True)
class _ShellFile:
    finish: Mapping[str, ShellFinish]
    loft: tuple[_Loft, ...] = ()
    turned: tuple[_Turned, ...] = ()
    tube: tuple[_Tube, ...] = ()
    hoop: tuple[_Hoop, ...] = ()


class ShellPart(NamedTuple):
    """All that a link wears in one finish."""

    link: str
    finish: str
    mesh: TriangleMesh


class Shell(NamedTuple):
    """What a robot wears."""

    finishes: Mapping[str, ShellFinish]
    parts: tuple[ShellPart, ...]

    @property
    def num_faces(self) -> int:
        return sum(len(part.mesh.faces) for part in self.parts)


@functools.cache
def read_shell(file: str) -> Shell:
    """Reads a shell and makes its meshes, once in a process.

    Args:
      file: Below assets/, "robots/g1/shell.toml".

    Raises:
      BadData: If it cannot be read, a key is unknown, missing or wrong, or a part cannot be made.
    """
    try:
        plain = tomllib.loads(assets.path(file).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadData(f"{file} cannot be read: {error}") from error
    data = from_plain(_ShellFile, plain, file)
    worn: dict[tuple[str, str], list[Surface]] = {}
    for kind in ("loft", "turned", "tube", "hoop"):
        for i, part in enumerate(getattr(data, kind)):
            if part.finish not in data.finish:
                raise BadData(f"{file}: {kind}[{i}] on {part.links[0]}: {unknown_name('finish', part.finish, data.finish)}")
            try:
                made = _placed(part, part.surface)
            except BadData as error:
                raise BadData(f"{file}: {kind}[{i}] on {part.links[0]}: {error}") from error
            for link in part.links:
                worn.setdefault((link, part.finish), []).append(made)
                if link.startswith(_LEFT):
                    worn.setdefault((_RIGHT + link.removeprefix(_LEFT), part.finish), []).append(mirrored(made))
    parts = tuple(ShellPart(link, finish, finished(joined(surfaces))) for (link, finish), surfaces in worn.items())
    return Shell(finishes=data.finish, parts=parts)


def _placed(part: _Part, surface: Callable[[], Surface]) -> Surface:
    made = moved(surface(), np.array(part.pos_mm) / 1000.0, _turn(part.turn_deg))
    return joined([made, mirrored(made)]) if part.is_double else made


def _turn(degrees: Vec3) -> NDArray[np.float64]:
    """Returns the matrix of turns about x, then y, then z."""
    result = np.eye(3)
    for axis, angle in enumerate(np.deg2rad(degrees)):
        b, c = (axis + 1) % 3, (axis + 2) % 3
        one = np.eye(3)
        one[b, b] = one[c, c] = np.cos(angle)
        one[c, b], one[b, c] = np.sin(angle), -np.sin(angle)
        result = one @ result
    return result


_MM = np.array([1000.0] * 5 + [1.0])
_LEFT, _RIGHT = "left_", "right_"
