"""Why an episode failed, in one label: the first rule that fits, in the order of `MODES`. A pure function of the trace."""

from __future__ import annotations

import typing
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vlagym.benchmark.metrics._manipulation import DISPLACED_M, first_manipulated
from vlagym.benchmark.metrics._stages import stages_in_order
from vlagym.benchmark.metrics.drops import dropped
from vlagym.envs.types import EpisodeSpec, Predicate, Trace

FailureMode = Literal["never_moved", "never_reached", "wrong_object", "grasp_failed", "dropped", "wrong_place", "undone", "timed_out", "unsafe"]
MODES: tuple[FailureMode, ...] = typing.get_args(FailureMode)
"""In the order in which the rules are tried."""

ABOUT: dict[FailureMode, str] = {
    "never_moved": "no hand came 2 cm, no joint 0.05 rad from where it was",
    "never_reached": "nothing that the goal names was touched, and nothing else moved",
    "wrong_object": "the first thing that was grasped or moved is none that the goal names, or its turn had not come",
    "grasp_failed": "what was to be grasped next was touched and never held",
    "dropped": "something that the goal names fell out of the hand and is not where it belongs",
    "wrong_place": "what the goal is about was moved and let go, and was never where it belongs; or it fulfilled another goal of the scene",
    "undone": "a condition of the goal held in the course of the episode, and no longer at its end",
    "timed_out": "the time was up on the way",
    "unsafe": "a fall, a stop of the safety filter or a diverging simulation ended it before its time",
}
"""What each label says, for whoever reads a table."""

CARRYING = frozenset(("held", "held_with", "lifted", "over", "on", "inside", "stacked", "poured", "inserted"))
"""Stages that nobody reaches who does not hold the thing that they are about."""

MOVED_M = 0.02
MOVED_RAD = 0.05
"""Farther than a posture that is held sags under its own weight; a metre and a radian alike for a base that glides."""


def failure_mode(trace: Trace) -> FailureMode | None:
    """Returns the label of a failed episode; None for a success, for an error, and for who did what a contradictory sentence asked for.

    The rules speak of episodes that had their time: what was cut short by a fall, a stop or a divergence is `unsafe`, for nobody knows what
    it would have come to.

    Raises:
      BadData: If the columns do not fit the spec.
    """
    if trace.ended_by in ("goal", "policy_error", "env_error"):
        return None
    if trace.spec.told is not None and trace.ended_by == "wrong_goal" and trace.columns["alternative_met"][-1, trace.spec.told]:
        return None
    if trace.ended_by in ("fall", "stop", "divergence"):
        return "unsafe"
    episode = _Episode(
        spec=trace.spec,
        trace=trace,
        manipulated=first_manipulated(trace, trace.spec),
        goal_met=np.asarray(trace.columns["goal_met"], bool),
        chosen=_chosen(trace),
    )
    return next((mode for mode, fits in _RULES if fits(episode)), "timed_out")


class _Episode(NamedTuple):
    spec: EpisodeSpec
    trace: Trace
    manipulated: dict[str, int]
    """Things that the robot grasped or moved, and the row at which it first had."""
    goal_met: NDArray[Any]
    """(T + 1, G) bool"""
    chosen: tuple[Predicate, ...]
    """The other goal of the scene that was reached; empty where none was."""


def _chosen(trace: Trace) -> tuple[Predicate, ...]:
    met = np.flatnonzero(trace.columns["alternative_met"][-1]) if trace.ended_by == "wrong_goal" else np.zeros(0, int)
    return trace.spec.alternatives[int(met[0])] if met.size else ()


def _never_moved(of: _Episode) -> bool:
    columns = of.trace.columns
    hands_m = np.linalg.norm(columns["ee_pos_world_m"] - columns["ee_pos_world_m"][:1], axis=2)
    turns_rad = [np.abs(columns[name] - columns[name][:1]) for name in ("joint_pos", "base_pose_world")]
    return not (hands_m > MOVED_M).any() and not any((turn > MOVED_RAD).any() for turn in turns_rad)


