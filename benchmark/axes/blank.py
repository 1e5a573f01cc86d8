"""The sentence is taken away: a policy that listens can no longer know what is wanted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from vlagym.benchmark.axis import Axis
from vlagym.envs.types import EpisodeSpec


def _blank(spec: EpisodeSpec, level: int, rng: np.random.Generator) -> EpisodeSpec:
    return replace(spec, instruction="", phrase="blank")


AXIS = Axis(levels=(0, 1), tells=("no sentence at all",), group="control", changes=("instruction", "phrase"), apply=_blank)
