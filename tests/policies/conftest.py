"""Demonstrations that cost nothing: a coloured square for each prop, drawn where the front camera would see it, and a hand that goes there."""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from vlagym.envs.control import action_spec
from vlagym.envs.frames import look_at
from vlagym.envs.objects import get
from vlagym.envs.robots.panda import ROBOT
from vlagym.envs.types import CameraSpec, EpisodeSpec, Observation, Predicate, PropSpec, SceneSpec, stream
from vlagym.policies.models.minivla.geometry import project

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "doubles"))  # servers that misbehave, for tests of clients

STEPS, STRIDE = 24, 3
EYE, TARGET = (1.2, 0.0, 0.7), (0.5, 0.0, 0.05)
ASSETS = ("block_red", "block_green", "block_blue", "block_yellow")


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """A demonstration, as far as training looks at it."""

    episode: EpisodeSpec
    digest: str
    instruction: str
    actions: NDArray[np.float32]
    image_steps: NDArray[np.int64]
    images: Mapping[str, NDArray[np.uint8]]
    proprio: Mapping[str, NDArray[np.float32]]
    privileged: Mapping[str, NDArray[Any]]


def make_spec(seed: int) -> EpisodeSpec:
    """Returns four blocks on a table; one is to be stacked on another."""
    rng = stream(seed, "synthetic")
    places = np.stack([0.35 + 0.1 * np.arange(4), rng.uniform(-0.15, 0.15, 4)], axis=1)[rng.permutation(4)]
    props = tuple(
        PropSpec(name=f"prop_{i}", asset=asset, pos_world=(float(x), float(y), 0.0), quat_world_wxyz=(1.0, 0.0, 0.0, 0.0))
        for i, (asset, (x, y)) in enumerate(zip(ASSETS, places, strict=True))
    )
    a, b = (str(get(ASSETS[i]).colour) for i in (0, 1))
    camera = CameraSpec(name="front", parent="world", pos_parent=EYE, quat_parent_wxyz=tuple(look_at(EYE, TARGET).tolist()), fovy_deg=45.0)
    goal = (Predicate(name="stacked", args=("prop_0", "prop_1")),)
    return EpisodeSpec(
        task="stack",
        robot="panda",
        scene=SceneSpec(arena="table", props=props, cameras=(camera,)),
        robot_qpos=(0.0,) * 7,
        goal=goal,
        stages=goal,
        alternatives=(),
        instruction=f"stack the {a} block on the {b} one",
        phrase="stacked/by_hand",
        control=action_spec(ROBOT, "ee_delta"),
        horizon_s=10.0,
        seed=seed,
    )


def make_recorded(seed: int) -> Recorded:
    """Returns a hand that moves to the first block in a line, closes, and moves on to the second."""
    spec = make_spec(seed)
    goal, place = (np.array(spec.scene.props[i].pos_world) for i in (0, 1))
    start = np.array([0.45, 0.0, 0.3])
    half = STEPS // 2
    way = np.concatenate([np.linspace(start, goal, half), np.linspace(goal, place, half)])
    motion = np.diff(way, axis=0, append=way[-1:]) / 0.05
    closed = np.where(np.arange(STEPS) < half, -1.0, 1.0)
    actions = np.concatenate([motion, np.zeros((STEPS, 3)), closed[:, None]], axis=1).clip(-1, 1).astype(np.float32)
    at = np.arange(0, STEPS, STRIDE)
    front = np.full((len(at), 96, 96, 3), 150, np.uint8)
    for prop in spec.scene.props:
        x, y = project(np.array(prop.pos_world), spec.scene.cameras[0], crop=192).image_xy * 96
        colour = (np.array(get(prop.asset).rgba[:3]) * 255).astype(np.uint8)
        front[:, max(0, int(y) - 4) : int(y) + 4, max(0, int(x) - 4) : int(x) + 4] = colour
    targets = np.broadcast_to(np.stack([goal, place]), (STEPS, 2, 3))
    return Recorded(
        episode=spec,
        digest=spec.digest(),
        instruction=spec.instruction,
        actions=actions,
        image_steps=at,
        images={"front": front, "wrist": np.full((len(at), 64, 64, 3), 90, np.uint8)},
        proprio=make_proprio(way, closed),
        privileged={"target_pos_world_m": targets, "target_yaw_rad": np.full(STEPS, math.pi / 8)},
    )


def make_proprio(way: NDArray[Any], closed: NDArray[Any]) -> dict[str, NDArray[np.float32]]:
    """Returns the state of a hand that points down, at positions (T, 3)."""
    down = np.broadcast_to([0.0, 1.0, 0.0, 0.0], (len(way), 4))
    values = {
        "ee_pos_base_m": way,
        "ee_quat_base_wxyz": down,
        "ee_target_pos_base_m": way,
        "ee_target_quat_base_wxyz": down,
        "gripper_opening_m": np.where(closed > 0, 0.045, 0.08)[:, None],
        "gripper_command": closed[:, None],
    }
    return {name: value.astype(np.float32) for name, value in values.items()}


@pytest.fixture(scope="session")
def recorded() -> Callable[[int], list[Recorded]]:
    """Returns a maker of so many demonstrations."""
    cache: list[Recorded] = []

    def make(count: int) -> list[Recorded]:
        while len(cache) < count:
            cache.append(make_recorded(len(cache)))
        return cache[:count]

    return make


@pytest.fixture(scope="session")
def observe() -> Callable[..., Observation]:
    """Returns a maker of observations: frame `row` of a demonstration, with whatever is said instead."""

    def make(demonstration: Recorded, row: int = 0, **changes: Any) -> Observation:
        step = int(demonstration.image_steps[row])
        seen = Observation(
            images={camera: images[row] for camera, images in demonstration.images.items()},
            proprio={name: values[step] for name, values in demonstration.proprio.items()},
            instruction=demonstration.instruction,
            time_s=step / 20,
        )
        return dataclasses.replace(seen, **changes)

    return make
