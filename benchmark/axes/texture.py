"""Things wear a pattern over their colour: dots, stripes, checks or speckle, which say nothing about what they are made of."""

from __future__ import annotations

import dataclasses

import numpy as np

from vlagym.benchmark.axis import Axis
from vlagym.benchmark.rewording import said_again
from vlagym.benchmark.variation.concern import GRADES, graded
from vlagym.envs.fixtures import get_fixture
from vlagym.envs.objects import asset_of
from vlagym.envs.textures.worn import can_wear, worn, worn_names
from vlagym.envs.types import EpisodeSpec

_CONTRAST = {1: (0.0, 0.4), 2: (0.0, 0.4), 3: (0.4, 0.8), 4: (0.4, 0.8), 5: (0.8, 1.0)}
"""By level: from which to which contrast the patterns have."""


def _texture(spec: EpisodeSpec, level: int, rng: np.random.Generator) -> EpisodeSpec:
    able = {p.name for p in spec.scene.props if any(map(can_wear, asset_of(p).visual)) and "bead" not in asset_of(p).roles}
    able |= {f.name for f in spec.scene.fixtures if any(map(can_wear, get_fixture(f.asset).visual))}
    low, high = _CONTRAST[level]
    patterns = [name for name in worn_names() if low < worn(name).contrast <= high]
    wears = {
        name: patterns[int(rng.integers(len(patterns)))]
        for name in graded(spec, level, able, "has a part that could wear a pattern", rng)
    }  # fmt: skip
    scene = dataclasses.replace(
        spec.scene,
        props=tuple(dataclasses.replace(p, texture=wears.get(p.name, p.texture)) for p in spec.scene.props),
        fixtures=tuple(dataclasses.replace(f, texture=wears.get(f.name, f.texture)) for f in spec.scene.fixtures),
    )
    return said_again(dataclasses.replace(spec, scene=scene), rng)


AXIS = Axis(
    tells=tuple(
        f"{what}: a pattern whose second colour is {round(100 * _CONTRAST[level][0])} to {round(100 * _CONTRAST[level][1])} % of the way "
        "from the thing's own to white or black"
        for level, what in enumerate(GRADES, 1)
    ),
    group="object",
    changes=("scene", "instruction", "phrase", "level"),
    apply=_texture,
)
