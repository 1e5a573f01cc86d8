"""How policies fail: failed episodes by their label, as counts and as shares of all that ended."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from vlagym.envs.errors import BadData, unknown_name
from vlagym.envs.types import EpisodeResult
from vlagym.results.aggregate import low_first, rate
from vlagym.results.groupings import GROUPINGS, counted_of, group_of
from vlagym.results.intervals import MeanInterval
from vlagym.results.pooling import Run, pools

MODES = ("never_moved", "never_reached", "wrong_object", "grasp_failed", "dropped", "wrong_place", "undone", "timed_out", "unsafe")
"""Labels in the order in which they are tried: a failure bears the first that fits."""

UNLABELLED = "unlabelled"
"""Failures of runs from before there were labels; `vlagym score RUN --write` gives them theirs."""


@dataclass(frozen=True, kw_only=True)
class Failures:
    """The failures of one policy on one suite, or of a group of its episodes."""

    policy: str
    suite: str
    differs: str
    group: tuple[str, ...]
    """One word for each grouping that was asked for."""
    n: int
    """Episodes that ended in success or failure."""
    errors: int
    success: MeanInterval
    counts: dict[str, int]
    """Label -> failures that bear it; in the order of `modes_of`, those that do not occur left out."""

    @property
    def num_failures(self) -> int:
        return sum(self.counts.values())

    def share(self, mode: str) -> float | None:
        """Returns the share of all counted episodes that failed so; None without any."""
        return self.counts.get(mode, 0) / self.n if self.n else None


def failures(runs: Sequence[Run], by: Sequence[str] = ()) -> list[Failures]:
    """Returns how the policies of some runs fail, by suite, group, and success, the best first.

    The episodes are those that the success of `aggregate` counts: the unvaried ones where there are any, and no control beside others, but for
    groupings by axis.

    Args:
      runs: At least one.
      by: Any of `aggregate.GROUPINGS`.

    Raises:
      UnknownName: For another grouping.
      BadData: If there are no runs.
    """
    if not runs:
        raise BadData("a table of failures needs at least one run folder")
    for name in by:
        if name not in GROUPINGS:
            raise unknown_name("grouping", name, GROUPINGS)
    groupings = [name for name in dict.fromkeys(by) if name not in ("policy", "suite")]
    out: list[Failures] = []
    for pool in pools(runs):
        groups: dict[tuple[str, ...], list[EpisodeResult]] = defaultdict(list)
        for result in pool.results():
            groups[tuple(group_of(result, name) for name in groupings)].append(result)
        for group, found in groups.items():
            results = counted_of(found, groupings)
            counted = [r for r in results if r.outcome != "error"]
            labels = Counter(r.failure_mode or UNLABELLED for r in counted if r.outcome == "failure")
            successes = sum(r.outcome == "success" for r in counted)
            out.append(
                Failures(
                    policy=pool.policy,
                    suite=pool.suite,
                    differs=pool.differs,
                    group=group,
                    n=len(counted),
                    errors=len(results) - len(counted),
                    success=rate(successes, len(counted)),
                    counts={mode: labels[mode] for mode in _ordered(labels)},
                )
            )
    out.sort(key=lambda f: (f.suite, f.group, -low_first(f.success.mean), f.policy, f.differs))
    return out


def modes_of(rows: Sequence[Failures]) -> list[str]:
    """Returns the labels that occur: the known ones in their order, then those of others, then the unlabelled."""
    return _ordered({mode for row in rows for mode in row.counts})


def _ordered(labels: Counter[str] | set[str]) -> list[str]:
    others = sorted(set(labels) - {*MODES, UNLABELLED})
    return [mode for mode in (*MODES, *others, UNLABELLED) if mode in labels]
