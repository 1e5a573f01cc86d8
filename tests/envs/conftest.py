"""Small scenes for the tests of the environment."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

import pytest

from vlagym.envs import catalog
from vlagym.envs.arenas import arena
from vlagym.envs.control import action_spec
from vlagym.envs.types import ActionSpec, EpisodeSpec, FixtureSpec, Predicate, PropSpec, SceneSpec

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "doubles"))  # what a process holds


def _prop(asset: str, x: float, y: float, z: float = 0.0) -> PropSpec:
    return PropSpec(name=asset, asset=asset, pos_world=(x, y, z), quat_world_wxyz=(1.0, 0.0, 0.0, 0.0))


@pytest.fixture(scope="session")
def two_blocks() -> EpisodeSpec:
    """Returns an episode by hand: a red block in front of the hand, a blue one to its left, an apple to its right."""
    robot = catalog.load("robot", "panda")
    place = arena("studio")
    return EpisodeSpec(
        task="stack",
        robot="panda",
        scene=SceneSpec(
            arena="studio",
            props=(_prop("block_red", 0.45, 0.0), _prop("block_blue", 0.45, 0.16), _prop("apple", 0.45, -0.16)),
            lights=place.light,
            cameras=(*(c.spec() for c in place.camera), *robot.cameras),
        ),
        robot_qpos=robot.home_qpos,
        goal=(Predicate(name="stacked", args=("block_red", "block_blue")),),
        stages=(Predicate(name="held", args=("block_red",)), Predicate(name="stacked", args=("block_red", "block_blue"))),
        alternatives=((Predicate(name="stacked", args=("block_blue", "block_red")),),),
        instruction="stack the red block on the blue block",
        phrase="by hand",
        control=action_spec(robot, "ee_delta"),
        horizon_s=12.0,
    )


@pytest.fixture(scope="session")
def already_stacked(two_blocks: EpisodeSpec) -> EpisodeSpec:
    """Returns the episode with the red block standing on the blue one from the start."""
    props = (_prop("block_red", 0.45, 0.16, 0.045), _prop("block_blue", 0.45, 0.16), _prop("apple", 0.45, -0.16))
    return dataclasses.replace(two_blocks, scene=dataclasses.replace(two_blocks.scene, props=props))


class LayTable(Protocol):
    """Lays a scene by hand: things and where they stand, and what is asked for."""

    def __call__(
        self,
        goal: str | Sequence[str] = "",
        *,
        props: Mapping[str, tuple[float, ...]],
        fixtures: Mapping[str, tuple[float, ...]] = ...,
        steps: Sequence[str | Sequence[str]] = (),
        lying: Sequence[str] = (),
        paint: Mapping[str, tuple[float, float, float, float]] = ...,
        scale: Mapping[str, float] = ...,
    ) -> EpisodeSpec:
        """Returns an episode. Names are ids of assets; one more of the same is "id#2". A position is x, y (and z) in m."""


@pytest.fixture(scope="session")
def lay_table() -> LayTable:
    """Returns the builder of scenes for tests of sentences."""

    def predicates(texts: str | Sequence[str]) -> tuple[Predicate, ...]:
        listed = [texts] if isinstance(texts, str) else list(texts)
        return tuple(Predicate(name=t.partition("(")[0], args=tuple(t.partition("(")[2].rstrip(")").split(", "))) for t in listed if t)

    def lay(
        goal: str | Sequence[str] = "",
        *,
        props: Mapping[str, tuple[float, ...]],
        fixtures: Mapping[str, tuple[float, ...]] = MappingProxyType({}),
        steps: Sequence[str | Sequence[str]] = (),
        lying: Sequence[str] = (),
        paint: Mapping[str, tuple[float, float, float, float]] = MappingProxyType({}),
        scale: Mapping[str, float] = MappingProxyType({}),
    ) -> EpisodeSpec:
        side = (0.7071, 0.7071, 0.0, 0.0)
        placed = [
            PropSpec(
                name=name,
                asset=name.partition("#")[0],
                pos_world=(at[0], at[1], at[2] if len(at) > 2 else 0.0),
                quat_world_wxyz=side if name in lying else (1.0, 0.0, 0.0, 0.0),
                rgba=paint.get(name),
                scale=scale.get(name, 1.0),
            )
            for name, at in props.items()
        ]
        standing = [
            FixtureSpec(name=name, asset=name.partition("#")[0], pos_world=(at[0], at[1], 0.0), yaw_rad=0.0, rgba=paint.get(name))
            for name, at in fixtures.items()
        ]
        return EpisodeSpec(
            task="by_hand",
            robot="panda",
            scene=SceneSpec(arena="studio", props=tuple(placed), fixtures=tuple(standing)),
            robot_qpos=(),
            goal=predicates(goal),
            steps=tuple(predicates(step) for step in steps),
            stages=(),
            alternatives=(),
            instruction="",
            phrase="",
            control=ActionSpec(name="x", components=(), rate_hz=20.0),
            horizon_s=1.0,
        )

    return lay
