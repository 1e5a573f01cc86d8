"""Generalization gaps: what a variation costs, measured on varied episodes and their unvaried twins."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from vlagym.envs.errors import BadData
from vlagym.results.aggregate import rate
from vlagym.results.clusters import exchange_p, resampled_totals, sign_flip_p
from vlagym.results.intervals import MeanInterval, content_rng
from vlagym.results.multiplicity import holm
from vlagym.results.paired import tango
from vlagym.results.pairing import Pair, Pairing, paired_pools, variation_of
from vlagym.results.pooling import Run, pools

CONTROLS = ("blank", "shuffled", "wrong", "nonsense")
"""Axes that take the meaning of the sentence away: `results.language_use` reads them, and no gap."""

MIN_DISCORDANT = 25
MIN_TWINS = 5
"""Fewest twins with another outcome than their pairs, and fewest twins a task, from which an interval is bootstrapped."""

Per = Literal["axis", "level", "task"]
"""What has a row of its own: an axis over all its levels, each level of it, or each task under it."""


@dataclass(frozen=True, kw_only=True)
class Gap:
    """What a variation costs one policy: success of the varied episodes minus success of their twins."""

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
    """Pairs of which both episodes ended in success or failure."""
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


def gaps(runs: Sequence[Run], per: Per = "axis", *, pool_axes: Iterable[str] | None = None) -> Gaps:
    """Returns the gap of each axis that varied some episodes of the runs.

    Pairs are varied episodes with their unvaried twins (`results.pairing`); the interval is that of `paired_difference`. An errored episode leaves
    its pair out and is counted beside it; a varied episode without a twin is in no number and told.

    Args:
      runs: Of any number of policies and suites; those of each pool are counted together.
      per: What has a row of its own.
      pool_axes: Only these axes; None: all but the language controls.

    Raises:
      BadData: If there are no runs.
    """
    if not runs:
        raise BadData("gaps need at least one run folder")
    wanted = None if pool_axes is None else set(pool_axes)
    rows: list[Gap] = []
    notes: list[str] = []
    for pool, pairing in paired_pools(pools(runs)):
        chosen = _chosen(pairing, wanted)
        groups = _groups(chosen, per)
        of_pool = [_gap(pool.policy, pool.suite, pool.differs, key, pairs, unpaired) for key, (pairs, unpaired) in groups.items()]
        rows += _adjusted(sorted(of_pool, key=lambda g: (len(g.axes), g.axis == "all", g.axes, g.levels or (), g.task or "")))
        notes += _notes(pool.label, pool.suite, pairing, wanted)
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


def paired_difference(
    pairs: Sequence[tuple[bool, bool]], twins: Sequence[str], strata: Sequence[str], *key: str, shared: Literal["first", "second"] | None = None
) -> tuple[MeanInterval, float | None]:
    """Returns the mean of second minus first over pairs, with its 95 % interval, and the p of "it is zero".

    Where every twin is in one pair, p is McNemar's exact test. Where pairs have one episode in common (`shared`), it is the larger of two: that of
    `clusters.exchange_p`, exact if nothing changes in any episode, and that of `clusters.sign_flip_p`, which does not count levels that go wrong
    together in one scene as evidence many times over. Sign flips alone find too much where nearly all succeed: with 20 twins in 5 pairs each and
    a rate of 0.95 in 10 % of experiments in which nothing was varied.

    The interval is a paired bootstrap, stratified by task, in which twins are resampled whole (`clusters.resampled_totals`). A bootstrap of few
    pairs claims too much: with fewer than MIN_DISCORDANT twins whose pairs differ, or fewer than MIN_TWINS twins a task, it is Tango's score
    interval (`paired.tango`) instead. In 300 simulations each of 12 shapes (17 tasks of 2, 5 and 20 pairs; no gap, at the floor, at the ceiling,
    gaps that differ between tasks) this covered the true difference in 93 to 99 %, and a bootstrap that draws as many as there are in as few as
    71 %.

    Args:
      pairs: `(n,)` outcomes (first, second).
      twins: `(n,)` what each pair shares with others: pairs of one twin are resampled, and change sign, together.
      strata: `(n,)` name of the stratum, the same for all pairs of a twin.
      *key: Names the difference, for the generator of the resamples.
      shared: Which of the two is one and the same episode in all pairs of a twin; None: neither, and pairs of a twin exchange their labels together.

    Returns:
      None throughout where there are no pairs.

    Raises:
      BadData: If what is shared has several outcomes.
    """
    n = len(pairs)
    if n == 0:
        return MeanInterval(None, None, None, 0), None
    sums: dict[str, int] = defaultdict(int)
    sizes: dict[str, int] = defaultdict(int)
    stratum: dict[str, str] = {}
    for (first, second), twin, name in zip(pairs, twins, strata, strict=True):
        sums[twin] += int(second) - int(first)
        sizes[twin] += 1
        stratum[twin] = name
    # Sorted by content, so that neither the order of the episodes nor the names of the twins matter to the draws.
    units = sorted((stratum[t], sums[t], sizes[t]) for t in sums)
    names, total = [u[0] for u in units], [float(u[1]) for u in units]
    mean, p = sum(total) / n, sign_flip_p(total)
    if shared is not None and len(units) < n:
        p = max(p, exchange_p(_labelled(pairs, twins, shared)))
    won, lost = sum(second and not first for first, second in pairs), sum(first and not second for first, second in pairs)
    drawn = None
    if np.count_nonzero(total) >= MIN_DISCORDANT and len(units) >= MIN_TWINS * len(set(names)):
        rng = content_rng([1000.0 * u[2] + u[1] for u in units], names, "gap", *key)
        drawn = resampled_totals([u[1:] for u in units], names, rng)
    if drawn is None:
        # As many pairs as there are twins, for those of one twin are one piece of evidence.
        share = len(units) / n
        low, high = tango(won * share, lost * share, len(units))
    else:
        low, high = map(float, np.quantile(drawn[:, 0] / drawn[:, 1], [0.025, 0.975]))
    return MeanInterval(mean, low, high, n), p


def _labelled(pairs: Sequence[tuple[bool, bool]], twins: Sequence[str], shared: Literal["first", "second"]) -> list[tuple[int, int, int]]:
    """Returns of each twin: whether it succeeded, successes of it and its variations, how many these are."""
    found: dict[str, tuple[bool, int, int]] = {}
    for pair, twin in zip(pairs, twins, strict=True):
        own, other = pair if shared == "first" else pair[::-1]
        outcome, successes, size = found.get(twin, (own, int(own), 1))
        if outcome != own:
            raise BadData(f"twin {twin} succeeded in one pair and failed in another; an episode that pairs share has one outcome")
        found[twin] = outcome, successes + int(other), size + 1
    return [(int(outcome), successes, size) for outcome, successes, size in found.values()]


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


def _gap(policy: str, suite: str, differs: str, key: _Key, all_pairs: Sequence[Pair], unpaired: int) -> Gap:
    axes, levels, task = key
    counted = [pair for pair in all_pairs if pair.is_counted]
    outcomes = [(pair.twin.outcome == "success", pair.varied.outcome == "success") for pair in counted]
    twins, tasks = [pair.twin.digest for pair in counted], [pair.twin.task for pair in counted]
    gap, p = paired_difference(outcomes, twins, tasks, *axes, str(levels), str(task), shared="first")
    harsh = [int(pair.varied.outcome == "success") - int(pair.twin.outcome == "success") for pair in all_pairs]
    return Gap(
        policy=policy,
        suite=suite,
        differs=differs,
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
        errors=len(all_pairs) - len(counted),
        varied_errors=sum(pair.varied.outcome == "error" for pair in all_pairs),
        twin_errors=sum(pair.twin.outcome == "error" for pair in all_pairs),
        gap_if_errors_failed=sum(harsh) / len(harsh) if harsh else None,
        unpaired=unpaired,
    )


def _adjusted(rows: Sequence[Gap]) -> list[Gap]:
    tested = [gap.p for gap in rows if gap.p is not None]
    adjusted = iter(holm(tested))
    return [gap if gap.p is None else dataclasses.replace(gap, p_adjusted=next(adjusted)) for gap in rows]


def _notes(label: str, suite: str, pairing: Pairing, wanted: set[str] | None) -> list[str]:
    notes = []
    if pairing.unpaired:
        axes: dict[str, int] = defaultdict(int)
        for result in pairing.unpaired:
            axes[" + ".join(sorted(result.axes))] += 1
        told = ", ".join(f"{axis} {count}" for axis, count in sorted(axes.items()))
        notes.append(
            f"{label} on {suite}: {len(pairing.unpaired)} varied episodes have no twin in these runs and are in no gap ({told}). "
            "Name the run that holds their unvaried episodes too"
        )
    mixed = sum(bool(set(p.varied.axes) & set(CONTROLS)) and not set(p.varied.axes) <= set(CONTROLS) for p in pairing.pairs)
    if mixed and wanted is None:
        notes.append(f"{label} on {suite}: {mixed} episodes combine a language control with another variation; they are in no gap")
    return notes
