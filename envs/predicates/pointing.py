"""What a hand points at: the thing that the ray along its point axis meets first, or passes most closely."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from vlagym.envs.errors import BadSpec
from vlagym.envs.frames import Array, Pose, conjugate, multiply, pose, rotate, to_axis_angle
from vlagym.envs.predicates.hands import robot_of, side_of
from vlagym.envs.predicates.history import is_still
from vlagym.envs.predicates.outlines import misses, outlines
from vlagym.envs.predicates.state import WorldState
from vlagym.envs.types import EpisodeSpec

POINT_RAD = 0.10
"""By no more than this the ray may miss the box around what is pointed at."""
MET_RAD = 0.02
"""What it misses by less it meets: of such things the first one along the ray is meant."""
STILL_M = 0.02
"""A hand that points has moved by no more than this in the last REST_S."""
RAISED_M, RAISED_RAD = 0.05, 0.25
"""A hand points only after it has moved by so much, or turned by so much, with respect to the head: one that hangs as it hung points at nothing."""
ALONG_SHARE = 0.5
"""... and by this share of what the other hand has moved or turned: one that is only drawn along while the other is raised points at nothing."""


class PointedAt:
    """pointed_at(x): a hand points at the prop or fixture x: at rest, not touching it, and at nothing else more nearly.

    The hand must have been brought there, and not drawn along with the other one: its pose in the frame of the head differs from that at the
    start. Asking twice changes nothing.
    """

    arity = 1

    def __init__(self, spec: EpisodeSpec, x: str) -> None:
        self._things = outlines(spec)
        if x not in [thing.name for thing in self._things]:
            raise BadSpec(f"nobody can point at {x!r}. There are: {', '.join(thing.name for thing in self._things)}")
        self._x, self._rate_hz = x, spec.control.rate_hz
        self._axes: dict[str, Array] = {hand.side: np.array(hand.point_axis) for hand in robot_of(spec).end_effectors}
        self._start: dict[str, Pose] = {}

    def __call__(self, state: WorldState) -> bool:
        return any(self.points(state, side) for side in self._axes)

    def points(self, state: WorldState, side: str) -> bool:
        """Returns whether the hand of a side points at the thing."""
        effort = self._efforts(state)
        if effort[side] < max(1.0, ALONG_SHARE * max(effort.values())) or self._x in state.touched_by_robot:
            return False
        if not is_still(state, side, self._rate_hz, STILL_M):
            return False
        key = f"meant by {side}"  # many predicates of a scene ask the same
        if key not in state.memo:
            state.memo[key] = self._meant(state, state.ee_poses[side].pos, rotate(state.ee_poses[side].quat, self._axes[side]))
        return state.memo[key] == self._x

    def _efforts(self, state: WorldState) -> dict[str, float]:
        """Returns for each hand how far it has moved or turned, with respect to the head, in multiples of what pointing takes."""
        from_world = (state.head if state.head is not None else pose((0.0, 0.0, 0.0))).inverse()
        efforts = {}
        for side in self._axes:
            here = from_world @ state.ee_poses[side]
            start = self._start.setdefault(side, here)
            turn = float(np.linalg.norm(to_axis_angle(multiply(here.quat, conjugate(start.quat)))))
            efforts[side] = max(float(np.linalg.norm(here.pos - start.pos)) / RAISED_M, turn / RAISED_RAD)
        return efforts

    def _meant(self, state: WorldState, eye: Array, direction: Array) -> str:
        """Returns the thing that a ray of the world means; empty if there is none."""
        angles, distances = misses(self._things, state, eye, direction)
        found = zip(np.maximum(angles, MET_RAD).tolist(), distances.tolist(), self._things, strict=True)
        angle, _, thing = min(found, key=lambda item: item[:2])
        return thing.name if angle <= POINT_RAD else ""


class PointedAtWith(PointedAt):
    """pointed_at_with(x, =side): the hand of that side points at x, as `pointed_at` has it. What the other hand points at does not matter."""

    arity = 2

    def __init__(self, spec: EpisodeSpec, x: str, side: str) -> None:
        super().__init__(spec, x)
        self._side = side_of(spec, side)

    def __call__(self, state: WorldState) -> bool:
        return self.points(state, self._side)


PREDICATES: Mapping[str, type[Any]] = {"pointed_at": PointedAt, "pointed_at_with": PointedAtWith}
"""Name -> class."""
