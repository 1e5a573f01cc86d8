"""What the ground is asked to push with: forces and moments at two soles that add up to a wanted wrench, within friction and the soles' size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_FRICTION = 0.7  # of the pyramid; the soles have 1.0
_SPIN_M = 0.04  # moment about the sole's normal that it holds, for each newton of load
_LOAD_MIN_N = 5.0  # on each foot: it stays on the ground
_LOAD_MAX_N = 2000.0
# Preference for small forces, for each component of a sole: (forward, left, up) in N and the moments about them in N m. The load is shared
# freely between the feet; pressure stays near the middle of the soles.
_EFFORT = (1e-4, 1e-4, 1e-5, 2e-2, 2e-2, 2e-2)


class Sole(NamedTuple):
    """A sole in the world frame."""

    centre: Array
    """(3,) m"""
    turn: Array
    """(3, 3) its axes: forward, left, up."""


class GroundForces:
    """Distributes a wrench over two soles: a quadratic program whose constraints never change."""

    def __init__(self, half_sizes_m: Sequence[tuple[float, float]]) -> None:
        """Takes half the length and half the width of each sole, within which the centre of pressure is kept."""
        rows: list[Array] = []
        for i, (length, width) in enumerate(half_sizes_m):
            up = 6 * i + 2
            for component, share in ((0, _FRICTION), (1, _FRICTION), (4, length), (3, width), (5, _SPIN_M)):
                for sign in (1.0, -1.0):
                    row = np.zeros(12)
                    row[6 * i + component], row[up] = sign, -share
                    rows.append(row)
        self._rows = np.array(rows)
        self._upper = np.concatenate([np.full(12, _LOAD_MAX_N), np.zeros(len(rows))])
        self._lower = np.concatenate([np.full(12, -_LOAD_MAX_N), np.full(len(rows), -1e30)])
        self._lower[[2, 8]] = _LOAD_MIN_N
        self._sense = np.zeros(12 + len(rows), np.int32)
        self._effort = np.diag(_EFFORT * 2)

    def solve(self, soles: Sequence[Sole], about: Array, wrench: Array, weights: Array) -> Array:
        """Solves for the wrenches at the soles.

        Args:
          soles: The two.
          about: (3,) m, the point that the wanted moment is about.
          wrench: (6,) wanted force in N and moment in N m, in the world frame.
          weights: (6,) how much each of its components counts where not all can be had.

        Returns:
          (2, 6) force and moment on each sole at its centre, in the world frame.
        """
        import daqp

        total = np.zeros((6, 12))
        for i, sole in enumerate(soles):
            x, y, z = (sole.centre - about).tolist()
            lever = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
            at = 6 * i
            total[:3, at : at + 3] = total[3:, at + 3 : at + 6] = sole.turn
            total[3:, at : at + 3] = lever @ sole.turn
        weighted = total.T * weights
        x, _, flag, _ = daqp.solve(
            weighted @ total + self._effort, -weighted @ wrench, self._rows, self._upper, self._lower, self._sense
        )
        if flag <= 0:
            raise RuntimeError(f"daqp ended with flag {flag} on the ground forces for the wrench {wrench.tolist()}")
        return np.stack([(part @ sole.turn.T).ravel() for sole, part in zip(soles, x.reshape(2, 2, 3), strict=True)])
