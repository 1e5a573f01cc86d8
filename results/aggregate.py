"""From stored results to a table: a pure function, without a simulator."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from vlagym.envs.errors import BadData, unknown_name
from vlagym.envs.types import EpisodeResult
from vlagym.results import standings
from vlagym.results.groupings import GROUPINGS as GROUPINGS
from vlagym.results.groupings import group_of as group_of
from vlagym.results.intervals import MeanInterval, mean_interval, wilson
from vlagym.results.pooling import Pool, pools
from vlagym.results.pooling import Run as Run
from vlagym.results.pooling import packages_that_score as packages_that_score

if TYPE_CHECKING:
    import pandas as pd

DIFFERS = "differs"
"""Key of the rows that agree in policy, suite and grouping and must not be pooled nevertheless: it says what they differ in."""

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

    below = total.frame.copy().assign(**{key: "all"})  # a copy is one block again; pandas warns of the many it was built of
    frame = pd.concat([table.frame, below[[c for c in table.frame.columns]]], ignore_index=True)
    letters = (*_letters_or_blanks(table), *_letters_or_blanks(total)) if table.letters or total.letters else ()
    return dataclasses.replace(table, frame=frame, letters=letters)


def aggregate(runs: Sequence[Run], columns: Sequence[Column], by: Sequence[str] = (), *, errors_as_failures: bool = False) -> Table:
    """Returns the table of some runs.

    n counts the episodes that ended in success or failure; errored ones are counted beside it and enter no mean. Rates (success and the measures
    of kind "rate") have a Wilson 95 % interval, means a bootstrap interval stratified by task. A measure that does not apply to an episode is left
    out of its mean, which has its own n. Runs are pooled into one row only if they agree in all that a number depends on and share no episode;
    otherwise they have rows of their own, and `differs` names what differs (`results.pooling`). Of several policies, letters say which are told
    apart by the episodes that they share.

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
    rivals: dict[tuple[str, ...], dict[str, Sequence[EpisodeResult]]] = defaultdict(dict)
    for pool in of_rows:
        groups: dict[tuple[str, ...], list[EpisodeResult]] = defaultdict(list)
        for result in pool.results():
            groups[tuple(group_of(result, name) for name in groupings)].append(result)
        for group, results in groups.items():
            key = {"policy": pool.policy, "suite": pool.suite, **dict(zip(groupings, group, strict=True)), DIFFERS: pool.differs}
            rows.append({**key, **_row(results, measures, errors_as_failures)})
            rivals[(pool.suite, *group)][pool.label] = results
    keys = ["policy", "suite", *groupings, DIFFERS]
    rows.sort(key=lambda row: (row["suite"], *(row[k] for k in groupings), -low_first(row["success"]), row["policy"], row[DIFFERS]))
    letters = _letters(rows, groupings, rivals)
    if not any(pool.differs for pool in of_rows):
        keys.remove(DIFFERS)
        rows = [{k: v for k, v in row.items() if k != DIFFERS} for row in rows]
    values = [f"{c.name}{end}" for c in measures for end in ("", "_low", "_high", "_n")]
    frame = pd.DataFrame(rows, columns=[*keys, "n", "errors", "success", "success_low", "success_high", *values])
    numbers = [f"{name}{end}" for name in ("success", *(c.name for c in measures)) for end in ("", "_low", "_high")]
    frame = frame.astype(dict.fromkeys(numbers, "float64"))
    notes = _notes(runs, of_rows, columns, groupings, errors_as_failures)
    return Table(frame=frame, keys=tuple(keys), columns=measures, notes=notes, letters=letters)


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


def rate(successes: int, n: int) -> MeanInterval:
    """Returns a rate with its Wilson 95 % interval; None for all three where nothing was counted."""
    if n == 0:
        return MeanInterval(None, None, None, 0)
    low, high = wilson(successes, n)
    return MeanInterval(successes / n, float(low), float(high), n)


def low_first(value: float | None) -> float:
    """Returns a key by which rows without a rate come after those with one."""
    return -math.inf if value is None else value


# ------------------------------------------------------------------------------------------------------------- what must be said
def notes_on(runs: Sequence[Run], columns: Sequence[Column], by: Sequence[str] = ()) -> tuple[str, ...]:
    """Returns what a reader of any table of the runs must know, as the notes of `aggregate`, but for the errors: each table counts its own."""
    of_rows = pools(runs)
    errors = {_errors(pool, False) for pool in of_rows}
    return tuple(note for note in _notes(runs, of_rows, columns, by, False) if note not in errors)


