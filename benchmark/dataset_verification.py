"""Believing a dataset: every demonstration is simulated again from its executed actions, and all that is stored of it, or derived, is compared."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vlagym.benchmark.collecting.demonstrator import Demonstrator
from vlagym.benchmark.collecting.options import DemoOptions
from vlagym.benchmark.collecting.pictures import Pictures
from vlagym.benchmark.collecting.tape import Rewindable
from vlagym.benchmark.coverage import Difference
from vlagym.benchmark.demonstration_pictures import IMAGES, MOMENTS, Snapshots, can_render, lacking_cameras, rendering
from vlagym.benchmark.demonstration_verdict import (
    COMMANDS,
    LABELS,
    PARAPHRASED,
    DemonstrationVerdict,
    not_recorded,
    of_commands,
    of_itself,
    of_labels,
    of_paraphrases,
    of_simulation,
)
from vlagym.benchmark.episode import MakeWorld, RunnableWorld, WorldOptions, make_world
from vlagym.benchmark.executor import Crew, Executor, Finished, Job, Port, Schedule
from vlagym.benchmark.noise import Noise
from vlagym.benchmark.recorder import Recorder
from vlagym.benchmark.rollout import Rollout, Watch
from vlagym.benchmark.stored import of_this_machine, with_actions
from vlagym.envs import catalog
from vlagym.envs.errors import BadData, MissingPackage, NoRenderer, VlagymError
from vlagym.envs.split import digest as split_digest
from vlagym.envs.types import EpisodeSpec, from_plain, stream
from vlagym.policies.loading import split
from vlagym.results import training_view
from vlagym.results.conversion import CONVERSIONS
from vlagym.results.datasets import format_of, open_dataset
from vlagym.results.demonstration import DatasetInfo, Demonstration, check_demonstration, without_pictures
from vlagym.results.format import Format, NotOurs, TrainingView
from vlagym.results.formats._sidecar import in_memory

_EXPERT = "expert"
"""The policy that plays an episode the same again, whoever asks."""
WHOLE = "demonstrations"
"""Of differences: demonstrations are missing, or there twice."""
_TRANSLATED_FROM = ("ee_delta", "bimanual_ee_delta")
"""Conventions in which the expert plays; `vlagym demo --control` translates them into others."""
_NAMED = 4
"""Demonstrations that a sentence names."""


class CheckedDataset(NamedTuple):
    """What a verification covers."""

    path: Path
    format: str
    info: DatasetInfo
    verdicts: Iterator[DemonstrationVerdict]
    """As they come."""
    total: int
    """How many verdicts there will be."""
    differences: tuple[Difference, ...]
    """Of the dataset as a whole: demonstrations that are missing, or there twice (WHOLE), and what it says of all of them that is not so."""


def verify_dataset(
    path: Path,
    *,
    format_name: str | None = None,
    sample: int | None = None,
    seed: int = 0,
    workers: int = 1,
    executor: str = "processes",
    images: bool = True,
    rendered: int | None = None,
    moments: int | None = MOMENTS,
    make_world: MakeWorld = make_world,
) -> CheckedDataset:
    """Simulates the demonstrations of a dataset again, and compares everything that is deterministic, what trainers read, and some images.

    Args:
      path: The dataset. Nothing in it is changed.
      format_name: Of its format; None: the one that it has.
      sample: How many demonstrations are simulated, drawn without replacement; None: all.
      seed: Of that draw.
      workers: Processes.
      executor: Of benchmark/executors.
      images: Whether all images and depth are read as well, to see that they can be, and some are rendered again.
      rendered: Of how many demonstrations some are rendered, drawn without replacement; None: of all that are simulated.
      moments: How many images of each camera of such a demonstration are rendered, at even distances from the first on; None: all.
      make_world: Builds the world in each worker.

    Raises:
      NoDataset: If there is none, or it was not finished.
      BadData: If it cannot be opened, holds nothing, or an option makes no sense.
    """
    if sample is not None and sample < 1:
        raise BadData(f"a sample has at least 1 demonstration, not {sample}")
    if seed < 0:
        raise BadData(f"the seed of a sample is 0 or more, not {seed}")
    if rendered is not None and rendered < 0:
        raise BadData(f"images of 0 or more demonstrations are compared, not of {rendered}")
    if moments is not None and moments < 1:
        raise BadData(f"1 or more images of each camera are compared, not {moments}")
    if workers < 1:
        raise BadData(f"a verification needs at least 1 worker, not {workers}")
    name = format_name or format_of(path)
    with open_dataset(path, name) as reader:
        info, digests = reader.info, reader.digests
    if not digests:
        raise BadData(f"{path} holds no demonstration: there is nothing to verify")
    chosen: Sequence[int] = range(len(digests))
    if sample is not None:
        chosen = sorted(stream(seed, "verify").permutation(len(digests))[:sample].tolist())
    shown = set(chosen)
    if not images or not info.images:
        shown = set()
    elif rendered is not None:
        shown = {chosen[i] for i in stream(seed, "verify", "images").permutation(len(chosen))[:rendered].tolist()}
    jobs = [Job(key=digests[i], content=_Task(i, i in shown)) for i in chosen]
    crew = Crew(make=partial(_Verifier, make_world, path, name, images, bool(shown), moments), workers=min(workers, len(jobs)))
    verdicts = _verdicts(catalog.load("executor", executor), crew, jobs)
    whole = (*_of_whole(path, info, digests), *_of_view(path, name))
    return CheckedDataset(path, name, info, verdicts, len(jobs), whole)


def _of_whole(path: Path, info: DatasetInfo, digests: Sequence[str]) -> Iterator[Difference]:
    """Yields what is wrong with a dataset before any of its demonstrations is simulated."""
    twice = sorted(digest for digest, times in Counter(digests).items() if times > 1)
    if twice:
        yield Difference(WHOLE, f"{len(twice)} are there twice: {_some(twice)}")
    conversions = info.provenance.get(CONVERSIONS)
    if conversions and int(conversions[-1]["demonstrations"]) != len(digests):
        yield Difference(WHOLE, f"{conversions[-1]['demonstrations']} were converted, and the dataset holds {len(digests)}")
    listed = _collected(path)
    lacking = sorted(listed - set(digests))
    if lacking and len(lacking) < len(listed):  # a list that shares nothing with the dataset is that of another
        yield Difference(WHOLE, f"the list beside it tells of {len(lacking)} that the dataset lacks: {_some(lacking)}")


def _of_view(path: Path, name: str) -> Iterator[Difference]:
    """Yields what the dataset says of all its demonstrations together that does not follow from them."""
    try:
        if (view := _view(path, catalog.load("format", name))) is not None:
            yield from (Difference("statistics", how) for how in view.faults())
    except BadData as error:
        yield Difference("data", str(error))


def _view(path: Path, format_: Format) -> TrainingView | None:
    """Returns what trainers read of a dataset; None of one that others wrote."""
    try:
        return None if format_.view is None else format_.view(path)
    except NotOurs:
        return None


def _collected(path: Path) -> set[str]:
    """Returns the digests of what `vlagym demo` kept, by its list beside the dataset; none where there is no list."""
    at = path.with_name(f"{path.name}.attempts.jsonl")
    if not at.is_file():
        return set()
    try:
        lines = [json.loads(line) for line in at.read_bytes().splitlines()[1:]]
        return {str(line["digest"]) for line in lines if line["kept"]}
    except (ValueError, KeyError, TypeError) as error:
        raise BadData(f"{at} is damaged: {error!r}. Remove it: then nobody can tell whether demonstrations are missing") from error


def _verdicts(executor: Executor, crew: Crew[DemonstrationVerdict], jobs: list[Job]) -> Iterator[DemonstrationVerdict]:
    with contextlib.closing(executor(crew, Schedule(jobs))) as finished:
        for one in finished:
            yield _verdict(one)


def _verdict(finished: Finished) -> DemonstrationVerdict:
    if finished.error is None:
        verdict: DemonstrationVerdict = finished.result
        return verdict
    job, error = finished.job, finished.error
    task: _Task = job.content
    if told := of_this_machine(error):
        return DemonstrationVerdict(index=task.number, digest=job.key, error=told)
    return DemonstrationVerdict(index=task.number, digest=job.key, differences=(Difference("simulation", f"{error.type}: {error.message}"),))


class _Task(NamedTuple):
    number: int
    """In the dataset."""
    is_rendered: bool
    """Whether images of it are rendered and compared."""


class _Verifier:
    """Verifies one demonstration after another in whichever process it lives."""

    def __init__(self, make: MakeWorld, path: Path, format_name: str, images: bool, renders: bool, moments: int | None) -> None:
        self._make, self._reads_images, self._moments = make, images, moments
        self._format: Format = catalog.load("format", format_name)
        self._reader = open_dataset(path, format_name)
        self._info = self._reader.info
        try:
            self._view = _view(path, self._format)
        except BadData:  # which is said of the dataset as a whole
            self._view = None
        quality, look, self._image_size = rendering(self._info.provenance)
        has_depth = bool(self._info.depth) and renders
        self._world: RunnableWorld = make(WorldOptions(quality=quality, look=look, render=renders, depth=has_depth))
        self._demonstrator: Demonstrator | None = None

    def play(self, job: Job, port: Port | None) -> DemonstrationVerdict:
        task: _Task = job.content
        try:
            d = self._reader[task.number]
            seen = in_memory(d) if self._reads_images else without_pictures(d, self._info)
            check_demonstration(replace(seen, spec=None), self._info)  # the spec is compared below
        except (MissingPackage, NoRenderer):
            raise
        except VlagymError as error:
            return DemonstrationVerdict(index=task.number, digest=job.key, differences=(Difference("data", str(error)),))
        told: Mapping[str, Any] = {"index": task.number, "digest": d.digest, "steps": d.num_steps, "is_success": d.is_success}
        if d.spec is None:
            return DemonstrationVerdict(**told, is_recorded_elsewhere=True, differences=tuple(self._of_trainers(task.number, seen)))
        told = {**told, "task": d.spec.task, "seed": d.spec.seed}
        differences = of_itself(d, self._info)
        of_trainers = self._of_trainers(task.number, seen) if all(difference.what != "spec" for difference in differences) else []
        played = self._played(seen, task.is_rendered)
        if played.error:
            return DemonstrationVerdict(**told, ended_by=played.rollout.ended_by, error=played.error, differences=(*differences, *of_trainers))
        differences += of_simulation(d, played.rollout, played.recorded)
        of_actions, are_labels_checked = of_labels(d, self._info.provenance, _TRANSLATED_FROM, self._played_again)
        of_motion, are_commands_checked = of_commands(d, self._info, played.before, played.wanted)
        of_words, are_words_checked = of_paraphrases(d, self._info.provenance, split_digest())
        checked = {LABELS: are_labels_checked, COMMANDS: are_commands_checked, PARAPHRASED: are_words_checked}
        unchecked = [name for name, is_checked in checked.items() if not is_checked]
        if task.is_rendered and played.snapshots is None:
            unchecked.append(IMAGES)
        return DemonstrationVerdict(
            **told,
            ended_by=played.rollout.ended_by,
            differences=(*differences, *of_actions, *of_motion, *of_words, *of_trainers, *played.of_images),
            unchecked=(*unchecked, *([] if played.recorded is None else not_recorded(d, played.recorded))),
            images=0 if played.snapshots is None else played.snapshots.images,
            moments=0 if played.snapshots is None else played.snapshots.num,
        )

    def close(self) -> None:
        self._reader.close()
        self._world.close()
        if self._demonstrator is not None:
            self._demonstrator.close()

    def _of_trainers(self, index: int, d: Demonstration) -> list[Difference]:
        """Returns what trainers would read of a demonstration that is not so."""
        if self._view is None:
            return []
        try:
            images = d.images if self._reads_images else None
            return [Difference(*fault) for fault in training_view.faults_of(self._view, index, d, self._info, self._format, images)]
        except BadData as error:
            if isinstance(error.__cause__, OSError):
                raise error.__cause__ from None  # no room for temporary files: that is no fault of the dataset
            return [Difference("data", str(error))]

    def _played(self, d: Demonstration, is_rendered: bool) -> _Played:
        spec, world, info = d.episode, self._world, self._info
        snapshots = None
        lacking = lacking_cameras(spec, info) if is_rendered and self._image_size is None else []
        of_images = [Difference(f"images of {camera}", "the episode has no such camera, or none of that size") for camera in lacking]
        if is_rendered and not lacking and can_render(spec, info):
            snapshots = Snapshots(d, info, self._image_size, self._moments)
        watch = Watch(cameras=()) if snapshots is None else Watch(cameras=snapshots.watched, every=snapshots.every)
        before: list[Any] = []
        wanted: list[Any] = []

        def note(step: int, action: NDArray[np.float32]) -> NDArray[np.float32]:
            if snapshots is not None and self._image_size is not None:
                snapshots.take(world, step, None)
            if info.commands and isinstance(world, Rewindable):
                before.append(world.commanded())
                wanted.append(world.commanded(d.actions[step]))
            return action

        rollout = with_actions(world, spec, d.executed_actions, watch, perturb=note)
        recorder = Recorder(spec, {}, info.frame_stride, is_live=False)
        for step in rollout:
            recorder.add(step)
            if snapshots is not None and self._image_size is None:
                snapshots.take(world, step.index, step.observation)
        if before and isinstance(world, Rewindable):
            before.append(world.commanded())
        recorded = recorder.demonstration(Pictures({}, {})) if recorder.num_steps else None
        if snapshots is not None:
            of_images += snapshots.differences
        return _Played(rollout, recorded, snapshots, of_images, before, wanted, of_this_machine(rollout.error))

    def _played_again(self, spec: EpisodeSpec) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
        """Returns labels and executed actions of an episode that is played once more by who played it for the dataset."""
        provenance = self._info.provenance
        policy = str(provenance.get("policy"))
        if split(policy)[0] != _EXPERT:
            return None  # another policy may not be there, nor answer the same
        if self._demonstrator is None:
            noise = from_plain(Noise, provenance.get("noise"), "the provenance, its noise")
            filters = bool(provenance.get("filter_noops"))
            options = DemoOptions(entries=(), out=Path(), images={}, policy=policy, noise=noise, filter_noops=filters, make_world=self._make)
            self._demonstrator = Demonstrator(options, None)
        return self._demonstrator.actions(spec)


class _Played(NamedTuple):
    """A demonstration that was simulated again."""

    rollout: Rollout
    recorded: Demonstration | None
    snapshots: Snapshots | None
    of_images: list[Difference]
    before: list[Any]
    """What the controllers asked before each action, and at the end."""
    wanted: list[Any]
    """What they would have asked after each label."""
    error: str
    """Of this machine."""


def _some(digests: Sequence[str]) -> str:
    return ", ".join(digests[:_NAMED]) + (f" and {len(digests) - _NAMED} more" if len(digests) > _NAMED else "")
