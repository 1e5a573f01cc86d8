"""Policies down, tasks or axes across: the shape in which papers print a benchmark."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from vlagym.envs.errors import BadData
from vlagym.envs.types import EpisodeResult
from vlagym.results import standings
from vlagym.results.aggregate import low_first, rate
from vlagym.results.counted import plain_episodes
from vlagym.results.gaps import Gap, gaps
from vlagym.results.intervals import MeanInterval
from vlagym.results.leaderboard import floor_legend
from vlagym.results.ordering import in_order
from vlagym.results.pooling import Pool, Run, pools
from vlagym.results.sheet import NOTHING, Sheet, interval_record, percent, points

TOTAL = "all"
_SIGNIFICANT = 0.05
_MOST_ACROSS = 8
"""Most axes that stand across; where there are more, they stand down and the policies across: no terminal is wide enough."""


def tasks_sheet(runs: Sequence[Run], notes: Sequence[str] = ()) -> Sheet:
    """Returns success by task, a row for each policy and suite, the best first.

    Where a run holds varied episodes beside unvaried ones, only the unvaried are counted: what variations cost stands in `axes_sheet`.

    Args:
      runs: At least one.
      notes: What else a reader must know of the runs.

    Raises:
      BadData: If there are no runs.
    """
    if not runs:
        raise BadData("a table needs at least one run folder")
    rows: list[tuple[Pool, dict[str, list[EpisodeResult]]]] = []
    is_mixed = False
    for pool in pools(runs):
        results = pool.results()
        counted = plain_episodes(results)
        is_mixed |= len(counted) < len(results)
        groups: dict[str, list[EpisodeResult]] = defaultdict(list)
        for result in counted:
            groups[result.task].append(result)
        rows.append((pool, {**dict(sorted(groups.items())), TOTAL: [r for of in groups.values() for r in of]}))
    tasks = [*sorted({task for _, groups in rows for task in groups} - {TOTAL}), TOTAL]
    cells: list[tuple[Pool, dict[str, MeanInterval], dict[str, int]]] = []
    for pool, groups in rows:
        found = {task: _success(groups.get(task, ())) for task in tasks}
        cells.append((pool, found, {task: sum(r.outcome == "error" for r in groups.get(task, ())) for task in tasks}))
    cells.sort(key=lambda c: (c[0].suite, -low_first(c[1][TOTAL].mean), c[0].policy, c[0].differs))
    letters = _letters([(pool, groups[TOTAL]) for pool, groups in rows])
    usual = {task: Counter(found[task].n for _, found, _ in cells if found[task].n).most_common(1) for task in tasks}
    counts = {task: most[0][0] if most else 0 for task, most in usual.items()}
    with_differs, with_letters = any(pool.differs for pool, _ in rows), bool(letters)
    keys = ("policy", "suite", *(("differs",) if with_differs else ()))
    head = (*keys, *(f"{task} (n = {counts[task]})" for task in tasks), *(("letters",) if with_letters else ()))
    body = []
    records: list[Mapping[str, Any]] = []
    for pool, found, errors in cells:
        named = [getattr(pool, key) for key in keys]
        shown = [_cell(found[task], errors[task], counts[task]) for task in tasks]
        letter = letters.get((pool.suite, pool.label), "")
        body.append((*named, *shown, *((letter,) if with_letters else ())))
        numbers = {task: {**interval_record(found[task]), "errors": errors[task]} for task in tasks}
        records.append({"policy": pool.policy, "suite": pool.suite, "differs": pool.differs, **numbers, "letters": letter})
    legend = ["Success in % [95 % interval, Wilson]. A cell of another n than its heading says so; e: errors, in no rate."]
    legend += ["Only unvaried episodes are counted; what variations cost: --columns axes."] if is_mixed else []
    legend += ["letters: policies that share one are not told apart (McNemar on the episodes in common, Holm, 5 %)."] if with_letters else []
    return Sheet(
        name="tasks",
        title="Success by task",
        head=head,
        body=tuple(body),
        is_number=(*(False,) * len(keys), *(True,) * len(tasks), *(False,) * with_letters),
        legend=(*legend, *floor_legend(pool.policy for pool, _ in rows)),
        notes=(*notes, *_errors(cells)),
        records=tuple(records),
    )


def axes_sheet(runs: Sequence[Run]) -> Sheet:
    """Returns the gap of each axis, a row for each policy and suite; of more than eight axes a row for each axis, and a column for each policy.

    The records are one for each policy and suite, always.

    Raises:
      BadData: If there are no runs, or none of their varied episodes has a twin.
    """
    found = gaps(runs)
    if not found.rows:
        told = "".join(f". {note}" for note in found.notes[:2])
        raise BadData(f"there is no axis in these runs: a gap takes varied episodes beside their unvaried twins{told}")
    by_row: dict[tuple[str, str, str], dict[str, Gap]] = defaultdict(dict)
    for gap in in_order(found.rows, runs):
        by_row[gap.suite, gap.policy, gap.differs][gap.axis] = gap
    axes = list(dict.fromkeys(gap.axis for gap in sorted(found.rows, key=lambda g: (len(g.axes), g.axis == "all", g.axes))))
    usual = {axis: Counter(of[axis].n for of in by_row.values() if axis in of).most_common(1)[0][0] for axis in axes}
    with_differs = any(differs for _, _, differs in by_row)
    head = ("policy", "suite", *(("differs",) if with_differs else ()), *(f"{axis} (n = {usual[axis]})" for axis in axes))
    body = []
    records: list[Mapping[str, Any]] = []
    for (suite, policy, differs), of in by_row.items():
        body.append((policy, suite, *((differs,) if with_differs else ()), *(_gap_cell(of.get(axis), usual[axis]) for axis in axes)))
        numbers = {
            axis: {**interval_record(of[axis].gap), "p": of[axis].p, "p_holm": of[axis].p_adjusted, "errors": of[axis].errors}
            if axis in of
            else {"mean": None, "low": None, "high": None, "n": 0, "p": None, "p_holm": None, "errors": 0}
            for axis in axes
        }
        records.append({"policy": policy, "suite": suite, "differs": differs, **numbers})
    if len(axes) > _MOST_ACROSS:
        with_suite = len({suite for suite, _, _ in by_row}) > 1
        names = ((policy, f"({differs})" if differs else "", f"on {suite}" if with_suite else "") for suite, policy, differs in by_row)
        head = ("axis", "n", *(" ".join(filter(None, name)) for name in names))
        body = [(axis, str(usual[axis]), *(_gap_cell(of.get(axis), usual[axis]) for of in by_row.values())) for axis in axes]
    num_names = 1 if len(axes) > _MOST_ACROSS else 2 + with_differs
    return Sheet(
        name="axes",
        title="Generalization gap by axis",
        head=head,
        body=tuple(body),
        is_number=(*(False,) * num_names, *(True,) * (len(head) - num_names)),
        legend=(
            "Success of varied episodes minus success of their unvaried twins, in percentage points [95 % interval, paired];",
            "n: pairs; e: pairs left out for an error; *: p < 0.05 by McNemar's exact test after Holm's correction over the axes of a policy.",
            *floor_legend(policy for _, policy, _ in by_row),
        ),
        notes=tuple(found.notes),
        records=tuple(records),
    )


def _success(results: Sequence[EpisodeResult]) -> MeanInterval:
    counted = [r for r in results if r.outcome != "error"]
    return rate(sum(r.outcome == "success" for r in counted), len(counted))


def _errors(cells: Sequence[tuple[Pool, Mapping[str, MeanInterval], Mapping[str, int]]]) -> list[str]:
    """Returns a line for each row with errors: its total if these were failures."""
    notes = []
    for pool, found, errors in cells:
        if errors[TOTAL]:
            counted = found[TOTAL]
            harsh = rate(round((counted.mean or 0.0) * counted.n), counted.n + errors[TOTAL])
            word = "error" if errors[TOTAL] == 1 else "errors"
            notes.append(f"{pool.label} on {pool.suite}: {errors[TOTAL]} {word}; as failures, all would be {percent(harsh)}")
    return notes


def _letters(rows: Sequence[tuple[Pool, Sequence[EpisodeResult]]]) -> dict[tuple[str, str], str]:
    suites: dict[str, dict[str, Sequence[EpisodeResult]]] = defaultdict(dict)
    for pool, results in rows:
        suites[pool.suite][pool.label] = results
    return {(suite, label): letter for suite, rivals in suites.items() for label, letter in standings.letters(rivals).items()}


def _cell(interval: MeanInterval, errors: int, usual: int) -> str:
    text = percent(interval, 0).replace(" %", "")
    text = text if interval.n in (0, usual) else f"{text} (n = {interval.n})"
    return f"{text} +{errors}e" if errors else text


def _gap_cell(gap: Gap | None, usual: int) -> str:
    if gap is None:
        return NOTHING
    mark = "*" if gap.p_adjusted is not None and gap.p_adjusted < _SIGNIFICANT else ""
    text = f"{points(gap.gap, 0)}{mark}"
    text = text if gap.n in (0, usual) else f"{text} (n = {gap.n})"
    return f"{text} +{gap.errors}e" if gap.errors else text
