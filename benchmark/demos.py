"""Demonstrations: expert episodes, played by the one loop in many processes and written to a dataset. Only successes are kept, unless told."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import NamedTuple

from vlagym.benchmark.collecting import motion
from vlagym.benchmark.collecting.demonstrator import Demonstrator, Made, control_for
from vlagym.benchmark.collecting.disk import CannotStore, Room, make_folder
from vlagym.benchmark.collecting.ledger import begin_list, fingerprint, read_list, write_line
from vlagym.benchmark.collecting.options import Attempt, DemoOptions, DemoReport, FindUnseen, check, check_names, held_out
from vlagym.benchmark.collecting.seeds import seeds_of
from vlagym.benchmark.entry import named
from vlagym.benchmark.episode import Connections, WorldOptions
from vlagym.benchmark.executor import Crew, Executor, Finished, Job, Schedule
from vlagym.benchmark.header import packages_of_datasets
from vlagym.envs import arithmetic, catalog
from vlagym.envs.errors import BadData, ConventionMismatch, VlagymError
from vlagym.envs.split import digest as split_digest
from vlagym.envs.types import ActionSpec, EpisodeSpec, SensorSpec
from vlagym.policies.foreign import without_query
from vlagym.policies.loading import load_policy
from vlagym.results.demonstration import DatasetInfo, ImagePreprocessing
from vlagym.results.format import DatasetWriter, Format, NoDataset, Part

__all__ = ["Attempt", "Collection", "DemoOptions", "DemoReport", "FindUnseen", "held_out"]
_MOST_TRIES = 20
"""Seeds that are tried for each demonstration that is wanted, on the average, before a task is given up."""
_DIED = "WorkerDied"
"""What an executor calls the death of a worker: its seed is given to another one, once."""


class _Key(NamedTuple):
    entry: int
    seed: int


class Collection:
    """A dataset being collected. Iterate over it for the attempts as they end; each is on disk before it is yielded.

    The dataset has its name once every seed was tried; a collection that was interrupted or killed goes on where it was left.
    """

    def __init__(self, options: DemoOptions) -> None:
        """Looks at what is there already.

        Raises:
          UnknownName: If no policy, quality or look is called as the options say.
          BadData: If a seed is one that suites test with, an option contradicts another, the list beside the dataset belongs to other options, a
            folder dataset is whole and more is asked for, or another process is collecting it.
        """
        check(options)
        check_names(options)
        self._options = options
        self._format: Format = catalog.load("format", options.format)
        self._list = options.out.with_name(options.out.name + ".attempts.jsonl")
        self._beside = options.out.with_name(options.out.name + ".parts")
        listed = read_list(self._list, options, split_digest())
        self._is_whole = bool(listed) and not self._format.suffix and options.out.exists()
        self._info: DatasetInfo | None = None
        stored = self._stored() if listed else set()
        done = {_Key(a.entry, a.seed): a for a in listed if (a.digest or self._is_whole) and (a.digest in stored or not a.kept)}
        """By seed. What came to nothing, and what the dataset does not hold, is tried again."""
        self._before = list(done.values())
        self._kept = Counter(a.entry for a in self._before if a.kept)
        self._succeeded = Counter(a.entry for a in self._before if a.succeeded)
        self._tried = Counter(a.entry for a in self._before)
        self._ahead = [enumerate(seeds_of(entry, options.sample, even=options.even_sentences)) for entry in options.entries]
        self._turns: dict[_Key, int] = {}
        """Of each seed, how many of its entry come before it."""
        self._asked: list[set[int]] = [{key.seed for key in done if key.entry == i} for i in range(len(options.entries))]
        self._jobs = sorted((job for index in range(len(options.entries)) for job in self._first_jobs(index)), key=self._turn)
        """In turn of each entry: one that gives nothing is found out early, and what was stopped is balanced too."""
        self._attempts = list(self._before)
        if self._is_whole and self._jobs:
            raise BadData(
                f"{options.out} is whole, with {len(stored)} demonstrations, and a folder of this format is not extended. Collect "
                f"{len(self._jobs)} more into another one, with --first-seed {min(job.content[1] for job in self._jobs)}, or remove it"
            )

    @property
    def total(self) -> int:
        """Episodes that are tried, those tried before included; at least so many, where successes are counted."""
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
          BadData: If the dataset that is there was made with another control, other images or another stride, the disk has too little room or may
            not be written to, or a task has no success in `patience` tries. What was collected is kept.
          ConventionMismatch: If who demonstrates does not fit the environments; before anything is written.
        """
        options = self._options
        if not self._jobs and self._is_finished():
            return
        room = Room(options.out, len(self._jobs), options.free_bytes, [a.num_bytes for a in self._before if a.kept])
        schedule = Schedule(self._jobs)
        make_folder(options.out.parent)
        room.check(self._expected(schedule))
        specs = _specs_of(options, self._jobs or self._all_jobs())
        if self._jobs:
            _check_conventions(options, specs)
        info = self._info = self._info or (_info(options, specs) if specs else None)
        crew = Crew(make=partial(Demonstrator, options, info), workers=max(1, min(options.workers, len(self._jobs))))
        executor: Executor = catalog.load("executor", options.executor)
        with contextlib.ExitStack() as stack:
            # Before any worker stores anything: what lies beside a dataset and was not taken is cleared away when its writer begins.
            writer: DatasetWriter | None = None if info is None else stack.enter_context(self._format.write(options.out, info))
            begin_list(self._list, options, split_digest(), self._before)
            lines = stack.enter_context(self._list.open("a", encoding="utf-8"))
            stored = set() if writer is None else set(writer.digests)
            for finished in stack.enter_context(contextlib.closing(executor(crew, schedule))) if self._jobs else ():
                if finished.error is not None and finished.error.type == _DIED and finished.job.attempt == 1:
                    schedule.put(replace(finished.job, attempt=2))
                    continue
                if finished.error is not None and finished.error.type == CannotStore.__name__:
                    raise BadData(f"{finished.error.message}. What was collected is kept: make room, and the same command goes on with it")
                attempt, part = _outcome(finished, options)
                if part is not None and writer is not None and part.digest not in stored:
                    writer.take(part)
                    stored.add(part.digest)
                write_line(lines, attempt)
                self._attempts.append(attempt)
                self._count(attempt, schedule)
                yield attempt
                if attempt.kept:
                    room.take(attempt.num_bytes, self._expected(schedule))
                self._check_patience(attempt)

    # --------------------------------------------------------------------------------------------------------------- what is tried
    def _first_jobs(self, index: int) -> list[Job]:
        entry = self._options.entries[index]
        if not self._options.counts_successes:
            seeds = [seed for seed in (self._next(index) for _ in range(entry.episodes)) if seed not in self._asked[index]]
        else:
            seeds = [self._fresh(index) for _ in range(max(0, entry.episodes - self._succeeded[index]))]
        return [self._job(index, seed) for seed in seeds]

    def _all_jobs(self) -> list[Job]:
        return [self._job(index, seed) for index, entry in enumerate(self._options.entries) for seed in entry.seeds]

    def _job(self, index: int, seed: int) -> Job:
        return Job(key=f"entry {index + 1}, {self._options.entries[index].task}, seed {seed}", content=(index, seed))

    def _turn(self, job: Job) -> tuple[int, int]:
        index, seed = job.content
        return self._turns[_Key(index, seed)], index

    def _next(self, index: int) -> int:
        turn, seed = next(self._ahead[index])
        self._turns[_Key(index, seed)] = turn
        return seed

    def _fresh(self, index: int) -> int:
        """Returns the first seed of an entry that was not tried."""
        while (seed := self._next(index)) in self._asked[index]:
            pass
        self._asked[index].add(seed)
        return seed

    def _count(self, attempt: Attempt, schedule: Schedule) -> None:
        """Takes note of an attempt; where successes are counted, another seed takes the place of one that gave none."""
        index, options = attempt.entry, self._options
        self._tried[index] += 1
        self._kept[index] += attempt.kept
        self._succeeded[index] += attempt.succeeded
        if options.counts_successes and not attempt.succeeded:
            if self._tried[index] >= _MOST_TRIES * options.entries[index].episodes + options.patience:
                found = f"{self._succeeded[index]} successes in {self._tried[index]} tries"
                raise VlagymError(f"{attempt.task} gave {found}, and is given up{_kept_is(options)}")
            schedule.put(self._job(index, self._fresh(index)))

    def _expected(self, schedule: Schedule) -> float:
        """Returns how many demonstrations are still to come, by the yield so far."""
        if self._options.counts_successes:
            return float(sum(max(0, e.episodes - self._succeeded[i]) for i, e in enumerate(self._options.entries)))
        return len(schedule) * sum(self._kept.values()) / max(1, sum(self._tried.values()))

    def _check_patience(self, attempt: Attempt) -> None:
        index, options = attempt.entry, self._options
        if not self._succeeded[index] and self._tried[index] >= options.patience and len(options.entries[index].seeds) > 0:
            raise VlagymError(
                f"{attempt.task} gave no success in {self._tried[index]} tries; the last one: {attempt.how}. Leave it out, or raise "
                f"--give-up-after{_kept_is(options)}"
            )

    # -------------------------------------------------------------------------------------------------------------- what is stored
    def _stored(self) -> set[str]:
        """Returns the digests of the demonstrations that the dataset, or what lies beside it until it is whole, really holds."""
        options, found = self._options, set[str]()
        with contextlib.suppress(NoDataset), self._format.open(options.out) as reader:
            found = set(reader.digests)
        if self._is_whole or not self._beside.exists():
            return found
        self._info = _info_of(options, self._all_jobs())
        if self._info is None:
            return found
        with contextlib.suppress(_Left), self._format.write(options.out, self._info) as writer:
            found |= set(writer.digests)
            raise _Left  # so that what is not complete is not made whole
        return found

    def _is_finished(self) -> bool:
        """Tells whether there is nothing to do, not even to make a dataset of what lies beside it."""
        if self._is_whole and self._beside.exists() and (info := _info_of(self._options, self._all_jobs())) is not None:
            with contextlib.suppress(BadData):  # a kill came between the naming of the folder and the removal of its parts, which this makes up for
                self._format.write(self._options.out, info)
        return self._is_whole or not self._attempts or (self._options.out.exists() and not self._beside.exists())


