"""Disturbances of a demonstration: what is executed leaves the path, the label says how to come back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vlagym.benchmark.rollout import Perturb
from vlagym.envs.types import ActionSpec

_DISTURBED = (
    *("translation", "rotation", "position", "joints"),
    *(f"{side}_{what}" for side in ("left", "right") for what in ("translation", "rotation", "arm")),
)
"""Components of an action that noise is added to. A hand that opens by chance teaches nothing; an orientation is no displacement; what carries the
robot is left alone."""


@dataclass(frozen=True, kw_only=True)
class Noise:
    """Disturbances of what is executed; the stored label stays what the expert wanted (DART, Laskey et al. 2017)."""

    burst_probability: float = 0.03
    """That a burst begins at a step."""
    burst_steps: tuple[int, int] = (3, 7)
    """Shortest and longest burst."""
    burst_sigma: float = 0.35
    """Of the displacement that a burst adds to each of its steps, as a share of full scale; one draw a burst, so that it leads astray."""
    sigma: float = 0.03
    """Of what is added to each step besides, as a share of full scale."""

    @property
    def is_quiet(self) -> bool:
        """Whether nothing is disturbed: what is executed is the label."""
        return self.sigma == 0.0 and (self.burst_probability == 0.0 or self.burst_sigma == 0.0)


QUIET = Noise(burst_probability=0.0, burst_sigma=0.0, sigma=0.0)


def perturbation(noise: Noise, spec: ActionSpec, rng: np.random.Generator) -> Perturb:
    """Returns the disturbance of one episode; it remembers the burst that it is in."""
    slices = spec.slices()
    mask = np.zeros(spec.size, bool)
    for name in _DISTURBED:
        if name in slices:
            mask[slices[name]] = True
    half_range = (spec.high - spec.low) / 2
    left, push = 0, np.zeros(spec.size)

    def perturb(step: int, action: NDArray[np.float32]) -> NDArray[np.float32]:
        nonlocal left, push
        if left == 0 and rng.random() < noise.burst_probability:
            left = int(rng.integers(noise.burst_steps[0], noise.burst_steps[1] + 1))
            push = rng.normal(0.0, noise.burst_sigma, spec.size)
        added = rng.normal(0.0, 1.0, spec.size) * noise.sigma + (push if left else 0.0)
        left = max(0, left - 1)
        return np.clip(action + np.where(mask, added * half_range, 0.0), spec.low, spec.high).astype(np.float32)

    return perturb
