"""The proof that training and test are disjoint: no demonstration of a dataset is an episode of a suite.

A seed is part of what a digest is made of, so that a demonstration can only be an episode of a suite whose task, robot and seed it shares. These few
are sampled and compared, digest by digest. Of suites that are sampled whole, scenes with their goals and sentences are compared as well, whatever the
seed.
"""

from __future__ import annotations

import functools
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence

from vlagym.benchmark.entry import FIRST_DEMO_SEED, FIRST_SEASON_SEED, Entry
from vlagym.benchmark.suite import Suite
from vlagym.benchmark.suite_files import FOLDER, load_suite
from vlagym.envs import catalog
from vlagym.envs.errors import BadData
from vlagym.envs.types import EpisodeSpec
from vlagym.results.datacard.card import AgainstSuite, Disjoint
from vlagym.results.datacard.identity import scene_digest

EVERY = "all"
"""Instead of the name of a suite: every suite that ships."""

Expand = Callable[[Suite], Sequence[EpisodeSpec]]


def suites_named(names: Sequence[str], seasons: Sequence[str] = ()) -> list[Suite]:
    """Returns suites by their names or files, in their seasons too.

    Args:
      names: Of suites, or EVERY.
      seasons: Names of seasons, in each of which every one of them is compared as well.

    Raises:
      UnknownName: If there is no such suite.
      BadData: If a season is given and no suite, or it is not one word.
    """
    if seasons and not names:
        raise BadData(f"the season {seasons[0]!r} is one of suites: say which, --against SUITE or --against {EVERY}")
    shipped = shipping() if EVERY in names else {}
    every = [name for given in names for name in (shipped if given == EVERY else [given])]
    found = [shipped.get(name) or load_suite(name) for name in dict.fromkeys(every)]
    return [*found, *(suite.in_season(season) for season in seasons for suite in found)]


@functools.cache
def shipping() -> Mapping[str, Suite]:
    """Returns the suites that ship, by their names; read once."""
    return {name: load_suite(name) for name in catalog.toml_names(FOLDER)}


class Comparison:
    """Compares demonstrations with suites as they come."""

    def __init__(self, sampled: Sequence[Suite] = (), *, expand: Expand = Suite.expand, others: Sequence[Suite] | None = None) -> None:
        """Samples what is to be sampled.

        Args:
          sampled: Suites of which every episode is sampled and compared.
          expand: Samples a suite.
          others: Suites of which only those episodes are sampled that share task, robot and seed with a demonstration; None: all that ship.

        Raises:
          Unsatisfiable: If an episode of a suite cannot be sampled.
        """
        known = {(suite.name, suite.season) for suite in sampled}
        rest = list(shipping().values()) if others is None else others
        self._suites = [_Against(suite, expand(suite)) for suite in sampled]
        self._suites += [_Against(suite, None) for suite in rest if (suite.name, suite.season) not in known]
        self._seeds: list[int] = []
        self._looked_at = self._of_suites = self._of_seasons = 0

    def add(self, spec: EpisodeSpec, scene: str) -> None:
        """Compares a demonstration.

        Args:
          spec: Its episode.
          scene: `scene_digest` of it.
        """
        self._looked_at += 1
        self._seeds = [min([*self._seeds, spec.seed]), max([*self._seeds, spec.seed])]
        self._of_suites += spec.seed < FIRST_DEMO_SEED
        self._of_seasons += spec.seed >= FIRST_SEASON_SEED
        for suite in self._suites:
            suite.add(spec, scene)

    def result(self) -> Disjoint:
        """Returns what was found."""
        return Disjoint(
            looked_at=self._looked_at,
            first_seed=self._seeds[0] if self._seeds else None,
            last_seed=self._seeds[-1] if self._seeds else None,
            seeds_of_suites=self._of_suites,
            seeds_of_seasons=self._of_seasons,
            suites=tuple(suite.result() for suite in self._suites),
        )


class _Against:
    """One suite."""

    def __init__(self, suite: Suite, episodes: Sequence[EpisodeSpec] | None) -> None:
        self._suite = suite
        self._entries: dict[tuple[str, str], list[Entry]] = defaultdict(list)
        for entry in suite.entries:
            self._entries[entry.task, entry.body].append(entry)
        self._is_sampled = episodes is not None
        self._digests = {e.digest() for e in episodes or ()}
        self._scenes = {scene_digest(e) for e in episodes or ()}
        self._sentences = {e.instruction for e in episodes or ()}
        self._counts: Counter[str] = Counter()

    def add(self, spec: EpisodeSpec, scene: str) -> None:
        near = [e for e in self._entries.get((spec.task, spec.robot), ()) if spec.seed in e.seeds]
        self._counts["near"] += bool(near)
        if self._is_sampled:
            self._counts["digest"] += spec.digest() in self._digests
            self._counts["scene"] += scene in self._scenes
            self._counts["sentence"] += spec.instruction in self._sentences
        elif near:
            self._counts["digest"] += any(spec.digest() in digests_of(entry, spec.seed, spec.axes) for entry in near)

    def result(self) -> AgainstSuite:
        counts = self._counts
        return AgainstSuite(
            suite=self._suite.name,
            version=self._suite.version,
            season=self._suite.season,
            episodes=self._suite.num_episodes,
            near=counts["near"],
            same_digest=counts["digest"],
            sampled=self._is_sampled,
            same_scene=counts["scene"] if self._is_sampled else None,
            same_sentence=counts["sentence"] if self._is_sampled else None,
        )


@functools.lru_cache(maxsize=4096)
def digests_of(entry: Entry, seed: int, axes: tuple[tuple[str, int], ...]) -> frozenset[str]:
    """Returns the digests of the episodes of an entry that have a seed, unvaried or varied along `axes`."""
    found = [entry.sample(seed)]
    for index, variation in enumerate(entry.variations):
        if set(variation) == set(axes):
            found += [spec for spec in entry.sample_varied(index) if spec.seed == seed]
    return frozenset(spec.digest() for spec in found)
