"""Varied episodes and their unvaried twins, put together by `base`: what every gap and every control arm is measured on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from vlagym.envs.types import EpisodeResult, canonical_json
from vlagym.results.counted import plain_episodes as plain_episodes
from vlagym.results.pooling import Pool, identity


class Pair(NamedTuple):
    """A varied episode and its twin: the same seed, the same scene, without the variation."""

    varied: EpisodeResult
    twin: EpisodeResult

    @property
    def is_counted(self) -> bool:
        """Whether both ended in success or failure. An error on either side leaves the pair out of every difference."""
        return self.varied.outcome != "error" and self.twin.outcome != "error"


@dataclass(frozen=True, kw_only=True)
class Pairing:
    """The varied episodes of a pool."""

    pairs: tuple[Pair, ...]
    unpaired: tuple[EpisodeResult, ...]
    """Varied episodes whose twin is in no run, or only in runs elsewhere that disagree on it: no difference can be told of them, and none is."""

    def by_variation(self) -> dict[tuple[tuple[str, int], ...], list[Pair]]:
        """Returns the pairs of each variation, ((axis, level), …) sorted by axis."""
        groups: dict[tuple[tuple[str, int], ...], list[Pair]] = defaultdict(list)
        for pair in self.pairs:
            groups[variation_of(pair.varied)].append(pair)
        return dict(groups)


def pairs(results: Iterable[EpisodeResult]) -> list[Pair]:
    """Returns each varied episode with its twin, where both are among the results, in the order of the varied ones."""
    return list(paired(list(results)).pairs)


def paired(results: Sequence[EpisodeResult], elsewhere: Sequence[EpisodeResult] = ()) -> Pairing:
    """Returns the varied episodes with their twins, and those without.

    Args:
      results: Varied and unvaried episodes of one pool, each once.
      elsewhere: Further episodes among which a twin is looked for, if the pool has it not: of the same policy on other suites. Where several of
        them are of one twin, the first counts; where they tell of different outcomes, none does, whatever the order in which runs are named.
    """
    outcomes: dict[str, set[str]] = defaultdict(set)
    for r in elsewhere:
        outcomes[r.digest].add(r.outcome)
    agreed = {r.digest: r for r in reversed(elsewhere) if not r.axes and len(outcomes[r.digest]) == 1}
    twins = agreed | {r.digest: r for r in results if not r.axes}
    found: list[Pair] = []
    unpaired: list[EpisodeResult] = []
    for varied in results:
        if not varied.axes:
            continue
        twin = twins.get(varied.base) if varied.base is not None else None
        if twin is None:
            unpaired.append(varied)
        else:
            found.append(Pair(varied, twin))
    return Pairing(pairs=tuple(found), unpaired=tuple(unpaired))


def paired_pools(of_rows: Sequence[Pool]) -> list[tuple[Pool, Pairing]]:
    """Returns the pairing of each pool that holds varied episodes.

    A twin that the pool has not itself may be in another run of the same policy, unvaried or on another suite: they agree in all but the suite.

    Args:
      of_rows: From `pooling.pools`.
    """
    families: dict[str, list[Pool]] = defaultdict(list)
    for pool in of_rows:
        families[_without_suite(pool)].append(pool)
    out: list[tuple[Pool, Pairing]] = []
    for pool in of_rows:
        results = pool.results()
        if any(r.axes for r in results):
            others = [r for other in families[_without_suite(pool)] if other is not pool for r in other.results()]
            out.append((pool, paired(results, others)))
    return out


def variation_of(result: EpisodeResult) -> tuple[tuple[str, int], ...]:
    """Returns how an episode is varied: ((axis, level), …), sorted by axis; empty where it is not."""
    return tuple(sorted(result.axes.items()))


def _without_suite(pool: Pool) -> str:
    whole = identity(pool.runs[0].header)
    return canonical_json({key: part for key, part in whole.items() if key not in ("suite", "base")})
