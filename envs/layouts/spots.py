"""Free places on the table: where a thing could be put so that it stands in a relation to others and touches none of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from vlagym.envs.frames import Array
from vlagym.envs.predicates.relations import Disc, margin_m

CLEAR_M = 0.012
"""A place is free if nothing stands within this distance of what is put there, and well within a region if it is this far from its border."""
_STEP_M = 0.015
_X_M, _Y_M = (0.335, 0.65), (-0.255, 0.255)


class Spot(NamedTuple):
    """A free place."""

    x: float
    y: float
    gap_m: float
    """To the nearest thing."""
    margin_m: float
    """To the border of the region."""


def free_spots(relation: str, radius_m: float, landmarks: Sequence[Disc], distance: Callable[[Array], Array]) -> list[Spot]:
    """Returns the free places of a grid over the working area that lie within the region of a relation, in the order of the grid.

    Args:
      relation: As in `margin_m`.
      radius_m: Of the outline of what is to be put there.
      landmarks: Likewise.
      distance: Of points (n, 2) from the nearest outline, (n,) m.
    """
    x, y = (side.ravel() for side in np.meshgrid(np.arange(*_X_M, _STEP_M), np.arange(*_Y_M, _STEP_M), indexing="ij"))
    inside = margin_m(relation, x, y, radius_m, landmarks)
    gaps = distance(np.stack([x, y], axis=1)) - radius_m
    fits = (inside >= CLEAR_M) & (gaps >= CLEAR_M)
    return [Spot(*(float(v) for v in row)) for row in zip(x[fits], y[fits], gaps[fits], inside[fits], strict=True)]


def distance_from(discs: Sequence[Disc]) -> Callable[[Array], Array]:
    """Returns the function that measures how far points (n, 2) are from the nearest of some discs, (n,) m; 1 m where there are none."""

    def distance(points: Array) -> Array:
        apart = [np.hypot(points[:, 0] - d.x, points[:, 1] - d.y) - d.radius_m for d in discs]
        nearest: Array = np.min([*apart, np.ones(len(points))], axis=0)
        return nearest

    return distance
