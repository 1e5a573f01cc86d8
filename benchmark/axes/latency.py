"""Actions arrive late: each is executed some control steps after it was sent."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from vlagym.benchmark.axis import Axis
from vlagym.envs.types import EpisodeSpec

_STEPS = (1, 2, 3, 4, 6)
"""By level. Serving a large model over a network takes 50 to 300 ms from the image to the action; at 20 Hz that is 1 to 6 control steps."""


def _latency(spec: EpisodeSpec, level: int, rng: np.random.Generator) -> EpisodeSpec:
    return replace(spec, action_delay_steps=spec.action_delay_steps + _STEPS[level - 1])


AXIS = Axis(
    group="timing",
    tells=tuple(f"each action is executed {n} control step{'s' * (n > 1)} after it was sent ({50 * n} ms at 20 Hz)" for n in _STEPS),
    changes=("action_delay_steps",),
    apply=_latency,
)
