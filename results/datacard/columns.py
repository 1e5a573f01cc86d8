"""The numbers of actions and states by their names and units, tallied one by one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.errors import BadData
from vlagym.envs.types import ActionSpec
from vlagym.results.datacard.numbers import NumberSummary, NumberTally
from vlagym.results.formats._lerobot import action_names

_UNITS = {"m": "m", "rad": "rad", "m_s": "m/s", "rad_s": "rad/s", "n": "N", "nm": "N m", "s": "s", "kg": "kg"}
"""What the end of a name says that an array is measured in."""
_WITH_UNIT = re.compile(r"_(rad_s|m_s|rad|nm|kg|m|n|s)$")
_TURN = re.compile(r"quat(_[a-z0-9]+)?_wxyz$")
_PLANAR = {"base_pose_m_rad": ("m", "m", "rad"), "base_vel_m_s": ("m/s", "m/s", "rad/s")}
"""Arrays whose numbers have several units: x, y and the turn about the vertical."""


class Columns:
    """Named numbers, each with its tally; arrays of one name and several widths, as robots of several kinds have, are told apart."""

    def __init__(self) -> None:
        """Begins with none."""
        self._tallies: dict[tuple[str, int], list[NumberTally]] = {}

    def add(self, name: str, rows: NDArray[np.floating[Any]]) -> None:
        """Takes the rows `(T, …)` of an array of an episode.

        Raises:
          BadData: If one of the numbers is NaN or infinite.
        """
        flat = rows.reshape(len(rows), -1)
        tallies = self._tallies.setdefault((name, flat.shape[1]), [NumberTally() for _ in range(flat.shape[1])])
        for at, tally in enumerate(tallies):
            try:
                tally.add(flat[:, at])
            except BadData as error:
                raise BadData(f"{name}, number {at}: {error}") from error

    def arrays(self) -> dict[str, list[NumberTally]]:
        """Returns the tallies of each array by its name; with its width behind it where arrays of one name have several."""
        widths = [name for name, _ in self._tallies]
        return {name if widths.count(name) == 1 else f"{name} ({width})": tallies for (name, width), tallies in self._tallies.items()}

    def state(self) -> tuple[NumberSummary, ...]:
        """Returns what each number of the arrays is like, with the name and the unit that the array's name tells."""
        found = []
        for name, tallies in self.arrays().items():
            of_numbers = numbers_of(name.split(" (")[0], len(tallies))
            behind = name.partition(" ")[2]
            found += [t.summary(f"{n} {behind}".strip(), unit) for t, (n, unit) in zip(tallies, of_numbers, strict=True) if t.count]
        return tuple(found)


def numbers_of(name: str, width: int) -> list[tuple[str, str]]:
    """Returns the name and the unit of each number of an array of proprioception, as far as its name tells them."""
    if name in _PLANAR and width == len(_PLANAR[name]):
        return [(f"{name}.{axis}", unit) for axis, unit in zip(("x", "y", "yaw"), _PLANAR[name], strict=True)]
    ends_in = _WITH_UNIT.search(name)
    unit = _UNITS[ends_in[1]] if ends_in else ""
    if width == 1:
        return [(name, unit)]
    if width == 4 and _TURN.search(name):
        return [(f"{name}.{axis}", "") for axis in "wxyz"]
    is_place = width == 3 and unit in ("m", "N", "N m") and "joint" not in name
    return [(f"{name}.{axis}", unit) for axis in ("xyz" if is_place else map(str, range(width)))]


def numbers_of_action(action: ActionSpec) -> list[tuple[str, str]]:
    """Returns the name of each number of an action, and what 1.0 of it means: "0.05 m"; "" where nobody knows."""
    units: list[str] = []
    for component in action.components:
        known = "" if component.unit in ("unknown", "") else component.unit
        told = f"{component.scale:g} {known}" if known and component.scale != 1.0 else known
        units += [told] * component.size
    return list(zip(action_names(action), units, strict=True))


def summaries(names: list[tuple[str, str]], tallies: list[NumberTally]) -> tuple[NumberSummary, ...]:
    """Returns what numbers are like, under names and units that were looked up."""
    return tuple(tally.summary(name, unit) for tally, (name, unit) in zip(tallies, names, strict=True))


def of_most(counts: Mapping[str, int]) -> dict[str, int]:
    """Returns counts with the largest first, equal ones by name."""
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
