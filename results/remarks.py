"""What a reader of a table must know besides its numbers: unfinished runs, errors, episodes that no row counts, clipped actions, strangers."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence

from vlagym.results.clipping import clipping_remarks
from vlagym.results.counted import is_control, plain_episodes, rate
from vlagym.results.groupings import counted_of, parts_axes
from vlagym.results.intervals import MeanInterval
from vlagym.results.pooling import ANY_RIG, Pool, Run

FEW = 10
"""Rows of fewer episodes, or pairs, say little: their intervals span half of what is possible."""


def remarks(
    runs: Sequence[Run], of_rows: Sequence[Pool], measures: Collection[str], by: Sequence[str] = (), *, errors_as_failures: bool = False
) -> tuple[str, ...]:
    """Returns what must be said of the table of some runs, a sentence each.

    Args:
      runs: Those of the table.
      of_rows: Their pools.
      measures: Names of the measures that are known; others are said to be left out.
      by: The groupings of the table.
      errors_as_failures: Whether it counts errored episodes as failures.
    """
    errors = [text for pool in of_rows if (text := _errors(pool, by, errors_as_failures))]
    left_out = dict.fromkeys(text for pool in of_rows if (text := _left_out(pool, by)))
    of_episodes = (*_of_runs(of_rows), *left_out, *_strangers(of_rows, by), *errors)
    return (*of_episodes, *clipping_remarks(of_rows), *_of_policies(of_rows), *_verified(runs), *_unknown(runs, measures))


def remarks_on_runs(runs: Sequence[Run], of_rows: Sequence[Pool], measures: Collection[str]) -> tuple[str, ...]:
    """Returns what must be said of any table of the runs: not which episodes it counts, nor its errors, which each table tells of itself."""
    of_episodes = (*_of_runs(of_rows), *_strangers(of_rows, ()))
    return (*of_episodes, *clipping_remarks(of_rows), *_of_policies(of_rows), *_verified(runs), *_unknown(runs, measures))


def few_remark(counts: Iterable[int], of: str) -> tuple[str, ...]:
    """Returns the sentence that says how many rows are of fewer than FEW episodes or pairs; nothing where none is.

    Args:
      counts: n of each row.
      of: What is counted: "episodes", "pairs".
    """
    found = list(counts)
    few = sum(0 < n < FEW for n in found)
    if not few:
        return ()
    rows = f"{few} of {len(found)} rows are" if len(found) > 1 else "the row is"
    return (f"{rows} of fewer than {FEW} {of}: too few to conclude from",)


# ------------------------------------------------------------------------------------------------------------------------ each part
def _of_runs(of_rows: Sequence[Pool]) -> list[str]:
    notes: list[str] = []
    for pool in of_rows:
        scheduled = pool.runs[0].header.suite.get("episodes")
        stored = sum(len(run.results) for run in pool.runs)
        if isinstance(scheduled, int) and stored != scheduled:
            names = " and ".join(run.name for run in pool.runs)
            if stored < scheduled:
                notes.append(f"{names}: {stored} of {scheduled} episodes are stored; the row is of an unfinished run")
            else:
                notes.append(f"{names}: {stored} episodes are stored where the run has {scheduled}; lines of another run are among them and counted")
    return [*notes, *dict.fromkeys(text for pool in of_rows if (text := _several_bodies(pool)))]


def _of_policies(of_rows: Sequence[Pool]) -> list[str]:
    notes: list[str] = []
    for policy in sorted({pool.policy for pool in of_rows if pool.is_privileged}):
        notes.append(f"{policy} reads the true state of the scene: it bounds what a policy that sees pixels can reach")
    for policy, rig in sorted({(pool.policy, str(h.policy.get("rig"))) for pool in of_rows if (h := pool.runs[0].header).policy.get(ANY_RIG)}):
        of = "its numbers are of cameras and a control that it does not know"
        notes.append(f"{policy} was made for the rig {rig!r} and played elsewhere (--any-rig): {of}")
    for policy, mode in sorted({(pool.policy, str(pool.runs[0].header.safety.get("mode"))) for pool in of_rows}):
        if mode != "off":
            what = "scaled back what was not allowed" if mode == "clip" else "ended the episode at what was not allowed"
            notes.append(f"between {policy} and the robot stood a safety filter, which {what} (--safety {mode})")
    return notes


def _verified(runs: Sequence[Run]) -> list[str]:
    """Returns the sentence that says which runs were verified before they were published, and which were not; nothing where none was."""
    known = [f"{run.name} ({run.verified} episodes)" for run in runs if run.verified]
    others = [run.name for run in runs if not run.verified]
    if not known:
        return []
    return [f"verified: {', '.join(known)}" + (f"; not verified: {', '.join(others)}" if others else "")]


def _unknown(runs: Sequence[Run], measures: Collection[str]) -> list[str]:
    unknown = sorted({name for run in runs for r in run.results for name in r.measures} - set(measures))
    return [f"left out, for no metric of this installation is called so: {', '.join(unknown)}"] if unknown else []


def _left_out(pool: Pool, by: Sequence[str]) -> str | None:
    """Returns the sentence that says how many varied episodes of a pool no row counts; None where all are counted."""
    results = pool.results()
    if parts_axes(by):
        return None
    kept = {r.digest for r in plain_episodes(results)}
    missing = [r for r in results if r.digest not in kept]
    if not missing:
        return None
    controls = sum(is_control(r) for r in missing)
    episodes = "1 varied episode is" if len(missing) == 1 else f"{len(missing)} varied episodes are"
    told = f" ({controls} with control sentences)" if controls else ""
    unvaried = "of its unvaried episodes" if all(r.axes for r in missing) and any(not r.axes for r in results) else "of no control sentence"
    return f"{pool.suite}: the numbers are {unvaried}; {episodes} in none of them{told}, but in gaps and language use"


def _strangers(of_rows: Sequence[Pool], by: Sequence[str]) -> list[str]:
    """Returns a sentence for each suite of which some rows have no episode in common, so that nothing tells them apart or alike."""
    played: dict[str, dict[str, set[str]]] = defaultdict(dict)
    for pool in of_rows:
        played[pool.suite][pool.label] = {r.digest for r in counted_of(pool.results(), by)}
    notes = []
    for suite, of in played.items():
        apart = [f"{a} and {b}" for a, b in itertools.combinations(of, 2) if of[a] and of[b] and not of[a] & of[b]]
        if apart:
            more = f" (and {len(apart) - 3} more pairs)" if len(apart) > 3 else ""
            notes.append(f"{suite}: {', '.join(apart[:3])}{more} have no episode in common; nothing here compares them")
    return notes


def _errors(pool: Pool, by: Sequence[str], errors_as_failures: bool) -> str | None:
    """Returns the sentence that says what the errors of a row could make of its success; None for a row without."""
    results = counted_of(pool.results(), by)
    errors = sum(r.outcome == "error" for r in results)
    if not errors:
        return None
    successes = sum(r.outcome == "success" for r in results)
    counted, all_of_them = rate(successes, len(results) - errors), rate(successes, len(results))
    told = f"{pool.label} on {pool.suite}: {errors} of {len(results)} episodes ended in an error"
    if counted.mean is None:
        return f"{told}: there is nothing to count"
    if parts_axes(by):  # a rate over variations and control sentences together would mean nothing
        return f"{told}{' and count as failures here' if errors_as_failures else '; each row says how many of its own'}"
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
