"""Counts what is in a dataset, demonstration by demonstration: images are never looked at, and memory holds a few words for each demonstration."""

from __future__ import annotations

import re
import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from vlagym.envs.errors import BadData
from vlagym.envs.types import EpisodeSpec
from vlagym.results.datacard.card import Contents, Duplicates, HeldOut, Lengths, TaskCount
from vlagym.results.datacard.columns import Columns, numbers_of_action, of_most, summaries
from vlagym.results.datacard.identity import recording_digest, scene_digest
from vlagym.results.datacard.numbers import NumberTally
from vlagym.results.demonstration import DatasetInfo, Demonstration

_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
_ACTIONS = "actions"


class Shown(NamedTuple):
    """What an episode shows and asks for, in words."""

    objects: tuple[str, ...]
    """Assets that the goal names."""
    kinds: tuple[str, ...]
    colours: tuple[str, ...]
    unseen: tuple[str, ...] | None
    """What of it is kept for evaluation; None where it names what is not here, so that nobody can tell."""


Describe = Callable[[EpisodeSpec], Shown]
"""Looks an episode up in the catalogues."""


class Tally:
    """The contents of a dataset, counted as its demonstrations come."""

    def __init__(self, info: DatasetInfo, describe: Describe) -> None:
        """Begins with none.

        Args:
          info: Of the dataset.
          describe: Says what an episode shows.
        """
        self._info, self._describe = info, describe
        self._names = numbers_of_action(info.action)
        self._actions, self._state = Columns(), Columns()
        self._lengths: dict[str, list[int]] = defaultdict(list)
        self._places: dict[str, list[int]] = defaultdict(list)
        self._successes: Counter[str] = Counter()
        self._robots: dict[str, Counter[str]] = defaultdict(Counter)
        self._said: dict[str, Counter[str]] = defaultdict(Counter)
        self._counts: dict[str, Counter[str]] = defaultdict(Counter)
        self._seen: dict[str, Counter[str]] = defaultdict(Counter)
        self._seconds: dict[str, float] = defaultdict(float)
        self._disturbed = self._paraphrases = self._without_spec = self._certified = self._looked_at = self._held_out = 0
        self._count = 0

    def add(self, demonstration: Demonstration) -> str:
        """Takes the next demonstration, and returns the digest of its scene; "" where it names no episode.

        Raises:
          BadData: If it has no steps, its actions are of another size than the dataset's, or it holds NaN or infinity.
        """
        d, steps = demonstration, demonstration.num_steps
        wanted = (steps, self._info.action.size)
        if steps == 0 or d.actions.shape != wanted or d.executed_actions.shape != wanted:
            raise BadData(f"demonstration {d.digest} has actions of the shape {d.actions.shape}; {self._info.action.name} wants {wanted}, and a step")
        task = "" if d.spec is None else d.spec.task
        try:
            self._actions.add(_ACTIONS, d.actions)
            for name, rows in d.proprio.items():
                self._state.add(name, rows)
        except BadData as error:
            raise BadData(f"demonstration {d.digest}: {error}") from error
        self._places[task].append(self._count)
        self._count += 1
        self._lengths[task].append(steps)
        self._seconds[task] += _seconds(d, self._info.action.rate_hz)
        self._successes[task] += d.is_success
        self._robots[task][self._info.robot if d.spec is None else d.spec.robot] += 1
        self._said[task][d.instruction] += 1
        self._counts["words"].update(word.lower() for word in _WORD.findall(d.instruction))
        self._counts["stages"].update({stage.name for stage in d.stages})
        self._paraphrases += len(d.paraphrases)
        self._disturbed += int((d.actions != d.executed_actions).any(axis=1).sum())
        self._certified += d.certificate is not None
        self._seen["digest"][d.digest] += 1
        self._seen["recording"][recording_digest(d)] += 1
        return self._add_episode(d.spec)

    def _add_episode(self, spec: EpisodeSpec | None) -> str:
        if spec is None:
            self._without_spec += 1
            return ""
        scene, shown = scene_digest(spec), self._describe(spec)
        self._seen["scene"][scene] += 1
        self._counts["arenas"][spec.scene.arena] += 1
        self._counts["templates"][spec.phrase] += 1
        self._counts["levels"][spec.level] += 1
        self._counts["variations"].update(f"{axis}={level}" for axis, level in spec.axes)
        for sort in ("objects", "kinds", "colours"):
            self._counts[sort].update(dict.fromkeys(getattr(shown, sort), 1))
        if shown.unseen is not None:
            self._looked_at += 1
            self._held_out += bool(shown.unseen)
            self._counts["unseen"].update(dict.fromkeys(shown.unseen, 1))
        return scene

    # ------------------------------------------------------------------------------------------------------------------ what was counted
    @property
    def places(self) -> dict[str, list[int]]:
        """Task -> numbers of its demonstrations in the dataset, ascending."""
        return {task: list(self._places[task]) for task in sorted(self._places)}

    @property
    def lengths(self) -> dict[str, list[int]]:
        """Task -> control steps of each of its demonstrations, in the same order."""
        return {task: list(self._lengths[task]) for task in sorted(self._lengths)}

    @property
    def actions(self) -> list[NumberTally]:
        """Of each number of an action."""
        return self._actions.arrays()[_ACTIONS]

    @property
    def action_names(self) -> list[tuple[str, str]]:
        """Name and unit of each number of an action."""
        return list(self._names)

    def contents(self) -> Contents:
        """Returns what was counted; there must be a demonstration."""
        sentences: Counter[str] = sum(self._said.values(), Counter())
        robots: Counter[str] = sum(self._robots.values(), Counter())
        sorts = ("arenas", "variations", "templates", "levels", "words", "objects", "kinds", "colours", "stages")
        return Contents(
            demonstrations=self._count,
            successes=sum(self._successes.values()),
            steps=lengths_of([steps for of in self._lengths.values() for steps in of]),
            seconds=round(float(sum(self._seconds.values())), 3),
            tasks=tuple(self._task(task) for task in sorted(self._lengths)),
            robots=of_most(robots),
            sentences=of_most(sentences),
            paraphrases=self._paraphrases,
            actions=summaries(self._names, self.actions),
            state=self._state.state(),
            disturbed_steps=self._disturbed,
            without_spec=self._without_spec,
            with_certificate=self._certified,
            **{sort: of_most(self._counts[sort]) for sort in sorts},
        )

    def duplicates(self) -> Duplicates:
        """Returns how many are there more than once."""
        again = {sort: sum(count - 1 for count in self._seen[sort].values()) for sort in ("digest", "recording", "scene")}
        return Duplicates(same_digest=again["digest"], same_recording=again["recording"], same_scene=again["scene"])

    def held_out(self, allowed: Sequence[str] | None) -> HeldOut:
        """Returns what is kept for evaluation and is there all the same.

        Args:
          allowed: What the collector was told to demonstrate, where somebody says.
        """
        return HeldOut(
            demonstrations=self._held_out,
            things=of_most(self._counts["unseen"]),
            looked_at=self._looked_at,
            allowed=None if allowed is None else tuple(allowed),
        )

    def _task(self, task: str) -> TaskCount:
        return TaskCount(
            task=task,
            demonstrations=len(self._lengths[task]),
            successes=self._successes[task],
            seconds=round(float(self._seconds[task]), 3),
            steps=lengths_of(self._lengths[task]),
            sentences=len(self._said[task]),
            robots=of_most(self._robots[task]),
        )


def lengths_of(steps: Sequence[int]) -> Lengths:
    """Returns what the lengths of demonstrations are like; there must be one."""
    return Lengths(total=sum(steps), min=min(steps), median=float(statistics.median(steps)), mean=float(np.mean(steps)), max=max(steps))


def _seconds(d: Demonstration, rate_hz: float) -> float:
    """Returns how long a demonstration took: its last step included."""
    return d.num_steps / rate_hz if d.timestamps_s is None else float(d.timestamps_s[-1] - d.timestamps_s[0]) + 1 / rate_hz
