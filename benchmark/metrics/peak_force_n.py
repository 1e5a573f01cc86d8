"""Largest summed normal force of each kind of collision at any substep; 0 where nothing touched."""

from __future__ import annotations

from vlagym.benchmark.metric import Metric
from vlagym.benchmark.metrics._contacts import COLLISION_KINDS, force_by_kind
from vlagym.envs.types import EpisodeSpec, Trace


def _measure(trace: Trace, spec: EpisodeSpec) -> dict[str, float | None]:
    return {kind: None if force is None else float(force.max()) for kind, force in force_by_kind(trace, spec).items()}


METRIC = Metric(unit="N", better="lower", kind="mean", measure=_measure, parts=COLLISION_KINDS)
