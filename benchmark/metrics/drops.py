"""Objects that left the hand and fell more than 3 cm, but for those that fell into their destination."""

from __future__ import annotations

import math

import numpy as np

from vlagym.benchmark.metric import Metric
from vlagym.envs.types import EpisodeSpec, Trace

FALL_M = 0.03
WINDOW_S = 0.5
"""A free fall of this time is 1.2 m: enough to reach the table or the floor from any height at which a prop is carried."""


def dropped(trace: Trace, spec: EpisodeSpec) -> list[str]:
    """Returns the name of the prop of each drop.

    A drop begins at the last row at which a prop is held. It is one if the prop's base comes more than `FALL_M` below that height within
    `WINDOW_S`, or until it is caught again or the episode ends; unless at the end of that time all goal conditions that are about this prop
    (it is their first argument) hold: then it was let go over its destination.
    """
    is_held = trace.columns["prop_is_held"].astype(bool)
    height_m = trace.columns["prop_pos_world_m"][:, :, 2]
    goal_met = trace.columns["goal_met"].astype(bool)
    window = math.ceil(WINDOW_S * spec.control.rate_hz - 1e-9)
    drops: list[str] = []
    for index in np.flatnonzero(is_held.any(axis=0)):
        name = spec.scene.props[index].name
        about = [g for g, predicate in enumerate(spec.goal) if predicate.args[:1] == (name,)]
        for last_held in np.flatnonzero(is_held[:-1, index] & ~is_held[1:, index]):
            end = min(int(last_held) + window, trace.num_steps)
            caught = np.flatnonzero(is_held[last_held + 1 : end + 1, index])
            if caught.size:
                end = int(last_held) + 1 + int(caught[0])
            fell = height_m[last_held, index] - height_m[last_held : end + 1, index].min() > FALL_M
            arrived = bool(about) and bool(goal_met[end, about].all())
            drops += [name] if fell and not arrived else []
    return drops


def _measure(trace: Trace, spec: EpisodeSpec) -> float | None:
    """Returns the number of drops; None where there is nothing to drop."""
    return float(len(dropped(trace, spec))) if spec.scene.props else None


METRIC = Metric(unit="1", better="lower", kind="mean", measure=_measure, headline=True)
