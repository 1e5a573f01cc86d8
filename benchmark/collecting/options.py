"""What is demonstrated and how it is recorded, what became of each try, and which options are refused."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

from vlagym.benchmark.axis import parse_axis
from vlagym.benchmark.collecting.disk import FreeBytes, free_bytes
from vlagym.benchmark.collecting.seeds import LOOKS
from vlagym.benchmark.entry import FIRST_DEMO_SEED, FIRST_SEASON_SEED, Entry, Sample, sample_episode
from vlagym.benchmark.episode import MakeWorld, make_world
from vlagym.benchmark.noise import QUIET, Noise
from vlagym.envs import catalog
from vlagym.envs.catalogues import CORE
from vlagym.envs.cameras import QUALITIES
from vlagym.envs.errors import BadData, unknown_name
from vlagym.envs.images import Shrink
from vlagym.envs.layouts.cells import layout_for
from vlagym.envs.robot import Robot, look_of
from vlagym.envs.split import arena_split_for, unseen_in
from vlagym.envs.types import EndedBy, EpisodeSpec
from vlagym.policies.loading import split

SUCCESS: EndedBy = "goal"
"""How an episode ends that is a success."""
PARAPHRASES = 4
"""Other sentences that are looked for of each demonstration."""
PATIENCE = 50
"""Tries of a task without any success after which a collection stops."""


class FindUnseen(Protocol):
    """Finds, in words, what an episode holds that is kept for evaluation: `vlagym.envs.split.unseen_in`."""

    def __call__(self, spec: EpisodeSpec, *, places: bool) -> Sequence[str]: ...


@dataclass(frozen=True, kw_only=True)
class DemoOptions:
    """What is demonstrated, and how it is recorded."""

    entries: tuple[Entry, ...]
    """Their seeds must be those of demonstrations, and their objects and sentences the seen ones. `episodes` of each are tried, or, with
    `counts_successes`, as many as it takes for so many demonstrations."""
    counts_successes: bool = False
    even_sentences: bool = False
    """Whether seeds are chosen such that the templates of sentences are even within each entry (`vlagym.benchmark.collecting.seeds`); else they are
    taken in a row, and what is said is drawn as in tests."""
    allow_unseen: bool = False
    """Whether objects, sentences, arenas, places and variations may be demonstrated that are held out for tests; the dataset says so, and so does
    what is trained on it."""
    out: Path
    policy: str = "expert"
    noise: Noise = QUIET
    images: Mapping[str, Shrink] = field(default_factory=lambda: {"front": Shrink(crop=256, size=256), "wrist": Shrink(crop=256, size=256)})
    """Camera -> how its frames are stored."""
    image_size: int | None = None
    """Side in pixels at which every camera is rendered, whatever it has in the episode; None: as in the episode."""
    depth: bool = False
    """Whether the depth of these cameras is stored as well."""
    state: str = "libero"
    """Which state vector is stored by formats that have one; of `vlagym.results.formats._vectors.STATES`."""
    commands: bool = True
    """Whether the motion is also told in the other action conventions of the robot."""
    paraphrases: int = PARAPHRASES
    """How many other sentences of the training split are looked for."""
    keep_failures: bool = False
    """Whether episodes that ended without success are stored too; they say so."""
    filter_noops: bool = False
    """Whether actions that do nothing are left out; the episode is played again without them, and kept if it still succeeds."""
    frame_stride: int = 1
    """An image is stored for every so many control steps."""
    patience: int = PATIENCE
    """Tries of a task without any success after which the collection stops."""
    format: str = "hdf5"
    executor: str = "processes"
    workers: int = 1
    quality: str = "fast"
    look: str = "auto"
    command: tuple[str, ...] = ()
    sample: Sample = sample_episode
    find_unseen: FindUnseen = unseen_in
    """Finds what an episode holds that is kept for evaluation; it belongs to what is sampled."""
    make_world: MakeWorld = make_world
    free_bytes: FreeBytes = free_bytes
    """Tells how much room a folder has."""
    clock: Callable[[], float] = time.perf_counter
    """Tells the seconds in which `Attempt.times_s` are counted: of the wall, or `time.process_time`, those of the processor."""


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One line of the list that is kept beside the dataset: what became of a seed."""

    task: str
    seed: int
    entry: int
    """Number of the entry in the options."""
    digest: str
    """Empty where it came to nothing: no episode was found, something raised, or a worker died."""
    kept: bool
    how: str
    """How the episode ended, or what went wrong."""
    steps: int
    instruction: str = ""
    num_bytes: int = 0
    """Of what was stored of it."""
    times_s: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Seconds, by `DemoOptions.clock`, that it took to sample and play it, to render it, and to store it."""

    @property
    def succeeded(self) -> bool:
        """Whether it gave a success that is kept; failures are kept only where that is asked for, and are no yield."""
        return self.kept and self.how == SUCCESS


class DemoReport(NamedTuple):
    """The yield."""

    out: Path
    attempts: tuple[Attempt, ...]
    """Of this collection and of those that it resumes."""

    @property
    def num_errored(self) -> int:
        """Attempts that came to nothing: no episode was found, something raised, or a worker died."""
        return sum(not a.digest for a in self.attempts)

    def by_task(self) -> dict[str, tuple[int, int]]:
        """Returns task -> (kept, tried)."""
        tasks = list(dict.fromkeys(a.task for a in self.attempts))
        return {t: (sum(a.kept for a in self.attempts if a.task == t), sum(a.task == t for a in self.attempts)) for t in tasks}

    def by_sentence(self, task: str) -> dict[str, int]:
        """Returns the sentences of the demonstrations of a task, and how many each has, the most frequent first."""
        said = [a.instruction for a in self.attempts if a.kept and a.task == task]
        return {sentence: said.count(sentence) for sentence in sorted(set(said), key=lambda s: (-said.count(s), s))}


def check(options: DemoOptions) -> None:
    """Raises BadData for options that make no sense or are not allowed, and UnknownName for a convention that a robot does not take."""
    if not options.entries:
        raise BadData("there is nothing to demonstrate: name at least one task")
    for entry in options.entries:
        if entry.first_seed < FIRST_DEMO_SEED:
            raise BadData(
                f"demonstrations of {entry.task} begin at the seed {entry.first_seed}; seeds below {FIRST_DEMO_SEED:,} are those that suites "
                f"test with. Leave --first-seed out, or give {FIRST_DEMO_SEED:,} or more"
            )
        last_seed = entry.first_seed + entry.episodes * (LOOKS if options.even_sentences else 1) - 1
        if last_seed >= FIRST_SEASON_SEED:
            raise BadData(
                f"demonstrations of {entry.task} reach the seed {last_seed:,}; seeds from {FIRST_SEASON_SEED:,} on are those of the "
                "seasons of leaderboards, which nobody may train on"
            )
        if entry.control != "default":
            robot: Robot = catalog.load("robot", entry.body)
            catalog.require(robot.controls, entry.control, f"action convention of {robot.name!r}")
        if entry.vary:
            raise BadData(
                f"the entry {entry.task} plays variations besides its episodes (vary), which are for tests; demonstrate tasks, or a suite "
                "without them"
            )
    unseen = held_out(options.entries)
    if unseen and not options.allow_unseen:
        raise BadData(
            f"demonstrations would be made of what is held out for tests: {'; '.join(unseen)}. A policy that was trained on them shows nothing "
            "about what it has never met. Choose a suite of the seen split, or say --allow-unseen (--i-know): the dataset and every checkpoint will "
            "tell"
        )
    if options.workers < 1:
        raise BadData(f"there is at least 1 worker, not {options.workers}")
    if options.frame_stride < 1:
        raise BadData(f"the frame stride is 1 or more, not {options.frame_stride}")
    if options.patience < 1:
        raise BadData(f"a collection stops after 1 or more tries of a task without success, not after {options.patience}")
    if options.paraphrases < 0:
        raise BadData(f"there are 0 or more paraphrases, not {options.paraphrases}")
    if options.depth and options.image_size is not None:
        raise BadData(f"depth has the size of the episode's cameras; images of {options.image_size} pixels cannot be stored beside it")
    if not options.images:
        raise BadData("a demonstration holds the images of at least one camera")


def check_names(options: DemoOptions) -> None:
    """Raises UnknownName for a policy, a quality or a look that there is not: nothing was written yet."""
    catalog.load("policy", split(options.policy)[0])
    if options.quality not in QUALITIES:
        raise unknown_name("quality", options.quality, QUALITIES)
    for name in dict.fromkeys(entry.body for entry in options.entries):
        robot: Robot = catalog.load("robot", name)
        look_of(options.look, robot)


def held_out(entries: Sequence[Entry]) -> list[str]:
    """Returns, in words, what of some entries is not of the training split: unseen objects, phrases, arenas and places, and variations."""
    found: list[str] = []
    for entry in entries:
        what = [f"{split} {name}" for name, split in (("objects", entry.objects), ("phrases", entry.phrases)) if split != "seen"]
        what += ["unseen arenas"] if arena_split_for(entry.arena, entry.objects) == "unseen" else []
        # The small world was made before there was a split of places.
        what += ["unseen places"] if entry.catalogue != CORE and layout_for(entry.layout, entry.catalogue) != "seen" else []
        what += [f"the variation {axis}" for axis in entry.axes if parse_axis(axis)[1]]
        found += [f"{' and '.join(what)} of {entry.task}"] if what else []
    return list(dict.fromkeys(found))
