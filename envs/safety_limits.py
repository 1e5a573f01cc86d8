"""What a safety filter allows a robot: speeds, forces and room, each with the reason for its value."""

from __future__ import annotations

import dataclasses
import functools
import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vlagym import assets
from vlagym.envs import catalog
from vlagym.envs.errors import BadData, unknown_name
from vlagym.envs.types import FixtureSpec, from_plain

PERSON = "bystander"
"""What fixtures are called that stand for a person: this, or this and a number ("bystander_2")."""


def is_person(fixture: FixtureSpec) -> bool:
    """Returns whether a fixture stands for a person."""
    return fixture.name.partition("_")[0] == PERSON


@dataclass(frozen=True, kw_only=True)
class Box:
    """A room with straight walls."""

    low_m: tuple[float, ...]
    high_m: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class SafetyLimits:
    """The limits of one robot. Every action convention is held to those that concern it."""

    hand_speed_m_s: float
    """Of the commanded position of each hand, in the base frame."""
    hand_turn_rad_s: float
    """Of its commanded orientation."""
    hand_box_m: Box
    """(3,) where the commanded position of each hand may be, in the base frame. A hand that is outside may come back, and go no farther."""
    joint_speed_share: float
    """Of the robot's `joint_speed_max_rad_s`, for conventions that command joints."""
    force_n: float
    """Normal force on what the goal does not name, on a person in any case, and of the robot on itself."""
    base_speed_m_s: float | None = None
    """Of a base that glides; None for a robot whose base does not."""
    base_turn_rad_s: float | None = None
    base_box_m: Box | None = None
    """(2,) where the base may glide, counted from where it began, in the frame of the start."""
    why: Mapping[str, str]
    """Limit -> its source, or how it was measured."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, float) and not (math.isfinite(value) and value > 0):
                raise BadData(f"the safety limit {field.name} is {value:g}; it must be a finite number above 0")
            if isinstance(value, Box):
                size = 2 if field.name == "base_box_m" else 3
                if len(value.low_m) != size or len(value.high_m) != size or not all(a < b for a, b in zip(value.low_m, value.high_m, strict=True)):
                    raise BadData(f"the safety limit {field.name} goes from {value.low_m} to {value.high_m}; it wants {size} pairs low < high")
            if field.name != "why" and value is not None and not self.why.get(field.name):
                raise BadData(f"the safety limit {field.name} lacks its reason: every limit says where it comes from, under why")


@functools.cache
def limits_of(robot: str) -> SafetyLimits:
    """Returns the limits of a robot: its own, or those of the file assets/robots/<robot>/safety.toml.

    Raises:
      UnknownName: If there is no such robot.
      BadData: If it has none, or the file does not hold what it should.
    """
    own: SafetyLimits | None = catalog.load("robot", robot).safety
    if own is not None:
        return own
    try:
        path = assets.path(f"robots/{robot}/safety.toml")
    except FileNotFoundError as error:
        raise BadData(
            f"the robot {robot!r} has no safety limits, so no safety filter can guard it. Leave --safety off, "
            f"or give it some: in Robot.safety, or in assets/robots/{robot}/safety.toml"
        ) from error
    return read_limits(path)


def read_limits(path: Path) -> SafetyLimits:
    """Reads a file of limits: a table for each, with `value` (or `low` and `high` of a box) and `why`.

    Raises:
      BadData: If it cannot be read, a limit is unknown or missing, or lacks its reason.
    """
    where = "/".join(path.parts[-3:])
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadData(f"{where} cannot be read: {error}") from error
    known = [f.name for f in dataclasses.fields(SafetyLimits) if f.name != "why"]
    plain: dict[str, Any] = {"why": {}}
    for name, table in tables.items():
        if name not in known:
            raise BadData(f"{where}: {unknown_name('safety limit', name, known)}")
        plain[name] = _value(name, table, f"{where} [{name}]")
        plain["why"][name] = table.get("why", "")
    try:
        return from_plain(SafetyLimits, plain, where)
    except BadData as error:
        raise BadData(str(error) if str(error).startswith(where) else f"{where}: {error}") from error


def _value(name: str, table: Any, where: str) -> Any:
    wanted = ("low", "high", "why") if name.endswith("_box_m") else ("value", "why")
    if not isinstance(table, dict) or set(table) != set(wanted):
        found = ", ".join(sorted(table)) if isinstance(table, dict) else repr(table)
        raise BadData(f"{where} holds {found}; it wants {', '.join(wanted)}")
    return {"low_m": table["low"], "high_m": table["high"]} if "low" in table else table["value"]
