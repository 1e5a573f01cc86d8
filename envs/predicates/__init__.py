"""Goal conditions and stages: a predicate looks at the state of the world and says whether it holds. A module a group, a short class each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vlagym.envs.errors import BadSpec, unknown_name
from vlagym.envs.predicates import (
    carrying,
    controls,
    facing,
    fitting,
    gestures,
    hand,
    hands,
    joints,
    placing,
    pointing,
    pouring,
    pushing,
    relations,
)
from vlagym.envs.predicates.state import Check as Check
from vlagym.envs.predicates.state import WorldState as WorldState
from vlagym.envs.types import EpisodeSpec, Predicate


PREDICATES: Mapping[str, type[Any]] = {
    **placing.PREDICATES,
    **joints.PREDICATES,
    **hand.PREDICATES,
    **pushing.PREDICATES,
    **pouring.PREDICATES,
    **fitting.PREDICATES,
    **relations.PREDICATES,
    **controls.PREDICATES,
    **hands.PREDICATES,
    **pointing.PREDICATES,
    **carrying.PREDICATES,
    **gestures.PREDICATES,
    **facing.PREDICATES,
}
"""Name -> class: `arity`, made of (spec, *args), called with a WorldState; `is_on_table` where it wants a thing put down on the table itself.

Each module has its own such mapping."""


def compile_predicate(predicate: Predicate, spec: EpisodeSpec) -> Check:
    """Returns the function that evaluates a predicate in an episode.

    Raises:
      UnknownName: If there is no such predicate, prop, fixture or joint.
      BadSpec: If it speaks of the wrong number of things, or of things of the wrong kind.
    """
    if predicate.name not in PREDICATES:
        raise unknown_name("predicate", predicate.name, PREDICATES)
    kind = PREDICATES[predicate.name]
    if len(predicate.args) != kind.arity:
        raise BadSpec(f"{predicate} speaks of {len(predicate.args)} things; {predicate.name} takes {kind.arity}")
    compiled: Check = kind(spec, *predicate.args)
    return compiled


def rests_on_table(goal: Sequence[Predicate]) -> bool:
    """Returns whether a condition of a goal wants something to stand on the table: putting it down there is no collision."""
    return any(getattr(PREDICATES.get(p.name), "is_on_table", False) for p in goal)
