"""Episodes of one row counted by task, axis and failure mode, each varied episode beside its unvaried twin."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from vlagym.envs.types import EpisodeResult
from vlagym.results.failures import MODES, UNLABELLED
from vlagym.results.gaps import CONTROLS
from vlagym.results.intervals import wilson
from vlagym.results.pairing import plain_episodes
from vlagym.results.site.words import Cell, cell

UNVARIED = ""
"""Name of the column of episodes that are varied along no axis."""


class Rate(NamedTuple):
    """Successes of n episodes, and the errors beside them."""

    successes: int
    n: int
    errors: int = 0

    @property
    def share(self) -> float | None:
        return self.successes / self.n if self.n else None

    @property
    def ends(self) -> tuple[float, float] | tuple[None, None]:
        """Ends of the 95 % Wilson interval."""
        if not self.n:
            return None, None
        low, high = wilson(self.successes, self.n)
        return float(low), float(high)

    def cell(self) -> Cell:
        """Returns it as a cell of a table."""
        return cell(self.share, *self.ends)


class Paired(NamedTuple):
    """Varied episodes whose twin is there, neither of them an error."""

    n: int
    varied: int
    """Successes of the varied ones."""
    twin: int
    """Successes of their twins."""

    @property
    def gap(self) -> float | None:
        return (self.varied - self.twin) / self.n if self.n else None


class Spot(NamedTuple):
    """What is known of one group of episodes."""

    rate: Rate
    paired: Paired


@dataclass(frozen=True, kw_only=True)
class Breakdown:
    """The counts of one row."""

    headline: Rate
    """What the table calls success: of the unvaried episodes where there are any (`plain_episodes`), and never of control sentences beside others."""
    by_task: Mapping[str, Rate]
    """Task -> those of its episodes that the headline counts."""
    by_axis: Mapping[str, Spot]
    """Names of the axes ("camera", "camera + lighting", UNVARIED) -> its episodes."""
    by_task_and_axis: Mapping[tuple[str, str], Spot]
    by_failure: Mapping[str, int]
    """Failure mode -> failures that the headline counts."""

    @property
    def is_mixed(self) -> bool:
        """Whether there are varied episodes beside unvaried ones, of which the headline is."""
        return UNVARIED in self.by_axis and len(self.by_axis) > 1


def is_control(axes: str) -> bool:
    """Returns whether some axis of a combination is a language control."""
    return any(name in CONTROLS for name in axes.split(" + "))


def axes_of(result: EpisodeResult) -> str:
    """Returns the axes of an episode without their levels: "camera + lighting"; UNVARIED for none."""
    return " + ".join(sorted(result.axes))


def breakdown(results: Sequence[EpisodeResult]) -> Breakdown:
    """Returns the counts of the episodes of one row, one result an episode."""
    at = {r.digest: r for r in results}
    counted = plain_episodes(results)
    tasks: dict[str, list[EpisodeResult]] = defaultdict(list)
    axes: dict[str, list[EpisodeResult]] = defaultdict(list)
    spots: dict[tuple[str, str], list[EpisodeResult]] = defaultdict(list)
    for r in results:
        names = axes_of(r)
        axes[names].append(r)
        spots[r.task, names].append(r)
    for r in counted:
        tasks[r.task].append(r)
    return Breakdown(
        headline=_rate(counted),
        by_task={task: _rate(found) for task, found in sorted(tasks.items())},
        by_axis={names: _spot(found, at) for names, found in sorted(axes.items(), key=lambda item: axis_order(item[0]))},
        by_task_and_axis={key: _spot(found, at) for key, found in spots.items()},
        by_failure=_failures(counted),
    )


def axis_order(names: str) -> tuple[bool, bool, bool, str]:
    """Returns a key that sorts: unvaried, single axes, several at once, language controls."""
    return names != UNVARIED, is_control(names), " + " in names or names == "all", names


def modes_in_order(modes: Iterable[str]) -> list[str]:
    """Returns failure modes in the order in which they are tried, then those that are none of ours, then the unlabelled."""
    found = set(modes)
    return [mode for mode in (*MODES, *sorted(found - {*MODES, UNLABELLED}), UNLABELLED) if mode in found]


def _failures(results: Iterable[EpisodeResult]) -> dict[str, int]:
    counts = Counter(r.failure_mode or UNLABELLED for r in results if r.outcome == "failure")
    return {mode: counts[mode] for mode in modes_in_order(counts)}


def _spot(results: Sequence[EpisodeResult], at: Mapping[str, EpisodeResult]) -> Spot:
    pairs = [(r, at[r.base]) for r in results if r.base is not None and r.base in at]
    whole = [(r, twin) for r, twin in pairs if "error" not in (r.outcome, twin.outcome)]
    return Spot(_rate(results), Paired(len(whole), sum(r.outcome == "success" for r, _ in whole), sum(t.outcome == "success" for _, t in whole)))


def _rate(results: Sequence[EpisodeResult]) -> Rate:
    errors = sum(r.outcome == "error" for r in results)
    return Rate(sum(r.outcome == "success" for r in results), len(results) - errors, errors)
