"""Collisions of each kind: events at which the summed normal force first exceeds 1 N after 0.1 s without it, over all substeps."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlagym.benchmark.metric import Metric
from vlagym.benchmark.metrics._contacts import COLLISION_KINDS, force_by_kind
from vlagym.envs.types import EpisodeSpec, Trace

THRESHOLD_N = 1.0
QUIET_S = 0.1


def count_events(force_n: NDArray[Any], substep_s: float) -> int:
    """Returns how often a force rose above `THRESHOLD_N` after at least `QUIET_S` without exceeding it.

    Args:
      force_n: `(M,)` force at each substep. Before the first one there was none.
      substep_s: Time between two entries.
    """
    quiet_substeps = math.ceil(QUIET_S / substep_s - 1e-9)
    above = np.flatnonzero(force_n > THRESHOLD_N)
    if above.size == 0:
        return 0
    return 1 + int((np.diff(above) - 1 >= quiet_substeps).sum())


def _measure(trace: Trace, spec: EpisodeSpec) -> dict[str, float | None]:
    forces = force_by_kind(trace, spec)
    return {kind: None if force is None else float(count_events(force, trace.substep_s)) for kind, force in forces.items()}


METRIC = Metric(unit="1", better="lower", kind="mean", measure=_measure, parts=COLLISION_KINDS)
