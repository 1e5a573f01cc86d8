"""Things slide more easily, or less, over the table and between the pads of the hand."""

from __future__ import annotations

import dataclasses

import numpy as np

from vlagym.benchmark.axis import Axis
from vlagym.benchmark.variation.handled import multiplied
from vlagym.envs.objects import get
from vlagym.envs.types import EpisodeSpec, PropSpec

_FACTORS = {1: (0.9, 1.1), 2: (0.8, 1.25), 3: (0.7, 1.5), 4: (0.6, 1.75), 5: (0.5, 2.0)}
"""By level: what the coefficient is multiplied by, one or the other."""
_PAD = 1.0
"""Sliding friction coefficient of the pads and of the table: a prop that has less itself does not slide more easily over them."""


def _changed(prop: PropSpec, factor: float) -> PropSpec:
    own = prop.friction if prop.friction is not None else max(get(prop.asset).friction, _PAD)
    return dataclasses.replace(prop, friction=round(own * factor, 4))


def _friction(spec: EpisodeSpec, level: int, rng: np.random.Generator) -> EpisodeSpec:
    return multiplied(spec, "friction", _FACTORS[level], rng, _changed)


AXIS = Axis(
    group="physics",
    changes=("scene",),
    apply=_friction,
    tells=tuple(f"sliding friction of every thing {less:g} or {more:g} times as large" for less, more in _FACTORS.values()),
)