def _never_reached(of: _Episode) -> bool:
    is_reached = any(of.trace.columns[f"{kind}_robot_force_n"][:, i].any() for kind, i in _indices(of.spec, of.spec.concerned))
    return not is_reached and not of.manipulated and of.trace.ended_by == "horizon"


def _wrong_object(of: _Episode) -> bool:
    if of.trace.ended_by == "wrong_order":
        return True
    if of.manipulated:
        start = min(of.manipulated.values())
        # As in target_first: of several that move in the same control step all must be named.
        if any(name not in of.spec.concerned for name, row in of.manipulated.items() if row == start):
            return True
    wanted = {p.args[0] for p in of.spec.goal if p.args}
    return any(p.args and p.args[0] not in wanted for p in of.chosen)


def _grasp_failed(of: _Episode) -> bool:
    pending = _pending_stage(of)
    if pending is None or pending.name not in CARRYING or of.chosen:
        return False
    columns = of.trace.columns
    return any(
        kind == "prop" and columns["prop_robot_force_n"][:, i].any() and not columns["prop_is_held"][:, i].any()
        for kind, i in _indices(of.spec, pending.things[:1])
    )


def _dropped(of: _Episode) -> bool:
    for name in dropped(of.trace, of.spec):
        about = [g for g, predicate in enumerate(of.spec.goal) if predicate.args[:1] == (name,)]
        if name in of.spec.concerned and not (about and of.goal_met[-1, about].all()):
            return True
    return False


def _wrong_place(of: _Episode) -> bool:
    if of.trace.ended_by == "wrong_goal":
        return True
    never_met = [p for g, p in enumerate(of.spec.goal) if not of.goal_met[:, g].any()]
    moved = [name for p in never_met for name in p.things[:1] if name in of.manipulated]
    return any(_is_let_go(of, kind, i) and _is_elsewhere(of, kind, i) for kind, i in _indices(of.spec, tuple(moved)))


def _is_let_go(of: _Episode, kind: str, i: int) -> bool:
    columns = of.trace.columns
    is_held = kind == "prop" and bool(columns["prop_is_held"][-1, i])
    return not is_held and not columns[f"{kind}_robot_force_n"][-1, i]


def _is_elsewhere(of: _Episode, kind: str, i: int) -> bool:
    """Returns whether a prop ends farther from its start than `DISPLACED_M`; what was held for a moment and stands where it stood was not moved."""
    pos = of.trace.columns["prop_pos_world_m"]
    return kind == "fixture" or float(np.linalg.norm(pos[-1, i] - pos[0, i])) > DISPLACED_M


def _undone(of: _Episode) -> bool:
    return bool((of.goal_met[1:].any(axis=0) & ~of.goal_met[-1]).any())


_RULES: tuple[tuple[FailureMode, Callable[[_Episode], bool]], ...] = (
    ("never_moved", _never_moved),
    ("never_reached", _never_reached),
    ("wrong_object", _wrong_object),
    ("grasp_failed", _grasp_failed),
    ("dropped", _dropped),
    ("wrong_place", _wrong_place),
    ("undone", _undone),
)


def _indices(spec: EpisodeSpec, names: tuple[str, ...]) -> list[tuple[str, int]]:
    """Returns where things stand among the props or the fixtures of a spec."""
    things = [("prop", i, p.name) for i, p in enumerate(spec.scene.props)] + [("fixture", i, f.name) for i, f in enumerate(spec.scene.fixtures)]
    return [(kind, i) for kind, i, name in things if name in names]


def _pending_stage(of: _Episode) -> Predicate | None:
    """Returns the first stage of the plan that was not reached in its turn."""
    reached = stages_in_order(of.trace)
    return of.spec.stages[reached] if reached < len(of.spec.stages) else None
