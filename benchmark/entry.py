"""An entry of a suite: some episodes of one task, of one split, and the variations that are played beside them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from vlagym.benchmark.axis import NotApplicable, check_levels, parse_axis, parse_variations, vary_all
from vlagym.benchmark.rig import NO_RIG, load_rig
from vlagym.envs import catalog
from vlagym.envs.arenas import arena_names
from vlagym.envs.catalogues import catalogue_names
from vlagym.envs.errors import BadData, Unsatisfiable, unknown_name
from vlagym.envs.layouts.cells import LAYOUT_WORDS
from vlagym.envs.split import ARENA_WORDS
from vlagym.envs.types import LEVELS, Base, EpisodeSpec, stream

Split = Literal["seen", "unseen"]

FIRST_DEMO_SEED = 1_000_000
"""Suites draw below it, demonstrations from it on: nothing that is tested was ever trained on."""
FIRST_SEASON_SEED = 1_000_000_000
"""Demonstrations draw below it, the seasons of a leaderboard from it on."""
MAX_SPARES = 5
"""Episodes that are tried in the place of one that cannot be played at a rig."""

Sample = Callable[..., EpisodeSpec]
"""`vlagym.envs.sampling.sample(task, *, robot, seed, objects, phrases, control, catalogue, arena_name, level, layout, base)`."""


def sample_episode(task: str, **options: Any) -> EpisodeSpec:
    """Samples with the sampler of the environment."""
    from vlagym.envs.sampling import sample

    spec: EpisodeSpec = sample(task, **options)
    return spec


@dataclass(frozen=True, kw_only=True)
class Entry:
    """Some episodes of one task."""

    task: str
    """A file of envs/tasks, or package.module:ATTRIBUTE; robot and axes likewise."""
    episodes: int
    first_seed: int = 0
    objects: Split = "seen"
    """Which part of the object catalogue props are drawn from."""
    phrases: Split = "seen"
    """Which part of the sentence templates."""
    robot: str = "default"
    """default: the first that the task names."""
    control: str = "default"
    """default: the first that the robot takes."""
    base: str = "default"
    """What carries the robot: fixed, planar or legs; default: the first of the task's that the robot has."""
    catalogue: str = "full"
    """Which part of the assets is drawn from: "full", or "core", the small world of the shipped checkpoint."""
    arena: str = "studio"
    """A name, or seen, unseen or any: drawn from that split, or from that of the objects."""
    layout: str = "default"
    """Cells of the table in which things start: any, seen, unseen; default: seen, and any with the catalogue core, which knows no such split."""
    level: str = "plain"
    """How sentences say it: plain, paraphrase, compositional, indirect, or mixed."""
    rig: str = NO_RIG
    """The station at which it happens: a name of benchmark/rigs or the path of a TOML file; none: the robot's own."""
    axes: tuple[str, ...] = ()
    """Variations that are applied to each episode: "blank" or "blank=1"."""
    vary: tuple[str, ...] = ()
    """Variations that are played besides the episodes themselves, each paired with its twin among them: "camera=1..5", "friction=1,3+mass=2"."""
    each: int = 0
    """How many episodes of each of these variations; their seeds go round those of the entry."""

    def __post_init__(self) -> None:
        if self.episodes < 1:
            raise BadData(f"{self.task} has {self.episodes} episodes; an entry has at least 1")
        if self.first_seed < 0:
            raise BadData(f"{self.task} has first_seed {self.first_seed}; seeds are 0 or more")
        for field, value in (("objects", self.objects), ("phrases", self.phrases)):
            if value not in get_args(Split):
                raise BadData(f"{self.task} has {field} = {value!r}; it must be 'seen' or 'unseen'")
        if bool(self.vary) != (self.each > 0):
            raise BadData(f"{self.task} has {len(self.vary)} variations and each = {self.each}; vary and each stand together, each at least 1")
        if self.each > self.episodes:
            raise BadData(f"{self.task} has each = {self.each} and {self.episodes} episodes; each varied episode needs a twin of its own")
        if self.vary and self.axes:
            raise BadData(
                f"{self.task} plays variations of its own beside unvaried twins, and every episode is to be varied along {', '.join(self.axes)} too: "
                "then there would be no unvaried twins. Leave --axis out, or write a suite with vary = [\"camera=1..5+blank\"]"
            )
        for text in self.axes:
            if parse_axis(text)[1] == 0:
                raise BadData(f"{text!r} is the unvaried episode: leave it out")
        variations = self.variations
        for variation in variations:
            if variations.count(variation) > 1:
                raise BadData(f"{self.task} varies {named(variation)!r} twice")

    @property
    def variations(self) -> tuple[tuple[tuple[str, int], ...], ...]:
        """Every combination of (axis, level) that `vary` asks for, in its order."""
        return tuple(variation for text in self.vary for variation in parse_variations(text))

    @property
    def num_episodes(self) -> int:
        """Twins and varied episodes together."""
        return self.episodes + len(self.variations) * self.each

    @property
    def body(self) -> str:
        """The robot, by its name.

        Raises:
          UnknownName: If there is no such task.
        """
        if self.robot != "default":
            return self.robot
        robots: tuple[str, ...] = catalog.load("task", self.task).robots
        return robots[0]

    @property
    def seeds(self) -> range:
        return range(self.first_seed, self.first_seed + self.episodes)

    def check_names(self) -> None:
        """Looks at every name in it.

        Raises:
          UnknownName: If a task, robot, catalogue, arena, layout, level, rig, base or axis does not exist.
          BadData: If an outsider's does not import, the base is one that the task does not run on or the robot has not, or the rig is one of
            another robot.
          BadSpec: If the robot cannot do the task.
        """
        catalog.known("task", self.task)
        catalog.known("robot", self.body)
        definition = catalog.load("task", self.task)
        if self.body not in definition.robots:
            from vlagym.envs.sampling import check_body

            check_body(self.task, definition, self.body)
        if self.catalogue not in catalogue_names():
            raise unknown_name("catalogue", self.catalogue, catalogue_names())
        arenas, levels = [*arena_names(), *ARENA_WORDS], [*LEVELS, "mixed"]
        for key, word, known in (("arena", self.arena, arenas), ("layout", self.layout, LAYOUT_WORDS), ("level", self.level, levels)):
            if word not in known:
                raise unknown_name(key, word, known)
        if self.rig != NO_RIG and (wanted := load_rig(self.rig).robot) != self.body:
            raise BadData(f"the rig {self.rig!r} is one of {wanted!r}, and the entry is of {self.body!r}: choose --robot {wanted}, or another rig")
        for variation in ([parse_axis(text) for text in self.axes], *self.variations):
            check_levels(variation)
        _check_base(self)

    def sample(self, seed: int, sample: Sample = sample_episode) -> EpisodeSpec:
        """Returns the episode of one seed, at its rig, varied along `axes`.

        Where the rig's camera does not see what the sentence names, the episode of another seed takes its place, which the seed decides.

        Raises:
          Unsatisfiable: If no episode was found; at a rig, not with MAX_SPARES other seeds either.
        """
        spec = self._sampled(seed, sample) if self.rig == NO_RIG else self._placed(seed, sample)
        return vary_all(spec, [parse_axis(text) for text in self.axes])

    def _placed(self, seed: int, sample: Sample) -> EpisodeSpec:
        rig, hidden = load_rig(self.rig), ""
        for spare in range(MAX_SPARES + 1):
            drawn = _spare_seed(seed, stream(seed, "rig", self.task, str(spare))) if spare else seed
            spec = rig.apply(self._sampled(drawn, sample), self.control)
            if (broken := rig.complaint(spec)) is None:
                return spec
            hidden = hidden or broken
        raise Unsatisfiable(f"{self.task!r} with seed {seed} cannot be played at the rig {self.rig!r}, nor can {MAX_SPARES} others: {hidden}")

    def _sampled(self, seed: int, sample: Sample) -> EpisodeSpec:
        return sample(
            self.task,
            robot=self.robot,
            seed=seed,
            objects=self.objects,
            phrases=self.phrases,
            control=self.control,
            catalogue=self.catalogue,
            arena_name=self.arena,
            level=self.level,
            layout=self.layout,
            base=self.base,
        )

    def sample_varied(self, index: int, sample: Sample = sample_episode) -> list[EpisodeSpec]:
        """Returns the `each` episodes of one variation, each with its twin's seed.

        The levels of an axis share the twins between them, in an order of each axis and task: else one level would be played on the same scenes
        along every axis, and what is chance in those scenes would look like an effect of the level. A twin that cannot be varied so is passed over.

        Raises:
          Unsatisfiable: If too few of the twins can be varied so; says why the last one could not.
        """
        variation = self.variations[index]
        specs: list[EpisodeSpec] = []
        last: Exception | None = None
        for seed in self._twins(index):
            try:
                specs.append(vary_all(_twin(self, seed, sample), variation))
            except (NotApplicable, Unsatisfiable) as error:
                last = error
                continue
            if len(specs) == self.each:
                return specs
        found = f"{len(specs)} of {self.each} episodes of {self.task!r} were found that vary {named(variation)}, among {self.episodes} twins"
        raise Unsatisfiable(f"{found}. Take more episodes, that there are more twins to choose from; the last that did not: {last}")

    def _twins(self, index: int) -> list[int]:
        """Returns the seeds of all twins, in the order in which one variation takes them."""
        axes = _axes_of(self.variations[index])
        levels = [i for i, variation in enumerate(self.variations) if _axes_of(variation) == axes]
        order = stream(self.first_seed, "twins", self.task, *axes).permutation(self.episodes)
        first = levels.index(index) * self.each
        return [self.seeds[int(order[(first + turn) % self.episodes])] for turn in range(self.episodes)]


