"""How far a safety filter lets one part of the body go in one control step: a hand, joints, a base, the height of the body."""

from __future__ import annotations

import math
from collections import deque
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

_BACK_OFF = 0.2
"""Share of its highest speed with which a base backs off from what it presses on."""

_TRAIL_STEPS = 20
"""How far back the way is remembered on which a hand came to where it presses."""


_STEPS_BACK = 2
"""Commands that are taken back in each step: that which pressed was given a step before the force was felt."""


class Touch(NamedTuple):
    """What a part of the body feels."""

    pressing: float
    """Contact force over its limit; above 1, what presses is taken back."""
    pace: float
    """Share of its highest speed that it may have: less than 1 for a while after it pressed too hard."""


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

    def allow(self, wanted: Array, proprio: Proprio, touch: Touch) -> Allowed:
        """Returns what of the wanted values is allowed.

        Args:
          wanted: Of the component, as a policy sends it.
          proprio: Of the observation before the action.
          touch: What it feels.
        """
        ...

    def done(self, values: Array) -> None:
        """Learns what was executed."""
        ...


class Trail:
    """The commands of the last second, on which nothing pressed too hard: the way back.

    Which link touches what, and from which side, a filter does not know. That it was free where it came from, it does.
    """

    def __init__(self) -> None:
        self._commands: deque[Array] = deque(maxlen=_TRAIL_STEPS)

    def follow(self, command: Array, touch: Touch) -> Array | None:
        """Returns the command to go back to; None where nothing presses, or the way is not remembered any farther.

        A robot that is stuck where its way ends is left to the policy, slowed down: a filter that held it there would press for ever.

        Args:
          command: The present one.
          touch: What it leads to.
        """
        if touch.pressing <= 1.0:
            self._commands.append(command)
            return None
        for _ in range(min(_STEPS_BACK - 1, len(self._commands) - 1)):
            self._commands.pop()
        return self._commands.pop() if self._commands else None


class HandPosition:
    """The commanded position of a hand: `delta_position` or `position`."""

    def __init__(self, component: ActionComponent, side: str, step_m: float, box: Box) -> None:
        self.component = component
        self._target = _target_name(side, "pos_base_m")
        self._step_m, self._low, self._high = step_m, np.array(box.low_m), np.array(box.high_m)
        self._is_delta = component.convention == "delta_position"
        self._trail = Trail()

    def hold(self, proprio: Proprio) -> Array:
        return np.zeros(3) if self._is_delta else proprio[self._target].astype(np.float64)

    def allow(self, wanted: Array, proprio: Proprio, touch: Touch) -> Allowed:
        here = proprio[self._target].astype(np.float64)
        before = self._trail.follow(here, touch)
        if before is not None:
            back = (before - here if self._is_delta else before) / self.component.scale
            return Allowed(_bounded(back, self.component), ("force",))
        step = wanted * self.component.scale - (0.0 if self._is_delta else here)
        slowed = shortened(step, self._step_m * touch.pace)
        broken = [] if slowed is step else ["hand_speed"]
        inside = np.clip(here + slowed, np.minimum(self._low, here), np.maximum(self._high, here)) - here
        if np.abs(inside - slowed).max() > 1e-6:
            broken.append("hand_box")
            slowed = inside
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
        self._target = _target_name(side, "quat_base_wxyz")
        self._step_rad = step_rad
        self._is_delta = component.convention == "delta_axis_angle"
        self._trail = Trail()

    def hold(self, proprio: Proprio) -> Array:
        return np.zeros(3) if self._is_delta else proprio[self._target].astype(np.float64)

    def allow(self, wanted: Array, proprio: Proprio, touch: Touch) -> Allowed:
        here = proprio[self._target].astype(np.float64)
        before = self._trail.follow(here, touch)
        if before is not None:
            back = to_axis_angle(multiply(before, conjugate(here))) / self.component.scale if self._is_delta else before
            return Allowed(_bounded(back, self.component), ("force",))
        if self._is_delta:
            turn = wanted * self.component.scale
        else:
            norm = float(np.linalg.norm(wanted))
            if norm < 1e-3:
                return Allowed(wanted, ())  # no rotation at all; the controller refuses it with its reason
            turn = to_axis_angle(multiply(wanted / norm, conjugate(here)))
        slowed = shortened(turn, self._step_rad * touch.pace)
        if slowed is turn:
            return Allowed(wanted, ())
        values = slowed / self.component.scale if self._is_delta else multiply(from_axis_angle(slowed), here)
        return Allowed(_bounded(values, self.component), ("hand_turn",))

    def done(self, values: Array) -> None:
        """The controller tells where the command went: there is nothing to remember."""