class _Left(Exception):
    """A writer is left as it was found."""


def _kept_is(options: DemoOptions) -> str:
    return f". What was collected is kept beside {options.out}"


def _outcome(finished: Finished, options: DemoOptions) -> tuple[Attempt, Part | None]:
    if finished.error is None:
        made: Made = finished.result
        return made.attempt, made.part
    index, seed = finished.job.content
    how = f"{finished.error.type}: {finished.error.message}"
    return Attempt(task=options.entries[index].task, seed=seed, entry=index, digest="", kept=False, how=how, steps=0), None


# --------------------------------------------------------------------------------------------------------------- about the dataset
def _info_of(options: DemoOptions, jobs: list[Job]) -> DatasetInfo | None:
    """Returns what holds for all demonstrations, from an episode of each entry; None where no seed gives one.

    Raises:
      BadData: As `_specs_of`.
    """
    specs = _specs_of(options, jobs)
    return _info(options, specs) if specs else None


def _specs_of(options: DemoOptions, jobs: list[Job]) -> list[EpisodeSpec]:
    """Returns an episode of each entry of which some seed gives one.

    Raises:
      BadData: If entries are controlled in different conventions, or their episodes cannot be recorded as they are to be.
    """
    specs: dict[int, EpisodeSpec] = {}
    for job in jobs:
        index, seed = job.content
        if index not in specs:
            with contextlib.suppress(VlagymError):  # the worker that meets this seed says why it gives no episode
                specs[index] = options.entries[index].sample(seed, options.sample)
    found = list(specs.values())
    for spec in found:
        _check_recordable(spec, options)
    if any(spec.control != found[0].control for spec in found):
        raise BadData(
            f"a dataset has one action convention, and these {len(found)} entries have several. Collect each kind into one of its own, with the same "
            f"options and: {'; or '.join(_kinds(found))}"
        )
    return found


