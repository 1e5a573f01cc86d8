"""Things are lighter or heavier than they look."""

from __future__ import annotations

import dataclasses

import numpy as np

from vlagym.benchmark.axis import Axis
from vlagym.benchmark.variation.handled import multiplied
from vlagym.envs.objects import get
from vlagym.envs.types import EpisodeSpec, PropSpec

_FACTORS = {1: (0.8, 1.25), 2: (0.65, 1.5), 3: (0.5, 2.0), 4: (0.35, 2.5), 5: (0.25, 3.0)}
"""By level: what the mass is multiplied by, one or the other."""
HEAVIEST_KG = 1.5
"""Half of what a Franka Emika Panda carries (datasheet: 3 kg): what weighs more afterwards weighs this much, or what it weighed before."""


def _changed(prop: PropSpec, factor: float) -> PropSpec:
    own = prop.mass_kg if prop.mass_kg is not None else get(prop.asset).mass_kg
    return dataclasses.replace(prop, mass_kg=round(min(own * factor, max(own, HEAVIEST_KG)), 5))


def _mass(spec: EpisodeSpec, level: int, rng: np.random.Generator) -> EpisodeSpec:
    return multiplied(spec, "mass", _FACTORS[level], rng, _changed)


AXIS = Axis(
    group="physics",
    changes=("scene",),
    apply=_mass,
    tells=tuple(f"mass of every thing {less:g} or {more:g} times as large, {HEAVIEST_KG:g} kg at most" for less, more in _FACTORS.values()),
)
