"""What an episode's goal has the robot handle: axes of physics vary what that is made of, and have nothing to vary where it is furniture alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from vlagym.benchmark.axis import NotApplicable
from vlagym.envs.types import EpisodeSpec, PropSpec


def handled(spec: EpisodeSpec, what: str) -> frozenset[str]:
    """Returns the names of the props that the goal is about.

    Args:
      spec: The episode.
      what: That is to be varied, for the error.

    Raises:
      NotApplicable: If there is none: another friction or mass of what only stands around would change nothing that is measured.
    """
    props = {prop.name for prop in spec.scene.props}
    named = frozenset(name for name in spec.named if name in props)
    if not named:
        raise NotApplicable(f"{spec.task!r} with seed {spec.seed} is about {', '.join(spec.named)} alone, whose {what} an episode does not state")
    return named


def multiplied(
    spec: EpisodeSpec, what: str, factors: tuple[float, float], rng: np.random.Generator, change: Callable[[PropSpec, float], PropSpec]
) -> EpisodeSpec:
    """Returns an episode in which something of every prop is multiplied by one of two factors; what the goal is about shares one.

    Otherwise the two could cancel out: something slippery is easier to push, and harder to hold. What is in a vessel stays as it is.

    Args:
      spec: The episode.
      what: Is multiplied, for the error.
      factors: One below 1 and one above.
      rng: Draws one of them for each prop.
      change: Returns a prop in which that is so many times as large.

    Raises:
      NotApplicable: As `handled`.
    """
    together = handled(spec, what)
    shared = factors[int(rng.integers(2))]

    def one(prop: PropSpec) -> PropSpec:
        own = factors[int(rng.integers(2))]
        return prop if prop.content_of is not None else change(prop, shared if prop.name in together else own)

    return dataclasses.replace(spec, scene=dataclasses.replace(spec.scene, props=tuple(map(one, spec.scene.props))))
