"""Which hand does it: the one that the goal names, or whichever is free to."""

from __future__ import annotations

from vlagym.envs.errors import BadSpec
from vlagym.envs.predicates.state import word
from vlagym.envs.robot import Robot
from vlagym.envs.types import EpisodeSpec

_SAYS_WHO = ("by_hand", "pointed_at_with", "held_with")


def named_hand(spec: EpisodeSpec, thing: str) -> str | None:
    """Returns the side of the hand that the goal or one of its steps names for a thing; None where the hand is left free.

    Args:
      spec: The episode.
      thing: A prop, a fixture, or a part of one: "panel/button".

    Raises:
      BadSpec: If it names both hands for the same thing.
    """
    root = thing.partition("/")[0]
    predicates = [*spec.goal, *(p for step in spec.steps for p in step)]
    named = {word(p.args[1]) for p in predicates if p.name in _SAYS_WHO and p.args[0].partition("/")[0] == root}
    if len(named) > 1:
        raise BadSpec(f"the goal names both hands for {root!r}; one hand does it")
    return next(iter(named), None)


def free_hands(spec: EpisodeSpec, robot: Robot, thing: str) -> tuple[str, ...]:
    """Returns the sides of the hands that may do something with a thing."""
    named = named_hand(spec, thing)
    return robot.sides if named is None else (robot.hand(named).side,)