class Joints:
    """Commanded positions of joints: `joint_delta` or `joint_position`."""

    def __init__(self, component: ActionComponent, start: Array, step_rad: Array, low: Array, high: Array) -> None:
        self.component = component
        self.commanded = start.astype(np.float64)
        """(n,) rad, what the joints were asked for last."""
        self._step_rad, self._low, self._high = step_rad, low, high
        self._is_delta = component.convention == "joint_delta"
        self._trail = Trail()

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

    def allow(self, wanted: Array, proprio: Proprio, touch: Touch) -> Allowed:
        before = self._trail.follow(self.commanded, touch)
        if before is not None:
            back = np.clip(before - self.commanded, -self._step_rad, self._step_rad)
            return Allowed(self.values(self.commanded + back), ("force",))
        longest = self._step_rad * touch.pace
        step = self.target(wanted) - self.commanded
        if bool(np.all(np.abs(step) <= longest * _SLACK)):
            return Allowed(wanted, ())
        return Allowed(self.values(self.commanded + np.clip(step, -longest, longest)), ("joint_speed",))

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

    def allow(self, wanted: Array, proprio: Proprio, touch: Touch) -> Allowed:
        if touch.pressing <= 1.0:
            self._into = None
        elif self._into is None and np.abs(self._last).max() > 0:
            self._into = self._last / np.linalg.norm(self._last)
        if self._into is not None:
            return Allowed(_bounded(-_BACK_OFF * self._speed_m_s * self._into / self.component.scale, self.component), ("force",))
        velocity = wanted * self.component.scale
        turn = float(np.clip(velocity[2], -self._turn_rad_s * touch.pace, self._turn_rad_s * touch.pace))
        slowed = np.array([*shortened(velocity[:2], self._speed_m_s * touch.pace), turn])
        broken = [] if np.abs(slowed - velocity).max() <= 1e-6 else ["base_speed"]
        x, y, yaw = proprio["base_pose_m_rad"].astype(np.float64)
        c, s = math.cos(yaw), math.sin(yaw)
        to_start, here = np.array([[c, -s], [s, c]]), np.array([x, y])
        there = here + to_start @ slowed[:2] * self._step_s
        inside = np.clip(there, np.minimum(self._low, here), np.maximum(self._high, here))
        if np.abs(inside - there).max() > 1e-6:
            slowed[:2] = to_start.T @ (inside - here) / self._step_s
            broken.append("base_box")
        return Allowed(_bounded(slowed / self.component.scale, self.component), tuple(broken)) if broken else Allowed(wanted, ())

    def done(self, values: Array) -> None:
        self._last = values * self.component.scale


class Posture:
    """The commanded height of the body or lean of the torso. How fast it gets there is limited by the controller that keeps it balanced."""

    def __init__(self, component: ActionComponent) -> None:
        self.component = component
        self._commanded = np.zeros(component.size)
        self._trail = Trail()

    def hold(self, proprio: Proprio) -> Array:
        return self._commanded

    def allow(self, wanted: Array, proprio: Proprio, touch: Touch) -> Allowed:
        before = self._trail.follow(self._commanded, touch)
        return Allowed(wanted, ()) if before is None else Allowed(before, ("force",))

    def done(self, values: Array) -> None:
        self._commanded = values


class Unlimited:
    """A gripper or fingers: what they can do is limited by their motors."""

    def __init__(self, component: ActionComponent, start: Array) -> None:
        self.component = component
        self._last = start

    def hold(self, proprio: Proprio) -> Array:
        return self._last

    def allow(self, wanted: Array, proprio: Proprio, touch: Touch) -> Allowed:
        return Allowed(wanted, ())

    def done(self, values: Array) -> None:
        self._last = values


def shortened(step: Array, longest: float) -> Array:
    """Returns a step of the same direction that is no longer than `longest`; the very same one where it is short enough."""
    length = float(np.sqrt(step @ step))
    return step if length <= longest * _SLACK else step * (longest / length)


def _bounded(values: Array, component: ActionComponent) -> Array:
    return np.clip(values, np.array(component.low), np.array(component.high))


def _target_name(side: str, what: str) -> str:
    """Returns the name in proprioception of the commanded pose of a hand."""
    return f"{side}_ee_target_{what}" if side else f"ee_target_{what}"
