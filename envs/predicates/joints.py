"""What the joints of furniture do, and what lies in a drawer: open, closed, moved, in_drawer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from vlagym.envs.errors import BadSpec
from vlagym.envs.predicates.state import WorldState, asset_of, fixture_of, fixture_pose, joint_of, prop_of
from vlagym.envs.types import EpisodeSpec

_MOVED_SHARE = 0.09
"""Of the range of a door; a drawer has moved after 1 cm."""


class Open:
    """open(fixture/joint): the drawer is pulled out, or the door swung out, beyond its threshold."""

    arity = 1

    def __init__(self, spec: EpisodeSpec, joint: str) -> None:
        self._joint = joint
        self._threshold = joint_of(spec, joint).open_threshold_m

    def __call__(self, state: WorldState) -> bool:
        return state.fixture_joints[self._joint] >= self._threshold


class Closed:
    """closed(fixture/joint): the drawer or door is back within its closed threshold."""

    arity = 1

    def __init__(self, spec: EpisodeSpec, joint: str) -> None:
        self._joint = joint
        self._threshold = joint_of(spec, joint).closed_threshold_m

    def __call__(self, state: WorldState) -> bool:
        return state.fixture_joints[self._joint] <= self._threshold


class Moved:
    """moved(fixture/joint): the joint has left the place where the episode began: a drawer by 1 cm, a door by a tenth of its way."""

    arity = 1

    def __init__(self, spec: EpisodeSpec, joint: str) -> None:
        found = joint_of(spec, joint)
        fixture, _ = fixture_of(spec, joint)
        low, high = found.range_m
        self._joint = joint
        self._start = dict(fixture.joints).get(found.name, 0.0)
        self._least = 0.01 if found.type == "slide" else _MOVED_SHARE * (high - low)

    def __call__(self, state: WorldState) -> bool:
        return abs(state.fixture_joints[self._joint] - self._start) >= self._least


class InDrawer:
    """in_drawer(a, fixture/joint): a's middle is in the space inside the drawer, a lies on something there, and the robot has let it go."""

    arity = 2

    def __init__(self, spec: EpisodeSpec, a: str, joint: str) -> None:
        prop, asset, found = prop_of(spec, a), asset_of(spec, a), joint_of(spec, joint)
        if found.inside_m is None:
            raise BadSpec(f"nothing can lie in {joint!r}: its file gives no inside_m")
        fixture, _ = fixture_of(spec, joint)
        self._a, self._joint, self._asset_joint = a, joint, found
        self._middle = np.array([0.0, 0.0, asset.size_m[2] / 2])
        self._low, self._high = (np.array(corner) for corner in found.inside_m)
        self._fixture = fixture_pose(fixture)

    def __call__(self, state: WorldState) -> bool:
        if self._a in state.held:
            return False
        drawer = self._fixture @ self._asset_joint.at(state.fixture_joints[self._joint])
        middle = drawer.inverse().apply(state.props[self._a].apply(self._middle))
        if not (np.all(middle >= self._low) and np.all(middle <= self._high)):
            return False
        touching = [pair for pair in state.touching if self._a in pair]
        return bool(touching) and not any("robot" in pair for pair in touching)


PREDICATES: Mapping[str, type[Any]] = {"open": Open, "closed": Closed, "moved": Moved, "in_drawer": InDrawer}
