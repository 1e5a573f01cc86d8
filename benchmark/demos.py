"""Demonstrations: expert episodes, played by the one loop in many processes and written to a dataset. Only successes are kept, unless told."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

from vlagym.benchmark.collecting import motion
from vlagym.benchmark.collecting.demonstrator import Demonstrator, Made
from vlagym.benchmark.collecting.disk import Room
from vlagym.benchmark.collecting.ledger import fingerprint, read_list, write_line
from vlagym.benchmark.collecting.options import Attempt, DemoOptions, DemoReport, FindUnseen, check, held_out
from vlagym.benchmark.executor import Crew, Executor, Finished, Job, Schedule
from vlagym.benchmark.header import packages
from vlagym.envs import catalog
from vlagym.envs.errors import BadData, VlagymError
from vlagym.envs.split import digest as split_digest
from vlagym.envs.types import ActionSpec, EpisodeSpec, to_plain
from vlagym.policies.foreign import without_query
from vlagym.results.demonstration import DatasetInfo, ImagePreprocessing
from vlagym.results.format import DatasetWriter, Format, NoDataset, Part

__all__ = ["Attempt", "Collection", "DemoOptions", "DemoReport", "FindUnseen", "held_out"]
_MOST_TRIES = 20
"""Seeds that are tried for each demonstration that is wanted, on the average, before a task is given up."""


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
          BadData: If a seed is one that suites test with, an option contradicts another, the list beside the dataset belongs to other options, or a
            folder dataset is whole and more is asked for.
        """
        check(options)
        self._options = options
        self._format: Format = catalog.load("format", options.format)
        self._list = options.out.with_name(options.out.name + ".attempts.jsonl")
        listed = read_list(self._list, options, split_digest())
        self._is_whole = bool(listed) and not self._format.suffix and options.out.exists()
        self._info: DatasetInfo | None = None
        stored = self._stored() if listed else set()
        done = {_Key(a.entry, a.seed): a for a in listed if (a.digest or self._is_whole) and (a.digest in stored or not a.kept)}
        """By seed. What came to nothing, and what the dataset does not hold, is tried again."""
        self._before = list(done.values())
        self._kept = Counter(a.entry for a in self._before if a.kept)
        self._tried = Counter(a.entry for a in self._before)
        self._next = [entry.first_seed for entry in options.entries]
        self._asked: list[set[int]] = [{key.seed for key in done if key.entry == i} for i in range(len(options.entries))]
        self._jobs = [job for index in range(len(options.entries)) for job in self._first_jobs(index)]
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
          BadData: If the dataset that is there was made with another control, other images or another stride, the disk has too little room, or a
            task has no success in `patience` tries. What was collected is kept.
        """
        options = self._options
        if not self._jobs and (self._is_whole or not self._attempts or options.out.exists()):
            return
        options.out.parent.mkdir(parents=True, exist_ok=True)
        room = Room(options.out, len(self._jobs), options.free_bytes, sum(a.num_bytes for a in self._before))
        room.check()
        info = self._info = self._info or _info_of(options, self._jobs or self._all_jobs())
        crew = Crew(make=partial(Demonstrator, options, info), workers=max(1, min(options.workers, len(self._jobs))))
        executor: Executor = catalog.load("executor", options.executor)
        schedule = Schedule(self._jobs)
        with contextlib.ExitStack() as stack:
            # Before any worker stores anything: what lies beside a dataset and was not taken is cleared away when its writer begins.
            writer: DatasetWriter | None = None if info is None else stack.enter_context(self._format.write(options.out, info))
            is_new = not self._list.exists() or not self._list.stat().st_size
            lines = stack.enter_context(self._list.open("a", encoding="utf-8"))
            if is_new:
                write_line(lines, fingerprint(options, split_digest()))
            for finished in stack.enter_context(contextlib.closing(executor(crew, schedule))) if self._jobs else ():
                attempt, part = _outcome(finished, options)
                if part is not None and writer is not None:
                    _take(writer, part)
                write_line(lines, to_plain(attempt))
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
            seeds = [seed for seed in entry.seeds if seed not in self._asked[index]]
            self._next[index] = entry.seeds.stop
        else:
            seeds = [self._fresh(index) for _ in range(max(0, entry.episodes - self._kept[index]))]
        return [self._job(index, seed) for seed in seeds]

    def _all_jobs(self) -> list[Job]:
        return [self._job(index, seed) for index, entry in enumerate(self._options.entries) for seed in entry.seeds]

    def _job(self, index: int, seed: int) -> Job:
        return Job(key=f"{self._options.entries[index].task} seed {seed}", content=(index, seed))

    def _fresh(self, index: int) -> int:
        """Returns the first seed of an entry that was not tried."""
        seed = self._next[index]
        while seed in self._asked[index]:
            seed += 1
        self._asked[index].add(seed)
        self._next[index] = seed + 1
        return seed

    def _count(self, attempt: Attempt, schedule: Schedule) -> None:
        """Takes note of an attempt; where successes are counted, another seed takes the place of one that gave none."""
        index, options = attempt.entry, self._options
        self._tried[index] += 1
        self._kept[index] += attempt.kept
        if options.counts_successes and not attempt.kept:
            if self._tried[index] >= _MOST_TRIES * options.entries[index].episodes + options.patience:
                found = f"{self._kept[index]} demonstrations in {self._tried[index]} tries"
                raise VlagymError(f"{attempt.task} gave {found}, and is given up{_kept_is(options)}")
            schedule.put(self._job(index, self._fresh(index)))

    def _expected(self, schedule: Schedule) -> float:
        """Returns how many demonstrations are still to come, by the yield so far."""
        if self._options.counts_successes:
            return float(sum(max(0, e.episodes - self._kept[i]) for i, e in enumerate(self._options.entries)))
        return len(schedule) * sum(self._kept.values()) / max(1, sum(self._tried.values()))

    def _check_patience(self, attempt: Attempt) -> None:
        index, options = attempt.entry, self._options
        if not self._kept[index] and self._tried[index] >= options.patience and len(options.entries[index].seeds) > 0:
            raise VlagymError(
                f"{attempt.task} gave no demonstration in {self._tried[index]} tries; the last one: {attempt.how}. Leave it out, or raise "
                f"--give-up-after{_kept_is(options)}"
            )

    # -------------------------------------------------------------------------------------------------------------- what is stored
    def _stored(self) -> set[str]:
        """Returns the digests of the demonstrations that the dataset, or what lies beside it until it is whole, really holds."""
        options = self._options
        try:
            with self._format.open(options.out) as reader:
                return set(reader.digests)
        except NoDataset:
            pass
        if not options.out.with_name(f"{options.out.name}.parts").exists():
            return set()
        self._info = _info_of(options, self._all_jobs())
        if self._info is None:
            return set()
        with contextlib.suppress(_Left), self._format.write(options.out, self._info) as writer:
            stored = set(writer.digests)
            raise _Left  # so that what is not complete is not made whole
        return stored


class _Left(Exception):
    """A writer is left as it was found."""


def _kept_is(options: DemoOptions) -> str:
    return f". What was collected is kept beside {options.out}"


def _take(writer: DatasetWriter, part: Part) -> None:
    if part.digest not in writer.digests:
        writer.take(part)


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
      BadData: If entries are controlled in different conventions.
    """
    specs: dict[int, EpisodeSpec] = {}
    for job in jobs:
        index, seed = job.content
        if index not in specs:
            with contextlib.suppress(VlagymError):  # the worker that meets this seed says why it gives no episode
                specs[index] = options.entries[index].sample(seed, options.sample)
    if not specs:
        return None
    found = list(specs.values())
    for spec in found[1:]:
        if spec.control != found[0].control:
            raise BadData(
                f"{found[0].task} is controlled by {found[0].control.name!r} and {spec.task} by {spec.control.name!r} of other components; a dataset "
                "has one convention. Choose one robot and one control, or collect into several"
            )
    return _info(options, found)


def _info(options: DemoOptions, specs: list[EpisodeSpec]) -> DatasetInfo:
    robots = {spec.robot for spec in specs}
    return DatasetInfo(
        action=specs[0].control,
        images={camera: ImagePreprocessing(crop=s.crop, size=s.size) for camera, s in options.images.items()},
        frame_stride=options.frame_stride,
        provenance={
            "command": [without_query(word) for word in options.command],
            "packages": packages(),
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
