"""A suite: a named list of tasks, seeds and splits that expands to episodes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vlagym.benchmark.entry import FIRST_DEMO_SEED, FIRST_SEASON_SEED, Entry, Portion, Sample, named, sample_episode
from vlagym.benchmark.executor import one_thread_each
from vlagym.benchmark.rig import NO_RIG
from vlagym.envs.errors import BadData, BadSpec, UnknownName, unknown_name
from vlagym.envs.types import EpisodeSpec, sha, stream

_SEASON_SEEDS = 1_000_000_000_000
"""From which the first seed of an entry is drawn: two seasons share an episode with a probability of about one in a thousand million."""


@dataclass(frozen=True, kw_only=True)
class Suite:
    """A named list of entries."""

    name: str
    version: int
    entries: tuple[Entry, ...]
    about: str = ""
    cost: Mapping[str, float] = field(default_factory=dict)
    """Weights of the measure `cost`, by the names of other measures; those that are not named keep the weights of the house."""
    season: str = ""
    """Name from which the seeds were derived; empty for those that the suite states."""

    def __post_init__(self) -> None:
        if not self.entries:
            raise BadData(f"the suite {self.name!r} has no entries: add at least one [[entry]]")
        for measure, weight in self.cost.items():
            if not weight >= 0:
                raise BadData(f"the suite {self.name!r} has the cost {measure} = {weight:g}; weights are 0 or more")

    @property
    def num_episodes(self) -> int:
        return sum(e.num_episodes for e in self.entries)

    def restrict(
        self,
        *,
        tasks: Sequence[str] = (),
        robot: str | None = None,
        episodes: int | None = None,
        first_seed: int | None = None,
        axes: Sequence[str] = (),
        control: str | None = None,
        base: str | None = None,
        catalogue: str | None = None,
        arena: str | None = None,
        level: str | None = None,
        layout: str | None = None,
        rig: str | None = None,
    ) -> Suite:
        """Returns the suite with some of its tasks, or with another robot, control, base, catalogue, arena, level, layout, rig, number of episodes
        or first seed in each entry, or with further axes. At another rig it bears another name: smoke@libero, or smoke@mine.toml at one of a file.
        Entries that become the same by that, as those of one task with several bases, are played once.

        Raises:
          UnknownName: If a task is not in the suite.
        """
        known = list(dict.fromkeys(e.task for e in self.entries))
        for task in tasks:
            if task not in known:
                raise unknown_name("task", task, known, f"It was looked for in the suite {self.name!r}.")
        wanted: dict[str, Any] = {"robot": robot, "episodes": episodes, "first_seed": first_seed, "control": control}
        wanted |= {"base": base, "catalogue": catalogue, "arena": arena, "level": level, "layout": layout, "rig": rig}
        changes = {field: value for field, value in wanted.items() if value is not None}
        chosen = [e for e in self.entries if not tasks or e.task in tasks]
        entries = tuple(
            dataclasses.replace(e, axes=(*e.axes, *axes), each=min(e.each, episodes or e.each), **changes) for e in chosen
        )
        if len({e.task for e in chosen}) < len(chosen) and changes:
            entries = _without_repeats(entries)
        name = self.name if all(e.rig == (rig or e.rig) for e in chosen) else _at_rig(self.name, rig or NO_RIG)
        return self if entries == self.entries else dataclasses.replace(self, name=name, entries=entries)

    def check(self) -> Suite:
        """Returns the suite after looking at every name and seed in it.

        Raises:
          UnknownName: If a task, robot, catalogue, arena, layout, level, rig or axis does not exist.
          BadData: If an outsider's does not import, or a seed is one that demonstrations are made of.
          BadSpec: If a robot cannot do a task.
        """
        self.check_names()
        for entry in self.entries:
            if entry.seeds.stop > FIRST_DEMO_SEED and not self.season:
                raise BadData(
                    f"{entry.task} reaches the seed {entry.seeds.stop - 1}; suites stay below {FIRST_DEMO_SEED:,}, where demonstrations begin, "
                    "so that nothing is tested on what was trained on"
                )
            if entry.first_seed < FIRST_SEASON_SEED and self.season:
                raise BadData(
                    f"{entry.task} begins with the seed {entry.first_seed} in the season {self.season!r}; the seeds of a season are "
                    f"{FIRST_SEASON_SEED:,} and more, below which demonstrations are made: --season derives them from its name"
                )
        return self

    def check_names(self) -> Suite:
        """Returns the suite after looking at every name in it.

        Raises:
          UnknownName: If a task, robot, catalogue, arena, layout, level or axis does not exist.
          BadData: If an outsider's does not import.
          BadSpec: If a robot cannot do a task.
        """
        for index, entry in enumerate(self.entries, 1):
            try:
                entry.check_names()
            except (BadData, BadSpec, UnknownName) as error:
                raise type(error)(f"{self.name}, entry {index} ({entry.task}): {error}") from error
        return self

    def expand(
        self, *, workers: int = 1, sample: Sample = sample_episode, advance: Callable[[], None] = lambda: None
    ) -> tuple[EpisodeSpec, ...]:
        """Samples every episode: entry by entry, seed by seed, whatever the number of workers.

        Args:
          workers: Processes that sample; 1 samples here.
          sample: Draws an episode; importable, for it may be called in another process.
          advance: Called after each.

        Raises:
          Unsatisfiable: If no episode with a task's premises was found for a seed.
          BadData: If two entries give the same episode.
        """
        specs: list[EpisodeSpec] = []
        seen: dict[str, str] = {}
        for sampled in _sampled(self.portions(), workers, sample):
            for spec in sampled:
                digest, told = spec.digest(), " ".join(filter(None, (spec.task, "seed", str(spec.seed), named(spec.axes))))
                if digest in seen:
                    raise BadData(f"the suite {self.name!r} holds the same episode twice: {seen[digest]} and {told}")
                seen[digest] = told
                specs.append(spec)
                advance()
        return tuple(specs)

    def portions(self) -> list[Portion]:
        """Returns what is sampled at once, in order: entry by entry, first the twins seed by seed, then variation by variation."""
        return [
            portion
            for entry in self.entries
            for portion in (*(Portion(entry, seed, None) for seed in entry.seeds), *(Portion(entry, None, i) for i in range(len(entry.variations))))
        ]

    def in_season(self, name: str) -> Suite:
        """Returns the suite with fresh seeds, derived from a name, that no suite and no demonstration uses.

        The seeds of an entry follow from the name, the suite, the task, and how many entries of that task stand before it: a part of the suite has
        the seeds of the whole.

        Raises:
          BadData: If the name is not one word of printing characters.
        """
        if not name or not name.isprintable() or " " in name:
            raise BadData(f"a season has a name of one word, e.g. --season spring-2027, not {name!r}")
        entries = []
        for index, entry in enumerate(self.entries):
            before = sum(other.task == entry.task for other in self.entries[:index])
            words = stream(0, "season", name, _at_rig(self.name, NO_RIG), entry.task, str(before))
            first = FIRST_SEASON_SEED + int(words.integers(_SEASON_SEEDS))
            entries.append(dataclasses.replace(entry, first_seed=first))
        return dataclasses.replace(self, entries=tuple(entries), season=name)


def _without_repeats(entries: Sequence[Entry]) -> tuple[Entry, ...]:
    """Returns entries without those that differ from another one in the number of their episodes at most; the most episodes are kept."""
    kept: dict[Entry, Entry] = {}
    for entry in entries:
        alone = dataclasses.replace(entry, episodes=1, each=min(1, entry.each))
        kept[alone] = max(kept.get(alone, entry), entry, key=lambda e: (e.episodes, e.each))
    return tuple(kept.values())


def _at_rig(name: str, rig: str) -> str:
    """Returns the name of a suite at a rig: smoke@libero of one that ships, smoke@libero.toml of anyone's file."""
    plain = name.partition("@")[0]
    return plain if rig == NO_RIG else f"{plain}@{Path(rig).name}"


def digest_of(specs: Sequence[EpisodeSpec]) -> str:
    """Returns the digest of a suite's episodes: of their digests, in order."""
    return sha("\n".join(s.digest() for s in specs).encode())


# ------------------------------------------------------------------------------------------------------------------ many processes
def _sampled(wanted: Sequence[Portion], workers: int, sample: Sample) -> Iterator[list[EpisodeSpec]]:
    if workers <= 1 or len(wanted) < 2:
        return (portion.sample(sample) for portion in wanted)
    return _sampled_apart(wanted, workers, sample)


def _sampled_apart(wanted: Sequence[Portion], workers: int, sample: Sample) -> Iterator[list[EpisodeSpec]]:
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(wanted)), mp_context=context) as pool:
        with one_thread_each():
            specs = pool.map(_sample_portion, [(portion, sample) for portion in wanted])
        yield from specs


def _sample_portion(wanted: tuple[Portion, Sample]) -> list[EpisodeSpec]:
    portion, sample = wanted
    return portion.sample(sample)
