"""What the pages show, gathered from runs before anything is written: suites, policies, and the rows in which they meet."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from vlagym.results import leaderboard
from vlagym.results.aggregate import Column, Table, aggregate, notes_on
from vlagym.results.ceiling import with_expert
from vlagym.results.pooling import Pool, Run, pools
from vlagym.results.site.breakdown import Breakdown, breakdown
from vlagym.results.site.words import clipped, for_readers, slug

Role = Literal["", "floor", "ceiling"]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A row of the table: runs of one policy on one suite whose episodes are counted together."""

    pool: Pool
    index: int
    """Its place among the rows of its suite."""
    series: int | None
    """Its colour and mark in charts; None for floors and ceiling, which are drawn in grey."""
    record: Mapping[str, Any]
    """Its numbers, as `leaderboard.rows` gives them."""

    @property
    def policy(self) -> str:
        return self.pool.policy

    @property
    def label(self) -> str:
        """Of its policy and of what sets the row apart, short enough for a legend."""
        return clipped(self.pool.label)

    @property
    def slug(self) -> str:
        """Of its policy's pages."""
        return slug(self.pool.policy)

    @property
    def anchor(self) -> str:
        """Fragment of the row on its policy's page."""
        return "on-" + slug(f"{self.pool.suite} {self.pool.differs}".strip())

    @property
    def differs(self) -> str:
        """What sets it apart from other rows, and how the episodes are varied that its success is of; empty where nothing is to be said."""
        varied = str(self.record.get("varied", ""))
        return ", ".join(text for text in (f"varied: {varied}" if varied else "", self.pool.differs) if text)

    @property
    def role(self) -> Role:
        return role_of(self.pool)

    @functools.cached_property
    def counts(self) -> Breakdown:
        return breakdown(self.pool.results())


@dataclass(frozen=True, kw_only=True)
class Suite:
    """All rows of one suite."""

    name: str
    table: Table
    entries: tuple[Entry, ...]
    """In the order of the table: the best first."""
    notes: tuple[str, ...]
    """What a reader of any of its tables must know. What errors could make of success stands in a column of its own."""

    @property
    def slug(self) -> str:
        return slug(self.name)

    @property
    def is_varied(self) -> bool:
        """Whether it holds episodes that are varied along some axis."""
        return any(len(e.counts.by_axis) > 1 for e in self.entries)

    @property
    def tasks(self) -> tuple[str, ...]:
        return tuple(sorted({task for e in self.entries for task in e.counts.by_task}))

    @property
    def versions(self) -> tuple[str, ...]:
        """What the headers say of the suite: one text, or one for each version, season and digest that is there."""
        return tuple(dict.fromkeys(_version(run.header.suite) for e in self.entries for run in e.pool.runs))

    @property
    def measures(self) -> tuple[Column, ...]:
        """Measures besides success that apply to some episode."""
        return tuple(c for c in self.table.columns if (self.table.frame[f"{c.name}_n"] > 0).any())

    @property
    def is_mixed(self) -> bool:
        """Whether some row holds varied episodes beside unvaried ones, of which its success is then."""
        return any(e.counts.is_mixed for e in self.entries)


@dataclass(frozen=True, kw_only=True)
class Policy:
    """All rows of one policy."""

    name: str
    role: Role
    entries: tuple[Entry, ...]

    @property
    def slug(self) -> str:
        return slug(self.name)

    @property
    def runs(self) -> tuple[Run, ...]:
        return tuple(run for e in self.entries for run in e.pool.runs)

    @property
    def episodes(self) -> int:
        return sum(len(run.results) for run in self.runs)


@dataclass(frozen=True, kw_only=True)
class Content:
    """Everything that is shown."""

    title: str
    suites: tuple[Suite, ...]
    policies: tuple[Policy, ...]
    complaints: tuple[str, ...]
    """What could not be read, for everyone to see."""
    columns: tuple[Column, ...]

    @property
    def episodes(self) -> int:
        return sum(p.episodes for p in self.policies)


def gather(runs: Sequence[Run], columns: Sequence[Column], *, title: str, complaints: Sequence[str] = ()) -> Content:
    """Returns what a leaderboard of some runs shows.

    Args:
      runs: At least one.
      columns: What is known of each measure.
      title: Of the whole.
      complaints: What could not be read of the runs.

    Raises:
      BadData: If there is no run, or a rate holds something else than 0 and 1.
    """
    by_suite: dict[str, list[Pool]] = {}
    for pool in pools(with_expert(runs)):
        by_suite.setdefault(pool.suite, []).append(pool)
    suites = tuple(_suite(name, of, columns) for name, of in sorted(by_suite.items()))
    entries = [entry for suite in suites for entry in suite.entries]
    policies = []
    for name in sorted({e.policy for e in entries}, key=lambda n: (n.casefold(), n)):
        of_it = tuple(e for e in entries if e.policy == name)
        policies.append(Policy(name=name, role=of_it[0].role, entries=of_it))
    return Content(title=title, suites=suites, policies=tuple(policies), complaints=tuple(complaints), columns=tuple(columns))


def role_of(pool: Pool) -> Role:
    """Returns whether a row bounds the others: from below, because it knows nothing, or from above, because it knows the true state."""
    if pool.is_privileged:
        return "ceiling"
    return "floor" if pool.policy in leaderboard.FLOORS else ""


def _suite(name: str, of: Sequence[Pool], columns: Sequence[Column]) -> Suite:
    table = aggregate([run for pool in of for run in pool.runs], columns)
    records = leaderboard.rows(table)
    by_key = {(pool.policy, pool.differs): pool for pool in of}
    entries: list[Entry] = []
    for index, record in enumerate(records):
        pool = by_key[record["policy"], record.get("differs", "")]
        series = None if role_of(pool) else sum(e.series is not None for e in entries)
        entries.append(Entry(pool=pool, index=index, series=series, record=record))
    said = notes_on([run for pool in of for run in pool.runs], columns)
    return Suite(name=name, table=table, entries=tuple(entries), notes=for_readers(said, [pool.policy for pool in of]))


def _version(suite: Mapping[str, Any]) -> str:
    season = f", season {suite['season']}" if suite.get("season") else ""
    return f"version {suite.get('version', 'unknown')}{season}, digest {str(suite.get('digest', 'unknown'))[:12]}"
