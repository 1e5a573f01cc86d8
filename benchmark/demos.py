"""Demonstrations: expert episodes, played by the one loop in many processes and written to a dataset. Only successes are kept."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from vlagym.benchmark.axis import parse_axis
from vlagym.benchmark.episode import Connections, MakeWorld, RunnableWorld, WorldOptions, asking, make_world
from vlagym.benchmark.executor import Crew, Executor, Finished, Job, LocalPort, Port, Schedule
from vlagym.benchmark.header import packages
from vlagym.benchmark.noise import QUIET, Noise, perturbation
from vlagym.benchmark.recorder import Recorder
from vlagym.benchmark.rollout import Rollout, Watch
from vlagym.benchmark.entry import FIRST_DEMO_SEED, FIRST_SEASON_SEED, Entry, Sample, sample_episode
from vlagym.envs import catalog
from vlagym.envs.catalogues import CORE
from vlagym.envs.errors import BadData
from vlagym.envs.images import Shrink
from vlagym.envs.layouts.cells import layout_for
from vlagym.envs.split import arena_split_for, unseen_in
from vlagym.envs.split import digest as split_digest
from vlagym.envs.types import ActionSpec, EpisodeSpec, stream, to_plain
from vlagym.policies.base import Policy
from vlagym.policies.chunking import declared
from vlagym.policies.foreign import without_query
from vlagym.policies.loading import load_policy
from vlagym.results.demonstration import DatasetInfo, Demonstration, ImagePreprocessing
from vlagym.results.format import DatasetWriter, Format, NoDataset

class FindUnseen(Protocol):
    """Finds, in words, what an episode holds that is kept for evaluation: `vlagym.envs.split.unseen_in`."""

    def __call__(self, spec: EpisodeSpec, *, places: bool) -> Sequence[str]: ...


@dataclass(frozen=True, kw_only=True)
class DemoOptions:
    """What is demonstrated, and how it is recorded."""

    entries: tuple[Entry, ...]
    """Their seeds must be those of demonstrations, and their objects and sentences the seen ones."""
    allow_unseen: bool = False
    """Whether objects, sentences, arenas, places and variations may be demonstrated that are held out for tests; the dataset says so, and so does
    what is trained on it."""
    out: Path
    policy: str = "expert"
    noise: Noise = QUIET
    images: Mapping[str, Shrink] = field(default_factory=lambda: {"front": Shrink(crop=256, size=256), "wrist": Shrink(crop=256, size=256)})
    """Camera -> how its frames are stored."""
    frame_stride: int = 1
    """An image is stored for every so many control steps."""
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


class Collection:
    """A dataset being collected. Iterate over it for the attempts as they end; each is on disk before it is yielded."""

    def __init__(self, options: DemoOptions) -> None:
        """Looks at what is there already.

        Raises:
          BadData: If a seed is one that suites test with, an option contradicts another, or the list beside the dataset belongs to other options.
        """
        _check(options)
        self._options = options
        self._list = options.out.with_name(options.out.name + ".attempts.jsonl")
        listed = _read_list(self._list, options)
        stored = _stored(options) if listed else set()
        done = {(a.entry, a.seed): a for a in listed if a.digest and (a.digest in stored or not a.kept)}
        """By seed. What came to nothing, and what the dataset does not hold, is tried again."""
        self._before = list(done.values())
        self._jobs = [
            Job(key=f"{entry.task} seed {seed}", content=(index, seed))
            for index, entry in enumerate(options.entries)
            for seed in entry.seeds
            if (index, seed) not in done
        ]
        self._attempts = list(self._before)

    @property
    def total(self) -> int:
        """Episodes that are tried, those tried before included."""
        return len(self._before) + len(self._jobs)

    @property
    def done(self) -> int:
        """Episodes that were tried before."""
        return len(self._before)

    def report(self) -> DemoReport:
        """Returns the yield so far."""
        return DemoReport(self._options.out, tuple(self._attempts))

    def __iter__(self) -> Iterator[Attempt]:
        """Plays what is left.

        Raises:
          BadData: If the dataset that is there was made with another control, other images or another stride.
        """
        options = self._options
        options.out.parent.mkdir(parents=True, exist_ok=True)
        crew = Crew(make=partial(_Demonstrator, options), workers=max(1, min(options.workers, len(self._jobs))))
        executor: Executor = catalog.load("executor", options.executor)
        fmt: Format = catalog.load("format", options.format)
        with contextlib.ExitStack() as stack:
            writer: DatasetWriter | None = None
            is_new = not self._list.exists() or not self._list.stat().st_size
            lines = stack.enter_context(self._list.open("a", encoding="utf-8"))
            if is_new:
                _write_line(lines, _fingerprint(options))
            for finished in stack.enter_context(contextlib.closing(executor(crew, Schedule(self._jobs)))):
                attempt, demonstration = _outcome(finished, options)
                if demonstration is not None:
                    if writer is None:
                        writer = stack.enter_context(fmt.write(options.out, _info(options, demonstration.episode.control)))
                    if demonstration.digest not in writer.digests:
                        writer.append(demonstration)
                _write_line(lines, to_plain(attempt))
                self._attempts.append(attempt)
                yield attempt


def _check(options: DemoOptions) -> None:
    if not options.entries:
        raise BadData("there is nothing to demonstrate: name at least one task")
    for entry in options.entries:
        if entry.first_seed < FIRST_DEMO_SEED:
            raise BadData(
                f"demonstrations of {entry.task} begin at the seed {entry.first_seed}; seeds below {FIRST_DEMO_SEED:,} are those that suites "
                f"test with. Leave --first-seed out, or give {FIRST_DEMO_SEED:,} or more"
            )
        if entry.seeds.stop > FIRST_SEASON_SEED:
            raise BadData(
                f"demonstrations of {entry.task} reach the seed {entry.seeds.stop - 1:,}; seeds from {FIRST_SEASON_SEED:,} on are those of the "
                "seasons of leaderboards, which nobody may train on"
            )
        if entry.vary:
            raise BadData(
                f"the entry {entry.task} plays variations besides its episodes (vary), which are for tests; demonstrate tasks, or a suite "
                "without them"
            )
    unseen = held_out(options.entries)
    if unseen and not options.allow_unseen:
        raise BadData(
            f"demonstrations would be made of what is held out for tests: {'; '.join(unseen)}. A policy that was trained on them shows nothing "
            "about what it has never met. Choose a suite of the seen split, or say --allow-unseen: the dataset and every checkpoint will tell"
        )
    if options.workers < 1:
        raise BadData(f"there is at least 1 worker, not {options.workers}")
    if options.frame_stride < 1:
        raise BadData(f"the frame stride is 1 or more, not {options.frame_stride}")
    if not options.images:
        raise BadData("a demonstration holds the images of at least one camera")


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


def _info(options: DemoOptions, action: ActionSpec) -> DatasetInfo:
    return DatasetInfo(
        action=action,
        images={camera: ImagePreprocessing(crop=s.crop, size=s.size) for camera, s in options.images.items()},
        frame_stride=options.frame_stride,
        provenance={
            "command": [without_query(word) for word in options.command],
            "packages": packages(),
            "held_out": held_out(options.entries),
            **_fingerprint(options),
        },
    )


# ------------------------------------------------------------------------------------------------------------- the list of attempts
def _fingerprint(options: DemoOptions) -> dict[str, Any]:
    """Returns all that the content of an attempt depends on; the first line of the list."""
    return {
        "policy": without_query(options.policy),
        "noise": to_plain(options.noise),
        "images": to_plain(options.images),
        "frame_stride": options.frame_stride,
        "quality": options.quality,
        "look": options.look,
        "split_digest": split_digest(),
        "entries": [{**to_plain(e), "episodes": None} for e in options.entries],
    }


def _read_list(path: Path, options: DemoOptions) -> list[Attempt]:
    """Returns the attempts that were made before; a line that a kill cut off does not count and is cut away."""
    if not path.exists():
        if options.out.exists():
            raise BadData(f"{options.out} exists, and the list of what was tried for it, {path.name}, does not: write to another file")
        return []
    data = path.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    if whole != data:
        path.write_bytes(whole)
    lines = [json.loads(line) for line in whole.splitlines()]
    if not lines:
        return []
    head, now = lines[0], json.loads(json.dumps(_fingerprint(options)))
    different = [key for key in now if head.get(key) != now[key]]
    if different:
        told = "; ".join(f"{key} was {json.dumps(head.get(key))} and is {json.dumps(now[key])}" for key in different[:2])
        raise BadData(f"{options.out} was begun with other options: {told}. Give the same ones to go on with it, or write to another file")
    return [Attempt(**line) for line in lines[1:]]


def _stored(options: DemoOptions) -> set[str]:
    """Returns the digests of the demonstrations that the dataset really holds."""
    fmt: Format = catalog.load("format", options.format)
    try:
        with fmt.open(options.out) as reader:
            return set(reader.digests)
    except NoDataset:
        return set()


def _write_line(lines: Any, value: Mapping[str, Any]) -> None:
    lines.write(json.dumps(value) + "\n")
    lines.flush()


def _outcome(finished: Finished, options: DemoOptions) -> tuple[Attempt, Demonstration | None]:
    if finished.error is None:
        made: _Made = finished.result
        return made.attempt, made.demonstration
    index, seed = finished.job.content
    how = f"{finished.error.type}: {finished.error.message}"
    return Attempt(task=options.entries[index].task, seed=seed, entry=index, digest="", kept=False, how=how, steps=0), None


# --------------------------------------------------------------------------------------------------------------- in the worker
def _refuse_unseen(spec: EpisodeSpec, unseen: Sequence[str]) -> None:
    if unseen:
        raise BadData(
            f"the episode of {spec.task} with seed {spec.seed} holds what is kept for tests: {', '.join(unseen)}. It is demonstrated only with "
            "--allow-unseen"
        )


class _Made(NamedTuple):
    attempt: Attempt
    demonstration: Demonstration | None


class _Demonstrator:
    """Samples, plays and records one seed after another."""

    def __init__(self, options: DemoOptions) -> None:
        self._options = options
        self._world: RunnableWorld = options.make_world(WorldOptions(quality=options.quality, look=options.look))
        self._policy: Policy = load_policy(options.policy)
        self._connections = Connections(self._policy.spec)

    def play(self, job: Job, port: Port | None) -> _Made:
        index, seed = job.content
        options, entry = self._options, self._options.entries[index]
        spec = entry.sample(seed, options.sample)
        if not options.allow_unseen:
            _refuse_unseen(spec, options.find_unseen(spec, places=entry.catalogue != CORE))
        rollout = Rollout(
            self._world,
            spec,
            asking(LocalPort(self._policy), self._policy.spec, spec),
            pipeline=self._connections.of(spec, self._world),
            chunking=declared(self._policy.spec),
            watch=Watch(cameras=tuple(options.images), every=options.frame_stride),
            perturb=perturbation(options.noise, spec.control, stream(seed, "demo", "noise", spec.digest())),
        )
        recorder = Recorder(spec, options.images, options.frame_stride)
        for step in rollout:
            recorder.add(step)
        is_success, error = rollout.ended_by == "goal", rollout.error
        attempt = Attempt(
            task=spec.task,
            seed=seed,
            entry=index,
            digest="" if error else spec.digest(),
            kept=is_success,
            how=f"{error.type}: {error.message}" if error else str(rollout.ended_by),
            steps=recorder.num_steps,
        )
        return _Made(attempt, recorder.demonstration() if is_success else None)

    def close(self) -> None:
        self._policy.close()
        self._world.close()
