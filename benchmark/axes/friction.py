"""Things slide more easily, or less, over the table and between the pads of the hand."""

from __future__ import annotations

import dataclasses

import numpy as np

from vlagym.benchmark.axis import Axis
from vlagym.benchmark.variation.handled import handled
from vlagym.envs.objects import get
from vlagym.envs.types import EpisodeSpec, PropSpec

_FACTORS = {1: (0.9, 1.1), 2: (0.8, 1.25), 3: (0.7, 1.5), 4: (0.6, 1.75), 5: (0.5, 2.0)}
"""By level: what the coefficient is multiplied by, one or the other."""
_PAD = 1.0
"""Sliding friction coefficient of the pads and of the table: a prop that has less itself does not slide more easily over them."""


def _friction(spec: EpisodeSpec, level: int, rng: np.random.Generator) -> EpisodeSpec:
    """Multiplies the friction of all things by one of two factors each; those that the goal is about share one, lest they cancel out."""
    moved = handled(spec, "friction")
    less, more = _FACTORS[level]
    shared = (less, more)[int(rng.integers(2))]

    def one(prop: PropSpec) -> PropSpec:
        factor = (less, more)[int(rng.integers(2))]
        if prop.content_of is not None:
            return prop
        own = prop.friction if prop.friction is not None else max(get(prop.asset).friction, _PAD)
        return dataclasses.replace(prop, friction=round(own * (shared if prop.name in moved else factor), 4))

    scene = dataclasses.replace(spec.scene, props=tuple(map(one, spec.scene.props)))
    return dataclasses.replace(spec, scene=scene)


AXIS = Axis(
    group="physics",
    changes=("scene",),
    apply=_friction,
    tells=tuple(f"sliding friction of every thing {less:g} or {more:g} times as large" for less, more in _FACTORS.values()),
)
