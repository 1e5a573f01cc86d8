"""Lines of the tables in which varied episodes stand beside their twins: gaps, combinations of axes, language use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from vlagym.results import compositions, gaps, language_use
from vlagym.results.intervals import MeanInterval
from vlagym.results.pairing import paired_pools
from vlagym.results.pooling import Run, pools
from vlagym.results.site import charts
from vlagym.results.site.breakdown import axis_order, is_control
from vlagym.results.site.content import Entry, Suite
from vlagym.results.site.words import Cell, cell, points
from vlagym.results.standings import ALPHA

if TYPE_CHECKING:
    from markupsafe import Markup


@dataclass(frozen=True, kw_only=True)
class GapLine:
    """One axis of one row of the leaderboard."""

    entry: Entry
    axis: str
    gap: Cell
    chart: Markup
    p: float | None
    """Adjusted by Holm."""
    is_clear: bool
    """Whether it is below the level at which policies are told apart, too."""
    pairs: int
    twin: Cell
    varied: Cell
    errors: int


@dataclass(frozen=True, kw_only=True)
class ComboLine:
    """Two axes together, beside each alone."""

    entry: Entry
    axes: str
    first: Cell
    second: Cell
    both: Cell
    gap: Cell
    pooled: Cell
    """The gap of the rates over all tasks together."""
    chart: Markup
    twins: int


@dataclass(frozen=True, kw_only=True)
class ArmLine:
    """One control sentence of one row of the leaderboard."""

    entry: Entry
    arm: str
    is_score: bool
    """Whether right less this is the language-use score."""
    is_first: bool
    """Of its row of the leaderboard."""
    right: Cell
    success: Cell
    chart: Markup
    effect: Cell
    p: float | None
    pairs: int
    named: Cell
    chance: Cell
    errors: int


@dataclass(frozen=True, kw_only=True)
class Whole:
    """The gap of one row of the leaderboard over all its variations, language controls left out."""

    gap: Cell
    pairs: int
    errors: int
    """Pairs left out for an error on either side."""


class Paired(NamedTuple):
    """All of it, for one suite."""

    wholes: Mapping[int, Whole]
    """Index of a row of the leaderboard -> its gap; rows without pairs are not in it."""
    gaps: tuple[GapLine, ...]
    gap_notes: tuple[str, ...]
    combos: tuple[ComboLine, ...]
    combo_notes: tuple[str, ...]
    arms: tuple[ArmLine, ...]
    arm_notes: tuple[str, ...]


def paired(suite: Suite) -> Paired:
    """Returns the lines of a suite, by axis and then in the order of the leaderboard; none where nothing is varied."""
    if not suite.is_varied:
        return Paired({}, (), (), (), (), (), ())
    runs: list[Run] = [run for e in suite.entries for run in e.pool.runs]
    entry_of = {(e.policy, e.pool.differs): e for e in suite.entries}

    found_gaps, found_combos, found_arms = gaps.gaps(runs, "axis"), compositions.compositions(runs), language_use.language_use(runs)
    gap_lines = [_gap(entry_of[g.policy, g.differs], g) for g in found_gaps.rows]
    gap_lines.sort(key=lambda line: (axis_order(line.axis), line.entry.index))
    combo_lines = sorted((_combo(entry_of[c.policy, c.differs], c) for c in found_combos.rows), key=lambda line: (line.axes, line.entry.index))
    arm_lines = [line for entry in suite.entries for line in _arms(entry, found_arms.rows)]
    wholes = {entry_of[policy, differs].index: whole for (policy, differs), whole in _wholes(runs).items()}
    return Paired(
        wholes=wholes,
        gaps=tuple(gap_lines),
        gap_notes=tuple(found_gaps.notes),
        combos=tuple(combo_lines),
        combo_notes=tuple(found_combos.notes),
        arms=tuple(arm_lines),
        arm_notes=tuple(found_arms.notes),
    )


def _wholes(runs: Sequence[Run]) -> dict[tuple[str, str], Whole]:
    """Returns (policy, differs) -> its gap over all variations together; the interval is that of the single gaps."""
    out = {}
    for pool, pairing in paired_pools(pools(runs)):
        pairs = [pair for pair in pairing.pairs if not is_control(" + ".join(sorted(pair.varied.axes)))]
        ended = [pair for pair in pairs if pair.is_counted]
        outcomes = [(pair.twin.outcome == "success", pair.varied.outcome == "success") for pair in ended]
        twins, tasks = [pair.twin.digest for pair in ended], [pair.twin.task for pair in ended]
        mean, _ = gaps.paired_difference(outcomes, twins, tasks, "all variations", shared="first")
        if pairs:
            gap = points(mean.mean, mean.low, mean.high)
            out[pool.policy, pool.differs] = Whole(gap=gap, pairs=len(ended), errors=len(pairs) - len(ended))
    return out


def _gap(entry: Entry, gap: gaps.Gap) -> GapLine:
    mean = gap.gap
    return GapLine(
        entry=entry,
        axis=gap.axis,
        gap=points(mean.mean, mean.low, mean.high),
        chart=charts.difference(mean.mean, mean.low, mean.high),
        p=gap.p_adjusted,
        is_clear=gap.p_adjusted is not None and gap.p_adjusted < ALPHA,
        pairs=gap.n,
        twin=_rate(gap.twin),
        varied=_rate(gap.varied),
        errors=gap.errors,
    )


def _combo(entry: Entry, combo: compositions.Composition) -> ComboLine:
    return ComboLine(
        entry=entry,
        axes=" + ".join(f"{axis} {level}" for axis, level in (combo.first, combo.second)),
        first=_rate(combo.alone_first),
        second=_rate(combo.alone_second),
        both=_rate(combo.both),
        gap=points(combo.gap.mean, combo.gap.low, combo.gap.high),
        pooled=points(combo.pooled),
        chart=charts.difference(combo.gap.mean, combo.gap.low, combo.gap.high),
        twins=combo.gap.n,
    )


def _arms(entry: Entry, rows: Sequence[language_use.LanguageUse]) -> list[ArmLine]:
    own = next((row for row in rows if (row.policy, row.differs) == (entry.policy, entry.pool.differs)), None)
    if own is None:
        return []
    return [
        ArmLine(
            entry=entry,
            arm=arm.name,
            is_score=arm.name == language_use.HEADLINE,
            is_first=i == 0,
            right=_rate(arm.right),
            success=_rate(arm.success),
            chart=charts.difference(arm.difference.mean, arm.difference.low, arm.difference.high),
            effect=points(arm.difference.mean, arm.difference.low, arm.difference.high),
            p=arm.p_adjusted,
            pairs=arm.n,
            named=_rate(arm.named),
            chance=cell(own.chance, None, None),
            errors=arm.errors,
        )
        for i, arm in enumerate(own.arms)
    ]


def _rate(interval: MeanInterval) -> Cell:
    return cell(interval.mean, interval.low, interval.high)
