"""Generalization gaps: what a variation costs, measured on varied episodes and their unvaried twins."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from vlagym.envs.errors import BadData, unknown_name
from vlagym.envs.types import EpisodeResult
from vlagym.results.aggregate import rate
from vlagym.results.counted import CONTROLS as CONTROLS
from vlagym.results.differences import paired_difference as paired_difference
from vlagym.results.intervals import MeanInterval
from vlagym.results.multiplicity import holm
from vlagym.results.pairing import Pair, Pairing, paired_pools, variation_of
from vlagym.results.pooling import Run, pools

SUCCESS = "success"

Per = Literal["axis", "level", "task"]
"""What has a row of its own: an axis over all its levels, each level of it, or each task under it."""


@dataclass(frozen=True, kw_only=True)
class Gap:
    """What a variation costs one policy: success of the varied episodes minus success of their twins. Or another measure that is 0 or 1."""

    measure: str
    """SUCCESS, or the measure that stands in its place in every number but the errors."""
    policy: str
    suite: str
    differs: str
    """As `pooling.Pool.differs`."""
    axes: tuple[str, ...]
    """The axis; several where they were varied together."""
    levels: tuple[int, ...] | None
    """One for each axis; None where levels are counted together."""
    task: str | None
    """None where tasks are counted together."""
    n: int
    """Pairs of which both episodes ended in success or failure, and have the measure."""
    num_twins: int
    """Twins among them. Where there are fewer than pairs, those of one twin are one piece of evidence."""
    twin: MeanInterval
    """Success of the twins, each as often as it is in a pair; Wilson's interval of as many episodes as there are pairs."""
    varied: MeanInterval
    gap: MeanInterval
    """varied - twin."""
    p: float | None
    """Of "the variation changes nothing": McNemar's exact test where each twin is in one pair, else as `paired_difference`."""
    p_adjusted: float | None
    """By Holm, over the rows of this policy and suite that are compared at once: its axes, or the levels of them all."""
    lost: int
    """Pairs of which only the twin succeeded."""
    won: int
    """Pairs of which only the varied episode succeeded."""
    errors: int
    """Pairs that are left out because at least one of the two ended in an error."""
    varied_errors: int
    twin_errors: int
    gap_if_errors_failed: float | None
    """The gap if every errored episode were a failure."""
    unpaired: int
    """Varied episodes whose twin is in no run; in none of the numbers."""

    @property
    def axis(self) -> str:
        """The axes in words: "camera + lighting"."""
        return " + ".join(self.axes)

    @property
    def level(self) -> str:
        """The levels in words, "3" or "3 + 2"; empty where they are counted together."""
        return "" if self.levels is None else " + ".join(map(str, self.levels))


class Gaps(NamedTuple):
    """Gaps of some runs."""

    rows: list[Gap]
    """By suite, policy and axis; levels rise."""
    notes: list[str]
    """What is in none of the rows, and why."""


def gaps(runs: Sequence[Run], per: Per = "axis", *, pool_axes: Iterable[str] | None = None, measure: str = SUCCESS) -> Gaps:
    """Returns the gap of each axis that varied some episodes of the runs.

    Pairs are varied episodes with their unvaried twins (`results.pairing`); the interval is that of `paired_difference`. An errored episode leaves
    its pair out and is counted beside it; a varied episode without a twin is in no number and told.

    Args:
      runs: Of any number of policies and suites; those of each pool are counted together.
      per: What has a row of its own.
      pool_axes: Only these axes; None: all but the language controls.
      measure: What is compared: success, or a measure that is 0 or 1 in every episode that has it, as `safe_success`.

    Raises:
      BadData: If there are no runs, no varied episode has the measure, or it is somewhere neither 0 nor 1.
    """
    if not runs:
        raise BadData("gaps need at least one run folder")
    wanted = None if pool_axes is None else set(pool_axes)
    known = {SUCCESS} | {name for run in runs for result in run.results for name in result.measures}
    if measure not in known:
        raise unknown_name("measure", measure, known)
    rows: list[Gap] = []
    notes: list[str] = []
    for pool, pairing in paired_pools(pools(runs)):
        chosen = _chosen(pairing, wanted)
        groups = _groups(chosen, per)
        of_pool = [_gap(measure, (pool.policy, pool.suite, pool.differs), key, pairs, unpaired) for key, (pairs, unpaired) in groups.items()]
        rows += _adjusted(sorted(of_pool, key=lambda g: (len(g.axes), g.axis == "all", g.axes, g.levels or (), g.task or "")))
        notes += _notes((pool.label, pool.suite), pairing, chosen, wanted, measure)
    order = {suite: i for i, suite in enumerate(sorted({g.suite for g in rows}))}
    rows.sort(key=lambda g: (order[g.suite], g.policy, g.differs))  # stable: the order of the axes within stays
    return Gaps(rows, notes)


def curves(rows: Iterable[Gap]) -> dict[tuple[str, str, str], dict[str, list[Gap]]]:
    """Returns the level curves: (policy, suite, differs) -> axis -> its gaps by rising level. Axes that were varied together have none.

    Args:
      rows: From `gaps(runs, "level")`.
    """
    out: dict[tuple[str, str, str], dict[str, list[Gap]]] = defaultdict(lambda: defaultdict(list))
    for gap in rows:
        if len(gap.axes) == 1 and gap.levels is not None:
            out[gap.policy, gap.suite, gap.differs][gap.axis].append(gap)
    return {key: {axis: sorted(found, key=lambda g: g.levels or ()) for axis, found in of.items()} for key, of in out.items()}


