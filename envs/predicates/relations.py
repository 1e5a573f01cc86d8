"""Where one prop lies with respect to others: left of, right of, in front of, behind, next to, between; in the table's or the viewer's frame."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from vlagym.envs.frames import Array
from vlagym.envs.predicates.state import REST_M_S, WorldState, asset_of, start_of
from vlagym.envs.task import footprint_m
from vlagym.envs.types import EpisodeSpec

FAR_M = 0.12
"""A thing is left of another one (and so on) while the gap between their outlines, as circles, is at most this wide."""
WEDGE_RAD = math.radians(40.0)
"""... and the direction from the one to the other differs by at most so much from the left."""
NEXT_M = 0.06
"""A thing is next to another one while the gap between their outlines is at most this wide, whatever the direction."""
BETWEEN_SHARE = 0.25
"""A thing is between two others while its middle lies in the middle half of the line between theirs ..."""
BETWEEN_M = 0.04
"""... and at most this far beside that line."""
LANDMARK_M = 0.05
"""Within this distance of its start a landmark still stands where it was."""

TABLE_FRAME: Mapping[str, tuple[float, float]] = {
    "left_of": (0.0, 1.0),
    "right_of": (0.0, -1.0),
    "in_front_of": (-1.0, 0.0),
    "behind": (1.0, 0.0),
}
"""Directions on the table as the robot sees them: it looks along +x, and what is in front of a thing is nearer to the robot."""
VIEWER_FRAME: Mapping[str, tuple[float, float]] = {
    "viewer_left_of": (0.0, -1.0),
    "viewer_right_of": (0.0, 1.0),
    "viewer_in_front_of": (1.0, 0.0),
    "viewer_behind": (-1.0, 0.0),
}
"""Directions as a viewer sees them who sits across the table, at the front camera, and looks along -x."""
DIRECTIONS: Mapping[str, tuple[float, float]] = {**TABLE_FRAME, **VIEWER_FRAME}


class Disc(NamedTuple):
    """The outline of a thing, seen from above, as a circle."""

    x: float
    y: float
    radius_m: float


def disc(spec: EpisodeSpec, name: str, pos: Array | Sequence[float]) -> Disc:
    """Returns the outline of a prop that is at `pos` (3,), world frame, m. Raises UnknownName."""
    return Disc(float(pos[0]), float(pos[1]), footprint_m(asset_of(spec, name)))


def margin_m(relation: str, x: Array, y: Array, radius_m: float, landmarks: Sequence[Disc]) -> Array:
    """Returns how far within the region of a relation places lie, in m; below 0 where they lie outside.

    Args:
      relation: One of DIRECTIONS, "next_to" or "between".
      x: Of the places, any shape, m.
      y: Likewise.
      radius_m: Of the outline of what is to lie there.
      landmarks: With respect to what: two for "between", one otherwise.
    """
    mark = landmarks[0]
    away = (x - mark.x, y - mark.y)
    apart = np.hypot(*away) - radius_m - mark.radius_m
    if relation == "next_to":
        return np.asarray(NEXT_M - apart)
    if relation == "between":
        line = (landmarks[1].x - mark.x, landmarks[1].y - mark.y)
        length = math.hypot(*line)
        along = (away[0] * line[0] + away[1] * line[1]) / length
        beside = np.abs(away[0] * line[1] - away[1] * line[0]) / length
        inner = np.minimum(along - BETWEEN_SHARE * length, (1.0 - BETWEEN_SHARE) * length - along)
        return np.asarray(np.minimum(inner, BETWEEN_M - beside))
    u, v = DIRECTIONS[relation]
    along, beside = away[0] * u + away[1] * v, np.abs(away[0] * v - away[1] * u)
    return np.asarray(np.minimum(along * math.sin(WEDGE_RAD) - beside * math.cos(WEDGE_RAD), FAR_M - apart))


def disc_at(outline: Disc, pos: Array) -> Disc:
    """Returns an outline moved to a place (3,), m."""
    return outline._replace(x=float(pos[0]), y=float(pos[1]))


class _Relation:
    """a rests on the table and touches no landmark, let go and at rest, within the region that the relation has at its landmarks.

    The landmarks are not in the hand and stand where they were when the episode began: it is a that is to be put there.
    """

    arity = 2
    is_on_table = True
    relation = ""

    def __init__(self, spec: EpisodeSpec, a: str, *landmarks: str) -> None:
        self._a, self._radius = a, disc(spec, a, np.zeros(3)).radius_m
        self._starts = {name: start_of(spec, name) for name in landmarks}
        self._landmarks = {name: disc(spec, name, np.zeros(3)) for name in landmarks}

    def __call__(self, state: WorldState) -> bool:
        if self._a in state.held or any(name in state.held for name in self._landmarks):
            return False
        if any(np.linalg.norm(state.props[name].pos - start) > LANDMARK_M for name, start in self._starts.items()):
            return False
        marks = [disc_at(outline, state.props[name].pos) for name, outline in self._landmarks.items()]
        x, y, _ = state.props[self._a].pos
        if margin_m(self.relation, x, y, self._radius, marks) < 0.0:
            return False
        beside = {name for pair in state.touching if self._a in pair for name in pair - {self._a}}
        return "table" in beside and not beside & {"robot", *self._landmarks} and state.speed_m_s(self._a) <= REST_M_S


def _predicate(name: str, arity: int, meaning: str) -> type[Any]:
    return type(name.title().replace("_", ""), (_Relation,), {"relation": name, "arity": arity, "__doc__": meaning})


PREDICATES: Mapping[str, type[Any]] = {
    **{name: _predicate(name, 2, f"{name}(a, b): a lies in the wedge of b that looks along {xy} of the table.") for name, xy in DIRECTIONS.items()},
    "next_to": _predicate("next_to", 2, "next_to(a, b): a lies close to b, on whichever side."),
    "between": _predicate("between", 3, "between(a, b, c): a lies about half-way from b to c."),
}
