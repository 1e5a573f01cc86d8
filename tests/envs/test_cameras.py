"""Pictures on things: a scene looks the same whatever was shown before it, and the paint of a thing shows through its picture."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
from numpy.typing import NDArray

from vlagym.envs.types import EpisodeSpec, PropSpec
from vlagym.envs.world import World

PAINTED = (
    ("soup_can", "football"),
    ("tea_box", "basket_brown", "carton_blue"),
    ("apple",),
    ("melon",),
    ("tea_box", "tea_box"),
    ("block_red", "sponge_yellow"),
)
"""Scenes with one, three, no, one, one shared and one picture of different sizes, so that textures and materials change their places."""


def scene_of(spec: EpisodeSpec, assets: tuple[str, ...]) -> EpisodeSpec:
    """Returns the episode with other things in a row, and a goal that speaks of none of those that left."""
    upright = (1.0, 0.0, 0.0, 0.0)
    props = tuple(
        PropSpec(name=f"thing_{i}", asset=asset, pos_world=(0.45, 0.2 * i - 0.15, 0.0), quat_world_wxyz=upright) for i, asset in enumerate(assets)
    )
    touched = (dataclasses.replace(spec.goal[0], name="touched", args=("thing_0",)),)
    return dataclasses.replace(spec, scene=dataclasses.replace(spec.scene, props=props), goal=touched, stages=(), alternatives=())


def frame(world: World, spec: EpisodeSpec) -> NDArray[np.uint8]:
    world.start(spec)
    return world.observe(("front",)).images["front"]


@pytest.mark.gl
def test_pictures_are_those_of_the_scene_whatever_was_shown_before(two_blocks: EpisodeSpec) -> None:
    specs = [scene_of(two_blocks, assets) for assets in PAINTED]
    alone = []
    for spec in specs:
        fresh = World()
        alone.append(frame(fresh, spec))
        fresh.close()
    used = World()
    for i in (0, 1, 2, 3, 4, 5, 3, 1, 0, 4, 2, 5, 1):
        assert np.array_equal(frame(used, specs[i]), alone[i]), f"scene {i} differs from what a fresh context shows"
    used.close()
    assert len({image.tobytes() for image in alone}) == len(specs)


@pytest.mark.gl
def test_a_repainted_thing_keeps_its_picture_on_the_new_colour(two_blocks: EpisodeSpec) -> None:
    spec = scene_of(two_blocks, ("ball_red",))
    blue = dataclasses.replace(spec.scene, props=(dataclasses.replace(spec.scene.props[0], rgba=(0.05, 0.1, 0.9, 1.0)),))
    world = World()
    red_frame, blue_frame = frame(world, spec).astype(int), frame(world, dataclasses.replace(spec, scene=blue)).astype(int)
    world.close()
    changed = np.abs(red_frame - blue_frame).max(axis=-1) > 40
    assert changed.any()
    assert (red_frame[changed][:, 0] > red_frame[changed][:, 2]).mean() > 0.9
    assert (blue_frame[changed][:, 2] > blue_frame[changed][:, 0]).mean() > 0.9


@pytest.mark.gl
def test_a_process_that_has_rendered_ends_without_a_word_also_where_another_renderer_ends_the_display_first() -> None:
    code = "from vlagym.envs import cameras; cameras.make_current(); from dm_control import _render"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
