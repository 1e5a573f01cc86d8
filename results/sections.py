"""The tables beside the table: gaps, language use, compositional gaps and failures, as sheets."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from vlagym.envs.errors import BadData
from vlagym.results.ceiling import EXPERT
from vlagym.results.compositions import Compositions
from vlagym.results.failures import Failures, modes_of
from vlagym.results.gaps import SUCCESS, Gap, Gaps
from vlagym.results.intervals import MeanInterval
from vlagym.results.language_use import HEADLINE, Arm, LanguageUse, LanguageUses
from vlagym.results.leaderboard import floor_legend
from vlagym.results.remarks import few_remark
from vlagym.results.sheet import NOTHING, Sheet, fixed, interval_record, p_text, percent, points

_KEYS = ("policy", "suite", "differs")


def gap_sheet(found: Gaps) -> Sheet:
    """Returns gaps, one a row: by axis, by level or by task, as they were made, all of one measure.

    Raises:
      BadData: If there is none.
    """
    if not found.rows:
        raise BadData(_without("gap", "varied episodes beside their unvaried twins", found.notes))
    keys = _keys(found.rows)
    with_level, with_task = any(g.levels is not None for g in found.rows), any(g.task is not None for g in found.rows)
    with_errors = any(g.errors for g in found.rows)
    extra = [*(("level",) if with_level else ()), *(("task",) if with_task else ())]
    counts = ("pairs", *(("left out",) if with_errors else ()))
    head = (*keys, "axis", *extra, *counts, "unvaried", "varied", "gap (points)", "p", "p (Holm)", "lost", "won")
    body = []
    for g in found.rows:
        words = {"level": g.level, "task": g.task or "all"}
        cells = [*(getattr(g, key) for key in keys), g.axis, *(words[name] for name in extra), str(g.n), *((str(g.errors),) if with_errors else ())]
        body.append((*cells, percent(g.twin), percent(g.varied), points(g.gap), p_text(g.p), p_text(g.p_adjusted), str(g.lost), str(g.won)))
    notes = [*found.notes, *_gap_errors(found.rows), *few_remark((g.n for g in found.rows), "pairs")]
    measure = found.rows[0].measure
    is_success = measure == SUCCESS
    won = "succeeded" if is_success else f"reached {measure}"
    return Sheet(
        name="gaps" if is_success else f"gaps_{measure}",
        title=f"{'Generalization gaps' if is_success else f'Gaps of {measure}'}: varied episodes against their unvaried twins",
        head=head,
        body=tuple(body),
        is_number=(*(False,) * (len(keys) + 1 + len(extra)), *(True,) * (len(head) - len(keys) - 1 - len(extra))),
        legend=(
            f"pairs: a varied episode and its unvaried twin, both of which ended. lost: only the twin {won}; won: only the varied one.",
            "gap: varied - unvaried in percentage points [95 %, paired: bootstrap within each task, Tango's where pairs are few].",
            "p: McNemar, exact; where a twin is in several pairs, by exchanging labels within its pairs. Holm: over the rows of a policy.",
            *floor_legend(g.policy for g in found.rows),
        ),
        notes=tuple(notes),
        records=tuple(_gap_record(g) for g in found.rows),
    )


def composition_sheet(found: Compositions) -> Sheet:
    """Returns compositional gaps, one a row.

    Raises:
      BadData: If there is none.
    """
    if not found.rows:
        raise BadData(_without("compositional gap", "episodes that vary two axes together, and each of them alone at the same level", found.notes))
    keys = _keys(found.rows)
    head = (*keys, "first", "second", "P(first)", "P(second)", "P(both)", "P(both) - P(first)·P(second) (points)", "of pooled rates", "twins")
    body = []
    records = []
    for row in found.rows:
        first, second = (f"{axis}={level}" for axis, level in (row.first, row.second))
        rates = (percent(row.alone_first), percent(row.alone_second), percent(row.both))
        pooled = points(MeanInterval(row.pooled, None, None, row.gap.n))
        body.append((*(getattr(row, key) for key in keys), first, second, *rates, points(row.gap), pooled, str(row.gap.n)))
        numbers = {name: interval_record(getattr(row, name)) for name in ("alone_first", "alone_second", "both", "gap")}
        records.append({**{key: getattr(row, key) for key in _KEYS}, "first": first, "second": second, **numbers, "pooled_gap": row.pooled})
    return Sheet(
        name="compositions",
        title="Compositional gaps: two variations together, on twins that succeeded",
        head=head,
        body=tuple(body),
        is_number=(*(False,) * (len(keys) + 2), *(True,) * 6),
        legend=(
            "Below 0: together they hurt more than two independent causes would. Rates are of episodes whose unvaried twin succeeded.",
            "The gap is taken within each task [95 %, bootstrap over twins]. twins: how many it rests on.",
            "That of rates pooled over tasks is raised by tasks that differ in difficulty.",
        ),
        notes=(*found.notes, *few_remark((row.gap.n for row in found.rows), "twins")),
        records=tuple(records),
    )


def language_sheet(found: LanguageUses) -> Sheet:
    """Returns the language use of each policy: the score, the bound, and each arm beside the right sentence.

    Raises:
      BadData: If no run holds control arms.
    """
    if not found.rows:
        raise BadData(_without("language use", "control arms (blank, shuffled, wrong, nonsense) beside their twins", found.notes))
    keys = _keys(found.rows)
    names = list(dict.fromkeys(arm.name for row in found.rows for arm in row.arms))
    named = any(arm.named.n for row in found.rows for arm in row.arms)
    head = (*keys, "pairs", "right", "1/k", "language use", *(f"right - {name}" for name in names), *(("does the wrong one",) if named else ()))
    body = []
    for row in found.rows:
        best = row.arm(HEADLINE) or row.arms[0]
        arms = [row.arm(name) for name in names]
        chance = NOTHING if row.chance is None else f"{100 * row.chance:.1f} %"
        cells = [*(getattr(row, key) for key in keys), str(best.n), percent(best.right), chance]
        cells += [NOTHING if row.score is None else points(row.score), *(NOTHING if arm is None else _difference(arm, best) for arm in arms)]
        body.append((*cells, *((percent(best.named),) if named else ())))
    without = [row for row in found.rows if row.score is None]
    notes = [*found.notes, *(f"{_label(row)}: no language-use score, for the arm {HEADLINE!r} was not played" for row in without)]
    for row in found.rows:
        harsh = [f"{arm.name} {arm.errors} ({100 * (arm.difference_if_errors_failed or 0):+.1f})" for arm in row.arms if arm.errors]
        if harsh:
            notes.append(f"{_label(row)}: pairs left out for an error (and the difference if errors were failures): {', '.join(harsh)}")
    return Sheet(
        name="language_use",
        title="Language use: success with the right sentence minus success with another in its place",
        head=head,
        body=tuple(body),
        is_number=(*(False,) * len(keys), *(True,) * (len(head) - len(keys))),
        legend=(
            "language use: right - wrong, in percentage points; wrong is the sentence of the other goal of the scene, judged by the original goal.",
            "blank and nonsense ask for nothing; shuffled has the words of the right one in another order, which a bag of words does not notice.",
            "0: the sentence changes nothing; 100: it decides all. 1/k: what a policy that ignores the sentence can reach, k goals to a scene.",
            "*: differs from 0 by McNemar's exact test, Holm over the arms, 5 %. Intervals: as those of gaps, 95 %, paired.",
            *(("expert is handed the goal itself and reads no sentence.",) if any(row.policy == EXPERT for row in found.rows) else ()),
            *floor_legend(row.policy for row in found.rows),
        ),
        notes=tuple(notes),
        records=tuple(record for row in found.rows for record in _language_records(row)),
    )


def failure_sheet(rows: Sequence[Failures], by: Sequence[str] = ()) -> Sheet:
    """Returns the failure modes of each policy, as shares of all episodes that ended in success or failure.

    Args:
      rows: From `failures.failures`.
      by: The groupings that they were made with.
    """
    keys = _keys(rows)
    groupings = tuple(name for name in dict.fromkeys(by) if name not in ("policy", "suite"))
    modes = modes_of(rows)
    head = (*keys, *groupings, "n", "errors", "success", *modes)
    body = []
    for row in rows:
        shares = [NOTHING if (share := row.share(mode)) is None else f"{fixed(100 * share, 1)} %" for mode in modes]
        body.append((*(getattr(row, key) for key in keys), *row.group, str(row.n), str(row.errors), percent(row.success), *shares))
    unlabelled = sum(row.counts.get("unlabelled", 0) for row in rows)
    note = (f"{unlabelled} failures bear no label, as all from before there was one; `vlagym score RUN --write` gives it",) if unlabelled else ()
    return Sheet(
        name="failures",
        title="How they fail",
        head=head,
        body=tuple(body),
        is_number=(*(False,) * (len(keys) + len(groupings)), *(True,) * (3 + len(modes))),
        legend=(
            "Shares of n, of the unvaried episodes where a run holds others too. A failure bears the first label that fits, in the order of columns.",
        ),
        notes=note,
        records=tuple(
            {
                **{key: getattr(row, key) for key in _KEYS},
                **dict(zip(groupings, row.group, strict=True)),
                "n": row.n,
                "errors": row.errors,
                "success": interval_record(row.success),
                "counts": {mode: row.counts.get(mode, 0) for mode in modes},
            }
            for row in rows
        ),
    )


# ------------------------------------------------------------------------------------------------------------------------ in common
def _keys(rows: Iterable[Any]) -> tuple[str, ...]:
    return _KEYS if any(row.differs for row in rows) else _KEYS[:2]


def _label(row: Any) -> str:
    return f"{row.policy} ({row.differs}) on {row.suite}" if row.differs else f"{row.policy} on {row.suite}"


def _without(what: str, wanted: str, notes: Sequence[str]) -> str:
    told = "".join(f". {note}" for note in notes[:2])
    return f"these runs tell of no {what}: that takes {wanted}{told}"


def _gap_errors(rows: Sequence[Gap]) -> list[str]:
    """Returns a line for each policy with pairs left out, and the gaps that errors as failures would change most."""
    of: dict[str, list[Gap]] = defaultdict(list)
    for g in rows:
        if g.errors:
            of[_label(g)].append(g)
    out = []
    for label, found in of.items():
        changes = sorted(((_change(g), g) for g in found), key=lambda pair: -abs(pair[0]))
        told = [f"{' '.join(filter(None, (g.axis, g.level, g.task)))} by {100 * by:+.1f}" for by, g in changes[:3] if abs(by) >= 0.005]
        worst = f"as failures, errors would move most {', '.join(told)} points" if told else "as failures, errors would move no gap by half a point"
        left_out = sum(g.errors for g in found)
        out.append(f"{label}: {left_out} {'pair is' if left_out == 1 else 'pairs are'} left out for an error; {worst}")
    return out


def _change(g: Gap) -> float:
    return 0.0 if g.gap.mean is None or g.gap_if_errors_failed is None else g.gap_if_errors_failed - g.gap.mean


def _gap_record(g: Gap) -> dict[str, Any]:
    return {
        **{key: getattr(g, key) for key in _KEYS},
        "measure": g.measure,
        "axis": g.axis,
        "level": None if g.levels is None else g.levels[0] if len(g.levels) == 1 else g.level,
        "task": g.task,
        "pairs": g.n,
        "twins": g.num_twins,
        "unvaried": interval_record(g.twin),
        "varied": interval_record(g.varied),
        "gap": interval_record(g.gap),
        "p": g.p,
        "p_holm": g.p_adjusted,
        "lost": g.lost,
        "won": g.won,
        "errors": g.errors,
        "varied_errors": g.varied_errors,
        "unvaried_errors": g.twin_errors,
        "gap_if_errors_failed": g.gap_if_errors_failed,
        "unpaired": g.unpaired,
    }


def _difference(arm: Arm, best: Arm) -> str:
    mark = "*" if arm.p_adjusted is not None and arm.p_adjusted < 0.05 else ""
    text = f"{points(arm.difference)}{mark}"
    return text if arm.n in (0, best.n) else f"{text} (n = {arm.n})"


def _language_records(row: LanguageUse) -> list[dict[str, Any]]:
    score = None if row.score is None else interval_record(row.score)
    return [
        {
            **{key: getattr(row, key) for key in _KEYS},
            "chance": row.chance,
            "language_use": score or {"mean": None, "low": None, "high": None, "n": 0},
            "arm": arm.name,
            "pairs": arm.n,
            "right": interval_record(arm.right),
            "success": interval_record(arm.success),
            "difference": interval_record(arm.difference),
            "p": arm.p,
            "p_holm": arm.p_adjusted,
            "named": interval_record(arm.named),
            "errors": arm.errors,
            "difference_if_errors_failed": arm.difference_if_errors_failed,
            "unpaired": arm.unpaired,
        }
        for arm in row.arms
    ]
