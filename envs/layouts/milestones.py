"""Stages that tasks share: how a thing comes to be held, and how it comes to be somewhere else."""

from __future__ import annotations

from collections.abc import Sequence

from vlagym.envs.types import Predicate


def grasped(thing: str) -> tuple[Predicate, ...]:
    """Returns the stages until a prop is in the hand and in the air."""
    return tuple(Predicate(name=name, args=(thing,)) for name in ("touched", "held", "lifted"))


def carried(moves: Sequence[Predicate]) -> tuple[Predicate, ...]:
    """Returns the stages of carrying props one after another, then all the conditions together.

    Args:
      moves: Conditions that begin with the prop that is carried, such as on(a, b), in the order in which they are brought about.
    """
    stages: list[Predicate] = []
    for move in moves:
        stages += grasped(move.args[0])
        if move.name in ("on", "inside", "stacked"):
            stages.append(Predicate(name="over", args=move.args))
        if len(moves) > 1:
            stages.append(move)
    return (*stages, *moves)
