"""Small scenes for the tests of the environment."""

from __future__ import annotations

import dataclasses

import pytest

from vlagym.envs import catalog
from vlagym.envs.arenas import arena
from vlagym.envs.control import action_spec
from vlagym.envs.types import EpisodeSpec, Predicate, PropSpec, SceneSpec


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
