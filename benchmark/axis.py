"""What an axis is: one way in which an episode is varied, in levels, and nothing else about it."""

from __future__ import annotations

import dataclasses
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from vlagym.envs import catalog
from vlagym.envs.errors import BadData, BadSpec, Unsatisfiable, VlagymError
from vlagym.envs.types import EpisodeSpec, stream

Group = Literal[
    "object", "layout", "appearance", "camera", "body", "physics", "safety", "sensing", "timing", "language", "noise", "all", "control",
]  # fmt: skip
"""What an axis is about, in the order in which several are applied: what stands there before where it stands, how it looks and is seen, how it
moves; the sentence last, because it speaks of all that, and what garbles or takes away the sentence after that.

control: the sentence no longer asks for the goal (blank, shuffled, wrong, nonsense), which measures how much a policy listens.
"""

GARBLING: tuple[Group, ...] = ("noise", "all", "control")
"""After axes of these groups the sentence need not be one that the reader understands."""
_MOVES_THE_SCENE = ("scene", "robot", "robot_qpos", "robot_base", "robot_start")
_FIRST = ("layout", "novel_kind", "novel_object")
"""Within their groups: what is exchanged is coloured afterwards, and things that were moved leave room for more."""
MAX_DRAWS = 40


class Unfit(VlagymError):
    """Raised by an axis: what was drawn does not do in this episode. Another draw is made."""


class NotApplicable(BadSpec):
    """An axis cannot vary an episode at all, whatever is drawn: nothing in it has what the axis varies."""


@dataclass(frozen=True, kw_only=True)
class Axis:
    """A variation. `AXIS` of a file in benchmark/axes."""

    levels: tuple[int, ...] = (0, 1, 2, 3, 4, 5)
    """The levels there are, from 0, which is the identity."""
    changes: tuple[str, ...]
    """Fields of `EpisodeSpec` that it may change; anything else that it changed is refused."""
    apply: Callable[[EpisodeSpec, int, np.random.Generator], EpisodeSpec]
    """(spec, level above 0, generator) -> the varied spec. Does not touch `axes` and `base`: `vary` does.

    Raises Unfit where this draw does not do, and NotApplicable where none can."""
    group: Group = "object"
    """What it is about."""
    tells: tuple[str, ...] = ()
    """What each level above 0 does, with its numbers and units, in a line."""

    @property
    def is_control(self) -> bool:
        """Whether the sentence no longer asks for the goal."""
        return self.group == "control"

    @property
    def rank(self) -> int:
        """Place of its group in the order in which axes are applied."""
        return get_args(Group).index(self.group)


def check_levels(variation: Sequence[tuple[str, int]]) -> None:
    """Looks at the names and levels of a variation.

    Raises:
      UnknownName: If there is no such axis.
      BadData: If an axis has no such level, or is named twice; or an outsider's does not import.
    """
    names = [name for name, _ in variation]
    for name, level in variation:
        catalog.known("axis", name)
        levels = catalog.load("axis", name).levels
        if level not in levels:
            raise BadData(f"the axis {name!r} has no level {level}. It has: {', '.join(map(str, levels))}")
        if names.count(name) > 1:
            raise BadData(f"the axis {name!r} is given twice")


def vary(spec: EpisodeSpec, name: str, level: int) -> EpisodeSpec:
    """Returns the episode at one level of an axis.

    The twin's digest is kept in `base`, through several axes too, so that the effect of a variation can be measured in pairs. Where the scene
    or the robot was changed, the premises of the episode hold afterwards as they did before (see `vlagym.envs.premises`); unless it was
    garbled on purpose, the sentence asks for exactly the goal.

    Args:
      spec: Unvaried, or varied along other axes.
      name: A file of benchmark/axes, or package.module:ATTRIBUTE.
      level: 0 gives the spec back as it is.

    Raises:
      UnknownName: If there is no such axis.
      BadData: If the axis has no such level, the episode was varied along it before, or along one that comes after it.
      BadSpec: If the axis changed what it does not declare.
      NotApplicable: If it can never vary this episode; says why.
      Unsatisfiable: If none of MAX_DRAWS draws did; says why they failed.
    """
    axis: Axis = catalog.load("axis", name)
    if level not in axis.levels:
        raise BadData(f"the axis {name!r} has no level {level}. It has: {', '.join(map(str, axis.levels))}")
    if level == 0:
        return spec
    if name in dict(spec.axes):
        raise BadData(f"the episode was varied along {name!r} before, to level {dict(spec.axes)[name]}")
    for before, _ in spec.axes:
        if catalog.load("axis", before).rank > axis.rank:
            raise BadData(f"the episode was varied along {before!r} before; {name!r} comes first: `vary_all` sorts them")
    reasons: Counter[str] = Counter()
    for draw in range(MAX_DRAWS):
        key = (str(level),) if draw == 0 else (str(level), str(draw))
        try:
            varied = axis.apply(spec, level, stream(spec.seed, "axis", spec.task, name, *key))
        except Unfit as unfit:
            reasons[str(unfit)] += 1
            continue
        except VlagymError:
            raise
        except Exception as error:
            if ":" not in name:
                raise  # one of ours: a bug, which keeps its traceback
            raise BadSpec(f"the axis {name!r} raised {type(error).__name__} {_where(error)}: {error}") from error
        for field in dataclasses.fields(EpisodeSpec):
            if field.name not in axis.changes and getattr(varied, field.name) != getattr(spec, field.name):
                raise BadSpec(f"the axis {name!r} changed {field.name!r} and declares only: {', '.join(axis.changes)}")
        wrong = complaint(varied, spec, axis)
        if wrong is None:
            return dataclasses.replace(varied, axes=(*spec.axes, (name, level)), base=spec.base or spec.digest())
        reasons[wrong] += 1
    listed = "; ".join(f"{count}x {reason}" for reason, count in reasons.most_common(3))
    raise Unsatisfiable(f"{spec.task!r} with seed {spec.seed} was not varied along {name!r} to level {level} in {MAX_DRAWS} draws: {listed}")


