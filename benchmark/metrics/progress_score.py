"""Goal conditions that hold at the end and targets that were grasped, as a share of both (the progress score of VLABench)."""

from __future__ import annotations

from vlagym.benchmark.metric import Metric
from vlagym.envs.types import EpisodeSpec, Trace


def _measure(trace: Trace, spec: EpisodeSpec) -> float | None:
    """Returns (conditions that hold + targets grasped) / (conditions + targets).

    A target is a prop that a goal condition is about: its first argument. It is grasped if it was held at some control step. So that no success
    scores less than 1, as it would where a thing is pushed to its place, a target all of whose conditions hold at the end counts as grasped.
    """
    last = [bool(met) for met in trace.columns["goal_met"][-1]]
    if not last:
        return None
    was_held = [bool(column.any()) for column in trace.columns["prop_is_held"].T]
    index = {prop.name: i for i, prop in enumerate(spec.scene.props)}
    about: dict[str, list[int]] = {}
    for condition, predicate in enumerate(spec.goal):
        if predicate.things and predicate.things[0] in index:
            about.setdefault(predicate.things[0], []).append(condition)
    grasped = sum(was_held[index[name]] or all(last[condition] for condition in conditions) for name, conditions in about.items())
    return (sum(last) + grasped) / (len(last) + len(about))


METRIC = Metric(unit="share", better="higher", kind="mean", measure=_measure)
