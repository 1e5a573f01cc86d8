"""How a standing body sways in one direction, and what brings it back: where to press on the ground, and how hard to bend at the hips.

The body is an inverted pendulum with a flywheel: above a pressure p, with a moment m that turns the trunk, its centre of mass c moves as
c'' = (g / h) (c - p) - m / (M h), and the trunk by theta'' = m / I. Feet end, so p is bounded; a trunk cannot be turned for ever, so theta is.
Over a short horizon the best p and m are a quadratic program: near rest the plain feedback of a linear regulator, farther out the pressure at
the rim of the foot, and then a bow that brakes and is taken back later, as people do.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_STEPS, _STEP_S = 12, 0.05
_GRAVITY = 9.81
# Costs. Of the capture point and of the pressure, 1/m2: 3 to 1 returns the capture point with exp(-2 omega t). Of the trunk's turn and of the
# moment, 1/rad2 and 1/(N m)2: 350 N m/rad where nothing else is wanted. Their ratio says how far the trunk may be turned to save a step.
_CAPTURE, _PRESSURE = 30.0, 10.0
_TURN, _SPIN, _MOMENT = 12.0, 0.1, 1.0e-4
_LAST = 100.0  # times the cost of the capture point at the end of the horizon
_SCALE_NM = 100.0  # of moments, for the sake of the numbers


class Answer(NamedTuple):
    """What the ground is to do now, in one direction."""

    pressure_m: float
    """Where it presses, counted from the middle of the feet."""
    moment_nm: float
    """About the centre of mass, in the sense of `Sway.answer`."""


class Rest(NamedTuple):
    """A state that holds itself, in one direction."""

    place_m: float
    """Of the centre of mass, counted from the middle of the feet."""
    pressure_m: float
    moment_nm: float


class Sway:
    """Answers of one body in one direction at one height of its centre of mass."""

    def __init__(self, mass_kg: float, height_m: float, inertia_kg_m2: float) -> None:
        """Builds the program.

        Args:
          mass_kg: Of the body.
          height_m: Of its centre of mass above the soles.
          inertia_kg_m2: Of what turns when the pelvis turns above feet that stand, about the centre of mass.
        """
        from scipy.linalg import expm

        stiff = _GRAVITY / height_m
        self._omega = float(np.sqrt(stiff))
        self._inertia, self._lever = inertia_kg_m2, mass_kg * height_m
        flow = np.zeros((6, 6))  # c, c', theta, theta', p, m
        flow[0, 1] = flow[2, 3] = 1.0
        flow[1, [0, 4, 5]] = stiff, -stiff, -_SCALE_NM / (mass_kg * height_m)
        flow[3, 5] = _SCALE_NM / inertia_kg_m2
        move = expm(flow * _STEP_S)
        a, b = move[:4, :4], move[:4, 4:]
        free, driven = np.zeros((_STEPS, 4, 4)), np.zeros((_STEPS, 4, 2 * _STEPS))
        for k in range(_STEPS):
            free[k] = a @ (free[k - 1] if k else np.eye(4))
            if k:
                driven[k] = a @ driven[k - 1]
            driven[k, :, 2 * k : 2 * k + 2] = b
        outputs = np.array([[1.0, 1.0 / self._omega, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]])  # capture point, turn, spin
        costs = np.tile([_CAPTURE, _TURN, _SPIN], (_STEPS, 1))
        costs[-1, 0] *= _LAST
        seen_free = (outputs @ free).reshape(-1, 4)
        seen_driven = (outputs @ driven).reshape(-1, 2 * _STEPS)
        weighted = seen_driven.T * costs.ravel()
        effort = np.tile([_PRESSURE, _MOMENT * _SCALE_NM**2], _STEPS)
        self._quadratic = np.ascontiguousarray(weighted @ seen_driven + np.diag(effort))
        self._linear = np.ascontiguousarray(weighted @ seen_free)
        self._turn_free, self._turn_driven = free[:, 2, :], np.ascontiguousarray(driven[:, 2, :])
        self._sense = np.concatenate([np.zeros(2 * _STEPS, np.int32), np.full(_STEPS, _SOFT, np.int32)])

    def answer(self, state: Array, rest: Rest, pressure_max_m: float, moment_max_nm: float, turn_max_rad: float) -> Answer:
        """Returns what to do now.

        Args:
          state: (4,) place of the centre of mass counted from the middle of the feet in m, its speed in m/s, how far the trunk is turned beyond
            what is wanted in rad, and how fast. A turn is positive in the sense of a moment that pushes the centre of mass back: a bow, for the
            direction forward.
          rest: Where all can stay as it is.
          pressure_max_m: To either side of the middle of the feet.
          moment_max_nm: In either sense.
          turn_max_rad: In either sense.
        """
        import daqp

        start = state - [rest.place_m, 0.0, 0.0, 0.0]
        turned = self._turn_free @ start
        upper, lower, inputs = np.empty(3 * _STEPS), np.empty(3 * _STEPS), 2 * _STEPS
        upper[0:inputs:2], lower[0:inputs:2] = pressure_max_m - rest.pressure_m, -pressure_max_m - rest.pressure_m
        upper[1:inputs:2], lower[1:inputs:2] = (moment_max_nm - rest.moment_nm) / _SCALE_NM, (-moment_max_nm - rest.moment_nm) / _SCALE_NM
        upper[inputs:], lower[inputs:] = turn_max_rad - turned, -turn_max_rad - turned
        x, _, flag, _ = daqp.solve(self._quadratic, self._linear @ start, self._turn_driven, upper, lower, self._sense)
        if flag <= 0:
            raise RuntimeError(f"daqp ended with flag {flag} on the sway from {state.tolist()}")
        return Answer(float(x[0]) + rest.pressure_m, float(x[1]) * _SCALE_NM + rest.moment_nm)

    def rest(self, push_m_s2: float, twist_rad_s2: float, place_max_m: float, pressure_max_m: float) -> Rest:
        """Returns where all can stay as it is against what pushes and turns the body.

        The pressure is in the middle of the feet where the centre of mass can be moved so far.

        Args:
          push_m_s2: Acceleration of the centre of mass that the ground does not explain.
          twist_rad_s2: The same of the trunk.
          place_max_m: Of the centre of mass, to either side.
          pressure_max_m: To either side.
        """
        moment = -self._inertia * twist_rad_s2
        apart = (moment / self._lever - push_m_s2) / self._omega**2  # of the centre of mass from the pressure
        place = min(max(apart, -place_max_m), place_max_m)
        return Rest(place, min(max(place - apart, -pressure_max_m), pressure_max_m), moment)


_SOFT = 8
"""Sense of a constraint of daqp that may be broken where it must."""
