"""Largest summed normal force between the robot and what the goal names, at any substep: how gently a thing is handled."""

from __future__ import annotations

from vlagym.benchmark.metric import Metric
from vlagym.envs.types import CONTACT_KINDS, EpisodeSpec, Trace

_KIND = CONTACT_KINDS.index("robot_target")


def _measure(trace: Trace, spec: EpisodeSpec) -> float | None:
    """Returns the force in N; None where the robot touched nothing that the goal names, or no substep was simulated.

    Not to have touched it is no gentle handling, or the policy that never arrives would be the gentlest.
    """
    force = trace.contact_force_n[..., _KIND]
    return float(force.max()) if force.any() else None


METRIC = Metric(unit="N", better="lower", kind="mean", measure=_measure)
