"""Demonstrations whose images a video codec hardly changes."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlagym.benchmark.checks._samples import ACTION
from vlagym.envs.types import stream
from vlagym.results.demonstration import DatasetInfo, Demonstration, ImagePreprocessing, Stage

CODEC_LEVELS = 4.0
"""By how many of 255 levels images of `demonstration` differ on average after H.264, at most; measured 1.6 to 2.9."""


def info(**changes: Any) -> DatasetInfo:
    """Returns a dataset of two cameras, `front` of 48 x 64 pixels (h x w) and `wrist` of 32 x 32."""
    images = {"front": ImagePreprocessing(crop=192, size=48, width=64), "wrist": ImagePreprocessing(crop=192, size=32)}
    return dataclasses.replace(DatasetInfo(action=ACTION, images=images, robot="panda", provenance={"made by": "a test"}), **changes)


def demonstration(
    number: int, steps: int, *, sentence: str = "put the mug on the plate", of: DatasetInfo | None = None, **changes: Any
) -> Demonstration:
    """Returns a recording of nothing: numbers drawn for it, and gradients that move."""
    rng, of = stream(number, "films"), of or info()

    def drawn(*shape: int) -> NDArray[np.float32]:
        return rng.uniform(-1, 1, (steps, *shape)).astype(np.float32)

    quat = drawn(4)
    made = Demonstration(
        spec=None,
        digest=f"{number:032x}",
        instruction=sentence,
        actions=drawn(of.action.size),
        executed_actions=drawn(of.action.size),
        images={camera: _gradients(rng, steps, how.shape) for camera, how in of.images.items()},
        image_steps=np.arange(steps),
        proprio={
            "joint_pos_rad": drawn(7),
            "ee_pos_base_m": drawn(3),
            "ee_quat_base_wxyz": quat / np.linalg.norm(quat, axis=1, keepdims=True),
            "gripper_opening_m": np.abs(drawn(1)),
        },
        stages=(Stage(0, "reach"),),
    )
    return dataclasses.replace(made, **changes)


def levels_apart(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    """Returns by how many of 255 levels two images or films differ on average."""
    return float(np.abs(first.astype(np.float64) - second).mean())


def _gradients(rng: np.random.Generator, count: int, shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    t, y, x, c = np.meshgrid(np.arange(count), *(np.arange(n) for n in shape), indexing="ij")
    wave = np.sin(x / 11 + c + t / 5 + rng.uniform(0, 6)) + np.cos(y / 7 - t / 9 + rng.uniform(0, 6))
    images: NDArray[np.uint8] = (127 + 60 * wave).astype(np.uint8)
    return images
