"""From stored results to a table: a pure function, without a simulator."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from vlagym.envs.errors import BadData, unknown_name
from vlagym.envs.types import EpisodeResult, RunHeader, canonical_json, sha, to_plain
from vlagym.results.intervals import MeanInterval, bootstrap_mean, content_rng, wilson
from vlagym.results.store import Store

if TYPE_CHECKING:
    import pandas as pd

GROUPINGS = ("task", "axis", "robot", "policy")
"""What `--by` takes. The policy and the suite are keys of every row anyway."""

DIFFERS = "differs"
"""Key of the rows that agree in policy, suite and grouping and must not be pooled nevertheless: it says what they differ in."""

_PACKAGES_THAT_SCORE = ("vlagym", "mujoco")
_PACKAGES_OF_TWO_HANDS = ("mink", "daqp")


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
class Run:
    """A run as a table sees it."""

    name: str
    """Of its folder."""
    header: RunHeader
    results: Sequence[EpisodeResult]
    """One an episode."""

    @staticmethod
    def load(path: Path | str) -> Run:
        """Reads a run folder.

        Raises:
          BadData: If there is none, or it is damaged.
        """
        store = Store.open(path)
        return Run(name=store.path.resolve().name, header=store.header, results=store.results())


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
    """What a reader must know: unfinished runs, privileged policies, measures that are left out."""


def with_total(table: Table, total: Table, key: str) -> Table:
    """Returns a grouped table with the rows of an ungrouped one of the same runs below it, called "all".

    Args:
      table: Grouped by `key`.
      total: The same runs, not grouped.
      key: One of GROUPINGS.
    """
    import pandas as pd

    below = total.frame.copy().assign(**{key: "all"})  # a copy is one block again; pandas warns of the many it was built of
    return dataclasses.replace(table, frame=pd.concat([table.frame, below[[c for c in table.frame.columns]]], ignore_index=True))


def aggregate(runs: Sequence[Run], columns: Sequence[Column], by: Sequence[str] = ()) -> Table:
    """Returns the table of some runs.

    n counts the episodes that ended in success or failure; errored ones are counted beside it and enter no mean. Rates (success and the measures
    of kind "rate") have a Wilson 95 % interval, means a bootstrap interval stratified by task. A measure that does not apply to an episode is left
    out of its mean, which has its own n. Runs are pooled into one row only if they agree in policy (options and card included), suite digest,
    quality, robot looks, schema and the versions that a score depends on, and share no episode; otherwise they have rows of their own, and
    `differs` names what differs.

    Args:
      runs: At least one.
      columns: What is known of each measure; measures of the results that are not among them are left out and noted.
      by: Any of GROUPINGS.

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
    groupings = [name for name in dict.fromkeys(by) if name != "policy"]
    measures = tuple(c for c in columns if c.name != "success")
    pools = _pools(runs)

    rows: list[dict[str, Any]] = []
    for pool in pools:
        groups: dict[tuple[str, ...], list[EpisodeResult]] = defaultdict(list)
        for run in pool.runs:
            for result in run.results:
                groups[tuple(_group(result, name) for name in groupings)].append(result)
        for group, results in groups.items():
            key = {"policy": pool.policy, "suite": pool.suite, **dict(zip(groupings, group, strict=True)), DIFFERS: pool.differs}
            rows.append({**key, **_row(results, measures)})
    keys = ["policy", "suite", *groupings, DIFFERS]
    if not any(pool.differs for pool in pools):
        keys.remove(DIFFERS)
        rows = [{k: v for k, v in row.items() if k != DIFFERS} for row in rows]
    rows.sort(key=lambda row: (row["suite"], *(row[k] for k in groupings), -_low_first(row["success"]), row["policy"], row.get(DIFFERS, "")))
    values = [f"{c.name}{end}" for c in measures for end in ("", "_low", "_high", "_n")]
    frame = pd.DataFrame(rows, columns=[*keys, "n", "errors", "success", "success_low", "success_high", *values])
    numbers = [f"{name}{end}" for name in ("success", *(c.name for c in measures)) for end in ("", "_low", "_high")]
    frame = frame.astype(dict.fromkeys(numbers, "float64"))
    return Table(frame=frame, keys=tuple(keys), columns=measures, notes=_notes(runs, pools, columns))