def _notes(
    runs: Sequence[Run], of_rows: Sequence[Pool], columns: Sequence[Column], by: Sequence[str], errors_as_failures: bool
) -> tuple[str, ...]:
    notes: list[str] = []
    for pool in of_rows:
        scheduled = pool.runs[0].header.suite.get("episodes")
        stored = sum(len(run.results) for run in pool.runs)
        if isinstance(scheduled, int) and stored != scheduled:
            names = " and ".join(run.name for run in pool.runs)
            notes.append(f"{names}: {stored} of {scheduled} episodes are stored; the row is of an unfinished run")
    notes += dict.fromkeys(text for pool in of_rows if (text := _several_bodies(pool)))
    notes += dict.fromkeys(text for pool in of_rows if (text := _varied(pool, by)))
    notes += _strangers(of_rows)
    notes += [text for pool in of_rows if (text := _errors(pool, errors_as_failures))]
    for policy in sorted({pool.policy for pool in of_rows if pool.is_privileged}):
        notes.append(f"{policy} reads the true state of the scene: it bounds what a policy that sees pixels can reach")
    for policy, mode in sorted({(pool.policy, str(pool.runs[0].header.safety.get("mode"))) for pool in of_rows}):
        if mode != "off":
            what = "scaled back what was not allowed" if mode == "clip" else "ended the episode at what was not allowed"
            notes.append(f"between {policy} and the robot stood a safety filter, which {what} (--safety {mode})")
    unknown = sorted({name for run in runs for r in run.results for name in r.measures} - {c.name for c in columns})
    if unknown:
        notes.append(f"left out, for no metric of this installation is called so: {', '.join(unknown)}")
    return tuple(notes)


def _varied(pool: Pool, by: Sequence[str]) -> str | None:
    """Returns the sentence that says that a row counts varied and unvaried episodes together; None for one that does not."""
    varied = sum(bool(r.axes) for run in pool.runs for r in run.results)
    unvaried = sum(len(run.results) for run in pool.runs) - varied
    if not varied or not unvaried or {"axis", "axis_name"} & set(by):
        return None
    return f"a row of {pool.suite} counts {unvaried} unvaried and {varied} varied episodes together; --by axis_name parts them"


def _strangers(of_rows: Sequence[Pool]) -> list[str]:
    """Returns a sentence for each suite of which some rows have no episode in common, so that nothing tells them apart or alike."""
    played: dict[str, dict[str, set[str]]] = defaultdict(dict)
    for pool in of_rows:
        played[pool.suite][pool.label] = {r.digest for r in pool.results()}
    notes = []
    for suite, of in played.items():
        apart = [f"{a} and {b}" for a, b in itertools.combinations(of, 2) if of[a] and of[b] and not of[a] & of[b]]
        if apart:
            more = f" (and {len(apart) - 3} more pairs)" if len(apart) > 3 else ""
            notes.append(f"{suite}: {', '.join(apart[:3])}{more} have no episode in common; nothing here compares them")
    return notes


def _errors(pool: Pool, errors_as_failures: bool) -> str | None:
    """Returns the sentence that says what the errors of a row could make of its success; None for a row without."""
    results = pool.results()
    errors = sum(r.outcome == "error" for r in results)
    if not errors:
        return None
    successes = sum(r.outcome == "success" for r in results)
    counted, all_of_them = rate(successes, len(results) - errors), rate(successes, len(results))
    told = f"{pool.label} on {pool.suite}: {errors} of {len(results)} episodes ended in an error"
    if counted.mean is None:
        return f"{told}: there is nothing to count"
    if errors_as_failures:
        return f"{told} and count as failures here; without them success is {_percent(counted)}"
    return f"{told}; if these were failures, success would be {_percent(all_of_them)}"


def _percent(interval: MeanInterval) -> str:
    assert interval.mean is not None and interval.low is not None and interval.high is not None
    return f"{100 * interval.mean:.1f} % [{100 * interval.low:.1f}, {100 * interval.high:.1f}]"


def _several_bodies(pool: Pool) -> str | None:
    """Returns the sentence that says which bodies, on which bases, a row counts together; None for one body on one base."""
    bases = {robot: pool.runs[0].header.robot_bases.get(robot, ["fixed"]) for run in pool.runs for robot in sorted({r.robot for r in run.results})}
    if sum(map(len, bases.values())) < 2:
        return None
    told = [f"{robot} ({', '.join(of)})" for robot, of in sorted(bases.items())]
    each = "; --by robot gives each robot a row" if len(told) > 1 else ""
    return f"{pool.suite} counts episodes of several bodies or bases together: {', '.join(told)}{each}"
