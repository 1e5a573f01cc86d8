"""Policies on the episodes that they share: how much better one is, task by task and in all, with errors set aside and never dropped."""

from __future__ import annotations

import dataclasses
import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from vlagym.envs.errors import BadData
from vlagym.envs.types import EpisodeResult, RunHeader
from vlagym.results.aggregate import rate
from vlagym.results.differences import paired_difference
from vlagym.results.intervals import MeanInterval
from vlagym.results.multiplicity import holm, letters
from vlagym.results.paired import count_pairs, paired_rate_interval
from vlagym.results.planning import episodes_for_difference
from vlagym.results.pooling import Run, identity, shortened
from vlagym.results.sequential import State, state_after

POWER = 0.8
"""Of the plan that says how many episodes a difference like the one that was found needs."""


class Shared(NamedTuple):
    """An episode that both have played."""

    scene: str
    """Digest of its unvaried twin, or its own: episodes of one scene are one piece of evidence."""
    first: EpisodeResult
    second: EpisodeResult

    @property
    def has_error(self) -> bool:
        """Whether it ended in an error for either."""
        return "error" in (self.first.outcome, self.second.outcome)

    @property
    def outcomes(self) -> tuple[bool, bool]:
        """Whether the first succeeded, and whether the second did; who ended in an error did not."""
        return self.first.outcome == "success", self.second.outcome == "success"


