"""Believing a dataset: every demonstration is simulated again from its executed actions, and everything stored of it is compared bit for bit."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from vlagym.benchmark.collecting.pictures import Pictures
from vlagym.benchmark.coverage import Difference
from vlagym.benchmark.demonstration_verdict import LABELS, DemonstrationVerdict, not_recorded, of_itself, of_labels, of_simulation
from vlagym.benchmark.episode import MakeWorld, RunnableWorld, WorldOptions, make_world
from vlagym.benchmark.executor import Crew, Executor, Finished, Job, Port, Schedule
from vlagym.benchmark.recorder import Recorder
from vlagym.benchmark.rollout import Watch
from vlagym.benchmark.stored import with_actions
from vlagym.envs import catalog
from vlagym.envs.errors import BadData, VlagymError
from vlagym.envs.types import stream
from vlagym.results.conversion import CONVERSIONS
from vlagym.results.datasets import format_of, open_dataset
from vlagym.results.demonstration import DatasetInfo, check_demonstration, without_pictures
from vlagym.results.formats._sidecar import in_memory

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
    """Of the dataset as a whole: demonstrations that are missing, or there twice."""


def verify_dataset(
    path: Path,
    *,
    format_name: str | None = None,
    sample: int | None = None,
    seed: int = 0,
    workers: int = 1,
    executor: str = "processes",
    images: bool = True,
    make_world: MakeWorld = make_world,
) -> CheckedDataset:
    """Simulates the demonstrations of a dataset again, without rendering, and compares everything that is deterministic.

    Args:
      path: The dataset. Nothing in it is changed.
      format_name: Of its format; None: the one that it has.
      sample: How many demonstrations are simulated, drawn without replacement; None: all.
      seed: Of that draw.
      workers: Processes.
      executor: Of benchmark/executors.
      images: Whether all images and depth are read as well, to see that they can be.
      make_world: Builds the world in each worker.

    Raises:
      NoDataset: If there is none, or it was not finished.
      BadData: If it cannot be opened, holds nothing, or an option makes no sense.
    """
    if sample is not None and sample < 1:
        raise BadData(f"a sample has at least 1 demonstration, not {sample}")
    if seed < 0:
        raise BadData(f"the seed of a sample is 0 or more, not {seed}")
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
    jobs = [Job(key=digests[i], content=i) for i in chosen]
    crew = Crew(make=partial(_Verifier, make_world, path, name, images), workers=min(workers, len(jobs)))
    verdicts = _verdicts(catalog.load("executor", executor), crew, jobs)
    return CheckedDataset(path, name, info, verdicts, len(jobs), tuple(_of_whole(path, info, digests)))


def _of_whole(path: Path, info: DatasetInfo, digests: Sequence[str]) -> Iterator[Difference]:
    """Yields what is wrong with a dataset before any of its demonstrations is simulated."""
    twice = sorted({d for d in digests if digests.count(d) > 1}) if len(set(digests)) < len(digests) else []
    if twice:
        yield Difference("demonstrations", f"{len(twice)} are there twice: {_some(twice)}")
    conversions = info.provenance.get(CONVERSIONS)
    if conversions and int(conversions[-1]["demonstrations"]) != len(digests):
        yield Difference("demonstrations", f"{conversions[-1]['demonstrations']} were converted, and the dataset holds {len(digests)}")
    listed = _collected(path)
    lacking = sorted(listed - set(digests))
    if lacking and len(lacking) < len(listed):  # a list that shares nothing with the dataset is that of another
        yield Difference("demonstrations", f"the list beside it tells of {len(lacking)} that the dataset lacks: {_some(lacking)}")


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
    return DemonstrationVerdict(index=job.content, digest=job.key, differences=(Difference("simulation", f"{error.type}: {error.message}"),))


class _Verifier:
    """Verifies one demonstration after another in whichever process it lives."""

    def __init__(self, make: MakeWorld, path: Path, format_name: str, images: bool) -> None:
        self._reads_images = images
        self._reader = open_dataset(path, format_name)
        self._info = self._reader.info
        self._world: RunnableWorld = make(WorldOptions(render=False))

    def play(self, job: Job, port: Port | None) -> DemonstrationVerdict:
        index: int = job.content
        try:
            d = self._reader[index]
            seen = in_memory(d) if self._reads_images else without_pictures(d, self._info)
            check_demonstration(replace(seen, spec=None), self._info)  # the spec is compared below
        except VlagymError as error:
            return DemonstrationVerdict(index=index, digest=job.key, differences=(Difference("data", str(error)),))
        told: Mapping[str, Any] = {"index": index, "digest": d.digest, "steps": d.num_steps, "is_success": d.is_success}
        if d.spec is None:
            return DemonstrationVerdict(**told, is_recorded_elsewhere=True)
        differences = of_itself(d, self._info)
        of_actions, are_labels_checked = of_labels(d, self._info.provenance, _TRANSLATED_FROM)
        rollout = with_actions(self._world, d.spec, d.executed_actions, Watch(cameras=()))
        recorder = Recorder(d.spec, {}, self._info.frame_stride, is_live=False)
        for step in rollout:
            recorder.add(step)
        recorded = recorder.demonstration(Pictures({}, {})) if recorder.num_steps else None
        differences += of_simulation(d, rollout, recorded)
        unchecked = [] if are_labels_checked else [LABELS]
        return DemonstrationVerdict(
            **told,
            task=d.spec.task,
            seed=d.spec.seed,
            ended_by=rollout.ended_by,
            differences=(*differences, *of_actions),
            unchecked=(*unchecked, *([] if recorded is None else not_recorded(d, recorded))),
        )

    def close(self) -> None:
        self._reader.close()
        self._world.close()


def _some(digests: Sequence[str]) -> str:
    return ", ".join(digests[:_NAMED]) + (f" and {len(digests) - _NAMED} more" if len(digests) > _NAMED else "")
