"""What is collected in the world of the doubles: quickly, with small images, and with as many failures as a test wants."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import fakes

from vlagym.benchmark.collecting.options import DemoOptions, FindUnseen
from vlagym.benchmark.entry import FIRST_DEMO_SEED, Entry
from vlagym.envs.images import Shrink
from vlagym.envs.types import EpisodeSpec


def unlucky_sample(task: str, *, one_in: int = 2, **options: Any) -> EpisodeSpec:
    """The last of every `one_in` seeds is too short to succeed in."""
    spec = fakes.sample(task, **options)
    return replace(spec, horizon_s=0.2) if spec.seed % one_in == one_in - 1 else spec


def options(out: Path, episodes: int = 4, *, tasks: tuple[str, ...] = ("place_on",), **changes: Any) -> DemoOptions:
    """Returns the options of a collection in this process.

    Args:
      out: The dataset.
      episodes: Of each task, from the first seed of demonstrations on.
      tasks: What is done.
      changes: Other fields of `DemoOptions`.
    """
    nothing_unseen: FindUnseen = fakes.find_nothing_unseen
    defaults: dict[str, Any] = {
        "entries": tuple(Entry(task=task, episodes=episodes, first_seed=FIRST_DEMO_SEED) for task in tasks),
        "out": out,
        "policy": "fakes:CARRIER",
        "images": {"front": Shrink(crop=16, size=8)},
        "commands": False,  # the robot of the doubles has no controllers
        "paraphrases": 0,  # nor has its scene words
        "executor": "serial",
        "sample": fakes.sample,
        "find_unseen": nothing_unseen,
        "make_world": fakes.make_world,
    }
    return DemoOptions(**{**defaults, **changes})