@dataclass(frozen=True, kw_only=True)
class Row:
    """Two policies on the shared episodes of one task, or of all."""

    task: str | None
    """None: all tasks together."""
    n: int
    """Episodes that ended in success or failure for both."""
    scenes: int
    """Of these episodes; fewer than n where some are variations of others."""
    errors: int
    """Shared episodes that ended in an error for at least one; in none of the rates."""
    first: MeanInterval
    second: MeanInterval
    """Success, with Wilson's interval."""
    first_only: int
    """Episodes in which only the first succeeded."""
    second_only: int
    difference: MeanInterval
    """Success of the first minus that of the second."""
    p: float | None
    """Of "both succeed equally often": McNemar's exact test; where scenes have several episodes, their signs change together."""
    p_adjusted: float | None
    """By Holm over the tasks; None in the row of all."""
    difference_if_failures: MeanInterval | None
    """If errors were failures; None where there are none."""
    p_if_failures: float | None


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two runs, compared."""

    first: str
    second: str
    alpha: float
    """1 minus the confidence of the intervals of differences; chance of a wrong statement of the sequential comparison."""
    total: Row
    tasks: tuple[Row, ...]
    only_first: int
    """Episodes that only the first has played; in none of the numbers."""
    only_second: int
    differs: tuple[str, ...]
    """What the runs differ in besides the policy, in words."""
    notes: tuple[str, ...]
    sequential: State
    """Valid however often one has looked; scenes come in the order of their digests, or in that of the comparison that played them."""
    sequential_if_failures: State | None
    needed: int | None
    """Pairs with which a difference like the one found is seen with power 0.8 in a test of fixed size; None where there is no difference."""


class Standing(NamedTuple):
    """Several runs, each with each."""

    names: tuple[str, ...]
    """The highest success first."""
    comparisons: tuple[Comparison, ...]
    p_adjusted: tuple[float | None, ...]
    """Of each comparison, by Holm over all of them."""
    letters: Mapping[str, str]
    """Who shares a letter is not told apart."""


def compare(
    a: Run, b: Run, *, alpha: float = 0.05, difference: float | None = None, order: Sequence[str] | None = None, names: tuple[str, str] | None = None
) -> Comparison:
    """Returns what two runs say of each other on the episodes that they share.

    Args:
      a: The first.
      b: The second.
      alpha: Chance of a wrong statement of the sequential comparison; of the intervals too.
      difference: The smallest difference that matters, to the sequential comparison; None: only a sign can be decided.
      order: Scenes in the order in which they were looked at; None: that of their digests, which knows nothing of how they went.
      names: What the two are called; default: as `names_of`.

    Raises:
      BadData: If they share no episode; says what they differ in.
    """
    first, second = names or tuple(names_of([a, b]))
    differs = differences(a.header, b.header)
    found = shared(a.results, b.results)
    if not found:
        besides = f"; they differ in {'; '.join(differs)}" if differs else ""
        raise BadData(
            f"{a.name} ({len(a.results)} episodes) and {b.name} ({len(b.results)}) have no episode in common and cannot be compared{besides}. "
            "Run both policies on one suite"
        )
    tasks = sorted({s.first.task for s in found})
    rows = [_row(task, [s for s in found if s.first.task == task], alpha) for task in tasks]
    adjusted = iter(holm([row.p for row in rows if row.p is not None]))
    rows = [dataclasses.replace(row, p_adjusted=None if row.p is None else next(adjusted)) for row in rows]
    total = _row(None, found, alpha)
    return Comparison(
        first=first,
        second=second,
        alpha=alpha,
        total=total,
        tasks=tuple(rows),
        only_first=len(a.results) - len(found),
        only_second=len(b.results) - len(found),
        differs=tuple(differs),
        notes=tuple(_notes((a, b), (first, second), order is not None)),
        sequential=looked_at(found, alpha=alpha, difference=difference, order=order),
        sequential_if_failures=looked_at(found, alpha=alpha, difference=difference, order=order, errors_fail=True) if total.errors else None,
        needed=_needed(total),
    )


def compare_all(runs: Sequence[Run], *, alpha: float = 0.05, difference: float | None = None) -> Standing:
    """Returns every run compared with every other; p values are adjusted over all comparisons.

    Raises:
      BadData: If there are fewer than two, or two share no episode.
    """
    if len(runs) < 2:
        raise BadData("a comparison needs at least two run folders")
    names = names_of(runs)
    pairs = itertools.combinations(zip(runs, names, strict=True), 2)
    found = [compare(a, b, alpha=alpha, difference=difference, names=(first, second)) for (a, first), (b, second) in pairs]
    adjusted = iter(holm([c.total.p for c in found if c.total.p is not None]))
    p = tuple(None if c.total.p is None else next(adjusted) for c in found)

    def success(i: int) -> float:
        counted = [r for r in runs[i].results if r.outcome != "error"]
        return sum(r.outcome == "success" for r in counted) / max(len(counted), 1)

    ranked = tuple(names[i] for i in sorted(range(len(runs)), key=lambda i: (-success(i), i)))
    differ = [(c.first, c.second) for c, value in zip(found, p, strict=True) if value is not None and value < alpha]
    return Standing(ranked, tuple(found), p, letters(ranked, differ))


def names_of(runs: Sequence[Run]) -> list[str]:
    """Returns what each run is called: its policy, and the folder too where several have one policy."""
    policies = [str(run.header.policy.get("name", run.name)) for run in runs]
    return [f"{policy} ({run.name})" if policies.count(policy) > 1 else policy for policy, run in zip(policies, runs, strict=True)]


def shared(first: Iterable[EpisodeResult], second: Iterable[EpisodeResult]) -> list[Shared]:
    """Returns the episodes that both have played, in the order of their digests."""
    others = {r.digest: r for r in second}
    pairs = [Shared(r.base or r.digest, r, others[r.digest]) for r in first if r.digest in others]
    return sorted(pairs, key=lambda s: s.first.digest)


def scene_values(found: Iterable[Shared], *, errors_fail: bool = False) -> dict[str, float]:
    """Returns the mean difference of each scene, scenes in order of digest; a scene without a counted episode is left out.

    Args:
      found: Shared episodes.
      errors_fail: Whether an error counts as a failure; else the episode is set aside.
    """
    values: dict[str, list[int]] = defaultdict(list)
    for one in found:
        if errors_fail or not one.has_error:
            a, b = one.outcomes
            values[one.scene].append(int(a) - int(b))
    return {scene: sum(values[scene]) / len(values[scene]) for scene in sorted(values)}


def looked_at(
    found: Iterable[Shared], *, alpha: float, difference: float | None, order: Sequence[str] | None = None, errors_fail: bool = False
) -> State:
    """Returns the state of a sequential comparison after a look at each scene.

    Args:
      found: Shared episodes.
      alpha: As `SequentialComparison`.
      difference: As `SequentialComparison`.
      order: Scenes in the order of the looks; those that were not played are passed over. None: the order of the digests.
      errors_fail: As `scene_values`.
    """
    values = scene_values(found, errors_fail=errors_fail)
    scenes = values if order is None else [s for s in dict.fromkeys(order) if s in values]
    return state_after([values[scene] for scene in scenes], alpha=alpha, difference=difference)


def differences(a: RunHeader, b: RunHeader) -> list[str]:
    """Returns, in words, what two runs differ in besides the policy, of all that a number depends on."""
    one, other = _flat(identity(a)), _flat(identity(b))
    paths = [p for p in sorted({*one, *other}) if p.split(".")[0] != "policy" and one.get(p) != other.get(p)]
    return [f"{path}: {_short(one.get(path))} against {_short(other.get(path))}" for path in paths]


# ------------------------------------------------------------------------------------------------------------------------ one row
def _row(task: str | None, found: Sequence[Shared], alpha: float) -> Row:
    counted = [s for s in found if not s.has_error]
    pairs = count_pairs([s.outcomes[0] for s in counted], [s.outcomes[1] for s in counted])
    difference, p = _difference(counted, alpha)
    errors = len(found) - len(counted)
    if_failures, p_if_failures = _difference(found, alpha) if errors else (None, None)
    return Row(
        task=task,
        n=pairs.n,
        scenes=len({s.scene for s in counted}),
        errors=errors,
        first=rate(pairs.both + pairs.first_only, pairs.n),
        second=rate(pairs.both + pairs.second_only, pairs.n),
        first_only=pairs.first_only,
        second_only=pairs.second_only,
        difference=difference,
        p=p,
        p_adjusted=None,
        difference_if_failures=if_failures,
        p_if_failures=p_if_failures,
    )


def _difference(found: Sequence[Shared], alpha: float) -> tuple[MeanInterval, float | None]:
    """Returns first minus second and its p: Tango's interval, or where scenes have several episodes one that draws them together."""
    outcomes = [s.outcomes for s in found]
    # The shared function takes second minus first.
    interval, p = paired_difference([(b, a) for a, b in outcomes], [s.scene for s in found], [s.first.task for s in found], "comparison")
    if len({s.scene for s in found}) == len(found):
        interval = paired_rate_interval([a for a, _ in outcomes], [b for _, b in outcomes], 1 - alpha)
    return interval, p


def _needed(total: Row) -> int | None:
    if not total.difference.mean:
        return None
    discordance = (total.first_only + total.second_only) / total.n
    return episodes_for_difference(total.difference.mean, POWER, discordance=discordance).n


def _notes(runs: Sequence[Run], names: Sequence[str], is_ordered: bool) -> Iterator[str]:
    unfinished = []
    for run, name in zip(runs, names, strict=True):
        scheduled = run.header.suite.get("episodes")
        if isinstance(scheduled, int) and len(run.results) < scheduled:
            unfinished.append(f"{name} has stored {len(run.results)} of {scheduled} episodes")
    if unfinished:
        looks = "what is said of looking often holds" if is_ordered else "what is said of looking often holds only where that was not so"
        yield f"{', '.join(unfinished)}. Where a run was stopped because of how it went, p and the intervals of the table claim too much; {looks}"


def _flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, inner in value.items():
        out.update(_flat(inner, f"{prefix}{key}.") if isinstance(inner, Mapping) else {f"{prefix}{key}": inner})
    return out


def _short(value: Any) -> str:
    return shortened("none" if value is None else str(value))
