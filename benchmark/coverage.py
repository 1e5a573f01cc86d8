"""Whether a run holds the episodes that it says it holds: its ledger against the suite of its header, sampled anew."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from vlagym.benchmark.header import bases_of
from vlagym.benchmark.suite import Suite, digest_of
from vlagym.benchmark.suite_files import suite_of_header
from vlagym.envs.types import EpisodeResult, EpisodeSpec, RunHeader, to_plain

_NAMED = 4
"""Episodes that a sentence names."""


class Difference(NamedTuple):
    """Something stored that is not what it should be."""

    what: str
    """actions, final_state, the name of a measure, suite, episodes …"""
    how: str
    """What is stored and what was found, in words."""


def suite_of(header: RunHeader) -> Suite:
    """Returns the suite of a run, as its header has it.

    Raises:
      BadData: If the header holds no suite.
      UnknownName: If it names a task, robot or axis that is not here.
    """
    return suite_of_header(header.suite, "the suite of the run's header").check()


def coverage(header: RunHeader, results: Sequence[EpisodeResult], episodes: Sequence[EpisodeSpec]) -> list[Difference]:
    """Returns where a run is not the run of its suite: episodes that are missing or belong to no such suite, and what the header says of them.

    Args:
      header: Of the run.
      results: The last line of each episode.
      episodes: The suite of the header, expanded here.
    """
    out: list[Difference] = []
    stored = (("digest", digest_of(episodes)), ("episodes", len(episodes)))
    out += [Difference(f"suite.{name}", _said(header.suite.get(name), found)) for name, found in stored if header.suite.get(name) != found]
    seeds = {"first": min(e.seed for e in episodes), "last": max(e.seed for e in episodes)}
    out += [Difference(f"seeds.{name}", _said(header.seeds.get(name), found)) for name, found in seeds.items() if header.seeds.get(name) != found]
    bases, stated = bases_of(episodes), to_plain(header.robot_bases)
    out += [Difference("robot_bases", _said(stated or "none", bases or "none"))] if bases != stated else []
    wanted = {e.digest(): f"{e.task} seed {e.seed}" for e in episodes}
    there = {r.digest: f"{r.task} seed {r.seed}" for r in results}
    missing = [name for digest, name in wanted.items() if digest not in there]
    strange = [name for digest, name in there.items() if digest not in wanted]
    if missing and header.finished is None:
        out.append(Difference("finished", f"the run has not ended: {len(missing)} of its {len(wanted)} episodes are still to be played"))
    elif missing:
        out.append(Difference("episodes", f"{len(missing)} of the {len(wanted)} episodes of the suite are missing from the ledger: {_some(missing)}"))
    if strange:
        out.append(Difference("episodes", f"{len(strange)} episodes of the ledger do not belong to the suite: {_some(strange)}"))
    return out


def played_again(ledger: Sequence[EpisodeResult]) -> list[Difference]:
    """Returns whether episodes were played again although they had ended: only an error is tried again, for else the better one could be kept.

    Args:
      ledger: Every line, superseded ones among them. A line that measures the same actions anew is no second play.
    """
    ended: dict[str, str] = {}
    again: dict[str, str] = {}
    for line in ledger:
        actions = "" if line.certificate is None else line.certificate.actions
        if line.digest in ended and actions != ended[line.digest]:
            again[line.digest] = f"{line.task} seed {line.seed}"
        if line.outcome != "error":
            ended[line.digest] = actions
    how = f"{len(again)} episodes were played again after they had ended without an error: {_some(list(again.values()))}"
    return [Difference("attempts", how)] if again else []


def of_the_season(suite: Suite) -> list[Difference]:
    """Returns where the seeds of a suite are not those that follow from the name of its season.

    Args:
      suite: Of the header of a run. One without a season states its own seeds, and nothing follows from anything.
    """
    if not suite.season:
        return []
    derived = suite.in_season(suite.season).entries
    pairs = zip(suite.entries, derived, strict=True)
    other = [f"{own.task} from {own.first_seed} and not from {due.first_seed}" for own, due in pairs if own.first_seed != due.first_seed]
    return [Difference("season", f"these are not the episodes of the season {suite.season!r}: {_some(other)}")] if other else []


def _said(stored: object, found: object) -> str:
    return f"the header says {stored}, the suite expands to {found}"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
