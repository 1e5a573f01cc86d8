"""Where a dataset tells its motion in a convention that is asked for: in the actions themselves, or in other commands that are stored as well."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.types import ActionSpec
from vlagym.results.demonstration import DatasetInfo, Demonstration
from vlagym.results.formats._vectors import SIDES

ACTIONS = ""
"""Stands for the actions themselves among the names of commands."""


def specs(info: DatasetInfo) -> Iterator[tuple[str, ActionSpec]]:
    """Yields the conventions in which motion is told: that of the actions first."""
    yield ACTIONS, info.action
    yield from info.commands.items()


def rows_of(demonstration: Demonstration, source: str) -> NDArray[np.float32]:
    """Returns the rows of ACTIONS or of a command, `(T, D)`."""
    return demonstration.actions if source == ACTIONS else demonstration.commands[source]


def told(info: DatasetInfo) -> str:
    """Returns the names of the conventions, in words."""
    return ", ".join(dict.fromkeys(spec.name for _, spec in specs(info)))


def is_of_two_hands(spec: ActionSpec) -> bool:
    """Returns whether an action moves a left and a right hand."""
    return all(any(c.name.startswith(f"{side}_") for c in spec.components) for side in SIDES)
