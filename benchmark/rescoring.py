"""Stored episodes measured again from their traces, without a simulator, in several processes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from vlagym.benchmark.executor import Crew, Finished, Job, Port, Schedule
from vlagym.benchmark.failure_modes import failure_mode
from vlagym.benchmark.scoring import Scorer
from vlagym.envs import catalog
from vlagym.envs.errors import BadData, VlagymError
from vlagym.results.schema import trace_from_bytes

_TOGETHER = 64
"""Episodes that a worker is given at once: they take it a fifth of a second, a hundred times as long as a message."""

_WORTH_A_PROCESS = 256
"""Episodes: fewer are measured in the time that a process takes to start."""


class Remeasured(NamedTuple):
    """What came of one episode."""

    digest: str
    measures: Mapping[str, float | None]
    """Empty where there is a complaint."""
    failure_mode: str | None
    complaint: str = ""
    """Why it could not be measured; empty where it was."""


class Work(NamedTuple):
    """An episode to measure."""

    digest: str
    trace: Path
    """Its file."""


def remeasured(
    work: Sequence[Work], names: Sequence[str], weights: Mapping[str, float], workers: int
) -> Iterator[Remeasured]:
    """Yields what each episode measures now, in whatever order. One that cannot be measured says why and costs no other.

    Args:
      work: The episodes.
      names: The metrics.
      weights: Of the cost, where they differ from those of the house.
      workers: Processes at most; where there is little to do, this process does it.

    Raises:
      VlagymError: If a metric or a weight cannot be; or workers do not start.
    """
    Scorer(names, weights)
    jobs = [Job(key=f"episodes {i} to {i + _TOGETHER}", content=work[i : i + _TOGETHER]) for i in range(0, len(work), _TOGETHER)]
    crew = Crew(make=partial(_Remeasurer, tuple(names), dict(weights)), workers=max(1, min(workers, len(work) // _WORTH_A_PROCESS)))
    executor = catalog.load("executor", "processes" if crew.workers > 1 else "serial")
    with contextlib.closing(executor(crew, Schedule(jobs))) as finished:
        for one in finished:
            yield from _results(one)


def _results(finished: Finished) -> list[Remeasured]:
    if finished.error is None:
        results: list[Remeasured] = finished.result
        return results
    error = finished.error
    return [Remeasured(work.digest, {}, None, f"{error.type}: {error.message}") for work in finished.job.content]


class _Remeasurer:
    """Measures one portion after another in whichever process it lives."""

    def __init__(self, names: tuple[str, ...], weights: dict[str, float]) -> None:
        self._scorer = Scorer(names, weights)

    def play(self, job: Job, port: Port | None) -> list[Remeasured]:
        return [self._measure(work) for work in job.content]

    def _measure(self, work: Work) -> Remeasured:
        try:
            trace = trace_from_bytes(work.trace.read_bytes(), str(work.trace))
            found = trace.spec.digest()
            if found != work.digest:
                raise BadData(f"{work.trace} holds the episode {found}: the file was renamed or its spec was changed")
            return Remeasured(work.digest, self._scorer.measure(trace), failure_mode(trace))
        except (VlagymError, OSError) as error:
            return Remeasured(work.digest, {}, None, str(error))

    def close(self) -> None: ...