def _where(error: Exception) -> str:
    """Returns the file and line at which something was raised."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"in {Path(last.filename).name} line {last.lineno}"


def vary_all(spec: EpisodeSpec, variation: Sequence[tuple[str, int]]) -> EpisodeSpec:
    """Returns the episode at levels of several axes, applied in the order of their groups, whatever the order they are given in.

    Raises:
      As `vary`; BadData also if an axis is given twice.
    """
    names = [name for name, _ in variation]
    for name in names:
        if names.count(name) > 1:
            raise BadData(f"the axis {name!r} is given twice")
    for name, level in sorted(variation, key=lambda one: (catalog.load("axis", one[0]).rank, one[0] not in _FIRST, one[0])):
        spec = vary(spec, name, level)
    return spec


def complaint(varied: EpisodeSpec, spec: EpisodeSpec, axis: Axis) -> str | None:
    """Returns in a few words which premise a varied episode breaks, or that its sentence asks for something else; None if all is well."""
    moved = any(getattr(varied, field) != getattr(spec, field) for field in _MOVES_THE_SCENE)
    if moved:
        from vlagym.envs.premises import broken_premise

        if (broken := broken_premise(varied)) is not None:
            return broken
    is_garbled = axis.group in GARBLING or any(catalog.load("axis", name).group in GARBLING for name, _ in spec.axes)
    if is_garbled or not (moved or varied.instruction != spec.instruction):
        return None
    return None if asks_for_its_goal(varied) else "the sentence would no longer ask for exactly the goal"


def asks_for_its_goal(spec: EpisodeSpec) -> bool:
    """Returns whether the sentence of an episode can be read in one way only, which is its goal, or the alternative that `told` names."""
    from vlagym.envs.language.clauses import wish_of
    from vlagym.envs.language.understand import understand

    meant = spec if spec.told is None else dataclasses.replace(spec, goal=spec.alternatives[spec.told], steps=(), told=None)
    return understand(spec.instruction, spec) == (wish_of(meant),)


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


def parse_variations(text: str) -> tuple[tuple[tuple[str, int], ...], ...]:
    """Reads what a suite's `vary` holds: `NAME=LEVELS`, with LEVELS as 3, 1,3,5 or 1..5; several axes at once are joined by +.

    Returns:
      One variation for each combination of levels, each a tuple of (axis, level): "camera=1,3+friction=2" gives two of two axes.

    Raises:
      BadData: If it is written otherwise, or names a level twice, or level 0.
    """
    variations: tuple[tuple[tuple[str, int], ...], ...] = ((),)
    for part in text.split("+"):
        name, equals, levels = part.strip().partition("=")
        if not name:
            raise BadData(f"a variation names an axis: NAME=LEVELS, not {text!r}")
        wanted = [(name, level) for level in _levels(levels if equals else "1", text)]
        variations = tuple((*before, one) for before in variations for one in wanted)
    return variations


def _levels(text: str, where: str) -> tuple[int, ...]:
    first, dots, last = text.partition("..")
    words = [first, last] if dots else text.split(",")
    if not all(word.strip().isdecimal() for word in words):
        raise BadData(f"a variation is written NAME=3, NAME=1,3,5 or NAME=1..5, several joined by +, not {where!r}")
    levels = tuple(range(int(words[0]), int(words[1]) + 1)) if dots else tuple(int(word) for word in words)
    if not levels or 0 in levels or len(set(levels)) < len(levels):
        raise BadData(f"{where!r} must name levels from 1 on, each once; the unvaried twins are played anyway")
    return levels