def _check_conventions(options: DemoOptions, specs: list[EpisodeSpec]) -> None:
    """Raises ConventionMismatch if who demonstrates and an environment do not fit: nothing was written yet, and no seed would give anything.

    An episode that does not start costs itself later, as every other one that fails.
    """
    with contextlib.closing(load_policy(options.policy)) as policy, contextlib.closing(options.make_world(WorldOptions(render=False))) as world:
        connections = Connections(policy.spec)
        for spec in specs:
            try:
                connections.of(motion.under_control(spec, control_for(spec, policy.spec.controls)), world)
            except ConventionMismatch:
                raise
            except VlagymError:
                continue


def _check_recordable(spec: EpisodeSpec, options: DemoOptions) -> None:
    """Raises BadData for episodes of which every one would be refused once it was played."""
    if not spec.instruction.strip():
        told = f"{spec.task} is told without a sentence ({named(spec.axes)})"
        raise BadData(f"{told}, and a demonstration teaches what a sentence asks for: leave it out")
    if spec.sensing != SensorSpec() and (options.depth or options.image_size is not None):
        raise BadData(
            f"the cameras of {spec.task} deliver late or spoiled images ({named(spec.axes)}): these have the size of the episode, and no depth. "
            "Leave out --depth, and --image-size unless it divides 256"
        )


def _kinds(specs: list[EpisodeSpec]) -> list[str]:
    """Returns the words for the command line that choose the episodes of each convention, its tasks in their order."""
    tasks: dict[tuple[str, ...], dict[str, None]] = {}
    for spec in specs:
        words = ("--robot", spec.robot, "--base", spec.robot_base, "--control", spec.control.name)
        tasks.setdefault(words, {})[spec.task] = None
    return [" ".join([*words, *(f"--task {task}" for task in chosen)]) for words, chosen in tasks.items()]


def _info(options: DemoOptions, specs: list[EpisodeSpec]) -> DatasetInfo:
    robots = {spec.robot for spec in specs}
    return DatasetInfo(
        action=specs[0].control,
        images={camera: ImagePreprocessing(crop=s.crop, size=s.size) for camera, s in options.images.items()},
        frame_stride=options.frame_stride,
        provenance={
            "command": [without_query(word) for word in options.command],
            "packages": packages_of_datasets(),
            "arithmetic": arithmetic.told(),
            "held_out": held_out(options.entries),
            **fingerprint(options, split_digest()),
        },
        robot=robots.pop() if len(robots) == 1 else "",
        state=options.state,
        depth=tuple(options.images) if options.depth else (),
        commands=_commands(options, specs),
    )


def _commands(options: DemoOptions, specs: list[EpisodeSpec]) -> dict[str, ActionSpec]:
    """Returns the other conventions in which all of some episodes can be told."""
    told = options.commands and not any(spec.action_delay_steps for spec in specs)
    each = [motion.conventions(spec) for spec in specs] if told else []
    return {name: to for name, to in each[0].items() if all(other.get(name) == to for other in each)} if each else {}
