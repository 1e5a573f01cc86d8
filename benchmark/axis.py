"""What an axis is: one way in which an episode is varied, in levels, and nothing else about it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from vlagym.envs import catalog
from vlagym.envs.errors import BadData, BadSpec
from vlagym.envs.types import EpisodeSpec, stream


@dataclass(frozen=True, kw_only=True)
class Axis:
    """A variation. `AXIS` of a file in benchmark/axes."""

    levels: tuple[int, ...]
    """The levels there are, from 0, which is the identity."""
    changes: tuple[str, ...]
    """Fields of `EpisodeSpec` that it may change; anything else that it changed is refused."""
    apply: Callable[[EpisodeSpec, int, np.random.Generator], EpisodeSpec]
    """(spec, level above 0, generator) -> the varied spec. Does not touch `axes` and `base`: `vary` does."""


def vary(spec: EpisodeSpec, name: str, level: int) -> EpisodeSpec:
    """Returns the episode at one level of an axis.

    The twin's digest is kept in `base`, through several axes too, so that the effect of a variation can be measured in pairs.

    Args:
      spec: Unvaried, or varied along other axes.
      name: A file of benchmark/axes, or package.module:ATTRIBUTE.
      level: 0 gives the spec back as it is.

    Raises:
      UnknownName: If there is no such axis.
      BadData: If the axis has no such level, or the episode was varied along it before.
      BadSpec: If the axis changed what it does not declare.
    """
    axis: Axis = catalog.load("axis", name)
    if level not in axis.levels:
        raise BadData(f"the axis {name!r} has no level {level}. It has: {', '.join(map(str, axis.levels))}")
    if level == 0:
        return spec
    if name in dict(spec.axes):
        raise BadData(f"the episode was varied along {name!r} before, to level {dict(spec.axes)[name]}")
    varied = axis.apply(spec, level, stream(spec.seed, "axis", name, str(level)))
    for field in dataclasses.fields(EpisodeSpec):
        if field.name not in axis.changes and getattr(varied, field.name) != getattr(spec, field.name):
            raise BadSpec(f"the axis {name!r} changed {field.name!r} and declares only: {', '.join(axis.changes)}")
    return dataclasses.replace(varied, axes=(*spec.axes, (name, level)), base=spec.base or spec.digest())


def parse_axis(text: str) -> tuple[str, int]:
    """Reads `NAME` (level 1) or `NAME=LEVEL`.

    Raises:
      BadData: If the level is no whole number.
    """
    name, equals, level = text.partition("=")
    if not equals:
        return name, 1
    if not level.isdecimal():
        raise BadData(f"an axis is written NAME or NAME=LEVEL with a whole number, not {text!r}")
    return name, int(level)
