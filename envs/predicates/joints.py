"""What the joints of furniture do: open, moved."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vlagym.envs.predicates.state import WorldState, joint_of
from vlagym.envs.types import EpisodeSpec


class Open:
    """open(fixture/joint): the drawer is pulled out beyond its threshold."""

    arity = 1

    def __init__(self, spec: EpisodeSpec, joint: str) -> None:
        self._joint = joint
        self._threshold = joint_of(spec, joint).open_threshold_m

    def __call__(self, state: WorldState) -> bool:
        return state.fixture_joints[self._joint] >= self._threshold


class Moved:
    """moved(fixture/joint): the joint is pulled out by more than 1 cm."""

    arity = 1

    def __init__(self, spec: EpisodeSpec, joint: str) -> None:
        joint_of(spec, joint)
        self._joint = joint

    def __call__(self, state: WorldState) -> bool:
        return state.fixture_joints[self._joint] >= 0.01


PREDICATES: Mapping[str, type[Any]] = {"open": Open, "moved": Moved}