def packages_that_score(header: RunHeader) -> tuple[str, ...]:
    """Returns the packages whose version can change a number of a run; they are part of what a row stands for.

    Two hands are moved and legs are balanced by libraries of their own, between the action and the motors.
    """
    environments = header.conventions.get("environments", ())
    commanded = {part["name"] for e in environments for part in e["action"]["components"]}
    has_two_hands = any(name.startswith("left_") for name in commanded)
    return (*_PACKAGES_THAT_SCORE, *(_PACKAGES_OF_TWO_HANDS if has_two_hands else ()))


# --------------------------------------------------------------------------------------------------------- what may stand in one row
@dataclass(frozen=True, kw_only=True)
class _Pool:
    policy: str
    suite: str
    runs: tuple[Run, ...]
    differs: str


def _pools(runs: Sequence[Run]) -> list[_Pool]:
    """Returns the sets of runs whose episodes may be counted together."""
    alike: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        alike[canonical_json(_identity(run.header))].append(run)
    sets: list[tuple[dict[str, Any], tuple[Run, ...]]] = []
    for members in alike.values():
        identity = _flat(_identity(members[0].header))
        if _share_an_episode(members):
            sets += [({**identity, "run": run.name}, (run,)) for run in members]
        else:
            sets.append((identity, tuple(members)))
    pools: list[_Pool] = []
    for (policy, suite), same in _by_name(sets).items():
        paths = sorted({p for identity, _ in same for p in identity})
        different = [p for p in paths if len({canonical_json(identity.get(p)) for identity, _ in same}) > 1]
        pools += [_Pool(policy=policy, suite=suite, runs=members, differs=_named(identity, different)) for identity, members in same]
    return pools


def _identity(header: RunHeader) -> dict[str, Any]:
    """Returns all that two runs must share for their episodes to be counted together."""
    identity: dict[str, Any] = to_plain(
        {
            "policy": header.policy,
            "suite": {k: header.suite.get(k) for k in ("name", "version", "digest")},
            "quality": header.quality,
            "look": header.robot_looks,
            "base": {robot: ", ".join(bases) for robot, bases in header.robot_bases.items()},
            "safety": header.safety.get("mode"),
            "safety_limits": {robot: sha(canonical_json(limits).encode()) for robot, limits in header.safety.get("limits", {}).items()},
            "schema": header.schema,
            "package": {k: header.packages.get(k) for k in packages_that_score(header)},
        }
    )
    return identity


def _by_name(sets: Iterable[tuple[dict[str, Any], tuple[Run, ...]]]) -> dict[tuple[str, str], list[tuple[dict[str, Any], tuple[Run, ...]]]]:
    named: dict[tuple[str, str], list[tuple[dict[str, Any], tuple[Run, ...]]]] = defaultdict(list)
    for identity, members in sets:
        header = members[0].header
        named[_text(header, "policy"), _text(header, "suite")].append((identity, members))
    return named


def _text(header: RunHeader, part: Literal["policy", "suite"]) -> str:
    name = getattr(header, part).get("name")
    if not isinstance(name, str):
        raise BadData(f"the header of a run started {header.started} has no {part} name")
    return name


def _share_an_episode(runs: Sequence[Run]) -> bool:
    return any({r.digest for r in a.results} & {r.digest for r in b.results} for a, b in itertools.combinations(runs, 2))


