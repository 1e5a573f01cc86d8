"""Draws every action uniformly from the action space: the floor that moves."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from vlagym.envs.errors import BadData
from vlagym.envs.types import ActionChunk, ActionSpec, Observation, ObservationSpec, stream
from vlagym.policies.base import EpisodeContext, PolicySpec
from vlagym.policies.loading import refuse_argument, refuse_options


class Uniform:
    """Draws from the box between low and high; orientations uniformly over rotations. Seeded by the episode, not by the order of episodes."""

    def __init__(self, seed: int = 0) -> None:
        self.spec = PolicySpec(
            name="uniform",
            action=None,
            observation=ObservationSpec(images=(), state=(), rate_hz=0.0),
            runs_in_worker=True,
            card={"about": "draws uniformly from the action space", "seed": seed},
        )
        self._seed = seed
        self._episodes: dict[int, tuple[ActionSpec, np.random.Generator]] = {}

    def reset(self, context: EpisodeContext) -> None:
        """Begins an episode; its draws depend on its digest and the policy's seed alone."""
        self._episodes[context.slot] = (context.action, stream(self._seed, "uniform", context.digest))

    def act(self, observations: Mapping[int, Observation]) -> dict[int, ActionChunk]:
        """Returns one action for each slot."""
        return {slot: _draw(*self._episodes[slot]) for slot in observations}

    def close(self) -> None:
        """Holds nothing."""


def _draw(spec: ActionSpec, rng: np.random.Generator) -> ActionChunk:
    values = rng.uniform(spec.low, spec.high)
    for component, where in zip(spec.components, spec.slices().values(), strict=True):
        if component.convention == "quaternion_wxyz":
            quat = rng.normal(size=component.size)
            values[where] = quat / np.linalg.norm(quat)
    # Rounding to float32 may step over a bound by one unit in the last place.
    return ActionChunk(values=np.clip(values.astype(np.float32), spec.low, spec.high)[None], spec=spec)


def POLICY(argument: str | None, options: Mapping[str, str]) -> Uniform:
    """Builds the policy. Option: seed, a whole number, 0 where it is not given."""
    refuse_argument("uniform", argument)
    refuse_options("uniform", options, known=("seed",))
    try:
        seed = int(options.get("seed", "0"))
    except ValueError as error:
        raise BadData(f"the seed of uniform is a whole number, not {options['seed']!r}") from error
    if seed < 0:
        raise BadData(f"the seed of uniform is 0 or more, not {seed}")
    return Uniform(seed)