# ------------------------------------------------------------------------------------------------------------------------- one row
_Key = tuple[tuple[str, ...], tuple[int, ...] | None, str | None]


def _chosen(pairing: Pairing, wanted: set[str] | None) -> Pairing:
    def is_wanted(axes: Mapping[str, int]) -> bool:
        return not set(axes) & set(CONTROLS) if wanted is None else set(axes) <= wanted

    return Pairing(
        pairs=tuple(pair for pair in pairing.pairs if is_wanted(pair.varied.axes)),
        unpaired=tuple(r for r in pairing.unpaired if is_wanted(r.axes)),
    )


def _groups(pairing: Pairing, per: Per) -> dict[_Key, tuple[list[Pair], int]]:
    def key(variation: tuple[tuple[str, int], ...], task: str) -> _Key:
        axes, levels = tuple(a for a, _ in variation), tuple(level for _, level in variation)
        return axes, levels if per == "level" else None, task if per == "task" else None

    found: dict[_Key, list[Pair]] = defaultdict(list)
    lonely: dict[_Key, int] = defaultdict(int)
    for pair in pairing.pairs:
        found[key(variation_of(pair.varied), pair.varied.task)].append(pair)
    for result in pairing.unpaired:
        lonely[key(variation_of(result), result.task)] += 1
    return {k: (found.get(k, []), lonely.get(k, 0)) for k in [*found, *(k for k in lonely if k not in found)]}


def _gap(measure: str, row: tuple[str, str, str], key: _Key, all_pairs: Sequence[Pair], unpaired: int) -> Gap:
    axes, levels, task = key
    values = [(_held(pair.twin, measure), _held(pair.varied, measure)) for pair in all_pairs]
    counted = [pair for pair, of in zip(all_pairs, values, strict=True) if pair.is_counted and None not in of]
    outcomes = [(bool(_held(pair.twin, measure)), bool(_held(pair.varied, measure))) for pair in counted]
    twins, tasks = [pair.twin.digest for pair in counted], [pair.twin.task for pair in counted]
    gap, p = paired_difference(outcomes, twins, tasks, *axes, str(levels), str(task), shared="first")
    harsh = [int(bool(varied)) - int(bool(twin)) for twin, varied in values]
    return Gap(
        measure=measure,
        policy=row[0],
        suite=row[1],
        differs=row[2],
        axes=axes,
        levels=levels,
        task=task,
        n=len(counted),
        num_twins=len(set(twins)),
        twin=rate(sum(first for first, _ in outcomes), len(counted)),
        varied=rate(sum(second for _, second in outcomes), len(counted)),
        gap=gap,
        p=p,
        p_adjusted=None,
        lost=sum(first and not second for first, second in outcomes),
        won=sum(second and not first for first, second in outcomes),
        errors=sum(not pair.is_counted for pair in all_pairs),
        varied_errors=sum(pair.varied.outcome == "error" for pair in all_pairs),
        twin_errors=sum(pair.twin.outcome == "error" for pair in all_pairs),
        gap_if_errors_failed=sum(harsh) / len(harsh) if harsh else None,
        unpaired=unpaired,
    )


def _held(result: EpisodeResult, measure: str) -> bool | None:
    """Returns whether an episode has reached the measure; None where it has none, False for an error."""
    if result.outcome == "error" or measure == SUCCESS:
        return result.outcome == "success"
    value = result.measures.get(measure)
    if value not in (None, 0, 1):
        raise BadData(
            f"{measure} is {value:g} in episode {result.digest[:12]}; gaps compare what is 0 or 1 in each episode, as success and safe_success"
        )
    return None if value is None else value == 1


def _adjusted(rows: Sequence[Gap]) -> list[Gap]:
    tested = [gap.p for gap in rows if gap.p is not None]
    adjusted = iter(holm(tested))
    return [gap if gap.p is None else dataclasses.replace(gap, p_adjusted=next(adjusted)) for gap in rows]


def _notes(row: tuple[str, str], pairing: Pairing, chosen: Pairing, wanted: set[str] | None, measure: str) -> list[str]:
    label, suite = row
    notes = []
    without = sum(pair.is_counted and None in (_held(pair.varied, measure), _held(pair.twin, measure)) for pair in chosen.pairs)
    if without:
        notes.append(f"{label} on {suite}: {without} of {len(chosen.pairs)} pairs have no {measure} and are in no gap of it")
    if pairing.unpaired:
        axes: dict[str, int] = defaultdict(int)
        for result in pairing.unpaired:
            axes[" + ".join(sorted(result.axes))] += 1
        told = ", ".join(f"{axis}: {count}" for axis, count in sorted(axes.items()))
        notes.append(
            f"{label} on {suite}: {len(pairing.unpaired)} varied episodes have no twin in these runs and are in no gap ({told}). "
            "Name the run that holds their unvaried episodes too"
        )
    mixed = sum(bool(set(p.varied.axes) & set(CONTROLS)) and not set(p.varied.axes) <= set(CONTROLS) for p in pairing.pairs)
    if mixed and wanted is None:
        notes.append(f"{label} on {suite}: {mixed} episodes combine a language control with another variation; they are in no gap")
    return notes