def _flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Returns nested tables as one: {"policy.options.horizon": 8}."""
    out: dict[str, Any] = {}
    for key, inner in value.items():
        path = f"{prefix}{key}"
        if isinstance(inner, Mapping):
            out.update(_flat(inner, f"{path}."))
        else:
            out[path] = inner
    return out


def _named(identity: Mapping[str, Any], different: Sequence[str]) -> str:
    """Returns the differences in words, at most three of them."""
    words = []
    # First what it has, then what it lacks.
    different = sorted(different, key=lambda path: identity.get(path) is None and not _is_fixed_base(path, identity))
    for path in different[:3]:
        value = identity.get(path)
        if _is_fixed_base(path, identity):
            value = "fixed"
        text = value if isinstance(value, str) else "none" if value is None else canonical_json(value)
        words.append(f"{path}={text if len(text) <= 24 else text[:12] + '…'}")
    if len(different) > 3:
        words.append(f"{len(different) - 3} more")
    return ", ".join(words)


def _is_fixed_base(path: str, identity: Mapping[str, Any]) -> bool:
    """Returns whether a path is the base of a robot that stood on fixed ones only: headers name the others."""
    return path.startswith("base.") and path not in identity and path.replace("base.", "look.", 1) in identity


# ----------------------------------------------------------------------------------------------------------------------- one row
def _group(result: EpisodeResult, grouping: str) -> str:
    if grouping == "task":
        return result.task
    if grouping == "robot":
        return result.robot
    return " + ".join(f"{axis}:{level}" for axis, level in sorted(result.axes.items())) or "none"


def _row(results: Sequence[EpisodeResult], measures: Sequence[Column]) -> dict[str, Any]:
    counted = [r for r in results if r.outcome != "error"]
    successes = sum(r.outcome == "success" for r in counted)
    success = _rate(successes, len(counted))
    row: dict[str, Any] = {"n": len(counted), "errors": len(results) - len(counted)}
    row |= {"success": success.mean, "success_low": success.low, "success_high": success.high}
    for column in measures:
        pairs = [(value, r.task) for r in counted if (value := r.measures.get(column.name)) is not None]
        values, tasks = [v for v, _ in pairs], [t for _, t in pairs]
        if column.kind == "rate":
            strange = [v for v in values if v not in (0, 1)]
            if strange:
                raise BadData(f"the measure {column.name!r} is a rate and holds {strange[0]:g}; a rate is 0 or 1 in each episode")
            interval = _rate(int(sum(values)), len(values))
        else:
            interval = bootstrap_mean(values, tasks, content_rng(values, tasks, column.name))
        name = column.name
        row |= {name: interval.mean, f"{name}_low": interval.low, f"{name}_high": interval.high, f"{name}_n": interval.n}
    return row


def _rate(successes: int, n: int) -> MeanInterval:
    if n == 0:
        return MeanInterval(None, None, None, 0)
    low, high = wilson(successes, n)
    return MeanInterval(successes / n, float(low), float(high), n)


def _low_first(value: float | None) -> float:
    """Returns a key by which rows without a rate come after those with one."""
    return -math.inf if value is None else value


# ------------------------------------------------------------------------------------------------------------- what must be said
def _notes(runs: Sequence[Run], pools: Sequence[_Pool], columns: Sequence[Column]) -> tuple[str, ...]:
    notes: list[str] = []
    for pool in pools:
        scheduled = pool.runs[0].header.suite.get("episodes")
        stored = sum(len(run.results) for run in pool.runs)
        if isinstance(scheduled, int) and stored != scheduled:
            names = " and ".join(run.name for run in pool.runs)
            notes.append(f"{names}: {stored} of {scheduled} episodes are stored; the row is of an unfinished run")
    notes += dict.fromkeys(text for pool in pools if (text := _several_bodies(pool)))
    for policy in sorted({pool.policy for pool in pools if pool.runs[0].header.policy.get("privileged")}):
        notes.append(f"{policy} reads the true state of the scene: it bounds what a policy that sees pixels can reach")
    for policy, mode in sorted({(pool.policy, str(pool.runs[0].header.safety.get("mode"))) for pool in pools}):
        if mode != "off":
            what = "scaled back what was not allowed" if mode == "clip" else "ended the episode at what was not allowed"
            notes.append(f"between {policy} and the robot stood a safety filter, which {what} (--safety {mode})")
    unknown = sorted({name for run in runs for r in run.results for name in r.measures} - {c.name for c in columns})
    if unknown:
        notes.append(f"left out, for no metric of this installation is called so: {', '.join(unknown)}")
    return tuple(notes)


def _several_bodies(pool: _Pool) -> str | None:
    """Returns the sentence that says which bodies, on which bases, a row counts together; None for one body on one base."""
    bases = {robot: pool.runs[0].header.robot_bases.get(robot, ["fixed"]) for run in pool.runs for robot in sorted({r.robot for r in run.results})}
    if sum(map(len, bases.values())) < 2:
        return None
    told = [f"{robot} ({', '.join(of)})" for robot, of in sorted(bases.items())]
    each = "; --by robot gives each robot a row" if len(told) > 1 else ""
    return f"{pool.suite} counts episodes of several bodies or bases together: {', '.join(told)}{each}"
