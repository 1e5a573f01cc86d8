"""From stored results to a table: a pure function, without a simulator."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from vlagym.envs.errors import BadData, unknown_name
from vlagym.envs.types import EpisodeResult
from vlagym.results import remarks, standings
from vlagym.results.clipping import CLIPPED_SHARE as CLIPPED_SHARE
from vlagym.results.clipping import share_of
from vlagym.results.counted import low_first as low_first
from vlagym.results.counted import rate as rate
from vlagym.results.counted import variation_words
from vlagym.results.groupings import GROUPINGS as GROUPINGS
from vlagym.results.groupings import counted_of, parts_axes
from vlagym.results.groupings import group_of as group_of
from vlagym.results.intervals import MeanInterval, mean_interval
from vlagym.results.pooling import pools
from vlagym.results.pooling import Run as Run
from vlagym.results.pooling import packages_that_score as packages_that_score

if TYPE_CHECKING:
    import pandas as pd

DIFFERS = "differs"
"""Key of the rows that agree in policy, suite and grouping and must not be pooled nevertheless: it says what they differ in."""

VARIED = "varied"
"""Key of tables with a row of varied episodes: how they are, all alike, or the kinds of them; empty for unvaried ones."""

SENSITIVITY = "success_if_errors_failed"
"""A derived measure: the rate of success if every errored episode were a failure. A table has it where it is among the columns asked for."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """What a table knows of a measure."""

    name: str
    unit: str
    better: Literal["higher", "lower"]
    kind: Literal["rate", "mean"]
    headline: bool = False
    """Shown where a person reads the table."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """Aggregated results. `results.leaderboard` prints it."""

    frame: pd.DataFrame
    """A row for each policy, suite and group: the keys, n, errors, success, success_low, success_high, then <measure>, <measure>_low,
    <measure>_high and <measure>_n for each of `columns`; NaN where there is no number."""
    keys: tuple[str, ...]
    """Columns of the frame that name a row."""
    columns: tuple[Column, ...]
    """Measures besides success."""
    notes: tuple[str, ...]
    """What a reader must know: unfinished runs, errors, privileged policies, measures that are left out."""
    leaves_out: bool = False
    """Whether there are episodes that no row counts: varied ones beside unvaried ones, and controls."""
    letters: tuple[str, ...] = ()
    """One for each row, or none at all where nothing was compared: rows of one suite and group that bear a letter in common are not told apart by
    their success on the episodes that they share (`results.standings`)."""


def with_total(table: Table, total: Table, key: str) -> Table:
    """Returns a grouped table with the rows of an ungrouped one of the same runs below it, called "all".

    Args:
      table: Grouped by `key`.
      total: The same runs, not grouped.
      key: One of GROUPINGS.
    """
    import pandas as pd

    keys = tuple(k for k in ("policy", "suite", key, VARIED, DIFFERS) if k in (*table.keys, *total.keys))
    missing = {k: "" for k in keys if k in (VARIED, DIFFERS)}
    above, below = (t.frame.copy() for t in (table, total))  # a copy is one block again; pandas warns of the many it was built of
    below = below.assign(**{key: "all"})
    above, below = (f.assign(**{k: v for k, v in missing.items() if k not in f.columns}) for f in (above, below))
    frame = pd.concat([above, below], ignore_index=True)[[*keys, *(c for c in table.frame.columns if c not in table.keys)]]
    letters = (*_letters_or_blanks(table), *_letters_or_blanks(total)) if table.letters or total.letters else ()
    return dataclasses.replace(table, frame=frame, keys=keys, letters=letters)


def aggregate(runs: Sequence[Run], columns: Sequence[Column], by: Sequence[str] = (), *, errors_as_failures: bool = False) -> Table:
    """Returns the table of some runs.

    n counts the episodes that ended in success or failure; errored ones are counted beside it and enter no mean. Rates (success and the measures
    of kind "rate") have a Wilson 95 % interval, means a bootstrap interval stratified by task. A measure that does not apply to an episode is left
    out of its mean, which has its own n. Where a row would hold unvaried and varied episodes, it counts the unvaried alone, and no row mixes control
    sentences with anything else (`results.counted`); with a grouping by axis each row counts what it is of. Runs are pooled into one row only if
    they agree in all that a number depends on and share no episode; otherwise they have rows of their own, and `differs` names what differs
    (`results.pooling`). Of several policies, letters say which are told apart by the episodes that they share.

    Args:
      runs: At least one.
      columns: What is known of each measure; measures of the results that are not among them are left out and noted.
      by: Any of GROUPINGS.
      errors_as_failures: Counts an errored episode as a failure, in success and its n: the harshest reading. Measures stay without it.

    Raises:
      UnknownName: For another grouping.
      BadData: If there are no runs, or a rate holds something else than 0 and 1.
    """
    import pandas as pd

    if not runs:
        raise BadData("a table needs at least one run folder")
    for name in by:
        if name not in GROUPINGS:
            raise unknown_name("grouping", name, GROUPINGS)
    groupings = [name for name in dict.fromkeys(by) if name not in ("policy", "suite")]
    measures = tuple(c for c in columns if c.name != "success")
    of_rows = pools(runs)

    rows: list[dict[str, Any]] = []
    leaves_out = False
    rivals: dict[tuple[str, ...], dict[str, Sequence[EpisodeResult]]] = defaultdict(dict)
    for pool in of_rows:
        groups: dict[tuple[str, ...], list[EpisodeResult]] = defaultdict(list)
        for result in pool.results():
            groups[tuple(group_of(result, name) for name in groupings)].append(result)
        for group, found in groups.items():
            results = counted_of(found, groupings)
            leaves_out |= len(results) < len(found)
            of_group = dict(zip(groupings, group, strict=True))
            key = {"policy": pool.policy, "suite": pool.suite, **of_group, VARIED: variation_words(results), DIFFERS: pool.differs}
            rows.append({**key, **_row(results, measures, errors_as_failures)})
            rivals[(pool.suite, *group)][pool.label] = results
    keys = ["policy", "suite", *groupings, VARIED, DIFFERS]
    rows.sort(key=lambda row: (row["suite"], *(row[k] for k in groupings), -low_first(row["success"]), row["policy"], row[DIFFERS]))
    letters = _letters(rows, groupings, rivals)
    for name, is_told in ((VARIED, not parts_axes(groupings)), (DIFFERS, True)):
        if not is_told or not any(row[name] for row in rows):
            keys.remove(name)
            rows = [{k: v for k, v in row.items() if k != name} for row in rows]
    values = [f"{c.name}{end}" for c in measures for end in ("", "_low", "_high", "_n")]
    frame = pd.DataFrame(rows, columns=[*keys, "n", "errors", "success", "success_low", "success_high", *values])
    numbers = [f"{name}{end}" for name in ("success", *(c.name for c in measures)) for end in ("", "_low", "_high")]
    frame = frame.astype(dict.fromkeys(numbers, "float64"))
    notes = remarks.remarks(runs, of_rows, [c.name for c in columns], groupings, errors_as_failures=errors_as_failures)
    return Table(frame=frame, keys=tuple(keys), columns=measures, notes=notes, letters=letters, leaves_out=leaves_out)


def notes_on(runs: Sequence[Run], columns: Sequence[Column]) -> tuple[str, ...]:
    """Returns what a reader of any table of the runs must know: the notes of `aggregate`, but for what each table tells of itself."""
    return remarks.remarks_on_runs(runs, pools(runs), [c.name for c in columns])


# ----------------------------------------------------------------------------------------------------------------------- one row
def _row(results: Sequence[EpisodeResult], measures: Sequence[Column], errors_as_failures: bool) -> dict[str, Any]:
    counted = [r for r in results if r.outcome != "error"]
    successes = sum(r.outcome == "success" for r in counted)
    n = len(results) if errors_as_failures else len(counted)
    success = rate(successes, n)
    row: dict[str, Any] = {"n": n, "errors": len(results) - len(counted)}
    row |= {"success": success.mean, "success_low": success.low, "success_high": success.high}
    for column in measures:
        if column.name == SENSITIVITY:
            interval = rate(successes, len(results))
        elif column.name == CLIPPED_SHARE:
            interval = _mean(column, [(value, r.task) for r in counted if (value := share_of(r)) is not None])
        else:
            interval = _mean(column, [(value, r.task) for r in counted if (value := r.measures.get(column.name)) is not None])
        name = column.name
        row |= {name: interval.mean, f"{name}_low": interval.low, f"{name}_high": interval.high, f"{name}_n": interval.n}
    return row


def _mean(column: Column, pairs: Sequence[tuple[float, str]]) -> MeanInterval:
    """Returns the mean of (value, task) and its interval."""
    values, tasks = [v for v, _ in pairs], [t for _, t in pairs]
    if column.kind == "mean":
        return mean_interval(values, tasks, column.name)
    strange = [v for v in values if v not in (0, 1)]
    if strange:
        raise BadData(f"the measure {column.name!r} is a rate and holds {strange[0]:g}; a rate is 0 or 1 in each episode")
    return rate(int(sum(values)), len(values))


def _letters(
    rows: Sequence[dict[str, Any]], groupings: Sequence[str], rivals: dict[tuple[str, ...], dict[str, Sequence[EpisodeResult]]]
) -> tuple[str, ...]:
    """Returns the letters of each row, blank where it has no rival; nothing at all where no row has one."""
    found = {group: standings.letters(of) for group, of in rivals.items() if len(of) > 1}
    if not any(found.values()):
        return ()
    groups = [(row["suite"], *(row[k] for k in groupings)) for row in rows]
    labels = [f"{row['policy']} ({row[DIFFERS]})" if row[DIFFERS] else str(row["policy"]) for row in rows]
    return tuple(found.get(group, {}).get(label, "") for group, label in zip(groups, labels, strict=True))


def _letters_or_blanks(table: Table) -> tuple[str, ...]:
    return table.letters or ("",) * len(table.frame)
