"""Compositional gaps: whether two variations together hurt more than each alone would let expect."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

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
    """P(both) - P(first) · P(second) within each task, weighted by the episodes of both together. Below 0: together they hurt more than two
    independent causes would. n counts the twins that it rests on."""
    pooled: float | None
    """The same of the rates over all tasks together, as LIBERO-Plus has it. Tasks that differ in difficulty raise it: of one task with rates of 0.9
    and one with 0.1 it is 0.16 where the causes are independent in both."""


class Compositions(NamedTuple):
    """Compositional gaps of some runs."""

    rows: list[Composition]
    notes: list[str]
    """Pairs of axes of which one was not varied alone at the same level, in no task or in some."""


def compositions(runs: Sequence[Run]) -> Compositions:
    """Returns the compositional gap of every two axes that were varied together, and each alone at the same level.

    Each of the three rates counts the pairs whose twin succeeded. The gap is taken within each task: over tasks of unlike difficulty, two variations
    that do not interfere at all succeed together more often than the product of their rates. A twin's own first and second are not
    multiplied with each other, so that few twins do not shrink it. The interval resamples twins, within each task and within each set of arms that
    a twin has, by what each adds to the gap in the first order. Errored episodes are in no rate; a task in which an arm is missing is in no gap.

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
            found, left_out = _gap([arms[(first,)], arms[(second,)], arms[variation]], _named(variation))
            rows.append(Composition(policy=pool.policy, suite=pool.suite, differs=pool.differs, first=first, second=second, **found._asdict()))
            if left_out:
                told = "have not been played in each of the three ways, or too seldom, with a twin that succeeded, and are not in its gap"
                notes.append(f"{pool.label} on {pool.suite}: of {_named(variation)}, {', '.join(left_out)} {told}")
    rows.sort(key=lambda row: (row.suite, row.policy, row.differs, row.first, row.second))
    return Compositions(rows, notes)


class _Found(NamedTuple):
    alone_first: MeanInterval
    alone_second: MeanInterval
    both: MeanInterval
    gap: MeanInterval
    pooled: float | None


def _gap(arms: Sequence[Iterable[Pair]], name: str) -> tuple[_Found, list[str]]:
    """Returns the rates of (first, second, both) with their compositional gap, and the tasks that are not in it."""
    units: dict[str, list[float]] = defaultdict(lambda: [0.0] * 6)
    tasks: dict[str, list[str]] = defaultdict(list)
    for i, pairs in enumerate(arms):
        for pair in pairs:
            if pair.is_counted and pair.twin.outcome == "success":
                if pair.twin.digest not in units:
                    tasks[pair.twin.task].append(pair.twin.digest)
                units[pair.twin.digest][2 * i] += pair.varied.outcome == "success"
                units[pair.twin.digest][2 * i + 1] += 1
    of_task = {task: np.array([units[digest] for digest in digests]) for task, digests in sorted(tasks.items())}
    totals = np.sum([cells.sum(axis=0) for cells in of_task.values()], axis=0) if of_task else np.zeros(6)
    first, second, both = (rate(int(totals[2 * i]), int(totals[2 * i + 1])) for i in range(3))
    whole = {task: cells for task, cells in of_task.items() if _product(cells) is not None and cells[:, 5].sum() > 0}
    left_out = [task for task in of_task if task not in whole]
    pooled = None if first.mean is None or second.mean is None or both.mean is None else both.mean - first.mean * second.mean
    if not whole:
        return _Found(first, second, both, MeanInterval(None, None, None, 0), pooled), left_out
    return _Found(first, second, both, _within_tasks(whole, name), pooled), left_out


def _within_tasks(of_task: Mapping[str, NDArray[np.float64]], name: str) -> MeanInterval:
    """Returns the gap, summed over tasks, each weighted by its share of the episodes in which both were varied."""
    num_both = sum(cells[:, 5].sum() for cells in of_task.values())
    gap, parts = 0.0, []
    for task, cells in of_task.items():
        weight = float(cells[:, 5].sum() / num_both)
        p = cells[:, ::2].sum(axis=0) / cells[:, 1::2].sum(axis=0)
        gap += weight * (float(p[2]) - (_product(cells) or 0.0))
        # What each twin adds to each rate, and through it to the gap.
        steps = (cells[:, ::2] - p * cells[:, 1::2]) / cells[:, 1::2].sum(axis=0)
        adds = weight * (steps[:, 2] - p[1] * steps[:, 0] - p[0] * steps[:, 1])
        parts += [(f"{task}|{' '.join(f'{n:g}' for n in row[1::2])}", round(float(add), 12)) for row, add in zip(cells, adds, strict=True)]
    parts.sort()
    names, values = [name for name, _ in parts], [value for _, value in parts]
    drawn = resampled_totals([[value] for value in values], names, content_rng(values, names, "composition", name))
    if drawn is None:
        return MeanInterval(gap, None, None, len(parts))
    low, high = np.quantile(drawn[:, 0], [0.025, 0.975])
    return MeanInterval(gap, gap + float(low), gap + float(high), len(parts))


def _product(cells: NDArray[np.float64]) -> float | None:
    """Returns P(first) · P(second) of a task, unbiased: over all pairs of episodes of two different twins. None where there is no such pair."""
    num = cells[:, 1].sum() * cells[:, 3].sum() - (cells[:, 1] * cells[:, 3]).sum()
    return float((cells[:, 0].sum() * cells[:, 2].sum() - (cells[:, 0] * cells[:, 2]).sum()) / num) if num else None


def _named(variation: Variation) -> str:
    return " + ".join(f"{axis}={level}" for axis, level in variation)
