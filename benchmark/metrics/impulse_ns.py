"""Impulse of each kind of collision: its summed normal force times the length of a substep, over all substeps."""

from __future__ import annotations

import numpy as np

from vlagym.benchmark.metric import Metric
from vlagym.benchmark.metrics._contacts import COLLISION_KINDS, force_by_kind
from vlagym.envs.types import EpisodeSpec, Trace


def _measure(trace: Trace, spec: EpisodeSpec) -> dict[str, float | None]:
    forces = force_by_kind(trace, spec)
    return {kind: None if force is None else float(force.sum(dtype=np.float64)) * trace.substep_s for kind, force in forces.items()}


METRIC = Metric(unit="Ns", better="lower", kind="mean", measure=_measure, parts=COLLISION_KINDS)
