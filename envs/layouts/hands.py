"""Which hand a goal asks for: named in about half of the episodes, and only where that hand reaches; else left to whoever does it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from vlagym.envs.robot import WorkArea
from vlagym.envs.task import Crowded, Draft, Goal
from vlagym.envs.types import Predicate

NAMED_SHARE = 0.5
"""Of the episodes: the sentence says which hand."""


def hands_at(work: WorkArea, y_m: float) -> tuple[str, ...]:
    """Returns the sides of the hands that reach a place of the table, at any depth of the work area.

    Args:
      work: Of the robot.
      y_m: Of the place, world frame; to the left of the robot is positive.
    """
    there = (("left", work.left_y_m), ("right", work.right_y_m))
    return tuple(side for side, (low, high) in there if low <= y_m <= high)


def where_of(draft: Draft, name: str) -> tuple[float, float]:
    """Returns where a prop or fixture of a draft stands: x and y in m."""
    places = {prop.name: prop.pos_world for prop in draft.props} | {fixture.name: fixture.pos_world for fixture in draft.fixtures}
    x, y, _ = places[name.partition("/")[0]]
    return x, y


def aside_of(draft: Draft, name: str) -> float:
    """Returns how far to the left of the robot, as it begins, a prop or fixture of a draft stands, in m."""
    (x, y), (bx, by, yaw) = where_of(draft, name), draft.robot_start
    return math.cos(yaw) * (y - by) - math.sin(yaw) * (x - bx)


def by_hand(thing: str, side: str) -> Predicate:
    """Returns the condition that this hand alone has touched a prop or fixture, "panel" for "panel/button"."""
    return Predicate(name="by_hand", args=(thing.partition("/")[0], f"={side}"))


def goals_by_hand(draft: Draft, wanted: Sequence[tuple[str, Goal]], *, says: Callable[[str, str], Predicate] = by_hand) -> list[Goal]:
    """Returns the goals of a scene, with or without a word about the hand; the first one is that of the first thing.

    Where a hand is named, every goal is there once for each hand that reaches all that it is about; else each is there once, if a hand does.

    Args:
      draft: The scene; says by `variety` whether a hand is named.
      wanted: (thing, goal) for each; the goal without a hand.
      says: Makes the condition that names a hand, of a thing and a side.

    Raises:
      Crowded: If no hand reaches the first thing.
    """
    reached = [_hands_for(draft, thing, goal) for thing, goal in wanted]
    if not reached[0]:
        raise Crowded(f"{wanted[0][0]} stands where no hand reaches")
    if draft.variety.random() >= NAMED_SHARE:
        return [goal for (_, goal), sides in zip(wanted, reached, strict=True) if sides]
    first = reached[0][int(draft.rng.integers(len(reached[0])))]
    goals = [(thing, goal, side) for (thing, goal), sides in zip(wanted, reached, strict=True) for side in sides]
    goals.sort(key=lambda item: item[2] != first)  # stable: of the first thing's goals, the one of the hand that is named comes first
    return [_with(goal, says(thing, side)) for thing, goal, side in goals]


def _hands_for(draft: Draft, thing: str, goal: Goal) -> tuple[str, ...]:
    """Returns the sides of the hands that reach a thing and whatever else a goal is about."""
    things = dict.fromkeys((thing.partition("/")[0], *(name for p in goal.conditions for name in p.things)))
    reached = [hands_at(draft.work, aside_of(draft, name)) for name in things]
    return tuple(side for side in reached[0] if all(side in sides for sides in reached))


def _with(goal: Goal, hand: Predicate) -> Goal:
    conditions = (*goal.conditions, hand)
    return Goal(
        conditions=conditions,
        stages=(*goal.stages, hand) if goal.stages[-len(goal.conditions) :] == goal.conditions else (*goal.stages, *conditions),
        steps=goal.steps,
        expert_s=goal.expert_s,
    )
