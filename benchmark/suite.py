"""A suite: a named list of tasks, seeds and splits that expands to episodes. A TOML file each; the folder is the registry."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from vlagym.benchmark.axis import NotApplicable, parse_axis, parse_variations, vary_all
from vlagym.benchmark.executor import one_thread_each
from vlagym.envs import catalog
from vlagym.envs.arenas import arena_names
from vlagym.envs.catalogues import catalogue_names
from vlagym.envs.errors import BadData, UnknownName, Unsatisfiable, unknown_name
from vlagym.envs.layouts.cells import LAYOUT_WORDS
from vlagym.envs.split import ARENA_WORDS
from vlagym.envs.types import LEVELS, Base, EpisodeSpec, sha, stream

Split = Literal["seen", "unseen"]

FIRST_DEMO_SEED = 1_000_000
"""Suites draw below it, demonstrations from it on: nothing that is tested was ever trained on."""
FIRST_SEASON_SEED = 1_000_000_000
"""Demonstrations draw below it, the seasons of a leaderboard from it on."""

FOLDER = "benchmark/suites"

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

    def sample(self, seed: int, sample: Sample = sample_episode) -> EpisodeSpec:
        """Returns the episode of one seed, varied along `axes`."""
        spec = sample(
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
        return vary_all(spec, [parse_axis(text) for text in self.axes])

    def sample_varied(self, index: int, sample: Sample = sample_episode) -> list[EpisodeSpec]:
        """Returns the `each` episodes of one variation, each with its twin's seed.

        The first variation begins with the first seed, each further one where the last one ended. A twin that cannot be varied so is passed over.

        Raises:
          Unsatisfiable: If too few of the twins can be varied so; says why the last one could not.
        """
        variation = self.variations[index]
        specs: list[EpisodeSpec] = []
        last: Exception | None = None
        for turn in range(self.episodes):
            seed = self.seeds[(index * self.each + turn) % self.episodes]
            try:
                specs.append(vary_all(self.sample(seed, sample), variation))
            except (NotApplicable, Unsatisfiable) as error:
                last = error
                continue
            if len(specs) == self.each:
                return specs
        found = f"{len(specs)} of {self.each} episodes of {self.task!r} were found that vary {named(variation)}"
        raise Unsatisfiable(f"{found}; the last that did not: {last}")


def named(variation: Sequence[tuple[str, int]]) -> str:
    """Returns a variation as it is written: "camera=3+lighting=1"."""
    return "+".join(f"{axis}={level}" for axis, level in variation)


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
    ) -> Suite:
        """Returns the suite with some of its tasks, or with another robot, control, base, catalogue, arena, level, layout, number of episodes or
        first seed in each entry, or with further axes.

        Raises:
          UnknownName: If a task is not in the suite.
        """
        known = list(dict.fromkeys(e.task for e in self.entries))
        for task in tasks:
            if task not in known:
                raise unknown_name("task", task, known, f"It was looked for in the suite {self.name!r}.")
        wanted: dict[str, Any] = {"robot": robot, "episodes": episodes, "first_seed": first_seed, "control": control}
        wanted |= {"base": base, "catalogue": catalogue, "arena": arena, "level": level, "layout": layout}
        changes = {field: value for field, value in wanted.items() if value is not None}
        chosen = [e for e in self.entries if not tasks or e.task in tasks]
        entries = tuple(
            dataclasses.replace(e, axes=(*e.axes, *axes), each=min(e.each, episodes or e.each), **changes) for e in chosen
        )
        return self if entries == self.entries else dataclasses.replace(self, entries=entries)

    def check(self) -> Suite:
        """Returns the suite after looking at every name and seed in it.

        Raises:
          UnknownName: If a task, robot, catalogue, arena, layout, level or axis does not exist.
          BadData: If an outsider's does not import, or a seed is one that demonstrations are made of.
        """
        self.check_names()
        for entry in self.entries:
            if entry.seeds.stop > FIRST_DEMO_SEED and not self.season:
                raise BadData(
                    f"{entry.task} reaches the seed {entry.seeds.stop - 1}; suites stay below {FIRST_DEMO_SEED:,}, where demonstrations begin, "
                    "so that nothing is tested on what was trained on"
                )
        return self

    def check_names(self) -> Suite:
        """Returns the suite after looking at every name in it.

        Raises:
          UnknownName: If a task, robot, catalogue, arena, layout, level or axis does not exist.
          BadData: If an outsider's does not import.
        """
        for entry in self.entries:
            catalog.known("task", entry.task)
            catalog.known("robot", entry.body)
            if entry.catalogue not in catalogue_names():
                raise unknown_name("catalogue", entry.catalogue, catalogue_names())
            arenas, levels = [*arena_names(), *ARENA_WORDS], [*LEVELS, "mixed"]
            for key, word, known in (("arena", entry.arena, arenas), ("layout", entry.layout, LAYOUT_WORDS), ("level", entry.level, levels)):
                if word not in known:
                    raise unknown_name(key, word, known)
            for name in dict.fromkeys([*(parse_axis(text)[0] for text in entry.axes), *(axis for v in entry.variations for axis, _ in v)]):
                catalog.known("axis", name)
            _check_base(entry)
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

        Raises:
          BadData: If the name is empty.
        """
        if not name.strip():
            raise BadData("a season has a name, e.g. --season spring-2027")
        entries = []
        for index, entry in enumerate(self.entries):
            words = stream(0, "season", name, self.name, str(index), entry.task)
            first = FIRST_SEASON_SEED + int(words.integers(_SEASON_SEEDS))
            entries.append(dataclasses.replace(entry, first_seed=first))
        return dataclasses.replace(self, entries=tuple(entries), season=name)


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


