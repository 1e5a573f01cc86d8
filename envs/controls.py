"""What of a fixture is worked by hand: buttons that are pressed, knobs that are turned, switches and levers that are flipped."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from vlagym.envs.errors import BadData, BadSpec, unknown_name
from vlagym.envs.types import Vec3

ControlKind = Literal["button", "knob", "lever", "rocker"]


@dataclass(frozen=True, kw_only=True)
class Control:
    """The [joint.control] table of a fixture. Lengths and directions are in the fixture's frame, as they are while the joint is at 0.

    A button is pressed along its slide and springs back. A knob has a bar on top that two fingers grip and turn. A lever has a cap that
    closed fingers push from the side: toggle switches, slide switches, upright levers. A rocker is a plate on a hinge, one end of which
    closed fingers press down.
    """

    kind: ControlKind
    pos_m: Vec3
    """Where the hand works: the middle of a button's top, of a knob's bar, of a lever's cap, or of the end of a rocker whose pressing down
    raises the joint's position."""
    bar_axis: Vec3 | None = None
    """Direction along a knob's bar, level; pads close on both sides of it."""
    cap_radius_m: float | None = None
    """Of a lever's cap, which may be a ball, a rod or a nub."""
    pressed_from: float | None = None
    """Position from which a button counts as pressed, in m."""
    settings: Mapping[str, float] = field(default_factory=dict)
    """Word to joint position (rad, or m for a slide) of what knobs, levers and rockers are set to, in ascending order."""
    tolerance: float | None = None
    """Largest distance from the position of a setting that still counts, in rad or m."""

    def setting(self, word: str, whose: str) -> float:
        """Returns the joint position of a setting.

        Args:
          word: The setting.
          whose: What the control is called, for the error.

        Raises:
          UnknownName: With the settings that there are.
          BadSpec: If the control has none, being a button.
        """
        if not self.settings:
            raise BadSpec(f"{whose} is a {self.kind}; it has no settings, so it cannot be set to {word!r}")
        if word not in self.settings:
            raise unknown_name(f"setting of {whose}", word, self.settings)
        return self.settings[word]

    def nearest_setting(self, position: float) -> str | None:
        """Returns the setting whose tolerance a joint position lies in; None between settings, and for a button."""
        if self.tolerance is None:
            return None
        word = min(self.settings, key=lambda w: abs(self.settings[w] - position))
        return word if abs(self.settings[word] - position) <= self.tolerance else None


_WANTED: Mapping[ControlKind, tuple[str, ...]] = {
    "button": ("pressed_from",),
    "knob": ("bar_axis", "settings", "tolerance"),
    "lever": ("cap_radius_m", "settings", "tolerance"),
    "rocker": ("settings", "tolerance"),
}


def check_control(control: Control, joint_type: str, range_m: tuple[float, float], where: str) -> Control:
    """Returns a control after comparing it with its joint.

    Args:
      control: As it was read.
      joint_type: slide | hinge.
      range_m: Of the joint, in m or rad.
      where: File and place, for the errors.

    Raises:
      BadData: If a key that its kind needs is missing, one that its kind does not know is there, settings leave the joint's range or
        overlap, or its threshold lies outside.
    """
    for key in ("bar_axis", "cap_radius_m", "pressed_from", "settings", "tolerance"):
        is_given = getattr(control, key) not in (None, {})
        if is_given != (key in _WANTED[control.kind]):
            known = ", ".join(_WANTED[control.kind])
            raise BadData(f"{where}.{key} {'does not belong to' if is_given else 'is missing from'} a {control.kind}; besides pos_m it has: {known}")
    low, high = range_m
    if control.kind == "button" and joint_type != "slide":
        raise BadData(f"{where} is a button on a {joint_type}; a button needs a slide")
    if control.kind in ("knob", "rocker") and joint_type != "hinge":
        raise BadData(f"{where} is a {control.kind} on a {joint_type}; a {control.kind} needs a hinge")
    if control.pressed_from is not None and not low < control.pressed_from < high:
        raise BadData(f"{where}.pressed_from is {control.pressed_from}; it must lie within range_m, {low} to {high}")
    if control.bar_axis is not None and (not math.isclose(math.hypot(*control.bar_axis), 1.0, abs_tol=1e-6) or control.bar_axis[2] != 0.0):
        raise BadData(f"{where}.bar_axis is {control.bar_axis}; it must be level and have length 1")
    if control.cap_radius_m is not None and control.cap_radius_m <= 0.0:
        raise BadData(f"{where}.cap_radius_m is {control.cap_radius_m}; it must be above 0")
    if control.settings:
        _check_settings(control, low, high, where)
    return control


def _check_settings(control: Control, low: float, high: float, where: str) -> None:
    tolerance = control.tolerance
    if tolerance is None or tolerance <= 0.0:
        raise BadData(f"{where}.tolerance is {tolerance}; it must be above 0")
    if len(control.settings) < 2:
        raise BadData(f"{where}.settings has {len(control.settings)} entry; a control needs two or more")
    for word, position in control.settings.items():
        if not low <= position <= high:
            raise BadData(f"{where}.settings.{word} is {position}; it must lie within range_m, {low} to {high}")
    words = list(control.settings)
    for first, second in zip(words, words[1:], strict=False):
        if control.settings[second] - control.settings[first] <= 2.0 * tolerance:
            raise BadData(f"{where}.settings.{first} and {second} must ascend and lie further apart than twice the tolerance {tolerance}")
