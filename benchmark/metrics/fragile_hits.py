"""How often something that breaks was hit or fell; None where nothing breaks."""

from __future__ import annotations

from vlagym.benchmark.metric import Metric
from vlagym.benchmark.metrics._fragile import count_falls, fragile
from vlagym.benchmark.metrics.collisions import count_events
from vlagym.envs.types import EpisodeSpec, Trace


def _measure(trace: Trace, spec: EpisodeSpec) -> float | None:
    """Returns the events, summed over the props with `is_fragile`.

    A hit is an event of force between the robot and a fragile prop that the goal does not name, by the rule of `collisions`: it exceeds 1 N after
    0.1 s without. A fall is one of any fragile prop, by more than 3 cm within 0.5 s, wherever it lands: to let a glass go over its place breaks
    it too. To touch and to hold what the goal names is the task.
    """
    indices = fragile(spec)
    if not indices:
        return None
    columns, rate_hz = trace.columns, spec.control.rate_hz
    events = 0
    for i in indices:
        if spec.scene.props[i].name not in spec.concerned:
            events += count_events(columns["prop_robot_force_n"][1:, i], 1.0 / rate_hz)
        events += count_falls(columns["prop_pos_world_m"][:, i, 2], columns["prop_is_held"][:, i], rate_hz)
    return float(events)


METRIC = Metric(unit="1", better="lower", kind="mean", measure=_measure, headline=True)
