"""Another background: the finish of the table, then the whole place around it."""

from __future__ import annotations

import dataclasses

import numpy as np

from vlagym.benchmark.axis import Axis, NotApplicable
from vlagym.envs import catalog
from vlagym.envs.arenas import arena
from vlagym.envs.robot import Robot
from vlagym.envs.split import arenas_of
from vlagym.envs.task import Task
from vlagym.envs.types import EpisodeSpec

_USUAL = ("bench_wood", "birch", "granite", "marble", "oak", "wood")
"""Finishes that tables of seen arenas have, or could have."""
_UNUSUAL = ("blue_plaster", "carpet", "checker_tiles", "concrete", "cork", "green_tiles", "linen", "parquet", "steel", "terrazzo")
"""Finishes that no table has, in colours far from wood."""
_STRANGE = ("bricks", "foam_mats", "nursery_dots", "rug", "stone_tiles")
"""Finishes that cover floors and walls, with patterns as large as the things that stand on them."""


def _background(spec: EpisodeSpec, level: int, rng: np.random.Generator) -> EpisodeSpec:
    """Changes what is seen around: table and floor keep their heights, the lights and the cameras stay."""
    scene, split = spec.scene, spec.split
    if level >= 3:
        places = _places(spec, "seen" if level == 3 else "unseen")
        scene = dataclasses.replace(scene, arena=places[int(rng.integers(len(places)))], table_texture=None)
        split = spec.split if level == 3 else "unseen"
    if level != 3 and level != 4:
        own = arena(spec.scene.arena).table.texture
        tops = [name for name in {1: _USUAL, 2: _UNUSUAL, 5: _STRANGE}[level] if name not in (own, spec.scene.table_texture)]
        scene = dataclasses.replace(scene, table_texture=tops[int(rng.integers(len(tops)))])
    return dataclasses.replace(spec, scene=scene, split=split)


def _places(spec: EpisodeSpec, split: str) -> list[str]:
    """Returns the other arenas of a split in which the episode can take place as it is. Raises NotApplicable if there is none."""
    robot: Robot = catalog.load("robot", spec.robot)
    task: Task = catalog.load("task", spec.task)
    found = [name for name in arenas_of("seen" if split == "seen" else "unseen") if name != spec.scene.arena]
    if robot.stance is not None:
        # It stands on the floor, with things that may stand there too.
        floor_m = arena(spec.scene.arena).floor.height_m
        found = [name for name in found if name in robot.stance.arenas and arena(name).floor.height_m == floor_m]
    if spec.robot_base in task.roams:
        found = [name for name in found if arena(name).has_open_floor]
    if not found:
        raise NotApplicable(f"there is no other {split} arena in which {spec.robot!r} stands as high as in {spec.scene.arena!r}")
    return found


AXIS = Axis(
    group="appearance",
    changes=("scene", "split"),
    apply=_background,
    tells=(
        f"another usual table top: {', '.join(_USUAL)}",
        f"an unusual table top: {', '.join(_UNUSUAL)}",
        "another arena of those that are seen in training",
        "an arena that is kept for evaluation",
        f"an arena that is kept for evaluation, and a strange table top: {', '.join(_STRANGE)}",
    ),
)