@functools.lru_cache(maxsize=64)
def _twin(entry: Entry, seed: int, sample: Sample) -> EpisodeSpec:
    """Returns the unvaried episode of a seed; kept, for the variations of an entry take the same ones again and again."""
    return entry.sample(seed, sample)


def _axes_of(variation: Sequence[tuple[str, int]]) -> tuple[str, ...]:
    return tuple(axis for axis, _ in variation)


def named(variation: Sequence[tuple[str, int]]) -> str:
    """Returns a variation as it is written: "camera=3+lighting=1"."""
    return "+".join(f"{axis}={level}" for axis, level in variation)


class Portion(NamedTuple):
    """The episode of one seed of an entry, or the episodes of one of its variations."""

    entry: Entry
    seed: int | None
    variation: int | None

    def sample(self, sample: Sample = sample_episode) -> list[EpisodeSpec]:
        """Returns its episodes."""
        if self.seed is not None:
            return [self.entry.sample(self.seed, sample)]
        assert self.variation is not None
        return self.entry.sample_varied(self.variation, sample)


def _spare_seed(seed: int, rng: np.random.Generator) -> int:
    """Returns another seed of those that serve the same: tests, demonstrations, or seasons."""
    ends = ((FIRST_DEMO_SEED * 9 // 10, FIRST_DEMO_SEED), (FIRST_SEASON_SEED * 9 // 10, FIRST_SEASON_SEED), (2 * 10**12, 3 * 10**12))
    return int(rng.integers(*ends[(seed >= FIRST_DEMO_SEED) + (seed >= FIRST_SEASON_SEED)]))


def _check_base(entry: Entry) -> None:
    """Raises UnknownName for a base that does not exist, and BadData for one that the task does not run on or the robot has not."""
    if entry.base == "default":
        return
    if entry.base not in get_args(Base):
        raise unknown_name("base", entry.base, [*get_args(Base), "default"])
    known: list[tuple[str, Sequence[str]]] = [(n, catalog.load(k, n).bases) for k, n in (("task", entry.task), ("robot", entry.body))]
    for name, bases in known:
        if entry.base not in bases:
            raise BadData(f"{name!r} has no base {entry.base!r}; it has: {', '.join(bases)}. Leave --base out, or the key of the suite's entry")
