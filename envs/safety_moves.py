"""How far a safety filter lets one part of the body go in one control step: a hand, joints, a base, the height of the body."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.frames import Array, conjugate, from_axis_angle, multiply, to_axis_angle
from vlagym.envs.safety_limits import Box
from vlagym.envs.types import ActionComponent

Proprio = Mapping[str, NDArray[np.float32]]

_SLACK = 1.0 + 1e-5
"""A move may leave its limit by the rounding of float32, or an action that was clipped would be clipped again when it is played a second time."""
_LEAD_MIN = 1e-3
"""In m or rad: a command this near to where the hand is does not tell which way it presses."""

_BACK_OFF = 0.2
"""Share of its highest speed with which a base backs off from what it presses on."""


class Allowed(NamedTuple):
    """The values of one component after the limits."""

    values: Array
    """As the component is sent; the wanted values themselves where nothing stood against them."""
    broken: tuple[str, ...]
    """Limits that the wanted values would have broken."""


class Move(Protocol):
    """What one component of an action moves."""

    component: ActionComponent

    def hold(self, proprio: Proprio) -> Array:
        """Returns the values that keep it where it is commanded to be."""
        ...

    def allow(self, wanted: Array, proprio: Proprio, pressing: float) -> Allowed:
        """Returns what of the wanted values is allowed.

        Args:
          wanted: Of the component, as a policy sends it.
          proprio: Of the observation before the action.
          pressing: Contact force over its limit; above 1, what presses is taken back.
        """
        ...

    def done(self, values: Array) -> None:
        """Learns what was executed."""
        ...


class HandPosition:
    """The commanded position of a hand: `delta_position` or `position`."""

    def __init__(self, component: ActionComponent, side: str, step_m: float, box: Box) -> None:
        self.component = component
        self._target, self._measured = _names(side, "pos_base_m")
        self._step_m, self._low, self._high = step_m, np.array(box.low_m), np.array(box.high_m)
        self._is_delta = component.convention == "delta_position"

    def hold(self, proprio: Proprio) -> Array:
        return np.zeros(3) if self._is_delta else proprio[self._target].astype(np.float64)

    def allow(self, wanted: Array, proprio: Proprio, pressing: float) -> Allowed:
        here = proprio[self._target].astype(np.float64)
        step = wanted * self.component.scale - (0.0 if self._is_delta else here)
        slowed = shortened(step, self._step_m)
        broken = [] if slowed is step else ["hand_speed"]
        inside = np.clip(here + slowed, np.minimum(self._low, here), np.maximum(self._high, here)) - here
        if np.abs(inside - slowed).max() > 1e-6:
            broken.append("hand_box")
            slowed = inside
        if pressing > 1.0:
            slowed = relaxed(slowed, here - proprio[self._measured], pressing)
            broken.append("force")
        if not broken:
            return Allowed(wanted, ())
        reached = slowed if self._is_delta else here + slowed
        return Allowed(_bounded(reached / self.component.scale, self.component), tuple(broken))

    def done(self, values: Array) -> None:
        """The controller tells where the command went: there is nothing to remember."""


class HandOrientation:
    """The commanded orientation of a hand: `delta_axis_angle` or `quaternion_wxyz`."""

    def __init__(self, component: ActionComponent, side: str, step_rad: float) -> None:
        self.component = component
        self._target, self._measured = _names(side, "quat_base_wxyz")
        self._step_rad = step_rad
        self._is_delta = component.convention == "delta_axis_angle"

    def hold(self, proprio: Proprio) -> Array:
        return np.zeros(3) if self._is_delta else proprio[self._target].astype(np.float64)

    def allow(self, wanted: Array, proprio: Proprio, pressing: float) -> Allowed:
        here = proprio[self._target].astype(np.float64)
        if self._is_delta:
            turn = wanted * self.component.scale
        else:
            norm = float(np.linalg.norm(wanted))
            if norm < 1e-3:
                return Allowed(wanted, ())  # no rotation at all; the controller refuses it with its reason
            turn = to_axis_angle(multiply(wanted / norm, conjugate(here)))
        slowed = shortened(turn, self._step_rad)
        broken = [] if slowed is turn else ["hand_turn"]
        if pressing > 1.0:
            lead = to_axis_angle(multiply(here, conjugate(proprio[self._measured].astype(np.float64))))
            slowed = relaxed(slowed, lead, pressing)
            broken.append("force")
        if not broken:
            return Allowed(wanted, ())
        values = slowed / self.component.scale if self._is_delta else multiply(from_axis_angle(slowed), here)
        return Allowed(_bounded(values, self.component), tuple(broken))

    def done(self, values: Array) -> None:
        """The controller tells where the command went: there is nothing to remember."""


class Joints:
    """Commanded positions of joints: `joint_delta` or `joint_position`."""

    def __init__(self, component: ActionComponent, start: Array, step_rad: Array, low: Array, high: Array, measured: str) -> None:
        self.component = component
        self.commanded = start.astype(np.float64)
        """(n,) rad, what the joints were asked for last."""
        self._step_rad, self._low, self._high, self._measured = step_rad, low, high, measured
        self._is_delta = component.convention == "joint_delta"

    def hold(self, proprio: Proprio) -> Array:
        return np.zeros(len(self.commanded)) if self._is_delta else self.commanded

    def target(self, values: Array) -> Array:
        """Returns the joint positions `(n,)` that values ask for, in rad, within the limits of the joints."""
        asked = self.commanded + values * self.component.scale if self._is_delta else values * self.component.scale
        return np.clip(asked, self._low, self._high)

    def values(self, target: Array) -> Array:
        """Returns the values that ask for joint positions `(n,)` in rad."""
        asked = target - self.commanded if self._is_delta else target
        return _bounded(asked / self.component.scale, self.component)

    def allow(self, wanted: Array, proprio: Proprio, pressing: float) -> Allowed:
        step = self.target(wanted) - self.commanded
        slowed = np.clip(step, -self._step_rad, self._step_rad)
        broken = [] if bool(np.all(np.abs(step) <= self._step_rad * _SLACK)) else ["joint_speed"]
        if pressing > 1.0:
            lead = self.commanded - proprio[self._measured]
            # Each joint for itself: what would lead it farther from where it is, is left out; and its lead shrinks as the force must.
            slowed = np.where(slowed * lead > 0, 0.0, slowed) - lead * (1.0 - 1.0 / pressing)
            broken.append("force")
        return Allowed(self.values(self.commanded + slowed), tuple(broken)) if broken else Allowed(wanted, ())

    def done(self, values: Array) -> None:
        self.commanded = self.target(values)


class Glide:
    """The velocity of a base over the floor: forward, to the left, turning to the left; `planar_velocity`."""

    def __init__(self, component: ActionComponent, speed_m_s: float, turn_rad_s: float, box: Box, step_s: float) -> None:
        self.component = component
        self._speed_m_s, self._turn_rad_s, self._step_s = speed_m_s, turn_rad_s, step_s
        self._low, self._high = np.array(box.low_m), np.array(box.high_m)
        self._last = np.zeros(3)
        self._into: Array | None = None
        """The way it went when it began to press: it backs off until nothing presses any more."""

    def hold(self, proprio: Proprio) -> Array:
        return np.zeros(3)

    def allow(self, wanted: Array, proprio: Proprio, pressing: float) -> Allowed:
        velocity = wanted * self.component.scale
        slowed = np.array([*shortened(velocity[:2], self._speed_m_s), np.clip(velocity[2], -self._turn_rad_s, self._turn_rad_s)])
        broken = [] if np.abs(slowed - velocity).max() <= 1e-6 else ["base_speed"]
        x, y, yaw = proprio["base_pose_m_rad"].astype(np.float64)
        c, s = math.cos(yaw), math.sin(yaw)
        to_start, here = np.array([[c, -s], [s, c]]), np.array([x, y])
        there = here + to_start @ slowed[:2] * self._step_s
        inside = np.clip(there, np.minimum(self._low, here), np.maximum(self._high, here))
        if np.abs(inside - there).max() > 1e-6:
            slowed[:2] = to_start.T @ (inside - here) / self._step_s
            broken.append("base_box")
        if pressing <= 1.0:
            self._into = None
        elif self._into is None and np.abs(self._last).max() > 0:
            self._into = self._last / np.linalg.norm(self._last)
        if self._into is not None:
            slowed = slowed - max(0.0, float(slowed @ self._into)) * self._into - _BACK_OFF * self._speed_m_s * self._into
            broken.append("force")
        return Allowed(_bounded(slowed / self.component.scale, self.component), tuple(broken)) if broken else Allowed(wanted, ())

    def done(self, values: Array) -> None:
        self._last = values * self.component.scale


class Posture:
    """One commanded number that may change so fast and no faster: the height of the body, the lean of the torso."""

    def __init__(self, component: ActionComponent, step: float, reason: str, start: float = 0.0) -> None:
        self.component = component
        self._step, self._reason = step, reason
        self._commanded = start

    def hold(self, proprio: Proprio) -> Array:
        return np.array([self._commanded / self.component.scale])

    def allow(self, wanted: Array, proprio: Proprio, pressing: float) -> Allowed:
        change = float(wanted[0]) * self.component.scale - self._commanded
        if pressing > 1.0:
            return Allowed(self.hold(proprio), ("force",))
        if abs(change) <= self._step * _SLACK:
            return Allowed(wanted, ())
        reached = self._commanded + math.copysign(self._step, change)
        return Allowed(_bounded(np.array([reached / self.component.scale]), self.component), (self._reason,))

    def done(self, values: Array) -> None:
        self._commanded = float(values[0]) * self.component.scale


class Unlimited:
    """A gripper or fingers: what they can do is limited by their motors."""

    def __init__(self, component: ActionComponent, start: Array) -> None:
        self.component = component
        self._last = start

    def hold(self, proprio: Proprio) -> Array:
        return self._last

    def allow(self, wanted: Array, proprio: Proprio, pressing: float) -> Allowed:
        return Allowed(wanted, ())

    def done(self, values: Array) -> None:
        self._last = values


def shortened(step: Array, longest: float) -> Array:
    """Returns a step of the same direction that is no longer than `longest`; the very same one where it is short enough."""
    length = float(np.sqrt(step @ step))
    return step if length <= longest * _SLACK else step * (longest / length)


def relaxed(step: Array, lead: Array, pressing: float) -> Array:
    """Returns a step that presses less.

    A position-controlled arm presses in the direction in which its command leads where it is, and as hard as it leads far. The part of the step
    in that direction is left out, and the lead is shortened by as much as the force is above its limit. Where nothing leads, nothing moves.

    Args:
      step: (3,) in m or rad.
      lead: (3,) from where the hand is to where it is commanded to be.
      pressing: Force over its limit, above 1.
    """
    distance = float(np.sqrt(lead @ lead))
    if distance < _LEAD_MIN:
        return np.zeros(3)
    way = lead / distance
    along = float(step @ way)
    return np.asarray(step - max(0.0, along) * way - lead * (1.0 - 1.0 / pressing), np.float64)


def _bounded(values: Array, component: ActionComponent) -> Array:
    return np.clip(values, np.array(component.low), np.array(component.high))


def _names(side: str, what: str) -> tuple[str, str]:
    """Returns the names in proprioception of the commanded and of the measured pose of a hand."""
    prefix = f"{side}_" if side else ""
    return f"{prefix}ee_target_{what}", f"{prefix}ee_{what}"
