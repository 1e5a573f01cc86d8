"""Compositional gaps: whether two variations together hurt more than each alone would let expect."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from vlagym.envs.errors import BadData
from vlagym.results.aggregate import rate
from vlagym.results.clusters import resampled_totals
from vlagym.results.gaps import CONTROLS
from vlagym.results.intervals import MeanInterval, content_rng
from vlagym.results.pairing import Pair, paired_pools
from vlagym.results.pooling import Run, pools

Variation = tuple[tuple[str, int], ...]


@dataclass(frozen=True, kw_only=True)
class Composition:
    """Two axes, alone and together, on twins that succeeded (the compositional gap of LIBERO-Plus, Fei et al. 2025, with an interval)."""

    policy: str
    suite: str
    differs: str
    first: tuple[str, int]
    """(axis, level)."""
    second: tuple[str, int]
    alone_first: MeanInterval
    """P(first): success where only the first was varied, given success of the twin; Wilson."""
    alone_second: MeanInterval
    both: MeanInterval
    gap: MeanInterval
    """P(both) - P(first) · P(second). Below 0: together they hurt more than two independent causes would. n counts the twins that it rests on."""


class Compositions(NamedTuple):
    """Compositional gaps of some runs."""

    rows: list[Composition]
    notes: list[str]
    """Pairs of axes that were varied together and of which one was not varied alone at the same level."""


def compositions(runs: Sequence[Run]) -> Compositions:
    """Returns the compositional gap of every two axes that were varied together, and each alone at the same level.

    Each of the three rates counts the pairs whose twin succeeded. The interval resamples twins, within each task and within each set of arms that a
    twin has, so that arms that share scenes stay together and arms that do not are drawn apart. Errored episodes are in no rate.

    Raises:
      BadData: If there are no runs.
    """
    if not runs:
        raise BadData("compositional gaps need at least one run folder")
    rows: list[Composition] = []
    notes: list[str] = []
    for pool, pairing in paired_pools(pools(runs)):
        arms = pairing.by_variation()
        for variation in sorted(arms):
            if len(variation) != 2 or {axis for axis, _ in variation} & set(CONTROLS):
                continue
            first, second = variation
            missing = [f"{axis}={level}" for axis, level in variation if ((axis, level),) not in arms]
            if missing:
                without = f"{_named(variation)} has no compositional gap, for {' and '.join(missing)} was not played alone"
                notes.append(f"{pool.label} on {pool.suite}: {without}")
                continue
            found = _gap([arms[(first,)], arms[(second,)], arms[variation]], _named(variation))
            rows.append(Composition(policy=pool.policy, suite=pool.suite, differs=pool.differs, first=first, second=second, **found._asdict()))
    rows.sort(key=lambda row: (row.suite, row.policy, row.differs, row.first, row.second))
    return Compositions(rows, notes)


class _Found(NamedTuple):
    alone_first: MeanInterval
    alone_second: MeanInterval
    both: MeanInterval
    gap: MeanInterval


def _gap(arms: Sequence[Iterable[Pair]], name: str) -> _Found:
    """Returns the rates of (first, second, both) and their compositional gap."""
    units: dict[str, list[float]] = defaultdict(lambda: [0.0] * 6)
    tasks: dict[str, str] = {}
    for i, pairs in enumerate(arms):
        for pair in pairs:
            if pair.is_counted and pair.twin.outcome == "success":
                units[pair.twin.digest][2 * i] += pair.varied.outcome == "success"
                units[pair.twin.digest][2 * i + 1] += 1
                tasks[pair.twin.digest] = pair.twin.task
    strata = _strata(units, tasks)
    cells = sorted((strata[twin], unit) for twin, unit in units.items())
    names, numbers = [name for name, _ in cells], [unit for _, unit in cells]
    totals = np.sum(np.array(numbers, np.float64).reshape(-1, 6), axis=0)
    first, second, both = (rate(int(totals[2 * i]), int(totals[2 * i + 1])) for i in range(3))
    if first.mean is None or second.mean is None or both.mean is None:
        return _Found(first, second, both, MeanInterval(None, None, None, len(units)))
    key = [sum(value * 10.0**place for place, value in enumerate(row)) for row in numbers]
    drawn = resampled_totals(numbers, names, content_rng(key, names, "composition", name), merge_singles=False)
    gap = both.mean - first.mean * second.mean
    if drawn is None:
        return _Found(first, second, both, MeanInterval(gap, None, None, len(units)))
    resampled = drawn[:, 4] / drawn[:, 5] - drawn[:, 0] / drawn[:, 1] * drawn[:, 2] / drawn[:, 3]
    low, high = np.quantile(resampled, [0.025, 0.975])
    return _Found(first, second, both, MeanInterval(gap, float(low), float(high), len(units)))


def _strata(units: Mapping[str, Sequence[float]], tasks: Mapping[str, str]) -> dict[str, str]:
    """Returns the stratum of each twin: its task and which arms it has, so that every resample has as many episodes of each arm as were played.

    Twins that are alone in theirs are put together with those of other tasks that have the same arms.
    """
    arms = {twin: " ".join(f"{unit[2 * i + 1]:g}" for i in range(3)) for twin, unit in units.items()}
    whole = {twin: f"{tasks[twin]}|{arms[twin]}" for twin in units}
    counts: dict[str, int] = defaultdict(int)
    for name in whole.values():
        counts[name] += 1
    return {twin: name if counts[name] > 1 else f"|{arms[twin]}" for twin, name in whole.items()}


def _named(variation: Variation) -> str:
    return " + ".join(f"{axis}={level}" for axis, level in variation)
