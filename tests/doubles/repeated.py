"""Actions that are done again in their episode, as a collection does them to make sure of a demonstration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vlagym.benchmark.collecting.demonstrator import Demonstrator
from vlagym.benchmark.collecting.options import DemoOptions
from vlagym.benchmark.episode import RunnableWorld, WorldOptions, make_world
from vlagym.benchmark.rollout import Rollout
from vlagym.envs.types import EpisodeSpec
from vlagym.policies.loading import load_policy


def replayed(spec: EpisodeSpec, actions: Any) -> Rollout:
    """Returns how an episode runs under the actions, without images."""
    world: RunnableWorld = make_world(WorldOptions(render=False))
    own = Demonstrator.__new__(Demonstrator)
    own._options, own._world, own._is_live = DemoOptions(entries=(), out=Path("none")), world, False
    own._policy = load_policy("expert")
    take = own._again(spec, actions, actions, [""] * len(actions))
    world.close()
    return take.rollout
