"""What has been pushed: into a zone, along a line to its end, off the mat it stood on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from vlagym.envs.errors import BadSpec
from vlagym.envs.frames import Array, Pose
from vlagym.envs.marks import Line, Zone
from vlagym.envs.predicates.state import WorldState, asset_of, fixture_of, fixture_pose, is_upright, start_of
from vlagym.envs.scene import TABLE
from vlagym.envs.shapes.parts import joint_bounds
from vlagym.envs.types import EpisodeSpec, FixtureSpec

ZONE_TOLERANCE_M = 0.005
"""By so much an outline may stick out of a zone."""
LINE_WIDTH_M = 0.045
"""The middle of what is pushed along a line stays within this distance of it."""
LINE_END_M = 0.03
"""Within this distance of the end of the line its middle is there."""
LINE_START_SHARE = 0.25
"""In this first part of the line a push along it begins."""
MOVED_M = 0.03
"""What is pushed off a mat has moved by at least so much ..."""
DRAGGED_M = 0.03
"""... and the mat by less than so much; the expert drags it by 4 mm at most."""
_ON_TABLE_M = 0.012


def zone_of(spec: EpisodeSpec, name: str) -> tuple[FixtureSpec, Zone]:
    """Returns a zone of the scene. Raises UnknownName, or BadSpec if the fixture is none."""
    fixture, asset = fixture_of(spec, name)
    if asset.zone is None:
        raise BadSpec(f"{name!r} is no zone: the file of {asset.id!r} has no [zone]")
    return fixture, asset.zone


def line_of(spec: EpisodeSpec, name: str) -> tuple[FixtureSpec, Line]:
    """Returns a line of the scene. Raises UnknownName, or BadSpec if the fixture is none."""
    fixture, asset = fixture_of(spec, name)
    if asset.line is None:
        raise BadSpec(f"{name!r} is no line: the file of {asset.id!r} has no [line]")
    return fixture, asset.line


def outline(spec: EpisodeSpec, name: str) -> tuple[Array, float]:
    """Returns the (8, 3) corners of a prop's box in its own frame, and the radius of its outline if it is round, else 0; m."""
    asset = asset_of(spec, name)
    low, high = joint_bounds(asset.collision)
    corners = np.array([[x, y, z] for x in (low[0], high[0]) for y in (low[1], high[1]) for z in (low[2], high[2])])
    return corners, max(asset.size_m[:2]) / 2 if asset.yaw_symmetry == 0 else 0.0


class Within:
    """within(a, zone): a lies wholly in the zone, on the table, let go. How it came there does not matter."""

    arity = 2

    def __init__(self, spec: EpisodeSpec, a: str, zone: str) -> None:
        fixture, self._zone = zone_of(spec, zone)
        self._corners, self._radius = outline(spec, a)
        self._a, self._from_world = a, fixture_pose(fixture).inverse()

    def __call__(self, state: WorldState) -> bool:
        here = self._from_world @ state.props[self._a]
        return inside_m(self._zone, here, self._corners, self._radius) >= -ZONE_TOLERANCE_M and _rests(state, self._a)


class Along:
    """along(a, line): a was pushed along the line and is at its end, let go.

    It remembers that a came from the beginning of the line: all the way its middle must stay near the line, and a on the table. Who leaves the
    line, or lifts a, begins anew at its start. Asking twice in the same state changes nothing.
    """

    arity = 2

    def __init__(self, spec: EpisodeSpec, a: str, line: str) -> None:
        self._corners, _ = outline(spec, a)
        fixture, self._line = line_of(spec, line)
        self._a, self._from_world = a, fixture_pose(fixture).inverse()
        self._under_way = False

    def __call__(self, state: WorldState) -> bool:
        here = self._from_world @ state.props[self._a]
        along, beside = self._line.along_m(here.pos[0], here.pos[1])
        lowest = min(float(here.apply(corner)[2]) for corner in self._corners)
        if abs(beside) > LINE_WIDTH_M or lowest > _ON_TABLE_M:
            self._under_way = False
        elif along <= LINE_START_SHARE * self._line.length_m:
            self._under_way = True
        return self._under_way and self._line.length_m - LINE_END_M <= along and _rests(state, self._a)


class Off:
    """off(a, mat): a stands on the table beside the mat and touches it no longer, let go. How it came there does not matter.

    But it is a that must have moved since the start, by MOVED_M, and not the mat, which may be dragged along by less than DRAGGED_M.
    """

    arity = 2

    def __init__(self, spec: EpisodeSpec, a: str, mat: str) -> None:
        asset_of(spec, a)
        if "support" not in asset_of(spec, mat).roles:
            raise BadSpec(f"nothing stands on {mat!r}, so nothing can be pushed off it: {asset_of(spec, mat).id!r} is no support")
        self._a, self._mat = a, mat
        self._starts = start_of(spec, a), start_of(spec, mat)

    def __call__(self, state: WorldState) -> bool:
        moved_m, dragged_m = (
            float(np.linalg.norm((state.props[name].pos - start)[:2])) for name, start in zip((self._a, self._mat), self._starts, strict=True)
        )
        if moved_m < MOVED_M or dragged_m >= DRAGGED_M:
            return False
        return frozenset((self._a, self._mat)) not in state.touching and _rests(state, self._a)


def inside_m(zone: Zone, here: Pose, corners: Array, radius_m: float) -> float:
    """Returns how far the outline of a prop lies within a zone, in m; below 0 where a part of it sticks out.

    Args:
      zone: The zone.
      here: Pose of the prop in the frame of the zone's fixture.
      corners: As `outline` gives them.
      radius_m: As `outline` gives it.
    """
    if radius_m > 0.0 and is_upright(here):
        return zone.inside_m(here.pos[0], here.pos[1]) - radius_m
    return min(zone.inside_m(x, y) for x, y, _ in (here.apply(corner) for corner in corners))


def _rests(state: WorldState, a: str) -> bool:
    """Returns whether a prop stands on the table and the robot does not touch it."""
    touching = state.touching
    return frozenset((a, TABLE)) in touching and frozenset((a, "robot")) not in touching


PREDICATES: Mapping[str, type[Any]] = {"within": Within, "along": Along, "off": Off}
"""Name -> class."""