_SEASON_SEEDS = 1_000_000_000_000
"""From which the first seed of an entry is drawn: two seasons share an episode with a probability of about one in a thousand million."""


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


def digest_of(specs: Sequence[EpisodeSpec]) -> str:
    """Returns the digest of a suite's episodes: of their digests, in order."""
    return sha("\n".join(s.digest() for s in specs).encode())


def load_suite(name: str) -> Suite:
    """Returns the suite of that name from benchmark/suites, or from a file if the name ends in .toml.

    Raises:
      UnknownName: If there is none, or if a name in it does not exist.
      BadData: If its file does not hold what it should.
    """
    if name.endswith(".toml"):
        return read_suite(Path(name)).check()
    known = catalog.toml_names(FOLDER)
    if name not in known:
        raise unknown_name("suite", name, known, "One of your own is written as the path of its .toml file.")
    return read_suite(Path(__file__).parent / "suites" / f"{name}.toml").check()


def task_suite(tasks: Sequence[str], *, episodes: int, first_seed: int = 0) -> Suite:
    """Returns a suite of some tasks in their training distribution, named after them. A task that is named twice counts once."""
    tasks = list(dict.fromkeys(tasks))
    entries = tuple(Entry(task=task, episodes=episodes, first_seed=first_seed) for task in tasks)
    return Suite(name="+".join(tasks), version=1, entries=entries, about="made on the command line")


def read_suite(path: Path) -> Suite:
    """Reads a suite file.

    Raises:
      BadData: If it is absent, no TOML, lacks a key, or has one that is unknown or of another type.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadData(f"the suite {path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadData(f"{path} is not TOML: {error}") from error
    suite = suite_from_plain(data, str(path))
    if suite.name != path.stem:
        raise BadData(f"{path} calls its suite {suite.name!r}; a suite bears the name of its file, {path.stem!r}")
    return suite


def suite_from_plain(data: Mapping[str, Any], where: str) -> Suite:
    """Reads a suite from TOML's or a run header's tables.

    Raises:
      BadData: As `read_suite`.
    """
    entries = data.get("entry", [])
    if not isinstance(entries, list):
        raise BadData(f"{where}: entry must be written [[entry]]")
    tables = [_check(Entry, e, f"{where} entry {i}") for i, e in enumerate(entries, start=1)]
    head = _check(Suite, {k: v for k, v in data.items() if k != "entry"}, where, skip=("entries",), known_as={"entries": "[[entry]]"})
    try:
        return Suite(**head, entries=tuple(Entry(**_with_tuples(table)) for table in tables))
    except (BadData, UnknownName) as error:
        raise BadData(f"{where}: {error}") from error


def _with_tuples(table: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a table with its lists as tuples."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}


def suite_to_plain(suite: Suite) -> dict[str, Any]:
    """Returns the suite as `suite_from_plain` reads it."""
    entries = [{f.name: getattr(e, f.name) for f in dataclasses.fields(e)} for e in suite.entries]
    for entry in entries:
        entry["axes"], entry["vary"] = list(entry["axes"]), list(entry["vary"])
        for key, default in (("base", "default"), ("vary", []), ("each", 0)):
            if entry[key] == default:
                del entry[key]  # runs from before there were such keys can still be resumed
    younger: dict[str, Any] = {"cost": dict(suite.cost), "season": suite.season}
    return {"name": suite.name, "version": suite.version, "about": suite.about, **{k: v for k, v in younger.items() if v}, "entry": entries}


_KINDS: Mapping[str, tuple[type, str]] = {
    "name": (str, "a text"),
    "about": (str, "a text"),
    "version": (int, "a whole number"),
    "task": (str, "a text"),
    "robot": (str, "a text"),
    "control": (str, "a text"),
    "base": (str, "a text"),
    "catalogue": (str, "a text"),
    "arena": (str, "a text"),
    "layout": (str, "a text"),
    "level": (str, "a text"),
    "objects": (str, "'seen' or 'unseen'"),
    "phrases": (str, "'seen' or 'unseen'"),
    "episodes": (int, "a whole number"),
    "first_seed": (int, "a whole number"),
    "axes": (list, "a list of texts"),
    "vary": (list, "a list of texts"),
    "each": (int, "a whole number"),
    "cost": (dict, "a table of numbers"),
    "season": (str, "a text"),
}


def _check(kind: type, table: Any, where: str, skip: Sequence[str] = (), known_as: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Returns the table if its keys are the fields of the dataclass `kind`, each of the right type."""
    if not isinstance(table, dict):
        raise BadData(f"{where} must be a table, not {type(table).__name__}")
    fields = {f.name: f for f in dataclasses.fields(kind)}
    words = [(known_as or {}).get(name, name) for name in fields]
    for key, value in table.items():
        if key not in fields or key in skip:
            raise BadData(f"{where} has an unknown key {key!r}. Known: {', '.join(words)}")
        wanted, word = _KINDS[key]
        inner = [isinstance(v, str) for v in value] if isinstance(value, list) else []
        inner += [isinstance(v, (int, float)) and not isinstance(v, bool) for v in value.values()] if isinstance(value, dict) else []
        if not isinstance(value, wanted) or isinstance(value, bool) or not all(inner):
            raise BadData(f"{where}: {key} must be {word}, not {value!r}")
    for name, known in fields.items():
        is_needed = known.default is dataclasses.MISSING and known.default_factory is dataclasses.MISSING
        if is_needed and name not in table and name not in skip:
            raise BadData(f"{where} lacks the key {name!r}")
    return table


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
